"""The lab's addresses: loopback only, one block of 127.0.0.0/8 for each lab, many addresses on one port."""

from __future__ import annotations

import errno
import ipaddress
import secrets
import socket
import struct

from ekiden.lab.behaviour import LabError

IPV6 = "::1"
PORTS = range(20_000, 32_000)
"""Free ports are taken from here: below those that Linux gives to clients, so that a lab that is started again
finds its ports unused."""
PORT_TRIES = 50


def loopback(address: str) -> str:
    """``address`` itself when it is one of loopback. ``LabError`` otherwise: the lab never listens anywhere else,
    nor talks to anything else."""
    try:
        if ipaddress.ip_address(address).is_loopback:
            return address
    except ValueError:
        pass
    raise LabError(f"the lab uses loopback addresses only, and {address} is none")


def tcp_socket(address: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """A listening TCP socket; port 0 is a free one. ``OSError`` when the port is taken."""
    if not port:
        for _ in range(PORT_TRIES):
            try:
                return tcp_socket(address, secrets.choice(PORTS), backlog=backlog)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
    made = _bound(address, port, socket.SOCK_STREAM)
    try:
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def udp_socket(address: str, port: int) -> socket.socket:
    """A bound UDP socket. ``OSError`` as from bind."""
    return _bound(address, port, socket.SOCK_DGRAM)


def _bound(address: str, port: int, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in loopback(address) else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where it can see that the protocol is TCP.
    made = socket.socket(family, kind, socket.IPPROTO_TCP if kind == socket.SOCK_STREAM else 0)
    try:
        made.setblocking(False)
        if kind == socket.SOCK_STREAM:
            # A lab that is started again takes its old port although connections of the last one linger.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind((address, port))
    except OSError:
        made.close()
        raise
    return made


def reset_on_close(sock: socket.socket) -> None:
    """Closing the socket shall send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def has_ipv6() -> bool:
    """Whether ::1 can be bound."""
    try:
        tcp_socket(IPV6, 0).close()
    except OSError:
        return False
    return True


class Block:
    """Hands out addresses of 127.0.0.0/8 one after the other, from a random place: labs beside each other do
    not meet."""

    def __init__(self, start: str | None = None) -> None:
        if start is None:
            # 127.16.0.0 to 127.239.255.0: away from 127.0.0.1, 127.0.0.53 and other addresses that systems use.
            number = (127 << 24) | (16 + secrets.randbelow(224)) << 16 | secrets.randbelow(256) << 8
            start = str(ipaddress.IPv4Address(number))
        self.start = loopback(start)
        self._next = int(ipaddress.IPv4Address(start))

    def next(self) -> str:
        """An address that this block has not given before; never one that ends in .0 or .255."""
        self._next += 1
        while self._next & 0xFF in (0, 255):
            self._next += 1
        return loopback(str(ipaddress.IPv4Address(self._next)))


class Hang:
    """A port whose connections time out: its accept queue is full, so that Linux drops every further SYN."""

    def __init__(self, address: str, port: int) -> None:
        self._listener = tcp_socket(address, port, backlog=0)
        self._fillers: list[socket.socket] = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex((address, port))
            self._fillers.append(filler)

    def close(self) -> None:
        """Let go of the port."""
        for filler in self._fillers:
            filler.close()
        self._listener.close()
