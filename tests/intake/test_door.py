"""The door, in front of a real store."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import DropTable

from ekiden.access.accounts import Quota, create_account, resume_account, set_quota, suspend_account
from ekiden.access.audit import Actor
from ekiden.access.directory import Directory
from ekiden.access.vault import Vault
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, HOUR, SECOND
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory, parse_id
from ekiden.core.notices import News, Route
from ekiden.core.states import Priority, State
from ekiden.core.submission import Notify, Origin, Recipient, Ret, Submission
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door
from ekiden.intake.errors import (
    AccountSuspended,
    AlreadyExpired,
    HeaderTooLarge,
    IntakeError,
    MailLoop,
    MessageTooLarge,
    NoRecipients,
    QuotaReached,
    TemporarilyUnavailable,
    TooManyRecipients,
)
from ekiden.intake.received import received_field
from ekiden.mime.header import format_date
from ekiden.store import tables
from ekiden.store.api import Store, StoreError
from ekiden.store.open import open_store
from ekiden.store.records import Delivery
from support.door_parts import DoorParts, door_parts
from support.manual_clock import ManualClock
from support.stores_away import store_away

ORIGIN = Origin(
    via="ESMTPSA",
    client="192.0.2.1",
    helo="client.example.com",
    region="eu",
    endpoint="public",
    tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
    listener="submission",
)
PLAIN = b"From: a@example.com\r\nTo: b@example.net\r\nSubject: Hello\r\n\r\nbody\r\n"


@dataclass
class Collector:
    """Delivers nothing; takes what it is offered while it has room."""

    room: int = 1_000_000
    offered: list[list[Delivery]] = field(default_factory=list)

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return count <= self.room

    def offer(self, deliveries: list[Delivery]) -> None:
        self.room -= len(deliveries)
        self.offered.append(deliveries)


@dataclass
class World:
    store: Store
    clock: ManualClock
    handover: Collector
    door: Door
    parts: DoorParts
    account_id: int

    def submission(
        self, content: bytes = PLAIN, to: tuple[str, ...] = ("b@example.net",), **rest: Any
    ) -> Submission:
        values: dict[str, Any] = {
            "account_id": self.account_id,
            "credential_id": 7,
            "sender": parse_address("a@example.com"),
            "recipients": [Recipient(parse_address(address)) for address in to],
            "content": content,
            "origin": ORIGIN,
        }
        return Submission(**(values | rest))

    async def content(self, message_id: int) -> bytes:
        kept = await self.store.content(self.account_id, message_id)
        assert kept is not None
        return kept

    async def rows(self, table: Any) -> list[Any]:
        async with self.store.read() as connection:
            return list((await connection.execute(select(table))).all())


async def make_world(store: Store, **config: Any) -> World:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now(), senders="any")
    me = await store.register_worker("here", 1, clock.now(), DAY)
    handover = Collector()
    values = {"hostname": "mail.example.com"} | config
    ids, directory = IdFactory(me.node), Directory(store, clock)
    parts = door_parts(store, clock, ids, directory)
    door = Door(
        store,
        clock,
        ids,
        me.id,
        IntakeConfig(**values),
        handover,
        directory=directory,
        policy=parts.policy,
        signer=parts.signer,
    )
    return World(store, clock, handover, door, parts, account.id)


@pytest.fixture
async def sqlite_store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def world(sqlite_store: Store) -> World:
    return await make_world(sqlite_store)


async def test_what_is_kept(store: Store) -> None:
    world = await make_world(store)
    receipt = await world.door.submit(
        world.submission(
            to=("b@example.net", "c@Example.ORG"),
            recipients=[
                Recipient(parse_address("b@example.net"), Notify.SUCCESS | Notify.FAILURE, "rfc822;x@example.net"),
                Recipient(parse_address("c@Example.ORG")),
            ],
            priority=Priority.HIGH,
            ret=Ret.HDRS,
            envid="abc",
            labels={"bulk": "17"},
        )
    )
    now = world.clock.now()
    assert parse_id(receipt.queue_id) == receipt.message_id

    [message] = await world.rows(tables.message)
    assert (message.account_id, message.id, message.credential_id) == (world.account_id, receipt.message_id, 7)
    assert (message.sender, message.priority, message.ret, message.envid) == ("a@example.com", 0, "HDRS", "abc")
    assert (message.smtputf8, message.eight_bit) == (False, False)
    assert (message.accepted_at, message.expires_at) == (now, now + 5 * DAY)
    assert message.header_id == f"<{receipt.queue_id}@mail.example.com>"
    assert message.subject == "Hello"
    assert json.loads(message.labels) == {"bulk": "17"}
    assert json.loads(message.origin) == {
        "via": "ESMTPSA",
        "client": "192.0.2.1",
        "helo": "client.example.com",
        "region": "eu",
        "endpoint": "public",
        "tls": "TLSv1.3 TLS_AES_256_GCM_SHA384",
        "listener": "submission",
    }
    content = await world.content(receipt.message_id)
    assert message.size == len(content)

    first, second = await world.rows(tables.delivery)
    assert (first.number, first.recipient, first.domain) == (1, "b@example.net", "example.net")
    assert (first.notify, first.orcpt) == (6, "rfc822;x@example.net")
    assert (second.number, second.recipient, second.domain) == (2, "c@example.org", "example.org")
    assert (first.written, second.written) == (None, "c@Example.ORG")
    assert (first.state, first.attempts, first.due_at, first.priority) == (State.SENDING, 1, now, 0)
    assert first.owner is not None

    [event] = await world.rows(tables.event)
    assert (event.message_id, event.recipient_number, event.type, event.at) == (
        receipt.message_id,
        0,
        EventType.ACCEPTED,
        now,
    )

    [offered] = world.handover.offered
    assert [delivery.number for delivery in offered] == [1, 2]
    assert {delivery.state for delivery in offered} == {State.SENDING}
    assert offered[0].message is offered[1].message
    assert offered[0].message.content == content


async def test_the_fields_that_are_added(world: World) -> None:
    receipt = await world.door.submit(world.submission())
    date = format_date(world.clock.now())
    assert (
        await world.content(receipt.message_id)
        == (
            "Received: from client.example.com ([192.0.2.1])\r\n"
            "\tby mail.example.com with ESMTPSA (TLSv1.3 TLS_AES_256_GCM_SHA384)\r\n"
            f"\tid {receipt.queue_id} for <b@example.net>;\r\n"
            f"\t{date}\r\n"
            f"Date: {date}\r\n"
            f"Message-ID: <{receipt.queue_id}@mail.example.com>\r\n"
        ).encode()
        + PLAIN
    )


async def test_nobody_learns_of_a_blind_copy(world: World) -> None:
    content = (
        b"Return-Path: <x@example.com>\r\nFrom: a@example.com\r\nTo: b@example.net\r\nBCC: secret@example.net,\r\n"
        b"\tother@example.net\r\nDate: 1 Jan 2028 09:00 GMT\r\nMessage-Id: <1@example.com>\r\n"
        b"Resent-Bcc: third@example.net\r\nSubject: bcc: none\r\n\r\nBcc: in the body\r\n"
    )
    receipt = await world.door.submit(world.submission(content, ("b@example.net", "secret@example.net")))
    kept = await world.content(receipt.message_id)
    assert b"secret" not in kept
    assert b"third" not in kept
    assert kept.partition(b"\r\nFrom: ")[2] == (
        b"a@example.com\r\nTo: b@example.net\r\nDate: 1 Jan 2028 09:00 GMT\r\nMessage-Id: <1@example.com>\r\n"
        b"Subject: bcc: none\r\n\r\nBcc: in the body\r\n"
    )
    assert kept.count(b"Date:") == kept.lower().count(b"message-id:") == 1
    [message] = await world.rows(tables.message)
    assert message.header_id == "<1@example.com>"


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b"", b"\r\n"),
        (b"\r\nbody\r\n", b"\r\nbody\r\n"),
        (b"just text, no header\r\n\r\nmore\r\n", b"\r\njust text, no header\r\n\r\nmore\r\n"),
        (b"Subject: only a header\r\n", b"Subject: only a header\r\n"),
    ],
)
async def test_messages_without_a_header_or_a_body(world: World, content: bytes, body: bytes) -> None:
    receipt = await world.door.submit(world.submission(content))
    kept = await world.content(receipt.message_id)
    assert kept.partition(b"@mail.example.com>\r\n")[2] == body
    parsed = email.message_from_bytes(kept, policy=email.policy.compat32)
    assert parsed["Received"]
    assert parsed["Date"]
    assert not parsed.defects


async def test_one_delivery_per_address(world: World) -> None:
    to = ("b@example.net", "B@example.net", "b@EXAMPLE.net", "c@example.net", "b@example.net")
    await world.door.submit(world.submission(to=to))
    rows = await world.rows(tables.delivery)
    assert [(row.number, row.recipient) for row in rows] == [
        (1, "b@example.net"),
        (2, "B@example.net"),
        (3, "c@example.net"),
    ]


async def test_the_same_recipient_twice_is_still_one_recipient(world: World) -> None:
    receipt = await world.door.submit(world.submission(to=("b@example.net", "b@example.net")))
    assert b"for <b@example.net>;" in await world.content(receipt.message_id)


async def test_without_capacity_it_waits_in_the_queue(world: World) -> None:
    world.handover.room = 0
    await world.door.submit(world.submission())
    [row] = await world.rows(tables.delivery)
    assert (row.state, row.attempts, row.due_at, row.owner) == (State.QUEUED, 0, world.clock.now(), None)
    assert world.handover.offered == []


async def test_sending_later(world: World) -> None:
    at = world.clock.now() + HOUR
    await world.door.submit(world.submission(send_at=at, expires_after=2 * HOUR))
    [row] = await world.rows(tables.delivery)
    assert (row.state, row.attempts, row.due_at) == (State.SCHEDULED, 0, at)
    [message] = await world.rows(tables.message)
    assert message.expires_at == at + 2 * HOUR
    assert world.handover.offered == []


async def test_a_time_that_has_passed_means_now(world: World) -> None:
    await world.door.submit(world.submission(send_at=world.clock.now() - HOUR))
    [row] = await world.rows(tables.delivery)
    assert (row.state, row.due_at) == (State.SENDING, world.clock.now())


@pytest.mark.parametrize(
    ("content", "sender", "to", "asked", "smtputf8", "eight_bit"),
    [
        (PLAIN, "a@example.com", "b@example.net", True, False, False),
        (b"Subject: a\r\n\r\n\xc3\xa9\r\n", "a@example.com", "b@example.net", True, False, True),
        (b"Subject: \xc3\xa9\r\n\r\na\r\n", "a@example.com", "b@example.net", True, True, True),
        (b"Subject: \xe9\r\n\r\na\r\n", "a@example.com", "b@example.net", False, False, True),
        (PLAIN, "é@example.com", "b@example.net", True, True, False),
        (PLAIN, "a@example.com", "é@example.net", False, True, False),
    ],
)
async def test_what_the_next_server_has_to_know(
    world: World, content: bytes, sender: str, to: str, asked: bool, smtputf8: bool, eight_bit: bool
) -> None:
    receipt = await world.door.submit(
        world.submission(content, (to,), sender=parse_address(sender), smtputf8=asked, eight_bit=True)
    )
    [message] = await world.rows(tables.message)
    assert (message.smtputf8, message.eight_bit) == (smtputf8, eight_bit)
    assert (await world.content(receipt.message_id)).isascii() is not eight_bit


async def test_the_null_sender(world: World) -> None:
    await world.door.submit(world.submission(sender=None))
    [message] = await world.rows(tables.message)
    assert message.sender == ""


async def test_texts_that_a_database_would_not_take(world: World) -> None:
    content = b"Subject: a\0b \xff\r\n c" + b"x" * 2000 + b"\r\nMessage-ID: \0\r\n\r\n"
    await world.door.submit(world.submission(content))
    [message] = await world.rows(tables.message)
    assert message.subject.startswith("ab \ufffd c")
    assert len(message.subject) == 500
    assert message.header_id.endswith("@mail.example.com>")
    assert b"\r\nX-Original-Message-ID: \0\r\n" in await world.content(message.id)


@pytest.mark.parametrize(
    ("change", "error", "reply"),
    [
        ({"recipients": []}, NoRecipients, "554 5.5.1"),
        ({"to": tuple(f"u{n}@example.net" for n in range(101))}, TooManyRecipients, "452 4.5.3"),
        ({"content": b"x" * 70_001}, MessageTooLarge, "552 5.3.4"),
        ({"expires_after": 0}, AlreadyExpired, "554 5.4.7"),
        ({"content": b"Received: x\r\n" * 101 + b"\r\n"}, MailLoop, "554 5.4.6"),
        ({"content": b"From: " + b"a@b.c," * 11_000 + b"\r\n\r\n"}, HeaderTooLarge, "552 5.3.4 A header field is"),
        (
            {"content": b"x-ib-a: a\r\n" * 1_001 + b"\r\n"},
            HeaderTooLarge,
            "552 5.3.4 The header has more than 1000",
        ),
        ({"account_id": 999_999}, AccountSuspended, "550 5.7.1"),
    ],
)
async def test_what_is_not_taken(
    sqlite_store: Store, change: dict[str, Any], error: type[IntakeError], reply: str
) -> None:
    world = await make_world(sqlite_store, max_size=70_000, max_recipients=100)
    with pytest.raises(error) as caught:
        await world.door.submit(world.submission(**change))
    assert str(caught.value.reply).startswith(reply)
    assert await world.rows(tables.message) == []
    assert world.handover.offered == []


@pytest.mark.parametrize(
    "change",
    [
        {"to": tuple(f"u{n}@example.net" for n in range(100))},
        {"to": ("b@example.net",) * 500},
        {"content": b"x" * 70_000},
        {"content": b"Received: x\r\n" * 100 + b"\r\n"},
    ],
)
async def test_what_is_just_taken(sqlite_store: Store, change: dict[str, Any]) -> None:
    world = await make_world(sqlite_store, max_size=70_000, max_recipients=100)
    await world.door.submit(world.submission(**change))
    assert len(await world.rows(tables.message)) == 1


async def _suppress(world: World, domain: str, *addresses: str) -> None:
    add = world.parts.suppressions.add
    assert await add(world.account_id, domain, addresses, "bounce", actor=Actor("test")) == len(addresses)


async def test_suppressed_recipients_use_up_no_quota(store: Store) -> None:
    """Nobody is mailed, so nothing is counted: neither for some of the recipients nor for all."""
    world = await make_world(store)
    await set_quota(store, "acme", Quota(day=3, action="reject"), world.clock.now())
    await _suppress(world, "example.com", "gone@example.net", "left@example.net")
    for _ in range(5):
        await world.door.submit(world.submission(to=("gone@example.net", "left@example.net")))
    for _ in range(3):
        await world.door.submit(world.submission(to=("gone@example.net", "here@example.net")))
    with pytest.raises(QuotaReached):
        await world.door.submit(world.submission(to=("gone@example.net", "here@example.net")))
    await world.door.submit(world.submission(to=("gone@example.net",)))
    mailed = [row.recipient for row in await world.rows(tables.delivery) if row.state != State.DROPPED]
    assert mailed == ["here@example.net"] * 3


async def test_both_domains_of_a_message_suppress(store: Store) -> None:
    """The author's, which recipients know, and the envelope's, to which bounces go; no other of the account."""
    world = await make_world(store)
    await _suppress(world, "author.example", "a@example.net")
    await _suppress(world, "envelope.example", "e@example.net")
    await _suppress(world, "other.example", "o@example.net")
    content = b"From: news@author.example\r\nSubject: x\r\n\r\nbody\r\n"
    to = tuple(f"{name}@example.net" for name in "aeo")
    await world.door.submit(world.submission(content, to, sender=parse_address("b@envelope.example")))
    states = {row.recipient[0]: State(row.state) for row in await world.rows(tables.delivery)}
    assert states == {"a": State.DROPPED, "e": State.DROPPED, "o": State.SENDING}


@pytest.mark.parametrize("to", [("b@example.net",), ("b@example.net", "gone@example.net", "c@example.net")])
async def test_each_of_several_recipients_is_told_where_somebody_wants_that(
    sqlite_store: Store, to: tuple[str, ...]
) -> None:
    world = await make_world(sqlite_store)
    await _suppress(world, "example.com", "gone@example.net")
    await world.door.submit(world.submission(to=to, routes=(Route(1, News.FINAL | News.INTERMEDIATE),)))
    assert EventType.QUEUED not in {row.type for row in await world.rows(tables.event)}
    receipt = await world.door.submit(
        world.submission(to=to, routes=(Route(2, News.INTERMEDIATE | News.EACH | News.FAILURE),))
    )
    theirs = [row for row in await world.rows(tables.event) if row.message_id == receipt.message_id]
    told = [(EventType(row.type).name, row.recipient_number) for row in sorted(theirs, key=lambda row: row.id)]
    queued = [("QUEUED", 1), ("QUEUED", 2), ("DROPPED", 2), ("QUEUED", 3)] if len(to) > 1 else []
    assert told == [("ACCEPTED", 0), *queued]
    notices = [row for row in await world.rows(tables.notice) if row.endpoint_id == 2]
    assert len(notices) == len(told)


async def test_keys_that_cannot_be_opened_are_a_temporary_failure(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a restore with another instance key."""
    nowhere = DnsLookup(DnsResolver(DnsConfig(nameservers=("127.0.0.1",), port=9), world.clock))
    other = Vault(bytes(32))
    await Domains(world.store, world.clock, other, nowhere, DomainsConfig(), "mail.example.com").add(
        world.account_id, "example.com", vouched=True
    )
    with pytest.raises(TemporarilyUnavailable):
        await world.door.submit(world.submission())
    assert "cannot be signed" in caplog.text
    assert await world.rows(tables.message) == []


async def test_a_suspended_account_within_two_seconds(world: World) -> None:
    await world.door.submit(world.submission())
    await suspend_account(world.store, "acme", world.clock.now())
    world.clock.advance(2 * SECOND)
    with pytest.raises(AccountSuspended):
        await world.door.submit(world.submission())
    await resume_account(world.store, "acme", world.clock.now())
    world.clock.advance(2 * SECOND)
    await world.door.submit(world.submission())


@pytest.mark.parametrize("part", ["door", "directory"])
async def test_a_store_that_is_away(
    world: World, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store_away(tmp_path) as away:
        owner = {"door": world.door, "directory": world.door._directory}[part]
        monkeypatch.setattr(owner, "_store", away)
        for submit in (world.door.submit(world.submission()), world.door.submit_all([world.submission()])):
            with pytest.raises(TemporarilyUnavailable) as caught:
                await submit
            assert str(caught.value.reply).startswith("451 4.3.0")
        assert world.handover.offered == []


@pytest.mark.parametrize("table", [tables.content, tables.account], ids=lambda table: table.name)
async def test_a_fault_of_ours_does_not_look_like_an_outage(world: World, table: Any) -> None:
    async with world.store.write() as connection:
        await connection.execute(DropTable(table))
    for submit in (world.door.submit(world.submission()), world.door.submit_all([world.submission()])):
        with pytest.raises((StoreError, SQLAlchemyError), match="no such table"):
            await submit
    assert world.handover.offered == []


async def test_the_client_can_be_left_out(sqlite_store: Store) -> None:
    world = await make_world(sqlite_store, show_client=False)
    receipt = await world.door.submit(world.submission())
    kept = await world.content(receipt.message_id)
    assert kept.startswith(b"Received: by mail.example.com with ESMTPSA ")
    assert b"192.0.2.1" not in kept
    assert b"client.example.com" not in kept


@pytest.mark.parametrize(
    ("origin", "start"),
    [
        (Origin("SMTP", "192.0.2.1", ""), "from unknown ([192.0.2.1])\r\n\tby host with SMTP\r\n"),
        (
            Origin("ESMTP", "2001:db8::1", "[IPv6:2001:db8::1]"),
            "from [IPv6:2001:db8::1] ([IPv6:2001:db8::1])\r\n\tby host with ESMTP\r\n",
        ),
        (
            Origin("ESMTP", "192.0.2.1", "a (b) <c> \u65e5;d"),
            "from a??b???c????d ([192.0.2.1])\r\n\tby host with ESMTP\r\n",
        ),
        (Origin("HTTP"), "by host with HTTP\r\n"),
        (Origin("HTTP", helo="client"), "from client\r\n\tby host with HTTP\r\n"),
        (
            Origin("ESMTPS", "192.0.2.1", "a", tls="x (y)"),
            "from a ([192.0.2.1])\r\n\tby host with ESMTPS (x ?y?)\r\n",
        ),
    ],
)
def test_received_fields(origin: Origin, start: str) -> None:
    made = received_field(origin, "host", "ID", "DATE", "", show_client=True)
    assert made == f"Received: {start}\tid ID;\r\n\tDATE\r\n"


@given(st.text(max_size=600), st.text(max_size=60))
def test_no_name_of_a_client_breaks_the_header(helo: str, tls: str) -> None:
    origin = Origin("ESMTPS", "192.0.2.1", helo, tls=tls)
    made = received_field(origin, "host", "ID", "Thu, 1 Jan 1970 00:00:00 +0000", "a@b", show_client=True)
    assert made.isascii()
    assert made.count("\r\n") == 4
    assert all(line.startswith(("Received: ", "\t")) and len(line) < 998 for line in made.split("\r\n")[:-1])
    assert made.count("(") == made.count(")")
