"""Databases for every test that needs one: a fresh one each, on either engine.

One PostgreSQL server is shared by all processes of a run (``store.postgresql.embedded``). The process that
controls the run holds it from the first moment to the last, whichever workers come and go; the first test that
needs it starts it.
Its directory is no other run's business: pytest removes old directories of its own when a later run ends.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import shutil
import uuid
from collections.abc import AsyncIterator, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from ekiden.store.api import Store, StoreError
from ekiden.store.open import head_revision, open_store, upgrade
from ekiden.store.postgresql.embedded import EmbeddedPostgres
from ekiden.store.tables import metadata
from support.cheap_hashes import hash_cheaply
from support.made_keys import make_keys_once
from support.manual_clock import ManualClock
from support.structured_logs import logs_as_records

TEMPLATE = "ekiden_template"
# The same examples at each run: what is right must not fail by chance. Others are looked for with
# --hypothesis-profile=explore, and by ``make fuzz``. How long one takes is no test's verdict on a busy machine.
# Fixtures are shared by the examples of a test on purpose, where there are any.
_UNHURRIED: dict[str, Any] = {
    "deadline": None,
    "suppress_health_check": [
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
        HealthCheck.function_scoped_fixture,
    ],
}
settings.register_profile("same", derandomize=True, database=None, **_UNHURRIED)
settings.register_profile("explore", derandomize=False, **_UNHURRIED)
settings.load_profile("same")


def run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run ``coroutine`` on a loop in a thread of its own, so that a test's own loop is not disturbed."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


_HELD = pytest.StashKey[EmbeddedPostgres]()


def _embedded(directory: str | None = None) -> EmbeddedPostgres:
    # What its databases are is for the tests to say: nobody cleans up behind them, or counts rows.
    return EmbeddedPostgres(directory, durable=False, remove=True, settings={"autovacuum": "off"})


def pytest_configure(config: pytest.Config) -> None:
    logs_as_records()
    hash_cheaply()
    if not hasattr(config, "workerinput"):
        server = config.stash[_HELD] = _embedded()
        server.hold()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """xdist is about to start a worker."""
    node.workerinput["postgresql"] = str(node.config.stash[_HELD].directory)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Next to nothing made while tests are collected is garbage: looking for it took a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """What is loaded by now stays: each of the many collections of garbage of a run would walk it in vain."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    make_keys_once()  # modules of tests have made those that are theirs alone


def pytest_unconfigure(config: pytest.Config) -> None:
    if _HELD in config.stash:
        config.stash[_HELD].stop()


@pytest.fixture(autouse=True)
def _heard() -> None:
    """Whatever a test before it has made of the log: a command that ran in this process, for one."""
    logs_as_records()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def postgresql_server(pytestconfig: pytest.Config) -> Iterator[EmbeddedPostgres]:
    """A running server with the migrated database ``TEMPLATE``; fsync is off."""
    with _embedded(getattr(pytestconfig, "workerinput", {}).get("postgresql") or _held(pytestconfig)) as server:
        _make_template(server)
        yield server


def _held(config: pytest.Config) -> str:
    return str(config.stash[_HELD].directory)


def _make_template(server: EmbeddedPostgres) -> None:
    with (server.directory / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        run_apart(_create_template(server))


def _present(server: EmbeddedPostgres, idle_databases: list[str], request: pytest.FixtureRequest) -> None:
    """A test that comes after the server has vanished gets a new one, and tells the run's summary about it."""
    if server.running():
        return
    told = f"the shared PostgreSQL had gone and was started again: {server.report()}"
    request.node.user_properties.append(("figures", told))
    idle_databases.clear()
    server.stop()
    server.start()
    _make_template(server)


async def _create_template(server: EmbeddedPostgres) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        found = await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", TEMPLATE)
        if not found:
            await connection.execute("DROP DATABASE IF EXISTS half_made WITH (FORCE)")
            await connection.execute("CREATE DATABASE half_made")
            await upgrade(server.url("half_made"))
            await connection.execute(f"ALTER DATABASE half_made RENAME TO {TEMPLATE}")
    finally:
        await connection.close()


def _ask(server: EmbeddedPostgres, question: Coroutine[Any, Any, Any]) -> Any:
    """What the server answers; an error says what has become of the server."""
    try:
        return run_apart(question)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError) as error:
        raise StoreError(f"{type(error).__name__}: {error}; {server.report()}") from error


async def _administer(server: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def idle_databases() -> list[str]:
    """Migrated databases that a test has left: emptying one is much quicker than making one."""
    return []


@pytest.fixture
def empty_postgresql_url(
    postgresql_server: EmbeddedPostgres, idle_databases: list[str], request: pytest.FixtureRequest
) -> Iterator[str]:
    """A database without tables."""
    _present(postgresql_server, idle_databases, request)
    name = f"test_{uuid.uuid4().hex}"
    _ask(postgresql_server, _administer(postgresql_server, f"CREATE DATABASE {name}"))
    yield postgresql_server.url(name)
    _ask(postgresql_server, _administer(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture
def postgresql_url(
    postgresql_server: EmbeddedPostgres, idle_databases: list[str], request: pytest.FixtureRequest
) -> Iterator[str]:
    """A migrated, empty database."""
    _present(postgresql_server, idle_databases, request)
    if idle_databases:
        name = idle_databases.pop()
    else:
        name = f"test_{uuid.uuid4().hex}"
        _ask(postgresql_server, _administer(postgresql_server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    url = postgresql_server.url(name)
    yield url
    if _ask(postgresql_server, _emptied(url)):
        idle_databases.append(name)


_FOUND = """
SELECT relname AS name, relkind::text AS kind, reltuples >= 0 AS counted,
    CASE relkind WHEN 'S' THEN pg_sequence_last_value(oid)
        ELSE pg_relation_size(oid) + coalesce(pg_relation_size(nullif(reltoastrelid, 0)), 0) END AS used
FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'S')
"""
"""Tables with their octets and whether the planner knows how full they are, sequences with what they gave last."""
_SMALL = 65_536
"""Octets of a table. To delete its few rows costs a hundredth of new files for it and its indexes."""


async def _emptied(url: str) -> bool:
    """Make the database as good as new; false: it is not, and must not be used again."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        found = await connection.fetch(_FOUND)
        tables = {row["name"]: row for row in found if row["kind"] != "S"}
        # To empty what is empty would cost as much again, and a test writes to few of the tables.
        used = [name for name in metadata.tables if name in tables and tables[name]["used"]]
        large = [name for name in used if tables[name]["used"] > _SMALL or tables[name]["counted"]]
        if large:
            await connection.execute(f"TRUNCATE {', '.join(large)} CASCADE")
        if small := [name for name in used if name not in large]:
            await connection.execute("; ".join(f"DELETE FROM {name}" for name in small))
        for row in found:
            if row["kind"] == "S" and row["used"]:
                await connection.execute(f"ALTER SEQUENCE {row['name']} RESTART")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision == head_revision() and tables.keys() == {*metadata.tables, "alembic_version"}
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    run_apart(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A migrated, empty database."""
    path = tmp_path / "ekiden.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """A migrated, empty database on each engine in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
async def store(store_url: str) -> AsyncIterator[Store]:
    """An open, empty store on each engine in turn."""
    opened = await open_store(store_url)
    yield opened
    await opened.close()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What a test has counted for its readers (``record_property("figures", …)``), also when others ran it."""
    for report in terminalreporter.stats.get("passed", []) + terminalreporter.stats.get("failed", []):
        for name, text in report.user_properties:
            if name == "figures" and report.when == "call":
                terminalreporter.write_line(f"{report.nodeid}: {text}")
