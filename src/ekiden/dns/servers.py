"""A name server as dnspython asks it, with a bound on what it may answer over TCP."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

import dns.exception
import dns.message
import dns.nameserver
import dns.query

_AT_ONCE = 4096  # octets that are parsed in the event loop: some 20 ms at worst
_HANDLE = struct.Struct("!H")


class BoundedServer(dns.nameserver.Do53Nameserver):
    """Over TCP an answer may have 64 KB, with thousands of records whose names are compressed ones of 255 octets:
    half a second of parsing. More than ``most`` octets are therefore no answer, and what is large is parsed in a
    thread.
    """

    def __init__(self, address: str, port: int, most: int) -> None:
        super().__init__(address, port)
        self._most = most

    async def async_query(
        self, request: dns.message.QueryMessage, timeout: float, *args: Any, **kwargs: Any
    ) -> dns.message.Message:
        max_size = kwargs.get("max_size", args[2] if len(args) > 2 else False)
        if not max_size:
            return await super().async_query(request, timeout, *args, **kwargs)
        try:
            async with asyncio.timeout(timeout):
                wire = await self._over_tcp(request.to_wire())
        except TimeoutError:
            raise dns.exception.Timeout(timeout=timeout) from None  # type: ignore[no-untyped-call]
        if len(wire) <= _AT_ONCE:
            response = dns.message.from_wire(wire)
        else:
            response = await asyncio.to_thread(dns.message.from_wire, wire)
        if not request.is_response(response):
            raise dns.query.BadResponse
        return response

    async def _over_tcp(self, question: bytes) -> bytes:
        reader, writer = await asyncio.open_connection(self.address, self.port)
        try:
            writer.write(_HANDLE.pack(len(question)) + question)
            (size,) = _HANDLE.unpack(await reader.readexactly(2))
            if size > self._most:
                raise dns.exception.FormError(f"an answer of {size} octets")  # type: ignore[no-untyped-call]
            return await reader.readexactly(size)
        finally:
            writer.transport.abort()
