"""Time zones by their IANA names, and local times as they are written for other programs."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from ekiden.core.clock import SECOND, Millis

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NoSuchZone(ValueError):
    """There is no time zone of that name."""


@cache
def zone_names() -> frozenset[str]:
    """All that are known here: the system's, else those of the package tzdata."""
    return frozenset(available_timezones())


def find_zone(name: str) -> ZoneInfo:
    """``Asia/Tokyo``, with upper and lower case as it is written. Raises ``NoSuchZone``."""
    if name not in zone_names():
        raise NoSuchZone(name)
    return ZoneInfo(name)


def local_text(at: Millis, zone: ZoneInfo) -> str:
    """``2023-01-25 14:03:06``, without its offset."""
    return f"{datetime.fromtimestamp(at // SECOND, zone):%Y-%m-%d %H:%M:%S}"


def local_day(at: Millis, zone: ZoneInfo) -> date:
    """The day there."""
    return datetime.fromtimestamp(at // SECOND, zone).date()


def moment_of(day: date, zone: ZoneInfo, hour: int = 0, minute: int = 0) -> Millis:
    """When it is that time there. Of an hour that there is twice the first one; one that is left out begins with
    the next. Raises ``OverflowError`` for years that nothing can be computed with."""
    local = datetime.combine(day, time(hour, minute), tzinfo=zone)
    return (local.astimezone(UTC) - _EPOCH) // timedelta(milliseconds=1)
