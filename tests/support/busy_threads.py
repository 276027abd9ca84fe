"""Threads that work beside a test, until the block that they belong to ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

PATIENCE = 120.0  # seconds; only reached when something is broken


class BusyThreads:
    """``works`` look at ``_stop`` again and again, which is set when the block ends; after it none is left."""

    def __init__(self, *works: Callable[[], None]) -> None:
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not any(thread.is_alive() for thread in self._threads)
