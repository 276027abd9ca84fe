"""The clients themselves, and a server that only listens."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from client_stub import Stub, running_stub

from support.browser import page
from support.official_clients import cmc_python, infobip_5, infobip_6, infobip_node, infobip_sdk, nodemailer

__all__ = ["cmc_python", "infobip_5", "infobip_6", "infobip_node", "infobip_sdk", "nodemailer", "page"]


@pytest.fixture
async def stub() -> AsyncIterator[Stub]:
    async with running_stub() as running:
        yield running
