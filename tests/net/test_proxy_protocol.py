"""PROXY headers: parsing, taking them from sockets, and the sockets and networks around them."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.net.listen import Networks, open_listener, parse_listen_address
from ekiden.net.proxy_protocol import (
    V2_SIGNATURE,
    BadProxyHeader,
    ProxyHeader,
    parse_proxy_header,
    read_proxy_header,
)

V4 = ProxyHeader(0, ("192.0.2.1", 56324), ("198.51.100.2", 587))
V6 = ProxyHeader(0, ("2001:db8::1", 56324), ("2001:db8::2", 465))


def v2(command: int, family: int, payload: bytes, *, version: int = 2) -> bytes:
    return V2_SIGNATURE + bytes([version << 4 | command, family]) + struct.pack("!H", len(payload)) + payload


def v2_tcp(header: ProxyHeader, *, tlvs: bytes = b"") -> bytes:
    assert header.source is not None
    assert header.destination is not None
    family = socket.AF_INET6 if ":" in header.source[0] else socket.AF_INET
    addresses = b"".join(socket.inet_pton(family, end[0]) for end in (header.source, header.destination))
    ports = struct.pack("!HH", header.source[1], header.destination[1])
    return v2(1, 0x21 if family == socket.AF_INET6 else 0x11, addresses + ports + tlvs)


GOOD = [
    (b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 587\r\n", V4),
    (b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 465\r\n", V6),
    (b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 56324 587\r\n", V4),
    (b"PROXY UNKNOWN\r\n", ProxyHeader(0, None, None)),
    (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", ProxyHeader(0, None, None)),
    (v2_tcp(V4), V4),
    (v2_tcp(V6), V6),
    (v2_tcp(V4, tlvs=b"\x04\x00\x03abc" * 20), V4),
    (v2(0, 0, b""), ProxyHeader(0, None, None)),
    (v2(0, 0x11, bytes(12)), ProxyHeader(0, None, None)),
    (v2(1, 0, b""), ProxyHeader(0, None, None)),
    (v2(1, 0x12, bytes(12)), ProxyHeader(0, None, None)),
    (v2(1, 0x31, bytes(216)), ProxyHeader(0, None, None)),
]
BAD = [
    b"EHLO a\r\n",
    b"\x16\x03\x01\x02\x00",
    b"PROXY\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 587 1\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.2 56324 587\r\n",
    b"PROXY TCP4 2001:db8::1 2001:db8::2 56324 587\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 65536 587\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 -1 587\r\n",
    b"PROXY TCP4 192.0.2.1 198.51.100.2 0587 587\r\n",
    b"PROXY UDP4 192.0.2.1 198.51.100.2 1 587\r\n",
    b"PROXY \xff\xfe\r\n",
    b"PROXY UNKNOWN" + b" " * 200 + b"\r\n",
    b"PROXY UNKNOWN" + b" " * 200,
    v2(1, 0x11, bytes(11)),
    v2(1, 0x21, bytes(35)),
    v2(2, 0x11, bytes(12)),
    v2(1, 0x11, bytes(12), version=1),
    V2_SIGNATURE + b"\x21\x11\xff\xff",
]


@pytest.mark.parametrize(("data", "expected"), GOOD)
def test_whole_and_byte_by_byte(data: bytes, expected: ProxyHeader) -> None:
    rest = b"\x16\x03\x01EHLO"
    assert parse_proxy_header(data + rest) == expected._replace(length=len(data))
    for end in range(len(data)):
        assert parse_proxy_header(data[:end]) is None


@pytest.mark.parametrize("data", BAD)
def test_bad_headers(data: bytes) -> None:
    with pytest.raises(BadProxyHeader):
        parse_proxy_header(data)


@given(
    st.one_of(st.binary(), st.binary().map(lambda b: V2_SIGNATURE + b), st.binary().map(lambda b: b"PROXY " + b))
)
def test_any_octets_are_a_header_or_not(data: bytes) -> None:
    try:
        header = parse_proxy_header(data)
    except BadProxyHeader:
        return
    assert header is None or header.length <= len(data)


@pytest.mark.parametrize(("data", "expected"), [GOOD[0], GOOD[6], GOOD[3], GOOD[8]])
@pytest.mark.parametrize("step", [1, 7, 1000])
async def test_what_follows_stays_in_the_socket(data: bytes, expected: ProxyHeader, step: int) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        reading = asyncio.create_task(read_proxy_header(theirs, 10))
        for start in range(0, len(data), step):
            ours.send(data[start : start + step] + (b"\x16\x03\x01" if start + step >= len(data) else b""))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        assert await reading == expected._replace(length=len(data))
        assert theirs.recv(100) == b"\x16\x03\x01"


@pytest.mark.parametrize("data", [b"", b"PROXY TCP4 192.0", V2_SIGNATURE, b"EHLO a\r\n"])
async def test_a_peer_that_closes_early(data: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.send(data)
        ours.close()
        with pytest.raises(BadProxyHeader):
            await read_proxy_header(theirs, 10)


async def test_a_peer_that_says_nothing() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        ours.send(b"PROXY TCP4")
        with pytest.raises(TimeoutError):
            await read_proxy_header(theirs, 0.02)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:587", "127.0.0.1", 587), ("[::]:0", "::", 0), ("[2001:DB8::1]:65535", "2001:db8::1", 65535)],
)
def test_listen_addresses(text: str, host: str, port: int) -> None:
    address = parse_listen_address(text)
    assert address == (host, port)
    assert parse_listen_address(str(address)) == address


@pytest.mark.parametrize("text", ["", "587", ":587", "127.0.0.1", "::1:587", "[127.0.0.1]:25", "a.b:25", "[::1]:x"])
def test_texts_that_are_no_listen_address(text: str) -> None:
    with pytest.raises(ValueError):
        parse_listen_address(text)


def test_two_workers_share_a_port_and_both_families_stand_beside_each_other() -> None:
    with open_listener("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with open_listener("127.0.0.1", port), open_listener("::1", port), open_listener("::1", port):
            pass
    with pytest.raises(OSError):
        open_listener("192.0.2.1", 0)


@pytest.mark.parametrize(
    ("address", "inside"),
    [
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("11.0.0.0", False),
        ("fd00::1", True),
        ("fe80::1%eth0", False),
        ("::1", True),
        ("", False),
        ("nonsense", False),
    ],
)
def test_networks(address: str, inside: bool) -> None:
    assert (address in Networks(["10.0.0.0/8", "fd00::/8", "::1"])) is inside
    assert address not in Networks()
    assert not Networks()
