"""A signature is good for one call that creates something, whichever worker is asked."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import func, select

from ekiden.access.seen_signatures import Seen, SeenSignatures
from ekiden.core.clock import MINUTE
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.retention import RetentionConfig, prune
from ekiden.store.tables import seen_signature
from support.manual_clock import ManualClock
from support.stores_away import come_back, store_away

NOW = 1_800_000_000_000


def digest(number: int) -> bytes:
    return number.to_bytes(32, "little")


async def count(store: Store) -> int:
    async with store.read() as connection:
        return await connection.scalar(select(func.count()).select_from(seen_signature)) or 0


async def test_the_first_to_ask_has_it(store: Store) -> None:
    one, other = SeenSignatures(store, ManualClock()), SeenSignatures(store, ManualClock())
    assert await one.see(1, NOW, digest(1)) is Seen.NEVER
    for seen in (one, other):
        assert await seen.see(1, NOW, digest(1)) is Seen.BEFORE
    # Of another account, time or secret it is another.
    assert await other.see(2, NOW, digest(1)) is Seen.NEVER
    assert await other.see(1, NOW + 1, digest(1)) is Seen.NEVER
    assert await other.see(1, NOW, digest(2)) is Seen.NEVER
    assert await count(store) == 4


async def test_many_at_once_on_two_workers(store: Store) -> None:
    """In any order, as they come; each is somebody's, and neither worker waits for the other for ever."""
    workers = SeenSignatures(store, ManualClock()), SeenSignatures(store, ManualClock())
    asked = [(worker, number) for worker in workers for number in range(300)]
    asked = asked[::2] + asked[1::2][::-1]
    found = await asyncio.gather(*(worker.see(1, NOW, digest(number)) for worker, number in asked))
    firsts = [number for (_, number), seen in zip(asked, found, strict=True) if seen is Seen.NEVER]
    assert sorted(firsts) == list(range(300))
    assert await count(store) == 300


async def test_an_account_cannot_fill_the_table(store: Store) -> None:
    clock = ManualClock()
    seen = SeenSignatures(store, clock, most=20)
    found = [await seen.see(1, NOW, digest(number)) for number in range(25)]
    assert found == [Seen.NEVER] * 20 + [Seen.TOO_MANY] * 5
    assert await count(store) == 20
    # What is known stays refused, others are not concerned, and later there is room again.
    assert await seen.see(1, NOW, digest(0)) is Seen.BEFORE
    assert await seen.see(2, NOW, digest(0)) is Seen.NEVER
    clock.advance(20 * MINUTE)
    assert await seen.see(1, NOW, digest(24)) is Seen.NEVER


async def test_rows_go_when_nobody_would_take_the_signature(store: Store) -> None:
    seen = SeenSignatures(store, ManualClock())
    for number, age in enumerate((0, 10, 14, 16, 60)):
        await seen.see(1, NOW - age * MINUTE, digest(number))
    removed = await prune(store, NOW, RetentionConfig())
    assert removed == {"seen_signature": 2}
    assert await count(store) == 3


async def test_what_could_not_be_written_may_be_asked_again(tmp_path: Path) -> None:
    async with store_away(tmp_path) as away:
        seen = SeenSignatures(away, ManualClock())
        with pytest.raises(StoreUnavailable):
            await seen.see(1, NOW, digest(1))
        await come_back(tmp_path)
        assert await seen.see(1, NOW, digest(1)) is Seen.NEVER
        await seen.close()
