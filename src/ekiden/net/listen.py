"""Listening sockets that several workers share, and the networks that rules name."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

BACKLOG = 1024


class ListenAddress(NamedTuple):
    """Where to listen: an IP address and a port (0: any free one)."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def from_here(self) -> ListenAddress:
        """Where this machine reaches what listens there: on loopback if that is any address."""
        return self._replace(host={"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host))


def parse_listen_address(text: str) -> ListenAddress:
    """``127.0.0.1:587`` or ``[::1]:587``. ``ValueError`` when it is neither."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    if not colon or not (port.isascii() and port.isdigit()) or int(port) > 65_535:
        raise ValueError(f"{text!r} is not an address with a port, such as 0.0.0.0:587 or [::]:587")
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} has no IP address before its port") from None
    if (address.version == 6) != bracketed:
        raise ValueError(f"{text!r}: IPv6 addresses, and only they, stand in brackets")
    return ListenAddress(str(address), int(port))


def open_listener(host: str, port: int, *, backlog: int = BACKLOG) -> socket.socket:
    """A bound, listening, non-blocking TCP socket on an IP address. Raises ``OSError``.

    SO_REUSEPORT: every worker listens by itself and the kernel spreads connections over them. IPv6 sockets take
    IPv6 only, so that ``0.0.0.0:587`` and ``[::]:587`` stand beside each other.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio switches Nagle's algorithm off only where it reads TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.setblocking(False)
        listener.bind((host, port))
        listener.listen(backlog)
    except BaseException:
        listener.close()
        raise
    return listener


class Networks:
    """A set of networks (``10.0.0.0/8``, ``::1``), asked whether an address is in it. ``ValueError``: not one."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        self._networks = tuple(ipaddress.ip_network(text, strict=False) for text in texts)
        self._contains = lru_cache(maxsize=1024)(self._look)

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        return bool(self._networks) and self._contains(address)

    def _look(self, text: str) -> bool:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address.version == network.version and address in network for network in self._networks)
