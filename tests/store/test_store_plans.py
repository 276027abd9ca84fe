"""Statements of the hot path look rows up by index; their cost must not grow with what waits or is finished."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from store_rows import NOW, TTL, Maker

from ekiden.core.states import State
from ekiden.store import postgresql_statements, sqlite_statements, tables
from ekiden.store.open import open_store
from ekiden.store.postgresql_writer import connect
from ekiden.store.rows import claim_shares
from ekiden.store.url import parse_url

_OUR_TABLES = set(tables.metadata.tables)


@pytest.fixture
def sqlite_file(sqlite_template: Path) -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(f"file:{sqlite_template}?mode=ro", uri=True)
    yield connection
    connection.close()


@pytest.mark.parametrize(
    "sql",
    [
        sqlite_statements._finish_sql(4),
        sqlite_statements._free_sql(1),
        sqlite_statements._own_sql(16),
        sqlite_statements._remove_content_sql(1),
        sqlite_statements._remove_content_sql(64),
        sqlite_statements._OWNED_SQL,
        sqlite_statements.CLAIM_SQL,
    ],
    ids=lambda sql: sql[:30],
)
def test_sqlite_never_reads_a_whole_table(sqlite_file: sqlite3.Connection, sql: str) -> None:
    parameters = [1] * (5 if "?5" in sql else sql.count("?"))
    steps = [row[3] for row in sqlite_file.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    for step in steps:
        words = step.split()
        assert not (words[0] == "SCAN" and words[1] in {*_OUR_TABLES, "d", "c", "m"}), steps
    searched = [step for step in steps if step.startswith("SEARCH")]
    assert searched
    assert all("USING" in step for step in searched)


def test_sqlite_claims_from_the_index_of_what_is_due(sqlite_file: sqlite3.Connection) -> None:
    steps = [row[3] for row in sqlite_file.execute(f"EXPLAIN QUERY PLAN {sqlite_statements.CLAIM_SQL}", [1] * 5)]
    due = [step for step in steps if "ix_delivery_due" in step]
    assert due == ["SEARCH delivery USING COVERING INDEX ix_delivery_due (priority=? AND due_at<?)"] * 3


async def test_postgresql_claims_from_the_index_of_what_is_due(postgresql_url: str) -> None:
    store = await open_store(postgresql_url)
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    later = [maker.message(50, due_at=NOW + 10_000, state=State.SCHEDULED) for _ in range(40)]
    await asyncio.gather(*(store.accept(worker.id, new) for new in later))
    await store.accept(worker.id, maker.message(5))
    await store.close()
    connection = await connect(parse_url(postgresql_url).dsn)
    try:
        for mode, claimed in (("force_custom_plan", 5), ("force_generic_plan", 0)):
            await connection.execute(f"SET plan_cache_mode = {mode}")
            (explained,) = await connection.fetch(
                f"EXPLAIN (ANALYZE, FORMAT JSON) {postgresql_statements.CLAIM_SQL}", NOW, 100, *claim_shares(100), 1
            )
            nodes = list(flattened(json.loads(explained[0])[0]["Plan"]))
            due = [node for node in nodes if node.get("Index Name") == "ix_delivery_due"]
            assert len(due) == 3
            assert sum(node["Actual Rows"] for node in due) == claimed
            assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
        for name in ("_FINISH", "_FREE", "_LOCK_CONTENT", "_REMOVE_CONTENT"):
            sql = getattr(postgresql_statements, name)
            arguments: list[list[Any]] = [[] for _ in range(sql.count("::") - sql.count("::int)"))]
            (explained,) = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *arguments)
            nodes = list(flattened(json.loads(explained[0])[0]["Plan"]))
            used = {node["Index Name"] for node in nodes if "Index Name" in node}
            assert used <= {"pk_delivery", "pk_content"}
            assert used
            assert not [node for node in nodes if node["Node Type"] in ("Seq Scan", "Hash Join", "Merge Join")]
    finally:
        await connection.close()


def flattened(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from flattened(below)
