"""What a store promises (``store.api``), held against both engines."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.notices import News, Route
from ekiden.core.said import Remark, say
from ekiden.core.states import Cause, Priority, State, Wait
from ekiden.core.submission import Marks, SharedContent
from ekiden.store import tables as t
from ekiden.store.api import Conflict, Store, StoreError
from ekiden.store.lost_rows import LOST
from ekiden.store.records import Delivery, NewMessage, Registration, Release
from support.store_rows import NOW, TTL, Maker, outcome


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
async def worker(store: Store) -> Registration:
    return await store.register_worker("host-a", 100, NOW, TTL)


async def rows(store: Store, table: Any, *conditions: Any) -> list[Any]:
    async with store.read() as connection:
        found = await connection.execute(select(table).where(*conditions).order_by(*table.primary_key.columns))
        return list(found.mappings())


async def one_delivery(store: Store, delivery: Delivery) -> Any:
    d = t.delivery.c
    (row,) = await rows(
        store,
        t.delivery,
        d.account_id == delivery.message.account_id,
        d.message_id == delivery.message.id,
        d.number == delivery.number,
    )
    return row


# accept


async def test_accept_writes_every_column(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(2, state=State.SENDING, content=bytes(range(256)) * 300)
    new.deliveries[1].written = "R2@例え.test"
    new.deliveries[0].wait, new.deliveries[0].said = Wait.QUOTA, say("over_quota")
    new.message.marks = Marks("b-1", "r-1", "shop", "tokyo", "spring")
    new.message.routes = (Route(3, News.FINAL), Route(4, News.INTERMEDIATE | News.TRACKING))
    await store.accept(worker.id, new)
    (message,) = await rows(store, t.message)
    assert dict(message) == {
        "account_id": 1,
        "id": new.message.id,
        "credential_id": 7,
        "sender": "sender@example.com",
        "size": 76800,
        "priority": Priority.STANDARD,
        "ret": "HDRS",
        "envid": "QQ314159",
        "smtputf8": False,
        "eight_bit": True,
        "accepted_at": NOW,
        "expires_at": NOW + 432_000_000,
        "header_id": "<1@example.com>",
        "subject": "hello",
        "origin": '{"via":"ESMTPSA"}',
        "labels": '{"campaign":"spring"}',
        "bulk": "b-1",
        "reference": "r-1",
        "application": "shop",
        "entity": "tokyo",
        "campaign": "spring",
        "routes": "[[3,1],[4,6]]",
        "forward": "",
    }
    assert await store.content(1, new.message.id) == new.content
    first, second = await rows(store, t.delivery)
    assert dict(first) == {
        "account_id": 1,
        "message_id": new.message.id,
        "number": 1,
        "recipient": "r1@example.org",
        "domain": "example.org",
        "notify": 2,
        "orcpt": "rfc822;r1@example.org",
        "state": State.SENDING,
        "cause": Cause.NONE,
        "reason": "",
        "code": 0,
        "enhanced": "",
        "priority": Priority.STANDARD,
        "due_at": NOW,
        "attempts": 1,
        "owner": worker.id,
        "updated_at": NOW,
        "written": None,
        "wait": Wait.QUOTA,
        "holds": 0,
        "held": "",
        "said": '["over_quota",{}]',
        "diagnosis": Diagnosis.NONE,
        "after": 0,
    }
    assert (second["number"], second["written"]) == (2, "R2@例え.test")
    (event,) = await rows(store, t.event)
    assert (event["message_id"], event["recipient_number"], event["type"], event["at"]) == (
        new.message.id,
        0,
        EventType.ACCEPTED,
        NOW,
    )
    assert json.loads(event["data"]) == {"via": "ESMTPSA"}
    assert event["id"] >> 12 & 1023 == worker.node


async def test_waiting_deliveries_have_no_owner(store: Store, worker: Registration, maker: Maker) -> None:
    for state in (State.QUEUED, State.SCHEDULED, State.HELD):
        await store.accept(worker.id, maker.message(state=state))
    found = await rows(store, t.delivery)
    assert [(row["state"], row["owner"], row["attempts"]) for row in found] == [
        (State.QUEUED, None, 0),
        (State.SCHEDULED, None, 0),
        (State.HELD, None, 0),
    ]


async def test_a_sending_delivery_without_a_count_gets_its_first_attempt_counted(
    store: Store, worker: Registration, maker: Maker
) -> None:
    new = maker.message(state=State.SENDING)
    new.deliveries[0].attempts = 0
    await store.accept(worker.id, new)
    assert new.deliveries[0].attempts == 1
    assert await store.finish(worker.id, [outcome(new.deliveries[0])]) == [True]


@pytest.mark.parametrize("count", [1, 3, 64, 85, 200])
async def test_concurrent_accepts_share_transactions(
    store: Store, worker: Registration, maker: Maker, count: int
) -> None:
    news = [maker.message(content=b"%d" % n) for n in range(count)]
    await asyncio.gather(*(store.accept(worker.id, new) for new in news))
    assert [await store.content(1, new.message.id) for new in news] == [new.content for new in news]
    assert store.counters.units == count
    assert store.counters.commits < count or count == 1


@pytest.mark.parametrize("size", [1_048_576, 1_048_577, 5_000_000])
@pytest.mark.parametrize("shared", [False, True])
async def test_a_large_content_is_one_row_like_others(
    store: Store, worker: Registration, maker: Maker, size: int, shared: bool
) -> None:
    """It may be written and read in pieces; what cannot be written takes nothing else with it."""
    octets = (bytes(range(256)) * (size // 256 + 1))[:size]
    large, small = maker.message(content=octets), maker.message(content=b"small")
    if shared:
        large.shared = SharedContent(maker.ids.next(NOW), (b"a" * 300_000, b"b\r\n"))
    whole = octets + (b"".join(large.shared.pieces) if large.shared else b"")
    await asyncio.gather(store.accept(worker.id, large), store.accept(worker.id, small))
    assert await store.content(1, large.message.id) == whole
    assert await store.content(1, small.message.id) == b"small"
    again = maker.message(content=octets)
    again.message.id = large.message.id
    other = maker.message(content=octets)
    results = await asyncio.gather(
        store.accept(worker.id, again), store.accept(worker.id, other), return_exceptions=True
    )
    assert isinstance(results[0], StoreError)
    assert results[1] is None
    assert await store.content(1, large.message.id) == whole
    assert await store.content(1, other.message.id) == octets


async def test_one_bad_unit_does_not_fail_its_neighbours(store: Store, worker: Registration, maker: Maker) -> None:
    good = [maker.message() for _ in range(5)]
    await store.accept(worker.id, good[0])
    again = good[0]  # its key exists already
    results = await asyncio.gather(
        *(store.accept(worker.id, new) for new in [*good[1:3], again, *good[3:]]), return_exceptions=True
    )
    assert [type(result) for result in results if result is not None] == [Conflict]
    assert isinstance(results[2], Conflict)
    assert len(await rows(store, t.message)) == 5
    assert len(await rows(store, t.event)) == 5


@pytest.mark.parametrize("text", ["a\x00b", "lone \udcff surrogate", "\x00"])
async def test_texts_that_a_database_cannot_hold_are_mended(
    store: Store, worker: Registration, maker: Maker, text: str
) -> None:
    other = maker.message()
    await asyncio.gather(store.accept(worker.id, maker.message(subject=text)), store.accept(worker.id, other))
    assert len(await rows(store, t.message)) == 2
    claimed = await store.claim(worker.id, NOW, 10)
    assert len(claimed) == 2
    broken = outcome(claimed[0])
    broken.reason = broken.attempt.reply = text
    broken.events[0].data["text"] = text
    assert await store.finish(worker.id, [broken]) == [True]


async def test_a_cancelled_caller_does_not_disturb_the_others(
    store: Store, worker: Registration, maker: Maker
) -> None:
    tasks = [asyncio.create_task(store.accept(worker.id, maker.message())) for _ in range(8)]
    await asyncio.sleep(0)
    tasks[3].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [n for n, result in enumerate(results) if result is not None] == [3]
    assert len(await rows(store, t.message)) in (7, 8)


async def test_every_event_id_is_its_own(store: Store, worker: Registration, maker: Maker) -> None:
    await asyncio.gather(*(store.accept(worker.id, maker.message()) for _ in range(300)))
    ids = [row["id"] for row in await rows(store, t.event)]
    assert len(set(ids)) == 300


# claim


async def test_claim_gives_what_was_accepted_and_owns_it(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(2)
    new.deliveries[0].written = "R1@Example.ORG."
    await store.accept(worker.id, new)
    first, second = await store.claim(worker.id, NOW + 5, 10)
    assert (first.shown, second.shown) == ("R1@Example.ORG.", second.recipient)
    assert first.message is second.message
    assert first.message == new.message
    assert (first.number, first.recipient, first.notify, first.orcpt) == (
        1,
        "r1@example.org",
        2,
        "rfc822;r1@example.org",
    )
    assert (first.state, first.attempts, first.due_at, first.cause) == (State.SENDING, 1, NOW + 5, Cause.NONE)
    assert first.message.content is None
    assert isinstance(first.message.priority, Priority)
    assert isinstance(first.message.smtputf8, bool)
    row = await one_delivery(store, first)
    assert (row["state"], row["owner"], row["attempts"], row["due_at"], row["updated_at"]) == (
        State.SENDING,
        worker.id,
        1,
        NOW + 5,
        NOW + 5,
    )
    assert await store.claim(worker.id, NOW + 5, 10) == []


async def test_claim_takes_only_what_is_due_and_the_longest_waiting_first(
    store: Store, worker: Registration, maker: Maker
) -> None:
    by_wait = {wait: maker.message(due_at=NOW + wait) for wait in (30, 10, 20, 40)}
    for new in [*by_wait.values(), maker.message(state=State.HELD)]:
        await store.accept(worker.id, new)
    for now, limit, expected in [(9, 5, []), (30, 2, [10, 20]), (30, 5, [30]), (39, 5, []), (40, 5, [40])]:
        claimed = await store.claim(worker.id, NOW + now, limit)
        assert [d.message.id for d in claimed] == [by_wait[wait].message.id for wait in expected]


@pytest.mark.parametrize("limit", [0, -1])
async def test_claiming_nothing(store: Store, worker: Registration, maker: Maker, limit: int) -> None:
    await store.accept(worker.id, maker.message())
    assert await store.claim(worker.id, NOW, limit) == []


@pytest.mark.parametrize(
    ("waiting", "limit", "expected"),
    [
        # HIGH, STANDARD, LOW due; a quarter is kept for STANDARD and an eighth for LOW
        ((20, 20, 20), 16, (10, 4, 2)),
        ((20, 0, 20), 16, (14, 0, 2)),
        ((20, 20, 0), 16, (12, 4, 0)),
        ((0, 20, 20), 16, (0, 14, 2)),
        ((3, 20, 20), 16, (3, 11, 2)),
        ((3, 2, 20), 16, (3, 2, 11)),
        ((0, 0, 20), 16, (0, 0, 16)),
        ((20, 1, 1), 16, (14, 1, 1)),
        ((2, 2, 2), 16, (2, 2, 2)),
    ],
)
async def test_higher_priorities_first_but_each_gets_a_share(
    store: Store,
    worker: Registration,
    maker: Maker,
    waiting: tuple[int, int, int],
    limit: int,
    expected: tuple[int, int, int],
) -> None:
    for priority, count in zip(Priority, waiting, strict=True):
        if count:
            await store.accept(worker.id, maker.message(count, priority=priority))
    claimed = await store.claim(worker.id, NOW, limit)
    found = Counter(d.message.priority for d in claimed)
    assert tuple(found[priority] for priority in Priority) == expected
    assert [d.message.priority for d in claimed] == sorted(d.message.priority for d in claimed)


async def test_one_at_a_time_low_priority_is_still_served(store: Store, worker: Registration, maker: Maker) -> None:
    await store.accept(worker.id, maker.message(400, priority=Priority.HIGH))
    await store.accept(worker.id, maker.message(1, priority=Priority.LOW))
    for _ in range(400):
        (claimed,) = await store.claim(worker.id, NOW, 1)
        if claimed.message.priority is Priority.LOW:
            return
    pytest.fail("400 claims, and none for the low priority")


async def test_claims_in_turn_give_each_account_as_much_as_the_others(
    store: Store, worker: Registration, maker: Maker
) -> None:
    """A million due first of one account does not stand before the only one of another."""
    await store.accept(worker.id, maker.message(300, priority=Priority.HIGH))
    for account, due_at in ((7, NOW), (9, NOW), (12, NOW + 60_000)):
        await store.accept(worker.id, maker.message(2, account=account, due_at=due_at, priority=Priority.LOW))
    await store.accept(worker.id, maker.message(state=State.HELD, account=20))
    one = (await store.due_accounts(NOW, 0, 1)).accounts[0]
    claimed = await store.claim(worker.id, NOW, 12, [one, 7, 9, 12])
    assert Counter(d.message.account_id for d in claimed) == {one: 3, 7: 2, 9: 2}
    assert all(d.state is State.SENDING and d.attempts == 1 for d in claimed)
    again = await store.claim(worker.id, NOW, 12, [one, 7])
    assert Counter(d.message.account_id for d in again) == {one: 6}
    assert not {d.key for d in claimed} & {d.key for d in again}
    assert len(await store.claim(worker.id, NOW, 2, [one, 7, 9, 12])) == 1


async def test_two_workers_never_claim_the_same(store: Store, maker: Maker) -> None:
    a = await store.register_worker("host-a", 1, NOW, TTL)
    b = await store.register_worker("host-b", 2, NOW, TTL)
    await store.accept(a.id, maker.message(300))
    claims = await asyncio.gather(*(store.claim(owner.id, NOW, 20) for owner in (a, b) for _ in range(8)))
    keys = [d.key for claim in claims for d in claim]
    while more := await store.claim(a.id, NOW, 50):
        keys += [d.key for d in more]
    assert len(keys) == len(set(keys)) == 300


# finish


async def test_finish_writes_state_attempt_and_event_together(
    store: Store, worker: Registration, maker: Maker
) -> None:
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    (d,) = new.deliveries
    seen = outcome(d, State.DEFERRED, due_at=NOW + 60_000)
    seen.wait, seen.said, seen.attempt.said = Wait.SITE_DOWN, say("timed_out"), say("no_address")
    assert await store.finish(worker.id, [seen]) == [True]
    row = await one_delivery(store, d)
    names = ("state", "cause", "diagnosis", "reason", "code", "enhanced", "due_at", "owner", "wait", "said")
    assert {name: row[name] for name in names} == {
        "state": State.DEFERRED,
        "cause": Cause.RATE,
        "diagnosis": Diagnosis.RATE_IP,
        "reason": "451 said the peer",
        "code": 451,
        "enhanced": "4.0.0",
        "due_at": NOW + 60_000,
        "owner": None,
        "wait": Wait.SITE_DOWN,
        "said": '["timed_out",{}]',
    }
    assert (row["attempts"], row["updated_at"]) == (1, NOW + 1000)
    (attempt,) = await rows(store, t.attempt)
    assert dict(attempt) == {
        "account_id": 1,
        "message_id": new.message.id,
        "recipient_number": 1,
        "number": 1,
        "worker": worker.id,
        "started_at": NOW,
        "finished_at": NOW + 1000,
        "state": State.DEFERRED,
        "cause": Cause.RATE,
        "host": "mx1.example.org",
        "address": "127.0.0.1:25",
        "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "code": 451,
        "enhanced": "4.0.0",
        "reply": "451 4.0.0 said the peer",
        "dialogue": "S: 220 mx1.example.org\nC: EHLO mail.example.com",
        "said": '["no_address",{}]',
        "diagnosis": Diagnosis.RATE_IP,
    }
    assert [row["type"] for row in await rows(store, t.event)] == [EventType.ACCEPTED, EventType.DEFERRED]
    assert await store.content(1, new.message.id) == new.content

    (again,) = await store.claim(worker.id, NOW + 60_000, 5)
    assert (again.attempts, again.cause, again.reason) == (2, Cause.RATE, "451 said the peer")
    assert await store.finish(worker.id, [outcome(again)]) == [True]
    assert [row["number"] for row in await rows(store, t.attempt)] == [1, 2]
    assert await store.content(1, new.message.id) is None


async def test_content_stays_until_the_last_delivery_is_final(
    store: Store, worker: Registration, maker: Maker
) -> None:
    new = maker.message(4, state=State.SENDING)
    other = maker.message(1, state=State.SENDING)
    await store.accept(worker.id, new)
    await store.accept(worker.id, other)
    a, b, c, d = new.deliveries
    assert await store.finish(worker.id, [outcome(a), outcome(b, State.DEFERRED)]) == [True, True]
    assert await store.finish(worker.id, [outcome(c, State.BOUNCED), outcome(d, State.HELD)]) == [True, True]
    assert await store.content(1, new.message.id) == new.content
    (b,) = await store.claim(worker.id, NOW + 1000, 5)
    await store.finish(worker.id, [outcome(b)])
    assert await store.content(1, new.message.id) == new.content  # d is held
    assert await store.content(1, other.message.id) == other.content


async def test_recipients_that_end_at_once_in_many_calls_leave_no_content(
    store: Store, worker: Registration, maker: Maker
) -> None:
    news = [maker.message(8, state=State.SENDING) for _ in range(10)]
    await asyncio.gather(*(store.accept(worker.id, new) for new in news))
    await asyncio.gather(*(store.finish(worker.id, [outcome(d)]) for new in news for d in new.deliveries))
    assert await rows(store, t.content) == []
    assert {row["state"] for row in await rows(store, t.delivery)} == {State.DELIVERED}


async def test_an_outcome_is_fenced_by_owner_attempt_and_state(
    store: Store, worker: Registration, maker: Maker
) -> None:
    other = await store.register_worker("host-b", 2, NOW, TTL)
    new = maker.message(3, state=State.SENDING)
    await store.accept(worker.id, new)
    a, b, c = new.deliveries
    assert await store.finish(other.id, [outcome(a)]) == [False]  # not its owner
    b.attempts = 2
    assert await store.finish(worker.id, [outcome(b), outcome(c)]) == [False, True]  # not this attempt
    assert await store.finish(worker.id, [outcome(c), outcome(a)]) == [False, True]  # finished before
    unknown = maker.message(state=State.SENDING).deliveries[0]
    assert await store.finish(worker.id, [outcome(unknown)]) == [False]
    assert [(row["recipient_number"], row["number"]) for row in await rows(store, t.attempt)] == [(1, 1), (3, 1)]
    assert len(await rows(store, t.event)) == 3
    assert await store.content(1, new.message.id) is not None


async def test_an_outcome_of_an_earlier_attempt_is_fenced(store: Store, worker: Registration, maker: Maker) -> None:
    """Although it is the same worker that tries again: a report may be late by a whole attempt."""
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    [stale] = new.deliveries
    assert await store.finish(worker.id, [outcome(stale, State.DEFERRED)]) == [True]
    [again] = await store.claim(worker.id, NOW + 10 * 86_400_000, 1)
    assert (stale.attempts, again.attempts) == (1, 2)
    assert await store.finish(worker.id, [outcome(stale)]) == [False]
    await store.release(worker.id, [Release(stale, NOW, Wait.SHARE, say("account_share"))])
    assert (await one_delivery(store, again))["state"] == State.SENDING
    assert await store.finish(worker.id, [outcome(again)]) == [True]
    assert [row["number"] for row in await rows(store, t.attempt)] == [1, 2]


async def test_the_first_of_two_outcomes_for_one_delivery_counts(
    store: Store, worker: Registration, maker: Maker
) -> None:
    new = maker.message(2, state=State.SENDING)
    await store.accept(worker.id, new)
    a, b = new.deliveries
    assert await store.finish(worker.id, [outcome(a), outcome(a, State.DEFERRED), outcome(b)]) == [
        True,
        False,
        True,
    ]
    assert (await one_delivery(store, a))["state"] == State.DELIVERED
    assert len(await rows(store, t.attempt)) == 2


async def test_finish_inserts_messages_with_the_outcomes(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    report = maker.message(content=b"a report")
    assert await store.finish(worker.id, [outcome(new.deliveries[0], State.BOUNCED)], [report]) == [True]
    assert await store.content(1, report.message.id) == b"a report"
    assert [d.message.id for d in await store.claim(worker.id, NOW, 5)] == [report.message.id]


async def test_finish_is_all_or_nothing(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(2, state=State.SENDING)
    await store.accept(worker.id, new)
    a, b = new.deliveries
    clash = new  # its key exists already
    results = await asyncio.gather(
        store.finish(worker.id, [outcome(a)], [clash]),
        store.finish(worker.id, [outcome(b)]),
        return_exceptions=True,
    )
    assert isinstance(results[0], StoreError)
    assert results[1] == [True]
    assert (await one_delivery(store, a))["state"] == State.SENDING
    assert len(await rows(store, t.attempt)) == 1


async def test_finish_of_nothing(store: Store, worker: Registration) -> None:
    assert await store.finish(worker.id, []) == []
    await store.release(worker.id, [])


@pytest.mark.parametrize("count", [1, 5, 70])
async def test_many_outcomes_in_one_call(store: Store, worker: Registration, maker: Maker, count: int) -> None:
    new = maker.message(count, state=State.SENDING)
    await store.accept(worker.id, new)
    assert await store.finish(worker.id, [outcome(d) for d in new.deliveries]) == [True] * count
    assert len(await rows(store, t.attempt)) == count
    assert await store.content(1, new.message.id) is None


# release


async def test_release_takes_the_attempt_back(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(2, state=State.SENDING)
    await store.accept(worker.id, new)
    a, b = new.deliveries
    await store.finish(worker.id, [outcome(b, State.DEFERRED, due_at=NOW)])
    (b,) = await store.claim(worker.id, NOW, 5)
    await store.release(
        worker.id,
        [
            Release(a, NOW + 7, Wait.SHARE, say("account_share")),
            Release(b, NOW + 8, Wait.PACED, say("turn", site="mx.x.example")),
        ],
    )
    first, second = await one_delivery(store, a), await one_delivery(store, b)
    names = ("state", "attempts", "due_at", "owner", "wait", "reason", "said")
    no_room = "waits: its account has its share of the worker"
    said = '["turn",{"site":"mx.x.example"}]'
    assert [first[name] for name in names] == [
        State.QUEUED,
        0,
        NOW + 7,
        None,
        Wait.SHARE,
        no_room,
        '["account_share",{}]',
    ]
    assert [second[name] for name in names] == [
        State.DEFERRED,
        1,
        NOW + 8,
        None,
        Wait.PACED,
        "waits for its turn at mx.x.example",
        said,
    ]
    assert await store.finish(worker.id, [outcome(a)]) == [False]
    (again,) = await store.claim(worker.id, NOW + 7, 5)
    assert again.attempts == 1


async def test_release_is_fenced(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    await store.release(worker.id + 1, [Release(new.deliveries[0], NOW + 7, Wait.SHARE, say("account_share"))])
    assert (await one_delivery(store, new.deliveries[0]))["state"] == State.SENDING


# workers


async def test_workers_take_the_lowest_free_node(store: Store) -> None:
    workers = [await store.register_worker("host", n, NOW, TTL) for n in range(4)]
    assert [w.node for w in workers] == [0, 1, 2, 3]
    await store.end_worker(workers[1].id, NOW)
    # It rests: the next one may be on a machine whose clock is behind, and would make the same ids.
    assert (await store.register_worker("host", 8, NOW + 59_999, TTL)).node == 4
    again = await store.register_worker("host", 9, NOW + 60_000, TTL)
    assert again.node == 1
    assert again.id not in [w.id for w in workers]


async def test_when_all_others_are_taken_the_node_that_rested_longest_is_used(store: Store) -> None:
    living = [{"node": n, "host": "h", "pid": 1, "started_at": NOW, "expires_at": NOW + TTL} for n in range(1024)]
    ended = {7: NOW - 1, 9: NOW - 5}
    async with store.write() as connection:
        await connection.execute(insert(t.worker), [{**row, "ended_at": ended.get(row["node"])} for row in living])
    assert (await store.register_worker("host", 1, NOW, TTL)).node == 9
    assert (await store.register_worker("host", 1, NOW, TTL)).node == 7


async def test_workers_that_start_at_once_get_nodes_of_their_own(store: Store) -> None:
    workers = await asyncio.gather(*(store.register_worker("host", n, NOW, TTL) for n in range(12)))
    assert sorted(w.node for w in workers) == list(range(12))
    assert len({w.id for w in workers}) == 12


async def test_no_node_is_left(store: Store) -> None:
    living = [{"node": n, "host": "h", "pid": 1, "started_at": NOW, "expires_at": NOW + TTL} for n in range(1024)]
    async with store.write() as connection:
        await connection.execute(insert(t.worker), living)
    with pytest.raises(StoreError, match="1024 live workers"):
        await store.register_worker("host", 1, NOW, TTL)


async def test_heartbeat_renews_until_the_worker_has_ended(store: Store, worker: Registration) -> None:
    assert await store.heartbeat(worker.id, NOW + 10, TTL)
    assert await store.reap(NOW + TTL) == 0
    assert await store.heartbeat(worker.id, NOW + TTL, TTL)  # it had been renewed
    assert await store.reap(NOW + 2 * TTL) == 0
    assert not await store.heartbeat(worker.id, NOW + 2 * TTL, TTL)
    assert not await store.heartbeat(999_999, NOW, TTL)


async def test_reap_frees_the_deliveries_of_the_dead(store: Store, worker: Registration, maker: Maker) -> None:
    alive = await store.register_worker("host-b", 2, NOW, 10 * TTL)
    lost, kept = maker.message(3, state=State.SENDING), maker.message(2, state=State.SENDING)
    await store.accept(worker.id, lost)
    await store.accept(alive.id, kept)
    then = NOW + TTL
    assert await store.reap(then - 1) == 0
    assert await store.reap(then, limit=2) == 2
    assert await store.reap(then, limit=2) == 1
    assert await store.reap(then) == 0
    row = await one_delivery(store, lost.deliveries[0])
    assert (row["state"], row["owner"], row["attempts"], row["cause"]) == (State.DEFERRED, None, 1, Cause.OURS)
    assert row["diagnosis"] == Diagnosis.UNREPORTED
    assert "outcome of that attempt is unknown" in row["reason"]
    assert then < row["due_at"] <= then + 60_000
    attempts = await rows(store, t.attempt)
    assert [(a["recipient_number"], a["number"], a["worker"], a["state"]) for a in attempts] == [
        (number, 1, worker.id, State.DEFERRED) for number in (1, 2, 3)
    ]
    assert all(
        a["dialogue"] == Remark(LOST) and a["started_at"] == NOW and a["finished_at"] == then for a in attempts
    )
    lost_events = await rows(store, t.event, t.event.c.type == EventType.LEASE_LOST)
    assert sorted(e["recipient_number"] for e in lost_events) == [1, 2, 3]
    assert json.loads(lost_events[0]["data"]) == {"worker": worker.id, "attempt": 1}
    # the dead one comes back and reports: fenced
    assert await store.finish(worker.id, [outcome(d) for d in lost.deliveries]) == [False] * 3
    assert await store.finish(alive.id, [outcome(d) for d in kept.deliveries]) == [True] * 2


async def test_what_kills_its_worker_waits_longer_each_time(store: Store, maker: Maker) -> None:
    now = NOW
    waits = []
    new = maker.message()
    first = await store.register_worker("host", 1, now, TTL)
    await store.accept(first.id, new)
    for n in range(4):
        doomed = await store.register_worker("host", n, now, TTL)
        (claimed,) = await store.claim(doomed.id, now, 5)
        now += TTL
        assert await store.reap(now) == 1
        due = (await one_delivery(store, claimed))["due_at"]
        waits.append(due - now)
        now = due
    assert waits == sorted(set(waits))
    assert waits[3] > 10 * waits[0]


async def test_reap_finds_what_a_finished_worker_left_behind(
    store: Store, worker: Registration, maker: Maker
) -> None:
    await store.end_worker(worker.id, NOW)
    late = maker.message(state=State.SENDING)  # a commit that was under way when the worker was declared dead
    await store.accept(worker.id, late)
    async with store.write() as connection:
        await connection.execute(t.worker.delete())
    assert await store.reap(NOW + 1) == 1
    assert (await one_delivery(store, late.deliveries[0]))["state"] == State.DEFERRED


async def test_a_worker_that_leaves_gives_everything_back_at_once(
    store: Store, worker: Registration, maker: Maker
) -> None:
    new = maker.message(3, state=State.SENDING)
    await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0])])
    assert await store.take_lease("prune", worker.id, NOW, TTL)
    assert await store.end_worker(worker.id, NOW + 5) == 2
    assert await store.end_worker(worker.id, NOW + 5) == 0
    assert not await store.heartbeat(worker.id, NOW + 5, TTL)
    other = await store.register_worker("host-b", 2, NOW, TTL)
    assert sorted(d.number for d in await store.claim(other.id, NOW + 5, 5)) == [2, 3]
    assert await store.take_lease("prune", other.id, NOW + 5, TTL)


async def test_a_lease_has_one_holder(store: Store) -> None:
    assert await store.take_lease("prune", 1, NOW, TTL)
    assert await store.take_lease("prune", 1, NOW + TTL // 2, TTL)  # renewed
    assert not await store.take_lease("prune", 2, NOW + TTL, TTL)
    assert await store.take_lease("reap", 2, NOW, TTL)
    assert await store.take_lease("prune", 2, NOW + TTL // 2 + TTL, TTL)
    assert not await store.take_lease("prune", 1, NOW + TTL // 2 + TTL, TTL)


async def test_a_lease_is_written_when_it_changes_hands_and_once_half_of_it_is_over(store: Store) -> None:
    async def ends() -> int:
        (row,) = await rows(store, t.lease)
        return int(row["expires_at"])

    assert await store.take_lease("prune", 1, NOW, TTL)
    assert await store.take_lease("prune", 1, NOW + TTL // 2 - 1, TTL)
    assert not await store.take_lease("prune", 2, NOW + TTL - 1, TTL)
    assert await ends() == NOW + TTL
    assert await store.take_lease("prune", 1, NOW + TTL // 2, TTL)
    assert await ends() == NOW + TTL // 2 + TTL


async def test_one_of_many_gets_the_lease(store: Store) -> None:
    taken = await asyncio.gather(*(store.take_lease("prune", n, NOW, TTL) for n in range(10)))
    assert sum(taken) == 1


# looking


async def test_next_due(store: Store, worker: Registration, maker: Maker) -> None:
    assert await store.next_due(NOW) is None
    await store.accept(worker.id, maker.message(state=State.HELD, due_at=NOW - 50))
    assert await store.next_due(NOW) is None
    await store.accept(worker.id, maker.message(due_at=NOW + 50, priority=Priority.HIGH))
    assert await store.next_due(NOW) == NOW + 50
    await store.accept(worker.id, maker.message(due_at=NOW + 20, priority=Priority.LOW))
    assert await store.next_due(NOW) == NOW + 20
    await store.claim(worker.id, NOW + 100, 10)
    assert await store.next_due(NOW) is None


async def test_stats(store: Store, worker: Registration, maker: Maker) -> None:
    empty = await store.stats()
    assert (set(empty.by_state.values()), empty.oldest_due) == ({0}, None)
    await store.accept(worker.id, maker.message(3, state=State.SENDING))
    await store.accept(worker.id, maker.message(2, due_at=NOW - 5))
    await store.accept(worker.id, maker.message(state=State.SCHEDULED, due_at=NOW + 5))
    await store.accept(worker.id, maker.message(4, state=State.HELD))
    done = maker.message(2, state=State.SENDING)
    await store.accept(worker.id, done)
    await store.finish(worker.id, [outcome(done.deliveries[0]), outcome(done.deliveries[1], State.DEFERRED)])
    await store.take_lease("prune", worker.id, NOW, TTL)
    stats = await store.stats()
    assert stats.by_state == {
        State.HELD: 4,
        State.SCHEDULED: 1,
        State.QUEUED: 2,
        State.SENDING: 3,
        State.DEFERRED: 1,
    }
    assert (stats.oldest_due, stats.workers, stats.leases) == (NOW - 5, 1, 1)


async def test_content_that_is_not_there(store: Store) -> None:
    assert await store.content(1, 2) is None


# the cold side


async def test_write_commits_or_rolls_back(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(insert(t.account), [_account("acme")])
    with pytest.raises(ZeroDivisionError):
        await _rename_and_fail(store)
    async with store.read() as connection:
        assert list(await connection.scalars(select(t.account.c.name))) == ["acme"]


def _account(name: str) -> dict[str, object]:
    values = {"name": name, "priority": 1, "created_at": NOW, "region": "", "senders": "any"}
    return {**values, "quota_action": "delay", "suppress_bounces": False, "revision": 0}


async def _rename_and_fail(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(update(t.account).values(name="other"))
        raise ZeroDivisionError


async def test_read_cannot_write(store: Store) -> None:
    with pytest.raises(Exception, match=r"read.?only"):
        async with store.read() as connection:
            await connection.execute(insert(t.account), [_account("a")])


async def test_cold_writes_and_hot_writes_take_turns(store: Store, worker: Registration, maker: Maker) -> None:
    async def cold(n: int) -> None:
        async with store.write() as connection:
            count = await connection.scalar(select(func.count()).select_from(t.account))
            await connection.execute(insert(t.account), [_account(f"a{n}-{count}")])

    news: list[NewMessage] = [maker.message() for _ in range(40)]
    await asyncio.gather(
        *(cold(n) for n in range(10)), *(store.accept(worker.id, new) for new in news), store.stats()
    )
    assert len(await rows(store, t.account)) == 10
    assert len(await rows(store, t.message)) == 40


async def test_a_cancelled_cold_write_leaves_no_lock(store: Store, worker: Registration, maker: Maker) -> None:
    inside = asyncio.Event()

    async def slow() -> None:
        async with store.write() as connection:
            await connection.execute(update(t.account).values(name="x"))
            inside.set()
            await asyncio.sleep(3600)

    holder = asyncio.create_task(slow())
    await inside.wait()
    waiting = asyncio.create_task(slow())
    await asyncio.sleep(0.01)
    waiting.cancel()
    holder.cancel()
    await asyncio.gather(holder, waiting, return_exceptions=True)
    await store.accept(worker.id, maker.message())
    assert len(await rows(store, t.message)) == 1


async def test_a_closed_store_says_so(store: Store, worker: Registration, maker: Maker) -> None:
    pending = asyncio.ensure_future(store.accept(worker.id, maker.message()))
    await asyncio.sleep(0)
    await store.close()
    await pending
    with pytest.raises(StoreError, match="closed"):
        await store.accept(worker.id, maker.message())


async def test_what_its_owner_does_not_know_of_is_freed_by_key(
    store: Store, worker: Registration, maker: Maker
) -> None:
    known, stray = maker.message(state=State.SENDING), maker.message(state=State.SENDING)
    for message in (known, stray):
        await store.accept(worker.id, message)
    keys = [message.deliveries[0].key for message in (known, stray)]
    began = stray.deliveries[0].due_at
    assert await store.owned(worker.id, began) == []
    assert sorted(await store.owned(worker.id, began + 1)) == sorted(keys)
    assert await store.free(worker.id + 1, [keys[1]], began) == 0, "only what belongs to that worker"
    assert await store.free(worker.id, [keys[1]], began) == 1
    assert await store.owned(worker.id, began + 1) == [keys[0]]
    again = await store.claim(worker.id, began + 3_600_000, 10)
    assert [(delivery.key, delivery.attempts) for delivery in again] == [(keys[1], 2)]
