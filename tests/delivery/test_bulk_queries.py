"""What there is of a bulk, and what of it may be changed."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from ekiden.core.clock import HOUR
from ekiden.core.states import Hold, State
from ekiden.core.submission import Marks
from ekiden.delivery import bulk_queries
from ekiden.delivery.bulk_queries import (
    BulkFacts,
    bulk_facts,
    movable_messages,
    move_messages,
    select_bulk,
)
from ekiden.delivery.queue_changes import Action
from ekiden.delivery.trace_queries import load_trace
from ekiden.store.api import Store
from ekiden.store.records import NewMessage, Registration
from ekiden.store.tables import delivery
from support.store_rows import NOW, TTL, Maker, outcome


@pytest.fixture
async def worker(store: Store) -> Registration:
    return await store.register_worker("host-a", 100, NOW, TTL)


def made(maker: Maker, state: State, recipients: int = 1, due_at: int = NOW + HOUR) -> NewMessage:
    new = maker.message(recipients, state=state, due_at=due_at)
    new.message.marks = Marks(bulk="b")
    return new


async def one_of_each(store: Store, worker: Registration) -> list[NewMessage]:
    maker = Maker()
    many = [
        made(maker, State.SCHEDULED, 2),
        made(maker, State.HELD, due_at=NOW + HOUR // 2),
        made(maker, State.HELD),
        made(maker, State.QUEUED),
        made(maker, State.SENDING, 3),
        made(maker, State.SENDING),
        made(maker, State.DROPPED),
    ]
    await store.accept_all(worker.id, many)
    paused, by_operator = many[1].message.id, many[2].message.id
    async with store.write() as connection:
        for id, hold in ((paused, Hold.SENDER), (by_operator, Hold.OPERATOR)):
            await connection.execute(update(delivery).where(delivery.c.message_id == id).values(holds=int(hold)))
    tried = many[5].deliveries[0]
    await store.finish(worker.id, [outcome(tried, State.DEFERRED, due_at=NOW + HOUR)])
    return many


async def test_facts_say_what_may_be_changed(store: Store, worker: Registration) -> None:
    many = await one_of_each(store, worker)
    assert await bulk_facts(store, 1, "b") == BulkFacts(
        first_id=many[0].message.id,
        counts={
            State.SCHEDULED: 2,
            State.HELD: 2,
            State.QUEUED: 1,
            State.SENDING: 3,
            State.DEFERRED: 1,
            State.DROPPED: 1,
        },
        paused=1,
        movable=3,
        begun=5,
        send_at=NOW + HOUR // 2,
    )
    assert await bulk_facts(store, 2, "b") is None
    assert await bulk_facts(store, 1, "B") is None


async def test_each_action_chooses_what_it_leads_on_from(store: Store, worker: Registration) -> None:
    await one_of_each(store, worker)
    # What an operator holds can be paused besides.
    for action, count in ((Action.HOLD, 5), (Action.CANCEL, 6), (Action.RELEASE, 1)):
        assert len(await select_bulk(store, 1, "b", action)) == count, action


async def test_messages_are_moved_in_batches_those_due_first_first(
    store: Store, worker: Registration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_queries, "_MESSAGES", 2)
    maker = Maker()
    many = [made(maker, State.SCHEDULED, 3, due_at=NOW + (9 - number) * HOUR) for number in range(5)]
    await store.accept_all(worker.id, many)
    ids = await movable_messages(store, 1, "b")
    assert ids == [new.message.id for new in reversed(many)]
    assert await move_messages(store, 1, ids, NOW + 20 * HOUR, lambda: NOW) == 15
    for number, new in enumerate(many):
        trace = await load_trace(store, 1, new.message.id)
        assert trace is not None
        assert {each.due_at for each in trace.deliveries} == {NOW + 20 * HOUR}
        assert {each.reason for each in trace.deliveries} == {"rescheduled by its sender"}
        assert trace.expires_at == new.message.expires_at + (20 - (9 - number)) * HOUR
    assert await move_messages(store, 2, ids, NOW, lambda: NOW) == 0


async def test_what_was_taken_after_it_was_chosen_is_left_alone(store: Store, worker: Registration) -> None:
    new = made(Maker(), State.SCHEDULED, 2)
    await store.accept(worker.id, new)
    ids = await movable_messages(store, 1, "b")
    [claimed] = await store.claim(worker.id, NOW + HOUR, 1)
    assert await move_messages(store, 1, ids, NOW + 9 * HOUR, lambda: NOW) == 1
    trace = await load_trace(store, 1, new.message.id)
    assert trace is not None
    found = {each.number: (each.state, each.due_at) for each in trace.deliveries}
    assert found.pop(claimed.number) == (State.SENDING, NOW + HOUR)
    assert list(found.values()) == [(State.SCHEDULED, NOW + 9 * HOUR)]
