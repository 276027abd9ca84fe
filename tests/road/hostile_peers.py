"""Both kinds of hostile peers: raw sockets that say anything to a server, and a server that replies anything."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Literal

PATIENCE = 30.0  # seconds; only reached when something is broken
REPLIES = re.compile(rb"(?:[2-5][0-9]{2}[ -][\x20-\x7e\x80-\xff]*\r\n)*")
"""Whole reply lines and nothing else."""
YES = re.compile(rb"^(?:\xef\xbb\xbf)?2[0-9][0-9]", re.MULTILINE)
"""A line that says that the content was taken, whatever stands before it."""


class RawClient:
    """A socket to a listener, closed by ``with``. ``received`` is all that the server has said so far."""

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext | None = None) -> None:
        self.socket: socket.socket = socket.create_connection(address, timeout=PATIENCE)
        self.received = b""
        if context is not None:
            self.start_tls(context)

    def __enter__(self) -> RawClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def start_tls(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_hostname="127.0.0.1")

    def send(self, data: bytes) -> bool:
        """False: the server does not take it any more."""
        try:
            self.socket.sendall(data)
        except (OSError, ssl.SSLError):
            return False
        return True

    def read(self) -> bytes:
        """Some octets; none: the server has closed."""
        try:
            data = self.socket.recv(65_536)
        except TimeoutError:
            raise
        except (OSError, ssl.SSLError):
            return b""
        self.received += data
        return data

    def reply(self) -> bytes:
        """The next whole reply, all its lines. What came behind it stays in ``received``."""
        start = len(self.received)
        while not re.search(rb"(?:\A|\n)[0-9]{3} [^\n]*\n", self.received[start:]):
            assert self.read(), self.received
        return self.received[start:]

    def rest(self) -> bytes:
        """Everything until the server closes."""
        while self.read():
            pass
        return self.received

    def half_close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a TCP RST."""
        with contextlib.suppress(OSError):
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()


Stage = Literal["connect", "EHLO", "HELO", "STARTTLS", "RSET", "MAIL", "RCPT", "DATA", "content", "QUIT"]
Then = Literal["", "close", "reset"]

USUAL: dict[Stage, bytes] = {
    "connect": b"220 raw ESMTP\r\n",
    "EHLO": b"250-raw\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 10000\r\n",
    "HELO": b"250 raw\r\n",
    "STARTTLS": b"454 4.7.0 Not now\r\n",
    "RSET": b"250 2.0.0 Ok\r\n",
    "MAIL": b"250 2.1.0 Ok\r\n",
    "RCPT": b"250 2.1.5 Ok\r\n",
    "DATA": b"354 Go ahead\r\n",
    "content": b"250 2.0.0 Kept\r\n",
    "QUIT": b"221 2.0.0 Bye\r\n",
}


@dataclass
class Script:
    """What one server says in place of the usual replies, and whether it goes away after the last of them."""

    says: dict[Stage, bytes] = field(default_factory=dict)
    then: Then = ""
    confirmed: int = 0
    """How often it said a 2xx to content."""


class RawServer:
    """SMTP as far as a script says otherwise, on as many loopback addresses as there are scripts."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._count = 0
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(PATIENCE)

    def add(self, script: Script) -> str:
        """The address of a new server that follows ``script``."""
        while True:
            self._count += 1
            address = f"127.250.{self._count // 250}.{self._count % 250 + 1}"
            try:
                self._run(self._listen(address, script))
            except OSError:
                continue  # another process of the test run has it
            return address

    async def _listen(self, address: str, script: Script) -> None:
        def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(_serve(reader, writer, script))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        self._servers.append(await asyncio.start_server(serve, address, self._port))

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script) -> None:
    try:
        await _talk(reader, writer, script)
    except (OSError, ValueError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.transport.abort()


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, script: Script) -> None:
    say: Callable[[Stage], bool] = lambda stage: _say(writer, script, stage)  # noqa: E731
    if not say("connect"):
        return
    while line := await reader.readline():
        verb = line.split(maxsplit=1)[0].upper().decode("ascii", "replace") if line.strip() else ""
        stage = next((name for name in USUAL if name == verb), None)
        if stage is None:
            writer.write(b"500 5.5.1 What?\r\n")
            continue
        if not say(stage):
            return
        if stage == "DATA" and script.says.get("DATA", USUAL["DATA"]).startswith(b"354"):
            while (await reader.readuntil(b"\r\n")) != b".\r\n":
                pass
            script.confirmed += YES.search(script.says.get("content", USUAL["content"])) is not None
            if not say("content"):
                return


def _say(writer: asyncio.StreamWriter, script: Script, stage: Stage) -> bool:
    """False: that was its last word."""
    writer.write(script.says.get(stage, USUAL[stage]))
    if not script.then or stage not in script.says:
        return True
    if script.then == "reset":
        handle = writer.get_extra_info("socket")
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    else:
        writer.close()
    return False
