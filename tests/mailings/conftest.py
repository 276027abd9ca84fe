"""One bureau for each test, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from mail_bureau import Bureau, open_bureau

from ekiden.store.api import Store


@pytest.fixture
async def bureau(store: Store) -> AsyncIterator[Bureau]:
    async with open_bureau(store) as opened:
        yield opened
