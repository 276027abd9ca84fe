"""What clients call requests and mails: 20 digits, the day of the request and a number of the account.

Requests and mails share the numbers. The day is that of UTC+9, whoever asks.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Final, NamedTuple

from ekiden.core.clock import SECOND, Millis

ZONE: Final = timezone(timedelta(hours=9))
_DAY_DIGITS: Final = 8
_NUMBER_DIGITS: Final = 12


class PublicId(NamedTuple):
    """``day`` as in 20261130."""

    day: int
    number: int

    @property
    def text(self) -> str:
        return f"{self.day:0{_DAY_DIGITS}}{self.number:0{_NUMBER_DIGITS}}"


def day_of(at: Millis) -> int:
    """The day of a moment, such as 20261130."""
    local = datetime.fromtimestamp(at / SECOND, UTC).astimezone(ZONE)
    return local.year * 10_000 + local.month * 100 + local.day


def parse_public_id(text: str) -> PublicId | None:
    """``None``: no request and no mail is called so."""
    if len(text) != _DAY_DIGITS + _NUMBER_DIGITS or not text.isascii() or not text.isdecimal():
        return None
    return PublicId(int(text[:_DAY_DIGITS]), int(text[_DAY_DIGITS:]))
