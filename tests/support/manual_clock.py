"""A clock that moves only when told to: schedules are replayed by it, and rules of timing tried."""

from __future__ import annotations

from ekiden.core.clock import SECOND, Millis


class ManualClock:
    """An ``ekiden.core.clock.Clock``."""

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
