"""A lab per process, and an SQLite store for tests to which the engine does not matter."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.store.open import open_store


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
