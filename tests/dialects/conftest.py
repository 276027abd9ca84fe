"""Servers of the dialects, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from ibm_cloud import Cloud, running_cloud
from infobip_cloud import Cloud as InfobipCloud
from infobip_cloud import running_infobip

from ekiden.lab import Lab
from ekiden.store.api import Store


@pytest.fixture
async def cloud(store: Store) -> AsyncIterator[Cloud]:
    """A running server with an account and an instance."""
    async with Lab() as lab, running_cloud(store, lab) as running:
        yield running


@pytest.fixture
async def infobip(store: Store) -> AsyncIterator[InfobipCloud]:
    """A running server of the Infobip dialect, with an account and a domain."""
    async with Lab() as lab, running_infobip(store, lab) as running:
        yield running
