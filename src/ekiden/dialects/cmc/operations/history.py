"""``deliveries`` and ``bounces``: what happened to each recipient of each mail (contract §4.3, §4.4).

Where the contract is silent: an item is an event, as event webhooks tell it, so a mail that was delivered is two
items. The newest come first. ``search_option`` is not looked at. Without any date all that is kept is meant.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.access.credential_scopes import DOWNLOAD, READ
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.zones import local_day, local_text
from ekiden.dialects.cmc import codes
from ekiden.dialects.cmc.call import Call, operations
from ekiden.dialects.cmc.downloads import MOST, answer_csv
from ekiden.dialects.cmc.http import answer_list
from ekiden.dialects.cmc.items import (
    BOUNCE_TYPES,
    DELIVERY_STATUSES,
    BounceItem,
    DeliveryItem,
    bounce_item,
    delivery_item,
)
from ekiden.dialects.cmc.labels import API_DATA, AUTHOR
from ekiden.dialects.cmc.params import LONGEST, Params
from ekiden.notify.history import HistoryFilter, Which
from ekiden.web.need import Need

if TYPE_CHECKING:
    from litestar import Response

    from ekiden.core.notices import Happening

NEED: Final = Need(65_536, 200)
MAX_ROWS: Final = 1_000
DEFAULT_ROWS: Final = 10
_STATUSES: Final = ("queued", "succeeded", "failed", "deferred")
_TRIED: Final = BOUNCE_TYPES - {EventType.DROPPED}


async def list_deliveries(call: Call, params: Params) -> Response[bytes]:
    """A page of them."""
    wanted = _deliveries(call, params)
    offset, rows = params.page(MAX_ROWS, DEFAULT_ROWS)
    params.done()
    found = await call.services.history.find(wanted, offset=offset, limit=rows)
    return answer_list(call.is_xml, "deliveries", "delivery", [_plain(_delivery(call, each)) for each in found])


async def download_deliveries(call: Call, params: Params) -> Response[bytes]:
    """All of them, as a file."""
    wanted = _deliveries(call, params)
    params.done()
    return await answer_csv(call, "deliveries", _names(DeliveryItem), _rows(call, wanted, _delivery))


async def list_bounces(call: Call, params: Params) -> Response[bytes]:
    """A page of them."""
    wanted = _bounces(call, params)
    offset, rows = params.page(MAX_ROWS, DEFAULT_ROWS)
    params.done()
    found = await call.services.history.find(wanted, offset=offset, limit=rows)
    return answer_list(call.is_xml, "bounces", "bounce", [_plain(_bounce(call, each)) for each in found])


async def download_bounces(call: Call, params: Params) -> Response[bytes]:
    """All of them, as a file."""
    wanted = _bounces(call, params)
    params.done()
    return await answer_csv(call, "bounces", _names(BounceItem), _rows(call, wanted, _bounce))


def _deliveries(call: Call, params: Params) -> HistoryFilter:
    params.composition()
    period = params.moment(call.zone, local_day(call.now, call.zone), needed=True)
    status = params.choice("status", _STATUSES)
    types = {of for of, name in DELIVERY_STATUSES.items() if not status or name == status} - {EventType.QUEUED}
    start, end = period or (None, None)
    return _filter(call, params, (Which(frozenset(types)),), start, end, params.line("to", LONGEST))


def _bounces(call: Call, params: Params) -> HistoryFilter:
    params.composition()
    start, end = params.moment(call.zone, local_day(call.now, call.zone), needed=False) or params.days(call.zone)
    status = params.number_or_none("status", 1, 99)
    which = (Which(BOUNCE_TYPES),) if status is None else _which(status)
    to = params.line("to", LONGEST) or params.line("email", LONGEST)  # as older clients call it
    return _filter(call, params, which, start, end, to)


def _filter(
    call: Call, params: Params, which: tuple[Which, ...], start: int | None, end: int | None, to: str
) -> HistoryFilter:
    api_data = params.line("api_data", LONGEST)
    return HistoryFilter(
        call.account_id,
        which,
        start,
        end,
        author=params.line("from", LONGEST),
        author_label=AUTHOR,
        recipient=to,
        labels={API_DATA: api_data} if api_data else {},
    )


def _which(status: int) -> tuple[Which, ...]:
    """The events of which ``codes.bounce_status`` is so."""
    diagnoses = frozenset(of for of, number in codes.OF_DIAGNOSIS.items() if number == status)
    kinds = frozenset(kind for kind, number in codes.OF_SUPPRESSION.items() if number == status)
    found = []
    if diagnoses:
        found.append(Which(_TRIED - {EventType.EXPIRED}, diagnoses))
    if status == codes.TIMEOUT:
        found.append(Which(frozenset({EventType.EXPIRED})))
    if kinds:
        found.append(Which(frozenset({EventType.DROPPED}), suppressions=kinds))
    return tuple(found) or (Which(BOUNCE_TYPES, frozenset[Diagnosis]()),)


def _delivery(call: Call, happening: Happening) -> DeliveryItem:
    return delivery_item(happening, local_text(happening.at, call.zone))


def _bounce(call: Call, happening: Happening) -> BounceItem:
    return bounce_item(happening, local_text(happening.at, call.zone))


def _plain(item: msgspec.Struct) -> Mapping[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(item)
    return found


def _names(kind: type[msgspec.Struct]) -> Sequence[str]:
    return kind.__struct_encode_fields__


async def _rows(call: Call, wanted: HistoryFilter, item: Any) -> AsyncIterator[list[list[str]]]:
    async for found in call.services.history.pieces(wanted, MOST):
        yield [list(_plain(item(call, each)).values()) for each in found]


OPERATIONS: Final = (
    *operations("/transaction/{version}/deliveries/list", list_deliveries, READ, NEED, much=True),
    *operations("/transaction/{version}/deliveries/download", download_deliveries, DOWNLOAD, NEED, much=True),
    *operations("/transaction/{version}/bounces/list", list_bounces, READ, NEED, much=True),
    *operations("/transaction/{version}/bounces/download", download_bounces, DOWNLOAD, NEED, much=True),
)
