"""The lab's name server: UDP and TCP on one port of 127.0.0.1, answers from ``Records``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from typing import Any, NamedTuple, cast

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

from ekiden.lab.addresses import loopback, tcp_socket, udp_socket
from ekiden.lab.behaviour import LabError
from ekiden.lab.records import Records, Trouble

PORT_TRIES = 20
TCP_IDLE = 30.0  # seconds; RFC 7766 §6.2.3 leaves the value to the server


class Query(NamedTuple):
    """One query as the lab saw it; ``at`` in milliseconds since 1970 UTC."""

    at: int
    name: str
    type: str
    transport: str


class NameServer:
    """Serves ``records``. ``queries`` holds the last ones that were asked (resolvers' caches can be seen in it)."""

    def __init__(self, records: Records, *, keep: int = 10_000) -> None:
        self.records = records
        self.queries: deque[Query] = deque(maxlen=keep)
        self._udp: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._timers: set[asyncio.TimerHandle] = set()
        self._closed = asyncio.Event()

    async def start(self, host: str, port: int = 0) -> int:
        """Bind both transports to one port (0: a free one) and return it."""
        loopback(host)
        loop = asyncio.get_running_loop()
        for _ in range(PORT_TRIES):
            try:
                tcp = tcp_socket(host, port)
            except OSError as error:
                raise LabError(f"the DNS port {host}:{port} cannot be used: {error.strerror}") from None
            try:
                udp = udp_socket(host, tcp.getsockname()[1])
            except OSError as error:
                tcp.close()
                if port:
                    raise LabError(f"the DNS port {host}:{port} cannot be used: {error.strerror}") from None
                continue  # the number is free for TCP only: take another
            self._tcp = await asyncio.start_server(self._serve_tcp, sock=tcp)
            self._udp, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=udp)
            return int(tcp.getsockname()[1])
        raise LabError("no port is free for DNS on both UDP and TCP")

    async def close(self) -> None:
        """Stop answering."""
        for timer in self._timers:
            timer.cancel()
        if self._udp is not None:
            self._udp.close()
            await self._closed.wait()
        if self._tcp is not None:
            self._tcp.close()
            for writer in list(self._writers):
                writer.transport.abort()
            await self._tcp.wait_closed()

    def respond(self, wire: bytes, transport: str) -> tuple[bytes | None, float]:
        """The response to the query in ``wire`` (None: none at all), and after how many seconds it goes out."""
        try:
            query = dns.message.from_wire(wire, ignore_trailing=True)
        except dns.exception.DNSException:
            if len(wire) < 12:
                return None, 0
            # The header of the query, as a response without sections and with FORMERR (RFC 1035 §4.1.1).
            return wire[:2] + bytes([0x80 | wire[2] & 0x79, dns.rcode.FORMERR]) + bytes(8), 0
        if query.flags & dns.flags.QR:
            return None, 0
        if query.question:
            question = query.question[0]
            name, kind = question.name.to_text(omit_final_dot=True).lower(), dns.rdatatype.to_text(question.rdtype)
            self.queries.append(Query(int(time.time() * 1000), name, kind, transport))
        response, trouble = self.records.answer(query)
        if trouble is not None and trouble.fault == "timeout":
            return None, 0
        return _wire(response, query, transport, trouble), 0 if trouble is None else trouble.delay

    def udp_closed(self) -> None:
        """The socket is no more."""
        self._closed.set()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while True:
                async with asyncio.timeout(TCP_IDLE):
                    length = int.from_bytes(await reader.readexactly(2))
                    response, delay = self.respond(await reader.readexactly(length), "tcp")
                if response is not None:
                    await asyncio.sleep(delay)
                    writer.write(len(response).to_bytes(2) + response)
                    await writer.drain()
        except (asyncio.IncompleteReadError, OSError, TimeoutError):
            pass  # the peer has gone, or is silent for too long
        finally:
            self._writers.discard(writer)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def answer_datagram(self, transport: asyncio.DatagramTransport, wire: bytes, peer: Any) -> None:
        """Answer one UDP query."""
        response, delay = self.respond(wire, "udp")
        if response is None:
            return
        if not delay:
            transport.sendto(response, peer)
            return

        def send() -> None:
            self._timers.discard(timer)
            transport.sendto(response, peer)

        timer = asyncio.get_running_loop().call_later(delay, send)
        self._timers.add(timer)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: NameServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # The transports of asyncio and uvloop do not all derive from the class they implement.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.udp_closed()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._server.answer_datagram(self._transport, data, addr)


def _wire(
    response: dns.message.Message, query: dns.message.Message, transport: str, trouble: Trouble | None
) -> bytes:
    if transport == "tcp":
        return response.to_wire(max_size=65_535)
    # RFC 1035 §2.3.4 without EDNS, RFC 6891 §6.2.3 with it.
    limit = max(512, query.payload) if query.edns >= 0 else 512
    if trouble is None or trouble.fault != "truncated":
        try:
            return response.to_wire(max_size=limit)
        except dns.exception.TooBig:
            pass
    response.answer.clear()
    response.authority.clear()
    response.additional.clear()
    response.flags |= dns.flags.TC
    return response.to_wire(max_size=limit)
