"""Quotas of accounts: an exact upper bound over all workers, without asking the store for each message.

A worker reserves *blocks* of recipients in the table ``quota_usage``, in one short transaction each, and then gives
them away from memory. What is reserved counts as used, so the sum over all workers never exceeds a limit; what a
worker has left when a window ends, or when the quota is changed, it gives back to the longer windows around it. In
exchange, others may find so much less for the time being: a thirty-second of what there was for each other worker,
and where workers are many, less of it, so that all together have an eighth. What a worker has not touched for some
seconds it gives back, too.

Over the quota, a message counts in the window to which it is delayed: the first one that has room in the minute,
the hour and the day. Those that are delayed therefore use up later windows in the order of their coming, and
nothing waits for somebody to release it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog
from sqlalchemy import and_, bindparam, func, insert, or_, select, update

from ekiden.access.accounts import WINDOWS, Quota
from ekiden.access.errors import AccessError
from ekiden.access.quota_windows import Ledger, Window, window_start
from ekiden.core.clock import DAY, SECOND, Millis
from ekiden.store.errors import told
from ekiden.store.tables import account as account_table
from ekiden.store.tables import quota_usage as table
from ekiden.store.tables import worker

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.access.directory import AccountFacts
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

log = structlog.get_logger()

HORIZON: Millis = 3 * DAY
"""How far a message may be delayed: it must be delivered, with retries, before it expires."""
_PART = 32
_ALL = 8
"""One block is at most one of so many parts of the room, all blocks together are one of these."""
_UNUSED: Millis = 3 * SECOND
"""A block that nobody has taken from for so long goes back, within as long again."""
_COUNT_AGAIN: Millis = 10 * SECOND
_MAX_BLOCK = 500
_BELIEVED: Millis = SECOND
"""So long a refusal is repeated without asking the store again."""
_MAX_ACCOUNTS = 10_000
_BATCH = 200
"""Accounts of one transaction that gives back: others wait for it."""


class OverQuota(AccessError):
    """There is no room for the message; there will be at ``until``."""

    def __init__(self, until: Millis) -> None:
        when = datetime.fromtimestamp(until / SECOND, UTC).isoformat(" ", "seconds")
        super().__init__("the quota is used up; there is room again at {until}", until=when)
        self.until = until


@dataclass(slots=True)
class _Block:
    """``left`` recipients that this worker may still give away in the slot from ``start`` to ``end``.

    Before ``start`` there was no room when it was reserved: the search goes on from there.
    """

    quota: Quota
    start: Millis
    end: Millis
    left: int
    touched: float
    """By the monotonic clock: when it was made, or was last seen to have changed."""
    seen: int = -1
    """What was left when that was looked at."""


@dataclass(slots=True)
class _Refused:
    quota: Quota
    count: int
    at: Millis
    until: Millis


@dataclass(slots=True)
class _Waiting:
    account: AccountFacts
    count: int
    now: Millis
    answer: asyncio.Future[Millis]


class Quotas:
    """One per worker. Close it at the end."""

    def __init__(self, store: Store, clock: Clock, *, horizon: Millis = HORIZON) -> None:
        self._store = store
        self._clock = clock
        self._horizon = horizon
        self._blocks: dict[int, _Block] = {}
        self._refused: dict[int, _Refused] = {}
        self._waiting: dict[int, list[_Waiting]] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._returning: asyncio.Task[None] | None = None
        self._closed = asyncio.Event()
        self._workers = 1
        self._counted: float | None = None

    def take(self, account: AccountFacts, count: int, now: Millis) -> Millis | None:
        """Count a message of ``now`` to ``count`` recipients; returns the time from which it may be sent.

        That is ``now`` itself when it may be sent at once. ``None``: nothing was counted, ask ``reserve``.
        """
        quota = account.quota
        if not quota.limited:
            return now
        block = self._blocks.get(account.id)
        if block is None or count > block.left or now >= block.end or block.quota != quota:
            return None
        block.left -= count
        return max(now, block.start)

    async def reserve(self, account: AccountFacts, count: int, now: Millis) -> Millis:
        """What ``take`` could not tell. Raises ``OverQuota`` or what the store raises; nothing was counted then."""
        refused = self._refused.get(account.id)
        if refused is not None:
            age = self._clock.now() - refused.at
            if refused.quota == account.quota and count == refused.count and 0 <= age < _BELIEVED:
                raise OverQuota(refused.until)
        answer: asyncio.Future[Millis] = asyncio.get_running_loop().create_future()
        # Who asks while a transaction runs shares the next one.
        self._waiting.setdefault(account.id, []).append(_Waiting(account, count, now, answer))
        if account.id not in self._tasks:
            self._tasks[account.id] = asyncio.create_task(self._serve(account.id))
        return await answer

    def give_back(self, account: AccountFacts, count: int, at: Millis) -> None:
        """``count`` recipients that ``take`` or ``reserve`` put at ``at`` are not mailed: others of this worker may
        be instead. They stay reserved, and are forgotten when what this worker has left is in another slot."""
        quota = account.quota
        slot, _ = quota.limits[0]
        block = self._blocks.get(account.id)
        if block is None:
            start = window_start(at, slot)
            end = start + slot * SECOND
            block = self._blocks[account.id] = _Block(quota, start, end, 0, self._clock.monotonic())
            self._return_later()
        if block.quota == quota and block.start <= at < block.end:
            block.left += min(count, *(limit for _, limit in quota.limits))

    async def close(self) -> None:
        """Finish what is under way, and give back what is left; if that fails it stays counted."""
        self._closed.set()
        if self._returning is not None:
            await asyncio.gather(self._returning, return_exceptions=True)
        await asyncio.gather(*self._tasks.values())
        await self._give_up(list(self._blocks))

    def _return_later(self) -> None:
        """While there are blocks, somebody looks whether they are used; nothing runs for accounts at rest."""
        if self._returning is None and not self._closed.is_set():
            self._returning = asyncio.create_task(self._return_unused(), name="unused quota")

    async def _return_unused(self) -> None:
        try:
            while self._blocks and not self._closed.is_set():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_UNUSED / SECOND):
                        await self._closed.wait()
                await self._give_up(self.unused(self._clock.monotonic()))
        finally:
            self._returning = None

    def unused(self, now: float) -> list[int]:
        """Accounts whose block nobody has touched for a while; none that is just being filled."""
        found = []
        for account_id, block in self._blocks.items():
            if block.left != block.seen:
                block.seen, block.touched = block.left, now
            elif now - block.touched >= _UNUSED / SECOND * 0.9 and account_id not in self._tasks:
                found.append(account_id)
        return found

    async def _give_up(self, accounts: list[int]) -> None:
        """What is left of these blocks is for others; if that fails it stays counted."""
        for start in range(0, len(accounts), _BATCH):
            await self._give_up_some(accounts[start : start + _BATCH])

    async def _give_up_some(self, accounts: list[int]) -> None:
        now = self._clock.now()
        returned: dict[tuple[int, Window], int] = {}
        for account_id in accounts:
            # Out of memory before it is given back: nobody may take from it meanwhile.
            block = self._blocks.pop(account_id, None)
            if block is None or not block.left:
                continue
            ledger = Ledger(block.quota.limits, {})
            ledger.give_back(block.left, block.start, now, WINDOWS)
            returned.update({(account_id, window): count for window, count in ledger.added.items() if count})
        if not returned:
            return
        try:
            async with self._store.write() as connection:
                await _add(connection, returned)
        except Exception as error:
            told(log, "what is left of quotas is not given back", error)

    async def _serve(self, account_id: int) -> None:
        try:
            while waiting := self._waiting.pop(account_id, None):
                try:
                    await self._reserve(account_id, [item for item in waiting if not item.answer.done()])
                except Exception as error:
                    for item in waiting:
                        if not item.answer.done():
                            item.answer.set_exception(error)
        finally:
            del self._tasks[account_id]

    async def _reserve(self, account_id: int, asked: list[_Waiting]) -> None:
        waiting = []
        for item in asked:
            # The transaction before this one may have left enough.
            at = self.take(item.account, item.count, item.now)
            if at is None:
                waiting.append(item)
            else:
                item.answer.set_result(at)
        if not waiting:
            return
        quota = waiting[-1].account.quota
        now = self._clock.now()
        # Out of memory before it is given back: nobody may take from it meanwhile.
        old = self._blocks.pop(account_id, None)
        after = max(now, old.start) if old is not None and old.quota == quota and now < old.end else now
        until = now + self._horizon
        async with self._store.write() as connection:
            ledger = await _open(connection, account_id, quota, after, until)
            if old is not None:
                ledger.give_back(old.left, old.start, after, [seconds for seconds, _ in old.quota.limits])
            before = until if quota.action == "delay" else now + 1
            plan = _Plan(ledger, quota, after, before, await self._living(connection), self._clock.monotonic())
            starts = [plan.place(item.count) for item in waiting]
            kept = plan.keep()
            changes = {(account_id, window): count for window, count in ledger.added.items() if count}
            await _add(connection, changes, ledger.used)
        # From here on it is on stable storage.
        if kept is not None:
            self._blocks[account_id] = kept
            self._forget(now)
            self._return_later()
        for item, start in zip(waiting, starts, strict=True):
            if start is None:
                found = ledger.find(item.count, after, until)
                refused = _Refused(quota, item.count, now, until if found is None else found)
                self._refused[account_id] = refused
                if not item.answer.done():
                    item.answer.set_exception(OverQuota(refused.until))
            elif not item.answer.done():
                item.answer.set_result(max(item.now, start))

    async def _living(self, connection: AsyncConnection) -> int:
        """How many workers share the room, as of a moment ago."""
        now = self._clock.monotonic()
        if self._counted is None or now - self._counted >= _COUNT_AGAIN / SECOND:
            query = select(func.count()).select_from(worker).where(worker.c.ended_at.is_(None))
            self._workers = max(1, await connection.scalar(query) or 0)
            self._counted = now
        return self._workers

    def _forget(self, now: Millis) -> None:
        """Bound the memory: what is over goes, if there are many."""
        if len(self._blocks) + len(self._refused) > _MAX_ACCOUNTS:
            self._blocks = {key: block for key, block in self._blocks.items() if now < block.end}
            self._refused = {key: item for key, item in self._refused.items() if now - item.at < _BELIEVED}


class _Plan:
    """What one transaction reserves: places for those who wait, and a block for those who come next."""

    def __init__(
        self, ledger: Ledger, quota: Quota, after: Millis, before: Millis, workers: int, now: float
    ) -> None:
        """``workers`` share the room; ``now`` is by the monotonic clock."""
        self._part = max(_PART, _ALL * workers)
        self._now = now
        self._ledger = ledger
        self._quota = quota
        self._after = after
        self._before = before
        self._placed: dict[Millis, int] = {}

    def place(self, count: int) -> Millis | None:
        """The start of the first slot with room for ``count``, which is counted there; ``None``: there is none."""
        start = self._ledger.find(count, self._after, self._before)
        if start is not None:
            self._ledger.put(count, start)
            self._placed[start] = self._placed.get(start, 0) + count
        return start

    def keep(self) -> _Block | None:
        """A block in the first slot that has any room; ``None``: there is no such slot."""
        start = self._ledger.find(1, self._after, self._before)
        if start is None:
            return None
        placed = self._placed.get(start, 0)
        room = self._ledger.room(start)
        left = max(0, min((room + placed) // self._part, _MAX_BLOCK) - placed)
        self._ledger.put(left, start)
        return _Block(self._quota, start, start + self._ledger.slot, left, self._now)


async def usage(store: Store, account_id: int, now: Millis) -> dict[int, int]:
    """Recipients that count in the windows of now, by the length of the window in seconds; with those reserved."""
    windows = [
        and_(table.c.seconds == seconds, table.c.starts_at == window_start(now, seconds)) for seconds in WINDOWS
    ]
    query = select(table.c.seconds, table.c.used).where(table.c.account_id == account_id, or_(*windows))
    async with store.read() as connection:
        found = {row.seconds: row.used for row in await connection.execute(query)}
    return {seconds: found.get(seconds, 0) for seconds in WINDOWS}


async def _open(
    connection: AsyncConnection, account_id: int, quota: Quota, after: Millis, before: Millis
) -> Ledger:
    """What counts in the windows from ``after`` to ``before``."""
    # The lock that makes two workers take turns; SQLite's writers do anyway.
    await connection.execute(
        select(account_table.c.id).where(account_table.c.id == account_id).with_for_update(key_share=True)
    )
    windows = [
        and_(
            table.c.seconds == seconds,
            table.c.starts_at >= window_start(after, seconds),
            table.c.starts_at < before,
        )
        for seconds, _ in quota.limits
    ]
    query = select(table.c.seconds, table.c.starts_at, table.c.used).where(
        table.c.account_id == account_id, or_(*windows)
    )
    used = {(row.seconds, row.starts_at): row.used for row in await connection.execute(query)}
    return Ledger(quota.limits, used)


async def _add(
    connection: AsyncConnection,
    changes: Mapping[tuple[int, Window], int],
    known: Mapping[Window, int] | None = None,
) -> None:
    """Add to ``used`` of rows by account and window. Windows that are not ``known`` (``None``: all are) are new."""
    old: list[dict[str, int]] = []
    new: list[dict[str, int]] = []
    for (account_id, window), count in sorted(changes.items()):
        row = {"account": account_id, "window": window[0], "start": window[1], "count": count}
        (old if known is None or window in known else new).append(row)
    if old:
        statement = (
            update(table)
            .where(
                table.c.account_id == bindparam("account"),
                table.c.seconds == bindparam("window"),
                table.c.starts_at == bindparam("start"),
            )
            .values(used=table.c.used + bindparam("count"))
        )
        await connection.execute(statement, old)
    if new:
        await connection.execute(
            insert(table),
            [
                {
                    "account_id": row["account"],
                    "seconds": row["window"],
                    "starts_at": row["start"],
                    "used": row["count"],
                }
                for row in new
            ],
        )
