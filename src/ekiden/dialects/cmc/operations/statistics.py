"""``statistics``: a month, day by day (contract §4.7). Its numbers are numbers.

Where the contract is silent: a recipient counts on the day on which its mail was accepted, whatever became of it
later. Days without mail are told with zeros, up to today; a month that has not begun has none. ``failed`` is what
was refused, given up or cancelled, ``blocked`` what was not sent since its recipient is suppressed, ``valid`` the
rest of what was ``queued``.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Any, Final

from ekiden.access.credential_scopes import READ
from ekiden.core.zones import local_day, moment_of
from ekiden.delivery.statistics import DayCount
from ekiden.dialects.cmc.call import Call, operations
from ekiden.dialects.cmc.http import answer_list
from ekiden.dialects.cmc.params import Params
from ekiden.web.need import Need

if TYPE_CHECKING:
    from litestar import Response

NEED: Final = Need(65_536, 200)


async def list_statistics(call: Call, params: Params) -> Response[bytes]:
    """Of the whole account."""
    params.composition(needed=False)
    if params.value("year") is None or params.value("month") is None:
        for name in ("year", "month"):
            params.line(name, needed=True)
    year, month = params.number("year", 1970, 9998, 1970), params.number("month", 1, 12, 1)
    total = params.flag("total")
    params.done()
    days = _days(year, month, local_day(call.now, call.zone))
    bounds = [moment_of(day, call.zone) for day in (*days, days[-1] + timedelta(days=1))] if days else []
    counts = await call.services.statistics.between(call.account_id, bounds)
    if total:
        entries = [_entry("total", sum(counts, DayCount()))]
    else:
        entries = [_entry(str(day), of) for day, of in zip(days, counts, strict=True)]
    return answer_list(call.is_xml, "statistics", "statistic", entries)


def _days(year: int, month: int, today: date) -> list[date]:
    day = date(year, month, 1)
    found = []
    while day.month == month and day <= today:
        found.append(day)
        day += timedelta(days=1)
    return found


def _entry(name: str, of: DayCount) -> dict[str, Any]:
    return {
        "date": name,
        "queued": of.accepted,
        "succeeded": of.delivered,
        "failed": of.failed,
        "blocked": of.blocked,
        "valid": of.accepted - of.blocked,
    }


OPERATIONS: Final = operations("/transaction/{version}/statistics/list", list_statistics, READ, NEED, much=True)
