"""Nobody waits without a bound for a writer that stands still.

A writer of the hot path can be kept for as long as it takes somebody else to wake up: a process that was stopped
while it had SQLite's turn, a disk or a server that answers nothing. Whoever waits for it is told after ``PATIENCE``
seconds without a sign of life, and whoever comes after that is told at once, so that nothing piles up in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from ekiden.store.api import StoreUnavailable

log = structlog.get_logger()

PATIENCE = 10.0
"""Seconds. A commit takes milliseconds, on a bad disk under load a second or two; a lease lasts longer."""
_LOOK = 1.0
_REMIND = 60.0


class Overdue:
    """For one writer; everything is called in its event loop.

    ``give_up`` fails all futures that wait and returns how many jobs nobody will answer any more (those that the
    writer has in its hands it answers itself, some day). ``why`` says what it waits for.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        give_up: Callable[[StoreUnavailable], int],
        why: Callable[[], str],
    ) -> None:
        self._loop = loop
        self._give_up = give_up
        self._why = why
        self._waiting = 0
        self._alive_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._told_at = 0.0
        self.trouble: str | None = None
        """Why nothing can be written just now; ``None``: it can, as far as is known."""

    def asked(self) -> None:
        """One more waits. Raises ``StoreUnavailable`` when it would wait in vain."""
        if self.trouble is not None:
            raise StoreUnavailable(self.trouble)
        self._waiting += 1
        if self._timer is None:
            self._alive_at = self._loop.time()
            self._timer = self._loop.call_later(_LOOK, self._look)

    def answered(self, count: int, *, written: bool = True) -> None:
        """So many have their answer. ``written``: the writer lives; else it could not, which is no sign of life:
        another one of it may wait for the same, with somebody's message in its hands.
        """
        self._waiting -= count
        if written or self._waiting <= 0:
            self._alive_at = self._loop.time()
        if self.trouble is None:
            return
        if written:
            log.warning("the store is written to again")
            self.trouble = None
        elif self._waiting <= 0:
            self.trouble = None  # the next one tries

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if not self._waiting:
            return
        now = self._loop.time()
        still = now - self._alive_at
        if still >= PATIENCE:
            reason = self._why()
            if self.trouble is None or now - self._told_at >= _REMIND:
                self._told_at = now
                log.error("nothing could be written", seconds=round(still), why=reason)
            self.trouble = reason
            self._waiting -= self._give_up(StoreUnavailable(reason))
            if self._waiting <= 0:
                self.trouble = None  # the next one tries
                return
        self._timer = self._loop.call_later(_LOOK, self._look)
