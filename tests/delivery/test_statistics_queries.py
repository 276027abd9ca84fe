"""Figures are read from one range of the primary keys, whatever else the tables hold."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import DAY, HOUR
from ekiden.delivery.statistics_queries import MessageFilter, Senders, count_recipients, lost_recipients, sent_by
from ekiden.store.open import open_store


async def test_sqlite_searches_ranges_of_keys_only(sqlite_url: str) -> None:
    wanted = MessageFilter(1, DAY * 20_000, DAY * 20_001, Senders([1, 2], ["example.com"]), recipient="a@x.example")
    statements: list[tuple[str, tuple[object, ...]]] = []

    def note(_: object, __: object, sql: str, parameters: tuple[object, ...], *___: object) -> None:
        if sql.startswith("SELECT"):
            statements.append((sql, parameters))

    async def ask(connection: AsyncConnection) -> None:
        await count_recipients(connection, wanted, HOUR)
        await lost_recipients(connection, wanted, 0, 10)
        await sent_by(connection, 1, 2, wanted.senders)

    store = await open_store(sqlite_url)
    try:
        async with store.read() as connection:
            event.listen(connection.sync_engine, "before_cursor_execute", note)
            await ask(connection)
            event.remove(connection.sync_engine, "before_cursor_execute", note)
    finally:
        await store.close()
    assert len(statements) == 4
    with sqlite3.connect(Path(sqlite_url.removeprefix("sqlite:///"))) as plain:
        for sql, parameters in statements:
            steps = [row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
            assert not [step for step in steps if step.startswith("SCAN") and "anon" not in step], steps
            searched = [step for step in steps if step.startswith("SEARCH")]
            assert len(searched) >= 2
            assert all("PRIMARY KEY (account_id=? AND" in step for step in searched), steps
    plain.close()
