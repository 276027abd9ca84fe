"""Requests out of octets: the same ones however the octets are cut, and nothing but a refusal out of nonsense."""

from __future__ import annotations

import os
import random
import time
import tracemalloc

import pytest

from ekiden.listeners.http_config import HttpConfig
from ekiden.listeners.http_parser import PIECE, Head, HttpRefusal, RequestParser

CONFIG = HttpConfig(max_url=1024, max_header_field=1024, max_header=4096, max_header_fields=10)
CASES = int(os.environ.get("EKIDEN_FUZZ_CASES", "3000"))
HOST = b"Host: a\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
UPGRADE = b"Connection: upgrade\r\nUpgrade: h2c\r\n"
STREAMS = [
    b"GET / HTTP/1.1\r\n" + HOST + b"\r\nGET /b?c#d HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /a HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\n12345GET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /a HTTP/1.1\r\n"
    + HOST
    + CHUNKED
    + b"3;x=y\r\nabc\r\n1\r\nd\r\n0\r\nT: v\r\n\r\nGET / HTTP/1.1\r\n"
    + HOST
    + b"\r\n",
    b"POST /a HTTP/1.1\r\n"
    + HOST
    + UPGRADE
    + b"Content-Length: 7\r\n\r\nGET / HGET / HTTP/1.1\r\n"
    + HOST
    + b"\r\n",
    b"POST /a HTTP/1.1\r\n"
    + HOST
    + UPGRADE
    + CHUNKED
    + b"3\r\nGET\r\n0\r\n\r\nGET / HTTP/1.1\r\n"
    + HOST
    + b"\r\n",
    b"GET /a HTTP/1.1\r\n" + HOST + UPGRADE + b"\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST /a HTTP/1.0\r\nContent-Length: 2\r\n\r\nabGET / HTTP/1.0\r\n\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\nHEAD http://a/b HTTP/1.1\r\n" + HOST + b"\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\n" + HOST + UPGRADE + b"Transfer-Encoding: gzip\r\n\r\nabc",
    b"POST / HTTP/1.1\r\n" + HOST + CHUNKED + b"0\r\n" + b"T: v\r\n" * 20 + b"\r\n",
    b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 20 + b"\r\n",
    b"GET /" + b"x" * 1500 + b" HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET / HTTP/1.1\r\n" + HOST + b"a: " + b"x" * 1500 + b"\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\n" + HOST + b"\r\nabc",
    b"\r\n\r\nGET / HTTP/1.1\r\n" + HOST + b"\r\n",
]


class Requests:
    """What was parsed."""

    def __init__(self) -> None:
        self.found: list[tuple[Head, bytearray, list[bool]]] = []
        self.begun = 0

    def request_begins(self) -> bool:
        self.begun += 1
        return True

    def head_complete(self, head: Head) -> None:
        self.found.append((head, bytearray(), []))

    def content(self, part: bytes) -> bool:
        self.found[-1][1].extend(part)
        return True

    def request_complete(self) -> None:
        self.found[-1][2].append(True)


def parse(*pieces: bytes) -> tuple[list[tuple[Head, bytearray, list[bool]]], HttpRefusal | None]:
    requests = Requests()
    parser = RequestParser(CONFIG, requests)
    for piece in pieces:
        for at in range(0, len(piece), PIECE):
            refusal = parser.feed(memoryview(piece)[at : at + PIECE])
            if refusal is not None:
                assert parser.stopped
                method, path, _ = parser.partial()
                assert method
                assert not path or path[:1] == b"/"
                return requests.found, refusal
    return requests.found, None


@pytest.mark.parametrize("stream", STREAMS, ids=range(len(STREAMS)))
def test_every_cut_gives_the_same_requests(stream: bytes) -> None:
    whole = parse(stream)
    for at in range(1, len(stream)):
        assert parse(stream[:at], stream[at:]) == whole, at
    assert parse(*(stream[at : at + 1] for at in range(len(stream)))) == whole


@pytest.mark.parametrize(
    ("number", "requests", "status"),
    [(2, 2, 0), (3, 2, 0), (4, 2, 0), (5, 2, 0), (7, 1, 0), (9, 0, 400), (10, 1, 400), (11, 1, 431), (15, 0, 501)],
)
def test_what_they_are(number: int, requests: int, status: int) -> None:
    found, refusal = parse(STREAMS[number])
    assert len(found) == requests
    assert (refusal.status if refusal else 0) == status
    if not status:
        assert all(ended for _, _, ended in found)


def mutated(chance: random.Random) -> bytes:
    """A stream with a few octets changed, doubled, cut or put elsewhere; now and then only nonsense."""
    if chance.random() < 0.05:
        return chance.randbytes(chance.randrange(1, 3000))
    octets = bytearray(chance.choice(STREAMS))
    for _ in range(chance.randrange(1, 6)):
        at = chance.randrange(len(octets) + 1)
        kind = chance.randrange(5)
        if kind == 0:
            octets[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            octets[at:at] = chance.choice(
                (b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\0", b"%", b"0", b"-", b"\xff")
            )
        elif kind == 2:
            del octets[at : at + chance.randrange(1, 8)]
        elif kind == 3:
            octets[at:at] = octets[at : at + 40] * chance.randrange(1, 200)
        else:
            other = chance.choice(STREAMS)
            octets[at:] = other[chance.randrange(len(other)) :]
    return bytes(octets)


def test_nonsense_is_refused_and_nothing_else_happens() -> None:
    chance = random.Random(9)
    tracemalloc.start()
    try:
        for number in range(CASES):
            octets = mutated(chance)
            cuts = sorted(chance.randrange(len(octets) + 1) for _ in range(chance.randrange(4)))
            pieces = [octets[a:b] for a, b in zip([0, *cuts], [*cuts, len(octets)], strict=True) if a < b]
            began = time.thread_time()
            parse(*pieces)
            assert time.thread_time() - began < 1.0, (number, octets)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()
