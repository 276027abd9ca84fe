"""What a delivery waits for, and who holds it, through whatever an operator and its sender do in turn."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from sqlalchemy import select, update

from ekiden.core.clock import DAY, HOUR, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.states import Cause, Hold, State, Wait
from ekiden.core.submission import Marks
from ekiden.core.waits import SHOWN_AS, WAITS_OF, wait_of
from ekiden.delivery.bulks import BulkNotAllowed, Bulks
from ekiden.delivery.explain import explain, wait_name
from ekiden.delivery.explain_sentences import WAITS
from ekiden.delivery.queue_changes import Action, Change, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter, QueueRow, list_deliveries
from ekiden.store.api import Store
from ekiden.store.tables import delivery
from support.queue_rows import NOW, Rows

NEWS = Marks(bulk="news")


async def act(store: Store, rows: Rows, action: Action, now: Millis = NOW, reason: str = "") -> Change:
    selection = await select_deliveries(store, action, QueueFilter(), now)
    total = Change()
    async for change in apply_action(store, selection, rows.ids, lambda: now, "root@mail", reason):
        total.changed += change.changed
        total.missed += change.missed
        total.still_held += change.still_held
    return total


async def stand(store: Store) -> tuple[State, Wait | None, list[str], str]:
    [row] = await list_deliveries(store, QueueFilter(states=frozenset(State)), newest=True)
    return row.state, row.wait, [hold.name for hold in row.holds], row.reason


async def set_columns(store: Store, **values: int | str) -> None:
    async with store.write() as connection:
        await connection.execute(update(delivery).values(values))


async def tried(store: Store, **values: int | str) -> None:
    await set_columns(store, state=int(State.DEFERRED), attempts=1, **values)


BEGINNINGS: dict[Wait, Callable[[Store], Awaitable[None]]] = {
    Wait.SCHEDULED: partial(set_columns, wait=int(Wait.SCHEDULED)),
    Wait.QUOTA: partial(set_columns, wait=int(Wait.QUOTA), cause=int(Cause.RATE)),
    Wait.RETRY: partial(tried, wait=int(Wait.RETRY)),
    Wait.SITE_DOWN: partial(tried, wait=int(Wait.SITE_DOWN)),
    Wait.WORKER_LOST: partial(tried, wait=int(Wait.WORKER_LOST)),
}


@pytest.mark.parametrize("order", list(itertools.permutations(["hold", "pause", "release", "resume"])))
async def test_any_order_leaves_each_their_own(
    bulks: Bulks, rows: Rows, account: int, store: Store, order: tuple[str, ...]
) -> None:
    await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    await set_columns(store, wait=int(Wait.SCHEDULED))
    operator = sender = False
    for step in order:
        if step == "hold":
            operator = (await act(store, rows, Action.HOLD, reason="look at it")).changed == 1
        elif step == "release":
            change = await act(store, rows, Action.RELEASE)
            assert (change.changed, change.still_held) == (int(operator), int(operator and sender))
            operator = False
        elif step == "pause":
            await bulks.pause(account, "news", "api_key:7")
            sender = True
        elif sender or not operator:
            await bulks.resume(account, "news", "api_key:7")
            sender = False
        else:
            with pytest.raises(BulkNotAllowed):
                await bulks.resume(account, "news", "api_key:7")
        state, wait, holds, reason = await stand(store)
        assert holds == ["operator"] * operator + ["sender"] * sender
        assert state is (State.HELD if holds else State.SCHEDULED)
        wanted = Wait.HELD_BY_OPERATOR if operator else Wait.PAUSED_BY_SENDER if sender else Wait.SCHEDULED
        assert wait is wanted
        assert (reason == "look at it") is operator
        assert (reason == "paused by its sender") is (sender and not operator)
        found = await bulks.get(account, "news")
        assert found is not None
        assert found.paused == int(sender)


@pytest.mark.parametrize("wait", BEGINNINGS)
@pytest.mark.parametrize("first", ["operator", "sender"])
async def test_what_it_waited_for_is_kept_below(
    bulks: Bulks, rows: Rows, account: int, store: Store, wait: Wait, first: str
) -> None:
    await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    await BEGINNINGS[wait](store)
    assert (await stand(store))[1] is wait
    laid = [partial(act, store, rows, Action.HOLD), partial(bulks.pause, account, "news", "api")]
    lifted = [partial(act, store, rows, Action.RELEASE), partial(bulks.resume, account, "news", "api")]
    if first == "sender":
        laid.reverse()
    for step in laid:
        await step()
    for number, step in enumerate(lifted):
        state, shown, holds, _ = await stand(store)
        assert (state, len(holds)) == (State.HELD, 2 - number)
        assert shown is (Wait.PAUSED_BY_SENDER if number else Wait.HELD_BY_OPERATOR)
        await step()
    assert (await stand(store))[1:3] == (wait, [])


async def test_nobody_gets_round_the_quota_with_two_holds(
    bulks: Bulks, rows: Rows, account: int, store: Store
) -> None:
    await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    await BEGINNINGS[Wait.QUOTA](store)
    for _ in range(2):
        await bulks.pause(account, "news", "api")
        await act(store, rows, Action.HOLD)
        assert (await bulks.reschedule(account, "news", NOW)).send_at == NOW + HOUR
        await bulks.resume(account, "news", "api")
        await act(store, rows, Action.RELEASE)
        assert (await bulks.reschedule(account, "news", NOW)).send_at == NOW + HOUR
        assert (await stand(store))[:2] == (State.SCHEDULED, Wait.QUOTA)
    # An operator may: at once, and then it waits for nothing but a worker.
    assert (await act(store, rows, Action.RETRY)).changed == 1
    assert (await stand(store))[:2] == (State.QUEUED, Wait.DUE)


async def test_when_its_time_is_over_it_is_due(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    await set_columns(store, wait=int(Wait.QUOTA))
    await bulks.pause(account, "news", "api")
    await act(store, rows, Action.HOLD)
    await bulks.resume(account, "news", "api")
    assert (await act(store, rows, Action.RELEASE, NOW + DAY)).changed == 1
    assert (await stand(store))[:2] == (State.QUEUED, Wait.DUE)
    assert len(await store.claim(rows.worker.id, NOW + DAY, 5)) == 1
    assert (await stand(store))[:2] == (State.SENDING, None)


async def test_an_older_ekiden_beside_this_one(bulks: Bulks, rows: Rows, account: int, store: Store) -> None:
    """It knows the state alone, and neither writes nor reads the new columns."""
    await rows.message("a@x.example", state=State.SCHEDULED, due_in=HOUR, marks=NEWS)
    await set_columns(store, state=int(State.HELD), reason="paused by its sender")
    assert (await stand(store))[1:3] == (Wait.HELD_BY_OPERATOR, ["operator"])
    await bulks.pause(account, "news", "api")
    assert (await stand(store))[2] == ["operator", "sender"]
    # It lets go what two hold; what is left in the columns is nobody's hold.
    await set_columns(store, state=int(State.DEFERRED), attempts=1)
    assert (await stand(store))[:3] == (State.DEFERRED, Wait.RETRY, [])
    await act(store, rows, Action.HOLD)
    assert (await stand(store))[2] == ["operator"]
    await act(store, rows, Action.RELEASE)
    await set_columns(store, state=int(State.SCHEDULED), cause=int(Cause.RATE), due_at=NOW + HOUR, attempts=0)
    assert (await stand(store))[1] is Wait.QUOTA


async def test_columns_that_say_nothing_stop_nobody(rows: Rows, store: Store) -> None:
    await rows.message("a@x.example", state=State.HELD)
    await set_columns(store, holds=64, wait=99, held="{", said="")
    selection = await select_deliveries(store, Action.RELEASE, QueueFilter(), NOW)
    assert len(selection) == 1
    assert (await act(store, rows, Action.RELEASE)).changed == 1
    assert (await stand(store))[:3] == (State.QUEUED, Wait.DUE, [])


@pytest.mark.parametrize("hold", SHOWN_AS)
async def test_every_hold_is_shown(rows: Rows, store: Store, hold: Hold) -> None:
    await rows.message("a@x.example", state=State.HELD)
    await set_columns(store, holds=int(hold))
    state, wait, holds, _ = await stand(store)
    assert (state, wait) == (State.HELD, SHOWN_AS[hold])
    assert len(holds) == 1
    released = await act(store, rows, Action.RELEASE)
    assert released.changed == int(hold in (Hold.OPERATOR, Hold.UNREADABLE))
    assert (await act(store, rows, Action.CANCEL)).changed == 1
    assert (await stand(store))[0] is State.CANCELLED


def test_every_wait_has_words_in_both_languages() -> None:
    for wait in Wait:
        assert wait_name(wait) != wait_name(wait, "ja")
        assert wait_name(wait).isascii()
    told = {wait: explain(State.HELD, Diagnosis.NONE, "ja", wait=wait).headline for wait in WAITS}
    assert len(set(told.values())) == len(WAITS)
    assert set(SHOWN_AS.values()) <= set(WAITS)


async def test_each_filter_finds_what_shows_that_wait(rows: Rows, store: Store) -> None:
    """Every state with every number in the column, stale ones, too, and every set of holds."""
    combinations: list[tuple[State, int, int, Cause]] = [
        (state, wait, 0, cause)
        for state in WAITS_OF
        for wait in (0, 1, 2, 3, 4, 5, 9, 99)
        for cause in (Cause.NONE, Cause.RATE)
    ]
    combinations += [
        *((State.HELD, 2, holds, Cause.OURS) for holds in range(32)),
        (State.SENDING, 2, 0, Cause.NONE),
    ]
    for state, wait, holds, cause in combinations:
        new = await rows.message(f"a{state}@x.example")
        async with store.write() as connection:
            await connection.execute(
                update(delivery)
                .where(delivery.c.message_id == new.message.id)
                .values(state=int(state), wait=wait, holds=holds, cause=int(cause))
            )
    found: dict[int, QueueRow] = {
        row.key.message_id: row for row in await list_deliveries(store, QueueFilter(), 1_000)
    }
    assert len(found) == len(combinations)
    async with store.read() as connection:
        columns = delivery.c
        query = select(columns.message_id, columns.state, columns.wait, columns.holds, columns.cause)
        stored = (await connection.execute(query)).all()
    for row in stored:
        assert found[row.message_id].wait is wait_of(State(row.state), row.wait, row.holds, row.cause)
    for wait_asked in Wait:
        listed = await list_deliveries(store, QueueFilter(waits=frozenset({wait_asked})), 1_000)
        wanted = {
            id
            for id, row in found.items()
            if row.wait is wait_asked or wait_asked in {SHOWN_AS[hold.hold] for hold in row.holds}
        }
        assert {row.key.message_id for row in listed} == wanted, wait_asked
