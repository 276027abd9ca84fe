"""``/unsubscribers``: who wants no advertising from the account (contract §10).

Where the contract is silent: one address that is none refuses a request as a whole; an address that is given twice
counts once, and once as ignored. ``emailAddress`` is an address, or else a part of some. Who has left a single
sending domain, by a link of mail that came another way, is not in this list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response

from ekiden.dialects.naver.addresses import LISTS, read_addresses
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.times import nes_date
from ekiden.recipients.suppressions import ANY_DOMAIN
from ekiden.web.operation import changes, reads

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call
    from ekiden.recipients.suppressions import SortBy, Suppression

_PATH: Final = "/unsubscribers"
_PIECE: Final = 500
"""Addresses of a transaction: others write in between."""
_BY_MANAGER: Final = ("isRegByManager", "adminRegYn")
"""The second one is what it was called in 2020."""


class _Receivers(msgspec.Struct):
    blockedReceivers: list[str]


async def list_unsubscribers(call: Call) -> Response[bytes]:
    """The newest first, unless another order is asked for."""
    query = call.query
    since, until = query.period(needed=False)
    by_manager = query.flag("isRegByManager")
    page = read_page(query, ("createUtc", *_BY_MANAGER), Order("createUtc", True))
    found = await call.services.suppressions.page(
        call.account_id,
        "unsubscribe",
        address=query.text("emailAddress") or "",
        since=since,
        until=until,
        by_recipient=None if by_manager is None else not by_manager,
        sort=[_sort(order) for order in page.sort],
        offset=page.offset,
        limit=page.size,
    )
    return answer(page.shape([_item(row) for row in found.items], found.total))


async def register(call: Call) -> Response[bytes]:
    """As the account's manager does. 201."""
    addresses, suppressions, count = await _receivers(call), call.services.suppressions, 0
    for start in range(0, len(addresses), _PIECE):
        piece = addresses[start : start + _PIECE]
        count += await suppressions.add(call.account_id, ANY_DOMAIN, piece, "unsubscribe", actor=call.caller.actor)
    return answer(_counts(count, len(addresses)), 201)


async def remove(call: Call) -> Response[bytes]:
    """Whoever registered them."""
    addresses, suppressions, count = await _receivers(call), call.services.suppressions, 0
    for start in range(0, len(addresses), _PIECE):
        piece = addresses[start : start + _PIECE]
        count += await suppressions.remove(
            call.account_id, ANY_DOMAIN, piece, "unsubscribe", actor=call.caller.actor
        )
    return answer(_counts(count, len(addresses)))


OPERATIONS: Final = (
    reads(_PATH, list_unsubscribers),
    changes("POST", _PATH, register, need=LISTS),
    changes("DELETE", _PATH, remove, need=LISTS),
)


async def _receivers(call: Call) -> list[str]:
    given = (await call.json(_Receivers)).blockedReceivers
    if not given:
        raise BadRequest("{field} is missing", field="blockedReceivers")
    return await read_addresses("blockedReceivers", given)


def _sort(order: Order) -> tuple[SortBy, bool]:
    if order.property in _BY_MANAGER:
        return "by_recipient", not order.descending
    return "created", order.descending


def _item(row: Suppression) -> dict[str, Any]:
    return {
        "address": row.address,
        "blockDate": nes_date(row.created_at),
        "isRegByManager": row.registered_by != "recipient",
    }


def _counts(count: int, asked: int) -> dict[str, int]:
    return {"count": count, "requestCount": asked, "ignoreCount": asked - count}
