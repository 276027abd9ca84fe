"""Which hosts answer nobody: one breaker for all URLs of an account at one of them.

Each endpoint has a breaker of its own. But an account may name thousands of URLs at a host that is down, one for
each message, and each of them would find that out by itself, for as long as a request may take. What one account
sees says nothing about another's requests: who can make a host look dead must not be able to do it for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from ekiden.core.clock import Clock, Millis
from ekiden.limits.lru import Lru
from ekiden.notify.schedule import wait_after

SILENT: int = 3
"""Rounds in a row without any answer, after which a host counts as down."""
_MOST = 20_000


@dataclass(slots=True)
class _Silence:
    rounds: int = 0
    until: Millis = 0
    probing: bool = False


class Origins:
    """One per outbox, in memory: after a restart it takes ``SILENT`` rounds to learn it again."""

    def __init__(self, clock: Clock, longest: Millis) -> None:
        """``longest``: the most between two tries."""
        self._clock = clock
        self._longest = longest
        self._silent: Lru[tuple[int, str], _Silence] = Lru(_MOST)

    def may_try(self, account_id: int, url: str) -> bool:
        """False: the host was silent just now, or somebody is finding out whether it still is."""
        silence = self._silent.get((account_id, _origin(url)))
        if silence is None or silence.rounds < SILENT:
            return True
        if silence.probing or self._clock.now() < silence.until:
            return False
        silence.probing = True
        return True

    def answered(self, account_id: int, url: str) -> None:
        """There was an answer, whatever it said."""
        self._silent.pop((account_id, _origin(url)), None)

    def was_silent(self, account_id: int, url: str) -> None:
        """A round ended without any answer."""
        key = (account_id, _origin(url))
        silence = self._silent.get(key)
        if silence is None:
            silence = _Silence()
            self._silent.put(key, silence)
        if silence.rounds >= SILENT and not silence.probing:
            return  # it had begun before the host counted as down
        silence.probing = False
        silence.rounds += 1
        if silence.rounds >= SILENT:
            failures = silence.rounds - SILENT + 1
            silence.until = self._clock.now() + wait_after(failures, self._longest)

    def not_tried(self, account_id: int, url: str) -> None:
        """A round that ``may_try`` let through ended without a request: another one may find out."""
        silence = self._silent.get((account_id, _origin(url)))
        if silence is not None:
            silence.probing = False


def _origin(url: str) -> str:
    """Scheme, host and port: ``https://hooks.example:8443``."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}".lower()
