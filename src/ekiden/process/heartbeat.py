"""Being alive: a worker renews its registration, and knows how long it may trust it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from ekiden.core.clock import SECOND, Clock
from ekiden.process.clock_watch import ClockWatch
from ekiden.process.logging import get_logger
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.errors import told
from ekiden.store.records import Registration
from ekiden.store.standing import Standing

T = TypeVar("T")

_BEAT = 0.4  # of a lease: one that fails leaves time for others before it ends
_TRUSTED = 0.9  # of a lease: from there on others may be about to take over
_AGAIN = 1.0  # seconds between two beats while the store does not answer
_REMIND = 60.0  # seconds between two lines in the log about it


class Heartbeat:
    """Renews this worker's registration, at two fifths of its lease. By the database's clock, where others look
    whether it has ended; how far it may be trusted here goes by our own, which only has to run as fast as that one.

    While the store cannot be reached the lease runs on. Before it ends by our own clock, ``standing`` does, and
    nothing new is begun; the worker stays. When the store is back, its first beat makes the registration good
    again, unless somebody took the worker for dead: then ``replaced`` is called until it has brought another.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        me: Registration,
        lease: float,
        replaced: Callable[[], Awaitable[Standing]],
        watch: ClockWatch | None = None,
    ) -> None:
        """``me`` was registered just now. ``replaced`` may raise what the store raises."""
        self._store = store
        self._clock = clock
        self._lease = lease
        self._replaced = replaced
        self._watch = watch
        self._log = get_logger()
        now = clock.monotonic()
        self.standing = self.granted(me, now)
        self._steady_since = now
        self._away_since: float | None = None
        self._told = 0.0
        self._paused = False

    def granted(self, me: Registration, began: float) -> Standing:
        """The standing of a registration that was asked for at ``began``, by the monotonic clock."""
        return Standing(me, self._clock, began + self._lease * _TRUSTED)

    @property
    def healthy(self) -> bool:
        """The store answered the last beat."""
        return self._away_since is None

    @property
    def away(self) -> float:
        """Seconds since the store answered last; 0: it does answer."""
        return 0.0 if self._away_since is None else self._clock.monotonic() - self._away_since

    def settled(self) -> bool:
        """The store has answered for a whole lease: whoever is alive has had the time to say so."""
        return self._away_since is None and self._clock.monotonic() - self._steady_since >= self._lease

    async def run(self) -> None:
        while True:
            pause = self._lease * _BEAT
            await asyncio.sleep(pause if self.healthy else min(pause, _AGAIN))
            await self.beat()

    async def beat(self) -> None:
        began = self._clock.monotonic()
        try:
            before = self._clock.now()
            renewed = await self._answer(
                self._store.heartbeat(self.standing.registration.id, None, int(self._lease * SECOND))
            )
            if renewed is not None:
                self.standing.renew(began + self._lease * _TRUSTED)
                if self._watch is not None:
                    self._watch.saw(before, renewed, self._clock.now())
            else:
                self.standing.end()
                self._log.error("this worker was taken for dead: it gives up what it had and is registered anew")
                self.standing = await self._replaced()
        except Exception as error:
            # Whatever it is: this worker is not renewed, and has to be before its lease ends.
            self._trouble(began, error)
            return
        if self._away_since is not None:
            self._log.warning("the store answers again", after=round(self.away, 1))
            self._away_since = None
            self._steady_since = self._clock.monotonic()
            self._paused = False

    def _trouble(self, began: float, error: Exception) -> None:
        now = self._clock.monotonic()
        if self._away_since is None:
            self._away_since = began
            self._told = -_REMIND
        if now - self._told >= _REMIND:
            self._told = now
            outage = isinstance(error, (StoreUnavailable, TimeoutError))
            what = "the store does not answer" if outage else "this worker cannot renew its lease"
            told(self._log, what, error, since=round(self.away, 1))
        if not self._paused and not self.standing.holds:
            self._paused = True
            self._log.warning("the lease runs out: nothing new is begun until the store answers")

    async def _answer(self, asked: Awaitable[T]) -> T:
        """Bounded whatever becomes of what was asked: even to be cancelled may take it long."""
        task = asyncio.ensure_future(asked)
        try:
            done, _ = await asyncio.wait((task,), timeout=max(1.0, self._lease / 3))
            if not done:
                raise TimeoutError("no answer in time")
        finally:
            if not task.done():
                task.cancel()
                task.add_done_callback(_forget)
        return task.result()


def _forget(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()
