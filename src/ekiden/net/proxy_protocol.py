"""The PROXY protocol, versions 1 and 2: what a load balancer says about the client it connects for.

Source: https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt. ``parse_proxy_header`` is a pure function over
bytes. ``read_proxy_header`` takes a header, and not one octet more, from an accepted socket, so that TLS that
follows is left for whoever gets the socket next.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import NamedTuple

from ekiden.core.errors import EkidenError

V2_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_V1_PREFIX = b"PROXY "
_V1_MAX = 107  # §2.1, with CRLF
_V2_FIXED = 16
_V2_MAX = _V2_FIXED + 4096
"""Longer ones exist only on paper: addresses and TLVs of real senders take a few hundred octets."""


class BadProxyHeader(EkidenError):
    """Not a PROXY header, although its sender is one that has to send it."""


class ProxyEndpoint(NamedTuple):
    host: str
    port: int


class ProxyHeader(NamedTuple):
    """``length`` octets of the input were the header. ``source`` is the client; ``None``: take the real peer.

    ``None`` stands for ``UNKNOWN`` (v1), ``LOCAL`` (v2: the proxy itself, its health checks) and families
    other than TCP over IPv4 and IPv6.
    """

    length: int
    source: ProxyEndpoint | None
    destination: ProxyEndpoint | None


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """The header at the start of ``data``; ``None`` when more octets are needed. Raises ``BadProxyHeader``."""
    if data.startswith(V2_SIGNATURE[: len(data)]):
        return _parse_v2(data)
    if data.startswith(_V1_PREFIX[: len(data)]):
        return _parse_v1(data)
    raise BadProxyHeader("expected a PROXY header")


def _parse_v1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, _V1_MAX)
    if end < 0:
        if len(data) >= _V1_MAX:
            raise BadProxyHeader("the PROXY header is longer than 107 octets")
        return None
    words = data[:end].split(b" ")
    length = end + 2
    family = words[1]
    if family == b"UNKNOWN":
        return ProxyHeader(length, None, None)
    if family not in (b"TCP4", b"TCP6") or len(words) != 6:
        raise BadProxyHeader("a PROXY header is: PROXY TCP4|TCP6 source destination port port")
    version = 4 if family == b"TCP4" else 6
    return ProxyHeader(length, _endpoint(words[2], words[4], version), _endpoint(words[3], words[5], version))


def _endpoint(host: bytes, port: bytes, version: int) -> ProxyEndpoint:
    try:
        address = ipaddress.ip_address(host.decode("ascii"))
    except ValueError:
        raise BadProxyHeader("an address of the PROXY header is none") from None
    number = int(port) if port.isdigit() and len(port) <= 5 else -1
    # §2.1: no leading zero.
    if address.version != version or not 0 <= number <= 65_535 or (port[:1] == b"0" and port != b"0"):
        raise BadProxyHeader("an address or a port of the PROXY header is out of range")
    return ProxyEndpoint(_text(address), number)


def _parse_v2(data: bytes) -> ProxyHeader | None:
    if len(data) < _V2_FIXED:
        return None
    version_command, family = data[12], data[13]
    length = _V2_FIXED + int.from_bytes(data[14:16], "big")
    if version_command >> 4 != 2 or version_command & 15 > 1:
        raise BadProxyHeader("the PROXY header has an unknown version or command")
    if length > _V2_MAX:
        raise BadProxyHeader("the PROXY header is too long")
    if len(data) < length:
        return None
    if version_command & 15 == 0:  # LOCAL
        return ProxyHeader(length, None, None)
    width = {0x11: 4, 0x21: 16}.get(family)  # TCP over IPv4, TCP over IPv6
    if width is None:
        return ProxyHeader(length, None, None)
    if length < _V2_FIXED + 2 * width + 4:
        raise BadProxyHeader("the PROXY header is too short for its addresses")
    at = _V2_FIXED
    source, destination = (_text(ipaddress.ip_address(data[start : start + width])) for start in (at, at + width))
    at += 2 * width
    return ProxyHeader(
        length,
        ProxyEndpoint(source, int.from_bytes(data[at : at + 2], "big")),
        ProxyEndpoint(destination, int.from_bytes(data[at + 2 : at + 4], "big")),
    )


def _text(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(address)


async def read_proxy_header(connection: socket.socket, timeout: float) -> ProxyHeader:
    """Take the header from a non-blocking socket that was just accepted.

    What follows it stays in the socket. Raises ``BadProxyHeader`` (also when the peer closes before the end) and
    ``TimeoutError``.
    """
    async with asyncio.timeout(timeout):
        taken = b""
        while True:
            try:
                seen = connection.recv(_V2_MAX, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                await _readable(connection)
                continue
            except OSError as error:
                raise BadProxyHeader(f"the peer broke off before its PROXY header: {error.strerror}") from None
            if not seen:
                raise BadProxyHeader("the peer closed before its PROXY header was complete")
            header = parse_proxy_header(taken + seen)
            if header is not None:
                connection.recv(header.length - len(taken))
                return header
            # All of it belongs to the header; left in the socket it would keep it readable for ever.
            taken += connection.recv(len(seen))


async def _readable(connection: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(connection.fileno(), wake)
    try:
        await ready
    finally:
        loop.remove_reader(connection.fileno())
