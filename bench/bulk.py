"""Deferred messages by the million, written with the raw drivers straight into an empty store."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import asyncpg
from sqlalchemy import Column, LargeBinary, Table, Text

from ekiden.core.clock import DAY, HOUR, MINUTE, Millis
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory
from ekiden.core.states import Cause, Priority, State
from ekiden.store.tables import content, delivery, event, message
from ekiden.store.url import parse_url

TABLES: tuple[Table, ...] = (message, content, delivery, event)
AGE = HOUR
"""Since when the messages wait."""
_CHUNK = 20_000
_DOMAINS = 100
NODE = 1023
_CONTENT = (
    b"From: <a@src.test>\r\nTo: <b@dst.test>\r\nDate: Thu, 1 Jan 2026 00:00:00 +0000\r\n"
    b"Message-ID: <bench@src.test>\r\nSubject: bench\r\n\r\n" + (b"X" * 70 + b"\r\n") * 5
)


def _absent(column: Column[Any]) -> Any:
    """A value for a column that we know nothing of."""
    if column.nullable:
        return None
    if isinstance(column.type, Text):
        return ""
    return b"" if isinstance(column.type, LargeBinary) else 0


def _priority(number: int) -> Priority:
    """One in ten is HIGH, one in ten LOW."""
    return {0: Priority.HIGH, 9: Priority.LOW}.get(number % 10, Priority.STANDARD)


def values(number: int, due: int, account: int, identifier: int, now: Millis) -> list[dict[str, Any]]:
    """A row for each of ``TABLES``: message ``number`` (from 0), deferred once. The first ``due`` are due now,
    oldest first; the others within a day from an hour on."""
    accepted = now - AGE
    domain = f"d{number % _DOMAINS}.test"
    due_at = now - MINUTE + number * MINUTE // max(due, 1) if number < due else now + HOUR + number * 7919 % DAY
    return [
        {
            "account_id": account,
            "id": identifier,
            "sender": "a@src.test",
            "size": len(_CONTENT),
            "priority": int(_priority(number)),
            "smtputf8": False,
            "eight_bit": False,
            "accepted_at": accepted,
            "expires_at": now + 5 * DAY,
            "header_id": "<bench@src.test>",
            "subject": "bench",
            "origin": "{}",
            "labels": "{}",
        },
        {"account_id": account, "message_id": identifier, "data": _CONTENT},
        {
            "account_id": account,
            "message_id": identifier,
            "number": 1,
            "recipient": f"u{number}@{domain}",
            "domain": domain,
            "state": int(State.DEFERRED),
            "cause": int(Cause.NETWORK),
            "reason": "the host did not answer",
            "code": 451,
            "enhanced": "4.4.1",
            "priority": int(_priority(number)),
            "due_at": due_at,
            "attempts": 1,
            "updated_at": accepted,
        },
        {
            "account_id": account,
            "message_id": identifier,
            "id": identifier,
            "type": int(EventType.ACCEPTED),
            "at": accepted,
            "data": "{}",
        },
    ]


def rows(count: int, due: int, account: int, now: Millis) -> Iterator[list[tuple[Any, ...] | None]]:
    """A tuple for each of ``TABLES``, in the order of its columns, ``count`` times."""
    ids = IdFactory(NODE)
    return tuples(TABLES, (values(number, due, account, ids.next(now - AGE), now) for number in range(count)))


def tuples(
    tables: Sequence[Table], values: Iterable[Sequence[dict[str, Any] | None]]
) -> Iterator[list[tuple[Any, ...] | None]]:
    """A tuple for each of ``tables``, in the order of its columns, for each of ``values``; or none."""
    columns = [[(column.name, _absent(column)) for column in table.columns] for table in tables]
    for found in values:
        yield [
            None if one is None else tuple(one.get(name, absent) for name, absent in names)
            for one, names in zip(found, columns, strict=True)
        ]


async def fill(url: str, count: int, due: int, account: int, now: Millis) -> None:
    """Write ``count`` deferred messages of which ``due`` are due."""
    await write(url, TABLES, rows(count, due, account, now))


async def write(url: str, tables: Sequence[Table], source: Iterator[list[tuple[Any, ...] | None]]) -> None:
    """Write a tuple of each into ``tables``, where there is one. The store has them, and no other writer."""
    parsed = parse_url(url)
    if parsed.engine == "sqlite":
        _fill_sqlite(parsed.path, tables, source)
    else:
        await _fill_postgresql(parsed.dsns[0], tables, source)


async def make_all_due(url: str, now: Millis) -> None:
    """Every waiting delivery becomes due: what a worker meets after a long outage."""
    parsed = parse_url(url)
    statement = f"UPDATE delivery SET due_at = {now - MINUTE} WHERE state = {int(State.DEFERRED)}"
    if parsed.engine == "sqlite":
        with _fast(parsed.path) as connection:
            connection.execute(statement)
        _shut(connection)
    else:
        connection = await asyncpg.connect(parsed.dsns[0])
        try:
            await connection.execute(statement)
            await connection.execute("VACUUM ANALYZE delivery")
        finally:
            await connection.close()


def _fast(path: str) -> sqlite3.Connection:
    # Losing this database with the machine would cost nobody anything.
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -200000")
    return connection


def _shut(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    # What is still on its way to the disk would slow down what is measured next.
    os.sync()


def _of_table(chunk: Sequence[Sequence[tuple[Any, ...] | None]], index: int) -> Iterator[tuple[Any, ...]]:
    return (found for row in chunk if (found := row[index]) is not None)


def _fill_sqlite(path: str, tables: Sequence[Table], source: Iterator[list[tuple[Any, ...] | None]]) -> None:
    connection = _fast(path)
    statements = [
        f"INSERT INTO {table.name} ({', '.join(column.name for column in table.columns)}) "
        f"VALUES ({', '.join('?' for _ in table.columns)})"
        for table in tables
    ]
    while chunk := list(islice(source, _CHUNK)):
        with connection:
            for index, statement in enumerate(statements):
                connection.executemany(statement, _of_table(chunk, index))
    _shut(connection)


async def _fill_postgresql(
    dsn: str, tables: Sequence[Table], source: Iterator[list[tuple[Any, ...] | None]]
) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        while chunk := list(islice(source, _CHUNK)):
            for index, table in enumerate(tables):
                await connection.copy_records_to_table(
                    table.name,
                    records=list(_of_table(chunk, index)),
                    columns=[column.name for column in table.columns],
                )
        # As autovacuum would have done long before a queue is that long.
        await connection.execute("VACUUM ANALYZE")
    finally:
        await connection.close()
