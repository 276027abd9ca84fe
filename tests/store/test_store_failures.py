"""Databases that fill up, break or vanish: clear errors while it lasts, nothing acknowledged is lost, then on."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import insert, select

from ekiden.core.states import State
from ekiden.store import tables as t
from ekiden.store.api import Conflict, Store, StoreUnavailable
from ekiden.store.open import open_store
from ekiden.store.postgresql.embedded import EmbeddedPostgres
from support.backends import end_all
from support.store_rows import NOW, TTL, Maker, outcome

PROGRAM = Path(__file__).with_name("store_small_disk.py")


async def message_ids(store: Store) -> set[int]:
    async with store.read() as connection:
        return set(await connection.scalars(select(t.message.c.id)))


def test_a_full_disk_refuses_and_recovers(sqlite_url: str) -> None:
    done = subprocess.run(
        [sys.executable, str(PROGRAM), sqlite_url], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split("\n") == ["True True", "unavailable", "True", "True", ""], done.stderr


async def test_a_strangers_transaction_is_waited_for(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    stranger = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        worker = await store.register_worker("host", 1, NOW, TTL)
        stranger.execute("BEGIN IMMEDIATE")
        waiting = asyncio.create_task(store.accept(worker.id, Maker().message()))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        stranger.execute("COMMIT")
        await waiting
    finally:
        stranger.close()
        await store.close()


async def test_connections_that_break(postgresql_url: str) -> None:
    store = await open_store(postgresql_url)
    try:
        worker = await store.register_worker("host", 1, NOW, TTL)
        maker = Maker()
        acknowledged: set[int] = set()

        async def accept() -> None:
            new = maker.message()
            try:
                await store.accept(worker.id, new)
            except StoreUnavailable:
                return
            acknowledged.add(new.message.id)

        for _ in range(10):
            accepts = [asyncio.create_task(accept()) for _ in range(20)]
            await asyncio.sleep(0)
            await end_all(postgresql_url)
            await asyncio.gather(*accepts)
        await store.accept(worker.id, maker.message())
        assert acknowledged <= await message_ids(store)
        assert await store.heartbeat(worker.id, NOW, TTL)
    finally:
        await store.close()


async def test_a_server_that_crashes_and_comes_back(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    try:
        url = server.url()
        store = await open_store(url, migrate=True)
        worker = await store.register_worker("host", 1, NOW, TTL)
        maker = Maker()
        new = maker.message(2, state=State.SENDING)
        await store.accept(worker.id, new)
        server.kill()
        for call in (
            store.accept(worker.id, maker.message()),
            store.finish(worker.id, [outcome(new.deliveries[0])]),
            store.claim(worker.id, NOW, 5),
            store.heartbeat(worker.id, NOW, TTL),
            store.stats(),
            store.content(1, new.message.id),
            open_store(url),
        ):
            with pytest.raises(StoreUnavailable):
                await call
        server.start()
        assert await store.content(1, new.message.id) == new.content
        assert await store.finish(worker.id, [outcome(d) for d in new.deliveries]) == [True, True]
        assert await store.heartbeat(worker.id, NOW, TTL)
        assert await message_ids(store) == {new.message.id}
        await store.close()
    finally:
        server.stop()


async def test_errors_quote_no_parameters(store: Store) -> None:
    values = {"account_id": 1, "kind": "password", "name": "a", "scopes": "", "networks": "", "created_at": NOW}
    values |= {"lookup": "twice", "secret_hash": "$argon2id$secret"}
    async with store.write() as connection:
        await connection.execute(insert(t.credential).values(values))
    with pytest.raises(Conflict) as caught:
        async with store.write() as connection:
            await connection.execute(insert(t.credential).values(values))
    assert "lookup" in str(caught.value)
    assert "argon2id" not in str(caught.value)
