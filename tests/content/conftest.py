"""An account with files, on either engine."""

from __future__ import annotations

import pytest

from ekiden.access.accounts import create_account
from ekiden.content.templates import Templates
from ekiden.content.uploads import Uploads
from ekiden.store.api import Store
from support.manual_clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def account(store: Store, clock: ManualClock) -> int:
    return (await create_account(store, "acme", clock.now())).id


@pytest.fixture
def uploads(store: Store, clock: ManualClock) -> Uploads:
    return Uploads(store, clock)


@pytest.fixture
def templates(store: Store, clock: ManualClock, uploads: Uploads) -> Templates:
    return Templates(store, clock, uploads)
