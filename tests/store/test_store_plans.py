"""Statements of the hot path look rows up by index; their cost must not grow with what waits or is finished."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Select, insert, text

from ekiden.access.refusals import recipient_statement
from ekiden.core.states import State
from ekiden.core.submission import Marks
from ekiden.delivery.bulk_queries import chosen_statement, facts_statement, lock_statement, movable_statement
from ekiden.delivery.log_queries import EntryFilter, Position, entries_statement, walks
from ekiden.delivery.queue_changes import Action
from ekiden.delivery.queue_queries import QueueFilter, mailbox_accounts, newest_statements
from ekiden.store import tables
from ekiden.store.api import Store
from ekiden.store.claims import claim_shares
from ekiden.store.open import open_store
from ekiden.store.postgresql import statements as postgresql_statements
from ekiden.store.postgresql.group_commit import connect
from ekiden.store.retention import first_id
from ekiden.store.sqlite import statements as sqlite_statements
from ekiden.store.url import parse_url
from ekiden.store.workers import DUE_ACCOUNTS_SQL
from support.store_rows import NOW, TTL, Maker

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


def test_sqlite_claims_in_turn_from_the_index_of_accounts(sqlite_file: sqlite3.Connection) -> None:
    steps = [row[3] for row in sqlite_file.execute(f"EXPLAIN QUERY PLAN {sqlite_statements.TURN_SQL}", [1] * 4)]
    assert steps == [
        "SEARCH delivery USING COVERING INDEX ix_delivery_turn (account_id=? AND priority=? AND due_at<?)"
    ]


def test_sqlite_finds_due_accounts_by_the_first_of_each_priority(sqlite_file: sqlite3.Connection) -> None:
    steps = [row[3] for row in sqlite_file.execute(f"EXPLAIN QUERY PLAN {DUE_ACCOUNTS_SQL}", [NOW, 1, 10])]
    assert {step for step in steps if step.startswith("SEARCH")} == {
        "SEARCH d USING COVERING INDEX ix_delivery_turn (account_id>?)",
        "SEARCH d USING COVERING INDEX ix_delivery_turn (account_id=? AND priority=?)",
    }
    assert {step for step in steps if step.startswith("SCAN")} == {"SCAN CONSTANT ROW", "SCAN turn"}


async def test_postgresql_claims_from_the_index_of_what_is_due(postgresql_url: str) -> None:
    store = await open_store(postgresql_url)
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    later = [maker.message(50, due_at=NOW + 10_000, state=State.SCHEDULED) for _ in range(40)]
    await asyncio.gather(*(store.accept(worker.id, new) for new in later))
    await store.accept(worker.id, maker.message(5))
    await store.close()
    connection = await connect(parse_url(postgresql_url).servers())
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
            (explained,) = await connection.fetch(
                f"EXPLAIN (FORMAT JSON) {postgresql_statements.TURN_SQL}",
                *(NOW, 100, [1, 2], 50, *claim_shares(50), 1),
            )
            nodes = list(flattened(json.loads(explained[0])[0]["Plan"]))
            assert "ix_delivery_turn" in {node.get("Index Name") for node in nodes}, nodes
            assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
        for name in ("_FINISH", "_FREE", "_LOCK_CONTENT", "_REMOVE_CONTENT"):
            sql = getattr(postgresql_statements, name)
            empty: list[list[Any]] = [[] for _ in range(sql.count("::") - sql.count("::int)"))]
            (explained,) = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql}", *empty)
            nodes = list(flattened(json.loads(explained[0])[0]["Plan"]))
            used = {node["Index Name"] for node in nodes if "Index Name" in node}
            assert used <= {"pk_delivery", "pk_content"}
            assert used
            assert not [node for node in nodes if node["Node Type"] in ("Seq Scan", "Hash Join", "Merge Join")]
    finally:
        await connection.close()


async def test_postgresql_finds_due_accounts_from_the_index_of_accounts(postgresql_url: str) -> None:
    """Also when it knows that nearly everything is one account's and due."""
    store = await open_store(postgresql_url)
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    await store.accept_all(worker.id, [maker.message(100) for _ in range(30)])
    await store.accept(worker.id, maker.message(account=2, due_at=NOW + 9))
    await store.close()
    connection = await asyncpg.connect(parse_url(postgresql_url).dsns[0])  # without the settings of the hot path
    try:
        await connection.execute("ANALYZE delivery")
        sql = DUE_ACCOUNTS_SQL
        for number, name in enumerate(("now", "after", "limit"), 1):
            sql = sql.replace(f":{name}", f"${number}::bigint")
        (explained,) = await connection.fetch(f"EXPLAIN (FORMAT JSON) {sql}", NOW, 0, 100)
        nodes = list(flattened(json.loads(explained[0])[0]["Plan"]))
        assert {node.get("Index Name") for node in nodes} == {None, "ix_delivery_turn"}
        assert not [node for node in nodes if node["Node Type"] == "Seq Scan"]
    finally:
        await connection.close()


def flattened(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for below in node.get("Plans", ()):
        yield from flattened(below)


# logs and bulks

_QUESTIONS: dict[str, tuple[EntryFilter, str]] = {
    "everything": (EntryFilter(1, NOW), "pk_delivery"),
    "next page": (EntryFilter(1, NOW, after=Position(1 << 62, 2)), "pk_delivery"),
    "state": (EntryFilter(1, NOW, states=frozenset({State.DELIVERED})), "pk_delivery"),
    "sender": (EntryFilter(1, NOW, senders=("a@x.example",)), "pk_message"),
    "entity": (EntryFilter(1, NOW, entity="e"), "pk_message"),
    "application": (EntryFilter(1, NOW, application="a", entity="e"), "ix_message_application"),
    "campaigns": (EntryFilter(1, NOW, campaigns=("a", "b"), application="a", entity="e"), "ix_message_campaign"),
    "bulk": (EntryFilter(1, NOW, bulks=("a",), states=frozenset({State.HELD})), "ix_message_bulk"),
    "bulks": (EntryFilter(1, NOW, bulks=("a", "b"), senders=("a@x.example",)), "ix_message_bulk"),
    "reference": (EntryFilter(1, NOW, references=("a",)), "ix_message_reference"),
    "references": (EntryFilter(1, NOW, references=("a", "b", "c")), "ix_message_reference"),
    "queue id": (EntryFilter(1, NOW, positions=(Position(5, 1),)), "pk_message"),
    "queue ids": (EntryFilter(1, NOW, positions=(Position(5, 1), Position(7, 2))), "pk_message"),
    "recipient": (EntryFilter(1, NOW, recipients=("a@x.example",), bulks=("a",)), "ix_delivery_recipient"),
    "recipients": (EntryFilter(1, NOW, recipients=("a@x.example", "b@x.example")), "ix_delivery_recipient"),
}


def log_statements(wanted: EntryFilter) -> list[Select[Any]]:
    (walk,) = walks(wanted)
    return [walk.end(5, 1 << 62, 50), entries_statement(wanted, walk.keys(5, 1 << 62, 50), 50)]


_BULK_STATEMENTS = [
    facts_statement(1, "a"),
    chosen_statement(1, "a", Action.CANCEL),
    chosen_statement(1, "a", Action.RELEASE),
    movable_statement(1, "a"),
]


async def explained(store: Store, statement: Select[Any]) -> Any:
    async with store.read() as connection:
        compiled = statement.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        sql = str(compiled).replace(":", "\\:")
        if store.engine == "sqlite":
            return [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"))]
        # A small table is read whole; what matters is that it need not be.
        for way in ("seqscan", "hashjoin", "mergejoin", "bitmapscan"):
            await connection.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = (await connection.execute(text(f"EXPLAIN (FORMAT JSON) {sql}"))).scalar_one()
        return list(flattened(plan[0]["Plan"]))


@pytest.mark.parametrize("name", _QUESTIONS)
async def test_the_log_is_read_from_an_index_that_has_it_in_order(sqlite_url: str, name: str) -> None:
    """On SQLite the statement alone decides: it keeps no statistics."""
    wanted, index = _QUESTIONS[name]
    store = await open_store(sqlite_url)
    try:
        for statement in log_statements(wanted):
            steps = await explained(store, statement)
            searched = [step for step in steps if step.startswith("SEARCH")]
            if index.startswith("pk_"):
                assert f"SEARCH {index[3:]} USING PRIMARY KEY (account_id=? AND " in searched[0], steps
            else:
                assert f"USING COVERING INDEX {index} (account_id=? AND " in searched[0], steps
                assert "id>?" in searched[0]
            assert not [step for step in steps if step.split()[0] == "SCAN" and step.split()[1] in _OUR_TABLES], (
                steps
            )
            assert all("account_id=? AND" in step for step in searched), steps
        for statement in _BULK_STATEMENTS:
            steps = await explained(store, statement)
            searched = [step for step in steps if step.startswith("SEARCH")]
            assert "ix_message_bulk (account_id=? AND bulk=?" in searched[0], steps
            assert "(account_id=? AND message_id=?" in searched[1], steps
        (step,) = [s for s in await explained(store, lock_statement(1, [1, 2])) if s.startswith("SEARCH")]
        assert "(account_id=? AND message_id=?)" in step
    finally:
        await store.close()


_NEWEST = [
    QueueFilter(states=frozenset(State)),
    QueueFilter(states=frozenset(State), accepted_since=NOW, accepted_before=NOW + 1),
    QueueFilter(states=frozenset({State.BOUNCED, State.EXPIRED}), account_id=1, domain="a.example", recipient="a*"),
]


async def test_the_newest_deliveries_are_read_from_the_primary_key(sqlite_url: str, postgresql_url: str) -> None:
    for url in (sqlite_url, postgresql_url):
        store = await open_store(url)
        try:
            for wanted in _NEWEST:
                (statement,) = newest_statements(wanted, 10, [1])
                steps = await explained(store, statement)
                if store.engine == "sqlite":
                    assert len(steps) == 1, steps
                    assert steps[0].startswith("SEARCH delivery USING PRIMARY KEY (account_id=?"), steps
                    assert ("message_id>?" in steps[0]) == (wanted.accepted_since is not None)
                else:
                    assert {node["Node Type"] for node in steps} <= {"Limit", "Index Scan"}, steps
                    assert [node["Scan Direction"] for node in steps[1:]] == ["Backward"]
        finally:
            await store.close()


async def test_a_recipient_is_found_in_indexes(sqlite_url: str, postgresql_url: str) -> None:
    """Of a million deliveries and refusals those to one recipient are read, and no others."""
    everything = QueueFilter(mailbox="a@x.example", states=frozenset(State), accepted_since=NOW)
    statements = {
        "ix_delivery_recipient": newest_statements(everything, 10, [1])[0],
        "ix_refused_recipient_recipient": recipient_statement(1, "a@x.example", NOW, NOW + 1, 10),
    }
    for url in (sqlite_url, postgresql_url):
        store = await open_store(url)
        try:
            worker = await store.register_worker("host", 1, NOW, TTL)
            maker = Maker()
            await store.accept_all(worker.id, [maker.message(50) for _ in range(20)])
            async with store.write() as connection:
                refused = [
                    {"account_id": 1, "refusal_id": first_id(NOW) + number, "recipient": f"r{number}@x.example"}
                    for number in range(1000)
                ]
                await connection.execute(insert(tables.refused_recipient), refused)
                if store.engine == "postgresql":
                    await connection.execute(text("ANALYZE"))
            for index, statement in statements.items():
                steps = await explained(store, statement)
                if store.engine == "sqlite":
                    searched = [step for step in steps if index in step]
                    assert len(searched) == 1, steps
                    assert "(account_id=? AND recipient=? AND " in searched[0]
                    assert not [
                        step for step in steps if step.split()[0] == "SCAN" and step.split()[1] in _OUR_TABLES
                    ]
                    if index == "ix_delivery_recipient":
                        assert len(steps) == 1, "no sorting of all there is"
                else:
                    assert not [node for node in steps if node["Node Type"] == "Seq Scan"], steps
                    (node,) = [node for node in steps if node.get("Index Name") == index]
                    assert node["Scan Direction"] == "Backward"
            steps = await explained(store, mailbox_accounts(["a@x.example", "A@x.example"]))
            if store.engine == "sqlite":
                searched = [step for step in steps if step.startswith("SEARCH")]
                assert len(searched) == 2
                assert all("ix_delivery_recipient (account_id=? AND recipient=?)" in step for step in searched)
            else:
                assert "delivery" not in {
                    node.get("Relation Name") for node in steps if node["Node Type"] == "Seq Scan"
                }
        finally:
            await store.close()


async def test_postgresql_can_answer_every_question_from_an_index(postgresql_url: str) -> None:
    store = await open_store(postgresql_url)
    try:
        worker = await store.register_worker("host", 1, NOW, TTL)
        maker = Maker()
        many = [maker.message(3) for _ in range(50)]
        for number, new in enumerate(many):
            new.message.marks = Marks(bulk=f"b{number % 5}", reference=f"r{number}")
        await store.accept_all(worker.id, many)
        for wanted, index in _QUESTIONS.values():
            for statement in log_statements(wanted):
                nodes = await explained(store, statement)
                assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], wanted
                assert index in {node.get("Index Name") for node in nodes}, (wanted, nodes)
        for statement in (*_BULK_STATEMENTS, lock_statement(1, [1, 2])):
            nodes = await explained(store, statement)
            assert not [node for node in nodes if node["Node Type"] == "Seq Scan"], nodes
    finally:
        await store.close()
