"""Bulks as their senders see and change them."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from sqlalchemy import select, update

from ekiden.core.clock import DAY, HOUR, Millis
from ekiden.core.events import EventType
from ekiden.core.states import Cause, State, Wait
from ekiden.core.submission import Marks
from ekiden.delivery.bulks import BulkError, BulkNotAllowed, BulkNotFound, Bulks
from ekiden.delivery.queue_changes import Action, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter, Target
from ekiden.store.api import Store
from ekiden.store.records import NewMessage
from ekiden.store.tables import content, delivery, event, message
from support.manual_clock import ManualClock
from support.queue_rows import NOW, Rows

BY = "api_key:7"
NEWS = Marks(bulk="news")


async def scheduled(rows: Rows, count: int = 3, due_in: Millis = HOUR) -> list[NewMessage]:
    return [
        await rows.message(f"r{number}@x.example", state=State.SCHEDULED, due_in=due_in, marks=NEWS)
        for number in range(count)
    ]


async def stand(store: Store) -> list[tuple[State, Millis, Millis]]:
    """State, next time and end of the time to deliver in, of every delivery."""
    query = (
        select(delivery.c.state, delivery.c.due_at, message.c.expires_at)
        .join(message, (message.c.account_id == delivery.c.account_id) & (message.c.id == delivery.c.message_id))
        .order_by(delivery.c.message_id, delivery.c.number)
    )
    async with store.read() as connection:
        return [(State(row[0]), row[1], row[2]) for row in await connection.execute(query)]


async def told(store: Store) -> list[tuple[EventType, dict[str, Any]]]:
    async with store.read() as connection:
        found = await connection.execute(select(event.c.type, event.c.data).order_by(event.c.id))
        return [(EventType(row.type), json.loads(row.data)) for row in found if row.type != EventType.ACCEPTED]


async def over_quota(store: Store) -> None:
    async with store.write() as connection:
        await connection.execute(update(delivery).values(cause=int(Cause.RATE), wait=int(Wait.QUOTA)))


async def test_a_bulk_is_its_deliveries(bulks: Bulks, rows: Rows, account: int) -> None:
    first, *_ = await scheduled(rows)
    await rows.message("early@x.example", state=State.SCHEDULED, due_in=HOUR // 2, marks=NEWS)
    await rows.message("other@x.example", state=State.SCHEDULED, marks=Marks(bulk="other"))
    await rows.message("none@x.example")
    found = await bulks.get(account, "news")
    assert found is not None
    assert (found.name, found.first_id, found.send_at) == ("news", first.message.id, NOW + HOUR // 2)
    assert (found.counts, found.paused, found.begun) == ({State.SCHEDULED: 4}, 0, 0)
    assert (found.movable, found.waiting, found.unfinished) == (4, 4, 4)


async def test_what_was_sent_at_once_has_the_time_of_its_acceptance(bulks: Bulks, rows: Rows, account: int) -> None:
    new = await rows.message("a@x.example", "b@x.example", state=State.SENDING, marks=NEWS, age=HOUR)
    found = await bulks.get(account, "news")
    assert found is not None
    assert (found.first_id, found.send_at) == (new.message.id, NOW - HOUR)
    assert (found.counts, found.begun, found.waiting, found.unfinished) == ({State.SENDING: 2}, 2, 0, 2)


async def test_nobody_else_has_a_bulk(bulks: Bulks, rows: Rows, account: int) -> None:
    await rows.message("a@x.example", account="other", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    for name in ("news", "", "\0", "\ud800", "NEWS"):
        assert await bulks.get(account, name) is None
        for change in (
            bulks.reschedule(account, name, NOW),
            bulks.pause(account, name, BY),
            bulks.resume(account, name, BY),
            bulks.cancel(account, name, BY),
        ):
            with pytest.raises(BulkNotFound):
                await change


async def test_a_bulk_is_moved_with_its_time_to_live(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows)
    await rows.message("apart@x.example", state=State.SCHEDULED, due_in=HOUR)
    before = await stand(store)
    moved = await bulks.reschedule(account, "news", NOW + DAY)
    assert (moved.send_at, moved.counts) == (NOW + DAY, {State.SCHEDULED: 3})
    later = DAY - HOUR
    expected = [(state, due + later, expires + later) for state, due, expires in before[:3]]
    assert await stand(store) == [*expected, before[3]]
    assert await rows.store.claim(rows.worker.id, NOW + 2 * HOUR, 10) != []
    assert (await bulks.reschedule(account, "news", NOW + 2 * HOUR)).send_at == NOW + 2 * HOUR


async def test_a_time_that_is_over_means_now(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows, 2)
    moved = await bulks.reschedule(account, "news", NOW - DAY)
    assert moved.counts == {State.QUEUED: 2}
    assert {due for _, due, _ in await stand(store)} == {NOW}
    assert len(await store.claim(rows.worker.id, NOW, 10)) == 2


async def test_what_was_begun_is_not_moved(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows, 2)
    for state in (State.DEFERRED, State.DELIVERED, State.BOUNCED):
        name = f"with {state.name}"
        marks = Marks(bulk=name)
        await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=marks)
        new = await rows.attempted("b@x.example", state=state)
        async with store.write() as connection:
            await connection.execute(update(message).where(message.c.id == new.message.id).values(bulk=name))
        with pytest.raises(BulkNotAllowed) as caught:
            await bulks.reschedule(account, name, NOW + DAY)
        assert name in caught.value.text("ja")
        assert "送信" in caught.value.text("ja")
    await rows.message("due@x.example", state=State.QUEUED, marks=NEWS)
    with pytest.raises(BulkNotAllowed):
        await bulks.reschedule(account, "news", NOW + DAY)
    assert {due for _, due, _ in await stand(store)} <= {NOW, NOW + HOUR}


async def test_what_was_dropped_or_taken_back_does_not_hinder(bulks: Bulks, rows: Rows, account: int) -> None:
    await scheduled(rows, 2)
    await rows.message("suppressed@x.example", state=State.DROPPED, marks=NEWS)
    assert (await bulks.reschedule(account, "news", NOW + DAY)).send_at == NOW + DAY


async def test_a_pause_keeps_the_time(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows)
    before = await stand(store)
    paused = await bulks.pause(account, "news", BY)
    assert (paused.counts, paused.paused, paused.send_at) == ({State.HELD: 3}, 3, NOW + HOUR)
    assert await store.claim(rows.worker.id, NOW + DAY, 10) == []
    assert await bulks.pause(account, "news", BY) == paused
    assert await bulks.resume(account, "news", BY) == await bulks.get(account, "news")
    assert await stand(store) == before
    events = await told(store)
    assert [type_ for type_, _ in events] == [EventType.HELD] * 3 + [EventType.RELEASED] * 3
    assert {data["by"] for _, data in events} == {BY}
    assert await bulks.resume(account, "news", BY) == await bulks.get(account, "news")


async def test_a_paused_bulk_can_be_moved_and_stays_paused(
    bulks: Bulks, rows: Rows, account: int, store: Store, clock: ManualClock
) -> None:
    await scheduled(rows, 1)
    await rows.message("due@x.example", state=State.QUEUED, marks=NEWS)
    await bulks.pause(account, "news", BY)
    moved = await bulks.reschedule(account, "news", NOW + 2 * HOUR)
    assert (moved.counts, moved.paused, moved.send_at) == ({State.HELD: 2}, 2, NOW + 2 * HOUR)
    assert (await bulks.resume(account, "news", BY)).counts == {State.SCHEDULED: 2}
    await bulks.pause(account, "news", BY)
    clock.advance(3 * HOUR)
    assert (await bulks.resume(account, "news", BY)).counts == {State.QUEUED: 2}
    assert {due for _, due, _ in await stand(store)} == {NOW + 3 * HOUR}


async def test_a_cancelled_bulk_is_over(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows, 2)
    await bulks.pause(account, "news", BY)
    await rows.message("due@x.example", state=State.QUEUED, marks=NEWS)
    cancelled = await bulks.cancel(account, "news", BY)
    assert (cancelled.counts, cancelled.unfinished) == ({State.CANCELLED: 3}, 0)
    assert await bulks.cancel(account, "news", BY) == cancelled
    async with store.read() as connection:
        assert (await connection.execute(select(content.c.message_id))).all() == []
    for change in (bulks.pause(account, "news", BY), bulks.resume(account, "news", BY)):
        with pytest.raises(BulkNotAllowed):
            await change
    with pytest.raises(BulkNotAllowed):
        await bulks.reschedule(account, "news", NOW + DAY)


async def test_a_finished_bulk_cannot_be_changed(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    new = await rows.attempted("a@x.example", state=State.DELIVERED)
    async with store.write() as connection:
        await connection.execute(update(message).where(message.c.id == new.message.id).values(bulk="news"))
    for change in (
        bulks.reschedule(account, "news", NOW + DAY),
        bulks.pause(account, "news", BY),
        bulks.resume(account, "news", BY),
        bulks.cancel(account, "news", BY),
    ):
        with pytest.raises(BulkError):
            await change


async def test_what_an_operator_holds_stays_held(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    held, _, _ = await scheduled(rows)
    only = QueueFilter(targets=(Target(held.message.id),))
    selection = await select_deliveries(store, Action.HOLD, only, NOW)
    async for _ in apply_action(store, selection, rows.ids, lambda: NOW, "operator"):
        pass
    found = await bulks.pause(account, "news", BY)
    assert (found.counts, found.paused) == ({State.HELD: 3}, 3)
    found = await bulks.resume(account, "news", BY)
    assert (found.counts, found.paused) == ({State.HELD: 1, State.SCHEDULED: 2}, 0)
    await bulks.reschedule(account, "news", NOW + DAY)
    assert sorted(await stand(store))[0][:2] == (State.HELD, NOW + HOUR)
    assert (await bulks.cancel(account, "news", BY)).counts == {State.CANCELLED: 3}


async def test_nobody_gets_round_the_quota(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await scheduled(rows, 2)
    await over_quota(store)
    assert (await bulks.reschedule(account, "news", NOW)).send_at == NOW + HOUR
    await bulks.pause(account, "news", BY)
    assert (await bulks.reschedule(account, "news", NOW)).send_at == NOW + HOUR
    await bulks.resume(account, "news", BY)
    moved = await bulks.reschedule(account, "news", NOW)
    assert (moved.send_at, moved.counts) == (NOW + HOUR, {State.SCHEDULED: 2})
    assert (await bulks.reschedule(account, "news", NOW + DAY)).send_at == NOW + DAY


async def test_what_a_worker_has_is_left_to_it(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await rows.message("sending@x.example", state=State.SENDING, marks=NEWS)
    for change in (bulks.pause(account, "news", BY), bulks.cancel(account, "news", BY)):
        with pytest.raises(BulkNotAllowed):
            await change
    await scheduled(rows, 2)
    assert (await bulks.cancel(account, "news", BY)).counts == {State.SENDING: 1, State.CANCELLED: 2}


async def test_every_delivery_is_either_claimed_or_changed(
    bulks: Bulks, rows: Rows, account: int, store: Store
) -> None:
    for _ in range(30):
        await rows.message(*(f"r{number}@x.example" for number in range(4)), marks=NEWS)

    async def claim() -> int:
        count = 0
        for _ in range(10):
            count += len(await store.claim(rows.worker.id, NOW, 5))
        return count

    claimed, cancelled = await asyncio.gather(claim(), bulks.cancel(account, "news", BY))
    found = await bulks.get(account, "news")
    assert found is not None
    assert found.counts.get(State.SENDING, 0) == claimed
    assert found.counts.get(State.CANCELLED, 0) == 120 - claimed
    assert cancelled.counts.get(State.CANCELLED) == 120 - claimed


async def test_a_bulk_that_is_moved_while_workers_claim_is_sent_once(
    bulks: Bulks, rows: Rows, account: int, store: Store
) -> None:
    await scheduled(rows, 40)

    async def claim() -> int:
        return len(await store.claim(rows.worker.id, NOW + HOUR, 15))

    claimed, moved = await asyncio.gather(
        claim(), bulks.reschedule(account, "news", NOW + DAY), return_exceptions=True
    )
    states = await stand(store)
    assert claimed == sum(state is State.SENDING for state, _, _ in states)
    assert not isinstance(moved, BaseException) or isinstance(moved, BulkNotAllowed)
    if not isinstance(moved, BaseException):
        assert {due for state, due, _ in states if state is State.SCHEDULED} == {NOW + DAY}
