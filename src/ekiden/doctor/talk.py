"""How the doctor talks to what listens on a port: whole answers, however many segments they come in."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

from ekiden.config.model import ListenerConfig
from ekiden.net.listen import ListenAddress, Networks
from ekiden.net.tls import client_context

TIMEOUT: Final = 5.0
"""Seconds for a conversation as a whole."""
MOST: Final = 4_194_304
"""Octets of an answer."""
_MOST_LINES: Final = 100
_FAREWELL: Final = 0.5  # seconds
TROUBLE: Final = (OSError, EOFError, TimeoutError, ValueError, ssl.SSLError)
"""What a conversation may end with."""


class Talk:
    """One conversation. Methods raise ``TROUBLE``."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def reply(self) -> tuple[int, list[str]]:
        """The next reply of an SMTP server (RFC 5321 §4.2): its code (0: none), and its lines as they came."""
        lines: list[str] = []
        while len(lines) < _MOST_LINES:
            line = (await self._reader.readline()).decode("utf-8", "replace")
            if not line.endswith("\n"):
                raise EOFError("the connection was closed")
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-" or not line[:3].isdecimal():
                return int(line[:3]) if line[:3].isdecimal() else 0, lines
        raise ValueError("a reply without end")

    async def ask(self, command: str) -> tuple[int, list[str]]:
        """A command of SMTP and its reply."""
        self._writer.write(f"{command}\r\n".encode())
        return await self.reply()

    async def rest(self) -> bytes:
        """Everything until the end, ``MOST`` octets at most."""
        data = b""
        while len(data) < MOST and (piece := await self._reader.read(65_536)):
            data += piece
        return data

    def write(self, data: bytes) -> None:
        self._writer.write(data)

    async def start_tls(self, server_name: str | None = None) -> bytes:
        """The certificate of the server (DER)."""
        await self._writer.start_tls(client_context(), server_hostname=server_name or "")
        return self.certificate()

    def certificate(self) -> bytes:
        """Inside TLS: the certificate of the server (DER)."""
        shown: bytes | None = self._writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return shown or b""


@asynccontextmanager
async def talk(
    address: ListenAddress,
    *,
    tls: bool = False,
    server_name: str | None = None,
    proxy_from: tuple[str, ...] = (),
    source: str = "",
    timeout: float = TIMEOUT,
) -> AsyncIterator[Talk]:
    """A conversation with ``address``, ``timeout`` seconds in all. Raises ``TROUBLE``.

    Where a load balancer of this very machine would have to introduce its clients (``proxy_from``), so do we:
    a connection of its own, as its health checks are.
    """
    async with asyncio.timeout(timeout):
        local = (source, 0) if source else None
        reader, writer = await asyncio.open_connection(*address.from_here(), local_addr=local)
        try:
            if str(writer.get_extra_info("sockname")[0]) in Networks(proxy_from):
                writer.write(b"PROXY UNKNOWN\r\n")
            made = Talk(reader, writer)
            if tls:
                await made.start_tls(server_name)
            yield made
        finally:
            writer.close()
            with suppress(*TROUBLE):  # TLS would wait half a minute for the other side's farewell
                async with asyncio.timeout(_FAREWELL):
                    await writer.wait_closed()
            writer.transport.abort()


async def get(address: ListenAddress, path: str) -> tuple[int, bytes]:
    """Status and body of an answer over HTTP. Raises ``TROUBLE``."""
    async with talk(address) as made:
        made.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        head, _, body = (await made.rest()).partition(b"\r\n\r\n")
    version, status, *_ = head.split(maxsplit=2)
    if not version.startswith(b"HTTP/"):
        raise ValueError("not HTTP")
    return int(status), body


@asynccontextmanager
async def smtp(
    address: ListenAddress, listener: ListenerConfig, server_name: str | None = None
) -> AsyncIterator[tuple[Talk, int, str]]:
    """A conversation with an SMTP listener, the code of its greeting, and the greeting. Raises ``TROUBLE``."""
    async with talk(
        address, tls=listener.mode == "tls", server_name=server_name, proxy_from=listener.proxy_from
    ) as made:
        code, lines = await made.reply()
        yield made, code, lines[0]
