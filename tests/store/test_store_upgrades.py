"""Upgrades from every revision there ever was, with rows in every table, while a worker of that time lives."""

from __future__ import annotations

from array import array
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from old_database import OLD_WORKER, REVISIONS, ROWS, make_old, read_rows, within
from sqlalchemy import Connection, MetaData, select

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.ids import IdFactory
from ekiden.core.said import Said, say
from ekiden.core.states import Hold, State, Wait
from ekiden.delivery.queue_changes import Action, Selection, apply_action
from ekiden.delivery.queue_queries import QueueFilter, Target, list_deliveries
from ekiden.net.clock import SystemClock
from ekiden.store.api import StillInUse
from ekiden.store.open import current_revision, head_revision, open_store, upgrade
from ekiden.store.workers import end


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_nothing_is_lost(old_url: str, revision: str) -> None:
    now = SystemClock().now()
    before = await make_old(old_url, revision, now)
    assert all(len(rows) == ROWS for name, rows in before.items() if name != "alembic_version")

    # While the old worker lives, it is told, and nothing is touched.
    for _ in range(2):
        with pytest.raises(StillInUse) as caught:
            await upgrade(old_url)
        assert caught.value.workers == ("old.example, process 4711",)
    with pytest.raises(StillInUse):
        await open_store(old_url, migrate=True)
    assert await current_revision(old_url) == revision
    assert await read_rows(old_url) == before

    # Whoever insists has all of it afterwards.
    assert await upgrade(old_url, in_use=True) == head_revision()
    after = await read_rows(old_url)
    for name, rows in before.items():
        if name != "alembic_version":
            kept = [{key: value for key, value in row.items() if key in rows[0]} for row in after[name]]
            assert kept == rows, name

    # What the old worker is sending stays its own, until it is gone: then it is tried again.
    store = await open_store(old_url)
    try:
        me = await store.register_worker("new.example", 1, now, 3_600_000)
        claimed = await store.claim(me.id, now, 10)
        assert sorted(item.message.id for item in claimed) == [2, 3]
        assert [await store.content(1, number) for number in (1, 2, 3)] == [
            b"Subject: %d\r\n\r\nbody\r\n" % number for number in (1, 2, 3)
        ]
        async with store.write() as connection:
            await end(connection, OLD_WORKER, now)
        assert await store.reap(now) == 1
        stats = await store.stats()
        assert (stats.by_state[State.SENDING], stats.by_state[State.DEFERRED]) == (2, 1)
    finally:
        await store.close()


async def test_workers_that_are_gone_keep_nobody(old_url: str) -> None:
    """Its lease has ended, though nobody has written so: it crashed with the machine."""
    await make_old(old_url, REVISIONS[0], SystemClock().now() - 7_200_000)
    assert await upgrade(old_url) == head_revision()


async def test_an_upgrade_that_is_done_is_no_matter_of_workers(store_url: str) -> None:
    store = await open_store(store_url)
    try:
        await store.register_worker("new.example", 1, SystemClock().now(), 3_600_000)
        assert await upgrade(store_url) == head_revision()
    finally:
        await store.close()


# State, cause, code, enhanced code and reason as 0009 had them; what is waited for, who holds it, what is said.
REASONS: list[tuple[tuple[Any, ...], tuple[Wait | None, list[str], Said | None]]] = [
    ((State.HELD, 7, 0, "", "held by an operator"), (Wait.HELD_BY_OPERATOR, ["operator"], say("held_by_operator"))),
    ((State.HELD, 7, 0, "", 'it\'s "spam": 50 %'), (Wait.HELD_BY_OPERATOR, ["operator"], None)),
    ((State.HELD, 7, 0, "", "paused by its sender"), (Wait.PAUSED_BY_SENDER, ["sender"], say("paused_by_sender"))),
    (
        (State.HELD, 7, 0, "", "paused by its sender; over the quota"),
        (Wait.PAUSED_BY_SENDER, ["sender"], say("paused_by_sender")),
    ),
    (
        (State.HELD, 7, 0, "", "unreadable: message: ValueError: it's no number: x"),
        (Wait.UNREADABLE, ["ekiden"], say("unreadable", table="message", why="ValueError: it's no number: x")),
    ),
    (
        (State.HELD, 7, 0, "", "unwritable: the store refused what was seen"),
        (Wait.UNREADABLE, ["ekiden"], say("unwritable")),
    ),
    ((State.SCHEDULED, 0, 0, "", ""), (Wait.SCHEDULED, [], None)),
    ((State.SCHEDULED, 0, 0, "", "rescheduled by its sender"), (Wait.SCHEDULED, [], say("rescheduled_by_sender"))),
    (
        (State.SCHEDULED, 4, 0, "", "the account's quota is used up: waits for the next window with room"),
        (Wait.QUOTA, [], say("over_quota")),
    ),
    (
        (State.SCHEDULED, 7, 0, "", "resumed by its sender; over the quota"),
        (Wait.QUOTA, [], say("resumed_by_sender")),
    ),
    ((State.QUEUED, 0, 0, "", "waits for its turn at mx.b"), (Wait.PACED, [], say("turn", site="mx.b"))),
    ((State.QUEUED, 0, 0, "", "released by an operator"), (Wait.DUE, [], say("released_by_operator"))),
    (
        (State.DEFERRED, 0, 0, "", "waits: its account has its share of the worker"),
        (Wait.SHARE, [], say("account_share")),
    ),
    ((State.DEFERRED, 7, 0, "", "the worker is stopping"), (Wait.WORKER_STOPPED, [], say("worker_stopping"))),
    (
        (
            State.DEFERRED,
            7,
            0,
            "",
            "the worker that had it ended before it reported; the outcome of that attempt is unknown",
        ),
        (Wait.WORKER_LOST, [], say("worker_lost")),
    ),
    ((State.DEFERRED, 6, 451, "4.4.1", "mx.b: Connection refused"), (Wait.SITE_DOWN, [], None)),
    ((State.DEFERRED, 1, 450, "4.2.0", "paused by its sender, says a server"), (Wait.RETRY, [], None)),
    (
        (State.DROPPED, 1, 0, "", 'the address is on the account\'s suppression list (bounce): 550 (x): "no"'),
        (None, [], say("suppressed", kind="bounce", reason='550 (x): "no"')),
    ),
    ((State.CANCELLED, 0, 0, "", "cancelled by its sender"), (None, [], say("cancelled_by_sender"))),
    ((State.CANCELLED, 0, 0, "", "cancelled by an operator"), (None, [], say("cancelled_by_operator"))),
    ((State.BOUNCED, 1, 550, "5.1.1", "held by an operator"), (None, [], None)),
]


async def test_sentences_of_older_versions_become_columns(old_url: str) -> None:
    now = SystemClock().now()
    await make_old(old_url, "0009", now - 7_200_000)

    def fill(connection: Connection) -> None:
        metadata = MetaData()
        metadata.reflect(connection, only=["delivery", "message"])
        delivery, message = metadata.tables["delivery"], metadata.tables["message"]
        [model] = connection.execute(select(message).where(message.c.id == 2)).mappings()
        [mould] = connection.execute(select(delivery).where(delivery.c.message_id == 2)).mappings()
        for number, ((state, cause, code, enhanced, reason), _) in enumerate(REASONS, 100):
            connection.execute(message.insert().values({**model, "id": number}))
            row = {
                "message_id": number,
                "state": int(state),
                "cause": cause,
                "code": code,
                "enhanced": enhanced,
                "reason": reason,
                "due_at": now + 3_600_000,
                "attempts": int(state is State.DEFERRED),
            }
            connection.execute(delivery.insert().values({**mould, **row}))

    await within(old_url, fill)
    await upgrade(old_url)
    store = await open_store(old_url)
    try:
        found = {}
        for row in await list_deliveries(store, QueueFilter(states=frozenset(State)), 1_000):
            found[row.key.message_id] = row
        for number, ((state, *_, reason), (wait, holds, said)) in enumerate(REASONS, 100):
            row = found[number]
            assert (row.state, row.reason) == (state, reason)
            assert (row.wait, [hold.name for hold in row.holds], row.said) == (wait, holds, said), reason
        assert found[101].holds[0].reason == 'it\'s "spam": 50 %'
        # What was over the quota when its sender paused it still is.
        operator = await store.register_worker("new.example", 1, now, 3_600_000)
        selection = Selection(Action.RELEASE, array("q", [1, 103, 1]), holder=Hold.SENDER)
        async for change in apply_action(store, selection, IdFactory(operator.node), lambda: now, "api"):
            assert (change.changed, change.still_held) == (1, 0)
        [row] = await list_deliveries(store, QueueFilter(targets=(Target(103),)))
        assert (row.state, row.wait) == (State.SCHEDULED, Wait.QUOTA)
    finally:
        await store.close()


# State, cause, code, enhanced and text as they were kept before revision 0011, and what they mean.
_BOUNCED, _DEFERRED, _EXPIRED, _DELIVERED, _HELD = 11, 5, 12, 10, 1
_RECIPIENT, _POLICY, _NETWORK, _OURS = 1, 5, 6, 7
OLD_WORDS = [
    (_DELIVERED, 0, 250, "2.0.0", "Ok", Diagnosis.NONE),
    (_BOUNCED, _RECIPIENT, 550, "5.1.1", "<a@x.example>: User unknown", Diagnosis.NO_MAILBOX),
    (_BOUNCED, _RECIPIENT, 550, "5.1.1", "blocked by policy because of spam content", Diagnosis.SPAM),
    (_BOUNCED, _POLICY, 550, "5.7.1", "No such user!", Diagnosis.NO_MAILBOX),
    (_BOUNCED, _RECIPIENT, 556, "5.1.10", "x.example declares that it takes no mail", Diagnosis.NULL_MX),
    (_BOUNCED, _RECIPIENT, 550, "5.1.2", "x.example does not exist in the DNS", Diagnosis.NO_DOMAIN),
    (_DEFERRED, _NETWORK, 451, "4.4.1", "mx.x.example: Connection refused", Diagnosis.NO_ANSWER),
    (_DEFERRED, _NETWORK, 421, "4.4.2", "Timed out while waiting for the reply to RCPT", Diagnosis.LOST),
    (_DEFERRED, _POLICY, 451, "4.7.1", "Greylisted", Diagnosis.GREYLISTED),
    (_DEFERRED, _OURS, 451, "4.3.0", "cut off because this worker stopped", Diagnosis.OURS),
    (_DEFERRED, _OURS, 0, "", "", Diagnosis.UNREPORTED),
    (_EXPIRED, _RECIPIENT, 452, "4.2.2", "given up after 5d; last: try later", Diagnosis.FULL),
    (_EXPIRED, _NETWORK, 451, "4.3.0", "given up after 5d; last: greylisting", Diagnosis.GREYLISTED),
    (_HELD, _OURS, 0, "", "held by somebody", Diagnosis.NONE),
    (_BOUNCED, 0, 999, "x", "no reply at all", Diagnosis.NONE),
]
OLD_EVENTS = [
    (4, '{"code": 550, "enhanced": "5.1.1", "text": "User unknown", "cause": "recipient"}', Diagnosis.NO_MAILBOX),
    (3, '{"code": 421, "enhanced": "4.7.27", "text": "SPF", "cause": "ours"}', Diagnosis.SPF),
    (5, '{"code": 451, "enhanced": "4.4.3", "text": "no answer", "cause": "network"}', Diagnosis.DNS),
    (3, '{"code": 451, "enhanced": "4.3.0", "text": "internal error", "cause": "ours"}', Diagnosis.OURS),
    (2, '{"code": 250, "enhanced": "2.0.0", "text": "Ok"}', Diagnosis.NONE),
    (4, "no JSON", Diagnosis.NONE),
    (4, '["code"]', Diagnosis.NONE),
    (3, '{"code": "x"}', Diagnosis.NONE),
]


async def test_old_words_are_read_once(old_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In steps of any size, each row is read and none twice."""
    migration = import_module("ekiden.store.migrations.versions.v0011_diagnoses")
    await make_old(old_url, "0010", SystemClock().now() - 7_200_000)

    def fill(connection: Connection) -> None:
        metadata = MetaData()
        metadata.reflect(connection)
        for name, words in (("delivery", "reason"), ("attempt", "reply")):
            table = metadata.tables[name]
            like = dict(connection.execute(select(table).limit(1)).mappings().one()) | {"owner": None}
            for number, (state, cause, code, enhanced, text, _) in enumerate(OLD_WORDS, 100):
                row = like | {"number": number, "state": state, "cause": cause, "code": code}
                row |= {"enhanced": enhanced, words: text}
                connection.execute(table.insert(), {column.name: row[column.name] for column in table.columns})
        table = metadata.tables["event"]
        like = dict(connection.execute(select(table).limit(1)).mappings().one())
        for number, (type_, data, _) in enumerate(OLD_EVENTS, 100):
            connection.execute(table.insert(), like | {"id": number, "type": type_, "data": data})

    await within(old_url, fill)
    monkeypatch.setattr(migration, "_BATCH", 4)
    assert await upgrade(old_url) == head_revision()
    rows = await read_rows(old_url)
    wanted = dict(enumerate((item[-1] for item in OLD_WORDS), 100))
    for name in ("delivery", "attempt"):
        assert {row["number"]: row["diagnosis"] for row in rows[name] if row["number"] >= 100} == wanted, name
    found = {row["id"]: row["diagnosis"] for row in rows["event"] if row["id"] >= 100}
    assert found == dict(enumerate((item[-1] for item in OLD_EVENTS), 100))
