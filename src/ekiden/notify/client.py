"""One HTTP request of the outbox: pooled connections, to checked addresses only, with every end named.

Names are looked up by our own resolver, and the address that was checked is the one that is connected to, so that
no second look-up can answer differently. Redirects are not followed: they would lead past the checks, and an
endpoint that moved is for its owner to say.
"""

from __future__ import annotations

import socket
import zlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.payload import Payload
from multidict import CIMultiDict

from ekiden.core.said import Said, say
from ekiden.core.version import VERSION
from ekiden.dns.resolver import DnsError
from ekiden.net.trouble import trouble
from ekiden.notify.auth import Auth, authenticated
from ekiden.notify.bounded_answers import BoundedConnector
from ekiden.notify.endpoints import parse_endpoint_url
from ekiden.notify.errors import ForbiddenDestination, NotifyError
from ekiden.notify.schedule import retry_after
from ekiden.notify.status_codes import Result, result_of

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.dns.resolver import Resolver
    from ekiden.notify.bodies import Body
    from ekiden.notify.config import CallbacksConfig
    from ekiden.notify.formats import Addressed
    from ekiden.notify.ssrf import Destinations

MAX_ANSWER = 4096
"""Octets of an answer that are read."""
_KEPT_ANSWER = 500
"""Characters of it that are kept in the log."""
_PACKED = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER = 32 + zlib.MAX_WBITS
"""For zlib: with the header of gzip or its own."""
_SLICE = 65_536
_SLOWEST = 131_072
"""Octets in a second, at which a receiver may take a large body."""
_KEEPALIVE = 30.0  # seconds that a connection without work stays open


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` is 0 without an answer; ``text`` its first characters, or what ``said`` says of its lack; ``wait``
    what the receiver asked for."""

    result: Result
    status: int
    text: str
    seconds: float
    wait: Millis | None = None
    said: Said | None = None


class _Pieces(Payload):
    """A ``Body`` on its way, with a Content-Length."""

    _autoclose = True

    def __init__(self, body: Body) -> None:
        super().__init__(body, content_type=body.content_type)
        self._size = body.size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return b"".join(self._value.pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._value.pieces:
            # What the socket does not take is copied: no more of it than this.
            for at in range(0, len(piece), _SLICE):
                await writer.write(piece[at : at + _SLICE])


class _Request(NamedTuple):
    url: str
    auth: Auth | None
    body: bytes | Body
    content_type: str
    own_fields: Addressed | None
    timeout: float


@dataclass(slots=True)
class _Attempt:
    """What has been seen of one request so far."""

    status: int = 0
    text: str = ""
    said: Said | None = None
    wait: Millis | None = None
    reused: bool = False
    cut: bool = False
    """The connection broke before an answer."""


class _Refused(OSError):
    """The name stands for no address that may be reached."""

    def __init__(self, said: Said) -> None:
        self.said = said
        super().__init__(said.text())


class _CheckedResolver(AbstractResolver):
    """Our resolver, without the addresses that are forbidden."""

    def __init__(self, resolver: Resolver, destinations: Destinations) -> None:
        self._resolver = resolver
        self._destinations = destinations

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        name = host.rstrip(".").lower()
        if name == "localhost" or name.endswith(".localhost"):  # RFC 6761 §6.3: never asked of the DNS
            addresses = ["127.0.0.1", "::1"]
        else:
            try:
                addresses = await self._resolver.addresses(name)
            except DnsError as error:
                raise _Refused(error.said) from None
        found: list[ResolveResult] = []
        refused = say("host_without_address", host=host)
        for address in addresses:
            try:
                self._destinations.check_address(address)
            except ForbiddenDestination as error:
                refused = say("at_host", host=host, why=error.said)
                continue
            of = socket.AF_INET6 if ":" in address else socket.AF_INET
            if family in (socket.AF_UNSPEC, of):
                flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
                found.append(ResolveResult(hostname=host, host=address, port=port, family=of, proto=0, flags=flags))
        if not found:
            raise _Refused(refused)
        return found

    async def close(self) -> None:
        """Nothing is held."""


class Client:
    """Sends requests. Belongs to the event loop it was made on; close it at the end."""

    def __init__(
        self, config: CallbacksConfig, clock: Clock, resolver: Resolver, destinations: Destinations
    ) -> None:
        self._clock = clock
        self._destinations = destinations
        self._session = aiohttp.ClientSession(
            connector=BoundedConnector(
                limit=0,  # the outbox has its own limits, by endpoint
                resolver=_CheckedResolver(resolver, destinations),
                use_dns_cache=False,  # the resolver remembers for as long as it may
                keepalive_timeout=_KEEPALIVE,
                socket_factory=self._socket,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("Accept-Encoding",),
            headers={"User-Agent": f"Ekiden/{VERSION}"},
            trace_configs=[self._reuse()],
        )
        self._timeout = config.timeout

    def _reuse(self) -> aiohttp.TraceConfig:
        """Marks the attempt when its connection was one of the pool."""
        trace = aiohttp.TraceConfig()

        async def reused(
            _: aiohttp.ClientSession, context: Any, __: aiohttp.TraceConnectionReuseconnParams
        ) -> None:
            context.trace_request_ctx.reused = True

        trace.on_connection_reuseconn.append(reused)
        return trace

    def _socket(self, info: Any) -> socket.socket:
        """Every socket there is comes from here: a literal address in a URL is asked of no resolver."""
        family, kind, proto, _, address = info
        try:
            self._destinations.check_address(address[0])
        except ForbiddenDestination as error:
            raise _Refused(error.said) from None
        sock = socket.socket(family, kind, proto)
        sock.setblocking(False)
        return sock

    async def close(self) -> None:
        await self._session.close()

    async def post(
        self,
        url: str,
        auth: Auth | None,
        body: bytes | Body,
        content_type: str,
        *,
        own_fields: Addressed | None = None,
        timeout: float = 0,
    ) -> Answer:
        """One request, and what became of it; never raises but for cancellation.

        ``own_fields``: who has more header fields for it. ``timeout``: seconds; 0: as configured. A large body may
        take longer, since it is the answer that is waited for.
        """
        began = self._clock.monotonic()
        seconds = timeout or self._timeout
        if not isinstance(body, bytes):
            content_type = body.content_type
            seconds += body.size / _SLOWEST
        request = _Request(url, auth, body, content_type, own_fields, seconds)
        attempt = await self._attempt(request)
        if attempt.cut and attempt.reused:
            # The receiver closed a connection of the pool just when it was taken: that says nothing about it.
            attempt = await self._attempt(request)
        seconds = self._clock.monotonic() - began
        # Once a status has come the receiver has spoken, whatever happens to the rest of its answer.
        said = None if attempt.status else attempt.said
        text = attempt.text if said is None else said.text()
        return Answer(result_of(attempt.status), attempt.status, _clean(text), seconds, attempt.wait, said)

    async def _attempt(self, request: _Request) -> _Attempt:
        attempt = _Attempt()
        try:
            target = parse_endpoint_url(request.url)
            self._destinations.check_port(target.port or 0)
            proof, body = authenticated(request.auth, request.body, request.content_type)
            fields = CIMultiDict({"Content-Type": request.content_type, **proof})
            if request.own_fields is not None:
                fields.update(request.own_fields.headers(target.host_subcomponent or "", target.port or 0))
            async with self._session.post(
                target,
                data=body if isinstance(body, bytes) else _Pieces(body),
                headers=fields,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=request.timeout),
                trace_request_ctx=attempt,
            ) as response:
                attempt.status = response.status
                if "Retry-After" in response.headers:
                    attempt.wait = retry_after(response.headers["Retry-After"], self._clock.now())
                attempt.text = await _beginning(response)
        except TimeoutError:
            attempt.said = say("no_answer_within", seconds=f"{request.timeout:g}")
        except (aiohttp.ServerDisconnectedError, ConnectionResetError, BrokenPipeError) as error:
            attempt.said = _why(error)
            attempt.cut = not attempt.status
        except (aiohttp.ClientError, NotifyError, OSError, ValueError) as error:
            attempt.said = _why(error)
            attempt.cut = not attempt.status and isinstance(error, aiohttp.ClientOSError)
        return attempt


async def _beginning(response: aiohttp.ClientResponse) -> str:
    """The first ``MAX_ANSWER`` octets. The connection can be used again only when that is all there is."""
    data = bytearray()
    while len(data) <= MAX_ANSWER:
        piece = await response.content.read(MAX_ANSWER + 1 - len(data))
        if not piece:
            break
        data += piece
    else:
        response.close()
    text = bytes(data[:MAX_ANSWER])
    if response.headers.get("Content-Encoding", "").lower() in _PACKED:
        with suppress(zlib.error):
            text = zlib.decompressobj(_EITHER).decompress(text, MAX_ANSWER)
    return text.decode("utf-8", "replace")


def _clean(text: str) -> str:
    """As the store can keep it."""
    return text.replace("\0", "\ufffd")[:_KEPT_ANSWER]


def _why(error: BaseException) -> Said:
    inner = getattr(error, "os_error", None)
    return trouble(inner if isinstance(inner, BaseException) else error)
