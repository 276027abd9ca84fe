"""Times as they are given on the command line."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from ekiden.cli.common import CliUsageError
from ekiden.core.clock import DAY, SECOND, Millis
from ekiden.core.duration import parse_duration

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_LONGEST: Final[Millis] = 10_000 * 365 * DAY
"""As long as ISO 8601 reaches; a database holds no time that is much farther away."""


def duration(value: str, option: str) -> Millis:
    """A length of time such as ``90s`` or ``2d``. ``CliUsageError`` names the option."""
    try:
        return _length(value)
    except ValueError:
        raise CliUsageError(
            "{option}: {value!r} is not a duration such as 90s, 5m, 1h or 2d", option=option, value=value
        ) from None


def _length(value: str) -> Millis:
    seconds = parse_duration(value)
    if seconds > _LONGEST / SECOND:
        raise ValueError(f"{value!r} is too long")
    return round(seconds * SECOND)


def past(value: str, now: Millis, option: str) -> Millis:
    """``now``, so long ago (``2h``), or an ISO 8601 date or time."""
    return _moment(value, now, option, -1)


def future(value: str, now: Millis, option: str) -> Millis:
    """``now``, so long from now (``10m``), or an ISO 8601 date or time."""
    return _moment(value, now, option, 1)


def _moment(value: str, now: Millis, option: str, direction: int) -> Millis:
    if value == "now":
        return now
    try:
        if not _DATE.match(value):
            return now + direction * _length(value)
        # A time without an offset is meant as it stands on the operator's own clock.
        return round(datetime.fromisoformat(value).astimezone(UTC).timestamp() * SECOND)
    except (ValueError, OverflowError):
        raise CliUsageError(
            "{option}: {value!r} is not a time such as 2026-01-31T09:00:00+09:00 or a duration such as 2h",
            option=option,
            value=value,
        ) from None
