"""Sets of addresses, held against the standard library's networks."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.networks.addresses import (
    EVERYWHERE,
    NOWHERE,
    AddressSet,
    ip_key,
    parse_ip,
    parse_network,
    parse_range,
    parse_subnet,
)

# Few bits differ, so that sets overlap, touch and contain one another.
V4 = st.integers(0, 255).map(lambda low: ipaddress.IPv4Address(0xC0000200 + low))
V6 = st.integers(0, 255).map(lambda low: ipaddress.IPv6Address((0x20010DB8 << 96) + low))
ADDRESSES = V4 | V6
NETWORKS = st.one_of(
    st.builds(lambda at, length: ipaddress.ip_network(f"{at}/{length}", strict=False), V4, st.integers(22, 32)),
    st.builds(lambda at, length: ipaddress.ip_network(f"{at}/{length}", strict=False), V6, st.integers(118, 128)),
)
SETS = st.lists(NETWORKS, max_size=6)


def made(networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> AddressSet:
    return AddressSet(parse_subnet(str(network)) for network in networks)


def inside(address: object, networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network]) -> bool:
    return any(address in network for network in networks)


@given(SETS, ADDRESSES)
def test_membership_is_that_of_the_networks(
    networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network], address: ipaddress.IPv4Address
) -> None:
    assert (ip_key(str(address)) in made(networks)) == inside(address, networks)


@given(SETS, SETS, ADDRESSES)
def test_union_intersection_difference(
    left: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    right: list[ipaddress.IPv4Network | ipaddress.IPv6Network],
    address: ipaddress.IPv4Address,
) -> None:
    key = ip_key(str(address))
    a, b = inside(address, left), inside(address, right)
    assert (key in (made(left) | made(right))) == (a or b)
    assert (key in (made(left) & made(right))) == (a and b)
    assert (key in (made(left) - made(right))) == (a and not b)
    assert (key in made(left).complement()) == (not a)
    assert made(left).complement().complement() == made(left)
    assert made(left) & EVERYWHERE == made(left)
    assert made(left) | NOWHERE == made(left)


@given(V4, V4, V4)
def test_ranges(first: ipaddress.IPv4Address, last: ipaddress.IPv4Address, address: ipaddress.IPv4Address) -> None:
    text = f"{first}-{last}"
    if first > last:
        with pytest.raises(ValueError):
            parse_range(text)
    else:
        assert (ip_key(str(address)) in AddressSet([parse_range(text)])) == (first <= address <= last)


@given(ADDRESSES)
def test_an_address_has_one_key_however_it_is_written(address: ipaddress.IPv4Address) -> None:
    key = ip_key(str(address))
    assert parse_ip(str(address)) == (key, key)
    if address.version == 4:
        assert ip_key(f"::ffff:{address}") == key
        assert parse_ip(f"::ffff:{address}") == (key, key)
        assert key != ip_key(f"::{address}")
    else:
        assert ip_key(f"{address.exploded}%eth0") == key


def test_neighbours_become_one_interval() -> None:
    whole = AddressSet(parse_network(text) for text in ("192.0.2.128/25", "192.0.2.0-192.0.2.127", "192.0.2.7"))
    assert list(whole) == [parse_subnet("192.0.2.0/24")]
    assert len(whole) == 1
    assert hash(whole) == hash(AddressSet([parse_subnet("192.0.2.0/24")]))
    assert len(EVERYWHERE) == 2


@pytest.mark.parametrize(
    ("network", "address", "found"),
    [
        ("0.0.0.0/0", "255.255.255.255", True),
        ("0.0.0.0/0", "::1", False),
        ("::/0", "2001:db8::1", True),
        ("::/0", "192.0.2.1", False),
        ("::/0", "::ffff:192.0.2.1", False),  # that is an IPv4 address
        ("::ffff:192.0.2.0/120", "192.0.2.1", True),
        ("192.0.2.9/24", "192.0.2.200", True),
        ("192.0.2.0/24", "192.0.2", False),
        ("192.0.2.0/24", "", False),
        ("192.0.2.0/24", "192.0.2.1\n", False),
        ("192.0.2.0/24", "host.example", False),
    ],
)
def test_corners(network: str, address: str, found: bool) -> None:
    assert (ip_key(address) in AddressSet([parse_network(network)])) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "192.0.2",
        "192.0.2.256",
        "192.0.02.1",
        " 192.0.2.1",
        "192.0.2.0/33",
        "192.0.2.0/",
        "192.0.2.0/-1",
        "192.0.2.0/255.255.255.0",
        "192.0.2.0/٢٤",
        "2001:db8::/129",
        "fe80::1%eth0",
        "192.0.2.9-192.0.2.1",
        "192.0.2.1-2001:db8::1",
        "192.0.2.1-",
        "192.0.2.1-192.0.2.2-192.0.2.3",
        "host.example",
    ],
)
def test_what_is_no_network(text: str) -> None:
    with pytest.raises(ValueError):
        parse_network(text)


def test_each_form_has_its_own_parser() -> None:
    for parse, text in ((parse_range, "192.0.2.1"), (parse_subnet, "192.0.2.1"), (parse_ip, "192.0.2.0/24")):
        with pytest.raises(ValueError):
            parse(text)
