"""The queue as operators see and change it, on both engines."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import Select, select, text

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.events import EventType
from ekiden.core.states import Cause, Priority, State
from ekiden.delivery import queue_changes, queue_queries
from ekiden.delivery.queue_changes import Action, Change, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter, Target, count_deliveries, list_deliveries, shape
from ekiden.delivery.trace_queries import find_messages, load_trace
from ekiden.store.api import Conflict, Store
from ekiden.store.open import open_store
from ekiden.store.records import NewMessage
from ekiden.store.tables import content, delivery, event
from support.queue_rows import CONTENT, Rows

NOW: Millis = 1_800_000_000_000
EVERYTHING = QueueFilter()


@pytest.fixture
async def rows(store: Store) -> Rows:
    return await Rows.make(store, NOW)


async def recipients(store: Store, wanted: QueueFilter, limit: int = 100) -> list[str]:
    return [row.recipient for row in await list_deliveries(store, wanted, limit)]


async def change(
    store: Store, rows: Rows, action: Action, wanted: QueueFilter = EVERYTHING, reason: str = ""
) -> Change:
    selection = await select_deliveries(store, action, wanted, NOW)
    total = Change()
    async for done in apply_action(store, selection, rows.ids, lambda: NOW, "tester", reason):
        total.changed += done.changed
        total.missed += done.missed
    return total


async def states(store: Store, new: NewMessage) -> list[tuple[State, Millis, str]]:
    trace = await load_trace(store, new.message.account_id, new.message.id)
    assert trace is not None
    return [(item.state, item.due_at, item.reason) for item in trace.deliveries]


async def one_of_each(rows: Rows) -> None:
    await rows.message("queued@a.example", state=State.QUEUED, due_in=-MINUTE, age=MINUTE)
    await rows.message("scheduled@a.example", state=State.SCHEDULED, due_in=HOUR, priority=Priority.HIGH)
    await rows.message("held@b.example", state=State.HELD, sender="")
    await rows.message("sending@b.example", state=State.SENDING)
    await rows.attempted("deferred@c.sub.example", state=State.DEFERRED, due_in=10 * MINUTE, age=2 * DAY)
    await rows.attempted("delivered@a.example", state=State.DELIVERED, reply="250 2.0.0 ok")
    await rows.attempted("bounced@a.example", state=State.BOUNCED, reply="550 5.1.1 no", account="other")


# list and count


async def test_the_queue_is_listed_by_next_time_without_what_is_final(store: Store, rows: Rows) -> None:
    await one_of_each(rows)
    assert await recipients(store, QueueFilter()) == [
        "queued@a.example",
        "held@b.example",
        "sending@b.example",
        "deferred@c.sub.example",
        "scheduled@a.example",
    ]
    assert await recipients(store, QueueFilter(), limit=2) == ["queued@a.example", "held@b.example"]
    assert await count_deliveries(store, QueueFilter()) == dict.fromkeys(queue_queries.QUEUE_STATES, 1)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (QueueFilter(states=frozenset({State.DEFERRED})), {"deferred@c.sub.example"}),
        (QueueFilter(states=frozenset({State.DELIVERED})), {"delivered@a.example"}),
        (
            QueueFilter(states=frozenset({State.HELD, State.SENDING, State.BOUNCED})),
            {"held@b.example", "sending@b.example", "bounced@a.example"},
        ),
        (QueueFilter(domain="A.example"), {"queued@a.example", "scheduled@a.example"}),
        (QueueFilter(domain="*.sub.example"), {"deferred@c.sub.example"}),
        (QueueFilter(recipient="QUEUED@*"), {"queued@a.example"}),
        (QueueFilter(recipient="%@*"), set()),
        (QueueFilter(sender="<>"), {"held@b.example"}),
        (QueueFilter(sender="sender@example.com", domain="b.example"), {"sending@b.example"}),
        (QueueFilter(accepted_before=NOW - DAY), {"deferred@c.sub.example"}),
        (QueueFilter(due_before=NOW), {"queued@a.example"}),
        (QueueFilter(due_before=NOW + 11 * MINUTE, domain="c.*"), {"deferred@c.sub.example"}),
        (QueueFilter(sender="nobody@*"), set()),
    ],
)
async def test_filters(store: Store, rows: Rows, wanted: QueueFilter, expected: set[str]) -> None:
    await one_of_each(rows)
    assert set(await recipients(store, wanted)) == expected
    assert sum((await count_deliveries(store, wanted)).values()) == len(expected)


async def test_filter_by_account_and_by_id(store: Store, rows: Rows) -> None:
    first = await rows.message("a@x.example", "b@x.example")
    second = await rows.message("c@x.example", account="other")
    other = await rows.account("other")
    assert await recipients(store, QueueFilter(account_id=other)) == ["c@x.example"]
    only = QueueFilter(targets=(Target(first.message.id, 2), Target(second.message.id)))
    assert await recipients(store, only) == ["b@x.example", "c@x.example"]
    both = QueueFilter(targets=(Target(first.message.id),), account_id=other)
    assert await recipients(store, both) == []
    (row,) = await list_deliveries(store, QueueFilter(account_id=other))
    assert (row.account, row.sender, row.accepted_at) == ("other", "sender@example.com", NOW)


async def test_only_what_is_unlimited_is_called_so() -> None:
    assert QueueFilter().unlimited
    assert QueueFilter(states=frozenset({State.DEFERRED})).unlimited
    assert not QueueFilter(domain="*").unlimited


# shape


async def test_shape_counts_by_domain_and_age(store: Store, rows: Rows) -> None:
    for age in (0, 4 * MINUTE, 6 * MINUTE, 2 * DAY):
        await rows.message("a@big.example", age=age)
    await rows.message("a@small.example", "b@small.example", age=15 * MINUTE, state=State.HELD)
    await rows.attempted("x@done.example", state=State.DELIVERED, reply="250 2.0.0 ok")
    found = await shape(store, QueueFilter(), NOW)
    assert [(row.domain, row.total, row.ages) for row in found.rows] == [
        ("big.example", 4, [2, 1, 0, 0, 0, 0, 0, 0, 0, 1]),
        ("small.example", 2, [0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
    ]
    assert (found.total.total, found.domains) == (6, 2)
    largest = await shape(store, QueueFilter(), NOW, limit=1)
    assert [row.domain for row in largest.rows] == ["big.example"]
    assert largest.total.ages == [2, 1, 2, 0, 0, 0, 0, 0, 0, 1]


# changes


async def test_selecting_changes_nothing_and_says_what_it_would_leave(store: Store, rows: Rows) -> None:
    await one_of_each(rows)
    before = await list_deliveries(store, QueueFilter())
    for action, chosen, sending, unsuited in (
        (Action.RETRY, 2, 1, 2),  # held, and one that is due already
        (Action.HOLD, 3, 1, 1),
        (Action.RELEASE, 1, 1, 3),
        (Action.CANCEL, 4, 1, 0),
    ):
        selection = await select_deliveries(store, action, QueueFilter(), NOW)
        assert (len(selection), selection.sending, selection.unsuited) == (chosen, sending, unsuited), action
    assert await list_deliveries(store, QueueFilter()) == before
    limited = await select_deliveries(store, Action.CANCEL, QueueFilter(), NOW, limit=2)
    assert len(limited) == 2


async def test_retry_makes_due_and_keeps_the_reason(store: Store, rows: Rows) -> None:
    new = await rows.attempted("a@x.example", state=State.DEFERRED, due_in=HOUR)
    assert await store.claim(rows.worker.id, NOW, 10) == []
    assert await change(store, rows, Action.RETRY) == Change(1, 0)
    assert await states(store, new) == [(State.DEFERRED, NOW, "450 4.2.0 later")]
    (claimed,) = await store.claim(rows.worker.id, NOW, 10)
    assert (claimed.recipient, claimed.attempts) == ("a@x.example", 2)
    # A worker has it now.
    selection = await select_deliveries(store, Action.RETRY, QueueFilter(), NOW)
    assert (len(selection), selection.sending) == (0, 1)


async def test_hold_and_release_keep_a_wanted_time(store: Store, rows: Rows) -> None:
    later = await rows.message("later@x.example", state=State.SCHEDULED, due_in=HOUR)
    now = await rows.message("now@x.example", state=State.QUEUED)
    tried = await rows.attempted("tried@x.example", state=State.DEFERRED, due_in=HOUR)
    assert await change(store, rows, Action.HOLD, reason="wait") == Change(3, 0)
    assert await states(store, later) == [(State.HELD, NOW + HOUR, "wait")]
    assert await store.claim(rows.worker.id, NOW + DAY, 10) == []
    assert await change(store, rows, Action.HOLD) == Change(0, 0)
    assert await change(store, rows, Action.RELEASE, reason="go") == Change(3, 0)
    assert await states(store, later) == [(State.SCHEDULED, NOW + HOUR, "go")]
    assert await states(store, now) == [(State.QUEUED, NOW, "go")]
    assert await states(store, tried) == [(State.DEFERRED, NOW, "go")]
    assert len(await store.claim(rows.worker.id, NOW, 10)) == 2


async def test_each_change_writes_its_event(store: Store, rows: Rows) -> None:
    new = await rows.message("a@x.example", "b@x.example", state=State.SCHEDULED, due_in=HOUR)
    only = QueueFilter(targets=(Target(new.message.id, 2),))
    for action in (Action.HOLD, Action.RELEASE, Action.RETRY, Action.CANCEL):
        assert await change(store, rows, action, only, reason=action.value) == Change(1, 0)
    async with store.read() as connection:
        found = (await connection.execute(select(event).order_by(event.c.id))).all()
    assert [(row.recipient_number, EventType(row.type)) for row in found] == [
        (0, EventType.ACCEPTED),
        (2, EventType.HELD),
        (2, EventType.RELEASED),
        (2, EventType.RELEASED),
        (2, EventType.CANCELLED),
    ]
    assert json.loads(found[3].data) == {
        "action": "retry",
        "by": "tester",
        "holder": "operator",
        "reason": "retry",
    }
    assert [row.at for row in found] == [NOW] * 5


async def test_cancel_removes_the_content_with_the_last_delivery(store: Store, rows: Rows) -> None:
    new = await rows.message("a@x.example", "b@x.example")
    other = await rows.message("c@x.example")
    first, second = (QueueFilter(targets=(Target(new.message.id, number),)) for number in (1, 2))
    assert await change(store, rows, Action.CANCEL, first, reason="stop") == Change(1, 0)
    assert await store.content(new.message.account_id, new.message.id) == CONTENT
    assert await change(store, rows, Action.CANCEL, second, reason="stop") == Change(1, 0)
    assert await store.content(new.message.account_id, new.message.id) is None
    assert await states(store, new) == [(State.CANCELLED, NOW, "stop")] * 2
    assert await store.content(other.message.account_id, other.message.id) == CONTENT


async def test_content_stays_while_a_worker_sends_another_recipient(store: Store, rows: Rows) -> None:
    new = await rows.message("a@x.example", "b@x.example", state=State.SENDING)
    await store.end_worker(rows.worker.id, NOW)
    rows.worker = await store.register_worker("test.example", 2, NOW, DAY)
    (claimed,) = await store.claim(rows.worker.id, NOW, 1)
    assert await change(store, rows, Action.CANCEL) == Change(1, 0)
    assert await store.content(new.message.account_id, new.message.id) == CONTENT
    assert sorted(state for state, _, _ in await states(store, new)) == [State.SENDING, State.CANCELLED]
    assert claimed.state is State.SENDING


async def test_what_a_worker_took_in_the_meantime_is_left_to_it(store: Store, rows: Rows) -> None:
    new = await rows.message("a@x.example", "b@x.example")
    selection = await select_deliveries(store, Action.CANCEL, QueueFilter(), NOW)
    (claimed,) = await store.claim(rows.worker.id, NOW, 1)
    changes = [done async for done in apply_action(store, selection, rows.ids, lambda: NOW, "tester")]
    assert changes == [Change(1, 1)]
    found = dict(enumerate(await states(store, new), 1))
    assert found[claimed.number][0] is State.SENDING


async def test_changes_at_the_same_time_leave_no_content_behind(store: Store, rows: Rows) -> None:
    new = [await rows.message(*(f"r{number}@x.example" for number in range(8))) for _ in range(10)]
    parts = [QueueFilter(targets=tuple(Target(item.message.id, number) for item in new)) for number in range(1, 9)]
    changes = await asyncio.gather(*(change(store, rows, Action.CANCEL, part) for part in parts))
    assert changes == [Change(10, 0)] * 8
    async with store.read() as connection:
        assert (await connection.execute(select(content.c.message_id))).all() == []


async def test_many_are_changed_in_batches(store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(5):
        await rows.message(*(f"r{number}@x.example" for number in range(60)))
    selection = await select_deliveries(store, Action.HOLD, QueueFilter(), NOW)
    assert [len(selection.keys[part]) // 3 for part in selection.batches(128)] == [128, 128, 44]
    monkeypatch.setattr(queue_changes, "BATCH", 128)
    assert await change(store, rows, Action.HOLD) == Change(300, 0)
    assert await count_deliveries(store, QueueFilter()) == {State.HELD: 300}


async def test_a_change_that_fails_leaves_its_batch_as_it_was(
    store: Store, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = await rows.message("a@x.example")
    before = await states(store, new)

    class SameId:
        def next(self, now: Millis) -> int:
            return new_event.id

    async with store.read() as connection:
        new_event = (await connection.execute(select(event))).one()
    selection = await select_deliveries(store, Action.CANCEL, QueueFilter(), NOW)
    with pytest.raises(Conflict, match="pk_event"):
        async for _ in apply_action(store, selection, SameId(), lambda: NOW, "tester"):  # type: ignore[arg-type]
            pass
    assert await states(store, new) == before
    assert await store.content(new.message.account_id, new.message.id) == CONTENT


async def test_questions_about_the_queue_use_the_partial_indexes(sqlite_url: str) -> None:
    """On SQLite only: PostgreSQL's planner goes by statistics, and reads a small table whole."""
    store = await open_store(sqlite_url)
    try:
        await one_of_each(await Rows.make(store, NOW))
        for wanted in (QueueFilter(), QueueFilter(domain="a.example"), QueueFilter(account_id=1)):
            for statement in queue_queries._list_statements(wanted, 10):
                assert "ix_delivery_" in await plan(store, statement)
        lock = queue_changes._lock([(1, 2, 3), (1, 3, 1)], frozenset({State.HELD}), rows=False)
        assert "PRIMARY KEY (account_id=? AND message_id=? AND number=?)" in await plan(store, lock)
        wanted = QueueFilter(targets=(Target(1), Target(2, 1)))
        for statement in queue_queries._list_statements(wanted, 10):
            assert "(account_id=? AND message_id=?)" in await plan(store, statement)
    finally:
        await store.close()


async def plan(store: Store, statement: Select[Any] | str) -> str:
    async with store.read() as connection:
        compiled: object = statement
        if not isinstance(statement, str):
            compiled = statement.compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        return "\n".join(row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}")))


# trace


async def test_a_trace_has_everything(store: Store, rows: Rows) -> None:
    new = await rows.attempted(
        "a@x.example",
        "b@x.example",
        state=State.BOUNCED,
        reply="550 5.1.1 no such user",
        only=[1],
    )
    trace = await load_trace(store, new.message.account_id, new.message.id)
    assert trace is not None
    assert (trace.account, trace.sender, trace.origin["client"]) == ("acme", "sender@example.com", "192.0.2.7")
    assert trace.has_content
    assert [item.type for item in trace.events] == [EventType.ACCEPTED]
    first, second = trace.deliveries
    assert (first.state, first.cause, first.code, first.enhanced) == (
        State.BOUNCED,
        Cause.RECIPIENT,
        550,
        "5.1.1",
    )
    (attempt,) = first.attempts
    assert attempt.address == "127.0.0.9:25"
    assert attempt.dialogue[0] == "S: 220 mx.example.net ESMTP"
    assert attempt.finished_at - attempt.started_at == SECOND // 2
    assert [item.type for item in first.events] == [EventType.BOUNCED]
    assert (second.state, second.attempts, second.events) == (State.SENDING, [], [])
    assert await load_trace(store, new.message.account_id, 1) is None


async def test_messages_are_found_by_queue_id_and_by_message_id(store: Store, rows: Rows) -> None:
    new = await rows.message("a@x.example", header_id="<unique@example.com>", account="second")
    key = (new.message.account_id, new.message.id)
    await rows.message("b@x.example")
    assert await find_messages(store, id=new.message.id) == [key]
    assert await find_messages(store, id=1) == []
    assert await find_messages(store, header_id="unique@example.com") == [key]
    assert await find_messages(store, header_id="<unique@example.com>") == [key]
    async with store.read() as connection:
        assert len((await connection.execute(select(content.c.message_id))).all()) == 2
        assert len((await connection.execute(select(delivery.c.message_id))).all()) == 2
