"""The store in one SQLite file: the embedded default; ``store.sqlite.group_commit`` says what is durable when."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from io import SEEK_END, BytesIO
from typing import Any

from sqlalchemy import event
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from ekiden.core.clock import Millis
from ekiden.store.api import StoreError
from ekiden.store.base import BaseStore
from ekiden.store.errors import translating
from ekiden.store.overdue import PATIENCE
from ekiden.store.sqlite.connect import BUSY_TIMEOUT, Closing, configure, connect, readable_text
from ekiden.store.sqlite.group_commit import Writer, judge, judge_read, translated
from ekiden.store.sqlite.statements import apply
from ekiden.store.sqlite.turn import Turns

# UPDATE … FROM came with 3.33, RETURNING with 3.35.
OLDEST_SQLITE = (3, 35, 0)
# Seconds; see store.sqlite.group_commit. Half a millisecond costs a busy loop next to nothing.
SWITCH_INTERVAL = 0.0005
READERS = 2


class SqliteStore(BaseStore):
    """``store.api.Store`` on SQLite. Belongs to the event loop it was opened on."""

    def __init__(self, path: str) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            needed = ".".join(map(str, OLDEST_SQLITE))
            raise StoreError(f"SQLite {sqlite3.sqlite_version} is too old: {needed} or later is needed")
        sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
        super().__init__()
        self._path = path
        self._writer = Writer(
            path,
            lambda connection, units, mend: apply(connection, units, self.ids, mend),
            asyncio.get_running_loop(),
        )
        self._readers = ThreadPoolExecutor(READERS, "sqlite-reader")
        self._local = threading.local()
        self._read_connections: list[sqlite3.Connection] = []
        self._turns = Turns(path)
        self._read_engine = cold_engine(path, write=False)
        self._write_engine = cold_engine(path, write=True)

    @property
    def engine(self) -> str:
        return "sqlite"

    async def close(self) -> None:
        await self._writer.close()
        await asyncio.to_thread(self._readers.shutdown)
        for connection in self._read_connections:
            connection.close()
        self._read_connections.clear()
        await self._read_engine.dispose()
        await self._write_engine.dispose()
        self._turns.close()

    async def _now(self, connection: AsyncConnection, given: Millis | None) -> Millis:
        return time.time_ns() // 1_000_000 if given is None else given

    async def content(self, account_id: int, message_id: int) -> bytes | None:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._readers, self._read_content, account_id, message_id)

    def _read_content(self, account_id: int, message_id: int) -> bytes | None:
        try:
            connection = getattr(self._local, "connection", None)
            if connection is None:
                connection = self._local.connection = connect(self._path, write=False)
                self._read_connections.append(connection)
            row = connection.execute(_CONTENT, (account_id, message_id)).fetchone()
            if row is not None and row[1] is not None:
                whole = BytesIO(row[0])
                whole.seek(0, SEEK_END)
                for (piece,) in connection.execute(_PIECES, (account_id, row[1])):
                    whole.write(piece)
                return whole.getvalue()
        except (sqlite3.Error, OSError) as error:
            self._local.connection = None
            raise translated(error) from error
        data: bytes | None = row[0] if row else None
        return data

    def read(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return reading(self._read_engine)

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        return writing(self._write_engine, self._turns)


_CONTENT = "SELECT data, shared_id FROM content WHERE account_id = ? AND message_id = ?"
_PIECES = "SELECT data FROM shared_content WHERE account_id = ? AND id = ? ORDER BY number"


class _Hinting(SQLiteCompiler):
    """SQLAlchemy writes hints behind tables for other engines, and leaves SQLite's ("INDEXED BY") out."""

    def get_from_hint_text(self, table: Any, text: Any) -> Any:
        return text


def cold_engine(path: str, *, write: bool) -> AsyncEngine:
    """SQLAlchemy over aiosqlite, for what is rare. Transactions begin as we say, not as the driver guesses."""
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        pool_size=2,
        max_overflow=2,
        connect_args={"timeout": BUSY_TIMEOUT, "factory": Closing},
        hide_parameters=True,  # hashes and sealed keys are among them; errors end in logs
    )

    engine.sync_engine.dialect.statement_compiler = _Hinting

    @event.listens_for(engine.sync_engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        connection.driver_connection.text_factory = readable_text
        configure(connection, write=write)

    @event.listens_for(engine.sync_engine, "begin")
    def _begin(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@asynccontextmanager
async def reading(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    with translating(judge_read):
        async with engine.connect() as connection:
            yield connection


@asynccontextmanager
async def writing(engine: AsyncEngine, turns: Turns) -> AsyncIterator[AsyncConnection]:
    await turns.take(PATIENCE)
    try:
        with translating(judge):
            async with engine.begin() as connection:
                yield connection
    finally:
        turns.give()
