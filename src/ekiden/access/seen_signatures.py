"""Signatures of calls that create something, each good for one call, on every worker: who repeats a request that
was overheard must not have its work done twice.

What somebody with a good key can do with it is bounded: rows of an account go when a signature of theirs would be
too old anyway, ``MOST`` of them an account may leave with one worker in that time, and what this worker has seen is
refused without asking the store.
"""

from __future__ import annotations

import asyncio
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from sqlalchemy.dialects import postgresql, sqlite

from ekiden.access.failures import SlidingCounter
from ekiden.access.unavailable import in_time
from ekiden.limits.lru import Lru
from ekiden.store.tables import seen_signature as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

WINDOW: Final = 600.0
"""Seconds: twice what a signature may be early or late."""
MOST: Final = 300_000
"""Of an account and a worker within ``WINDOW``: five hundred a second. A row has some forty octets."""
_DIGEST: Final = 16
"""Octets of an HMAC that are kept."""
_MAX_REMEMBERED: Final = 20_000
_BATCH: Final = 200


class Seen(Enum):
    """What is known of a signature."""

    NEVER = auto()
    BEFORE = auto()
    TOO_MANY = auto()
    """The account has used so many lately that no more are remembered: ask later."""


class _Key(NamedTuple):
    account_id: int
    at: Millis
    digest: bytes


class SeenSignatures:
    """One per worker."""

    def __init__(self, store: Store, clock: Clock, *, most: int = MOST) -> None:
        self._store = store
        self._clock = clock
        self._most = most
        dialect = sqlite if store.engine == "sqlite" else postgresql
        self._insert = dialect.insert(table).on_conflict_do_nothing().returning(*table.c)
        self._known: Lru[_Key, None] = Lru(_MAX_REMEMBERED)
        self._counts = SlidingCounter(WINDOW)
        self._waiting: dict[_Key, asyncio.Future[bool]] = {}
        self._task: asyncio.Task[None] | None = None

    async def see(self, account_id: int, at: Millis, digest: bytes) -> Seen:
        """Whether somebody has asked before, on any worker; from now on somebody has. ``at``: the time that is
        signed; ``digest``: the HMAC. Raises ``StoreUnavailable``: then it may not count as used."""
        key = _Key(account_id, at, digest[:_DIGEST])
        if key in self._known:
            return Seen.BEFORE
        now = self._clock.monotonic()
        if self._counts.get(str(account_id), now) >= self._most:
            return Seen.TOO_MANY
        self._counts.add(str(account_id), now)
        self._known.put(key, None)
        found = self._waiting[key] = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        return Seen.NEVER if await in_time(found) else Seen.BEFORE

    async def close(self) -> None:
        """Wait for what is being written."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Those who ask at the same time share a transaction."""
        try:
            while self._waiting:
                # In one order on every worker, so that none of them waits for another that waits for it.
                batch = sorted(list(self._waiting.items())[:_BATCH], key=lambda item: item[0])
                for key, _ in batch:
                    del self._waiting[key]
                try:
                    news = await self._write([key for key, _ in batch])
                except Exception as error:
                    for key, found in batch:
                        self._known.pop(key, None)
                        if not found.done():
                            found.set_exception(error)
                            found.exception()  # seen: whoever waited may be gone
                else:
                    for (_, found), new in zip(batch, news, strict=True):
                        if not found.done():
                            found.set_result(new)
        finally:
            self._task = None

    async def _write(self, keys: list[_Key]) -> list[bool]:
        async with self._store.write() as connection:
            rows = await connection.execute(self._insert, [key._asdict() for key in keys])
            new = {_Key(*row) for row in rows}
        return [key in new for key in keys]
