"""``/config``: settings of the project, of which there is one, for how long addresses are blocked (contract §8).

Where the contract is silent: the value is told in hours, which is all that an answer without a unit can mean; a
unit that is not given is hours. What was never set is told as the default. ``subType`` is taken and means nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response

from ekiden.access.accounts import MAX_BLOCK_HOURS, MIN_BLOCK_HOURS
from ekiden.dialects.naver.errors import BadRequest
from ekiden.dialects.naver.http import answer
from ekiden.web.operation import changes, reads

if TYPE_CHECKING:
    from ekiden.dialects.naver.call import Call

BLOCK_TIME: Final = "SEND_BLOCK_TIME"
_HOURS: Final = {"DAY": 24, "HOUR": 1}


class _Setting(msgspec.Struct):
    type: str
    value: str
    subType: str | None = None
    unit: str = "HOUR"


async def set_config(call: Call) -> Response[bytes]:
    """What is blocked from now on is so for that long. 200."""
    given = await call.json(_Setting)
    _check_type(given.type)
    unit = given.unit.strip().upper()
    if unit not in _HOURS:
        raise BadRequest("{field} must be one of {known}", field="unit", known=", ".join(_HOURS))
    text, each = given.value.strip(), _HOURS[unit]
    least, most = MIN_BLOCK_HOURS // each, MAX_BLOCK_HOURS // each
    if not (text.isascii() and text.isdecimal() and len(text) <= 9 and least <= int(text) <= most):
        raise BadRequest(
            "{name} must be a whole number from {lowest} to {highest}", name="value", lowest=least, highest=most
        )
    hours = int(text) * each
    await call.services.blocks.set_hours(call.caller.account.name, hours, actor=call.caller.actor)
    return answer(_shape(hours))


async def get_config(call: Call) -> Response[bytes]:
    """The setting, or its default."""
    _check_type(call.query.needed("type"))
    return answer(_shape(await call.services.blocks.hours(call.account_id)))


OPERATIONS: Final = (changes("POST", "/config", set_config), reads("/config", get_config))


def _check_type(given: str) -> None:
    if given != BLOCK_TIME:
        raise BadRequest("{field} must be one of {known}", field="type", known=BLOCK_TIME)


def _shape(hours: int) -> dict[str, Any]:
    return {"type": BLOCK_TIME, "subType": None, "value": str(hours)}
