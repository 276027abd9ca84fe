"""Requests of HTTP/1.1 out of octets, which are counted before, and while, they are parsed.

``httptools`` has no bounds of its own. It is fed pieces of at most ``PIECE`` octets; every callback counts what it
brings, and what a piece brings without a callback (half a field, an extension of a chunk) is counted too, so that
nothing grows beyond its bound by more than a piece, and no piece keeps the event loop for long.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, NamedTuple, NoReturn, Protocol

import httptools

from ekiden.listeners.http_config import HttpConfig

PIECE: Final = 65_536
_FRAMING: Final = 18
"""Octets around an octet of content that chunks may need: who sends one octet in each chunk needs six."""
_NOTED: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"expect"})
_FRAMING_FIELDS: Final = (b"content-length", b"transfer-encoding")
Headers = list[tuple[bytes, bytes]]


class HttpRefusal(NamedTuple):
    """Why nothing can be read on; ``reason`` is one of ``metrics.HTTP_REFUSALS``."""

    status: int
    reason: str
    why: str


class Head(NamedTuple):
    """A request without its body. ``path`` is ``*`` or begins with a slash; ``length`` -1: it comes in chunks."""

    method: str
    version: str
    path: bytes
    query: bytes
    headers: Headers
    keep_alive: bool
    expects: bool
    """A client waits for ``100 Continue``."""
    length: int


class Events(Protocol):
    """What a request brings."""

    def request_begins(self) -> bool:
        """False: it is one too many."""
        ...

    def head_complete(self, head: Head) -> None: ...

    def content(self, part: bytes) -> bool:
        """False: no more of it is wanted."""
        ...

    def request_complete(self) -> None: ...


class _Stop(Exception):
    """``httptools`` must not go on."""


class RequestParser:
    """One per connection. Nothing is parsed any more after a refusal, or once ``stopped``."""

    def __init__(self, config: HttpConfig, events: Events) -> None:
        self._config = config
        self._max_field = config.max_header_field
        self._max_header = config.max_header
        self._max_fields = config.max_header_fields
        self._events = events
        self._parser = httptools.HttpRequestParser(self)
        self._refusal: HttpRefusal | None = None
        self.stopped = False
        self._silent = 0
        """Octets since the parser last told anything."""
        self._complete = True
        """There is no request that has begun and not ended."""
        self._in_body = False
        self._last = False
        """The connection ends with this request."""
        self._upgrading = False
        self._replaying = False
        self._url = bytearray()
        self._headers: Headers = []
        self._noted: Headers = []
        self._trailers = 0
        self._header_octets = 0
        self._chunked = False
        self._body_octets = 0
        self._framing = 0

    def feed(self, data: memoryview | bytes) -> HttpRefusal | None:
        """Parse at most ``PIECE`` octets."""
        if self.stopped:
            return None
        self._silent += len(data)
        body_octets = self._body_octets if self._chunked else -1
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            return self._read_on(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            if not self.stopped and not (self._complete and self._last):
                self._refuse(400, "this is not HTTP/1.1")
            self.stopped = True
            return self._refusal
        if self._silent > self._max_field:
            if self._in_body:
                self._refuse(400, "there is too much around a chunk", "too_large")
            else:
                self._refuse(431, "the header is too large", "too_large")
        elif 0 <= body_octets <= self._body_octets and self._chunked:
            self._framing += len(data) - (self._body_octets - body_octets)
            if self._framing > self._config.max_chunk_extensions + _FRAMING * self._body_octets:
                self._refuse(400, "there is too much around the chunks", "too_large")
        return self._refusal

    def partial(self) -> tuple[str, bytes, Headers]:
        """What is known of a request that is not complete: method, path (empty: not known), header fields."""
        path = bytes(self._url[: self._config.max_url]).partition(b"?")[0]
        if path[:1] != b"/":
            return "GET", b"", []
        return self._parser.get_method().decode("ascii"), path, self._headers

    def _refuse(self, status: int, why: str, reason: str = "malformed") -> None:
        self.stopped = True
        self._refusal = HttpRefusal(status, reason, why)

    def _read_on(self, rest: memoryview | bytes) -> HttpRefusal | None:
        """After a header that asks for another protocol, which is ignored (RFC 9110 §7.8): the body, if any.

        ``httptools`` takes what follows for the other protocol. A new parser reads it as the body that it is: it is
        told the framing of the request, in a header that is nobody else's.
        """
        framing = [b"%b: %b\r\n" % field for field in self._noted if field[0] in _FRAMING_FIELDS]
        close = b"Connection: close\r\n" if self._last else b""
        self._parser = httptools.HttpRequestParser(self)
        self._upgrading = False
        self._replaying = True
        self._silent = 0
        refusal = self.feed(b"POST / HTTP/1.1\r\nHost: a\r\n%b%b\r\n" % (close, b"".join(framing)))
        return refusal if refusal is not None or not rest else self.feed(rest)

    # callbacks of httptools

    def on_message_begin(self) -> None:
        if self._replaying:
            return
        if not self._events.request_begins():
            self._halt()
        self._complete = False
        self._silent = 0
        self._url = bytearray()
        self._headers = []
        self._noted = []
        self._trailers = 0
        self._header_octets = 0

    def on_url(self, part: bytes) -> None:
        self._silent = 0
        if self._replaying:
            return
        self._url += part
        if len(self._url) > self._config.max_url:
            self._halt(414, "the URL is too long", "too_large")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._silent = 0
        if self._replaying:
            return
        octets = len(name) + len(value) + 4
        self._header_octets += octets
        if octets > self._max_field or self._header_octets > self._max_header:
            self._halt(431, "the header is too large", "too_large")
        if self._in_body:  # a trailer, which means nothing here
            self._trailers += 1
        else:
            name = name.lower()
            self._headers.append((name, value))
            if name in _NOTED:
                self._noted.append((name, value))
        if len(self._headers) + self._trailers > self._max_fields:
            self._halt(431, "the header has too many fields", "too_large")

    def on_headers_complete(self) -> None:
        self._silent = 0
        if self._replaying:
            self._replaying = False
            return
        version = self._parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._halt(505 if version[0] > "1" else 400, "only HTTP/1.1 is spoken here")
        method = self._parser.get_method().decode("ascii")
        if method == "CONNECT":
            self._halt(501, "this is not a proxy")
        hosts, length, expects = 0, 0, False
        for name, value in self._noted:
            if name == b"host":
                hosts += 1
            elif name == b"content-length":
                length = int(value)
            elif name == b"transfer-encoding":
                if version == "1.0":
                    self._halt(400, "HTTP/1.0 has no chunks")
                length = -1
            elif name == b"expect":
                expects = version == "1.1" and value.lower() == b"100-continue"
        if hosts > 1 or (not hosts and version == "1.1"):
            self._halt(400, "a request names one host")
        path, query = self._target(method)
        keep_alive = version == "1.1" and self._parser.should_keep_alive()
        self._upgrading = self._parser.should_upgrade()
        self._last = not keep_alive
        self._in_body = True
        self._chunked = length < 0
        self._body_octets = 0
        self._framing = 0
        self._events.head_complete(Head(method, version, path, query, self._headers, keep_alive, expects, length))

    def on_body(self, part: bytes) -> None:
        self._silent = 0
        self._body_octets += len(part)
        if not self._events.content(part):
            self._halt()

    def on_message_complete(self) -> None:
        self._silent = 0
        if self._upgrading:
            return
        self._complete = True
        self._in_body = self._chunked = False
        self._events.request_complete()

    def _halt(self, status: int = 0, why: str = "", reason: str = "malformed") -> NoReturn:
        if status:
            self._refuse(status, why, reason)
        self.stopped = True
        raise _Stop

    def _target(self, method: str) -> tuple[bytes, bytes]:
        """Path and query."""
        url = bytes(self._url)
        if url[:1] == b"/":
            path, _, query = url.partition(b"#")[0].partition(b"?")
            return path, query
        if url == b"*" and method == "OPTIONS":
            return url, b""
        with suppress(httptools.HttpParserError):
            parsed = httptools.parse_url(url)
            if (parsed.schema or b"").lower() in (b"http", b"https"):
                return parsed.path or b"/", parsed.query or b""
        raise self._unreadable()

    def _unreadable(self) -> _Stop:
        self._refuse(400, "the URL cannot be understood")
        return _Stop()
