"""A row with a column that cannot be read concerns nobody else: each column of what mail is made of, in turn."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, SmallInteger, Text, insert, select

from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory
from ekiden.core.notices import News, Route
from ekiden.core.said import say
from ekiden.core.states import FIRST_FINAL, Cause, Hold, State
from ekiden.delivery.log_queries import EntryFilter, find_entries
from ekiden.delivery.queue_changes import Action, apply_action, select_deliveries
from ekiden.delivery.queue_queries import QueueFilter, count_deliveries, list_deliveries, shape
from ekiden.delivery.trace_queries import load_trace
from ekiden.notify.queries import Page, due_endpoints, due_notices
from ekiden.store import tables as t
from ekiden.store.api import Store, StoreError
from ekiden.store.open import open_store
from ekiden.store.records import NewMessage
from ekiden.store.retention import RetentionConfig, prune
from ekiden.store.set_aside import set_aside
from support.store_rows import NOW, TTL, Maker, outcome

BAD, GOOD = 1, 2  # accounts
ROUTES = (Route(3, News.FINAL), Route(4, News.INTERMEDIATE | News.FINAL))


def columns(table: Any) -> list[str]:
    keys = {column.name for column in table.primary_key.columns}
    return [column.name for column in table.columns if column.name not in keys]


CASES = [
    (table.name, name)
    for table in (t.message, t.delivery, t.content, t.attempt, t.event, t.notice, t.endpoint, t.worker)
    for name in columns(table)
]


async def corrupt(url: str, table: str, column: str, where: str, junk: str) -> None:
    """What a hand, a disk or a fault might leave there; on SQLite that may be anything."""
    set_ = f"UPDATE {table} SET {column} = {junk} WHERE {where}"
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
        connection.execute(set_)
        connection.commit()
        connection.close()
    else:
        server = await asyncpg.connect(url)
        await server.execute(set_)
        await server.close()


def junk_for(url: str, table: str, column: str, octets: bool) -> str | None:
    """A value that the column can have and should not; ``None``: the engine has none."""
    kind = t.metadata.tables[table].columns[column].type
    if url.startswith("sqlite"):
        return "x'ff00fe'" if octets else "'{\"not'"
    if octets:
        return None
    if isinstance(kind, Text):
        return "'{\"not'"
    return "77" if isinstance(kind, (SmallInteger, Integer)) else None


def messages(maker: Maker, account: int, state: State) -> NewMessage:
    new = maker.message(account=account, state=state)
    new.message.routes = ROUTES
    return new


@pytest.mark.parametrize("octets", [False, True])
@pytest.mark.parametrize(("table", "column"), CASES)
async def test_mail_of_others_flows(store_url: str, table: str, column: str, octets: bool) -> None:
    junk = junk_for(store_url, table, column, octets)
    if junk is not None:
        store = await open_store(store_url)
        try:
            await flows(store, store_url, table, column, junk)
        finally:
            await store.close()


async def flows(store: Store, url: str, table: str, column: str, junk: str) -> None:
    maker = Maker()
    worker = await store.register_worker("host", 1, NOW, TTL)
    other = await store.register_worker("host", 2, NOW, TTL)
    sent = {account: messages(maker, account, State.SENDING) for account in (BAD, GOOD)}
    due = {account: messages(maker, account, State.QUEUED) for account in (BAD, GOOD)}
    async with store.write() as connection:
        for number, account in ((3, BAD), (4, GOOD)):
            if await connection.scalar(select(t.endpoint.c.id).where(t.endpoint.c.id == number)) is None:
                values = {
                    "id": number,
                    "account_id": account,
                    "format": "x",
                    "url": "http://x",
                    "digest": str(number),
                }
                values |= {"created_at": NOW, "failures": 0, "retry_at": 0, "used_at": NOW}
                await connection.execute(insert(t.endpoint).values(values))
    for new in (*sent.values(), *due.values()):
        await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0]) for new in sent.values()])
    where = {
        "endpoint": "id = 3",
        "worker": f"id = {other.id}",
    }.get(table, f"account_id = {BAD}")
    try:
        await corrupt(url, table, column, where, junk)
    except (sqlite3.IntegrityError, asyncpg.PostgresError):
        return  # the database does not let it happen
    # What is due is claimed and delivered.
    delivered: set[int] = set()
    for _ in range(3):
        claimed = await store.claim(worker.id, NOW + 5000, 10)
        delivered |= {d.message.id for d in claimed}
        assert await store.finish(worker.id, [outcome(d, at=NOW + 6000) for d in claimed]) == [True] * len(claimed)
    assert due[GOOD].message.id in delivered
    # Lists, counts, shapes, traces, logs.
    states = frozenset(State)
    listed = await list_deliveries(store, QueueFilter(states=states), limit=1000)
    assert {row.key.message_id for row in listed} >= {sent[GOOD].message.id, due[GOOD].message.id}
    await count_deliveries(store, QueueFilter(states=states))
    await shape(store, QueueFilter(states=states), NOW)
    trace = await load_trace(store, GOOD, sent[GOOD].message.id)
    assert trace is not None
    assert trace.deliveries[0].state is State.DELIVERED
    entries = await find_entries(store, EntryFilter(GOOD, since=NOW - 1), 10)
    assert {entry.message_id for entry in entries} >= {sent[GOOD].message.id}
    # Callbacks: those of the good account, at an endpoint that both are told at.
    async with store.read() as connection:
        found = await due_endpoints(connection, worker.id, NOW + 10_000, set(), 0, 10)
        assert 4 in {endpoint.id for endpoint in found}
        notices = (await due_notices(connection, [Page(4, 0, 100)], NOW + 10_000))[4]
    told = [n for n in notices if n.happening is not None and n.message_id == sent[GOOD].message.id]
    assert EventType.DELIVERED in {n.happening.type for n in told if n.happening is not None}
    # An operator's change of the whole queue, reaping, retention, counts.
    more = messages(maker, GOOD, State.QUEUED)
    await store.accept(worker.id, more)
    selection = await select_deliveries(store, Action.HOLD, QueueFilter(), NOW)
    async for _ in apply_action(store, selection, IdFactory(9), lambda: NOW, "test"):
        pass
    selection = await select_deliveries(store, Action.CANCEL, QueueFilter(account_id=GOOD), NOW)
    async for _ in apply_action(store, selection, IdFactory(10), lambda: NOW, "test"):
        pass
    stuck = messages(maker, GOOD, State.SENDING)
    await store.accept(other.id, stuck)
    await store.end_worker(other.id, NOW)
    assert [d.message.id for d in await store.claim(worker.id, NOW + 60_000, 10)] == [stuck.message.id]
    await store.reap(NOW)
    await store.stats()
    await prune(store, NOW + 1, RetentionConfig())
    await store.end_worker(worker.id, NOW)


@pytest.mark.parametrize(("table", "column", "junk"), [("message", "routes", "'{'"), ("delivery", "cause", "77")])
async def test_what_cannot_be_claimed_is_held_and_says_why(
    store: Store, store_url: str, table: str, column: str, junk: str
) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    new = {account: messages(maker, account, State.QUEUED) for account in (BAD, GOOD)}
    for item in new.values():
        await store.accept(worker.id, item)
    await corrupt(store_url, table, column, f"account_id = {BAD}", junk)
    before = set_aside.total()
    assert [d.message.id for d in await store.claim(worker.id, NOW, 10)] == [new[GOOD].message.id]
    assert await store.claim(worker.id, NOW, 10) == []
    assert set_aside.total() == before + 1
    async with store.read() as connection:
        row = (await connection.execute(select(t.delivery).where(t.delivery.c.account_id == BAD))).one()
        events = list(await connection.scalars(select(t.event.c.type).where(t.event.c.account_id == BAD)))
    assert (row.state, row.cause, row.owner, row.attempts) == (State.HELD, Cause.OURS, None, 0)
    assert row.reason.startswith(f"unreadable: {table}: ")
    assert (row.holds, json.loads(row.said)[1]["table"]) == (Hold.UNREADABLE, table)
    assert events == [EventType.ACCEPTED, EventType.HELD]
    # Whoever mends it can let it go on.
    await corrupt(store_url, table, column, f"account_id = {BAD}", "''" if column == "routes" else "0")
    selection = await select_deliveries(store, Action.RELEASE, QueueFilter(), NOW)
    async for _ in apply_action(store, selection, IdFactory(9), lambda: NOW, "test"):
        pass
    assert [d.message.id for d in await store.claim(worker.id, NOW, 10)] == [new[BAD].message.id]


async def test_a_notice_that_cannot_be_read_is_no_obstacle(store: Store, store_url: str) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    new = [messages(maker, BAD, State.SENDING) for _ in range(2)]
    for item in new:
        await store.accept(worker.id, item)
    await store.finish(worker.id, [outcome(item.deliveries[0]) for item in new])
    await corrupt(store_url, "event", "data", f"message_id = {new[0].message.id}", "'{'")
    async with store.read() as connection:
        notices = (await due_notices(connection, [Page(3, 0, 100)], NOW + 10_000))[3]
    assert [(n.message_id, n.unreadable) for n in notices] == [
        (new[0].message.id, True),
        (new[1].message.id, False),
    ]


async def test_an_outcome_that_the_store_refuses_does_not_leave_the_delivery_as_it_is(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    new = Maker().message(3, state=State.SENDING)
    await store.accept(worker.id, new)
    done, later, foreign = (outcome(d) for d in new.deliveries)
    later.state = State.DEFERRED
    await store.settle(worker.id, [done, later], say("unwritable"))
    await store.settle(worker.id + 1, [foreign], say("unwritable"))
    async with store.read() as connection:
        rows = (await connection.execute(select(t.delivery).order_by(t.delivery.c.number))).all()
    assert [(row.state, row.holds, row.owner) for row in rows] == [
        (State.DELIVERED, 0, None),
        (State.HELD, Hold.UNREADABLE, None),
        (State.SENDING, 0, worker.id),
    ]
    assert FIRST_FINAL > State.HELD
    with pytest.raises(StoreError):
        await store.accept(worker.id, new)  # its key is there: a refusal for its own sake
