"""The HTTP server of a worker: its connections, what they share, and the clock that ends those that are slow."""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.utils import formatdate
from typing import Any, Final, Protocol

from ekiden.access.failures import throttle_key
from ekiden.limits.journal import REFUSED, REQUEST, REQUEST_REFUSED
from ekiden.limits.repeated_log import RepeatedLog
from ekiden.listeners.http_admission import HttpAdmission
from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.http_connection import VITAL, HttpConnection
from ekiden.listeners.http_exchange import Application, Exchange
from ekiden.listeners.http_parser import PIECE
from ekiden.net.accept import Acceptor
from ekiden.net.listen import Networks

AT_ONCE: Final = 4
"""Requests that are begun in one turn of the loop: some milliseconds, if each computes for two."""
_GONE: Final = 499
"""In the log: the client went before it was answered."""
_REFUSES: Final = 400
_PLAIN_PART: Final = re.compile(r"[0-9A-Za-z._-]{0,32}")
"""Of a path that no route is known of: what is longer or has other characters may be a value."""
_PARTS: Final = 6
_LONG_TURN: Final = 0.01  # seconds
_STOP: Final = 2.0
"""Seconds that requests may take to end when the server does."""


class HttpMetrics:
    """What subclasses count. Called for every connection: additions only."""

    def connection_opened(self) -> None: ...

    def connection_closed(self) -> None: ...

    def refused(self, reason: str) -> None:
        """One of ``metrics.HTTP_REFUSALS``."""

    def unknown_proxy(self) -> None:
        """A request that came through a proxy which the configuration does not name."""


class Answering(Protocol):
    """What is served."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """ASGI."""
        ...

    async def refuse(self, scope: Any, receive: Any, send: Any, status: int, why: str) -> None:
        """Answer a request that cannot be read or served; the path of ``scope`` is empty where it is not known."""
        ...


class HttpServer:
    """Serves ``app`` on listening sockets until it is stopped."""

    def __init__(
        self,
        app: Answering,
        sockets: Sequence[socket.socket],
        config: HttpConfig | None = None,
        counts: HttpMetrics | None = None,
        *,
        admission: HttpAdmission | None = None,
        paused: Callable[[], None] | None = None,
    ) -> None:
        """``paused``: called each time that the system has nothing left to accept connections with."""
        self.app = app
        self.config = config = config or HttpConfig()
        self.counts: HttpMetrics = counts or HttpMetrics()
        self.proxies = Networks(config.proxy_from)
        self.admission = admission or HttpAdmission(config)
        self._log = RepeatedLog("ekiden.http")
        self._paused = paused
        self.buffer = memoryview(bytearray(PIECE))
        """Where all connections are read into: what comes is parsed, or copied, before the next one is read."""
        self.date = b""
        self.loop: asyncio.AbstractEventLoop
        self._sockets = sockets
        self._acceptors: list[Acceptor] = []
        self._beginning: set[asyncio.Task[None]] = set()
        self._connections: set[HttpConnection] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: deque[Exchange] = deque()
        self._begun = 0
        """Requests that were begun in this turn of the loop."""
        self._turned = 0.0
        self._empty = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._checked = 0.0
        self._second = 0

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        for listening in self._sockets:
            acceptor = Acceptor(listening, self._accepted, name="http", paused=self._exhausted)
            self._acceptors.append(acceptor)
            acceptor.start()
        self._checked = self.loop.time()
        self._tick()

    def _exhausted(self) -> None:
        """No descriptor is left. Whoever has proven nothing makes room."""
        self.admission.places.shed()
        if self._paused is not None:
            self._paused()

    async def stop(self) -> None:
        """Finish the requests at hand, then close."""
        for acceptor in self._acceptors:
            acceptor.close()
        for task in list(self._beginning):
            task.cancel()
        for connection in list(self._connections):
            connection.shut_down()
        if self._connections:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._empty.wait(), _STOP)
        if self._timer is not None:
            self._timer.cancel()
        for connection in list(self._connections):
            connection.abort()
        self._waiting.clear()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._log.flush()

    def unknown_proxy(self, peer: str) -> None:
        """Whoever stands before us in our own network counts as one client until ``http.proxy_from`` names it."""
        self.counts.unknown_proxy()
        self._log.warning("a proxy that http.proxy_from does not name passes requests on", key=peer, address=peer)

    def _accepted(self, accepted: socket.socket, address: Any) -> None:
        peer = str(address[0])
        proxied = peer in self.proxies
        connection = HttpConnection(self, proxied=proxied)
        admitted = self.admission.enter(throttle_key(peer), connection.abort, trusted=proxied)
        if admitted is None:
            self.counts.refused("connections")
            self._log.tell(
                REFUSED, key=throttle_key(peer), client=peer, stage="connect", reason="connections", listener="http"
            )
            accepted.close()
            return
        connection.admit(admitted)
        task = self.loop.create_task(self._begin(accepted, connection))
        self._beginning.add(task)

        def begun(_: asyncio.Task[None]) -> None:
            self._beginning.discard(task)
            if not connection.began:
                accepted.close()
                admitted.place.leave()

        task.add_done_callback(begun)

    async def _begin(self, accepted: socket.socket, connection: HttpConnection) -> None:
        with suppress(OSError):  # it has gone already
            await self.loop.connect_accepted_socket(lambda: connection, accepted)

    # for connections

    def opened(self, connection: HttpConnection) -> None:
        self._connections.add(connection)
        self._empty.clear()
        self.counts.connection_opened()

    def closed(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()
        self.counts.connection_closed()

    def run(self, exchange: Exchange) -> None:
        """Let the application answer, now or a few turns of the loop later.

        What can be answered without waiting is answered in one go: were a thousand such begun together, nobody else
        of this worker, SMTP and delivery included, would have a turn until all of them are done.
        """
        if self._waiting or self._begun == AT_ONCE:
            self._waiting.append(exchange)
            return
        if not self._begun:
            self._turned = time.monotonic()
            self.loop.call_soon(self._next)
        self._begun += 1
        self._answer(exchange)

    def _next(self) -> None:
        """The next turn of the loop: others had theirs."""
        now = time.monotonic()
        # Where one computes for long, the next turn begins one.
        most = 1 if now - self._turned > _LONG_TURN else AT_ONCE
        self._turned = now
        self._begun = 0
        while self._waiting and self._begun < most:
            self._begun += 1
            self._answer(self._waiting.popleft())
        if self._begun:
            self.loop.call_soon(self._next)

    def _answer(self, exchange: Exchange) -> None:
        task = self.loop.create_task(exchange.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def refusal(self, status: int, why: str) -> Application:
        """What answers so."""

        async def refuse(scope: Any, receive: Any, send: Any) -> None:
            await self.app.refuse(scope, receive, send, status, why)

        return refuse

    def tell(self, exchange: Exchange) -> None:
        """The line of a request that is done with (``docs/logging.md``). It has the name of the route and not the
        path: links of recipients stand for who they are."""
        status = exchange.status if exchange.complete or exchange.started else _GONE
        refused = status >= _REFUSES
        if not (REQUEST_REFUSED.level if refused else REQUEST.level):
            return
        scope = exchange.scope
        raw = scope["raw_path"]
        if not refused and (raw in VITAL or not REQUEST.tells(int.from_bytes(exchange.id.encode()[-8:]))):
            return
        client = scope["client"][0]
        route = scope.get("path_template") or _without_values(scope["path"])
        facts = {
            "client": client,
            "status": status,
            "request_id": exchange.id,
            "method": scope["method"],
            "route": route,
            "seconds": round(exchange.seconds, 6),
            "octets": exchange.written,
        }
        if account := scope["state"].get("account"):
            facts["account"] = account
        if refused:
            self._log.tell(REQUEST_REFUSED, key=(client, status, route), **facts)
        else:
            REQUEST.write(**facts)

    def weigh(self) -> None:
        """Answers that nobody reads do not fill the memory: those that have waited longest are dropped."""
        sizes = {connection: size for connection in self._connections if (size := connection.unread())}
        total = sum(sizes.values())
        if total <= self.config.max_unread:
            return
        for connection in sorted(sizes, key=lambda connection: connection.unread_since or self.loop.time()):
            self.counts.refused("not_read")
            connection.abort()
            total -= sizes[connection]
            if total <= self.config.max_unread:
                return

    def _tick(self) -> None:
        now = self.loop.time()
        second = int(time.time())
        if second != self._second:
            self._second = second
            self.date = b"date: %b\r\n" % formatdate(second, usegmt=True).encode()
        for connection in list(self._connections):
            connection.check(now, self._checked)
        self._checked = now
        config = self.config
        shortest = min(
            config.first_timeout,
            config.header_timeout,
            config.body_idle_timeout,
            config.body_timeout,
            config.answer_timeout,
            config.keep_alive,
            config.linger_timeout,
        )
        self._timer = self.loop.call_later(min(1.0, shortest / 4), self._tick)


def _without_values(path: str) -> str:
    """Of a request that came to no route, or not so far as to have one: a link with another method, say."""
    parts = path.split("/", _PARTS)
    return "/".join(part if _PLAIN_PART.fullmatch(part) else "…" for part in parts)
