"""A generator that ``smtp-source`` is not: STARTTLS, AUTH PLAIN, then messages, over uvloop.

``python -m bench.auth_load --port P --sessions 50 --messages 1000 --length 4096 [--reuse] [--pipelining] [--plain]
[--user U --password W]`` prints one line of JSON: ``started`` (``time.perf_counter``, the same clock in all
processes), ``seconds`` until the last 250, and latencies in milliseconds: ``message`` (MAIL until 250 after the
final dot) and ``login`` (connect until MAIL may be sent). Exit code 1 and a line on standard error when anything is
refused.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import ssl
import sys
import time
from collections.abc import Callable
from typing import cast

import uvloop

from bench.figures import quantile

_HELLO = b"EHLO src.test\r\n"


def make_content(length: int) -> bytes:
    """A message of about ``length`` octets: a header and lines of 78 characters, CRLF, final dot included.

    The Message-ID lacks its number, see ``numbered``.
    """
    header = (
        b"Message-ID: <bench@src.test>\r\nFrom: <a@src.test>\r\nTo: <b@dst.test>\r\n"
        b"Date: Thu, 1 Jan 2026 00:00:00 +0000\r\nSubject: bench\r\n\r\n"
    )
    line = b"X" * 78 + b"\r\n"
    room = max(length - len(header), 0)
    body = line * (room // len(line)) + (b"X" * (room % len(line) - 2) + b"\r\n" if room % len(line) > 2 else b"")
    return header + body + b".\r\n"


def numbered(content: bytes, number: int) -> bytes:
    """``content`` with a Message-ID of its own: who signs must not find a message that it has signed already."""
    head, mark, rest = content.partition(b"@")
    return b"%b.%d%b%b" % (head, number, mark, rest)


class ReplyReader:
    """Cuts what a server sends into replies; a reply ends at the line whose fourth octet is no hyphen."""

    def __init__(self) -> None:
        self._buffer = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The final lines of the replies that ``data`` completed."""
        self._buffer += data
        *lines, self._buffer = self._buffer.split(b"\r\n")
        return [line for line in lines if line[3:4] != b"-"]


class Job:
    """What the connections share: how many messages are left, and what was seen."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.left: int = options.messages
        self.accepted = 0
        self.messages: list[float] = []
        self.logins: list[float] = []
        self.error = ""
        self.done = asyncio.get_running_loop().create_future()
        self.content = make_content(options.length)
        self.auth = b""
        if options.user:
            initial = base64.b64encode(f"\0{options.user}\0{options.password}".encode())
            self.auth = b"AUTH PLAIN " + initial + b"\r\n"

    def take(self) -> int:
        """The number of the next message, or 0 when none is left."""
        if self.left <= 0:
            return 0
        self.left -= 1
        return int(self.options.messages) - self.left

    def accept(self, seconds: float) -> None:
        self.accepted += 1
        self.messages.append(seconds)
        if self.accepted == self.options.messages and not self.done.done():
            self.done.set_result(None)

    def fail(self, text: str) -> None:
        if not self.done.done():
            self.error = text
            self.done.set_result(None)


class Client(asyncio.Protocol):
    """One connection. Each reply is given to ``_next``, a method that waits for just that one."""

    def __init__(self, job: Job, closed: Callable[[], None]) -> None:
        self._job = job
        self._closed = closed
        self._reader = ReplyReader()
        self._transport: asyncio.Transport | None = None
        self._next: Callable[[bytes], None] = self._greeted
        self._begin = time.perf_counter()
        self._message_begin = 0.0
        self._number = 0
        self._upgrading = False
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do what asyncio.Transport says without being one.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        for line in self._reader.feed(data):
            self._next(line)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upgrading:
            return
        if not self._over:
            self._job.fail(f"the connection was lost: {exc or 'closed by the server'}")
        self._closed()

    def _write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def _expect(self, line: bytes, code: bytes) -> bool:
        if line.startswith(code):
            return True
        self._job.fail(f"expected {code.decode()}, got {line.decode(errors='replace')!r}")
        return False

    def _greeted(self, line: bytes) -> None:
        if self._expect(line, b"220"):
            self._write(_HELLO)
            self._next = self._may_authenticate if self._job.options.plain else self._may_start_tls

    def _may_start_tls(self, line: bytes) -> None:
        if self._expect(line, b"250"):
            self._write(b"STARTTLS\r\n")
            self._next = self._handshake

    def _handshake(self, line: bytes) -> None:
        if self._expect(line, b"220"):
            self._upgrading = True
            task = asyncio.ensure_future(self._start_tls())
            task.add_done_callback(self._secured)

    async def _start_tls(self) -> asyncio.Transport | None:
        loop = asyncio.get_running_loop()
        assert self._transport is not None
        return await loop.start_tls(self._transport, self, self._job.options.context)

    def _secured(self, task: asyncio.Task[asyncio.Transport | None]) -> None:
        self._upgrading = False
        error = task.exception()
        if error is not None or task.result() is None:
            self._job.fail(f"the TLS handshake failed: {error}")
            return
        self._transport = task.result()
        self._write(_HELLO)
        self._next = self._may_authenticate

    def _may_authenticate(self, line: bytes) -> None:
        if not self._expect(line, b"250"):
            return
        if self._job.auth:
            self._write(self._job.auth)
            self._next = self._authenticated
        else:
            self._ready()

    def _authenticated(self, line: bytes) -> None:
        if self._expect(line, b"235"):
            self._ready()

    def _ready(self) -> None:
        self._job.logins.append(time.perf_counter() - self._begin)
        self._send()

    def _send(self) -> None:
        number = self._job.take()
        if not number:
            self._quit()
            return
        self._number = number
        self._message_begin = time.perf_counter()
        mail = b"MAIL FROM:<%da@src.test>\r\n" % number
        self._rcpt = b"RCPT TO:<%db@dst.test>\r\n" % number
        self._next = self._mailed
        self._write(mail + self._rcpt + b"DATA\r\n" if self._job.options.pipelining else mail)

    def _mailed(self, line: bytes) -> None:
        if self._expect(line, b"250"):
            self._next = self._addressed
            if not self._job.options.pipelining:
                self._write(self._rcpt)

    def _addressed(self, line: bytes) -> None:
        if self._expect(line, b"250"):
            self._next = self._content
            if not self._job.options.pipelining:
                self._write(b"DATA\r\n")

    def _content(self, line: bytes) -> None:
        if self._expect(line, b"354"):
            self._next = self._sent
            self._write(numbered(self._job.content, self._number))

    def _sent(self, line: bytes) -> None:
        if not self._expect(line, b"250"):
            return
        self._job.accept(time.perf_counter() - self._message_begin)
        if self._job.options.reuse:
            self._send()
        else:
            self._quit()

    def _quit(self) -> None:
        self._over = True
        self._write(b"QUIT\r\n")
        self._next = self._ended

    def _ended(self, _line: bytes) -> None:
        assert self._transport is not None
        self._transport.close()


async def send(options: argparse.Namespace) -> dict[str, object]:
    """Send everything; raises ``RuntimeError`` with the reason when not all was accepted."""
    loop = asyncio.get_running_loop()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    options.context = context
    job = Job(options)
    connecting: set[asyncio.Task[None]] = set()

    async def connect() -> None:
        try:
            await loop.create_connection(lambda: Client(job, again), "127.0.0.1", options.port)
        except OSError as error:
            job.fail(f"cannot connect: {error}")

    def again() -> None:
        if job.left > 0 and not job.done.done():
            task = asyncio.ensure_future(connect())
            connecting.add(task)
            task.add_done_callback(connecting.discard)

    begin = time.perf_counter()
    for _ in range(min(options.sessions, options.messages)):
        again()
    await asyncio.wait_for(job.done, options.timeout)
    seconds = time.perf_counter() - begin
    if job.error:
        raise RuntimeError(job.error)
    milliseconds = [1000 * value for value in job.messages]
    logins = [1000 * value for value in job.logins]
    return {
        "started": begin,
        "seconds": seconds,
        "message": [round(quantile(milliseconds, q), 2) for q in (0.5, 0.99, 1.0)],
        "login": [round(quantile(logins, q), 2) for q in (0.5, 0.99, 1.0)],
    }


def main() -> int:
    """Read the options, send, print."""
    parser = argparse.ArgumentParser(prog="python -m bench.auth_load", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--sessions", type=int, default=50)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--reuse", action="store_true")
    parser.add_argument("--pipelining", action="store_true")
    parser.add_argument("--plain", action="store_true", help="no STARTTLS")
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    parser.add_argument("--timeout", type=float, default=300)
    options = parser.parse_args()
    try:
        result = uvloop.run(send(options))
    except (RuntimeError, TimeoutError) as error:
        print(str(error) or "not finished in time", file=sys.stderr)
        return 1
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
