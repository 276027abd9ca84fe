"""The duties that one worker of all does for everybody, at their times."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ekiden.core.clock import SECOND, Clock
from ekiden.process.clock_watch import Steady
from ekiden.process.logging import get_logger
from ekiden.store.api import Store, StoreUnavailable

_HOLD = 30.0  # seconds for which a duty is taken at least; the leases of a dead worker go sooner, with its own


class Duties:
    """Work that one node at a time does, whichever holds the lease of that name, and one worker of that node."""

    def __init__(self, store: Store, clock: Clock, worker: int, lease: float, settled: Callable[[], bool]) -> None:
        """``settled``: see ``Heartbeat``. ``lease``: seconds that workers are given."""
        self._store = store
        self._clock = clock
        self._lease = lease
        self._steady = Steady(clock.monotonic())
        self.worker = worker
        self._settled = settled
        self._log = get_logger()

    async def every(
        self, seconds: float, name: str, work: Callable[[], Awaitable[Any]], *, shared: bool = False
    ) -> None:
        """Do ``work`` again and again; whatever is wrong with it is logged, and it is tried at its next time.

        ``shared``: several nodes may do it at once, and need no lease.
        """
        hold = int(max(seconds * 2, _HOLD) * SECOND)
        while True:
            try:
                if shared or await self._store.take_lease(name, self.worker, None, hold):
                    await work()
            except (StoreUnavailable, TimeoutError) as error:
                self._log.warning("housekeeping waits for the store", duty=name, why=str(error))
            except Exception as error:
                # Of one duty: the worker has mail to deliver.
                self._log.error("a duty failed", duty=name, why=f"{type(error).__name__}: {error}", exc_info=error)
            await asyncio.sleep(seconds)

    async def reap(self) -> None:
        """Make work of workers that are gone due again.

        After an outage nobody is taken for dead before all had the time of a lease to renew theirs; neither after
        the clock that leases go by was set on, or another server took over whose clock is ahead.
        """
        freed = 1
        while freed:
            now = await self._store.now()
            self._steady.saw(now, self._clock.monotonic())
            steady = self._clock.monotonic() - self._steady.since >= self._lease
            freed = await self._store.reap(now, expired=steady and self._settled())
            if freed:
                self._log.warning("took over deliveries of workers that ended", deliveries=freed)
