"""Which addresses strangers may make us connect to: they name recipients' domains and callback URLs, and we must
not knock for them at doors that are open to us alone (server-side request forgery, mail that comes back as ours).

Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890), RFC 5735 and RFC 8190; in
IPv6 everything outside the one block that is given out for the public (2000::/3) is refused. Addresses that carry
an IPv4 address inside (RFC 4291 §2.5.5, RFC 6052, RFC 3056, RFC 4380) are judged by that one as well. The addresses
of this machine are refused whatever block they are of.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator
from typing import Final

from ekiden.net.network import is_loopback

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_SPECIAL: Final[tuple[tuple[Network, str], ...]] = tuple(
    (ipaddress.ip_network(network), what)
    for network, what in (
        ("0.0.0.0/8", "this network"),
        ("10.0.0.0/8", "a private network"),
        ("100.64.0.0/10", "the shared space of carriers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local, where clouds keep their metadata"),
        ("172.16.0.0/12", "a private network"),
        ("192.0.0.0/24", "reserved for protocols"),
        ("192.0.2.0/24", "for documentation"),
        ("192.88.99.0/24", "the former relay of 6to4"),
        ("192.168.0.0/16", "a private network"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("240.0.0.0/4", "reserved"),
        ("168.63.129.16/32", "a cloud's metadata"),  # public by number, but answers inside of Azure only
        ("2001::/23", "reserved for protocols"),
        ("2001:db8::/32", "for documentation"),
        ("3fff::/20", "for documentation"),
    )
)
_PUBLIC_V6: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_LOW_32: Final = 0xFFFF_FFFF

OURS: Final = "an address of this machine"


class Destinations:
    """The policy of an installation, for one kind of connection.

    ``allowed_networks`` are reachable although they are not public, ``refused_networks`` never. ``loopback_only``
    is the switch of the lab: then loopback is all that is reachable, and always.
    """

    def __init__(
        self,
        allowed_networks: Iterable[str] = (),
        *,
        refused_networks: Iterable[str] = (),
        loopback_only: bool = False,
    ) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allowed_networks)
        self._never = tuple(ipaddress.ip_network(network) for network in refused_networks)
        self._loopback_only = loopback_only

    def refusal(self, text: str) -> str | None:
        """Why the IP address ``text`` must not be connected to; ``None``: it may be."""
        if self._loopback_only:
            return None if is_loopback(text) else "in lab mode nothing but loopback may be contacted"
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return "it is not an IP address"
        for each in (address, *_inside(address)):
            why = self._refused(each)
            if why is not None:
                return why
        return None

    def _refused(self, address: Address) -> str | None:
        if _within(address, self._never):
            return "a network that the configuration refuses"
        if _within(address, self._allowed):
            return None
        for network, what in _SPECIAL:
            if address.version == network.version and address in network:
                return what
        if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_V6:
            # What only wraps an IPv4 address is judged by that one, which comes next.
            return None if address.ipv4_mapped is not None or address in _NAT64 else "not a public address"
        return OURS if is_ours(address) else None


def _within(address: Address, networks: tuple[Network, ...]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def is_ours(address: Address) -> bool:
    """Whether ``address`` is one of an interface of this machine, as the system sees it at this moment.

    Nothing is sent: a socket can be bound to our own addresses only. Where the system allows to bind to any
    (``ip_nonlocal_bind``), what it would send from says it.
    """
    return _can_bind(address) and (not _can_bind(_NOBODY[address.version]) or _sends_from(address) == str(address))


_NOBODY: Final[dict[int, Address]] = {
    4: ipaddress.IPv4Address("192.0.2.1"),
    6: ipaddress.IPv6Address("2001:db8::1"),
}


def _udp(address: Address) -> socket.socket:
    return socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, socket.SOCK_DGRAM)


def _can_bind(address: Address) -> bool:
    try:
        with _udp(address) as probe:
            probe.bind((str(address), 0))
    except OSError:
        return False
    return True


def _sends_from(address: Address) -> str:
    try:
        with _udp(address) as probe:
            probe.connect((str(address), 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _inside(address: Address) -> Iterator[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 address leads to."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            yield address.ipv4_mapped
        if address in _NAT64:
            yield ipaddress.IPv4Address(int(address) & _LOW_32)
        if address.sixtofour is not None:
            yield address.sixtofour
        if address.teredo is not None:
            yield from address.teredo
