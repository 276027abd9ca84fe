"""HTTP/1.1 on asyncio and httptools, as little as the lab needs, and the receiver of callbacks.

A server of our own because the receiver must be able to keep requests byte for byte, to cut connections and to
say nothing.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Literal, cast

import httptools
import msgspec
import structlog

from ekiden.lab.addresses import reset_on_close, tcp_socket
from ekiden.lab.behaviour import LabError

_log = structlog.get_logger()

MAX_BODY = 64 << 20  # octets of one request
MAX_HEADERS = 1 << 16  # octets of all header fields of one request
MAX_KEPT = 256 << 20  # octets of bodies of callbacks that are kept
MAX_HELD = 256 << 20  # octets of bodies that are not answered yet, of all connections of a server


class Request(msgspec.Struct, frozen=True):
    """A request as received. Header names are as they were sent; ``target`` is path and query as sent."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Response(msgspec.Struct, frozen=True):
    """What goes back. ``disconnect``: nothing does, the connection is closed or reset."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    disconnect: Literal["", "close", "reset"] = ""

    def encode(self, *, head: bool, keep_alive: bool) -> bytes:
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        lines = [f"HTTP/1.1 {self.status} {phrase}"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        bodiless = self.status < 200 or self.status in (204, 304)
        if not bodiless:
            lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        block = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
        return block if head or bodiless else block + self.body


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Answers requests by ``handler``, in order on each connection."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.held = 0
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def listens(self) -> bool:
        """Whether it takes connections."""
        return self._server is not None

    async def start(self, host: str, port: int = 0) -> int:
        """Listen (port 0: a free one) and return the port; after ``close`` again, if wanted."""
        try:
            sock = tcp_socket(host, port)
        except OSError as error:
            raise LabError(f"the HTTP port {host}:{port} cannot be used: {error.strerror}") from None
        self._server = await asyncio.get_running_loop().create_server(lambda: _Connection(self), sock=sock)
        return int(sock.getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        if self._server is not None:
            self._server.close()
            tasks = [connection.stop() for connection in list(self._connections)]
            await asyncio.gather(*(task for task in tasks if task), return_exceptions=True)
            await self._server.wait_closed()
            self._server = None
            # Transports that were cut let go of their sockets in the loop's next round.
            await asyncio.sleep(0)

    def opened(self, connection: _Connection) -> None:
        self._connections.add(connection)

    def closed(self, connection: _Connection) -> None:
        self._connections.discard(connection)


class _Connection(asyncio.Protocol):
    """One connection: httptools calls ``on_…`` as a request arrives; whole requests are answered one after the
    other."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._task: asyncio.Task[None] | None = None
        self._held = 0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._header_size = 0
        self._body = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of asyncio and uvloop do not all derive from the class they implement.
        self._transport = cast(asyncio.Transport, transport)
        self._server.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._hold(-self._held)
        self._server.closed(self)

    def _hold(self, octets: int) -> None:
        self._held += octets
        self._server.held += octets

    def stop(self) -> asyncio.Task[None] | None:
        if self._transport is not None:
            self._transport.abort()
        if self._task is not None:
            self._task.cancel()
        return self._task

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            pass  # the request itself has been taken, and is answered without an upgrade (RFC 9110 §7.8)
        except httptools.HttpParserError as error:
            cause = error.__context__
            status = cause.status if isinstance(cause, _TooBigError) else 400
            if self._transport is not None:
                self._transport.write(Response(status).encode(head=False, keep_alive=False))
                self._transport.close()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._limit(len(url), 0)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._limit(len(name) + len(value), 0)
        self._headers.append((name.decode("latin-1"), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        expected = any(
            name.lower() == "expect" and value.lower() == "100-continue" for name, value in self._headers
        )
        if expected and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._limit(0, len(body))
        if self._server.held + len(body) > MAX_HELD:
            raise _TooBigError(503)
        self._hold(len(body))
        self._body += body

    def _limit(self, header: int, body: int) -> None:
        self._header_size += header
        if self._header_size > MAX_HEADERS or len(self._body) + body > MAX_BODY:
            raise _TooBigError(413)

    def on_message_complete(self) -> None:
        method = self._parser.get_method().decode("ascii", "replace")
        request = Request(method, self._url.decode("latin-1"), tuple(self._headers), bytes(self._body))
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._reset()
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._answer())

    async def _answer(self) -> None:
        while self._waiting and self._transport is not None:
            request, keep_alive = self._waiting.popleft()
            try:
                response = await self._server.handler(request)
            except Exception as error:
                _log.exception("a request of the lab failed", method=request.method, target=request.target)
                response = Response(500, f'{{"error": "{type(error).__name__}"}}\n'.encode())
            transport = self._transport
            if transport is None or transport.is_closing():
                return
            if response.disconnect == "reset":
                sock = transport.get_extra_info("socket")
                if sock is not None:
                    reset_on_close(sock)
                transport.abort()
                return
            if response.disconnect == "close":
                transport.close()
                return
            self._hold(-len(request.body))
            transport.write(response.encode(head=request.method == "HEAD", keep_alive=keep_alive))
            if not keep_alive:
                transport.close()
                return


class _TooBigError(Exception):
    """A request beyond the limits."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Callback(msgspec.Struct, frozen=True):
    """A request that the receiver got. ``path`` is path and query as sent; ``at`` milliseconds since 1970 UTC.

    ``fields`` are the header fields one by one, names and values as sent and in their order; ``headers`` has those
    that repeat joined by a comma. ``size``: octets of the body.
    """

    id: int
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: int
    status: int
    fields: tuple[tuple[str, str], ...] = ()
    size: int = 0

    def field(self, name: str) -> str:
        """The first header field of this name, whatever its letter case; empty: there is none."""
        return next((value for key, value in self.fields if key.lower() == name), "")


class HttpRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the receiver answers: after ``delay`` seconds with ``status``, ``headers`` and ``body``; or it
    disconnects. ``times``: only so many requests, then the next rule of the list (0: without end).

    ``basic`` ("USER:PASSWORD") and ``bearer`` (a token): requests whose Authorization is none of those that are
    given get 401, with everything else of the rule."""

    status: Annotated[int, msgspec.Meta(ge=200, le=999)] = 200
    delay: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 0
    disconnect: Literal["", "close", "reset"] = ""
    body: str = ""
    headers: dict[str, str] = {}
    times: Annotated[int, msgspec.Meta(ge=0)] = 0
    basic: str = ""
    bearer: str = ""

    def admits(self, authorization: str) -> bool:
        """Whether a request with this header field may come in."""
        scheme, _, value = authorization.partition(" ")
        given = (scheme.lower(), value.strip())
        wanted = []
        if self.basic:
            wanted.append(("basic", b64encode(self.basic.encode()).decode()))
        if self.bearer:
            wanted.append(("bearer", self.bearer))
        return not wanted or given in wanted

    def response(self, authorization: str) -> Response:
        """The answer to a request with this header field."""
        if self.disconnect or self.admits(authorization):
            return Response(self.status, self.body.encode(), tuple(self.headers.items()), self.disconnect)
        challenge = 'Basic realm="lab"' if self.basic else "Bearer"
        return Response(401, self.body.encode(), (*self.headers.items(), ("WWW-Authenticate", challenge)))


class Receiver:
    """Takes every request on every path, keeps it, and answers as the longest prefix of its path says (else 200).

    The newest ``max_count`` with at most ``max_bytes`` octets of bodies are kept; ``dropped`` counts the others."""

    def __init__(self, max_count: int, max_bytes: int = MAX_KEPT) -> None:
        self.callbacks: deque[Callback] = deque()
        self.received = 0
        self.dropped = 0
        self._max_count = max_count
        self._max_bytes = max_bytes
        self._bytes = 0
        self._rules: dict[str, list[HttpRule]] = {}
        self._used: dict[str, int] = {}
        self._arrived = asyncio.Event()

    def put(self, prefix: str, rules: list[HttpRule]) -> None:
        """Set what happens below ``prefix``; no rules: the default again."""
        prefix = absolute(prefix)
        self._used.pop(prefix, None)
        if rules:
            self._rules[prefix] = rules
        else:
            self._rules.pop(prefix, None)

    @property
    def rules(self) -> dict[str, list[HttpRule]]:
        """What was set, by prefix."""
        return self._rules

    def find(self, path: str | None = None, *, since: int | None = None) -> list[Callback]:
        """Callbacks whose path begins with ``path``, oldest first; ``since``: received then or later (ms)."""
        prefix = absolute(path or "/")
        return [
            callback
            for callback in self.callbacks
            if callback.path.startswith(prefix) and (since is None or callback.at >= since)
        ]

    async def wait(self, path: str | None, count: int, timeout: float) -> bool:
        """Wait until ``count`` callbacks are there. False when ``timeout`` seconds passed before."""
        try:
            async with asyncio.timeout(timeout):
                while len(self.find(path)) < count:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            return False
        return True

    async def handle(self, request: Request) -> Response:
        """The handler for ``HttpServer``."""
        rule = self._rule(request.target)
        fields = {name.lower(): value for name, value in reversed(request.headers)}
        response = rule.response(fields.get("authorization", ""))
        self.received += 1
        headers: dict[str, str] = {}
        for name, value in request.headers:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        self._keep(
            Callback(
                id=self.received,
                method=request.method,
                path=request.target,
                headers=headers,
                body=request.body,
                at=int(time.time() * 1000),
                status=0 if response.disconnect else response.status,
                fields=request.headers,
                size=len(request.body),
            )
        )
        self._arrived.set()
        if rule.delay:
            await asyncio.sleep(rule.delay)
        return response

    def _keep(self, callback: Callback) -> None:
        self.callbacks.append(callback)
        self._bytes += callback.size
        while len(self.callbacks) > self._max_count or (self._bytes > self._max_bytes and len(self.callbacks) > 1):
            self._bytes -= self.callbacks.popleft().size
            self.dropped += 1

    def clear(self) -> int:
        """Forget all callbacks; says how many."""
        count = len(self.callbacks)
        self.callbacks.clear()
        self._bytes = 0
        return count

    def _rule(self, target: str) -> HttpRule:
        prefix = max((p for p in self._rules if target.startswith(p)), key=len, default=None)
        if prefix is None:
            return HttpRule()
        used = self._used[prefix] = self._used.get(prefix, 0) + 1
        for rule in self._rules[prefix]:
            if not rule.times or used <= rule.times:
                return rule
            used -= rule.times
        return HttpRule()


def absolute(path: str) -> str:
    """``path`` with the slash that it begins with."""
    return path if path.startswith("/") else "/" + path
