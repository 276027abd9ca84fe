"""What a group of units comes to on SQLite, statement by statement: what is rare must be rare."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest

from ekiden.core.states import State
from ekiden.store.sqlite.connect import connect
from ekiden.store.sqlite.statements import apply
from ekiden.store.units import Accept, EventIds, Finish, Unit
from support.store_rows import Maker, outcome

WORKER, OTHER = 1, 2


@pytest.fixture
def connection(sqlite_url: str) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(connect(sqlite_url.removeprefix("sqlite:///"), write=True)) as opened:
        yield opened


def written(connection: sqlite3.Connection, *units: Unit) -> tuple[list[object], list[str]]:
    """The results of ``units`` in one transaction, and the first word of each statement in it."""
    statements: list[str] = []
    connection.execute("BEGIN IMMEDIATE")
    connection.set_trace_callback(statements.append)
    results = apply(connection, units, EventIds(), False)
    connection.set_trace_callback(None)
    connection.execute("COMMIT")
    return results, [statement.split()[0] for statement in statements]


@pytest.mark.parametrize("count", [1, 3, 85, 200])
def test_outcomes_of_deliveries_that_are_ours_are_written_once(connection: sqlite3.Connection, count: int) -> None:
    new = Maker().message(count, state=State.SENDING)
    written(connection, Accept(WORKER, new))
    results, statements = written(connection, Finish(WORKER, [outcome(d) for d in new.deliveries], []))
    assert results == [[True] * count]
    assert "ROLLBACK" not in statements
    assert "SELECT" not in statements


@pytest.mark.parametrize("fenced", [0, 70, 99])
def test_one_that_is_fenced_among_many_is_found(connection: sqlite3.Connection, fenced: int) -> None:
    new = Maker().message(100, state=State.SENDING)
    written(connection, Accept(WORKER, new))
    stranger = new.deliveries.pop(fenced) if isinstance(new.deliveries, list) else None
    assert stranger is not None
    ours = [outcome(d) for d in new.deliveries]
    results, statements = written(connection, Finish(WORKER, ours, []), Finish(OTHER, [outcome(stranger)], []))
    assert results == [[True] * 99, [False]]
    assert statements.count("ROLLBACK") == 1
    (state,) = connection.execute("SELECT state FROM delivery WHERE number = ?", (stranger.number,)).fetchone()
    assert state == State.SENDING
    assert connection.execute("SELECT count(*) FROM attempt").fetchone() == (99,)
