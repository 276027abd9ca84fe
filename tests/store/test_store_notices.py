"""What the outbox is filled with, contents that messages share, and requests that are taken as a whole."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select

from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory
from ekiden.core.notices import News, Route, parse_routes, routes_text
from ekiden.core.states import State
from ekiden.core.submission import SharedContent
from ekiden.delivery.queue_changes import Action, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter
from ekiden.notify.queries import RoundResult, Sent, record_rounds
from ekiden.store import tables as t
from ekiden.store.api import Store, StoreError
from ekiden.store.records import NewMessage, Noted, Registration
from support.store_rows import NOW, TTL, Maker, outcome

ALL = (Route(3, News.FINAL), Route(4, News.INTERMEDIATE | News.TRACKING))


@pytest.fixture
def maker() -> Maker:
    return Maker()


@pytest.fixture
async def worker(store: Store) -> Registration:
    return await store.register_worker("host-a", 100, NOW, TTL)


def routed(maker: Maker, recipients: int = 1, state: State = State.SENDING) -> NewMessage:
    new = maker.message(recipients, state=state)
    new.message.routes = ALL
    return new


async def notices(store: Store) -> list[tuple[int, int, int, int]]:
    """(endpoint, message, recipient, type of its event), in the order of events."""
    query = (
        select(t.notice.c.endpoint_id, t.notice.c.message_id, t.notice.c.recipient_number, t.event.c.type)
        .join(t.event, (t.event.c.message_id == t.notice.c.message_id) & (t.event.c.id == t.notice.c.id))
        .order_by(t.notice.c.id, t.notice.c.endpoint_id)
    )
    async with store.read() as connection:
        return [tuple(row) for row in await connection.execute(query)]


async def count(store: Store, table: Any) -> int:
    async with store.read() as connection:
        return len((await connection.execute(select(table))).all())


def test_routes_are_kept_as_text() -> None:
    assert routes_text(()) == ""
    assert parse_routes(routes_text(ALL)) == ALL


async def test_each_event_is_noted_for_whoever_wants_it(store: Store, worker: Registration, maker: Maker) -> None:
    new = routed(maker, 2)
    message = new.message.id
    told = []
    store.on_notices(lambda: told.append(True))
    await store.accept(worker.id, new)
    assert await notices(store) == [(4, message, 0, EventType.ACCEPTED)]
    first, second = new.deliveries
    await store.finish(
        worker.id, [outcome(first), outcome(second, State.DEFERRED, due_at=NOW + 60_000, at=NOW + 2000)]
    )
    assert (await notices(store))[1:] == [
        (3, message, 1, EventType.DELIVERED),
        (4, message, 2, EventType.DEFERRED),
    ]
    [again] = await store.claim(worker.id, NOW + 60_000, 10)
    assert again.message.routes == ALL
    opened = Event(1, message, 1, EventType.OPENED, NOW + 70_000, {"user_agent": "Mozilla"})
    await store.note(worker.id, [Noted(opened, ALL), Noted(opened, ())])
    assert (await notices(store))[3:] == [(4, message, 1, EventType.OPENED)]
    assert len(told) == 3


async def test_who_has_no_routes_costs_no_notice(store: Store, worker: Registration, maker: Maker) -> None:
    new = maker.message(state=State.SENDING)
    await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0])])
    assert await count(store, t.notice) == 0


async def test_a_fenced_outcome_tells_nobody(store: Store, worker: Registration, maker: Maker) -> None:
    new = routed(maker)
    await store.accept(worker.id, new)
    before = await notices(store)
    assert await store.finish(worker.id + 1, [outcome(new.deliveries[0])]) == [False]
    assert await notices(store) == before


async def test_what_an_operator_does_is_noted_too(store: Store, worker: Registration, maker: Maker) -> None:
    new = routed(maker, 2, State.QUEUED)
    await store.accept(worker.id, new)
    ids = IdFactory(9)
    selection = await select_deliveries(store, Action.CANCEL, QueueFilter(account_id=1), NOW)
    async for _ in apply_action(store, selection, ids, lambda: NOW + 5, "test"):
        pass
    assert (await notices(store))[1:] == [
        (3, new.message.id, 1, EventType.CANCELLED),
        (3, new.message.id, 2, EventType.CANCELLED),
    ]


async def test_a_request_is_taken_as_a_whole(store: Store, worker: Registration, maker: Maker) -> None:
    many = [routed(maker, state=State.QUEUED) for _ in range(700)]
    await store.accept_all(worker.id, many)
    assert await count(store, t.message) == 700
    await store.accept_all(worker.id, [])
    others = [maker.message(state=State.QUEUED) for _ in range(3)]
    others[2].message.id = many[0].message.id  # there is one of that id
    with pytest.raises(StoreError):
        await store.accept_all(worker.id, others)
    assert await count(store, t.message) == 700


async def test_messages_share_the_end_of_their_contents(store: Store, worker: Registration, maker: Maker) -> None:
    pieces = tuple(bytes([65 + number]) * 1_000_000 for number in range(3))
    shared = SharedContent(maker.ids.next(NOW), pieces)
    assert shared.size == 3_000_000
    many = [maker.message(state=State.SENDING, content=b"To: %d\r\n\r\n" % number) for number in range(3)]
    for new in many[:2]:
        new.shared = shared
    await asyncio.gather(store.accept_all(worker.id, many), store.accept(worker.id, maker.message()))
    assert await count(store, t.shared_content) == 3
    for number, new in enumerate(many):
        expected = b"To: %d\r\n\r\n" % number + (b"".join(pieces) if number < 2 else b"")
        assert await store.content(1, new.message.id) == expected
    await store.finish(worker.id, [outcome(many[0].deliveries[0])])
    assert await store.content(1, many[0].message.id) is None
    assert await store.content(1, many[1].message.id) == b"To: 1\r\n\r\n" + b"".join(pieces)


async def test_the_ids_of_a_worker_and_of_its_store_never_meet(
    store: Store, worker: Registration, maker: Maker
) -> None:
    """What a worker changes in the queue itself, and what its store writes of deliveries in the same millisecond,
    goes to the same endpoint."""
    held = [routed(maker, state=State.QUEUED) for _ in range(3)]
    sent = routed(maker)
    await store.accept_all(worker.id, [*held, sent])
    ids = IdFactory(worker.node)
    selection = await select_deliveries(store, Action.CANCEL, QueueFilter(), NOW)
    async for change in apply_action(store, selection, ids, lambda: NOW + 7, "somebody"):
        assert change.changed == 3
    done = Event(sent.message.account_id, sent.message.id, 1, EventType.DELIVERED, NOW + 7)
    ended = outcome(sent.deliveries[0], state=State.DELIVERED, events=[done])
    assert await store.finish(worker.id, [ended]) == [True]
    final = [row for row in await notices(store) if row[0] == 3]
    assert [row[3] for row in final].count(EventType.CANCELLED) == 3
    assert [row[3] for row in final].count(EventType.DELIVERED) == 1


async def test_results_of_callbacks_may_be_written_again(store: Store, worker: Registration, maker: Maker) -> None:
    """A commit whose answer is lost is repeated."""
    new = routed(maker)
    await store.accept(worker.id, new)
    ended = outcome(new.deliveries[0])
    assert await store.finish(worker.id, [ended]) == [True]
    async with store.read() as connection:
        [told] = await connection.scalars(select(t.notice.c.id).where(t.notice.c.endpoint_id == 3))
    sent = Sent(IdFactory(worker.node).next(NOW), NOW, 12, 200, "ok", [told])
    result = RoundResult(3, new.message.account_id, [told], [], [], [sent], 0, None, 0)
    for _ in range(2):
        async with store.write() as connection:
            await record_rounds(connection, worker.id, [result], NOW)
    assert [row[0] for row in await notices(store)] == [4]
    assert await count(store, t.callback) == 1
