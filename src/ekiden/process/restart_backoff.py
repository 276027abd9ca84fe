"""How long a worker that ended is waited for before another one starts."""

from __future__ import annotations


class Backoff:
    """How long to wait before a worker that ended is started again: twice as long each time, until one stays."""

    def __init__(self, first: float = 0.1, most: float = 30.0, healthy_after: float = 60.0) -> None:
        """In seconds. Who lived for ``healthy_after`` was well: the next wait is the first one again."""
        self._first = first
        self._most = most
        self._healthy_after = healthy_after
        self._next = first

    def after(self, lived: float) -> float:
        """Seconds to wait now that the worker has ended ``lived`` seconds after its start."""
        if lived >= self._healthy_after:
            self._next = self._first
        wait = self._next
        self._next = min(self._most, wait * 2)
        return wait
