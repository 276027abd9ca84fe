"""Times on the wire (contract §4.3, §4.4): epoch milliseconds, and texts in UTC+9."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

from ekiden.core.clock import DAY, SECOND, Millis

ZONE: Final = timezone(timedelta(hours=9))
LAST: Final[Millis] = 253_402_214_400_000
"""The last moment that can be told: near the end of the year 9999."""
_TIME: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?: (\d\d):(\d\d)(?::(\d\d)[. ](\d{3}))?)?\Z", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def nes_date(at: Millis | None) -> dict[str, Any] | None:
    """NesDateTime: ``{"utc", "formattedDate", "formattedDateTime"}``; ``None`` for what is not set."""
    if at is None:
        return None
    local = (_EPOCH + timedelta(milliseconds=at)).astimezone(ZONE)
    day = f"{local:%Y-%m-%d}"
    return {"utc": at, "formattedDate": day, "formattedDateTime": f"{day} {local:%H:%M:%S} {at % SECOND:03d}"}


def parse_time(text: str, *, end: bool = False) -> Millis:
    """``2018-11-20``, ``2018-11-20 15:19``, ``2018-11-20 15:19:53.240`` or ``2018-11-20 15:19:53 240`` in UTC+9.

    ``end``: as the end of a range, which a day belongs to as a whole. ``ValueError`` when it is no time.
    """
    match = _TIME.match(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second, millis = (int(part or 0) for part in match.groups())
    whole = datetime(year, month, day, hour, minute, second, tzinfo=ZONE)
    at = (whole - _EPOCH) // timedelta(milliseconds=1) + millis
    return at + DAY - 1 if end and match[4] is None else at


def parse_utc(text: str) -> Millis:
    """Epoch milliseconds. ``ValueError`` when it is none, or beyond ``LAST``."""
    if not (text.isascii() and text.isdecimal() and len(text) <= 15) or int(text) > LAST:
        raise ValueError(text)
    return int(text)
