"""How often something has been tried, for greylisting and other behaviours that change with time."""

from __future__ import annotations

from typing import NamedTuple

MAX_TRIES = 200_000  # keys that are remembered


class Try(NamedTuple):
    """The how-manieth try of a sender and recipient this is, and when the first was (loop seconds)."""

    number: int
    first_at: float


class Tries:
    """Counts tries by key; forgets the oldest keys beyond ``MAX_TRIES``."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, ...], Try] = {}

    def again(self, key: tuple[str, ...], now: float) -> Try:
        old = self._seen.pop(key, None)
        new = Try(1, now) if old is None else Try(old.number + 1, old.first_at)
        if len(self._seen) >= MAX_TRIES:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = new
        return new

    def forget(self, domain: str) -> None:
        """Start again for every key that begins with ``domain``."""
        self._seen = {key: value for key, value in self._seen.items() if key[0] != domain}
