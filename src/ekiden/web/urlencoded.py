"""``application/x-www-form-urlencoded`` (WHATWG URL §5.1), read as it comes.

The library takes a form as a whole and makes a list of everything between two percent signs: 25 MB of ``%41`` are
seconds and gigabytes. Here each piece is decoded by a few passes of C, and nothing but the values is kept.
"""

from __future__ import annotations

import re
from binascii import a2b_qp
from collections.abc import Callable
from typing import Final

from ekiden.web.errors import TooMany

MAX_NAME: Final = 255
"""Octets of a field's name, as it was sent."""
_NOT_ENCODED: Final = re.compile(rb"%(?![0-9A-Fa-f]{2})")


class BadForm(ValueError):
    """It is no form; ``name`` is that of the field that cannot be read, if it is one."""

    def __init__(self, why: str, name: str = "") -> None:
        self.why = why
        self.name = name
        super().__init__(why)


class UrlencodedReader:
    """``field(name, value)`` is called for each field at its end. ``longest``: octets of a value."""

    def __init__(self, field: Callable[[str, str], None], most: int, longest: int) -> None:
        self._field = field
        self._most = most
        self._longest = longest
        self._count = 0
        self._empty = True
        self._name = b""
        self._named = False
        self._value = bytearray()
        self._rest = b""

    def feed(self, piece: bytes) -> None:
        """Raises ``BadForm``, ``TooMany``."""
        if not piece:
            return
        if not piece.isascii():
            raise BadForm("it has octets that are not ASCII")
        self._empty = False
        *whole, last = piece.split(b"&")
        for part in whole:
            self._more(part)
            self._end()
        self._more(last)

    def close(self) -> None:
        """The end of the form. Raises as ``feed``."""
        if not self._empty:
            self._end()

    def _more(self, octets: bytes) -> None:
        if not self._named:
            name, equals, octets = octets.partition(b"=")
            self._name += name
            if len(self._name) > MAX_NAME:
                raise BadForm("it has a field with a long name")
            if not equals:
                return
            self._named = True
        octets = self._rest + octets
        # What follows a percent sign at the end is yet to come.
        cut = octets.rfind(b"%", -2) if len(octets) >= 2 else octets.rfind(b"%")
        self._rest = octets[cut:] if cut >= 0 else b""
        self._value += _decoded(octets[:cut] if cut >= 0 else octets)
        if len(self._value) > self._longest:
            raise BadForm("too long", self._text(self._name))

    def _end(self) -> None:
        if not self._named:
            raise BadForm("it has a field without =")
        self._count += 1
        if self._count > self._most:
            raise TooMany(self._most)
        name = self._text(_decoded(self._name))
        try:
            value = (self._value + _decoded(self._rest)).decode()
        except UnicodeDecodeError:
            raise BadForm("not UTF-8", name) from None
        self._name, self._named, self._rest = b"", False, b""
        self._value = bytearray()
        self._field(name, value)

    @staticmethod
    def _text(name: bytes) -> str:
        try:
            return name.decode()
        except UnicodeDecodeError:
            raise BadForm("it has a field whose name is not UTF-8") from None


def _decoded(octets: bytes) -> bytes:
    octets = octets.replace(b"+", b" ")
    if b"%" not in octets:
        return octets
    # Quoted-printable is the same with another sign, and in C. A sign without its digits stands for itself.
    octets = _NOT_ENCODED.sub(b"%25", octets)
    return a2b_qp(octets.replace(b"=", b"=3D").replace(b"%", b"="))
