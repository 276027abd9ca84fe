"""The log is read from the newest down, page by page, whatever it is asked for."""

from __future__ import annotations

import random
from typing import Any

import pytest

from ekiden.core.clock import MINUTE, SECOND
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.states import Cause, State
from ekiden.core.submission import Marks
from ekiden.delivery import log_queries
from ekiden.delivery.log_queries import EntryFilter, LogEntry, Position, find_entries
from ekiden.store.api import Store
from ekiden.store.records import NewMessage
from support.store_rows import NOW, TTL, Maker, outcome

STATES = [State.QUEUED, State.HELD, State.SENDING, State.SCHEDULED]


def made(maker: Maker, number: int) -> NewMessage:
    """The message of that number: its properties come round at different paces."""
    new = maker.message(1 + number % 3, state=STATES[number % 4], at=NOW + number * 10 * SECOND)
    new.message.sender = f"s{number % 2}@example.com"
    for each in new.deliveries:
        each.recipient = f"r{(number + each.number) % 7}@example.org"
    new.message.marks = Marks(
        bulk=f"b{number % 6}" if number % 5 else "",
        reference=f"m{number // 3}" if number % 3 else "",
        application=f"a{number % 2}",
        entity=f"e{number % 4}",
        campaign=f"c{number % 9}",
    )
    return new


@pytest.fixture
async def written(store: Store) -> list[NewMessage]:
    worker = await store.register_worker("host-a", 100, NOW, TTL)
    maker = Maker()
    many = [made(maker, number) for number in range(120)]
    others = [made(Maker(account=2, ids=maker.ids), number) for number in range(120, 150)]
    await store.accept_all(worker.id, many + others)
    return many


def expected(many: list[NewMessage], wanted: EntryFilter) -> list[Position]:
    """The same question, asked of the messages in memory."""
    found = []
    for new in many:
        m = new.message
        for d in new.deliveries:
            position = Position(m.id, d.number)
            named = m.marks.reference in wanted.references and m.marks.reference
            numbered = position in wanted.positions and not m.marks.reference
            if (
                m.accepted_at >= wanted.since
                and (wanted.until is None or m.accepted_at <= wanted.until)
                and (named or numbered or not (wanted.positions or wanted.references))
                and (not wanted.bulks or m.marks.bulk in wanted.bulks)
                and (not wanted.senders or m.sender in wanted.senders)
                and (not wanted.recipients or d.recipient in wanted.recipients)
                and (not wanted.campaigns or m.marks.campaign in wanted.campaigns)
                and wanted.application in (None, m.marks.application)
                and wanted.entity in (None, m.marks.entity)
                and (wanted.states is None or d.state in wanted.states)
                and (wanted.after is None or position < wanted.after)
            ):
                found.append(position)
    return sorted(found, reverse=True)


def questions(many: list[NewMessage]) -> list[EntryFilter]:
    """Every field alone, and many of them together."""
    keys = [Position(new.message.id, number) for new in many[:40] for number in (1, 2, 3, 4)]
    choices: dict[str, list[Any]] = {
        "since": [NOW, NOW + 500 * SECOND],
        "until": [None, NOW + 900 * SECOND],
        "positions": [(), (keys[0],), tuple(keys)],
        "references": [(), ("m3",), ("m3", "m5", "nothing", "m3")],
        "bulks": [(), ("b1",), ("b1", "b4", "nothing")],
        "senders": [(), ("s1@example.com",)],
        "recipients": [(), ("r3@example.org",), ("r3@example.org", "r5@example.org")],
        "campaigns": [(), ("c1",), ("c1", "c2", "c3")],
        "application": [None, "a1", "nothing"],
        "entity": [None, "e2"],
        "states": [None, frozenset({State.HELD}), frozenset({State.QUEUED, State.SENDING}), frozenset()],
        "after": [None, Position(many[90].message.id, 2)],
    }
    drawn = random.Random(5)
    found = [EntryFilter(1, NOW)]
    for name, values in choices.items():
        found += [EntryFilter(1, **{"since": NOW, name: value}) for value in values]
    for _ in range(60):
        chosen = drawn.sample(sorted(choices), 3)
        found.append(EntryFilter(1, **{"since": NOW} | {name: drawn.choice(choices[name]) for name in chosen}))
    return found


async def test_every_question_is_answered_as_memory_would(store: Store, written: list[NewMessage]) -> None:
    for wanted in questions(written):
        right = expected(written, wanted)
        for limit in (1, 7, 1000):
            found = await find_entries(store, wanted, limit)
            assert [entry.position for entry in found] == right[:limit], (wanted, limit)


async def test_a_walk_goes_on_in_slices_until_it_has_enough(
    store: Store, written: list[NewMessage], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_queries, "_LARGEST_SLICE", 5)
    for wanted in questions(written)[::3]:
        right = expected(written, wanted)
        assert [entry.position for entry in await find_entries(store, wanted, 4)] == right[:4], wanted


async def test_an_entry_has_everything(store: Store) -> None:
    worker = await store.register_worker("host-a", 100, NOW, TTL)
    new = Maker().message(2, state=State.SENDING)
    new.message.marks = Marks("bulk", "reference", "application", "entity", "campaign")
    await store.accept(worker.id, new)
    await store.finish(worker.id, [outcome(new.deliveries[0], State.BOUNCED)])
    waits, bounced = await find_entries(store, EntryFilter(1, NOW), 10)
    assert bounced == LogEntry(
        new.message.id,
        1,
        "r1@example.org",
        "sender@example.com",
        "hello",
        NOW,
        NOW + 1000,
        State.BOUNCED,
        Cause.RATE,
        451,
        "4.0.0",
        "451 said the peer",
        None,
        1,
        "bulk",
        "reference",
        "application",
        "entity",
        "campaign",
        {"campaign": "spring"},
        Diagnosis.RATE_IP,
    )
    assert (bounced.external_id, bounced.done_at) == ("reference", NOW + 1000)
    assert (waits.number, waits.state, waits.done_at) == (2, State.SENDING, None)


async def test_an_id_made_before_its_message_was_accepted_does_not_hide_it(store: Store) -> None:
    worker = await store.register_worker("host-a", 100, NOW, TTL)
    maker = Maker()
    new = maker.message(at=NOW)
    new.message.accepted_at = NOW + 5 * SECOND
    await store.accept(worker.id, new)
    for wanted, count in (
        (EntryFilter(1, NOW + 5 * SECOND), 1),
        (EntryFilter(1, NOW + 5 * SECOND + 1), 0),
        (EntryFilter(1, NOW - MINUTE, until=NOW + 5 * SECOND), 1),
        (EntryFilter(1, NOW - MINUTE, until=NOW + 5 * SECOND - 1), 0),
    ):
        assert len(await find_entries(store, wanted, 10)) == count, wanted
