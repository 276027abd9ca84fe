"""``/category``: categories of templates (contract §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.operations.templates import category_number, check_name, told_as
from ekiden.dialects.naver.tree_shapes import TOP, category_shape
from ekiden.web.need import NO_BODY
from ekiden.web.operation import changes

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.dialects.naver.call import Call


class NewCategory(msgspec.Struct, kw_only=True):
    categoryName: str
    parentSid: int = TOP


class Location(msgspec.Struct, kw_only=True):
    """What is ``None`` stays."""

    categoryName: str | None = None
    parentSid: int | None = None
    lowerSid: int | None = None


async def create_category(call: Call) -> Response[bytes]:
    """201."""
    given = await call.json(NewCategory)
    name = check_name("categoryName", given.categoryName, 1)
    with told_as():
        made = await call.services.template_categories.create(
            call.account_id, name, category_number(given.parentSid), actor=call.caller.actor
        )
    return answer(category_shape(made), 201)


async def update_location(call: Call) -> Response[bytes]:
    """Its name, its parent, and its place."""
    given = await call.json(Location)
    name = None if given.categoryName is None else check_name("categoryName", given.categoryName, 1)
    with told_as():
        changed = await call.services.template_categories.change(
            call.account_id,
            call.sid("sid"),
            name=name,
            parent_id=None if given.parentSid is None else category_number(given.parentSid),
            lower=given.lowerSid,
            actor=call.caller.actor,
        )
    return answer(category_shape(changed))


async def delete_category(call: Call) -> Response[bytes]:
    """An empty one."""
    with told_as():
        gone = await call.services.template_categories.delete(
            call.account_id, call.sid("sid"), actor=call.caller.actor
        )
    return answer(category_shape(gone))


OPERATIONS: Final = (
    changes("POST", "/category", create_category),
    changes("PUT", "/category/{sid:str}/name-location", update_location),
    changes("DELETE", "/category/{sid:str}", delete_category, need=NO_BODY),
)
