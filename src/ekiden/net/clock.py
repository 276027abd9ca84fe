"""The real clock."""

from __future__ import annotations

import time

from ekiden.core.clock import Millis


class SystemClock:
    """``core.clock.Clock`` on the system's time."""

    def now(self) -> Millis:
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        return time.monotonic()
