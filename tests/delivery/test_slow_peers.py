"""Peers that drip, never end, take nothing, or have hundreds of dead hosts: each attempt ends, and says why."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from delivery_road import Road, road

from ekiden.core.said import say
from ekiden.core.states import State
from ekiden.dns.resolver import DnsTemporary, MxHost
from ekiden.lab import Lab
from ekiden.net.network import LoopbackOnlyNetwork, Stream
from ekiden.smtp.client import MAX_NOTED
from ekiden.store.api import Store

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENT: dict[str, Any] = {
    "greeting_timeout": 60.0,
    "command_timeout": 60.0,
    "data_timeout": 60.0,
    "reply_timeout": 0.6,
    "attempt_timeout": 60.0,
}
"""What a peer may take for the first octet is long: it is the other deadlines that end these attempts."""


class Everywhere:
    """Every domain is a mail host of its own on 127.0.0.1."""

    async def mx(self, domain: str) -> list[MxHost]:
        return [MxHost(0, domain)]

    async def addresses(self, name: str) -> list[str]:
        return ["127.0.0.1"]

    async def txt(self, name: str) -> list[str]:
        return []


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes one message after the other."""
    writer.write(b"220 good\r\n")
    while line := await reader.readline():
        if line.startswith(b"DATA"):
            writer.write(b"354 Go\r\n")
            await reader.readuntil(b"\r\n.\r\n")
        writer.write(b"250 Ok\r\n")


@asynccontextmanager
async def peer(talk: Talk) -> AsyncIterator[int]:
    """Its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def peer_road(store: Store, talk: Talk, **settings: Any) -> AsyncIterator[Road]:
    async with (
        peer(talk) as port,
        road(store, resolver=Everywhere(), smtp_port=port, starttls=False, **PATIENT | settings) as r,
    ):
        yield r


async def drip(writer: asyncio.StreamWriter, data: bytes = b"") -> None:
    """An octet at a time, for ever: no pause is long enough for a time-out of single reads."""
    for octet in itertools.chain(data, itertools.repeat(ord("x"))):
        writer.write(bytes([octet]))
        await writer.drain()
        await asyncio.sleep(0.05)


async def replies(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *until: bytes) -> None:
    """The usual replies, up to the command that ``until`` begins with."""
    writer.write(b"220 peer ESMTP\r\n")
    while line := await reader.readline():
        if line.upper().startswith(until):
            return
        writer.write(b"354 Go\r\n" if line.startswith(b"DATA") else b"250 Ok\r\n")


async def dripping_greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await drip(writer, b"220 ")


async def dripping_lines(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Whole lines keep coming: each is complete, the reply is not."""
    writer.write(b"220 peer\r\n")
    await reader.readline()
    while True:
        writer.write(b"250-more\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)


async def dripping_recipient(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await replies(reader, writer, b"RCPT")
    await drip(writer, b"250 ")


async def dripping_verdict(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await replies(reader, writer, b"DATA")
    writer.write(b"354 Go\r\n")
    await reader.readuntil(b"\r\n.\r\n")
    await drip(writer, b"250 ")


@pytest.mark.parametrize("talk", [dripping_greeting, dripping_lines, dripping_recipient])
async def test_a_reply_that_does_not_end_ends_the_attempt(sqlite_store: Store, talk: Talk) -> None:
    async with peer_road(sqlite_store, talk) as r:
        row = await r.one(await r.send("a@drip.test"))
        assert row["state"] == State.DEFERRED
        assert "in the middle of a reply" in row["reason"]
        assert r.metrics.deadlines == ["reply"]
        await r.drain()


async def test_a_verdict_that_does_not_end_is_one(sqlite_store: Store) -> None:
    """It says 250: sent again, it would be a copy at every attempt."""
    async with peer_road(sqlite_store, dripping_verdict) as r:
        row = await r.one(await r.send("a@drip.test"))
        assert (row["state"], row["attempts"]) == (State.DELIVERED, 1)
        assert r.metrics.deadlines == ["reply"]
        await r.drain()


async def test_an_attempt_ends_although_every_reply_is_in_time(sqlite_store: Store) -> None:
    """A tarpit that answers each command late: the sum is what holds the connection."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        while await reader.readline():
            await asyncio.sleep(0.4)
            writer.write(b"250 Ok\r\n")

    recipients = [f"u{n}@drip.test" for n in range(100)]
    async with peer_road(sqlite_store, talk, attempt_timeout=2.0) as r:
        rows = await r.settled(await r.send(*recipients), timeout=60)
        assert {row["state"] for row in rows} == {State.DEFERRED}
        assert "as a whole" in rows[-1]["reason"]
        assert r.metrics.deadlines == ["attempt"]
        await r.drain()


async def test_a_late_first_octet_is_no_fault(sqlite_store: Store) -> None:
    """Greylisting by delay: RFC 5321 §4.5.3.2.1 gives five minutes, and the deadline of a reply begins with it."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1.0)
        await replies(reader, writer, b"DATA")
        writer.write(b"354 Go\r\n")
        await reader.readuntil(b"\r\n.\r\n")
        await asyncio.sleep(1.0)
        writer.write(b"250 Taken\r\n")
        await reader.read()

    async with peer_road(sqlite_store, talk) as r:
        assert (await r.one(await r.send("a@late.test")))["state"] == State.DELIVERED
        assert r.metrics.deadlines == []
        await r.drain()


async def test_contents_must_be_taken_at_a_rate(sqlite_store: Store) -> None:
    """A peer that takes an octet now and then; and one that is slow, but fast enough."""

    def taking(octets: int) -> Talk:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await replies(reader, writer, b"DATA")
            writer.write(b"354 Go\r\n")
            taken = b"go on"
            while taken and b"\r\n.\r\n" not in taken:
                await asyncio.sleep(0.05)
                taken = await reader.read(octets)
            writer.write(b"250 Taken\r\n")
            await reader.read()

        return talk

    large = b"Subject: large\r\n\r\n" + (b"x" * 998 + b"\r\n") * 12_000
    settings = {"data_timeout": 0.2, "min_rate": 10_000_000}
    async with peer_road(sqlite_store, taking(10), **settings) as r:
        row = await r.one(await r.send("a@slow.test", content=large))
        assert row["state"] == State.DEFERRED
        assert "too slowly" in row["reason"]
        assert r.metrics.deadlines == ["sending"]
        await r.drain()
    settings = {"data_timeout": 30.0, "min_rate": 1_000_000}
    async with peer_road(sqlite_store, taking(1 << 20), **settings) as r:
        assert (await r.one(await r.send("a@slower.test", content=large)))["state"] == State.DELIVERED
        await r.drain()


async def test_what_is_kept_of_endless_talk_is_bounded(sqlite_store: Store) -> None:
    """Long replies of many lines to each of 100 recipients: the traces stay small, and each knows its own."""
    block = b"".join(b"550-%d %s\r\n" % (n, b"y" * 400) for n in range(30))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        number = 0
        while line := await reader.readline():
            if line.startswith(b"EHLO"):
                writer.write(b"250-peer\r\n250 PIPELINING\r\n")
            elif line.startswith(b"RCPT"):
                number += 1
                writer.write(block + b"550 number %d\r\n" % number)
            else:
                writer.write(b"554 No\r\n" if line.startswith(b"DATA") else b"250 Ok\r\n")

    async with peer_road(sqlite_store, talk) as r:
        message_id = await r.send(*(f"u{n}@long.test" for n in range(100)), sender="")
        rows = await r.settled(message_id)
        assert {row["state"] for row in rows} == {State.BOUNCED}
        attempts = await r.attempts(message_id)
        assert max(len(attempt["dialogue"]) for attempt in attempts) < MAX_NOTED + 20_000
        assert "S: 550 number 100" in attempts[99]["dialogue"]
        assert "S: 550 number 99\n" not in attempts[99]["dialogue"]
        await r.drain()


@pytest.mark.parametrize(
    "flood",
    [b"250-x\r\n" * 100_000, b"250-" + b"x" * 1_000_000, b"421 Go away\r\n" * 100_000, b"150 Wait\r\n" * 100_000],
    ids=["lines", "one line", "421", "1yz"],
)
async def test_floods_are_no_replies(sqlite_store: Store, flood: bytes) -> None:
    """Also the answer to EHLO of 100,000 lines; the victim's mail is delivered meanwhile."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 peer\r\n")
        await reader.readline()
        writer.write(flood)
        await writer.drain()
        await reader.read()

    async with peer_road(sqlite_store, talk) as r:
        row = await r.one(await r.send("a@flood.test"))
        assert row["state"] == State.DEFERRED
        await r.drain()


async def test_a_domain_with_hundreds_of_dead_hosts_ends_soon_and_is_tried_elsewhere_next(
    sqlite_store: Store,
) -> None:
    """900 MX hosts, all dead: names without answer cost time, addresses without server cost connections."""
    asked: list[str] = []
    dialled: list[str] = []

    class Many:
        async def mx(self, domain: str) -> list[MxHost]:
            return [MxHost(n, f"mx{n}.dead.test") for n in range(900)]

        async def addresses(self, name: str) -> list[str]:
            asked.append(name)
            number = int(name[2:].partition(".")[0])
            if number % 2:
                await asyncio.sleep(0.02)
                raise DnsTemporary(name, say("no_name_server", name=name, type="MX"))
            return [f"127.77.{number // 250}.{number % 250 + 1}"]

        async def txt(self, name: str) -> list[str]:
            return []

    class Dead(LoopbackOnlyNetwork):
        async def connect(self, host: str, port: int, **_: Any) -> Stream:
            dialled.append(host)
            raise ConnectionRefusedError("refused")

    async with road(sqlite_store, resolver=Many(), network=Dead()) as r:
        message_id = await r.send("a@dead.test")
        assert (await r.one(message_id))["state"] == State.DEFERRED
        assert len(asked) <= r.config.max_hosts_per_attempt
        assert len(dialled) <= r.config.max_addresses_per_attempt
        first, tried = set(asked), set(dialled)
        r.clock.leap(120)
        r.dispatcher.wake()

        async def again() -> bool:
            return len(await r.attempts(message_id)) == 2

        async with asyncio.timeout(15):
            while not await again():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert not first & {name for name in asked[len(first) :] if int(name[2:].partition(".")[0]) % 2}
        assert not tried & set(dialled[len(tried) :])
        await r.drain()


async def test_looking_up_the_hosts_has_an_end(sqlite_store: Store) -> None:
    asked = []

    class Slow(Everywhere):
        async def mx(self, domain: str) -> list[MxHost]:
            return [MxHost(n, f"mx{n}.slow.test") for n in range(9)]

        async def addresses(self, name: str) -> list[str]:
            asked.append(name)
            await asyncio.sleep(0.5)
            raise DnsTemporary(name, say("no_name_server", name=name, type="MX"))

    async with road(sqlite_store, resolver=Slow(), lookup_timeout=0.8) as r:
        row = await r.one(await r.send("a@slow.test"))
        assert (row["state"], row["enhanced"]) == (State.DEFERRED, "4.4.3")
        assert "looking up the mail hosts" in row["reason"]
        assert 0 < len(asked) <= 2, "of nine"
        await r.drain()


async def test_the_labs_slow_peers_do_not_hold_the_lab(sqlite_store: Store, lab: Lab) -> None:
    """What the catalogue has of slow and endless servers, with a victim beside them."""
    async with road(sqlite_store, lab) as r:
        slow = [await r.send(f"a@{name}.lab.test") for name in ("silent", "hostile-endless", "hangtls")]
        assert (await r.one(await r.send("b@accept.lab.test")))["state"] == State.DELIVERED
        for message_id in slow:
            await r.settled(message_id)
        await r.drain()
