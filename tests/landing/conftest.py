"""Links of messages, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from landing_server import Landing, running_landing

from ekiden.store.api import Store


@pytest.fixture
async def landing(store: Store) -> AsyncIterator[Landing]:
    """A running server, and a message to follow links of."""
    async with running_landing(store) as running:
        yield running
