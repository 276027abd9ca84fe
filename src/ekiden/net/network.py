"""Outgoing TCP connections as an interface, and the stream that comes of one.

``Stream`` is an ``asyncio.Protocol`` with a byte buffer and a single reader: what one conversation needs, without
the cost of ``asyncio.StreamReader``. It runs on asyncio's own loop and on uvloop.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from typing import Protocol

from ekiden.core.errors import EkidenError
from ekiden.core.said import say

_PAUSE_AT = 16_384  # octets received and not yet read


class OutsideLab(EkidenError):
    """Something in lab mode wanted to talk to an address that is not loopback. No socket was opened."""

    def __init__(self, host: str) -> None:
        self.said = say("outside_lab", host=host)
        super().__init__(self.said.text())


class NoConnection(TimeoutError):
    """Nobody answered at this address in time."""

    def __init__(self, to: str, seconds: float) -> None:
        self.said = say("no_connection", to=to, seconds=f"{seconds:g}")
        super().__init__(self.said.text())


class Network(Protocol):
    """Where connections come from."""

    async def connect(self, host: str, port: int, *, local_address: str | None = None, timeout: float) -> Stream:
        """A TCP connection to the IP address ``host``, from ``local_address``, within ``timeout`` seconds.

        Raises ``OSError`` (``TimeoutError`` among them), or ``OutsideLab``.
        """
        ...


class Stream(asyncio.Protocol):
    """Both directions of one connection. One task at a time may read."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._waiter: asyncio.Future[None] | None = None
        self._drainers: list[asyncio.Future[None]] = []
        self._eof = False
        self._error: Exception | None = None
        self._reading_paused = False
        self._writing_paused = False
        self._upgrading = False
        self._lost = self._loop.create_future()
        self.peer = ""
        """``192.0.2.1:25`` or ``[2001:db8::1]:25``."""
        self.local = ""
        """Our own IP address."""
        self.tls = ""
        """``TLSv1.3 TLS_AES_256_GCM_SHA384``; empty in clear."""

    # what the application calls

    async def read(self, timeout: float | None = None) -> bytes:
        """The octets that have come, at least one; ``b""`` at the end.

        Raises ``TimeoutError`` after ``timeout`` seconds, ``OSError`` when the connection broke.
        """
        if not self._buffer and not self._eof:
            waiter = self._waiter = self._loop.create_future()
            timer = None if timeout is None else self._loop.call_later(timeout, self._time_out, waiter)
            try:
                await waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        if self._buffer:
            data = bytes(self._buffer)
            self._buffer.clear()
            if self._reading_paused:
                self._reading_paused = False
                if self._transport is not None and not self._transport.is_closing():
                    self._transport.resume_reading()
            return data
        if self._error is not None:
            raise self._error
        return b""

    def write(self, data: bytes) -> None:
        """Send, or queue to be sent; nothing happens on a closed connection (reading tells)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self, timeout: float | None = None) -> None:
        """Wait until what is queued has shrunk. ``TimeoutError``, ``OSError`` as with ``read``."""
        if not self._writing_paused or self._eof:
            return
        waiter = self._loop.create_future()
        self._drainers.append(waiter)
        timer = None if timeout is None else self._loop.call_later(timeout, self._time_out, waiter)
        try:
            await waiter
        finally:
            self._drainers.remove(waiter)
            if timer is not None:
                timer.cancel()

    async def start_tls(
        self, context: ssl.SSLContext, server_hostname: str | None = None, timeout: float = 60.0
    ) -> str:
        """Become the client side of TLS; returns its version and cipher.

        What came in clear and was not read yet is dropped: it could have been injected by someone in between
        (RFC 3207 §6). Raises ``ssl.SSLError``, ``TimeoutError`` or another ``OSError``.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed before the TLS handshake")
        self._buffer.clear()
        self._upgrading = True
        try:
            upgraded = await self._loop.start_tls(
                transport,
                self,
                context,
                server_hostname=server_hostname,
                ssl_handshake_timeout=timeout,
                ssl_shutdown_timeout=2.0,
            )
        except ConnectionError as error:
            raise ConnectionResetError(*(error.args or ("the peer closed during the TLS handshake",))) from error
        finally:
            self._upgrading = False
        if upgraded is None:
            raise ConnectionResetError("the peer closed during the TLS handshake")
        self._transport = upgraded
        self._eof = False
        self._error = None
        cipher = upgraded.get_extra_info("cipher")
        self.tls = f"{cipher[1]} {cipher[0]}"
        # `cipher` calls TLS 1.3 by the version that defined the suite; the object knows the one in use.
        shown = upgraded.get_extra_info("ssl_object")
        if shown is not None and shown.version():
            self.tls = f"{shown.version()} {cipher[0]}"
        return self.tls

    async def close(self, timeout: float = 2.0) -> None:
        """Send what is queued, close, and wait a little for the other side; then cut."""
        transport = self._transport
        if transport is None:
            return
        transport.close()
        try:
            if not self._lost.done():
                await asyncio.wait((self._lost,), timeout=timeout)
        finally:
            if not self._lost.done():
                transport.abort()

    def abort(self) -> None:
        """Cut at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def sending(self) -> bool:
        """More is queued than the peer takes: ``drain`` would wait."""
        return self._writing_paused and not self._eof

    @property
    def closed(self) -> bool:
        """The other side has closed, or the connection broke."""
        return self._eof or self._transport is None or self._transport.is_closing()

    # what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        name = transport.get_extra_info("peername")
        if name:
            self.peer = host_port(name[0], name[1])
        own = transport.get_extra_info("sockname")
        if own:
            self.local = str(own[0])

    def data_received(self, data: bytes) -> None:
        if self._upgrading:
            return
        self._buffer += data
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        elif len(self._buffer) > _PAUSE_AT and not self._reading_paused and self._transport is not None:
            self._reading_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._end(None)
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        for waiter in self._drainers:
            if not waiter.done():
                waiter.set_result(None)

    def _end(self, error: Exception | None) -> None:
        self._eof = True
        if self._error is None and isinstance(error, OSError):
            self._error = error
        for waiter in (self._waiter, *self._drainers):
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    @staticmethod
    def _time_out(waiter: asyncio.Future[None]) -> None:
        if not waiter.done():
            waiter.set_exception(TimeoutError("no answer in time"))


class RealNetwork:
    """The system's network."""

    async def connect(self, host: str, port: int, *, local_address: str | None = None, timeout: float) -> Stream:
        loop = asyncio.get_running_loop()
        local = None if local_address is None else (local_address, 0)
        try:
            async with asyncio.timeout(timeout):
                _, stream = await loop.create_connection(Stream, host, port, local_addr=local)
        except TimeoutError:
            raise NoConnection(host_port(host, port), timeout) from None
        return stream


class LoopbackOnlyNetwork:
    """The safety switch of lab mode: refuses every address that is not loopback before a socket exists."""

    def __init__(self, network: Network | None = None) -> None:
        self._network = network or RealNetwork()

    async def connect(self, host: str, port: int, *, local_address: str | None = None, timeout: float) -> Stream:
        require_loopback(host)
        return await self._network.connect(host, port, local_address=local_address, timeout=timeout)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is the text of a loopback address (127.0.0.0/8, ::1, or the former mapped to IPv6)."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def require_loopback(host: str) -> None:
    """Raises ``OutsideLab`` unless ``host`` is a loopback address."""
    if not is_loopback(host):
        raise OutsideLab(host)


def host_port(host: str, port: int) -> str:
    """``192.0.2.1:25`` or ``[2001:db8::1]:25``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
