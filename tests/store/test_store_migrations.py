"""The migrations make exactly what ``store.tables`` says, and a database that does not fit is told apart."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import CreateIndex, CreateTable

from ekiden.store import tables
from ekiden.store.api import SchemaOutdated, StoreError, StoreUnavailable
from ekiden.store.migrate import alembic_config
from ekiden.store.open import current_revision, head_revision, open_store, upgrade
from ekiden.store.postgresql.connect import cold_engine
from ekiden.store.url import parse_url


def differences(connection: Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    return list(compare_metadata(MigrationContext.configure(connection, opts=options), tables.metadata))


def folded(sql: str) -> str:
    """Without what a table that was altered by copying may differ in: quotes, and the order of columns."""
    text = re.sub(r"\s+", " ", sql.replace('"', "")).strip()
    if not text.startswith("CREATE TABLE"):
        return text
    head, _, rest = text.partition(" ( ")
    parts, _, tail = rest.rpartition(")")
    return f"{head} ({', '.join(sorted(part.strip() for part in re.split(r', (?![^(]*[)])', parts)))}){tail}"


async def test_what_was_there_before_senders_stays_usable(tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0001")
        connection.execute(text("INSERT INTO account (name, priority, created_at) VALUES ('acme', 1, 5)"))
        connection.execute(
            text(
                "INSERT INTO domain (account_id, name, created_at, verified_at)"
                " VALUES (1, 'a.example', 5, 6), (1, 'b.example', 5, NULL)"
            )
        )
    engine.dispose()
    url = f"sqlite:///{path}"
    assert await upgrade(url) == head_revision()
    store = await open_store(url)
    try:
        async with store.read() as read:
            account = (await read.execute(select(tables.account))).one()
            domains = (await read.execute(select(tables.domain).order_by(tables.domain.c.name))).all()
    finally:
        await store.close()
    assert (account.senders, account.quota_action, account.revision) == ("any", "delay", 0)
    assert [(domain.status, domain.vouched) for domain in domains] == [("verified", True), ("pending", False)]


def test_head_is_the_last_revision() -> None:
    scripts = ScriptDirectory.from_config(alembic_config())
    assert scripts.get_heads() == [head_revision()]
    assert [script.revision for script in scripts.walk_revisions()][-1] == "0001"


def test_sqlite_migrations_make_the_tables_to_the_letter(sqlite_template: Path) -> None:
    engine = create_engine(f"sqlite:///{sqlite_template}")
    with engine.connect() as connection:
        assert differences(connection) == []
        made = {
            folded(sql)
            for (sql,) in connection.execute(
                text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%'")
            )
        }
    meant = set()
    for table in tables.metadata.tables.values():
        meant.add(folded(str(CreateTable(table).compile(engine))))
        meant |= {folded(str(CreateIndex(index).compile(engine))) for index in table.indexes}
    engine.dispose()
    # Alembic's own table comes on top.
    assert meant <= made
    assert len(made) == len(meant) + 1


async def test_postgresql_migrations_make_the_tables(postgresql_url: str, empty_postgresql_url: str) -> None:
    migrated, created = (
        cold_engine(parse_url(postgresql_url).servers()),
        cold_engine(parse_url(empty_postgresql_url).servers()),
    )
    try:
        async with migrated.connect() as connection:
            assert await connection.run_sync(differences) == []
        async with created.begin() as connection:
            await connection.run_sync(tables.metadata.create_all)
        assert await index_definitions(migrated) == await index_definitions(created)
    finally:
        await migrated.dispose()
        await created.dispose()


async def index_definitions(engine: AsyncEngine) -> set[str]:
    async with engine.connect() as connection:
        found = await connection.scalars(
            text("SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
        )
        return set(found)


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new.db'}"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


async def test_an_empty_database_is_told_how_to_help_itself(empty_url: str) -> None:
    assert await current_revision(empty_url) is None
    with pytest.raises(SchemaOutdated, match="ekiden db upgrade"):
        await open_store(empty_url)
    assert await upgrade(empty_url) == head_revision()
    assert await current_revision(empty_url) == head_revision()
    assert await upgrade(empty_url) == head_revision()
    await (await open_store(empty_url)).close()


async def test_opening_may_migrate(empty_url: str) -> None:
    store = await open_store(empty_url, migrate=True)
    assert (await store.stats()).workers == 0
    await store.close()
    await (await open_store(empty_url, migrate=True)).close()


async def test_upgrades_at_the_same_time(empty_url: str) -> None:
    assert set(await asyncio.gather(*(upgrade(empty_url) for _ in range(4)))) == {head_revision()}


@pytest.mark.parametrize(
    ("revision", "words"),
    [("9999", "written by a newer Ekiden"), ("0000", "bring it there with: ekiden db upgrade")],
)
async def test_a_database_of_another_age(store_url: str, revision: str, words: str) -> None:
    store = await open_store(store_url)
    async with store.write() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": revision})
    await store.close()
    with pytest.raises(SchemaOutdated, match=words):
        await open_store(store_url)
    if revision == "9999":
        with pytest.raises(SchemaOutdated, match=words):
            await open_store(store_url, migrate=True)


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not a URL"),
        ("mysql://root:secret@localhost/x", "there is no store for 'mysql:"),
        ("sqlite://", "names no database file"),
        ("sqlite:///:memory:", "names no database file"),
        ("sqlite://host/file.db", "names no database file"),
        ("postgresql://u:secret@h1,,h2/x", "names an empty host"),
        ("postgresql://u:secret@h1,h2:none/x", "is not a URL"),
        ("postgresql://u:secret@h,h,h,h,h,h,h,h,h/x", "more than 8"),
        ("postgresql://u:secret@/x?host=a,b,c&port=1,2", "3 hosts and 2 ports"),
    ],
)
async def test_urls_that_name_no_store(url: str, words: str) -> None:
    with pytest.raises(StoreError, match=words) as caught:
        await open_store(url)
    assert "allowed are sqlite:///FILE" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_urls() -> None:
    assert parse_url("sqlite:////var/lib/ekiden.db").path == "/var/lib/ekiden.db"
    assert parse_url("sqlite:///ekiden.db").path == str(Path.cwd() / "ekiden.db")
    parsed = parse_url("postgresql://joe:s%40cret@db.example.com:6432/mail?host=/run/postgresql")
    assert parsed.engine == "postgresql"
    assert parsed.dsns[0] == "postgresql://joe:s%40cret@db.example.com:6432/mail?host=%2Frun%2Fpostgresql"
    assert "cret" not in parsed.safe


@pytest.mark.parametrize(
    ("url", "names", "dsn"),
    [
        ("postgresql://joe:p,w@h1:5432,h2:5433/mail", "h1:5432 h2:5433", "//joe:p%2Cw@h2:5433/mail?{}=read-write"),
        ("postgresql://h1,[::2]:6000/mail?{}=any", "h1:5432 [::2]:6000", "//[::2]:6000/mail?{}=any"),
        ("postgresql:///mail?host=/a,/b&port=1,2", "/a:1 /b:2", "///mail?host=%2Fb&port=2&{}=read-write"),
        ("postgresql:///mail?host=h1,h2&port=7", "h1:7 h2:7", "///mail?host=h2&port=7&{}=read-write"),
        ("postgresql://joe@h1,h2?sslmode=require", "h1:5432 h2:5432", "//joe@h2?sslmode=require&{}=read-write"),
        ("postgresql://joe:a,b/c@h1:5432/mail", "h1:5432", "//joe:a%2Cb%2Fc@h1:5432/mail"),
    ],
)
def test_urls_of_several_servers(url: str, names: str, dsn: str) -> None:
    """As libpq has them; the one that takes writes is wanted unless the URL says otherwise."""
    parsed = parse_url(url.format("target_session_attrs"))
    assert parsed.names == tuple(names.split())
    assert parsed.dsns[-1] == "postgresql:" + dsn.format("target_session_attrs")
    assert "p,w" not in parsed.safe
    assert "p%2Cw" not in parsed.safe


@pytest.mark.parametrize("hosts", ["h1", "h1,h2", "h1,h2:none"])
def test_a_password_in_the_query_is_not_shown(hosts: str) -> None:
    url = f"postgresql://joe@{hosts}/mail?password=cl%26ear&sslpassword=clear&sslmode=require"
    try:
        shown = parse_url(url).safe
    except StoreError as error:
        shown = str(error)
    assert "cl" not in shown
    assert "sslmode=require" in shown


@pytest.mark.parametrize(
    "url", ["sqlite:////nowhere/at/all/ekiden.db", "postgresql://postgres@/x?host=/nowhere/at/all"]
)
async def test_a_database_that_cannot_be_reached(url: str) -> None:
    with pytest.raises(StoreUnavailable):
        await open_store(url, migrate=True)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(b"Dear Sir or Madam, " * 500)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await open_store(f"sqlite:///{path}")


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
async def test_a_new_sqlite_database_is_for_its_user_alone(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "ekiden.db"
    before = os.umask(umask)
    try:
        await upgrade(f"sqlite:///{path}")
        store = await open_store(f"sqlite:///{path}")
        try:
            await store.stats()
            files = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
            assert [oct(os.stat(file).st_mode & 0o777) for file in files] == ["0o600"] * 3
        finally:
            await store.close()
    finally:
        os.umask(before)
