"""Quotas: never more than the limit in a window, whoever counts, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.schema import DropTable

from ekiden.access.accounts import WINDOWS, Quota, create_account, set_quota
from ekiden.access.accounts import OverQuota as WhenOver
from ekiden.access.directory import AccountFacts, Directory
from ekiden.access.quota_windows import Ledger, window_start
from ekiden.access.quotas import HORIZON, OverQuota, Quotas, usage
from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.states import Priority
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.tables import quota_usage
from support.manual_clock import ManualClock

MIDNIGHT = 1_767_225_600_000
"""Where the manual clock begins: a minute, an hour and a day begin, too."""
NAMES = (f"account {number}" for number in range(1_000_000))


async def an_account(store: Store, quota: Quota) -> AccountFacts:
    made = await create_account(store, next(NAMES), 0)
    return AccountFacts(made.id, made.name, Priority.STANDARD, False, quota=quota)


async def send(quotas: Quotas, account: AccountFacts, now: Millis, count: int = 1) -> Millis:
    at = quotas.take(account, count, now)
    return await quotas.reserve(account, count, now) if at is None else at


def by_window(sent: Sequence[tuple[Millis, int]], seconds: int) -> dict[Millis, list[int]]:
    found: dict[Millis, list[int]] = {}
    for at, count in sent:
        found.setdefault(window_start(at, seconds), []).append(count)
    return found


def check_limits(sent: Sequence[tuple[Millis, int]], quota: Quota) -> None:
    """No window has more than its limit, but for one message that is larger than the window."""
    for seconds, limit in quota.limits:
        for counts in by_window(sent, seconds).values():
            assert sum(counts) <= limit or len(counts) == 1, (seconds, limit, counts)


async def stored(store: Store, account: AccountFacts, seconds: int) -> dict[Millis, int]:
    query = select(quota_usage.c.starts_at, quota_usage.c.used).where(
        quota_usage.c.account_id == account.id, quota_usage.c.seconds == seconds
    )
    async with store.read() as connection:
        return {row.starts_at: row.used for row in await connection.execute(query)}


# windows, as values


def test_windows_begin_at_multiples_of_their_length() -> None:
    at = MIDNIGHT + 5 * HOUR + 7 * MINUTE + 9 * SECOND + 3
    assert [window_start(at, seconds) - MIDNIGHT for seconds in WINDOWS] == [5 * HOUR + 7 * MINUTE, 5 * HOUR, 0]
    assert [window_start(MIDNIGHT, seconds) for seconds in WINDOWS] == [MIDNIGHT] * 3


@pytest.mark.parametrize(
    ("quota", "used", "count", "found"),
    [
        (Quota(minute=10), {}, 10, 0),
        (Quota(minute=10), {(60, 0): 1}, 10, MINUTE),
        (Quota(minute=10), {(60, 0): 9}, 1, 0),
        (Quota(minute=10), {(60, 0): 10, (60, MINUTE): 10}, 1, 2 * MINUTE),
        (Quota(minute=10, hour=20), {(3600, 0): 20}, 1, HOUR),
        (Quota(minute=10, hour=20), {(3600, 0): 20, (60, HOUR): 10}, 1, HOUR + MINUTE),
        (Quota(minute=10, day=20), {(86_400, 0): 20}, 1, DAY),
        (Quota(hour=10, day=20), {(3600, 0): 10, (86_400, 0): 15}, 6, DAY),
        (Quota(hour=10, day=20), {(3600, 0): 10, (86_400, 0): 15}, 5, HOUR),
        (Quota(minute=10), {}, 11, 0),
        (Quota(minute=10), {(60, 0): 1}, 1000, MINUTE),
        (Quota(minute=10, day=20), {(86_400, 0): 1}, 21, DAY),
        (Quota(minute=10), {(60, 0): 99}, 1, MINUTE),
        (Quota(day=1), {(86_400, 0): 1, (86_400, DAY): 1, (86_400, 2 * DAY): 1}, 1, None),
    ],
)
def test_the_first_slot_with_room(
    quota: Quota, used: dict[tuple[int, Millis], int], count: int, found: Millis | None
) -> None:
    ledger = Ledger(
        quota.limits, {(seconds, MIDNIGHT + start): number for (seconds, start), number in used.items()}
    )
    at = ledger.find(count, MIDNIGHT + 7, MIDNIGHT + HORIZON)
    assert at == (None if found is None else MIDNIGHT + found)


LIMIT = st.none() | st.integers(1, 30)
QUOTA = st.builds(Quota, minute=LIMIT, hour=LIMIT, day=LIMIT).filter(lambda quota: bool(quota.limits))


@given(quota=QUOTA, counts=st.lists(st.integers(1, 40), max_size=60))
def test_a_ledger_keeps_every_limit_and_uses_the_first_room(quota: Quota, counts: list[int]) -> None:
    ledger = Ledger(quota.limits, {})
    sent: list[tuple[Millis, int]] = []
    for count in counts:
        at = ledger.find(count, MIDNIGHT, MIDNIGHT + 100 * DAY)
        assert at is not None, "a window without anything has room for everything"
        ledger.put(count, at)
        sent.append((at, count))
        check_limits(sent, quota)
        assert ledger.room(at) >= 0
        earlier = ledger.find(count, MIDNIGHT, at)
        assert earlier is None


# one worker


async def test_without_a_quota_nothing_is_counted(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota())
    assert quotas.take(account, 1_000_000, clock.now()) == clock.now()
    assert await quotas.reserve(account, 5, clock.now()) == clock.now()
    await quotas.close()
    assert await stored(store, account, 60) == {}


async def test_over_the_quota_messages_go_to_the_next_windows(store: Store) -> None:
    clock = ManualClock()
    clock.advance(1234)
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=2, hour=5))
    times = [await send(quotas, account, clock.now()) - MIDNIGHT for _ in range(8)]
    assert times == [1234, 1234, MINUTE, MINUTE, 2 * MINUTE, HOUR, HOUR, HOUR + MINUTE]
    clock.advance(MINUTE)
    assert await send(quotas, account, clock.now()) == MIDNIGHT + HOUR + MINUTE
    clock.advance(HOUR)
    assert await send(quotas, account, clock.now()) == MIDNIGHT + HOUR + 2 * MINUTE
    await quotas.close()


async def test_a_refusal_says_when_there_is_room(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=2, hour=3, action="reject"))
    assert await send(quotas, account, clock.now(), 2) == MIDNIGHT
    for count in (1, 2, 1):
        with pytest.raises(OverQuota) as refused:
            await send(quotas, account, clock.now(), count)
        assert refused.value.until == MIDNIGHT + (MINUTE if count == 1 else HOUR)
    assert "2026-01-01 00:01:00+00:00" in str(refused.value)
    assert "に空きます" in refused.value.text("ja")
    assert await stored(store, account, 60) == {MIDNIGHT: 2}
    clock.advance(MINUTE)
    assert await send(quotas, account, clock.now()) == clock.now()
    with pytest.raises(OverQuota):
        await send(quotas, account, clock.now())
    await quotas.close()


async def test_a_refusal_is_repeated_from_memory_for_a_second(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=1, action="reject"))
    await send(quotas, account, clock.now())
    with pytest.raises(OverQuota):
        await send(quotas, account, clock.now())
    async with store.write() as connection:
        await connection.execute(DropTable(quota_usage))
    with pytest.raises(OverQuota):
        await send(quotas, account, clock.now())
    clock.advance(SECOND)
    with pytest.raises(DBAPIError, match="quota_usage"):  # the store was asked
        await send(quotas, account, clock.now())
    async with store.write() as connection:
        await connection.run_sync(quota_usage.create)


async def test_beyond_the_horizon_even_delaying_ends(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock, horizon=2 * DAY)
    account = await an_account(store, Quota(day=1))
    assert [await send(quotas, account, clock.now()), await send(quotas, account, clock.now())] == [
        MIDNIGHT,
        MIDNIGHT + DAY,
    ]
    with pytest.raises(OverQuota) as refused:
        await send(quotas, account, clock.now())
    assert refused.value.until == MIDNIGHT + 2 * DAY
    await quotas.close()


async def test_a_message_larger_than_the_limit_takes_a_whole_window(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=10))
    assert await send(quotas, account, clock.now(), 3) == MIDNIGHT
    assert await send(quotas, account, clock.now(), 50) == MIDNIGHT + MINUTE
    assert await send(quotas, account, clock.now(), 7) == MIDNIGHT
    assert await send(quotas, account, clock.now(), 1) == MIDNIGHT + 2 * MINUTE
    await quotas.close()


async def test_the_steady_state_asks_the_store_for_blocks_only(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(hour=32_000))
    asked = 0
    for _ in range(5_000):
        if quotas.take(account, 1, clock.now()) is None:
            asked += 1
            assert await quotas.reserve(account, 1, clock.now()) == clock.now()
    assert asked <= 15
    await quotas.close()
    assert await stored(store, account, 3600) == {MIDNIGHT: 5_000}, "closing gives back what is left"


async def test_time_that_passes_meanwhile_delays_nothing(store: Store) -> None:
    """The door asks for a message of a moment that is over when the answer comes: it is that moment."""
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=640))
    came = clock.now()
    clock.advance(3)
    assert await quotas.reserve(account, 1, came) == came
    clock.advance(3)
    assert quotas.take(account, 1, came) == came
    # Together, each with a time of its own.
    times = [came + number for number in range(5)]
    assert await asyncio.gather(*(quotas.reserve(account, 1, at) for at in times)) == times
    # Others have gone on to the next window: it counts there, and waits for no more than its beginning.
    clock.advance(MINUTE)
    await quotas.reserve(account, 1, clock.now())
    assert await send(quotas, account, came) == MIDNIGHT + MINUTE
    await quotas.close()


async def test_what_is_left_goes_back_to_the_longer_windows(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=640, hour=6400))
    await send(quotas, account, clock.now())
    assert await stored(store, account, 3600) == {MIDNIGHT: 20}
    clock.advance(MINUTE)
    await send(quotas, account, clock.now())
    assert await stored(store, account, 60) == {MIDNIGHT: 20, MIDNIGHT + MINUTE: 20}
    assert await stored(store, account, 3600) == {MIDNIGHT: 21}
    assert await usage(store, account.id, clock.now()) == {60: 20, 3600: 21, 86_400: 0}
    await quotas.close()
    assert await stored(store, account, 3600) == {MIDNIGHT: 2}


async def test_what_is_not_used_goes_back_after_seconds(store: Store) -> None:
    """Another worker may give it away, and nobody has to end for it."""

    class Running(ManualClock):
        """Always the same day; what passes is real."""

        def monotonic(self) -> float:
            return time.monotonic()

    clock = Running()
    quotas, others = Quotas(store, clock), Quotas(store, clock)
    account = await an_account(store, Quota(day=320))
    await send(quotas, account, clock.now())
    assert await stored(store, account, 86_400) == {MIDNIGHT: 10}
    async with asyncio.timeout(60):
        while await stored(store, account, 86_400) != {MIDNIGHT: 1}:  # noqa: ASYNC110 (a task of theirs changes it)
            await asyncio.sleep(0.05)
    assert {await send(others, account, MIDNIGHT) for _ in range(319)} == {MIDNIGHT}
    assert await send(others, account, MIDNIGHT) == MIDNIGHT + DAY
    await quotas.close()
    await others.close()


async def test_the_end_waits_for_what_is_going_back(
    store: Store, store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ekiden.access.quotas._UNUSED", 20)
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(day=320))
    elsewhere = await open_store(store_url)
    await send(quotas, account, clock.now())
    async with elsewhere.write() as connection:
        await connection.execute(update(quota_usage).values(used=quota_usage.c.used))
        quotas.unused(clock.monotonic())
        clock.advance(3 * SECOND)
        async with asyncio.timeout(60):
            while quotas._blocks:  # noqa: ASYNC110 (a task of theirs changes it)
                await asyncio.sleep(0.01)
        closing = asyncio.create_task(quotas.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
    await closing
    assert await stored(store, account, 86_400) == {MIDNIGHT: 1}
    await elsewhere.close()


async def test_what_is_used_does_not_go_back(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(hour=3200))
    await send(quotas, account, clock.now())
    assert quotas.unused(clock.monotonic()) == []
    for _ in range(4):
        clock.advance(3 * SECOND)
        assert quotas.take(account, 1, clock.now()) is not None
        assert quotas.unused(clock.monotonic()) == []
    clock.advance(3 * SECOND)
    assert quotas.unused(clock.monotonic()) == [account.id]
    await quotas.close()


@pytest.mark.parametrize(("workers", "block"), [(0, 100), (1, 100), (4, 100), (8, 50), (64, 6)])
async def test_blocks_shrink_with_the_number_of_workers(store: Store, workers: int, block: int) -> None:
    for number in range(workers):
        await store.register_worker("host", number, None, HOUR)
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(hour=3200))
    await send(quotas, account, clock.now())
    assert await stored(store, account, 3600) == {MIDNIGHT: block}
    await quotas.close()


async def test_a_change_of_the_quota_takes_effect_at_once(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    wide = await an_account(store, Quota(minute=3200))
    await send(quotas, wide, clock.now())
    narrow = wide._replace(quota=Quota(minute=2))
    assert quotas.take(narrow, 1, clock.now()) is None, "the block is not for this quota"
    assert await send(quotas, narrow, clock.now()) == MIDNIGHT
    assert await send(quotas, narrow, clock.now()) == MIDNIGHT + MINUTE
    free = wide._replace(quota=Quota())
    assert quotas.take(free, 10_000, clock.now()) == MIDNIGHT
    refusing = wide._replace(quota=Quota(minute=2, action="reject"))
    with pytest.raises(OverQuota):
        await send(quotas, refusing, clock.now())
    assert await send(quotas, wide, clock.now()) == MIDNIGHT
    added = wide._replace(quota=Quota(minute=3200, hour=3200))
    await send(quotas, added, clock.now())
    await quotas.close()
    assert await stored(store, wide, 3600) == {MIDNIGHT: 1}, "never less than was counted there"


async def test_a_change_reaches_workers_through_the_directory(store: Store) -> None:
    clock = ManualClock()
    made = await create_account(store, "acme", 0)
    directory, quotas = Directory(store, clock), Quotas(store, clock)
    before = await directory.account(made.id)
    assert before is not None
    assert await send(quotas, before, clock.now(), 100) == clock.now()
    await set_quota(store, "acme", Quota(minute=1), clock.now())
    clock.advance(2 * SECOND)
    after = await directory.account(made.id)
    assert after is not None
    assert await send(quotas, after, clock.now()) == clock.now()
    assert await send(quotas, after, clock.now()) == MIDNIGHT + MINUTE
    await directory.close()
    await quotas.close()


async def test_a_store_that_fails_does_not_stop_the_end_of_a_worker(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    await send(quotas, await an_account(store, Quota(minute=640)), clock.now())
    async with store.write() as connection:
        await connection.execute(DropTable(quota_usage))
    await quotas.close()
    assert "not given back" in caplog.text
    async with store.write() as connection:
        await connection.run_sync(quota_usage.create)


async def test_a_store_that_fails_counts_nothing_and_is_told(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=64))
    await send(quotas, account, clock.now())
    async with store.write() as connection:
        await connection.execute(DropTable(quota_usage))
    await send(quotas, account, clock.now())
    failed = await asyncio.gather(*(send(quotas, account, clock.now()) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(error, Exception) for error in failed)
    async with store.write() as connection:
        await connection.run_sync(quota_usage.create)
    assert await send(quotas, account, clock.now()) == MIDNIGHT
    await quotas.close()


async def test_a_client_that_has_gone_stops_nobody(store: Store) -> None:
    clock = ManualClock()
    quotas = Quotas(store, clock)
    account = await an_account(store, Quota(minute=5))
    gone = asyncio.create_task(quotas.reserve(account, 1, clock.now()))
    await asyncio.sleep(0)
    others = [asyncio.create_task(quotas.reserve(account, 1, clock.now())) for _ in range(4)]
    gone.cancel()
    assert await asyncio.gather(*others) == [MIDNIGHT] * 4
    await quotas.close()


# several workers


async def test_workers_together_keep_the_limit_exactly(store: Store) -> None:
    clock = ManualClock()
    quota = Quota(minute=100, hour=250)
    account = await an_account(store, quota)
    workers = [Quotas(store, clock) for _ in range(4)]
    times = await asyncio.gather(*(send(workers[number % 4], account, clock.now()) for number in range(400)))
    sent = [(at, 1) for at in times]
    check_limits(sent, quota)
    filled = Counter(window_start(at, 60) - MIDNIGHT for at in times)
    assert sum(filled.values()) == 400
    # All but what four workers may hold: a thirty-second of the window each.
    assert filled[0] >= 100 - 4 * 3
    for worker in workers:
        await worker.close()
    async with store.read() as connection:
        counted = await connection.scalar(
            select(func.sum(quota_usage.c.used)).where(
                quota_usage.c.account_id == account.id, quota_usage.c.seconds == 3600
            )
        )
    assert counted == 400


STEP = st.tuples(
    st.integers(0, 2),  # which worker
    st.lists(st.integers(1, 6) | st.integers(1, 40), min_size=1, max_size=8),  # messages at the same time
    st.sampled_from([0, 0, 1, 20, 61, 1_800, 3_600, 50_000]),  # seconds that pass then
)


@pytest.mark.parametrize("action", ["delay", "reject"])
@settings(
    max_examples=25,
)
@given(quota=QUOTA, steps=st.lists(STEP, max_size=12))
async def test_never_more_than_the_limit(
    store: Store, action: WhenOver, quota: Quota, steps: list[tuple[int, list[int], int]]
) -> None:
    quota = Quota(quota.minute, quota.hour, quota.day, action)
    clock = ManualClock()
    account = await an_account(store, quota)
    workers = [Quotas(store, clock, horizon=400 * DAY) for _ in range(3)]
    sent: list[tuple[Millis, int]] = []
    for number, counts, seconds in steps:
        answers = await asyncio.gather(
            *(send(workers[number], account, clock.now(), count) for count in counts), return_exceptions=True
        )
        for count, at in zip(counts, answers, strict=True):
            if isinstance(at, OverQuota):
                assert action == "reject", "delaying finds a window for everything"
                assert at.until > clock.now()
                continue
            assert isinstance(at, int), at
            assert at >= clock.now()
            assert action == "delay" or at == clock.now()
            sent.append((at, count))
        clock.advance(seconds * SECOND)
    check_limits(sent, quota)
    for worker in workers:
        await worker.close()
    for length, limit in quota.limits:
        used = await stored(store, account, length)
        assert all(0 <= number <= limit for number in used.values())
