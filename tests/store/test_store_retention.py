"""What is kept, what goes, and what must never go."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, insert, select

from ekiden.core.clock import DAY, HOUR, Millis
from ekiden.core.states import State
from ekiden.core.submission import SharedContent
from ekiden.notify.formats import PULL
from ekiden.store import retention
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.retention import FETCHED, PLAN, READING, RetentionConfig, first_id, prune
from support.store_rows import NOW, TTL, Maker, outcome

CONFIG = RetentionConfig()
OLD = NOW - 31 * DAY
YOUNG = NOW - 29 * DAY


async def ids_in(store: Store, table: str) -> set[int]:
    found = t.metadata.tables[table]
    column = found.c.id if table == "message" else found.c.message_id
    async with store.read() as connection:
        return set(await connection.scalars(select(column)))


def test_the_plan_names_every_table() -> None:
    assert set(PLAN) == set(t.metadata.tables)
    for rule in PLAN.values():
        assert not rule.setting or rule.setting in RetentionConfig.__struct_fields__
        assert rule.why


async def test_what_is_finished_and_old_goes_with_all_that_belongs_to_it(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker, other = Maker(account=1), Maker(account=77)
    kept = {}
    for account in (maker, other):
        for at in (OLD, YOUNG):
            new = account.message(2, state=State.SENDING, at=at)
            await store.accept(worker.id, new)
            first, second = new.deliveries
            assert await store.finish(worker.id, [outcome(first, at=at), outcome(second, State.BOUNCED, at=at)])
            kept[account.account, at] = new.message.id
    assert await prune(store, NOW, CONFIG, batch=3) == {
        "message": 2,
        "delivery": 4,
        "attempt": 4,
        "event": 6,
    }
    for table in ("message", "delivery", "attempt", "event"):
        assert await ids_in(store, table) == {kept[1, YOUNG], kept[77, YOUNG]}
    assert await prune(store, NOW, CONFIG) == {}


@pytest.mark.parametrize(
    "state", [State.HELD, State.SCHEDULED, State.QUEUED, State.SENDING, State.DEFERRED], ids=lambda s: s.name
)
async def test_one_delivery_that_is_not_final_keeps_everything(store: Store, state: State) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    new = Maker().message(3, state=State.SENDING, at=OLD)
    new.deliveries[1].state = state
    await store.accept(worker.id, new)
    for delivery in (new.deliveries[0], new.deliveries[2]):
        await store.finish(worker.id, [outcome(delivery, at=OLD)])
    harsh = RetentionConfig(messages=86_400, attempts=0, events=0, workers=0)
    assert "message" not in await prune(store, NOW, harsh)
    assert await store.content(1, new.message.id) == new.content
    for table in ("message", "delivery", "attempt", "event"):
        assert await ids_in(store, table) == {new.message.id}


async def test_a_message_is_kept_from_its_last_change_on(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    new = Maker().message(2, state=State.SENDING, at=OLD)
    await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0], at=OLD), outcome(new.deliveries[1], at=NOW - DAY)])
    assert await prune(store, NOW, CONFIG) == {}
    assert (await prune(store, NOW + 30 * DAY, CONFIG))["message"] == 1


async def test_attempts_and_events_may_go_earlier(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    new = maker.message(4, state=State.SENDING, at=NOW - 10 * DAY)
    waiting = maker.message(state=State.SENDING, at=NOW - 10 * DAY)
    await store.accept(worker.id, new)
    await store.accept(worker.id, waiting)
    await store.finish(worker.id, [outcome(d, at=NOW - 10 * DAY) for d in new.deliveries])
    await store.finish(worker.id, [outcome(waiting.deliveries[0], State.DEFERRED, at=NOW - 10 * DAY)])
    assert await prune(store, NOW, RetentionConfig(attempts=8 * 86_400.0), batch=1) == {"attempt": 4}
    assert await prune(store, NOW, RetentionConfig(events=8 * 86_400.0), batch=2) == {"event": 5}
    assert await ids_in(store, "attempt") == await ids_in(store, "event") == {waiting.message.id}
    assert await ids_in(store, "message") == {new.message.id, waiting.message.id}


async def test_workers_and_leases(store: Store) -> None:
    old = await store.register_worker("host", 1, NOW - 9 * DAY, TTL)
    busy = await store.register_worker("host", 2, NOW - 9 * DAY, TTL)
    alive = await store.register_worker("host", 3, NOW, TTL)
    await store.take_lease("prune", alive.id, NOW, TTL)
    async with store.write() as connection:
        await connection.execute(insert(t.lease), [{"name": "gone", "owner": 9, "expires_at": NOW - 8 * DAY}])
        await connection.execute(
            t.worker.update().where(t.worker.c.id.in_([old.id, busy.id])).values(ended_at=NOW - 8 * DAY)
        )
    await store.accept(busy.id, Maker().message(state=State.SENDING))
    assert await prune(store, NOW, CONFIG) == {"worker": 1, "lease": 1}
    async with store.read() as connection:
        assert set(await connection.scalars(select(t.worker.c.id))) == {busy.id, alive.id}


_AGES = st.sampled_from([0, 5, 29, 30, 31, 60])
_STATES = st.sampled_from(
    [State.HELD, State.QUEUED, State.DEFERRED, State.DELIVERED, State.BOUNCED, State.CANCELLED]
)


@given(
    messages=st.lists(st.tuples(_AGES, st.lists(_STATES, min_size=1, max_size=4)), max_size=12),
    batch=st.integers(1, 5),
    keep=st.sampled_from([0, 7, 30]),
)
@settings(max_examples=12)
def test_nothing_that_a_delivery_needs_ever_goes(
    sqlite_url: str, messages: list[tuple[int, list[State]]], batch: int, keep: int
) -> None:
    async def check() -> None:
        store = await open_store(sqlite_url)
        try:
            async with store.write() as connection:
                for table in reversed(retention._OF_A_MESSAGE):
                    await connection.execute(table.delete())
            maker = Maker()
            needed, waiting = set(), set()
            for age, states in sorted(messages, key=lambda m: -m[0]):  # ids only grow
                new = maker.message(len(states), at=NOW - age * DAY)
                for delivery, state in zip(new.deliveries, states, strict=True):
                    delivery.state = state
                await store.accept(1, new)
                if not all(state.final for state in states):
                    waiting.add(new.message.id)
                if new.message.id in waiting or age <= keep:
                    needed.add(new.message.id)
            await prune(store, NOW, RetentionConfig(messages=keep * 86_400.0, attempts=0, events=0), batch)
            assert await ids_in(store, "message") == await ids_in(store, "delivery") == needed
            assert await ids_in(store, "content") == waiting
        finally:
            await store.close()

    asyncio.run(check())


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_records_that_belong_to_no_message(store: Store, batch: int) -> None:
    """Refusals, checks, the audit log, events of the account and quotas, each just before and behind its time."""

    def at(when: int, number: int = 0) -> int:
        return retention.first_id(when) + number

    refusal = {"account_id": 0, "stage": "mail", "reason": "r", "reply": "", "credential_id": 0, "client": ""}
    check = {"account_id": 1, "domain_id": 1, "result": "pass", "code": "", "asked": "[]", "expected": ""}
    entry = {"account_id": 1, "actor": "a", "source": "", "action": "x.y", "target": "", "data": "{}"}
    event = {"account_id": 1, "message_id": 0, "recipient_number": 0, "type": 1, "data": "{}"}
    usage = {"account_id": 1, "seconds": 86_400, "used": 1}
    rows = {
        t.refusal: [{**refusal, "sender": "", "data": "{}", "id": at(day), "at": day} for day in (OLD, YOUNG)],
        t.domain_check: [
            {**check, "answered": "{}", "kind": kind, "id": at(day, number), "at": day}
            for number, (kind, day) in enumerate(
                [("spf", OLD - DAY), ("spf", OLD), ("dkim", OLD), ("dkim", YOUNG), ("spf", OLD - 2 * DAY)]
            )
        ],
        t.audit: [{**entry, "at": NOW - days * DAY} for days in (401, 399)],
        t.event: [{**event, "id": at(day), "at": day} for day in (OLD, YOUNG)],
        t.quota_usage: [{**usage, "starts_at": NOW - days * DAY} for days in (9, 7)],
    }
    rows[t.refused_recipient] = [
        {"account_id": 0, "refusal_id": at(day), "recipient": name} for day in (OLD, YOUNG) for name in ("a", "b")
    ]
    async with store.write() as connection:
        for table, values in rows.items():
            await connection.execute(insert(table), values)
    removed = {"refusal": 1, "refused_recipient": 2, "domain_check": 3, "audit": 1, "event": 1, "quota_usage": 1}
    assert await prune(store, NOW, CONFIG, batch) == removed
    assert await prune(store, NOW, CONFIG, batch) == {}
    async with store.read() as connection:
        kept = (await connection.execute(select(t.domain_check.c.kind, t.domain_check.c.at))).all()
    assert {tuple(row) for row in kept} == {("spf", OLD), ("dkim", YOUNG)}


async def test_many_records_go_a_few_at_a_time(store: Store) -> None:
    """No transaction removes more than a batch, so that nobody who writes mail waits for long."""
    refusal = {"stage": "mail", "reason": "r", "reply": "", "credential_id": 0, "client": "", "sender": ""}
    old, young = retention.first_id(OLD), retention.first_id(YOUNG)
    rows = [
        {**refusal, "data": "{}", "at": OLD, "account_id": account, "id": start + number}
        for account in (0, 7)
        for start in (old, young)
        for number in range(10)
    ]
    async with store.write() as connection:
        await connection.execute(insert(t.refusal), rows)
    left: list[int] = []
    watched = select(func.count()).select_from(t.refusal)

    async def watch() -> None:
        while True:
            async with store.read() as connection:
                left.append(await connection.scalar(watched) or 0)

    watcher = asyncio.create_task(watch())
    try:
        assert await prune(store, NOW, CONFIG, batch=3) == {"refusal": 20}
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)
    assert left == sorted(left, reverse=True)
    # What is left after each transaction, as far as somebody looked: three, three, three and one of each account.
    assert set(left) <= {40, 37, 34, 31, 30, 27, 24, 21, 20}
    async with store.read() as connection:
        assert set(await connection.scalars(select(t.refusal.c.id))) == {young + number for number in range(10)}


def test_the_name_of_what_is_fetched() -> None:
    assert FETCHED == PULL


async def kept(store: Store, table: str) -> list[int]:
    async with store.read() as connection:
        column = t.metadata.tables[table].c.id
        return sorted(await connection.scalars(select(column)))


@pytest.mark.parametrize("batch", [1, 500])
async def test_notices_and_callbacks(store: Store, batch: int) -> None:
    """Reports that nobody fetched go after two days; what is to be sent waits however long, until it is dead."""
    endpoint = {"account_id": 1, "url": "", "created_at": 0, "failures": 0, "retry_at": 0, "used_at": NOW}
    endpoints = [
        {**endpoint, "id": 1, "format": "pull", "digest": "1"},
        {**endpoint, "id": 2, "format": "x", "digest": "2"},
    ]
    other = {**endpoint, "id": 3, "account_id": 9, "format": "pull", "digest": "1"}

    def notice(endpoint_id: int, number: int, at: Millis, dead_at: Millis | None = None) -> dict[str, object]:
        return {
            "account_id": 9 if endpoint_id == 3 else 1,
            "endpoint_id": endpoint_id,
            "id": first_id(at) + number,
            "message_id": 1,
            "recipient_number": 1,
            "due_at": at,
            "attempts": 0,
            "dead_at": dead_at,
        }

    three, one = NOW - 3 * DAY, NOW - DAY
    gone = [
        notice(1, 1, three),
        notice(1, 2, OLD),
        notice(3, 3, three),
        notice(2, 4, OLD - DAY, dead_at=OLD),
        notice(2, 5, OLD - DAY, dead_at=OLD),
    ]
    stay = [
        notice(1, 6, one),
        notice(3, 7, one),
        notice(2, 8, three),
        notice(2, 9, OLD),  # it lives
        notice(2, 10, OLD - DAY, dead_at=YOUNG),
        notice(2, 11, three, dead_at=one),
    ]
    callback = {"account_id": 1, "endpoint_id": 2, "millis": 1, "status": 200, "answer": "", "notices": "[]"}
    callbacks = [{**callback, "id": first_id(at), "at": at} for at in (OLD, OLD - DAY, YOUNG)]
    async with store.write() as connection:
        await connection.execute(insert(t.endpoint), [*endpoints, other])
        await connection.execute(insert(t.notice), gone + stay)
        await connection.execute(insert(t.callback), callbacks)
    assert await prune(store, NOW, CONFIG, batch) == {"notice": 5, "callback": 2}
    assert await kept(store, "notice") == sorted(int(str(row["id"])) for row in stay)
    assert await kept(store, "callback") == [first_id(YOUNG)]
    assert await prune(store, NOW, CONFIG, batch) == {}


async def test_checks_of_addresses(store: Store) -> None:
    row = {"account_id": 1, "request": "r", "address": "a", "result": ""}
    async with store.write() as connection:
        await connection.execute(
            insert(t.address_check), [{**row, "id": first_id(at), "requested_at": at} for at in (OLD, YOUNG)]
        )
    assert await prune(store, NOW, CONFIG) == {"address_check": 1}
    assert await kept(store, "address_check") == [first_id(YOUNG)]


@pytest.mark.parametrize("batch", [1, 2, 500])
async def test_what_messages_shared_goes_with_the_last_of_them(store: Store, batch: int) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    begun = NOW - 2 * HOUR
    shared = [SharedContent(maker.ids.next(begun), (b"one", b"two")) for _ in range(4)]
    messages = [maker.message(state=State.SENDING, at=begun) for _ in range(6)]
    for new, common in zip(
        messages, (shared[0], shared[0], shared[1], shared[2], shared[3], shared[3]), strict=True
    ):
        new.shared = common
    await store.accept_all(worker.id, messages)
    assert await prune(store, NOW, CONFIG, batch) == {}
    for number in (0, 2, 3):
        await store.finish(worker.id, [outcome(messages[number].deliveries[0], at=begun)])
    assert await prune(store, NOW, CONFIG, batch) == {"shared_content": 4}
    for number in (1, 4, 5):
        assert (await store.content(1, messages[number].message.id) or b"").endswith(b"onetwo")
    await store.finish(worker.id, [outcome(messages[1].deliveries[0], at=begun)])
    assert await prune(store, NOW, CONFIG, batch) == {"shared_content": 2}


async def test_what_was_shared_a_moment_ago_stays(store: Store) -> None:
    worker = await store.register_worker("host", 1, NOW, TTL)
    maker = Maker()
    new = maker.message(state=State.SENDING)
    new.shared = SharedContent(maker.ids.next(NOW), (b"one",))
    await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0], at=NOW)])
    assert await prune(store, NOW + HOUR, CONFIG) == {}
    assert await prune(store, NOW + HOUR + 1, CONFIG) == {"shared_content": 1}


@pytest.mark.parametrize("batch", [1, 500])
async def test_uploads(store: Store, batch: int) -> None:
    row = {"account_id": 1, "name": "f", "media_type": "text/plain", "size": 2, "created_at": 0}
    expires = [NOW - READING, NOW - READING + 1, NOW - DAY, None, NOW - 2 * DAY, NOW + DAY]
    async with store.write() as connection:
        values = [{**row, "id": n, "uid": str(n), "expires_at": at} for n, at in enumerate(expires, 1)]
        await connection.execute(insert(t.upload), values)
        pieces = [{"upload_id": n, "number": m, "data": b"x"} for n in range(1, 7) for m in range(2)]
        await connection.execute(insert(t.upload_piece), pieces)
    assert await prune(store, NOW, CONFIG, batch) == {"upload": 3, "upload_piece": 6}
    assert await kept(store, "upload") == [2, 4, 6]
    async with store.read() as connection:
        assert set(await connection.scalars(select(t.upload_piece.c.upload_id))) == {2, 4, 6}
    assert await prune(store, NOW, CONFIG, batch) == {}
