"""Which address family a connection can go out in, and from which address of ours.

A host with an AAAA record is tried in vain from a machine without IPv6, and what an attempt may try is bounded: the
addresses that could be reached would not get their turn. So a family in which we have no address is not tried.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
from collections.abc import Callable, Iterable
from typing import Final, Literal

Version = Literal[4, 6]

_NO_WAY: Final = frozenset({errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT})
"""Errors that mean: nothing of ours could be the sender. Others are left for the connection to tell."""
_PORT: Final = 9  # of a UDP socket to which nothing is sent


class Families:
    """The choice of an installation. ``sources``: our addresses, one of a family at most; none: the system chooses.

    Raises ``ValueError`` for what is not an IP address, and for two of one family.
    """

    def __init__(
        self, sources: Iterable[str] = (), *, ipv6: bool = True, way: Callable[[str], bool] | None = None
    ) -> None:
        """``way``: whether the system has one to an address; asked when it is the system that chooses."""
        self._way = way or has_way
        self._sources: dict[int, str] = {}
        self._ipv6 = ipv6
        for text in sources:
            version = ipaddress.ip_address(text).version
            if version in self._sources:
                raise ValueError(f"{text} is a second IPv{version} address; one of each family is allowed")
            self._sources[version] = text

    @property
    def versions(self) -> frozenset[int]:
        """The families that the configuration leaves: 4, 6 or both."""
        return frozenset(self._sources) or frozenset({4, 6} if self._ipv6 else {4})

    def source(self, address: str) -> str | None:
        """The address to connect from to the IP address ``address``; ``None``: the system chooses."""
        return self._sources.get(_version(address))

    def refusal(self, address: str) -> str | None:
        """Why nothing can be sent to the IP address ``address``; ``None``: it may be tried. Nothing is sent."""
        version = _version(address)
        if version == 6 and not self._ipv6:
            return "IPv6 is switched off (delivery.ipv6)"
        if version in self._sources:
            return None
        if self._sources:
            return f"delivery.source_address has no IPv{version} address"
        return None if self._way(address) else f"this machine has no IPv{version} address to send from"


def _version(address: str) -> Version:
    return 6 if ":" in address else 4


def has_way(address: str) -> bool:
    """Whether the system would send to ``address`` from an address of ours that can be answered."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((address, _PORT))
            own = ipaddress.ip_address(probe.getsockname()[0].partition("%")[0])
    except OSError as error:
        return error.errno not in _NO_WAY
    # An address of the link alone is one that nobody beyond it can answer.
    return not own.is_link_local or ipaddress.ip_address(address.partition("%")[0]).is_link_local
