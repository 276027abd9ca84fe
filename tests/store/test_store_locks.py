"""Two workers at the same rows: what has to wait for whom, what must not, and what a commit waits for."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import select, text

from ekiden.core.ids import IdFactory
from ekiden.core.states import State
from ekiden.delivery.queue_changes import Action, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter, Target
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.postgresql import group_commit as postgresql_writer
from ekiden.store.records import NewMessage
from ekiden.store.sqlite import group_commit as sqlite_writer
from ekiden.store.url import parse_url
from support.lock_waits import commits_held_back, until_waiting
from support.store_rows import NOW, TTL, Maker, outcome


async def _contents(store: Store) -> list[int]:
    async with store.read() as connection:
        return list(await connection.scalars(select(t.content.c.message_id)))


async def _sending(store: Store, worker: int, recipients: int = 2) -> NewMessage:
    new = Maker().message(recipients, state=State.SENDING)
    await store.accept(worker, new)
    return new


async def test_two_stores_that_end_the_last_deliveries_leave_no_content(store: Store, store_url: str) -> None:
    """Each of the two sees the other's delivery as still to be made, unless one waits for the other."""
    worker = await store.register_worker("host-a", 1, NOW, TTL)
    new = await _sending(store, worker.id)
    other = await open_store(store_url)
    try:
        async with commits_held_back(store_url, "attempt") as let_go:
            finished = [
                asyncio.create_task(each.finish(worker.id, [outcome(delivery)]))
                for each, delivery in zip((store, other), new.deliveries, strict=True)
            ]
            await until_waiting(store_url, 2, *finished)
            await let_go()
            assert await asyncio.gather(*finished) == [[True], [True]]
    finally:
        await other.close()
    assert await _contents(store) == []


async def test_a_cancel_and_a_last_outcome_at_once_leave_no_content(store: Store, store_url: str) -> None:
    worker = await store.register_worker("host-a", 1, NOW, TTL)
    operator = await store.register_worker("host-a", 2, NOW, TTL)
    new = Maker().message(2)
    await store.accept(worker.id, new)
    [claimed] = await store.claim(worker.id, NOW, 1)
    left = QueueFilter((Target(new.message.id, 3 - claimed.number),), account_id=new.message.account_id)
    other = await open_store(store_url)

    async def cancel() -> int:
        selection = await select_deliveries(other, Action.CANCEL, left, NOW)
        ids = IdFactory(operator.node)
        return sum([part.changed async for part in apply_action(other, selection, ids, lambda: NOW, "tester")])

    try:
        async with commits_held_back(store_url, "event") as let_go:
            cancelled = asyncio.create_task(cancel())
            finished = asyncio.create_task(store.finish(worker.id, [outcome(claimed)]))
            await until_waiting(store_url, 2, cancelled, finished)
            await let_go()
            assert (await cancelled, await finished) == (1, [True])
    finally:
        await other.close()
    assert await _contents(store) == []


async def test_a_claim_waits_for_nobody(postgresql_url: str) -> None:
    """What another has in its hands is left out, by both kinds of claims; SQLite has one writer anyway."""
    store = await open_store(postgresql_url)
    holder = await asyncpg.connect(postgresql_url)
    try:
        worker = await store.register_worker("host-a", 1, NOW, TTL)
        maker = Maker()
        messages = [maker.message(due_at=NOW - 10 + number) for number in range(4)]
        for new in messages:
            await store.accept(worker.id, new)
        async with holder.transaction():
            held = "SELECT 1 FROM delivery WHERE message_id = $1 FOR UPDATE"
            await holder.fetch(held, messages[0].message.id)
            async with asyncio.timeout(30):
                [first] = await store.claim(worker.id, NOW, 1)
                [second] = await store.claim(worker.id, NOW, 1, (1,))
        assert [first.message.id, second.message.id] == [new.message.id for new in messages[1:3]]
    finally:
        await holder.close()
        await store.close()


async def test_commits_of_sqlite_wait_for_the_disk(sqlite_url: str) -> None:
    connection = sqlite_writer.connect(sqlite_url.removeprefix("sqlite:///"), write=True)
    try:
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,), "FULL"
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["hot", "cold"])
async def test_commits_of_postgresql_wait_for_the_disk(postgresql_url: str, way: str) -> None:
    """Whatever the server does by default."""
    administrator = await asyncpg.connect(postgresql_url)
    name = await administrator.fetchval("SELECT quote_ident(current_database())")
    await administrator.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    try:
        if way == "hot":
            connection = await postgresql_writer.connect(parse_url(postgresql_url).servers())
            found = await connection.fetchval("SHOW synchronous_commit")
            await connection.close()
        else:
            store = await open_store(postgresql_url)
            async with store.write() as cold:
                found = await cold.scalar(text("SHOW synchronous_commit"))
            await store.close()
        assert found == "on"
    finally:
        await administrator.execute(f"ALTER DATABASE {name} RESET synchronous_commit")
        await administrator.close()
