"""Times on the wire (contract §0.8): one spelling going out, all that real clients use coming in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import lru_cache
from typing import Final

from ekiden.core.clock import SECOND, Millis

_TIME: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?"
    # A plus sign that a client left bare in a query arrives as a blank.
    r"(?:(?P<utc>[Zz])|(?P<sign>[+\- ])(?P<hours>\d\d):?(?P<minutes>\d\d)?)?\Z",
    re.ASCII,
)


def timestamp(at: Millis) -> str:
    """``2025-12-01T12:00:00.000+0000``: an offset without a colon."""
    return f"{_second(at // SECOND)}.{at % SECOND:03d}+0000"


def timestamp_z(at: Millis) -> str:
    """``2025-12-01T12:00:00.000Z``, as suppressions and validations have it."""
    return f"{_second(at // SECOND)}.{at % SECOND:03d}Z"


@lru_cache(maxsize=4096)
def _second(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> Millis:
    """Any of ``…T10:00:00.123+00:00``, ``…+0000``, ``…123456Z``, with or without fraction, seconds and offset.

    Without an offset it is UTC. ``ValueError`` when it is no time.
    """
    match = _TIME.match(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is not a time such as 2025-12-01T12:00:00.000Z")
    offset = timedelta(0)
    if match["hours"] is not None:
        offset = timedelta(hours=int(match["hours"]), minutes=int(match["minutes"] or 0))
        if match["sign"] == "-":
            offset = -offset
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    # Seconds of a leap second and offsets of a day or more are a ValueError of the library's.
    whole = datetime(year, month, day, hour, minute, second, tzinfo=timezone(offset))
    return int(whole.timestamp()) * SECOND + int((match[7] or "").ljust(3, "0")[:3])
