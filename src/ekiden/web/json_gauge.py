"""How large a JSON text is going to be, counted before it is decoded, as its octets come in.

A decoder makes an object of each few octets: 40 MB of ``{},{},`` are a second of one call that lets nobody else
run, and gigabytes. Counting takes a few passes of C over each piece. What is no JSON is counted somehow, and then
refused by the decoder.
"""

from __future__ import annotations

from itertools import accumulate
from typing import Final

from ekiden.web.errors import TooDeep, TooMany

MAX_ESCAPES: Final = 3_000_000
"""``\\\\n``, ``\\\\u0041``: twelve nanoseconds each while nothing else runs. 9 MB of Japanese have them."""

MAX_PLAIN: Final = 6_291_456
"""Octets outside of strings, blanks among them: eight nanoseconds each, as digits of a number."""

_PIECE: Final = 65_536
_MARKS: Final = b"{}[],"
_OTHERS: Final = bytes(set(range(256)) - set(_MARKS))
_STEPS: Final = [0] * 256
for _open, _close in (b"{}", b"[]"):
    _STEPS[_open], _STEPS[_close] = 1, -1


class JsonGauge:
    """``values``: of members, elements, objects and arrays together; ``depth``: of objects and arrays."""

    __slots__ = (
        "_bounded",
        "_depth",
        "_escapes",
        "_inside",
        "_level",
        "_most",
        "_plain",
        "_rest",
        "_strings",
        "_values",
    )

    def __init__(self, values: int, depth: int, *, at_once: bool = True) -> None:
        """``at_once``: it is decoded in one call, which must not take too long."""
        self._bounded = at_once
        self._most = values
        self._depth = depth
        self._values = 0
        self._level = 0
        self._escapes = 0
        self._plain = 0
        self._strings = 0
        self._inside = 0
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """More of it; pieces of some 64 KiB keep nobody. Raises ``TooMany``, ``TooDeep``."""
        if self._rest:
            piece = self._rest + piece
            self._rest = b""
        if b"\\" in piece:
            self._escapes += piece.count(b"\\")
            if self._bounded and self._escapes > MAX_ESCAPES:
                raise TooMany(MAX_ESCAPES)
            piece = piece.replace(b"\\\\", b"")
            if piece.endswith(b"\\"):  # what it escapes is yet to come
                piece = piece[:-1]
                self._rest = b"\\"
                self._escapes -= 1
            piece = piece.replace(b'\\"', b"")
        parts = piece.split(b'"')
        # Each value is a member's or an element's, and has a name and a text at most.
        self._strings += len(parts) - 1
        if self._strings > 4 * self._most + 4:
            raise TooMany(self._most)
        outside = b"".join(parts[self._inside :: 2])
        self._inside ^= (len(parts) - 1) & 1
        self._plain += len(outside)
        if self._bounded and self._plain > MAX_PLAIN:
            raise TooMany(self._most)
        outside = outside.translate(None, _OTHERS)
        if not outside:
            return
        opened = outside.count(b"{") + outside.count(b"[")
        self._values += outside.count(b",") + opened
        if self._values > self._most:
            raise TooMany(self._most)
        if self._level + opened <= self._depth:
            self._level += opened - outside.count(b"}") - outside.count(b"]")
            return
        levels = list(accumulate(map(_STEPS.__getitem__, outside), initial=self._level))
        if max(levels) > self._depth:
            raise TooDeep(self._depth)
        self._level = levels[-1]


def measure(text: bytes | bytearray, values: int, depth: int) -> None:
    """A whole JSON text that is in memory already. Raises ``TooMany``, ``TooDeep``."""
    gauge = JsonGauge(values, depth)
    for at in range(0, len(text), _PIECE):
        gauge.feed(bytes(text[at : at + _PIECE]))
