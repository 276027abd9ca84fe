"""One request of HTTP/1.1 and its answer, for an ASGI application."""

from __future__ import annotations

import asyncio
import http
import os
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

import structlog

from ekiden.limits.journal import RequestContext, begin_request

Message = Any
Scope = dict[str, Any]
Application = Callable[[Any, Any, Any], Awaitable[None]]

HIGH_WATER: Final = 65_536
"""Octets of a body, or of an answer, that may wait to be taken."""
_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in http.HTTPStatus
}


_GOOD_ID: Final = re.compile(rb"[0-9A-Za-z][0-9A-Za-z._-]{0,63}")
"""What somebody in front of us may have called a request."""


class Wire(Protocol):
    """The connection, for an exchange."""

    @property
    def date(self) -> bytes:
        """The field ``Date``, as a line."""
        ...

    def write(self, data: bytes) -> None: ...

    async def writable(self) -> None:
        """Wait while too much of the answer has not been read."""
        ...

    def want_body(self) -> None:
        """Read on, if reading was stopped."""
        ...

    def may_keep(self, exchange: Exchange) -> bool:
        """Whether what is left of the body is little enough to be read for the sake of the connection."""
        ...

    def answered(self, exchange: Exchange) -> None: ...

    def abort(self) -> None: ...

    def finished(self, exchange: Exchange) -> None:
        """The application has done what it does: for the log."""
        ...


class Exchange:
    """``receive`` and ``send`` of one request. ``length``: what the body is announced with; -1: in chunks."""

    __slots__ = (
        "_chunked",
        "_ended",
        "_event",
        "_head",
        "_left",
        "_wire",
        "app",
        "body",
        "complete",
        "expects",
        "gone",
        "id",
        "keep_alive",
        "length",
        "more_body",
        "replaced",
        "scope",
        "seconds",
        "started",
        "status",
        "written",
    )

    def __init__(
        self, wire: Wire, app: Application, scope: Scope, *, keep_alive: bool, expects: bool, length: int
    ) -> None:
        self._wire = wire
        self.app = app
        self.scope = scope
        self.keep_alive = keep_alive
        self.expects = expects
        """The client waits for ``100 Continue`` before it sends the body."""
        self.length = length
        self.body = bytearray()
        """What came and was not taken yet."""
        self.more_body = True
        self.started = False
        self.complete = False
        self.gone = False
        """Nobody is there to be answered, or somebody else answers."""
        self._event: asyncio.Event | None = None
        self._ended = False
        self._head = b""
        self._chunked = False
        self._left = 0
        self.id = _request_id(scope["headers"])
        """Of the request, in the answer and in the log."""
        self.replaced = False
        """A refusal is answered in its place, and has the line in the log."""
        self.status = 0
        """Of the answer; 0: there is none yet."""
        self.written = 0
        """Octets of the answer."""
        self.seconds = 0.0

    async def run(self) -> None:
        """Let the application answer; whatever it does, there is an answer or the connection ends."""
        context = RequestContext(self.id)
        begin_request(context)
        began = time.monotonic()
        try:
            await self._run()
        finally:
            self.seconds = time.monotonic() - began
            self._wire.finished(self)
            context.end()

    async def _run(self) -> None:
        try:
            await self.app(self.scope, self.receive, self.send)
        except Exception as error:
            if not self.gone:
                structlog.get_logger().error("an HTTP request failed", path=self.scope["path"], exc_info=error)
        if self.complete or self.gone:
            return
        if self.started and not self._head:
            self._wire.abort()
            return
        self.started, self._head, self._chunked, self.keep_alive = False, b"", False, False
        text = b"Internal Server Error\n"
        headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(text))]
        await self.send({"type": "http.response.start", "status": 500, "headers": headers})
        await self.send({"type": "http.response.body", "body": text})

    def wake(self) -> None:
        """Something that ``receive`` may wait for has happened."""
        if self._event is not None:
            self._event.set()

    def leave(self) -> None:
        """The answer is not wanted any more."""
        self.gone = True
        self.wake()

    async def receive(self) -> Message:
        """ASGI's. Who reads a body of which no more will come is cancelled: there is nobody to be answered."""
        while not (self.gone or self.complete):
            if not self._ended and (self.body or not self.more_body):
                body, self.body = bytes(self.body), bytearray()
                self._ended = not self.more_body
                return {"type": "http.request", "body": body, "more_body": self.more_body}
            if self.expects:
                self.expects = False
                self._wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._wire.want_body()
            if self._event is None:
                self._event = asyncio.Event()
            self._event.clear()
            await self._event.wait()
        if not self._ended and not self.complete:
            raise asyncio.CancelledError
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's. ``RuntimeError``: what the application says is no answer."""
        if self.gone:
            return
        if self.complete:
            raise RuntimeError("the answer is complete")
        if not self.started:
            if message["type"] != "http.response.start":
                raise RuntimeError(f"an answer does not start with {message['type']}")
            self._head = self._start(message)
            self.started = True
            return
        if message["type"] != "http.response.body":
            raise RuntimeError(f"{message['type']} in an answer that has started")
        last = not message.get("more_body", False)
        data = self._framed(message.get("body", b""), last=last)
        if self._head:
            head, self._head = self._head, b""
            data = head + data
        if data:
            self.written += len(data)
            self._wire.write(data)
        if last:
            self._wire.answered(self)
            self.wake()
        else:
            await self._wire.writable()

    def _start(self, message: Message) -> bytes:
        status: int = message["status"]
        self.status = status
        lines = [
            _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status,
            self._wire.date,
            b"x-request-id: %b\r\n" % self.id.encode(),
        ]
        length = -1
        for said, value in message.get("headers", ()):
            name = said.lower()
            if name == b"content-length":
                length = int(value)
            elif name == b"connection":
                self.keep_alive = self.keep_alive and b"close" not in value.lower()
                continue
            elif name in (b"transfer-encoding", b"x-request-id"):
                continue  # the framing and the id are ours
            lines.append(b"%b: %b\r\n" % (name, value))
        if self.more_body and self.keep_alive:
            self.keep_alive = self._wire.may_keep(self)
        self.expects = False
        if not self.keep_alive:
            lines.append(b"connection: close\r\n")
        if self.scope["method"] == "HEAD" or status in (204, 304):
            length = 0
        elif length < 0:
            if self.scope["http_version"] == "1.1":
                self._chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.keep_alive = False
                length = 1 << 62  # to the end of the connection
        self._left = length
        lines.append(b"\r\n")
        head = b"".join(lines)
        if not head.count(b"\r") == head.count(b"\n") == len(lines) or b"\0" in head:
            raise RuntimeError("a field of the answer is more than a line")
        return head

    def _framed(self, body: bytes, *, last: bool) -> bytes:
        if self._chunked:
            self.complete = last
            data = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            return data + b"0\r\n\r\n" if last else data
        if self.scope["method"] == "HEAD":
            body = b""
        self._left -= len(body)
        if self._left < 0 or (last and 0 < self._left < 1 << 61):
            raise RuntimeError("the answer is not as long as it says")
        self.complete = last
        return body


def _request_id(headers: Sequence[tuple[bytes, bytes]]) -> str:
    """The caller's ``X-Request-Id`` if it is a short plain word, else one of ours."""
    for name, value in headers:
        if name == b"x-request-id":
            if _GOOD_ID.fullmatch(value):
                return value.decode("ascii")
            break
    return os.urandom(8).hex()
