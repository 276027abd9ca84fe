"""Mail of other servers: who it is taken for, what is added to it, and that it is kept before the 250."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from reception_world import HOST, World, eventually
from sqlalchemy import select

from ekiden.core.ids import parse_id
from ekiden.core.report import Kind
from ekiden.core.return_path import Purpose
from ekiden.core.states import Reading
from ekiden.inbound.config import InboundConfig
from ekiden.inbound.mailboxes import Use
from ekiden.inbound.reader import NUMBERS
from ekiden.inbound.verdicts import Authentication
from ekiden.store import tables as t
from ekiden.store.inbound import claim_unread

MESSAGE = b"From: a@example.net\r\nSubject: hello\r\nMessage-ID: <1@example.net>\r\n\r\nbody\r\n"


def bounce_of(world: World, account: int = 1, number: int = 3) -> str:
    path = world.paths.seal(account, world.ids.next(world.clock.now()), number)
    return f"{path}@rp.example.com"


async def rows(world: World) -> list[Any]:
    async with world.store.read() as connection:
        return list(await connection.execute(select(t.inbound_mail).order_by(t.inbound_mail.c.id)))


async def test_what_is_offered(world: World) -> None:
    await world.start()
    client = await world.client()
    offered = await client.ask("EHLO mail.example.net")
    assert "AUTH" not in offered
    assert "DSN" not in offered  # nobody is sent a report who only says so
    assert {"STARTTLS", "8BITMIME", "SMTPUTF8", "PIPELINING", "SIZE 31457280"} <= {
        line[4:] for line in offered.split("\n")
    }
    assert (await client.ask("STARTTLS")).startswith("220")
    await client.start_tls()
    assert "STARTTLS" not in await client.ask("EHLO mail.example.net")
    assert (await client.ask("AUTH PLAIN AGEAYg==")).startswith("50")
    assert (await client.ask("MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")).startswith("250")


async def test_a_bounce_is_kept_and_read(world: World) -> None:
    await world.start()
    client = await world.client()
    address = bounce_of(world)
    assert (await client.ask("EHLO mail.example.net", "MAIL FROM:<>")).startswith("250")
    # The world does not keep the case of local parts.
    assert (await client.ask(f"RCPT TO:<{address.upper()}>")).startswith("250")
    answer = await client.send(MESSAGE)
    queue_id = answer.split()[-1]
    await eventually(lambda: world.noting.read_mails)
    (mail,) = world.noting.read_mails
    assert mail.mail.id == parse_id(queue_id)
    ((_, box),) = mail.boxes
    assert (box.use, box.account_id) == (Use.BOUNCE, 1)
    assert box.return_path is not None
    assert box.return_path.number == 3
    lines = mail.content.split(b"\r\n")
    assert lines[0] == b"Return-Path: <>"
    assert lines[1].startswith(b"Authentication-Results: mx.example.com;")
    assert b"\r\nReceived: from mail.example.net ([127.0.0.1])\r\n" in mail.content
    assert mail.content.endswith(MESSAGE)
    assert f"id {queue_id}".encode() in mail.content
    await eventually(lambda: not world.memory.held("inbound"))
    (row,) = await rows(world)
    assert (row.state, row.kind, row.told) == (Reading.READ, NUMBERS[Kind.OTHER], '{"seen":1}')
    assert (row.account_id, row.header_id, row.subject, row.helo) == (
        1,
        "<1@example.net>",
        "hello",
        "mail.example.net",
    )


async def test_who_it_is_from_is_written_down(world: World) -> None:
    await world.start()
    world.zone["example.net", "TXT"] = [b"v=spf1 ip4:127.0.0.1 -all"]
    world.zone["_dmarc.example.net", "TXT"] = [b"v=DMARC1; p=reject"]
    client = await world.client()
    await client.ask("EHLO mail.example.net", "MAIL FROM:<a@example.net>", f"RCPT TO:<{bounce_of(world)}>")
    claim = f"Authentication-Results: {HOST}; dkim=pass header.d=bank.example\r\n".encode()
    assert (await client.send(claim + MESSAGE)).startswith("250")
    await eventually(lambda: world.noting.read_mails)
    (mail,) = world.noting.read_mails
    found = Authentication.decode(mail.mail.authentication)
    assert (found.spf.result, found.dmarc.result, found.dmarc.policy) == ("pass", "pass", "reject")
    assert b"bank.example" not in mail.content
    assert b"spf=pass" in mail.content
    assert mail.content.endswith(MESSAGE)


async def test_who_is_known_at_rcpt(world: World) -> None:
    await world.start()
    world.routes.accounts["info@shop.example"] = 4
    client = await world.client()
    mine = bounce_of(world)
    forged = mine[:10] + ("0" if mine[10] != "0" else "1") + mine[11:]
    await client.ask("EHLO x.example", "MAIL FROM:<a@example.net>")
    for address, code in (
        (mine, "250 2.1.5"),
        (forged, "550 5.1.1"),
        ("nobody@shop.example", "550 5.1.1"),
        (f"b-{'0' * 30}@rp.example.com", "550 5.1.1"),
        ("info@shop.example", "452 4.5.3"),  # of another account
        (bounce_of(world, number=0), "250 2.1.5"),
        (bounce_of(world, account=2), "452 4.5.3"),
    ):
        assert (await client.ask(f"RCPT TO:<{address}>"))[:9] == code, address
    await client.ask("RSET", "MAIL FROM:<a@example.net>")
    assert (await client.ask("RCPT TO:<info@shop.example>")).startswith("250")
    for address in ("postmaster", f"Abuse@{HOST}", f"postmaster@{HOST}"):
        await client.ask("RSET", "MAIL FROM:<a@example.net>")
        assert (await client.ask(f"RCPT TO:<{address}>")).startswith("250"), address
    await client.ask("RSET", "MAIL FROM:<a@example.net>")
    assert (await client.ask("RCPT TO:<postmaster@elsewhere.example>")).startswith("550 5.1.1")


async def test_bounces_of_what_was_not_sent_from_here_are_refused(world: World) -> None:
    """Forged senders: no backscatter reaches those who receive mail here."""
    await world.start()
    world.routes.accounts["info@shop.example"] = 1
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<>")
    assert (await client.ask("RCPT TO:<info@shop.example>")).startswith("550 5.7.1")
    assert (await client.ask("RCPT TO:<postmaster>")).startswith("250")


async def test_an_address_to_unsubscribe_is_for_that(world: World) -> None:
    await world.start()
    path = world.paths.seal(1, world.ids.next(world.clock.now()), 2, to=Purpose.UNSUBSCRIBE)
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<a@example.net>")
    assert (await client.ask(f"RCPT TO:<{path}@rp.example.com>")).startswith("250")
    await client.send(MESSAGE)
    await eventually(lambda: world.noting.read_mails)
    assert world.noting.read_mails[0].boxes[0][1].use is Use.UNSUBSCRIBE


async def test_who_tries_names_is_sent_away(world: World) -> None:
    await world.start()
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<a@example.net>")
    for number in range(20):
        assert (await client.ask(f"RCPT TO:<name{number}@rp.example.com>")).startswith("550 5.1.1")
    assert (await client.ask("RCPT TO:<name20@rp.example.com>")).startswith("421 4.7.0")


async def test_more_than_may_come_in_is_put_off(world: World) -> None:
    await world.start(InboundConfig(messages_per_second=2.0))
    client = await world.client()
    await client.ask("EHLO x.example")
    answers = [(await client.ask("MAIL FROM:<>"))[:9] for _ in range(3) if await client.ask("RSET")]
    assert answers == ["250 2.1.0", "250 2.1.0", "451 4.3.2"]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"Received: x\r\n" * 51 + MESSAGE, "554 5.4.6"),
        (b"X: y\r\n" * 2001 + MESSAGE, "552 5.3.4"),
        (b"X: " + b"y" * 262_144 + b"\r\n" + MESSAGE, "552 5.3.4"),
        (b"Received: x\r\n" * 50 + MESSAGE, "250 2.0.0"),
        (b"", "250 2.0.0"),
    ],
)
async def test_contents(world: World, content: bytes, code: str) -> None:
    await world.start()
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")
    assert (await client.send(content))[:9] == code
    assert len(await rows(world)) == (code[0] == "2")


async def test_what_cannot_be_read_is_tried_again_and_then_kept(world: World) -> None:
    await world.start()
    client = await world.client()
    world.noting.failures = 1
    await client.ask("EHLO x.example", "MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")
    await client.send(MESSAGE)
    await eventually(lambda: not world.noting.failures and not world.memory.held("inbound"))
    (row,) = await rows(world)
    assert (row.state, row.attempts, row.owner) == (Reading.UNREAD, 1, None)
    assert row.due_at - row.accepted_at >= 30_000
    async with world.store.write() as connection:
        await connection.execute(t.inbound_mail.update().values(attempts=4, due_at=0))
    world.noting.failures = 1
    await eventually(lambda: not world.noting.failures and not world.memory.held("inbound"))
    (row,) = await rows(world)
    assert (row.state, row.attempts) == (Reading.READ, 5)
    assert row.told == '{"failed":"ValueError: cannot be read"}'


async def test_what_a_worker_left_unread_is_read_by_another(world: World) -> None:
    await world.start(reading=False)
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")
    assert (await client.send(MESSAGE)).startswith("250")
    await world.store.end_worker(world.me.id, None)
    other = await world.store.register_worker("here", 2, world.clock.now(), 60_000)
    async with world.store.write() as connection:
        (mail,) = await claim_unread(connection, other.id, world.clock.now(), 10)
    world.read()
    await eventually(lambda: not world.memory.held("inbound"))
    (row,) = await rows(world)
    assert (row.state, row.owner, row.attempts) == (Reading.UNREAD, other.id, 2)  # who had it before is fenced
    world.me = other
    world.reader.offer(other.id, mail)
    await eventually(lambda: not world.memory.held("inbound"))
    (row,) = await rows(world)
    assert row.state == Reading.READ
    assert len({each.content for each in world.noting.read_mails}) == 1


async def test_what_had_no_part_of_the_memory_gives_none_back(world: World) -> None:
    await world.start(reading=False)
    client = await world.client()
    await client.ask("EHLO x.example", "MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")
    await client.send(MESSAGE)
    held = world.memory.held("inbound")
    assert world.memory.take("others", world.memory.free, beyond_share=True)
    (row,) = await rows(world)
    late = replace(world.reader._queue[0].mail, id=row.id + 1, content=MESSAGE)
    await world.store.receive(world.me.id, late)
    world.reader.offer(world.me.id, late)
    assert world.memory.held("inbound") == held
    world.read()
    await eventually(lambda: len(world.noting.read_mails) == 2 and not world.memory.held("inbound"))
    assert world.memory.free == held


async def test_large_mails_are_not_in_memory_together(world: World) -> None:
    await world.start(reading=False)
    client = await world.client()
    for _ in range(3):
        await client.ask("EHLO x.example", "MAIL FROM:<>", f"RCPT TO:<{bounce_of(world)}>")
        await client.send(MESSAGE)
    large, small, other = (queued.mail for queued in world.reader._queue)
    large.size = 30_000_000
    assert [queued.mail for queued in world.reader._next()] == [large]
    assert [queued.mail for queued in world.reader._next()] == [small, other]
