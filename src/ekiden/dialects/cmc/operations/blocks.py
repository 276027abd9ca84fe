"""``blocks``: addresses that the account does not mail since they bounced, complained or were put there
(contract §4.6), and ``unsubscribes``: those who have left (§4.8).

Where the contract is silent: the actions of a release are ``release``, ``remove`` and ``cancel``, which are the
same, with ``email`` or ``id``. ``occurred`` is how often the address was blocked so far. A released block tells
when it was released. ``filter_name`` and ``filtername`` are the sending domain that somebody has left; empty: all.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from ekiden.access.credential_scopes import DOWNLOAD, MANAGE, READ
from ekiden.access.errors import AccessError
from ekiden.core.zones import local_text
from ekiden.dialects.cmc import codes
from ekiden.dialects.cmc.call import Call, operations
from ekiden.dialects.cmc.downloads import MOST, answer_csv
from ekiden.dialects.cmc.errors import MISSING, UNKNOWN
from ekiden.dialects.cmc.http import answer_list, answer_one
from ekiden.dialects.cmc.params import LONGEST, Params
from ekiden.recipients.block_queries import Period
from ekiden.web.need import Need

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.recipients.block_queries import Block
    from ekiden.recipients.suppressions import Suppression

NEED: Final = Need(65_536, 200)
MAX_ROWS: Final = 100
DEFAULT_ROWS: Final = 10
_PIECE: Final = 1_000
_BLOCK: Final = ("created", "email", "id", "occurred", "status")
_UNSUBSCRIBED: Final = ("created", "email", "filtername")


async def list_blocks(call: Call, params: Params) -> Response[bytes]:
    """A page of them."""
    asked, removed = _asked(call, params), params.flag("removed")
    offset, rows = params.page(MAX_ROWS, DEFAULT_ROWS)
    params.done()
    found = await call.services.blocks.page(call.account_id, released=removed, **asked, offset=offset, limit=rows)
    return answer_list(call.is_xml, "blocks", "block", [_block(call, each) for each in found])


async def download_blocks(call: Call, params: Params) -> Response[bytes]:
    """All of them, as a file."""
    asked, removed = _asked(call, params), params.flag("removed")
    params.done()

    async def pieces() -> AsyncIterator[list[list[str]]]:
        for offset in range(0, MOST, _PIECE):
            found = await call.services.blocks.page(
                call.account_id, released=removed, **asked, offset=offset, limit=_PIECE
            )
            yield [list(_block(call, each).values()) for each in found]
            if len(found) < _PIECE:
                return

    return await answer_csv(call, "blocks", _BLOCK, pieces())


async def release_block(call: Call, params: Params) -> Response[bytes]:
    """An address is mailed again."""
    params.composition()
    email, id = params.line("email"), params.line("id")
    if not email and not id:
        params.add("email", "{field} is missing", MISSING)
    params.done()
    if not email:
        email = await call.services.blocks.address_of(
            call.account_id, lambda *of: codes.block_id(call.account_id, *of) == id
        )
    removed = 0
    try:
        if email:
            removed = await call.services.blocks.release(call.account_id, email, actor=call.caller.actor)
    except AccessError as error:
        params.add_error("email", error)
        removed = 1
    if not removed:
        params.add("email" if params.line("email") else "id", "there is no such entry", UNKNOWN)
    params.done()
    return answer_one(call.is_xml, "email", email)


async def list_unsubscribes(call: Call, params: Params) -> Response[bytes]:
    """A page of them."""
    asked = _asked(call, params) | {"domain": _filter_name(params)}
    offset, rows = params.page(MAX_ROWS, DEFAULT_ROWS)
    params.done()
    found = await call.services.blocks.unsubscribed(call.account_id, **asked, offset=offset, limit=rows)
    return answer_list(call.is_xml, "unsubscribes", "unsubscribe", [_left(call, each) for each in found])


async def download_unsubscribes(call: Call, params: Params) -> Response[bytes]:
    """All of them, as a file."""
    asked = _asked(call, params) | {"domain": _filter_name(params)}
    params.done()

    async def pieces() -> AsyncIterator[list[list[str]]]:
        for offset in range(0, MOST, _PIECE):
            found = await call.services.blocks.unsubscribed(call.account_id, **asked, offset=offset, limit=_PIECE)
            yield [list(_left(call, each).values()) for each in found]
            if len(found) < _PIECE:
                return

    return await answer_csv(call, "unsubscribes", _UNSUBSCRIBED, pieces())


async def cancel_unsubscribe(call: Call, params: Params) -> Response[bytes]:
    """Somebody has not left after all."""
    params.composition()
    email, domain = params.line("email", needed=True), _filter_name(params)
    params.done()
    try:
        removed = await call.services.blocks.take_back(call.account_id, email, domain, actor=call.caller.actor)
    except AccessError as error:
        params.add_error("email", error)
        removed = 1
    if not removed:
        params.add("email", "there is no such entry", UNKNOWN)
    params.done()
    return answer_one(call.is_xml, "email", email)


def _asked(call: Call, params: Params) -> dict[str, Any]:
    params.composition()
    return {"part": params.line("email", LONGEST), "period": Period(*params.days(call.zone))}


def _filter_name(params: Params) -> str | None:
    return params.line("filter_name").lower() or None


def _block(call: Call, block: Block) -> Mapping[str, str]:
    id = codes.block_id(call.account_id, block.domain, block.key, block.kind)
    status = codes.block_status(block.kind, block.diagnosis)
    values = (local_text(block.at, call.zone), block.address, id, str(block.count), str(status))
    return dict(zip(_BLOCK, values, strict=True))


def _left(call: Call, item: Suppression) -> Mapping[str, str]:
    values = (local_text(item.created_at, call.zone), item.address, item.domain)
    return dict(zip(_UNSUBSCRIBED, values, strict=True))


_BLOCKS: Final = "/transaction/{version}/blocks"
_LEFT: Final = "/transaction/{version}/unsubscribes"
OPERATIONS: Final = (
    *operations(f"{_BLOCKS}/list", list_blocks, READ, NEED, much=True),
    *operations(f"{_BLOCKS}/download", download_blocks, DOWNLOAD, NEED, much=True),
    *[
        operation
        for action in ("release", "remove", "cancel")
        for operation in operations(f"{_BLOCKS}/{action}", release_block, MANAGE, NEED, much=True)
    ],
    *operations(f"{_LEFT}/list", list_unsubscribes, READ, NEED, much=True),
    *operations(f"{_LEFT}/download", download_unsubscribes, DOWNLOAD, NEED, much=True),
    *operations(f"{_LEFT}/cancel", cancel_unsubscribe, MANAGE, NEED, much=True),
)
