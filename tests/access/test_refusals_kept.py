"""Refusals: one id for the same thing, and a bound to what knocking at the door can write."""

from __future__ import annotations

from typing import Any

from sqlalchemy.schema import DropTable
from structlog.testing import capture_logs

from ekiden.access.refusals import Refusals, find_refusal, list_refusals, refusals_to
from ekiden.core.address import parse_address
from ekiden.core.clock import MINUTE, SECOND
from ekiden.core.ids import IdFactory, format_id, parse_id
from ekiden.smtp.reply import Reply
from ekiden.store import tables
from ekiden.store.api import Store
from support.manual_clock import ManualClock
from support.structured_logs import told

REPLY = Reply.of(553, "5.7.1", "Sender address rejected")


def number_of(reply: Reply) -> int:
    assert reply.text.startswith(f"{REPLY.text} [")
    return parse_id(reply.text.rpartition("[")[2].rstrip("]"))


def refused(refusals: Refusals, client: str = "192.0.2.1", **others: Any) -> int:
    """The id that the client is told."""
    values: dict[str, Any] = {"account_id": 7, "sender": "a@b.example", "facts": {"domain": "b.example"}} | others
    return number_of(refusals.note("mail", "sender_not_owned", REPLY, client=client, **values))


async def test_the_same_refusal_within_a_minute_has_the_same_id(store: Store) -> None:
    clock = ManualClock()
    refusals = Refusals(store, clock, IdFactory(1))
    first = refused(refusals)
    clock.advance(MINUTE - 1)
    assert refused(refusals) == first
    others = [
        refused(refusals, "192.0.2.2"),
        refused(refusals, account_id=8),
        refused(refusals, credential_id=1),
        refused(refusals, sender="c@b.example"),
        refused(refusals, facts={"domain": "c.example"}),
        number_of(refusals.note("data", "sender_not_owned", REPLY, account_id=7)),
    ]
    clock.advance(1)
    later = refused(refusals)
    ids = {first, later, *others}
    assert len(ids) == 8, "everything that is said counts, and another minute"
    await refusals.close()
    kept = await list_refusals(store)
    assert {refusal.id for refusal in kept} == ids
    assert len(kept) == 8, "each once"
    found = await find_refusal(store, first)
    assert found is not None
    assert (found.at, found.reply, found.facts) == (
        clock.now() - MINUTE,
        "553 5.7.1 Sender address rejected",
        {"domain": "b.example"},
    )


async def test_knocking_at_the_door_fills_neither_the_log_nor_the_database(store: Store) -> None:
    clock = ManualClock()
    refusals = Refusals(store, clock, IdFactory(1))
    with told() as lines:
        numbers = [refused(refusals, f"2001:db8::{number}") for number in range(1_000)]
        assert [line["id"] for line in lines] == [format_id(number) for number in numbers[:200]]
        refusals.log.flush()
    assert lines[-1]["repeated"] == 800
    assert len(set(numbers)) == 1_000
    await refusals.close()
    assert {refusal.id for refusal in await list_refusals(store, limit=2_000)} == set(numbers[:300])
    # Not more after a second, and again some in the next minute.
    clock.advance(SECOND)
    refused(refusals, "192.0.2.9")
    await refusals.close()
    assert len(await list_refusals(store, limit=2_000)) == 300
    clock.advance(MINUTE)
    later = refused(refusals, "192.0.2.9")
    await refusals.close()
    assert await find_refusal(store, later) is not None


async def test_what_the_store_did_not_take_gets_another_id(store: Store) -> None:
    refusals = Refusals(store, ManualClock(), IdFactory(1))
    kept = refused(refusals)
    await refusals.close()
    async with store.write() as connection:
        await connection.execute(DropTable(tables.refusal))
    lost = refused(refusals, "192.0.2.2")
    with capture_logs() as lines:
        await refusals.close()
    assert [(line["event"], line["count"]) for line in lines] == [("refusals are not kept", 1)]
    async with store.write() as connection:
        await connection.run_sync(tables.refusal.create)
    assert refused(refusals) == kept
    again = refused(refusals, "192.0.2.2")
    assert again != lost
    await refusals.close()
    assert [refusal.id for refusal in await list_refusals(store)] == [again]


async def test_recipients_are_kept_and_bounded(store: Store) -> None:
    clock = ManualClock()
    refusals = Refusals(store, clock, IdFactory(1))
    first = refused(refusals, recipients=[parse_address("A@x.example"), parse_address("b@X.example")])
    # The same thing again, to others: one refusal, found by all of them.
    assert refused(refusals, recipients=[parse_address("c@x.example"), parse_address("a@x.example")]) == first
    many = refused(refusals, "192.0.2.2", recipients=[parse_address(f"r{n}@x.example") for n in range(1000)])
    clock.advance(MINUTE)
    later = refused(refusals, recipients=[parse_address("a@x.example")])
    await refusals.close()

    async def found(recipient: str, **options: Any) -> list[int]:
        return [item.id for item in await refusals_to(store, recipient, [0, 7], **options)]

    assert await found("a@x.example") == [later, first]
    assert await found("C@x.example") == [first]
    assert await found("a@x.example", since=clock.now()) == [later]
    assert await found("a@x.example", until=clock.now()) == [first]
    assert await found("a@x.example", limit=1) == [later]
    assert await found("r19@x.example") == [many]
    assert await found("r20@x.example") == []
    clock.advance(MINUTE)
    for number in range(60):
        recipients = [parse_address(f"r{n}@{number}.example") for n in range(20)]
        refused(refusals, f"192.0.2.{number}", recipients=recipients)
    await refusals.close()
    assert len(await found("r19@49.example")) == 1
    assert await found("r0@50.example") == []
    assert [item.id for item in await refusals_to(store, "a@x.example", [8])] == []
