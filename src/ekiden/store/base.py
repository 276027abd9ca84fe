"""What both engines share: units of the hot path go to the engine's writer, what is rare to cold connections."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.said import Said
from ekiden.store import workers
from ekiden.store.api import Conflict, StoreError
from ekiden.store.records import (
    Counters,
    Delivery,
    DeliveryKey,
    DueAccounts,
    ExpandedPiece,
    NewMessage,
    Noted,
    Outcome,
    QueueStats,
    ReceivedMail,
    Registration,
    Release,
    Understood,
)
from ekiden.store.units import Accept, AcceptAll, Claim, EventIds, Finish, Free, Note, Receive, Understand, Unit

_BATCH = 1000


class UnitWriter(Protocol):
    """The hot path of an engine: group commit."""

    @property
    def counters(self) -> Counters: ...

    def submit(self, unit: Unit) -> asyncio.Future[Any]:
        """Write ``unit`` with whatever else is pending; the future is done once it is on stable storage."""
        ...

    async def close(self) -> None:
        """Write what is pending, then end."""
        ...


def _nobody() -> None:
    """Nobody wants to know."""


class BaseStore(ABC):
    """See ``store.api.Store``. An engine adds its connections, its ``_writer``, and how contents are read."""

    _writer: UnitWriter

    def __init__(self) -> None:
        self.ids = EventIds()
        self._noticed: Callable[[], None] = _nobody

    @abstractmethod
    def read(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @abstractmethod
    def write(self) -> AbstractAsyncContextManager[AsyncConnection]: ...

    @property
    def counters(self) -> Counters:
        return self._writer.counters

    # --- the road -------------------------------------------------------------------------------------------

    def on_notices(self, call: Callable[[], None]) -> None:
        self._noticed = call

    async def accept(self, worker: int, message: NewMessage) -> None:
        await self._writer.submit(Accept(worker, message))
        if message.message.routes:
            self._noticed()

    async def accept_all(
        self, worker: int, messages: Sequence[NewMessage], piece: ExpandedPiece | None = None
    ) -> None:
        if not messages and piece is None:
            return
        await self._writer.submit(AcceptAll(worker, messages, piece))
        if any(new.message.routes for new in messages):
            self._noticed()

    async def note(self, worker: int, events: Sequence[Noted]) -> None:
        if not events:
            return
        await self._writer.submit(Note(worker, events))
        if any(noted.routes for noted in events):
            self._noticed()

    async def receive(self, worker: int, mail: ReceivedMail) -> None:
        await self._writer.submit(Receive(worker, mail))

    async def understand(self, worker: int, understood: Understood) -> None:
        await self._writer.submit(Understand(worker, understood))
        noted = any(each.routes for each in understood.events)
        if noted or any(new.message.routes for new in understood.messages):
            self._noticed()

    async def claim(
        self, worker: int, now: Millis, limit: int, accounts: Sequence[int] = (), most: int = 0
    ) -> list[Delivery]:
        claimed: list[Delivery] = await self._writer.submit(Claim(worker, now, limit, accounts, most))
        return claimed

    async def finish(
        self, worker: int, outcomes: Sequence[Outcome], messages: Sequence[NewMessage] = ()
    ) -> list[bool]:
        if not outcomes and not messages:
            return []
        applied: list[bool] = await self._writer.submit(Finish(worker, outcomes, messages))
        if any(outcome.delivery.message.routes for outcome in outcomes):
            self._noticed()
        return applied

    async def settle(self, worker: int, outcomes: Sequence[Outcome], why: Said) -> None:
        async with self.write() as connection:
            await workers.settle(connection, worker, outcomes, why)

    async def release(self, worker: int, releases: Sequence[Release]) -> None:
        if releases:
            await self._writer.submit(Free(worker, releases))

    # --- workers, leases and counts -------------------------------------------------------------------------

    async def now(self) -> Millis:
        async with self.read() as connection:
            return await self._now(connection, None)

    @abstractmethod
    async def _now(self, connection: AsyncConnection, given: Millis | None) -> Millis:
        """``given``, or the time by the clock that leases go by."""

    async def register_worker(
        self, host: str, pid: int, now: Millis | None, ttl: Millis, roles: Sequence[str] = ()
    ) -> Registration:
        for _ in range(100):
            try:
                async with self.write() as connection:
                    at = await self._now(connection, now)
                    registration = await workers.register(connection, host, pid, at, ttl, roles)
            except Conflict:
                continue  # another worker took that node at the same moment
            self.ids.register(*registration)
            return registration
        raise StoreError("no node could be had in 100 attempts; are very many workers starting at once?")

    async def heartbeat(self, worker: int, now: Millis | None, ttl: Millis) -> Millis | None:
        async with self.write() as connection:
            at = await self._now(connection, now)
            return at if await workers.heartbeat(connection, worker, at, ttl) else None

    async def end_worker(self, worker: int, now: Millis | None) -> int:
        async with self.write() as connection:
            now = await self._now(connection, now)
            await workers.end(connection, worker, now)
        freed = 0
        while True:
            async with self.write() as connection:
                count = await workers.free(connection, worker, now, _BATCH, self.ids.rare, wait=False)
            freed += count
            if count < _BATCH:
                return freed

    async def reap(self, now: Millis | None, limit: int = 1000, *, expired: bool = True) -> int:
        async with self.read() as connection:
            due = await workers.has_lost(connection, await self._now(connection, now), expired=expired)
        if not due:
            return 0
        async with self.write() as connection:
            now = await self._now(connection, now)
            if expired:
                await workers.end_expired(connection, now)
            freed = 0
            for owner in await workers.lost_owners(connection):
                if freed >= limit:
                    break
                freed += await workers.free(connection, owner, now, limit - freed, self.ids.rare, wait=True)
            return freed

    async def owned(self, worker: int, before: Millis) -> list[DeliveryKey]:
        async with self.read() as connection:
            return await workers.owned(connection, worker, before)

    async def free(self, worker: int, keys: Sequence[DeliveryKey], now: Millis) -> int:
        freed = 0
        for start in range(0, len(keys), _BATCH):
            async with self.write() as connection:
                freed += await workers.free(
                    connection,
                    worker,
                    now,
                    _BATCH,
                    self.ids.rare,
                    wait=True,
                    keys=keys[start : start + _BATCH],
                )
        return freed

    async def take_lease(self, name: str, worker: int, now: Millis | None, ttl: Millis) -> bool:
        async with self.read() as connection:
            at = await self._now(connection, now)
            held = await workers.lease_held(connection, name, worker, at, ttl)
        if held is not None:
            return held
        async with self.write() as connection:
            return await workers.take_lease(connection, name, worker, await self._now(connection, now), ttl)

    async def due_accounts(self, now: Millis, after: int, limit: int) -> DueAccounts:
        async with self.read() as connection:
            return await workers.due_accounts(connection, now, after, limit)

    async def next_due(self, now: Millis) -> Millis | None:
        async with self.read() as connection:
            return await workers.next_due(connection)

    async def stats(self) -> QueueStats:
        async with self.read() as connection:
            return await workers.stats(connection)
