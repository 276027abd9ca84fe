"""What a worker remembers of suppressions: enough to know, without a query, that an address is not suppressed.

For each account in use it keeps the hashes of its rows (``recipients.hash_set``: 9 octets each), and reads what is
new once a second, for all accounts in one query: the ids of an account are given in the order of the commits
(``take_turn`` in ``suppressions``), so nothing of it appears behind what was read of it. A row that was removed is
not told to anybody: its hash stays, and costs a query that finds nothing; once many did, the account is read again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog
from sqlalchemy import BigInteger, Row, bindparam, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from ekiden.access.unavailable import in_time
from ekiden.recipients.hash_set import HashSet
from ekiden.store.errors import told
from ekiden.store.tables import suppression as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

log = structlog.get_logger()

MAX_AGE: Final = 1.0
"""Seconds after which a row of another worker is known here at the latest."""
_FORGET_AFTER: Final = 600.0  # seconds without use
_BATCH: Final = 2_000
"""Rows of a query: more would keep the event loop from others for long."""
_MOST_IN_VAIN: Final = 1_000
"""Queries for hashes whose rows are gone, until the account is read again."""

# Through the index of account and id, account by account.
_COLUMNS = "s.id, s.account_id, s.domain, s.address"
_NEWS_POSTGRESQL = text(
    f"SELECT {_COLUMNS} FROM unnest(:accounts, :cursors) AS k(account_id, after) "  # noqa: S608
    "CROSS JOIN LATERAL (SELECT * FROM suppression AS a WHERE a.account_id = k.account_id AND a.id > k.after "
    "ORDER BY a.id LIMIT :most) AS s LIMIT :most"
).bindparams(bindparam("accounts", type_=ARRAY(BigInteger)), bindparam("cursors", type_=ARRAY(BigInteger)))
_NEWS_SQLITE = text(
    f"SELECT {_COLUMNS} FROM json_each(:keys) AS k CROSS JOIN suppression AS s "  # noqa: S608
    "ON s.account_id = json_extract(k.value, '$[0]') AND s.id > json_extract(k.value, '$[1]') "
    "ORDER BY k.key, s.id LIMIT :most"
)

Key = tuple[str, str]
"""Sending domain and address, as the table has them."""


class _Known:
    __slots__ = ("cursor", "hashes", "in_vain", "ready", "used")

    def __init__(self, used: float) -> None:
        self.hashes = HashSet()
        self.cursor = 0
        """Its rows up to this id are in ``hashes``."""
        self.ready = False
        self.used = used
        self.in_vain = 0


class SuppressionMemory:
    """One per worker. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._accounts: dict[int, _Known] = {}
        self._checked = float("-inf")
        self._rounds = 0
        """How often it has caught up. Clocks are too coarse to say whether it did since."""
        self._catching_up: asyncio.Task[None] | None = None
        self._loading: set[asyncio.Task[None]] = set()

    async def suspects(self, account_id: int, keys: Collection[Key]) -> tuple[list[Key], bool]:
        """Those of ``keys`` that may have a row; the others have none. False: nothing is known yet, all may."""
        if self._clock.monotonic() - self._checked > MAX_AGE:
            await self._catch_up()
        known = self._accounts.get(account_id)
        if known is None:
            known = self._accounts[account_id] = _Known(self._checked)
            task = asyncio.create_task(self._load(account_id, known))
            self._loading.add(task)
            task.add_done_callback(self._loading.discard)
        known.used = self._checked
        if not known.ready:
            return list(keys), False
        hashes = known.hashes
        return [key for key in keys if _hash(key) in hashes], True

    def has_none(self, account_id: int) -> bool:
        """Whether it is known, and lately enough, that the account has no row at all."""
        known = self._accounts.get(account_id)
        return (
            known is not None
            and known.ready
            and not len(known.hashes)
            and self._clock.monotonic() - self._checked <= MAX_AGE
        )

    def in_vain(self, account_id: int, count: int) -> None:
        """``count`` suspects had no row."""
        known = self._accounts.get(account_id)
        if known is not None and known.ready:
            known.in_vain += count
            if known.in_vain >= _MOST_IN_VAIN:
                del self._accounts[account_id]

    def outdated(self) -> None:
        """This worker has written rows itself: they are to be seen at once."""
        self._checked = float("-inf")

    def size(self, account_id: int) -> int | None:
        """How many hashes are kept of an account; ``None``: it is not (yet) remembered."""
        known = self._accounts.get(account_id)
        return len(known.hashes) if known is not None and known.ready else None

    async def close(self) -> None:
        """End what is being read."""
        tasks = [*self._loading]
        for task in tasks:
            task.cancel()
        if self._catching_up is not None:
            tasks.append(self._catching_up)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _catch_up(self) -> None:
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._read_new())
            self._catching_up.add_done_callback(self._caught_up)
        await in_time(self._catching_up)

    def _caught_up(self, task: asyncio.Task[None]) -> None:
        self._catching_up = None
        if not task.cancelled():
            task.exception()  # seen: whoever waited may be gone

    async def _read_new(self) -> None:
        # The time before the query: what is written while it runs is not known yet.
        now = self._clock.monotonic()
        for account_id in [key for key, known in self._accounts.items() if now - known.used > _FORGET_AFTER]:
            del self._accounts[account_id]
        while True:
            asked = {key: known for key, known in self._accounts.items() if known.ready}
            rows = await self._news({key: known.cursor for key, known in asked.items()}) if asked else []
            for row in rows:
                # Not of an account that is read anew meanwhile: of that, what is before is not known yet.
                known = asked[row.account_id]
                known.hashes.add(_hash((row.domain, row.address)))
                known.cursor = max(known.cursor, row.id)
            late = any(known.ready and known is not asked.get(key) for key, known in self._accounts.items())
            if len(rows) < _BATCH and not late:
                self._checked = now
                self._rounds += 1
                return

    async def _news(self, cursors: Mapping[int, int]) -> Sequence[Row[Any]]:
        """Rows behind each account's cursor, at most ``_BATCH``: the first ones of each account that has any."""
        async with self._store.read() as connection:
            if connection.dialect.name == "postgresql":
                values: dict[str, Any] = {"accounts": list(cursors), "cursors": list(cursors.values())}
            else:
                values = {"keys": json.dumps(list(cursors.items()))}
            statement = _NEWS_POSTGRESQL if connection.dialect.name == "postgresql" else _NEWS_SQLITE
            return (await connection.execute(statement, values | {"most": _BATCH})).all()

    async def _load(self, account_id: int, known: _Known) -> None:
        """All rows of an account, a batch at a time. What comes after the last one comes by ``_read_new``."""
        try:
            while True:
                query = (
                    select(table.c.id, table.c.domain, table.c.address)
                    .where(table.c.account_id == account_id, table.c.id > known.cursor)
                    .order_by(table.c.id)
                    .limit(_BATCH)
                )
                began = self._rounds
                async with self._store.read() as connection:
                    rows = (await connection.execute(query)).all()
                for number, domain, address in rows:
                    known.hashes.add(_hash((domain, address)))
                    known.cursor = number
                if len(rows) < _BATCH:
                    known.ready = True
                    if began < self._rounds:
                        self.outdated()  # others are known better: before anybody relies on it, they are alike
                    return
        except Exception as error:
            told(log, "suppressions cannot be read", error, account=account_id)
            if self._accounts.get(account_id) is known:
                del self._accounts[account_id]  # whoever asks next tries again


def _hash(key: Key) -> int:
    # Python's own is keyed anew in each process: nobody outside can choose addresses that collide.
    return hash(key) & 0xFFFF_FFFF_FFFF_FFFF
