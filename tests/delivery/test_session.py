"""Connections against scripted peers: what a lab does not do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from delivery_road import Road, road

from ekiden.core.states import State
from ekiden.delivery.config import RouteConfig
from ekiden.store.api import Store

Peer = Callable[[asyncio.StreamReader, asyncio.StreamWriter, int], Awaitable[None]]


@asynccontextmanager
async def peer_road(store: Store, talk: Peer, **settings: object) -> AsyncIterator[Road]:
    """A road to one server on loopback that does what ``talk`` says; its third argument counts the connections."""
    count = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        try:
            await talk(reader, writer, count)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    route = RouteConfig(domain="*", hosts=(f"127.0.0.1:{port}",))
    try:
        async with road(store, routes=(route,), site_concurrency=1, idle_timeout=30.0, **settings) as r:
            yield r
            await r.drain()
    finally:
        server.close()


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 peer.test ESMTP\r\n")
    await reader.readuntil(b"\r\n")
    writer.write(b"250-peer.test\r\n250-PIPELINING\r\n250-LIMITS RCPTMAX=2 MAILMAX=3\r\n250 DSN\r\n")


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One message."""
    lines = (await reader.readuntil(b"DATA\r\n")).split(b"\r\n")
    writer.write(b"250 Ok\r\n" * (len(lines) - 2) + b"354 Go\r\n")
    await reader.readuntil(b"\r\n.\r\n")
    writer.write(b"250 2.0.0 Ok\r\n")
    await writer.drain()


@pytest.mark.parametrize("goodbye", [b"", b"421 4.4.2 idle too long\r\n"])
async def test_a_connection_that_died_between_two_messages(sqlite_store: Store, goodbye: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await greet(reader, writer)
        await take(reader, writer)
        if number == 1:
            await reader.readuntil(b"DATA\r\n")
            writer.write(goodbye)
            return
        await reader.read()

    async with peer_road(sqlite_store, talk) as r:
        for n in range(2):
            message_id = await r.send(f"u{n}@any.test")
            row = await r.one(message_id)
            assert (row["state"], row["attempts"]) == (State.DELIVERED, 1)
        assert r.metrics.opened == 2


async def test_a_peer_that_closes_every_time_is_not_asked_forever(sqlite_store: Store) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await greet(reader, writer)
        if number == 1:
            await take(reader, writer)
        await reader.readuntil(b"DATA\r\n")

    async with peer_road(sqlite_store, talk) as r:
        assert (await r.one(await r.send("a@any.test")))["state"] == State.DELIVERED
        row = await r.one(await r.send("b@any.test"))
        assert (row["state"], row["enhanced"], row["attempts"]) == (State.DEFERRED, "4.4.2", 1)
        assert r.metrics.opened == 2


async def test_a_message_whose_content_was_sent_is_not_sent_again_at_once(sqlite_store: Store) -> None:
    """The peer may have it: that risk is taken once per retry time, not in a loop."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await greet(reader, writer)
        await take(reader, writer)
        await reader.readuntil(b"DATA\r\n")
        writer.write(b"250 Ok\r\n250 Ok\r\n354 Go\r\n")
        await reader.readuntil(b"\r\n.\r\n")

    async with peer_road(sqlite_store, talk) as r:
        await r.one(await r.send("a@any.test"))
        row = await r.one(await r.send("b@any.test"))
        assert row["state"] == State.DEFERRED
        assert r.metrics.opened == 1


async def test_the_limits_that_a_peer_announces_are_kept(sqlite_store: Store) -> None:
    """RFC 9422."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        await greet(reader, writer)
        while True:
            await take(reader, writer)
            taken.append(number)

    taken: list[int] = []
    async with peer_road(sqlite_store, talk) as r:
        rows = await r.settled(await r.send(*(f"u{n}@any.test" for n in range(8))))
        assert [row["state"] for row in rows] == [State.DELIVERED] * 8
        assert taken == [1, 1, 1, 2]


async def test_every_reply_in_one_piece_with_the_greeting_is_refused(sqlite_store: Store) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        writer.write(b"220 a\r\n250 b\r\n250 c\r\n250 d\r\n354 e\r\n250 f\r\n")
        await reader.read()

    async with peer_road(sqlite_store, talk) as r:
        row = await r.one(await r.send("a@any.test"))
        assert row["state"] == State.DEFERRED
