"""Sets of IP addresses: sorted intervals, membership by binary search.

Every address is one integer: IPv4 as it is, IPv6 above all of IPv4. IPv4-mapped IPv6 addresses (RFC 4291 §2.5.5.2)
are the IPv4 addresses they stand for, in sets as well as in questions.
"""

from __future__ import annotations

import ipaddress
import socket
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Final

Interval = tuple[int, int]
"""First and last key, both included; ends are of the same family."""

_IPV6: Final = 1 << 128
_MAPPED: Final = 0xFFFF << 32
_MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"


def ip_key(address: str) -> int | None:
    """The key of an address as a peer has it, with or without a scope; ``None``: it is no IP address."""
    try:
        if ":" not in address:
            return int.from_bytes(socket.inet_pton(socket.AF_INET, address))
        packed = socket.inet_pton(socket.AF_INET6, address.partition("%")[0])
    except (OSError, ValueError):
        return None
    if packed.startswith(_MAPPED_PREFIX):
        return int.from_bytes(packed[12:])
    return _IPV6 + int.from_bytes(packed)


def parse_ip(text: str) -> Interval:
    """One address. Raises ``ValueError``."""
    return _interval(*(ipaddress.ip_address(text),) * 2)


def parse_range(text: str) -> Interval:
    """``first-last``, both of one family. Raises ``ValueError``."""
    first, found, last = text.partition("-")
    if not found:
        raise ValueError("a range is written first-last")
    return _interval(ipaddress.ip_address(first), ipaddress.ip_address(last))


def parse_subnet(text: str) -> Interval:
    """``address/length`` (RFC 4632 §3.1); bits behind the prefix do not matter. Raises ``ValueError``."""
    address, found, length = text.partition("/")
    if not found or not (length.isascii() and length.isdecimal()):
        raise ValueError("a subnet is written address/length")
    network = ipaddress.ip_network(f"{address}/{int(length)}", strict=False)
    return _interval(network.network_address, network.broadcast_address)


def parse_network(text: str) -> Interval:
    """An address, a range or a subnet. Raises ``ValueError``."""
    if "/" in text:
        return parse_subnet(text)
    return parse_range(text) if "-" in text else parse_ip(text)


def _interval(
    first: ipaddress.IPv4Address | ipaddress.IPv6Address, last: ipaddress.IPv4Address | ipaddress.IPv6Address
) -> Interval:
    if first.version != last.version:
        raise ValueError("both ends are of the same family")
    if int(first) > int(last):
        raise ValueError("the first address is behind the last one")
    if isinstance(first, ipaddress.IPv6Address) and isinstance(last, ipaddress.IPv6Address):
        if first.scope_id is not None or last.scope_id is not None:
            raise ValueError("a scope means something on one machine only")
        if first.ipv4_mapped is not None and last.ipv4_mapped is not None:
            return int(first) - _MAPPED, int(last) - _MAPPED
        return _IPV6 + int(first), _IPV6 + int(last)
    return int(first), int(last)


class AddressSet:
    """An unchangeable set. ``key in set`` takes a key of ``ip_key``; a union merges what touches."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, intervals: Iterable[Interval] = ()) -> None:
        starts: list[int] = []
        ends: list[int] = []
        for start, end in sorted(intervals):
            # IPv4 ends and IPv6 begins with a gap between them, so no interval grows over both.
            if ends and start <= ends[-1] + 1:
                ends[-1] = max(ends[-1], end)
            else:
                starts.append(start)
                ends.append(end)
        self._starts = starts
        self._ends = ends

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, int):
            return False
        index = bisect_right(self._starts, key) - 1
        return index >= 0 and key <= self._ends[index]

    def __iter__(self) -> Iterator[Interval]:
        return zip(self._starts, self._ends, strict=True)

    def __len__(self) -> int:
        """The number of intervals."""
        return len(self._starts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AddressSet):
            return NotImplemented
        return self._starts == other._starts and self._ends == other._ends

    def __hash__(self) -> int:
        return hash((tuple(self._starts), tuple(self._ends)))

    def __or__(self, other: AddressSet) -> AddressSet:
        return AddressSet([*self, *other])

    def __and__(self, other: AddressSet) -> AddressSet:
        found: list[Interval] = []
        left, right = list(self), list(other)
        i = j = 0
        while i < len(left) and j < len(right):
            start, end = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
            if start <= end:
                found.append((start, end))
            if left[i][1] < right[j][1]:
                i += 1
            else:
                j += 1
        return AddressSet(found)

    def __sub__(self, other: AddressSet) -> AddressSet:
        return self & other.complement()

    def complement(self) -> AddressSet:
        """Every other address."""
        found: list[Interval] = []
        for first, last in _FAMILIES:
            at = first
            for start, end in self:
                if start > last or end < first:
                    continue
                if at < start:
                    found.append((at, start - 1))
                at = end + 1
            if at <= last:
                found.append((at, last))
        return AddressSet(found)


_FAMILIES: Final = ((0, (1 << 32) - 1), (_IPV6, 2 * _IPV6 - 1))
EVERYWHERE: Final = AddressSet(_FAMILIES)
NOWHERE: Final = AddressSet()
