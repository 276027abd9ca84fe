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
