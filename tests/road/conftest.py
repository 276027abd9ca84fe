"""One demo for all tests of the road that leave it as they found it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from demo_process import Demo, wait_for


@pytest.fixture(scope="package", params=["sqlite", "postgresql"])
def demo(request: pytest.FixtureRequest) -> Iterator[Demo]:
    """On each engine; its log has no trouble in the end."""
    running = Demo("--workers", "2", "--store", request.param)
    try:
        yield running
        trouble = [line for line in running.log() if line["level"] in ("warning", "error", "critical")]
    finally:
        assert running.stop() == 0
    assert trouble == []


@pytest.fixture
def eventually() -> Callable[..., Any]:
    return wait_for
