"""A real name server on loopback (UDP and TCP), with records given as text and faults on demand."""

from __future__ import annotations

import asyncio
import struct
from collections import Counter

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset


class DnsPeer:
    """``records[("example.test", "MX")] = ["10 mx.example.test."]``; a name without any record is NXDOMAIN."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], list[str]] = {}
        self.rcodes: dict[str | tuple[str, str], dns.rcode.Rcode] = {}
        """By name, or by name and kind."""
        self.silent: set[str] = set()
        self.truncate: set[str] = set()
        self.gate: asyncio.Event | None = None
        self.ttl = 300
        self.soa: str | None = "ns.test. host.test. 1 2 3 4 60"
        self.asked: Counter[tuple[str, str]] = Counter()
        self.tcp_asked = 0
        self.port = 0

    async def __aenter__(self) -> DnsPeer:
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
        self.port = self._tcp.sockets[0].getsockname()[1]
        peer = self

        class Udp(asyncio.DatagramProtocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                self.transport = transport

            def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
                peer._tasks.add(asyncio.ensure_future(self.reply(data, addr)))

            async def reply(self, data: bytes, addr: tuple[str, int]) -> None:
                if peer.gate is not None:
                    await peer.gate.wait()
                wire = peer.answer(data, tcp=False)
                if wire is not None:
                    self.transport.sendto(wire, addr)

        self._tasks: set[asyncio.Future[None]] = set()
        self._udp, _ = await loop.create_datagram_endpoint(Udp, local_addr=("127.0.0.1", self.port))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        await asyncio.gather(*self._tasks)

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (size,) = struct.unpack("!H", await reader.readexactly(2))
        self.tcp_asked += 1
        wire = self.answer(await reader.readexactly(size), tcp=True)
        if wire is not None:
            writer.write(struct.pack("!H", len(wire)) + wire)
        writer.close()

    def answer(self, data: bytes, *, tcp: bool) -> bytes | None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked[name, kind] += 1
        if name in self.silent:
            return None
        response = dns.message.make_response(query, recursion_available=True)
        rcode = self.rcodes.get((name, kind), self.rcodes.get(name))
        if rcode is not None:
            response.set_rcode(rcode)
            return response.to_wire(max_size=65_535)
        owner = question.name
        while (alias := self.records.get((owner.to_text(omit_final_dot=True).lower(), "CNAME"))) is not None:
            response.answer.append(dns.rrset.from_text(owner, self.ttl, "IN", "CNAME", *alias))
            owner = dns.name.from_text(alias[0])
        here = owner.to_text(omit_final_dot=True).lower()
        found = self.records.get((here, kind))
        if found:
            response.answer.append(dns.rrset.from_text(owner, self.ttl, "IN", kind, *found))
        else:
            if not any(key[0] == here for key in self.records):
                response.set_rcode(dns.rcode.NXDOMAIN)
            if self.soa is not None:
                response.authority.append(dns.rrset.from_text("test.", 900, "IN", "SOA", self.soa))
        if name in self.truncate and not tcp:
            response.answer.clear()
            response.flags |= dns.flags.TC
        return response.to_wire(max_size=65_535)
