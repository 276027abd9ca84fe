"""The workers that run with one configuration, and what the supervisor remembers of each of them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import msgspec

from ekiden.config.model import Config
from ekiden.process.listening_ports import Ports
from ekiden.process.restart_backoff import Backoff

# What cannot change while workers of both configurations run beside each other.
_FIXED = ("data_dir", "store.url", "lab.enabled")


class Slots:
    """Places in shared memory. The lowest that is free is taken, so that few are ever looked at."""

    def __init__(self, first: int, count: int) -> None:
        self._free = list(range(first, first + count))

    def __len__(self) -> int:
        return len(self._free)

    def take(self) -> int | None:
        """``None``: all of them are in use; a start must wait until a worker has ended."""
        return heapq.heappop(self._free) if self._free else None

    def give(self, slot: int) -> None:
        heapq.heappush(self._free, slot)


@dataclass
class Place:
    """One of the ``workers.count`` workers there should be; survives the processes that fill it."""

    number: int
    backoff: Backoff
    start_at: float | None = 0.0
    predecessor: int | None = None


@dataclass(eq=False)
class Generation:
    """``fitted`` is the configuration with the bounds that the system has room for."""

    config: Config
    fitted: Config
    ports: Ports
    places: list[Place]
    began: float
    ready: bool = False
    early_ends: int = 0
    """Workers that ended before all of them had been ready once."""


@dataclass(eq=False)
class Child:
    """A process. ``beat`` and ``silent`` are what the supervisor last saw of its event loop: see ``beats``."""

    pid: int
    slot: int
    pipe: int
    generation: Generation
    started: float
    place: Place
    ready: bool = False
    draining: bool = False
    kill_at: float | None = None
    registration: int | None = None
    failed: str = ""
    report: bytes = b""
    beat: int = 0
    silent: float = field(default=0.0)


def keep_fixed(new: Config, old: Config) -> tuple[Config, list[str]]:
    """``new``, with what only a restart can change as it was; and the keys that differ there."""
    changed = [key for key in _FIXED if _get(new, key) != _get(old, key)]
    return msgspec.structs.replace(new, data_dir=old.data_dir, store=old.store, lab=old.lab), changed


def _get(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value
