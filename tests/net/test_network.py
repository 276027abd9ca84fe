"""Streams over real sockets, on asyncio's loop and on uvloop."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from ekiden.net.network import (
    LoopbackOnlyNetwork,
    OutsideLab,
    RealNetwork,
    Stream,
    host_port,
    is_loopback,
)
from ekiden.net.tls import client_context, make_self_signed

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


Serve = Callable[[Talk], Coroutine[Any, Any, int]]


def on_both_loops(test: Callable[[Serve, Path], Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """The test once on asyncio's loop and once on uvloop, with servers that end with it."""

    async def with_servers(folder: Path) -> None:
        servers: list[asyncio.Server] = []

        async def serve(talk: Talk) -> int:
            async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                try:
                    await talk(reader, writer)
                finally:
                    writer.close()

            server = await asyncio.start_server(run, "127.0.0.1", 0)
            servers.append(server)
            return int(server.sockets[0].getsockname()[1])

        try:
            await test(serve, folder)
        finally:
            for server in servers:
                server.close()

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
    def both(run: Callable[[Coroutine[Any, Any, None]], None], tmp_path: Path) -> None:
        run(with_servers(tmp_path))

    return both


async def dial(port: int) -> Stream:
    return await RealNetwork().connect("127.0.0.1", port, timeout=5)


async def read_all(stream: Stream) -> bytes:
    data = b""
    while piece := await stream.read(5):
        data += piece
    return data


@on_both_loops
async def test_octets_both_ways(serve: Serve, tmp_path: Path) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readexactly(5))
        await writer.drain()

    stream = await dial(port := await serve(echo))
    assert stream.peer == f"127.0.0.1:{port}"
    stream.write(b"hello")
    assert await read_all(stream) == b"hello"
    assert stream.closed
    await stream.close()


@on_both_loops
async def test_a_large_answer_is_held_back_until_it_is_read(serve: Serve, tmp_path: Path) -> None:
    size = 8_000_000

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"x" * size)
        await writer.drain()

    stream = await dial(await serve(flood))
    await asyncio.sleep(0.05)
    first = await stream.read(5)
    assert 0 < len(first) < 2_000_000
    assert len(first) + len(await read_all(stream)) == size
    await stream.close()


@on_both_loops
async def test_a_large_write_waits_for_the_reader(serve: Serve, tmp_path: Path) -> None:
    size = 20_000_000
    go = asyncio.Event()
    got = asyncio.get_running_loop().create_future()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        got.set_result(len(await reader.readexactly(size)))

    stream = await dial(await serve(slow))
    stream.write(b"x" * size)
    with pytest.raises(TimeoutError):
        await stream.drain(0.05)
    go.set()
    await stream.drain(10)
    assert await got == size
    await stream.close()


@on_both_loops
async def test_silence_times_out_and_the_stream_lives_on(serve: Serve, tmp_path: Path) -> None:
    go = asyncio.Event()

    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await go.wait()
        writer.write(b"late")
        await writer.drain()

    stream = await dial(await serve(late))
    with pytest.raises(TimeoutError):
        await stream.read(0.02)
    go.set()
    assert await stream.read(5) == b"late"
    await stream.close()


@on_both_loops
async def test_a_reset_is_an_error_after_what_came_before_it(serve: Serve, tmp_path: Path) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"421 bye")
        await writer.drain()
        await reader.readexactly(1)
        writer.transport.abort()

    stream = await dial(await serve(reset))
    assert await stream.read(5) == b"421 bye"
    stream.write(b"x" * 100_000)
    try:
        assert await stream.read(5) == b""
    except OSError as error:
        assert isinstance(error, ConnectionError)
    stream.write(b"nobody listens")
    await stream.close()


@on_both_loops
async def test_nobody_listens(serve: Serve, tmp_path: Path) -> None:
    with pytest.raises(OSError):
        await dial(1)


def server_context(folder: Path) -> tuple[ssl.SSLContext, str]:
    files = make_self_signed(["peer.test"]).write(folder / "c.pem", folder / "k.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    return context, files.certificate


@on_both_loops
async def test_tls_after_clear_text(serve: Serve, tmp_path: Path) -> None:
    context, _ = server_context(tmp_path)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await writer.drain()
        await writer.start_tls(context)
        writer.write(b"secret " + await reader.readexactly(3))
        await writer.drain()

    stream = await dial(await serve(talk))
    assert await stream.read(5) == b"220 ready\r\n"
    tls = await stream.start_tls(client_context(), "peer.test")
    assert tls.startswith("TLSv1.")
    assert stream.tls == tls
    stream.write(b"abc")
    assert await stream.read(5) == b"secret abc"
    await stream.close()


@on_both_loops
async def test_clear_text_injected_before_tls_is_dropped(serve: Serve, tmp_path: Path) -> None:
    """RFC 3207 §6: what arrived together with the 220 was not protected and must not be believed."""
    context, _ = server_context(tmp_path)
    injected = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 ready\r\n")
        await writer.drain()
        await reader.readexactly(1)
        writer.write(b"250 injected\r\n")
        await writer.drain()
        injected.set()
        await writer.start_tls(context)
        writer.write(b"250 genuine\r\n")
        await writer.drain()

    stream = await dial(await serve(talk))
    assert await stream.read(5) == b"220 ready\r\n"
    stream.write(b"x")
    await injected.wait()
    await asyncio.sleep(0.02)
    await stream.start_tls(client_context(), "peer.test")
    assert await stream.read(5) == b"250 genuine\r\n"
    await stream.close()


@on_both_loops
async def test_a_broken_handshake_is_an_os_error(serve: Serve, tmp_path: Path) -> None:
    for answer in (b"", b"this is no TLS\r\n" * 10):

        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: bytes = answer) -> None:
            writer.write(b"220 ready\r\n")
            await reader.read(1)
            writer.write(answer)
            await writer.drain()

        stream = await dial(await serve(talk))
        await stream.read(5)
        with pytest.raises(OSError):
            await stream.start_tls(client_context(), "peer.test", timeout=5)
        await stream.close()


@on_both_loops
async def test_a_certificate_that_is_not_trusted(serve: Serve, tmp_path: Path) -> None:
    context, _ = server_context(tmp_path)
    refused = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await writer.start_tls(context)
        except OSError:
            refused.set()

    stream = await dial(await serve(talk))
    with pytest.raises(ssl.SSLError):
        await stream.start_tls(client_context(True), "peer.test", timeout=5)
    await stream.close()
    await asyncio.wait_for(refused.wait(), 5)


class Forbidden:
    async def connect(self, host: str, port: int, **_: Any) -> Stream:
        raise AssertionError(f"a socket to {host} would have been opened")


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "8.8.8.8", "10.0.0.1", "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "localhost", ""]
)
async def test_the_switch_of_the_lab(host: str) -> None:
    assert not is_loopback(host)
    with pytest.raises(OutsideLab):
        await LoopbackOnlyNetwork(Forbidden()).connect(host, 25, timeout=1)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "::ffff:127.0.0.1"])
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@on_both_loops
async def test_the_switch_lets_loopback_through(serve: Serve, tmp_path: Path) -> None:
    async def hello(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hi")
        await writer.drain()

    stream = await LoopbackOnlyNetwork().connect("127.0.0.1", await serve(hello), timeout=5)
    assert await read_all(stream) == b"hi"
    await stream.close()


def test_host_port() -> None:
    assert host_port("::1", 25) == "[::1]:25"
    assert host_port("127.0.0.1", 25) == "127.0.0.1:25"
