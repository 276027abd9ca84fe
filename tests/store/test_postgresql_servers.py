"""A database with a standby: which of the two takes writes may change while workers are connected to it.

Both are real: the standby is a copy of the primary that streams from it, and is promoted.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest

from ekiden.core.clock import HOUR
from ekiden.core.states import State
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.open import current_revision, head_revision, open_store, upgrade
from ekiden.store.postgresql.embedded import EmbeddedPostgres, find_binaries
from support.store_rows import Maker

MAKER = Maker()
PATIENCE = 60.0  # seconds; only reached when something is broken


def place(server: EmbeddedPostgres) -> str:
    return parse_qs(urlsplit(server.url()).query)["host"][0]


def both(*places: str) -> str:
    return f"postgresql://postgres@/postgres?host={','.join(places)}&port=5432"


@pytest.fixture
def primary(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "one", durable=False) as server:
        asyncio.run(upgrade(server.url()))
        yield server


@pytest.fixture
def standby(primary: EmbeddedPostgres, tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "two", durable=False)
    data = tmp_path / "two" / "data"
    data.parent.mkdir()
    command = [str(find_binaries() / "pg_basebackup"), "-D", str(data), "-R", "-X", "stream", "-c", "fast"]
    subprocess.run(
        [*command, "-h", place(primary), "-p", "5432", "-U", "postgres", "--no-sync"],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )
    owner = (tmp_path / "one" / "data").stat().st_uid
    for path in (data, *data.rglob("*")):
        os.chown(path, owner, -1, follow_symlinks=False)
    with server:
        yield server


async def administer(server: EmbeddedPostgres, *commands: str) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        for command in commands:
            await connection.execute(command)
    finally:
        await connection.close()


async def works(store: Store) -> None:
    """Every way to the database: the hot one, rare reads and writes, contents."""
    worker = await store.register_worker("host", 1, None, HOUR)
    new = MAKER.message(state=State.SENDING)
    await store.accept(worker.id, new)
    assert await store.heartbeat(worker.id, None, HOUR)
    assert await store.content(new.message.account_id, new.message.id) == new.content
    assert await store.end_worker(worker.id, None) == 1


async def soon(store: Store) -> None:
    """A change of servers may cost calls that say so; then everything works."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                await works(store)
            except StoreUnavailable:
                await asyncio.sleep(0.05)
            else:
                return


async def test_the_server_that_takes_writes_is_found_among_several(
    primary: EmbeddedPostgres, standby: EmbeddedPostgres, tmp_path: Path
) -> None:
    nobody = str(tmp_path / "nobody")
    for places in (
        (place(primary), place(standby)),
        (place(standby), place(primary)),
        (nobody, place(standby), place(primary)),
    ):
        assert await current_revision(both(*places)) == head_revision()
        store = await open_store(both(*places))
        await works(store)
        await store.close()
    with pytest.raises(StoreUnavailable, match="none of the database servers") as caught:
        await open_store(both(nobody, place(standby)))
    assert place(standby) in str(caught.value)


async def test_a_store_outlives_a_failover(primary: EmbeddedPostgres, standby: EmbeddedPostgres) -> None:
    """The primary ends, the standby is promoted: calls go on with the same store."""
    store = await open_store(both(place(primary), place(standby)))
    await works(store)
    await asyncio.to_thread(primary.kill)
    with pytest.raises(StoreUnavailable):
        await works(store)
    await administer(standby, "SELECT pg_promote()")
    await soon(store)
    await store.close()


@pytest.mark.parametrize("several", [True, False], ids=["two servers", "one name"])
async def test_a_store_outlives_a_server_that_takes_no_writes_any_more(
    primary: EmbeddedPostgres, standby: EmbeddedPostgres, several: bool
) -> None:
    """Its connections stay, and answer with what was: they are left. Behind one name, it is for others to decide
    who answers there; when writes are taken again, they are written."""
    store = await open_store(both(place(primary), place(standby)) if several else primary.url())
    await works(store)
    await administer(primary, "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    if several:
        await administer(standby, "SELECT pg_promote()")
    else:
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    await works(store)
                except StoreUnavailable:
                    break
        async with store.read() as connection:  # what was can be read
            await connection.exec_driver_sql("SELECT count(*) FROM message")
        await administer(
            primary,
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
    await soon(store)
    if several:
        connection = await asyncpg.connect(standby.url())
        assert await connection.fetchval("SELECT count(*) FROM message") > 0
        await connection.close()
    await store.close()
