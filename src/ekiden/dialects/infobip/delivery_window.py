"""``deliveryTimeWindow``: the days and hours, in UTC, in which a message may set out (contract §2.3).

It is about the first try: a delivery that is deferred is tried again when its time has come.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.shapes import DeliveryTimeWindow, TimeOfDay
from ekiden.dialects.infobip.value_rules import Checks

DAYS: Final = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
SHORTEST: Final[Millis] = HOUR


class Window(NamedTuple):
    """``days`` count from Monday. ``begins`` and ``ends`` are of a day; one that ends first ends the day after."""

    days: frozenset[int]
    begins: Millis
    ends: Millis

    def next_opening(self, at: Millis) -> Millis:
        """``at`` if that is within, else when it opens after that."""
        midnight = at - at % DAY
        for day in range(midnight - DAY, midnight + 9 * DAY, DAY):
            opens = day + self.begins
            closes = day + self.ends + (DAY if self.ends <= self.begins else 0)
            if at < closes and datetime.fromtimestamp(day // SECOND, UTC).weekday() in self.days:
                return max(at, opens)
        raise AssertionError("a window has at least one day of the week")


def read_window(checks: Checks, place: str, given: DeliveryTimeWindow) -> Window | None:
    """``None``: something is wrong with it, and noted."""
    found: list[int | None] = [
        checks.take(f"{place}.days[{number}]", _day, day, None) for number, day in enumerate(given.days)
    ]
    days = frozenset(day for day in found if day is not None)
    if not given.days:
        checks.add(f"{place}.days", "must not be blank")
    begins = _time(checks, f"{place}.from", given.from_, 0)
    ends = _time(checks, f"{place}.to", given.to, DAY)
    if not days or begins is None or ends is None:
        return None
    if (ends - begins) % DAY < SHORTEST and ends - begins != DAY:
        checks.add(f"{place}.to", "must be at least an hour after {other}", other=f"{place}.from")
        return None
    return Window(days, begins, ends)


def _day(value: Any) -> int:
    return DAYS.index(fields.choice(value, DAYS))


def _time(checks: Checks, place: str, given: TimeOfDay | None, default: Millis) -> Millis | None:
    if given is None:
        return default
    for name, value in (("hour", given.hour), ("minute", given.minute)):
        if value is None:
            checks.add(f"{place}.{name}", "must not be null")
    hour = checks.take(f"{place}.hour", lambda value: fields.whole(value, 0, 23), given.hour, -1)
    minute = checks.take(f"{place}.minute", lambda value: fields.whole(value, 0, 59), given.minute, -1)
    return None if hour < 0 or minute < 0 else hour * HOUR + minute * MINUTE
