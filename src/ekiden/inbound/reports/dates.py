"""When something happened, as reports write it."""

from __future__ import annotations

from email.utils import mktime_tz, parsedate_tz

from ekiden.core.clock import Millis


def moment(value: str) -> Millis:
    """RFC 5322 §3.3, and what resembles it; 0: it is no time that we have."""
    try:
        parsed = parsedate_tz(value[:100])
        found = 0 if parsed is None else mktime_tz(parsed)
    except (ValueError, OverflowError, TypeError, IndexError):
        return 0
    return int(found) * 1_000 if 0 < found < 1 << 40 else 0
