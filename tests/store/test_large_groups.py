"""Very many rows in one transaction: PostgreSQL gets them in pieces, and all of them are there or none."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from ekiden.store import tables
from ekiden.store.api import Store, StoreError
from support.store_rows import NOW, TTL, Maker

TABLES = (tables.message, tables.content, tables.delivery, tables.event)


async def counts(store: Store) -> list[int]:
    async with store.read() as connection:
        return [await connection.scalar(select(func.count()).select_from(table)) or 0 for table in TABLES]


async def test_a_request_of_thousands_is_stored_whole(store: Store) -> None:
    worker = (await store.register_worker("host", 1, NOW, TTL)).id
    maker = Maker()
    await store.accept_all(worker, [maker.message(2, subject=f"number {n}") for n in range(1_500)])
    assert await counts(store) == [1_500, 1_500, 3_000, 1_500]
    await store.accept(worker, maker.message(2_000))
    assert await counts(store) == [1_501, 1_501, 5_000, 1_501]


async def test_or_nothing_of_it(store: Store) -> None:
    worker = (await store.register_worker("host", 1, NOW, TTL)).id
    maker = Maker()
    messages = [maker.message() for _ in range(1_500)]
    with pytest.raises(StoreError):
        await store.accept_all(worker, [*messages, messages[0]])
    assert await counts(store) == [0, 0, 0, 0]
    await store.accept_all(worker, messages)  # and nobody suffers from it afterwards
    assert await counts(store) == [1_500] * 4
