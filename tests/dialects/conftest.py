"""Servers of the dialects, on either engine. The lab is their DNS."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from ibm_cloud import Cloud, running_cloud
from infobip_cloud import Cloud as InfobipCloud
from infobip_cloud import running_infobip
from infobip_outcomes import Outcomes

from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.lab import Lab
from ekiden.store.api import Store
from support.official_clients import cmc_python, infobip_5, infobip_6, infobip_node, infobip_sdk

__all__ = ["cmc_python", "infobip_5", "infobip_6", "infobip_node", "infobip_sdk"]


@pytest.fixture
async def cloud(store: Store) -> AsyncIterator[Cloud]:
    """A running server with an account and an instance."""
    async with Lab(catalogue={}) as lab, running_cloud(store, lab) as running:
        yield running


@pytest.fixture
async def infobip(store: Store) -> AsyncIterator[InfobipCloud]:
    """A running server of the Infobip dialect, with an account and a domain."""
    async with Lab(catalogue={}) as lab, running_infobip(store, lab) as running:
        yield running


@pytest.fixture
async def infobip_all(store: Store) -> AsyncIterator[InfobipCloud]:
    """The same with every operation, and without throttles."""
    throttled = [name for name in InfobipConfig.__struct_fields__ if "_per_" in name]
    config = InfobipConfig(**dict.fromkeys(throttled, 0))
    async with Lab(catalogue={}) as lab, running_infobip(store, lab, config=config) as running:
        yield running


@pytest.fixture
async def outcomes(infobip_all: InfobipCloud) -> Outcomes:
    """What becomes of its messages."""
    return await Outcomes.make(infobip_all)
