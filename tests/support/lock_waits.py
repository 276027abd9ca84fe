"""Transactions that stand before each other's locks, so that a race has one outcome and not now this, now that."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

_WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock' "
    "AND pid <> pg_backend_pid()"
)


async def until_waiting(store_url: str, count: int, *tasks: asyncio.Task[object]) -> None:
    """Until ``count`` transactions stand before a lock, or one of ``tasks`` has ended without waiting for any.

    SQLite has one writer at a time, who is waited for before a transaction begins: nothing shows there.
    """
    if not store_url.startswith("postgresql"):
        return
    connection = await asyncpg.connect(store_url)
    try:
        async with asyncio.timeout(60):
            while await connection.fetchval(_WAITING) < count and not any(task.done() for task in tasks):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        await connection.close()


async def _nothing() -> None:
    """On SQLite."""


@asynccontextmanager
async def commits_held_back(store_url: str, table: str) -> AsyncIterator[Callable[[], Awaitable[Any]]]:
    """Whoever has written into ``table`` stands before its commit, having done all else, until what is yielded has
    been called. On SQLite nothing is held back."""
    if not store_url.startswith("postgresql"):
        yield _nothing
        return
    administrator = await asyncpg.connect(store_url)
    try:
        await administrator.execute(
            "CREATE FUNCTION hold_back() RETURNS trigger LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NULL; END'"
        )
        await administrator.execute(
            f"CREATE CONSTRAINT TRIGGER hold_back AFTER INSERT ON {table} DEFERRABLE INITIALLY DEFERRED "
            "FOR EACH ROW EXECUTE FUNCTION hold_back()"
        )
        await administrator.execute("SELECT pg_advisory_lock(4711)")
        yield lambda: administrator.execute("SELECT pg_advisory_unlock(4711)")
    finally:
        await administrator.execute("SELECT pg_advisory_unlock_all()")
        await administrator.execute("DROP FUNCTION IF EXISTS hold_back CASCADE")
        await administrator.close()
