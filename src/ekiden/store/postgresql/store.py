"""The store in PostgreSQL, for those who outgrow one machine: every worker of every machine on one database."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from io import BytesIO
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.store.api import StoreUnavailable
from ekiden.store.base import BaseStore
from ekiden.store.errors import translating
from ekiden.store.postgresql.connect import (
    ANSWER_TIMEOUT,
    COMMAND_TIMEOUT,
    POOLED,
    broken,
    cold_engine,
    judge,
    reading,
    writing,
)
from ekiden.store.postgresql.group_commit import WRITERS, Writer
from ekiden.store.postgresql.servers import Servers
from ekiden.store.postgresql.statements import NOW_SQL, apply
from ekiden.store.units import Beat

CONNECTIONS = WRITERS + POOLED
"""Of one worker at the most."""


class PostgresStore(BaseStore):
    """``store.api.Store`` on PostgreSQL. Belongs to the event loop it was opened on."""

    def __init__(self, servers: Servers) -> None:
        super().__init__()
        self._writer = Writer(
            servers, lambda connection, units, mend, progress: apply(connection, units, self.ids, mend, progress)
        )
        self._cold = cold_engine(servers)
        self._contents = asyncio.Semaphore(POOLED - 1)
        """However many contents are read, a connection is left for others."""
        self._turn = asyncio.Semaphore(POOLED - 1)
        """Likewise for transactions that write."""

    @property
    def engine(self) -> str:
        return "postgresql"

    async def close(self) -> None:
        await self._writer.close()
        await self._cold.dispose()

    async def _now(self, connection: AsyncConnection, given: Millis | None) -> Millis:
        return int(await connection.scalar(_NOW) or 0) if given is None else given

    async def heartbeat(self, worker: int, now: Millis | None, ttl: Millis) -> Millis | None:
        """On the hot path: what is rare may have to wait for a long list."""
        alive: Millis | None = await self._writer.submit(Beat(worker, now, ttl))
        return alive

    async def content(self, account_id: int, message_id: int) -> bytes | None:
        async with AsyncExitStack() as stack:
            with translating(judge):
                async with asyncio.timeout(COMMAND_TIMEOUT):
                    await stack.enter_async_context(self._contents)
            try:
                # On the road of whatever waits in the queue: one way there and back, if the connection lives.
                async with reading(self._cold, trusted=True) as connection:
                    return await self._content(connection, account_id, message_id)
            except StoreUnavailable as error:
                if error.__cause__ is None or not broken(error.__cause__):
                    raise
                async with self.read() as connection:
                    return await self._content(connection, account_id, message_id)

    async def _content(self, checked_out: AsyncConnection, account_id: int, message_id: int) -> bytes | None:
        connection: Any = (await checked_out.get_raw_connection()).driver_connection
        row = await connection.fetchrow(_CONTENT, account_id, message_id, timeout=ANSWER_TIMEOUT)
        if row is None:
            return None
        data: bytes | None
        data, shared, size = row
        if data is not None and shared is None:
            return data
        whole = BytesIO()
        async with connection.transaction(readonly=True):
            if data is None:
                for start in range(1, size + 1, _MOST):
                    data = await connection.fetchval(_PART, account_id, message_id, start, _MOST)
                    if data is None:  # it was removed meanwhile
                        return None
                    whole.write(data)
            else:
                whole.write(data)
            if shared is not None:
                async for (piece,) in connection.cursor(_PIECES, account_id, shared, prefetch=1):
                    whole.write(piece)
        return whole.getvalue()

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return reading(self._cold)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return writing(self._cold, self._turn)


_NOW = text(f"SELECT {NOW_SQL}")
_MOST = 1_048_576
"""Octets that are read in one go: others on the event loop wait for as long as it takes to copy them. The column is
stored as it is (EXTERNAL), so a part of it costs no more than its octets."""
_CONTENT = (
    f"SELECT CASE WHEN octet_length(data) <= {_MOST} THEN data END, shared_id, octet_length(data) "  # noqa: S608
    "FROM content WHERE account_id = $1 AND message_id = $2"
)
_PART = "SELECT substr(data, $3, $4) FROM content WHERE account_id = $1 AND message_id = $2"
_PIECES = "SELECT data FROM shared_content WHERE account_id = $1 AND id = $2 ORDER BY number"
