"""What errors of a database are for who uses the store: an outage, a conflict, or a fault of ours."""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import asynccontextmanager, closing
from typing import TYPE_CHECKING, Any

import asyncpg
import pytest
import structlog
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from structlog.testing import capture_logs

from ekiden.store import tables as t
from ekiden.store.api import Conflict, Store, StoreError, StoreUnavailable
from ekiden.store.errors import constraint_of, told
from ekiden.store.open import current_revision, open_store, upgrade
from ekiden.store.postgresql.store import PostgresStore
from ekiden.store.sqlite.store import SqliteStore
from ekiden.store.tables.base import metadata
from ekiden.store.url import parse_url
from support.store_rows import NOW, TTL, Maker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from sqlalchemy.ext.asyncio import AsyncConnection

ACCOUNT = {"name": "acme", "priority": 1, "created_at": NOW, "region": "", "senders": "any"}
ACCOUNT |= {"quota_action": "delay", "suppress_bounces": False, "revision": 0}


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Store]:
    store = await open_store(url)
    try:
        yield store
    finally:
        await store.close()


# --- an outage, on the engine that has it -----------------------------------------------------------------------

RAISED = """57P01 admin_shutdown: terminating connection due to administrator command
57P02 crash_shutdown
57P03 cannot_connect_now: the database system is starting up
57014 query_canceled
57P05 idle_session_timeout
25P03 idle_in_transaction_session_timeout
25P04 transaction_timeout
25006 read_only_sql_transaction: the server was demoted
53100 disk_full
53200 out_of_memory
53300 too_many_connections
40001 serialization_failure
40P01 deadlock_detected
55P03 lock_not_available
58030 io_error
08006 connection_failure
XX001 data_corrupted""".splitlines()


@pytest.mark.parametrize("row", RAISED)
async def test_what_a_server_says_of_itself(postgresql_url: str, row: str) -> None:
    state, _, words = row.partition(" ")
    raising = f"DO $$ BEGIN RAISE EXCEPTION '{words}' USING ERRCODE = '{state}'; END $$"
    async with opened(postgresql_url) as store:
        with pytest.raises(StoreUnavailable, match=f"the database cannot be used just now: {words}"):
            await executed(store, raising)
        await works(store)


async def test_statements_that_a_server_ends(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        for setting, statement in (
            ("SET LOCAL statement_timeout = 20", "SELECT pg_sleep(20)"),
            ("SET TRANSACTION READ ONLY", "CREATE TABLE x (y int)"),
            ("SELECT 1", "SELECT pg_terminate_backend(pg_backend_pid())"),
        ):
            with pytest.raises(StoreUnavailable, match="the database cannot be used just now: "):
                await executed(store, setting, statement)
            await works(store)


async def test_a_transaction_that_another_one_was_before(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:
        await works(store)

        async def too_late() -> None:
            async with store.write() as one:
                await one.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                await one.execute(select(t.account))
                async with opened(postgresql_url) as other, other.write() as two:
                    await two.execute(update(t.account).values(region="jp"))
                await one.execute(update(t.account).values(region="kr"))

        with pytest.raises(StoreUnavailable, match="could not serialize"):
            await too_late()


async def test_a_connection_that_the_wire_lost(postgresql_url: str) -> None:
    async with opened(postgresql_url) as store:

        async def cut() -> None:
            async with store.read() as connection:
                driver: Any = (await connection.get_raw_connection()).driver_connection
                driver.terminate()
                await connection.execute(select(t.account))

        with pytest.raises(StoreUnavailable):
            await cut()
        await works(store)


async def test_more_transactions_than_connections(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ekiden.store.postgresql.connect.ANSWER_TIMEOUT", 0.1)
    async with opened(postgresql_url) as store, store.read(), store.read():
        with pytest.raises(StoreUnavailable, match="no answer in time"):
            async with store.read():
                pass


@pytest.mark.parametrize(
    ("setting", "statement", "words"),
    [
        ("PRAGMA max_page_count = 1", "CREATE TABLE x AS SELECT zeroblob(900000) AS y", "disk is full"),
        ("PRAGMA query_only = ON", "CREATE TABLE x (y)", "readonly"),
    ],
)
async def test_a_file_that_takes_nothing(sqlite_url: str, setting: str, statement: str, words: str) -> None:
    async with opened(sqlite_url) as store:
        with pytest.raises(StoreUnavailable, match=f"the database cannot be used just now: .*{words}"):
            await executed(store, setting, statement)


async def test_a_file_that_somebody_else_has_locked(sqlite_url: str) -> None:
    async with opened(sqlite_url) as store:
        async with store.write() as connection:
            await connection.exec_driver_sql("PRAGMA busy_timeout = 20")
        with closing(sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnavailable, match="locked"):
                async with store.write():
                    pass
        await works(store)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_text("Dear Sir or Madam, " * 100)
    await nothing_works(SqliteStore(str(path)), "not a database")
    for ask in (current_revision, upgrade):
        with pytest.raises(StoreUnavailable, match="not a database"):
            await ask(f"sqlite:///{path}")


async def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    await nothing_works(SqliteStore(str(tmp_path / "missing" / "x.db")), "cannot be|No such file")


async def test_a_server_that_is_not_there() -> None:
    url = "postgresql://postgres@127.0.0.1:1/ekiden"
    await nothing_works(PostgresStore(parse_url(url).servers()), "the database cannot be used just now")
    for ask in (current_revision, upgrade):
        with pytest.raises(StoreUnavailable, match="the database cannot be used just now"):
            await ask(url)


async def executed(store: Store, *statements: str) -> None:
    async with store.write() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement)


async def works(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(insert(t.account).values(ACCOUNT | {"name": f"acme {next(_numbers)}"}))


_numbers = itertools.count()


async def nothing_works(store: Store, words: str) -> None:
    async def reads() -> None:
        async with store.read() as connection:
            await connection.execute(select(t.account))

    async def writes() -> None:
        async with store.write() as connection:
            await connection.execute(select(t.account))

    try:
        for call in (reads(), writes(), store.accept(1, Maker().message()), store.content(1, 1), store.stats()):
            with pytest.raises(StoreUnavailable, match=words):
                await call
    finally:
        await store.close()


# --- a fault of ours --------------------------------------------------------------------------------------------


async def bad_sql(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("SELEC 1")


async def missing_column(connection: AsyncConnection) -> None:
    await connection.execute(select(text("colour")).select_from(t.account))


async def missing_table(connection: AsyncConnection) -> None:
    await connection.exec_driver_sql("SELECT * FROM accounts")


async def wrong_type(connection: AsyncConnection) -> None:
    await connection.execute(select(t.account).where(t.account.c.id == object()))


async def nothing_where_something_must_be(connection: AsyncConnection) -> None:
    await connection.execute(insert(t.account).values(ACCOUNT | {"region": None}))


async def too_large_a_number(connection: AsyncConnection) -> None:
    await connection.execute(select(t.account).where(t.account.c.id == 1 << 70))


FAULTS: tuple[Callable[[AsyncConnection], Any], ...] = (
    bad_sql,
    missing_column,
    missing_table,
    wrong_type,
    nothing_where_something_must_be,
    too_large_a_number,
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_fault_of_ours_is_no_outage(store: Store, fault: Any) -> None:
    for begin in (store.read, store.write):
        with pytest.raises((SQLAlchemyError, OverflowError)) as caught:
            async with begin() as connection:
                await fault(connection)
        assert not isinstance(caught.value, StoreError)
    await works(store)


async def test_who_writes_while_it_reads_has_made_a_mistake(store: Store) -> None:
    with pytest.raises(SQLAlchemyError):
        async with store.read() as connection:
            await connection.execute(insert(t.account).values(ACCOUNT))


async def test_what_is_no_error_of_the_database_passes(store: Store) -> None:
    for error in (ValueError("a"), KeyError("b"), UnicodeEncodeError("utf-8", "c", 0, 1, "d"), StoreError("e")):
        with pytest.raises(type(error)) as caught:
            async with store.write():
                raise error
        assert caught.value is error


async def test_on_the_hot_path_a_fault_of_ours_is_no_outage_either(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    await executed(store, "ALTER TABLE event RENAME TO events")
    with pytest.raises(StoreError) as caught:
        await store.accept(worker.id, Maker().message())
    assert not isinstance(caught.value, StoreUnavailable)
    await executed(store, "ALTER TABLE events RENAME TO event")


# --- a conflict -------------------------------------------------------------------------------------------------


async def test_conflicts_tell_the_same_name_on_both_engines(store: Store) -> None:
    lease = {"name": "prune", "owner": 1, "expires_at": NOW}
    worker = {"node": 7, "host": "h", "pid": 1, "started_at": NOW, "heartbeat_at": NOW, "expires_at": NOW}
    suppression = {"account_id": 1, "domain": "a.example", "address": "b@c.example", "kind": "manual"}
    for table, row, name in (
        (t.account, ACCOUNT, "uq_account_name"),
        (t.lease, lease, "pk_lease"),
        (t.worker, worker, "uq_worker_node_alive"),
        (
            t.suppression,
            suppression | {"reason": "", "created_at": NOW},
            "uq_suppression_account_id_domain_address_kind",
        ),
    ):
        values = {key: value for key, value in row.items() if key in table.c}
        async with store.write() as connection:
            await connection.execute(insert(table).values(values))
        with pytest.raises(Conflict, match=name) as caught:
            async with store.write() as connection:
                await connection.execute(insert(table).values(values))
        assert caught.value.constraint == name
        for quoted in ("b@c.example", "acme"):
            assert quoted not in f"{caught.value} {caught.value.__cause__}"
        assert caught.value.__suppress_context__, "what the server says quotes the row"


async def test_a_conflict_of_the_hot_path_has_its_name(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    new = Maker().message()
    await store.accept(worker.id, new)
    with pytest.raises(Conflict) as caught:
        await store.accept(worker.id, new)
    assert caught.value.constraint in {"pk_message", "pk_content", "pk_delivery"}


async def test_every_constraint_has_the_name_that_the_tables_give_it(store_url: str) -> None:
    """What databases made by migrations have, and what SQLite's words for it are taken for."""
    if store_url.startswith("sqlite"):
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as database:
            found = set()
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
                for _, index, unique, *_ in database.execute(f"PRAGMA index_list({table})").fetchall():
                    if unique and table in metadata.tables:
                        columns = database.execute(f"PRAGMA index_info({index})").fetchall()
                        found.add(constraint_of(", ".join(f"{table}.{column}" for *_, column in columns)))
        assert {name for name in found if "." in name} == set()
        assert len(found) > 30
        return
    connection = await asyncpg.connect(store_url.replace("postgresql+asyncpg", "postgresql"))
    try:
        rows = await connection.fetch(
            "SELECT index.relname AS name, "
            "string_agg(owner.relname || '.' || attname, ', ' ORDER BY place) AS columns "
            "FROM pg_index JOIN pg_class AS index ON index.oid = indexrelid "
            "JOIN pg_class AS owner ON owner.oid = indrelid "
            "CROSS JOIN LATERAL unnest(indkey::int[]) WITH ORDINALITY AS part (number, place) "
            "JOIN pg_attribute ON attrelid = indrelid AND attnum = part.number "
            "WHERE indisunique AND owner.relnamespace = 'public'::regnamespace "
            "AND owner.relname <> 'alembic_version' GROUP BY 1"
        )
    finally:
        await connection.close()
    assert {row["columns"]: row["name"] for row in rows} == {
        row["columns"]: constraint_of(row["columns"]) for row in rows
    }
    assert len(rows) > 45


# --- the log ----------------------------------------------------------------------------------------------------


async def test_an_outage_is_a_warning_and_a_fault_an_error_with_its_traceback(store: Store) -> None:
    log = structlog.get_logger()
    with pytest.raises(SQLAlchemyError) as caught:
        async with store.read() as connection:
            await bad_sql(connection)
    fault = caught.value
    with capture_logs() as lines:
        told(log, "it waits", StoreUnavailable("the disk is full"), count=1)
        told(log, "it waits", TimeoutError())
        told(log, "it waits", fault)
    assert [(line["log_level"], line["why"], line.get("exc_info")) for line in lines] == [
        ("warning", "the disk is full", None),
        ("warning", "TimeoutError", None),
        ("error", type(fault).__name__, fault),
    ]
