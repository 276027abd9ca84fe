"""Databases for every test that needs one: a fresh one each, on either engine.

One PostgreSQL server is shared by all processes of a run and ends with the last of them (``store.embedded``).
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import uuid
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ekiden.store.api import Store
from ekiden.store.embedded import EmbeddedPostgres
from ekiden.store.open import head_revision, open_store, upgrade
from ekiden.store.tables import metadata

TEMPLATE = "ekiden_template"


def run_apart(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run ``coroutine`` on a loop in a thread of its own, so that a test's own loop is not disturbed."""
    with ThreadPoolExecutor(1) as executor:
        return executor.submit(asyncio.run, coroutine).result()


@pytest.fixture(scope="session")
def postgresql_server(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[EmbeddedPostgres]:
    """A running server with the migrated database ``TEMPLATE``; fsync is off."""
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id == "master" else base.parent
    with EmbeddedPostgres(shared / "postgresql", durable=False, remove=True) as server:
        with (shared / "postgresql.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            run_apart(_create_template(server))
        yield server


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


async def _administer(server: EmbeddedPostgres, command: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        await connection.execute(command)
    finally:
        await connection.close()


@pytest.fixture
def empty_postgresql_url(postgresql_server: EmbeddedPostgres) -> Iterator[str]:
    """A database without tables."""
    name = f"test_{uuid.uuid4().hex}"
    run_apart(_administer(postgresql_server, f"CREATE DATABASE {name}"))
    yield postgresql_server.url(name)
    run_apart(_administer(postgresql_server, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def idle_databases() -> list[str]:
    """Migrated databases that a test has left: emptying one is much quicker than making one."""
    return []


@pytest.fixture
def postgresql_url(postgresql_server: EmbeddedPostgres, idle_databases: list[str]) -> Iterator[str]:
    """A migrated, empty database."""
    if idle_databases:
        name = idle_databases.pop()
    else:
        name = f"test_{uuid.uuid4().hex}"
        run_apart(_administer(postgresql_server, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    url = postgresql_server.url(name)
    yield url
    if run_apart(_emptied(url)):
        idle_databases.append(name)


async def _emptied(url: str) -> bool:
    """Make the database as good as new; false: it is not, and must not be used again."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await connection.execute(f"TRUNCATE {', '.join(metadata.tables)} RESTART IDENTITY")
        found = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        revision = await connection.fetchval("SELECT version_num FROM alembic_version")
        return revision == head_revision() and {row[0] for row in found} == {*metadata.tables, "alembic_version"}
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
