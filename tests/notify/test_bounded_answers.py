"""What a receiver answers is bounded: it keeps neither the event loop nor the memory of who tells it something."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from outbox_parts import LAB, Names

from ekiden.notify.bounded_answers import MAX_INTERIM, MAX_OCTETS
from ekiden.notify.client import Answer, Client
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.status_codes import Result
from support.manual_clock import ManualClock

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@asynccontextmanager
async def receiver(*pieces: bytes, endless: bytes = b"") -> AsyncIterator[tuple[str, Callable[[], int]]]:
    """Answers each request with ``pieces``, then ``endless`` again and again; tells the octets it could send."""
    sent = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        try:
            while await reader.readuntil(b'{"a":1}'):
                for piece in pieces:
                    writer.write(piece)
                    await writer.drain()
                    sent += len(piece)
                while endless and sent < 400_000_000:
                    writer.write(endless)
                    await writer.drain()
                    sent += len(endless)
                    await asyncio.sleep(0)  # ``drain`` lets nobody else go on before the buffer is full
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", lambda: sent


async def post(url: str, timeout: float = 20.0) -> Answer:
    client = Client(CallbacksConfig(timeout=timeout), ManualClock(), Names(), LAB)  # type: ignore[arg-type]
    try:
        return await client.post(url, None, b'{"a":1}', "application/json")
    finally:
        await client.close()


@asynccontextmanager
async def longest_pause() -> AsyncIterator[list[float]]:
    """The processor time that passed between two turns of the event loop, at most."""
    found = [0.0]

    async def watch() -> None:
        before = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found[0] = max(found[0], now - before)
            before = now

    task = asyncio.create_task(watch())
    try:
        yield found
    finally:
        task.cancel()


@pytest.mark.parametrize(
    "endless",
    [
        CONTINUE * 40_000,
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n" * 10_000,
        b"HTTP/1.1 102 Processing\r\n\r\n",
    ],
    ids=["continue", "hints", "one-by-one"],
)
async def test_interim_statuses_without_end(endless: bytes) -> None:
    async with receiver(endless=endless) as (url, sent), longest_pause() as pause:
        answer = await post(url)
    assert answer.result is Result.FAILED
    assert "interim" in answer.text
    assert sent() < 50_000_000
    assert pause[0] < 0.5


@pytest.mark.parametrize(
    ("begins", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-A: " + b"a" * 8000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 1000),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 60_000),
        (b"HTTP/1.1 200 ", b"a" * 60_000),
        (b"", b"\r\n" * 30_000),
        (b"", b"\0" * 60_000),
    ],
    ids=["large-fields", "many-fields", "one-field", "reason", "blank-lines", "noise"],
)
async def test_a_header_without_end(begins: bytes, endless: bytes) -> None:
    async with receiver(begins, endless=endless) as (url, sent), longest_pause() as pause:
        answer = await post(url)
    assert answer.result is Result.FAILED
    assert not answer.status
    assert sent() < 50_000_000
    assert pause[0] < 0.5


@pytest.mark.parametrize(
    ("head", "endless"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a" * 60_000),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"a" * 60_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n" * 10_000),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 60_000),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 99999999999\r\n\r\n", b"\x1f\x8b" * 30_000),
    ],
    ids=["until-close", "length", "chunks", "chunk-extension", "gzip"],
)
async def test_a_body_without_end_changes_nothing(head: bytes, endless: bytes) -> None:
    async with receiver(head, endless=endless) as (url, sent), longest_pause() as pause:
        answer = await post(url)
    assert (answer.result, answer.status) == (Result.TAKEN, 200)
    assert sent() < 50_000_000
    assert pause[0] < 0.5


async def test_trailers_without_end() -> None:
    """Read together with the status they make all of it unreadable; read later they come too late to matter."""
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
    async with receiver(head, endless=b"a: b\r\n" * 10_000) as (url, sent), longest_pause() as pause:
        answer = await post(url)
    assert answer.status in (0, 200)
    assert sent() < 50_000_000
    assert pause[0] < 0.5


async def test_switching_protocols_is_an_answer_that_ends_the_connection() -> None:
    head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"
    async with receiver(head, endless=b"a" * 60_000) as (url, sent), longest_pause() as pause:
        answer = await post(url)
    assert answer.result is Result.FAILED
    assert sent() < 50_000_000
    assert pause[0] < 0.5


async def test_a_few_interim_statuses_are_nothing_special() -> None:
    async with receiver(CONTINUE * MAX_INTERIM, OK) as (url, _):
        assert (await post(url)).status == 200
    # Each answer of a connection has the whole bound for itself.
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\nX: " + b"a" * 4000 + b"\r\n\r\n" + b"b" * 2000
    async with receiver(CONTINUE, page) as (url, sent):
        client = Client(CallbacksConfig(timeout=20.0), ManualClock(), Names(), LAB)  # type: ignore[arg-type]
        try:
            for _ in range(MAX_OCTETS // len(page) * 2):
                assert (await client.post(url, None, b'{"a":1}', "application/json")).status == 200
        finally:
            await client.close()
    assert sent() > MAX_OCTETS


async def test_an_answer_that_drips_has_no_longer_than_the_request() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b'{"a":1}')
            for number in range(600):
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n"[number % 25 :][:1])
                await writer.drain()
                await asyncio.sleep(0.05)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        answer = await post(url, timeout=1.0)
    assert (answer.result, answer.status) == (Result.FAILED, 0)
