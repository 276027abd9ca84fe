"""When a request is tried again: the waits that receivers of callbacks know from elsewhere, within bounds."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import NamedTuple

from ekiden.core.clock import DAY, MINUTE, SECOND, Millis

_LONGEST_HINT: Millis = DAY


class Pace(NamedTuple):
    """The tries of one endpoint: ``every`` so often, or 0 for waits that grow up to ``longest``. ``lasts``: what
    could not be told for so long is given up."""

    every: Millis
    longest: Millis
    lasts: Millis

    def wait_after(self, failures: int) -> Millis:
        """After so many failures in a row (1 or more)."""
        return self.every or wait_after(failures, self.longest)

    def waited(self, failures: int) -> Millis:
        """The sum of the waits after so many failures."""
        return self.every * failures if self.every else waited(failures, self.longest)


def wait_after(failures: int, longest: Millis) -> Millis:
    """How long to wait after so many failures in a row (1 or more): 1 min + 1 min · n², where n counts from 0."""
    return min(MINUTE * (1 + (failures - 1) ** 2), longest)


def waited(failures: int, longest: Millis) -> Millis:
    """The sum of the waits after so many failures."""
    return sum(wait_after(each, longest) for each in range(1, failures + 1))


def retry_after(value: str, now: Millis) -> Millis | None:
    """The wait that a Retry-After field asks for (RFC 9110 §10.2.3), a day at most; ``None``: it says nothing."""
    text = value.strip()
    if text.isascii() and text.isdecimal():
        return min(int(text[:9]) * SECOND, _LONGEST_HINT)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):  # the latter for a year beyond all calendars
        return None
    return max(0, min(round(moment.timestamp() * SECOND) - now, _LONGEST_HINT))
