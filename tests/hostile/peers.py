"""Receivers that mean harm: mail servers and callback receivers, in a thread with an event loop of its own."""

from __future__ import annotations

import asyncio
import re
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from types import TracebackType
from typing import Any

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
PATIENCE = 30.0


class Peers:
    """``listen`` on loopback; everything ends with the block. ``connections`` counts."""

    def __init__(self) -> None:
        self.connections = 0
        self.open = 0
        self.answered: Counter[int] = Counter()
        """By status, what ``answering`` has answered."""
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Peers:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def listen(self, serve: Serve, port: int = 0, host: str = "") -> tuple[str, int]:
        """An address; with a ``port`` on a loopback address of its own, unless ``host`` says where."""
        if host:
            return self._run(self._listen(host, port, serve))  # type: ignore[no-any-return]
        if not port:
            return self._run(self._listen("127.0.0.1", 0, serve))  # type: ignore[no-any-return]
        for number in range(1, 250):
            try:
                return self._run(self._listen(f"127.249.7.{number}", port, serve))  # type: ignore[no-any-return]
            except OSError:
                continue  # another process of the test run has it
        raise AssertionError("no address is free")

    async def _listen(self, host: str, port: int, serve: Serve) -> tuple[str, int]:
        def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            self.open += 1
            task = asyncio.create_task(self._serve(serve, reader, writer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        server = await asyncio.start_server(begin, host, port, backlog=4096)
        self._servers.append(server)
        name = server.sockets[0].getsockname()
        return name[0], name[1]

    async def _serve(self, serve: Serve, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
        except (OSError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.transport.abort()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def endless(piece: bytes, pause: float = 0.0, begins: bytes = b"", most: int = 1 << 33) -> Serve:
    """Says ``begins``, then ``piece`` again and again, whatever it hears."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reading = asyncio.create_task(_drop(reader))
        try:
            writer.write(begins)
            sent = 0
            while sent < most and not reading.done():
                writer.write(piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(pause)
        finally:
            reading.cancel()

    return serve


def answering(peers: Peers, status: int) -> Serve:
    """A receiver of HTTP that answers each request with ``status``, and closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        await reader.readexactly(int(length[1]) if length else 0)
        writer.write(b"HTTP/1.1 %d x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n" % status)
        await writer.drain()
        peers.answered[status] += 1

    return serve


async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Takes everything and never says a word."""
    await _drop(reader)


async def _drop(reader: asyncio.StreamReader) -> None:
    while await reader.read(65_536):
        pass
