"""The clock that leases go by: the database's on PostgreSQL, whatever the clocks of machines say."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import select, text

from ekiden.core.clock import HOUR, SECOND
from ekiden.core.states import State
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.store_rows import TTL, Maker


@pytest.fixture
def maker() -> Maker:
    return Maker()


async def expires(store: Store, worker: int) -> int:
    async with store.read() as connection:
        return int(await connection.scalar(select(t.worker.c.expires_at).where(t.worker.c.id == worker)) or 0)


async def test_the_clock_of_leases_is_the_time(store: Store) -> None:
    before = time.time_ns() // 1_000_000
    assert before - 1 <= await store.now() <= time.time_ns() // 1_000_000 + 1


async def test_leases_of_a_worker_go_by_it(store: Store, maker: Maker) -> None:
    before = await store.now()
    worker = await store.register_worker("host", 1, None, HOUR)
    assert before + HOUR <= await expires(store, worker.id) <= await store.now() + HOUR
    renewed = await store.heartbeat(worker.id, None, 2 * HOUR)
    assert renewed is not None
    assert before <= renewed <= await store.now()
    assert await expires(store, worker.id) == renewed + 2 * HOUR
    assert await store.take_lease("prune", worker.id, None, HOUR)
    assert not await store.take_lease("prune", worker.id + 1, None, HOUR)
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    assert await store.reap(None) == 0
    assert await store.heartbeat(worker.id, None, -1) is not None
    assert await store.reap(None) == 1
    assert await store.heartbeat(worker.id, None, HOUR) is None
    assert await store.take_lease("prune", worker.id + 1, None, HOUR)  # it went with its owner


async def test_an_owned_delivery_is_due_at_once_when_its_worker_ends(store: Store, maker: Maker) -> None:
    worker = await store.register_worker("host", 1, None, HOUR)
    await store.accept(worker.id, maker.message(state=State.SENDING))
    before = await store.now()
    assert await store.end_worker(worker.id, None) == 1
    async with store.read() as connection:
        due = await connection.scalar(select(t.delivery.c.due_at))
    assert due is not None
    assert before <= due <= await store.now()


async def test_a_heartbeat_does_not_wait_for_what_is_rare(postgresql_url: str) -> None:
    """All connections for what is rare are busy with lists that take long: the lease is renewed all the same."""
    store = await open_store(postgresql_url)
    try:
        worker = await store.register_worker("host", 1, None, TTL)
        async with store.read() as one, store.read() as other:
            for connection in (one, other):
                await connection.execute(text("SELECT 1"))
            assert await store.heartbeat(worker.id, None, 60 * SECOND) is not None
        async with store.read() as connection:
            count = await connection.scalar(
                text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
            )
        assert count == 3  # with one of two writers
    finally:
        await store.close()
