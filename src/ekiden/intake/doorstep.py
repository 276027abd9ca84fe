"""The coarse check when a client connects: could any rule of any account let it in at all?

Only for listeners that serve nobody but SMTP users, whose networks are closed until a rule opens them. Which
account a client belongs to shows at AUTH only; the exact check is made there (``intake.sender_rights``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import structlog

from ekiden.access.accounts import revisions
from ekiden.net.listen import Networks
from ekiden.networks.rule_evaluation import AddressUnion, load_union
from ekiden.senders.legacy_allowlist import LEGACY_PERIOD, load_lists
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

log = structlog.get_logger()

_READ_AGAIN: Final = 60.0
"""Seconds: deprecated lists end by themselves."""


class Doorstep:
    """One per worker. Knows what it knows for ``max_age`` seconds; after that it lets everybody on to AUTH."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        groups: Mapping[str, Sequence[str]] | None = None,
        legacy_period: Millis = LEGACY_PERIOD,
        max_age: float = 1.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._groups = groups or {}
        self._legacy_period = legacy_period
        self._max_age = max_age
        self._union: AddressUnion | None = None
        self._listed = Networks()
        self._checked_at = 0.0
        self._read_at = 0.0
        self._state: tuple[int, int] | None = None
        self._task: asyncio.Task[None] | None = None

    def admits(self, client: str, endpoint: str) -> bool:
        """False: no rule of anybody lets this address in."""
        now = self._clock.monotonic()
        fresh = self._union is not None and now - self._checked_at <= self._max_age
        if not fresh and self._task is None:
            self._task = asyncio.create_task(self._read(now))
        if not fresh or self._union is None:
            return True
        return (client, endpoint) in self._union or client in self._listed

    async def close(self) -> None:
        """Wait for a query that is on its way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self, began: float) -> None:
        try:
            async with self._store.read() as connection:
                # Each change to anything of an account counts its revision up, so the sum tells whether all is
                # as it was: then the rules of everybody need not be read and compiled again.
                state = await revisions(connection)
                if state != self._state or began - self._read_at > _READ_AGAIN:
                    self._union = await load_union(connection, self._groups)
                    self._listed = await load_lists(connection, self._clock.now() - self._legacy_period)
                    self._state = state
                    self._read_at = began
            self._checked_at = began
        except Exception as error:
            told(log, "network rules cannot be read", error)
        finally:
            self._task = None
