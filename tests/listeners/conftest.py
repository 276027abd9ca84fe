"""Listeners that are started for a test and stopped behind it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from listener_harness import Harness, Make


@pytest.fixture
def make(tmp_path: Path, sqlite_template: Path) -> Iterator[Make]:
    """Makes started harnesses, and stops them."""
    made: list[Harness] = []

    def one(**options: Any) -> Harness:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        harness = Harness(folder, sqlite_template, **options)
        made.append(harness)
        return harness.__enter__()

    yield one
    for harness in made:
        harness.__exit__()
