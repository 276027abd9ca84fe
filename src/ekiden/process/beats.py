"""Signs of life in shared memory: the event loop of each worker counts, the supervisor looks.

Nothing has to be sent or answered: a process that is stopped (SIGSTOP, a debugger), that waits for a disk which
does not come back, or whose event loop is kept by one call is seen as well as one that ended.
"""

from __future__ import annotations

import mmap

EVERY = 0.25
"""Seconds between two beats of a healthy worker."""


class Beats:
    """Made before the fork. Each worker writes its own slot."""

    def __init__(self, slots: int) -> None:
        self._memory = mmap.mmap(-1, slots * 8)
        self._view: memoryview[int] = memoryview(self._memory).cast("Q")

    def beat(self, slot: int) -> None:
        self._view[slot] += 1

    def clear(self, slot: int) -> None:
        """For the next worker: 0 says that its event loop has not begun."""
        self._view[slot] = 0

    def read(self, slot: int) -> int:
        return self._view[slot]


class Pulse:
    """How much of the supervisor's own time passes between two looks at the workers.

    Time in which the supervisor itself did not run is not held against them: a suspended machine, or a process
    group that was stopped and goes on, must not cost every worker its life.
    """

    def __init__(self, every: float, now: float) -> None:
        self.every = every
        self._last = now

    @property
    def next(self) -> float:
        """When it is time to look again."""
        return self._last + self.every

    def passed(self, now: float) -> float:
        """Seconds since the last look, twice ``every`` at most; 0: not time yet."""
        if now < self.next:
            return 0.0
        passed = min(now - self._last, 2 * self.every)
        self._last = now
        return passed
