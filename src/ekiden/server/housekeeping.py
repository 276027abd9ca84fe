"""Being alive, and the duties that one worker of all does for everybody."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from ekiden.core.clock import SECOND, Clock
from ekiden.server.logging import get_logger
from ekiden.store.api import Store, StoreError

STORE_TROUBLE = (StoreError, SQLAlchemyError, OSError)


class Heartbeat:
    """Renews this worker's lease every third of its time; calls ``lost`` as soon as the worker owns nothing more.

    While the store cannot be reached the lease runs on, so before it would end by our own clock we give up by
    ourselves: another worker may take our deliveries from then on.
    """

    def __init__(self, store: Store, clock: Clock, worker: int, lease: float, lost: Callable[[str], None]) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._lease = lease
        self._lost = lost
        self._log = get_logger()
        self._last = clock.monotonic()
        self.healthy = True

    async def run(self) -> None:
        ttl = int(self._lease * SECOND)
        while True:
            await asyncio.sleep(self._lease / 3)
            began = self._clock.monotonic()
            try:
                async with asyncio.timeout(max(0.1, self._last + self._lease - began)):
                    alive = await self._store.heartbeat(self._worker, self._clock.now(), ttl)
            except (*STORE_TROUBLE, TimeoutError) as error:
                self.healthy = False
                self._log.warning("the store does not answer", why=str(error) or type(error).__name__)
                # The next beat would come too late.
                if self._clock.monotonic() - self._last >= self._lease * 0.9:
                    self._lost("the store did not answer in time")
                    return
                continue
            if not alive:
                self._lost("the lease had expired")
                return
            self._last = began
            self.healthy = True


class Duties:
    """Work that is done by one worker at a time, whoever holds the lease of that name."""

    def __init__(self, store: Store, clock: Clock, worker: int) -> None:
        self._store = store
        self._clock = clock
        self._worker = worker
        self._log = get_logger()

    async def every(self, seconds: float, name: str, work: Callable[[], Awaitable[Any]]) -> None:
        """Do ``work`` again and again; trouble with the store is logged and waited out."""
        hold = int(max(seconds * 2, 10) * SECOND)
        while True:
            try:
                if await self._store.take_lease(name, self._worker, self._clock.now(), hold):
                    await work()
            except STORE_TROUBLE as error:
                self._log.warning("housekeeping waits for the store", duty=name, why=str(error))
            await asyncio.sleep(seconds)

    async def reap(self) -> None:
        """Make work of workers that are gone due again."""
        freed = await self._store.reap(self._clock.now())
        while freed:
            self._log.warning("took over deliveries of workers that ended", deliveries=freed)
            freed = await self._store.reap(self._clock.now())
