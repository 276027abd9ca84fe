"""The store in PostgreSQL, for those who outgrow one machine: every worker of every machine on one database."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.store.base import RareOperations
from ekiden.store.postgresql_connect import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    cold_engine,
    reading,
    translating,
    writing,
)
from ekiden.store.postgresql_statements import apply
from ekiden.store.postgresql_writer import Writer
from ekiden.store.records import Counters, Delivery, NewMessage, Outcome, Release
from ekiden.store.rows import Accept, Claim, Finish, Free

READERS = 2


class PostgresStore(RareOperations):
    """``store.api.Store`` on PostgreSQL. Belongs to the event loop it was opened on."""

    def __init__(self, dsn: str, readers: Any) -> None:
        super().__init__()
        self._readers = readers
        self._writer = Writer(dsn, lambda connection, units, mend: apply(connection, units, self.ids, mend))
        self._cold = cold_engine(dsn)

    @classmethod
    async def open(cls, dsn: str) -> PostgresStore:
        with translating():
            readers = await asyncpg.create_pool(
                dsn, min_size=0, max_size=READERS, timeout=CONNECT_TIMEOUT, command_timeout=COMMAND_TIMEOUT
            )
        return cls(dsn, readers)

    @property
    def engine(self) -> str:
        return "postgresql"

    @property
    def counters(self) -> Counters:
        return self._writer.counters

    async def close(self) -> None:
        await self._writer.close()
        await self._readers.close()
        await self._cold.dispose()

    async def accept(self, worker: int, message: NewMessage) -> None:
        await self._writer.submit(Accept(worker, message))

    async def claim(self, worker: int, now: Millis, limit: int) -> list[Delivery]:
        claimed: list[Delivery] = await self._writer.submit(Claim(worker, now, limit))
        return claimed

    async def finish(
        self, worker: int, outcomes: Sequence[Outcome], messages: Sequence[NewMessage] = ()
    ) -> list[bool]:
        if not outcomes and not messages:
            return []
        applied: list[bool] = await self._writer.submit(Finish(worker, outcomes, messages))
        return applied

    async def release(self, worker: int, releases: Sequence[Release]) -> None:
        if releases:
            await self._writer.submit(Free(worker, releases))

    async def content(self, account_id: int, message_id: int) -> bytes | None:
        with translating():
            data: bytes | None = await self._readers.fetchval(_CONTENT, account_id, message_id)
        return data

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return reading(self._cold)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return writing(self._cold)


_CONTENT = "SELECT data FROM content WHERE account_id = $1 AND message_id = $2"
