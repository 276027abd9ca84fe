"""Bringing a database to the revision this Ekiden needs."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.resources
import os
import time
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, create_engine, event, text
from sqlalchemy.pool import NullPool

from ekiden.store.api import SchemaOutdated, StillInUse
from ekiden.store.errors import translating
from ekiden.store.migrations import HEAD
from ekiden.store.postgresql.connect import cold_engine
from ekiden.store.postgresql.connect import judge as postgresql_judge
from ekiden.store.postgresql.statements import NOW_SQL
from ekiden.store.sqlite.connect import connect
from ekiden.store.sqlite.group_commit import judge as sqlite_judge
from ekiden.store.sqlite.turn import Turn
from ekiden.store.url import StoreUrl, parse_url

if TYPE_CHECKING:
    from alembic.config import Config

# "ekiden" as a number: held while a PostgreSQL database is migrated, so that those who start together do it once.
_PATIENCE = 60.0  # seconds that an upgrade of SQLite waits for its turn
_ADVISORY_LOCK = 0x656B6964656E


def head_revision() -> str:
    """The revision this Ekiden reads and writes."""
    return HEAD


async def current_revision(url: str) -> str | None:
    """The revision a database is at; ``None`` for one that is empty or, on SQLite, does not exist yet.

    Raises ``StoreUnavailable``.
    """
    parsed = parse_url(url)
    if parsed.engine == "sqlite":
        return await asyncio.to_thread(_sqlite_revision, parsed.path)
    return await _postgresql_revision(parsed)


async def check_revision(url: str) -> None:
    """Raises ``SchemaOutdated`` unless the database is at the revision this Ekiden needs."""
    current = await current_revision(url)
    if current == HEAD:
        return
    shown = parse_url(url).safe
    if current is None:
        raise SchemaOutdated(f"the database {shown} has no tables yet; create them with: ekiden db upgrade")
    if current > HEAD:
        raise SchemaOutdated(
            f"the database {shown} is at revision {current} and was written by a newer Ekiden than this one, which "
            f"knows {HEAD}; `ekiden db upgrade` cannot go back: run the newer Ekiden"
        )
    raise SchemaOutdated(
        f"the database {shown} is at revision {current} and this Ekiden needs {HEAD}; bring it there with: "
        "ekiden db upgrade"
    )


async def upgrade(url: str, *, in_use: bool = False) -> str:
    """Create or upgrade the tables, in one transaction. Returns the revision that the database is at now.

    Safe to be called by several processes at once. Raises ``StoreUnavailable``, ``SchemaOutdated`` when the
    database was written by a newer Ekiden, or ``StillInUse`` while workers of an older one live, unless ``in_use``.
    """
    current = await current_revision(url)
    if current is not None and current > HEAD:
        await check_revision(url)
    if current != HEAD:
        parsed = parse_url(url)
        if parsed.engine == "sqlite":
            await asyncio.to_thread(_upgrade_sqlite, parsed, in_use)
        else:
            await _upgrade_postgresql(parsed, in_use)
    return HEAD


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's configuration, for programs: all of it lies in the package."""
    from alembic.config import Config

    config = Config()
    location = importlib.resources.files("ekiden.store.migrations")
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    if connection is not None:
        config.attributes["connection"] = connection
    return config


def run(connection: Connection, url: StoreUrl, in_use: bool) -> None:
    """Upgrade through a connection that is inside a transaction. Raises ``StillInUse``."""
    from alembic import command

    if not in_use and connection.dialect.has_table(connection, "worker"):
        _nobody_works(connection, url)
    command.upgrade(alembic_config(connection), "head")


def _nobody_works(connection: Connection, url: StoreUrl) -> None:
    """In the transaction of the upgrade: nobody comes to life in between. By the clock that leases end by."""
    now = str(time.time_ns() // 1_000_000)
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE worker IN SHARE ROW EXCLUSIVE MODE")
        now = NOW_SQL
    # Of an upgrade that somebody else has just made there is nothing left to do.
    known = connection.dialect.has_table(connection, "alembic_version")
    if known and connection.exec_driver_sql(_REVISION).scalar() == HEAD:
        return
    query = f"SELECT host, pid FROM worker WHERE ended_at IS NULL AND expires_at > {now} ORDER BY host, pid"  # noqa: S608
    living = connection.exec_driver_sql(query).all()
    if living:
        raise StillInUse(url.safe, [f"{host}, process {pid}" for host, pid in living])


_REVISION = "SELECT version_num FROM alembic_version"


def _sqlite_revision(path: str) -> str | None:
    if not os.path.exists(path):
        return None
    with translating(sqlite_judge), contextlib.closing(connect(path, write=False)) as connection:
        found = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute(_REVISION).fetchone() if found else None
    return str(row[0]) if row else None


def _upgrade_sqlite(url: StoreUrl, in_use: bool) -> None:
    path = url.path
    with translating(sqlite_judge), contextlib.closing(Turn(path)) as turn:
        # A new one is for us alone, whatever the umask; what SQLite keeps beside it takes its mode.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = create_engine("sqlite://", creator=lambda: connect(path, write=True), poolclass=NullPool)
        event.listen(engine, "begin", _begin_immediate)
        turn.within(_PATIENCE)
        try:
            with engine.begin() as connection:
                run(connection, url, in_use)
        finally:
            turn.__exit__(None, None, None)


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _postgresql_revision(url: StoreUrl) -> str | None:
    with translating(postgresql_judge):
        connection = await url.servers().connect()
        try:
            if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
                return None
            return _text(await connection.fetchval(_REVISION))
        finally:
            await connection.close()


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


async def _upgrade_postgresql(url: StoreUrl, in_use: bool) -> None:
    engine = cold_engine(url.servers(), timeout=None)
    try:
        with translating(postgresql_judge):
            async with engine.begin() as connection:
                await connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
                await connection.run_sync(run, url, in_use)
    finally:
        await engine.dispose()
