"""Databases as older versions have left them: the tables of a revision, with rows in every one of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import (
    Boolean,
    Connection,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    create_engine,
    select,
)

from ekiden.core.states import State
from ekiden.store.migrate import alembic_config
from ekiden.store.postgresql.connect import cold_engine
from ekiden.store.url import parse_url

T = TypeVar("T")
Rows = dict[str, list[dict[str, Any]]]
"""By table, each row by column."""

ROWS = 3
OLD_WORKER = 1
"""``worker.id`` of the one that lives: it is sending the first of the deliveries."""
REVISIONS = sorted(script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions())


async def within(url: str, work: Callable[[Connection], T]) -> T:
    """``work`` in one transaction on the database."""
    parsed = parse_url(url)
    if parsed.engine == "sqlite":
        engine = create_engine(f"sqlite:///{parsed.path}")
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()
    cold = cold_engine(parsed.servers())
    try:
        async with cold.begin() as connection:
            return await connection.run_sync(work)
    finally:
        await cold.dispose()


async def make_old(url: str, revision: str, now: int) -> Rows:
    """The tables of ``revision``, each with rows; the worker of the first ones lives for an hour from ``now``."""

    def work(connection: Connection) -> Rows:
        command.upgrade(alembic_config(connection), revision)
        metadata = MetaData()
        metadata.reflect(connection)
        for table in metadata.tables.values():
            if table.name != "alembic_version":
                connection.execute(table.insert(), [_row(table, number, now) for number in range(1, ROWS + 1)])
        return _read(connection, metadata)

    return await within(url, work)


async def read_rows(url: str) -> Rows:
    """Everything there is."""

    def work(connection: Connection) -> Rows:
        metadata = MetaData()
        metadata.reflect(connection)
        return _read(connection, metadata)

    return await within(url, work)


def _read(connection: Connection, metadata: MetaData) -> Rows:
    found: Rows = {}
    for table in metadata.sorted_tables:
        rows = connection.execute(select(table).order_by(*table.primary_key.columns)).mappings()
        found[table.name] = [dict(row) for row in rows]
    return found


def _row(table: Table, number: int, now: int) -> dict[str, Any]:
    """What is special is so because a newer Ekiden reads it; everything else differs from row to row."""
    special = {
        "delivery": {
            "account_id": 1,
            "state": int(State.SENDING if number == 1 else State.QUEUED),
            "owner": OLD_WORKER if number == 1 else None,
            "number": 1,
            "priority": 1,
            "cause": 0,
            "due_at": now - 1000,
            "recipient": f"u{number}@x.example",
            "domain": "x.example",
            "orcpt": None,
            "attempts": 2 if number == 1 else 0,
        },
        "message": {
            "account_id": 1,
            "priority": 1,
            "sender": "a@b.example",
            "ret": None,
            "origin": "{}",
            "labels": "{}",
            "expires_at": now + 3_600_000,
            "routes": "",
            "bulk": "",
            "reference": "",
        },
        "content": {"account_id": 1, "shared_id": None, "data": b"Subject: %d\r\n\r\nbody\r\n" % number},
        "worker": {
            "host": "old.example",
            "pid": 4711,
            "expires_at": now + 3_600_000 if number == 1 else now - 1,
            "ended_at": None if number == 1 else now - 1,
        },
    }.get(table.name, {})
    row: dict[str, Any] = {}
    for column in table.columns:
        if column.name in special:
            row[column.name] = special[column.name]
        elif column.nullable and number == ROWS:
            row[column.name] = None
        elif isinstance(column.type, Boolean):
            row[column.name] = number % 2 == 0
        elif isinstance(column.type, Integer):
            row[column.name] = number
        elif isinstance(column.type, LargeBinary):
            row[column.name] = f"{table.name} {column.name} {number}".encode()
        else:
            row[column.name] = f"{table.name} {column.name} {number}"
    return row
