"""Time as a value: pure rooms are given a clock, they never read one."""

from __future__ import annotations

from typing import Protocol

Millis = int
"""Milliseconds since the Unix epoch, UTC: the one unit of wall-clock time in Ekiden."""

SECOND: Millis = 1_000
MINUTE: Millis = 60 * SECOND
HOUR: Millis = 60 * MINUTE
DAY: Millis = 24 * HOUR


class Clock(Protocol):
    """Where a room gets the time from. The real one is ``ekiden.net.clock.SystemClock``."""

    def now(self) -> Millis:
        """The wall clock."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards, for time-outs and latencies."""
        ...


class ManualClock:
    """A clock that moves only when told to: for replaying schedules and for tests of timing rules."""

    def __init__(self, start: Millis = 1_767_225_600_000) -> None:
        self._now = start

    def now(self) -> Millis:
        return self._now

    def monotonic(self) -> float:
        return self._now / SECOND

    def advance(self, by: Millis) -> None:
        """Move forward by ``by`` milliseconds."""
        if by < 0:
            raise ValueError("a clock does not run backwards")
        self._now += by
