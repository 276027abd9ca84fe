"""The store in PostgreSQL, for those who outgrow one machine: every worker of every machine on one database."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from io import BytesIO
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.store.base import BaseStore
from ekiden.store.postgresql_connect import (
    COMMAND_TIMEOUT,
    CONNECT_TIMEOUT,
    broken,
    cold_engine,
    reading,
    translating,
    writing,
)
from ekiden.store.postgresql_statements import apply
from ekiden.store.postgresql_writer import Writer

READERS = 2


class PostgresStore(BaseStore):
    """``store.api.Store`` on PostgreSQL. Belongs to the event loop it was opened on."""

    def __init__(self, dsn: str, readers: Any) -> None:
        super().__init__()
        self._readers = readers
        self._writer = Writer(
            dsn, lambda connection, units, mend, progress: apply(connection, units, self.ids, mend, progress)
        )
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

    async def close(self) -> None:
        await self._writer.close()
        with contextlib.suppress(TimeoutError):  # it ends them by force then
            async with asyncio.timeout(CONNECT_TIMEOUT):
                await self._readers.close()
        await self._cold.dispose()

    async def content(self, account_id: int, message_id: int) -> bytes | None:
        with translating():
            try:
                return await self._content(account_id, message_id)
            except Exception as error:
                if not broken(error):
                    raise
                await self._readers.expire_connections()
                return await self._content(account_id, message_id)

    async def _content(self, account_id: int, message_id: int) -> bytes | None:
        row = await self._readers.fetchrow(_CONTENT, account_id, message_id)
        if row is None:
            return None
        data: bytes | None
        data, shared, size = row
        if data is not None and shared is None:
            return data
        whole = BytesIO()
        async with self._readers.acquire() as connection, connection.transaction(readonly=True):
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
        return writing(self._cold)


_MOST = 1_048_576
"""Octets that are read in one go: others on the event loop wait for as long as it takes to copy them. The column is
stored as it is (EXTERNAL), so a part of it costs no more than its octets."""
_CONTENT = (
    f"SELECT CASE WHEN octet_length(data) <= {_MOST} THEN data END, shared_id, octet_length(data) "  # noqa: S608
    "FROM content WHERE account_id = $1 AND message_id = $2"
)
_PART = "SELECT substr(data, $3, $4) FROM content WHERE account_id = $1 AND message_id = $2"
_PIECES = "SELECT data FROM shared_content WHERE account_id = $1 AND id = $2 ORDER BY number"
