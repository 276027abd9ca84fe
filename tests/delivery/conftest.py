"""A lab per process, an SQLite store for tests to which the engine does not matter, and rows of one account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ekiden.delivery.bulks import Bulks
from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.manual_clock import ManualClock
from support.queue_rows import NOW, Rows


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab() as running:
        yield running
        assert running.violations() == []


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOW)


@pytest.fixture
async def rows(store: Store) -> Rows:
    return await Rows.make(store, NOW)


@pytest.fixture
async def account(rows: Rows) -> int:
    return await rows.account()


@pytest.fixture
def bulks(store: Store, clock: ManualClock, rows: Rows) -> Bulks:
    return Bulks(store, clock, rows.ids)
