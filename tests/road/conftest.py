"""One demo for all tests of the road that leave it as they found it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from infobip_road import UNTHROTTLED, InfobipRoad

from support.demo_process import Demo, wait_for
from support.official_clients import cmc_python, infobip_5, infobip_6, infobip_node

__all__ = ["cmc_python", "infobip_5", "infobip_6", "infobip_node"]


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """On each engine; its log has no trouble in the end."""
    running = Demo("--workers", "2", "--store", request.param, environment=UNTHROTTLED)
    try:
        yield running
        trouble = running.trouble()
    finally:
        assert running.stop() == 0
    assert trouble == []


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return wait_for


@pytest.fixture
def road(demo: Demo) -> InfobipRoad:
    """The demo as customers of Infobip's API see it."""
    return InfobipRoad(demo)
