"""Whose turn it is at a claim, on both engines: accounts with something due, and how much each of them gets."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from ekiden.core.states import Priority, State
from ekiden.store.api import Store
from ekiden.store.records import Registration
from ekiden.store.workers import LOOKED_AT
from support.store_rows import NOW, TTL, Maker


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
async def worker(store: Store) -> Registration:
    return await store.register_worker("host-a", 100, NOW, TTL)


async def test_the_one_due_delivery_of_an_account_is_in_the_first_claim_in_turn(
    store: Store, worker: Registration, maker: Maker
) -> None:
    await asyncio.gather(*(store.accept(worker.id, maker.message(1000, due_at=NOW - 1)) for _ in range(5)))
    await store.accept(worker.id, maker.message(account=9, priority=Priority.LOW))
    due = await store.due_accounts(NOW, 0, 10)
    claimed = await store.claim(worker.id, NOW, 20, due.accounts)
    assert [d.message.account_id for d in claimed].count(9) == 1
    assert len(claimed) == 11


async def test_due_accounts_are_found_round_by_round(store: Store, worker: Registration, maker: Maker) -> None:
    for account, due_at, state in (
        (5, NOW, State.QUEUED),
        (7, NOW + 1, State.SCHEDULED),
        (9, NOW - 5, State.DEFERRED),
        (11, NOW, State.HELD),
        (12, NOW, State.QUEUED),
    ):
        await store.accept(worker.id, maker.message(2, account=account, due_at=due_at, state=state))
    assert await store.due_accounts(NOW, 0, 10) == ([5, 9, 12], 0)
    assert await store.due_accounts(NOW, 0, 2) == ([5, 9], 9)
    assert await store.due_accounts(NOW, 9, 2) == ([12], 0)
    assert await store.due_accounts(NOW, 12, 2) == ([], 0)
    assert await store.due_accounts(NOW + 1, 5, 1) == ([7], 7)
    assert await store.due_accounts(NOW - 6, 0, 2) == ([], 0)


async def test_accounts_with_mail_for_later_are_passed_so_many_at_a_time(
    store: Store, worker: Registration, maker: Maker
) -> None:
    later = [maker.message(account=n, due_at=NOW + 9, state=State.SCHEDULED) for n in range(1, LOOKED_AT + 20)]
    await store.accept_all(worker.id, later)
    await store.accept(worker.id, maker.message(account=LOOKED_AT + 50))
    first = await store.due_accounts(NOW, 0, 10)
    assert first == ([], LOOKED_AT)
    assert await store.due_accounts(NOW, first.after, 10) == ([LOOKED_AT + 50], 0)
    await store.accept(worker.id, maker.message(account=LOOKED_AT))
    assert await store.due_accounts(NOW, 0, 10) == ([LOOKED_AT], LOOKED_AT)  # also where the last one is due


async def test_within_an_account_a_claim_in_turn_goes_by_priority(
    store: Store, worker: Registration, maker: Maker
) -> None:
    for priority in Priority:
        await store.accept(worker.id, maker.message(100, account=7, priority=priority))
        await store.accept(worker.id, maker.message(100, account=9, priority=priority))
    claimed = await store.claim(worker.id, NOW, 128, [7, 9])
    share = {Priority.HIGH: 40, Priority.STANDARD: 16, Priority.LOW: 8}
    found = Counter((d.message.account_id, d.message.priority) for d in claimed)
    assert found == {(account, priority): share[priority] for account in (7, 9) for priority in Priority}


async def test_what_some_accounts_leave_goes_to_the_others(
    store: Store, worker: Registration, maker: Maker
) -> None:
    for priority in Priority:
        await store.accept(worker.id, maker.message(200, account=7, priority=priority))
    await store.accept(worker.id, maker.message(50, account=9))
    await store.accept(worker.id, maker.message(1, account=11))
    claimed = await store.claim(worker.id, NOW, 81, [7, 9, 11], 100)
    assert Counter(d.message.account_id for d in claimed) == {7: 40, 9: 40, 11: 1}
    high, standard, low = (
        sum(d.message.account_id == 7 and d.message.priority is priority for d in claimed) for priority in Priority
    )
    assert (high + standard + low, high > 20, standard >= 9, low >= 4) == (40, True, True, True)
    claimed = await store.claim(worker.id, NOW, 300, [7, 9, 11], 100)
    assert Counter(d.message.account_id for d in claimed) == {7: 100, 9: 10}
