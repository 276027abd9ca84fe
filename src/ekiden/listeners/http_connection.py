"""A connection of an HTTP client: what it waits for, for how long, and the answers in their order."""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import unquote

from ekiden.listeners.http_admission import Admitted
from ekiden.listeners.http_exchange import HIGH_WATER, Application, Exchange
from ekiden.listeners.http_pace import AnswerPace, BodyPace
from ekiden.listeners.http_parser import PIECE, Head, Headers, HttpRefusal, RequestParser
from ekiden.listeners.http_proxy import forwarded, looks_forwarded

if TYPE_CHECKING:
    from ekiden.listeners.http_server import HttpServer

_ASGI: Final = {"version": "3.0", "spec_version": "2.3"}
VITAL: Final = frozenset({b"/healthz", b"/readyz", b"/metrics"})
"""What is answered in the reserve."""
_RESERVE_TIME: Final = 5.0
"""Seconds that a connection in the reserve may take to its first octet, and to the end of its header."""
_LINGER_IDLE: Final = 5.0
"""Seconds without an octet of what is dropped, after which nothing more is expected."""
_SMALL_REST: Final = PIECE
"""Octets of a body that are read and dropped so that the connection can be kept."""


class Phase(enum.Enum):
    """What a connection waits for."""

    IDLE = enum.auto()
    """The first octet of a request."""
    HEAD = enum.auto()
    """The end of its header."""
    BODY = enum.auto()
    """The end of its body."""
    ANSWER = enum.auto()
    """The end of the answer; what comes meanwhile waits."""
    LINGER = enum.auto()
    """The client's end: everything is answered, what comes is dropped."""


class HttpConnection(asyncio.BufferedProtocol):
    """``http_exchange.Wire`` and ``http_parser.Events``. It is given its place by ``admit`` before it begins."""

    def __init__(self, server: HttpServer, *, proxied: bool = False) -> None:
        """``proxied``: the client is a proxy that says whom it speaks for."""
        self._server = server
        self._config = server.config
        self._loop = server.loop
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.began = False
        """The loop has given it a transport, and will tell its end."""
        self._parser = RequestParser(server.config, self)
        self._proxied = proxied
        self._reserve = False
        self._client = self._local = ("", 0)
        self._phase = Phase.IDLE
        self._deadline = 0.0
        self._exchange: Exchange | None = None
        """Whose body comes, or came last."""
        self._exchanges: deque[Exchange] = deque()
        """Those that are not answered; the first is being answered."""
        self._stash = b""
        """What came while there was something to answer; at most a piece."""
        self._refused = False
        self._paused = False
        self._half_closed = False
        self._ended = False
        self._body = BodyPace(0.0)
        self._dropped = 0
        self._answers = AnswerPace()
        self._writable: asyncio.Event | None = None
        self._answered: Exchange | None = None
        """Whose successor waits until enough of it is read."""

    def admit(self, admitted: Admitted) -> None:
        """Its place, which it leaves when it ends."""
        self._place, self._reserve = admitted

    # the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._client = _address(transport.get_extra_info("peername"))
        self._local = _address(transport.get_extra_info("sockname"))
        self.began = True
        self._server.opened(self)
        self._deadline = self._loop.time() + self._at_most(self._config.first_timeout)
        if self._parser.stopped:
            self.abort()  # somebody else was given its place meanwhile

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = True
        self._parser.stopped = True
        self._stash = b""
        self._place.leave()
        self._server.closed(self)
        for exchange in self._exchanges:
            exchange.leave()
        if self._exchange is not None:
            self._exchange.leave()
        if self._writable is not None:
            self._writable.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._server.buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._phase is Phase.LINGER:
            self._body.last = self._loop.time()
            self._dropped += nbytes
            if self._dropped > self._config.linger_octets:
                self.abort()
        elif self._parser.stopped:
            self._pause()  # until what came is answered
        elif self._phase is Phase.ANSWER:
            # Not parsed before its turn: it costs nothing but these octets, and the client has to wait.
            self._stash += bytes(self._server.buffer[:nbytes])
            self._pause()
        else:
            self._feed(self._server.buffer[:nbytes])

    def eof_received(self) -> bool:
        """The client sends no more; it may still read."""
        self._half_closed = True
        if self._phase is Phase.ANSWER and not self._stash and self._exchanges:
            self._exchanges[-1].keep_alive = False
            return True
        return False

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = asyncio.Event()
        self._writable.clear()
        self._server.weigh()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
        exchange, self._answered = self._answered, None
        if exchange is not None and not self._ended:
            self._go_on(exchange)

    def shut_down(self) -> None:
        """No more requests; those that came are answered."""
        if self._exchanges:
            self._exchanges[-1].keep_alive = False
        elif not self._ended:
            self._transport.close()

    def abort(self) -> None:
        self._parser.stopped = True
        if self.began and not self._ended:
            self._transport.abort()

    def _pause(self) -> None:
        if not self._paused and not self._ended:
            self._paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()

    # what comes

    def _feed(self, data: memoryview | bytes) -> None:
        self._body.last = now = self._loop.time()
        if self._phase is Phase.IDLE:
            self._begin(now)
        refusal = self._parser.feed(data)
        if refusal is not None:
            self._refuse(refusal)

    def _begin(self, now: float) -> None:
        self._phase = Phase.HEAD
        self._deadline = now + self._at_most(self._config.header_timeout)

    def _at_most(self, timeout: float) -> float:
        return timeout if not self._reserve else min(_RESERVE_TIME, timeout)

    def request_begins(self) -> bool:
        """``Events``'."""
        if len(self._exchanges) > self._config.max_pipelined:
            # Those that came are answered; what is not answered can be sent again (RFC 9112 §9.3.2).
            self._exchanges[-1].keep_alive = False
            self._server.counts.refused("pipelined")
            return False
        if self._phase is not Phase.HEAD:
            self._begin(self._loop.time())
        return True

    def head_complete(self, head: Head) -> None:
        """``Events``'."""
        app: Application = self._server.app
        keep_alive = head.keep_alive
        if self._reserve:
            keep_alive = False
            if head.path not in VITAL:
                app = self._server.refusal(503, "there are too many connections")
                self._server.counts.refused("connections")
        elif head.path == b"*":
            app = _about_the_server
        self._phase = Phase.BODY
        self._body = BodyPace(self._body.last)
        scope = self._scope(head.method, head.version, head.path, head.query, head.headers)
        self._exchange = Exchange(self, app, scope, keep_alive=keep_alive, expects=head.expects, length=head.length)
        self._enqueue(self._exchange)

    def content(self, part: bytes) -> bool:
        """``Events``'."""
        exchange = self._exchange
        assert exchange is not None
        self._body.octets += len(part)
        if exchange.complete:
            self._dropped += len(part)
            if self._dropped > self._config.linger_octets:
                self.abort()
            return not self._parser.stopped
        exchange.body += part
        if len(exchange.body) > HIGH_WATER:
            self._pause()
        exchange.wake()
        return True

    def request_complete(self) -> None:
        """``Events``'."""
        assert self._exchange is not None
        self._exchange.more_body = False
        self._exchange.wake()
        if self._exchanges or self._answered is not None:
            self._phase = Phase.ANSWER
        else:
            self._next()  # it was answered before its end

    def _scope(self, method: str, version: str, path: bytes, query: bytes, headers: Headers) -> dict[str, Any]:
        client, scheme = self._client, "http"
        if self._proxied:
            client, scheme = forwarded(client, headers, self._server.proxies)
        elif looks_forwarded(client[0], headers):
            self._server.unknown_proxy(client[0])
        text = path.decode("latin-1")
        return {
            "type": "http",
            "asgi": _ASGI,
            "http_version": version,
            "server": self._local,
            "client": client,
            "scheme": scheme,
            "method": method,
            "root_path": "",
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "state": {},
        }

    # what goes

    def _refuse(self, refusal: HttpRefusal) -> None:
        """Answer with an error what cannot be read on, and end; the answers before it come first."""
        if self._refused or self._ended:
            return
        self._refused = self._parser.stopped = True
        self._server.counts.refused(refusal.reason)
        exchange = self._exchange
        id = ""
        if self._phase is Phase.BODY and exchange is not None:
            if exchange.complete:
                self._linger()
                return
            if exchange.started:
                self.abort()
                return
            exchange.leave()
            exchange.replaced = True
            self._exchanges.remove(exchange)
            scope, id = exchange.scope, exchange.id
        else:
            method, path, headers = self._parser.partial()
            scope = self._scope(method, "1.1", path, b"", headers)
        self._phase = Phase.BODY
        app = self._server.refusal(refusal.status, refusal.why)
        self._exchange = Exchange(self, app, scope, keep_alive=False, expects=False, length=-1)
        self._exchange.id = id or self._exchange.id
        self._enqueue(self._exchange)

    def _enqueue(self, exchange: Exchange) -> None:
        self._exchanges.append(exchange)
        if len(self._exchanges) == 1 and self._answered is None:
            self._run()

    def _run(self) -> None:
        self._place.settle()
        self._server.run(self._exchanges[0])

    @property
    def date(self) -> bytes:
        """``Wire``'s, as what follows."""
        return self._server.date

    def write(self, data: bytes) -> None:
        if not self._ended and not self._transport.is_closing():
            self._answers.written += len(data)
            self._transport.write(data)

    async def writable(self) -> None:
        if self._writable is not None:
            await self._writable.wait()

    def want_body(self) -> None:
        if not self._parser.stopped and self._phase is Phase.BODY:
            self._resume()

    def may_keep(self, exchange: Exchange) -> bool:
        if exchange.expects or exchange is not self._exchange or self._parser.stopped:
            return False  # whether a body comes, nobody knows
        return 0 <= exchange.length - self._body.octets <= _SMALL_REST

    def answered(self, exchange: Exchange) -> None:
        self._exchanges.popleft()
        exchange.body = bytearray()
        if self._ended or self._transport.is_closing():
            return
        if not exchange.keep_alive:
            if exchange.more_body or self._parser.stopped or self._stash:
                self._linger()
            else:
                self._parser.stopped = True
                self._transport.close()
        elif self._writable is not None and not self._writable.is_set():
            self._deadline = self._loop.time() + self._config.body_timeout
            self._answered = exchange  # who does not read gets no more answers
        else:
            self._go_on(exchange)

    def finished(self, exchange: Exchange) -> None:
        if not exchange.replaced:
            self._server.tell(exchange)

    def _go_on(self, exchange: Exchange) -> None:
        """After an answer."""
        if self._exchanges:
            self._run()
        elif self._phase is Phase.HEAD:
            self._place.unsettle()
        elif exchange.more_body:
            self._dropped = 0
            self._deadline = self._loop.time() + self._config.linger_timeout
            self._resume()
        else:
            self._next()

    def _next(self) -> None:
        """The next request, of which something may be here already."""
        self._phase = Phase.IDLE
        self._deadline = self._loop.time() + self._config.keep_alive
        self._place.unsettle()
        if self._half_closed:
            self._transport.close()
        elif self._stash:
            # Not from here: many of them would call each other.
            self._loop.call_soon(self._take_stash)
        else:
            self._resume()

    def _take_stash(self) -> None:
        stash, self._stash = self._stash, b""
        if stash and not self._parser.stopped:
            self._resume()
            self._feed(stash)

    def _linger(self) -> None:
        """Say that this was all, and drop what still comes.

        Were the connection closed meanwhile, the client's system would be told of a reset and might throw away the
        answer that the client has not read yet.
        """
        self._parser.stopped = True
        self._stash = b""
        self._phase = Phase.LINGER
        self._dropped = 0
        self._body.last = now = self._loop.time()
        self._deadline = now + self._config.linger_timeout
        if self._half_closed:
            self._transport.close()
            return
        self._place.unsettle()
        self._transport.write_eof()
        self._resume()

    # time

    def unread(self) -> int:
        """Octets of answers that the client has not read."""
        return 0 if self._ended else self._transport.get_write_buffer_size()

    @property
    def unread_since(self) -> float:
        """Seconds of the loop; 0: nothing, or since a moment ago."""
        return self._answers.since

    def check(self, now: float, since: float) -> None:
        """What takes too long ends; ``since``: when this was last asked."""
        if self._answers.too_slow(now, self.unread(), self._config):
            self._server.counts.refused("not_read")
            self.abort()
        elif self._transport.is_closing():
            pass
        elif self._phase is Phase.LINGER:
            if now > self._deadline or now - self._body.last > _LINGER_IDLE:
                self._transport.close()
        elif self._phase is Phase.BODY and self._exchanges:
            if self._paused or self._parser.stopped or self._exchange is not self._exchanges[0]:
                self._body.excuse(now - since)
            elif self._body.too_slow(now, self._config):
                self._refuse(HttpRefusal(408, "too_slow", "the body did not come in time"))
        elif self._phase is not Phase.ANSWER and now > self._deadline:
            if self._phase is Phase.HEAD:
                self._refuse(HttpRefusal(408, "too_slow", "the header did not come in time"))
            else:
                self._transport.close()


def _address(name: Any) -> tuple[str, int]:
    return (name[0], name[1]) if isinstance(name, tuple) else ("", 0)


async def _about_the_server(_scope: Any, _receive: Any, send: Any) -> None:
    """``OPTIONS *``."""
    headers = [(b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
