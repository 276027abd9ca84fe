"""Which addresses and ports callbacks may reach: customers name the URLs, and we must not knock for them at doors
that are open to us alone (server-side request forgery).

Sources: the IANA registries of special-purpose addresses for IPv4 and IPv6 (RFC 6890), RFC 5735 and RFC 8190; in
IPv6 everything outside the one block that is given out for the public (2000::/3) is refused. Addresses that carry
an IPv4 address inside (RFC 4291 §2.5.5, RFC 6052, RFC 3056, RFC 4380) are judged by that one as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from ekiden.net.network import is_loopback
from ekiden.notify.errors import ForbiddenDestination

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

# Ports on which something else than HTTP listens and may take a request for commands: the list of the Fetch
# standard (fetch.spec.whatwg.org, "port blocking").
# fmt: off
_BAD_PORTS: Final = frozenset((
    0, 1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104,
    109, 110, 111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515,
    526, 530, 531, 532, 540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049,
    3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
))
# fmt: on


class Destinations:
    """The policy of an installation.

    ``allowed_networks`` are reachable although they are not public. ``loopback_only`` is the switch of the lab:
    then loopback is all that is reachable, and always.
    """

    def __init__(self, allowed_networks: Iterable[str] = (), *, loopback_only: bool = False) -> None:
        self._allowed = tuple(ipaddress.ip_network(network) for network in allowed_networks)
        self._loopback_only = loopback_only

    def check_port(self, port: int) -> None:
        """Raises ``ForbiddenDestination`` for a port where another protocol is spoken."""
        if port in _BAD_PORTS:
            raise ForbiddenDestination(
                "callbacks are not sent to port {port}: other protocols are spoken there", port=port
            )

    def check_address(self, text: str) -> None:
        """Raises ``ForbiddenDestination`` unless a callback may connect to the IP address."""
        if self._loopback_only:
            if not is_loopback(text):
                raise _forbidden(text, "in lab mode nothing but loopback may be contacted")
            return
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            raise _forbidden(text, "it is no IP address") from None
        for each in (address, *_inside(address)):
            why = self._refused(each)
            if why is not None:
                raise _forbidden(text, why)

    def _refused(self, address: Address) -> str | None:
        """Why the address is refused; ``None``: it is not."""
        if any(address.version == network.version and address in network for network in self._allowed):
            return None
        for network, what in _SPECIAL:
            if address.version == network.version and address in network:
                return what
        if isinstance(address, ipaddress.IPv6Address) and address not in _PUBLIC_V6:
            # What only wraps an IPv4 address is judged by that one, which comes next.
            return None if address.ipv4_mapped is not None or address in _NAT64 else "not a public address"
        return None


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


def _forbidden(address: str, why: str) -> ForbiddenDestination:
    return ForbiddenDestination("callbacks are not sent to {address}: {why}", address=address, why=why)
