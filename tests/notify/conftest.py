"""A world for the tests of the outbox, on each engine in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from outbox_parts import World, make_world

from ekiden.store.api import Store


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    async with make_world(store) as made:
        yield made
