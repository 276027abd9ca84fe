"""One TCP connection of the lab, accepted or made: octets in, octets out, TLS on request."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

from ekiden.lab.addresses import reset_on_close

READ_AHEAD = 1 << 18  # octets that may wait to be looked at; the peer is slowed down beyond
MAX_LINE = 12_288  # octets; the longest command line with every extension is far shorter
TLS_TIMEOUT = 30.0  # seconds


class Gone(Exception):
    """The connection is over: the peer has closed it, or we have."""


class Wire(asyncio.Protocol):
    """Buffers what arrives; ``started`` is called with the wire once the connection stands."""

    def __init__(self, started: Callable[[Wire], None]) -> None:
        self._started = started
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._lost = asyncio.Event()
        self.buffer = bytearray()
        self.eof = False
        self.peer = ""

    # The transport's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of asyncio and uvloop do not all derive from the class they implement.
        self._transport = cast(asyncio.Transport, transport)
        peer = self._transport.get_extra_info("peername") or ("", 0)
        self.peer = f"[{peer[0]}]:{peer[1]}" if ":" in peer[0] else f"{peer[0]}:{peer[1]}"
        self._started(self)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if len(self.buffer) > READ_AHEAD and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self.eof = True
        self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof = True
        self._transport = None
        self._lost.set()
        self._may_write.set()
        self._wake()

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # The side that speaks.

    async def more(self) -> None:
        """Wait for more octets in ``buffer``. ``Gone`` when there will be none."""
        if self.eof:
            raise Gone
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    async def line(self) -> bytes:
        """The next line with its line end. ``Gone`` at the end of the stream, and after an endless line."""
        seen = 0
        while True:
            end = self.buffer.find(b"\n", seen)
            if end >= 0:
                line = bytes(self.buffer[: end + 1])
                del self.buffer[: end + 1]
                return line
            seen = len(self.buffer)
            if seen > MAX_LINE:
                self.close()
                raise Gone
            await self.more()

    async def wait(self, seconds: float) -> None:
        """Do nothing for a while; ``Gone`` as soon as the connection is lost."""
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return
        raise Gone

    def write(self, data: bytes) -> None:
        """Send; ``Gone`` when nobody is there."""
        if self._transport is None or self._transport.is_closing():
            raise Gone
        self._transport.write(data)

    async def drain(self) -> None:
        """Wait until the transport's buffer has room."""
        await self._may_write.wait()
        if self._transport is None:
            raise Gone

    async def trickle(self, data: bytes) -> None:
        """Send byte by byte, each in a segment of its own."""
        for octet in data:
            self.write(bytes([octet]))
            await asyncio.sleep(0)

    async def start_tls(self, context: ssl.SSLContext, *, server_hostname: str | None = None) -> str:
        """Shake hands as the server, or as the client of ``server_hostname``; protocol and cipher. ``Gone`` when it
        fails."""
        if self._transport is None:
            raise Gone
        try:
            upgraded = await asyncio.get_running_loop().start_tls(
                self._transport,
                self,
                context,
                server_side=server_hostname is None,
                server_hostname=server_hostname,
                ssl_handshake_timeout=TLS_TIMEOUT,
            )
        except (ssl.SSLError, OSError, TimeoutError) as error:
            self.close()
            raise Gone(f"the TLS handshake failed: {getattr(error, 'reason', None) or error}") from None
        if upgraded is None:
            raise Gone("the connection was lost in the TLS handshake")
        self._transport = upgraded
        tls = upgraded.get_extra_info("ssl_object")
        return f"{tls.version()} {tls.cipher()[0]}"

    def close(self) -> None:
        """Close after everything written has been sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close at once, whatever has not been sent yet."""
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Close with TCP RST, at once."""
        if self._transport is not None:
            sock = self._transport.get_extra_info("socket")
            if sock is not None:
                reset_on_close(sock)
            self._transport.abort()
