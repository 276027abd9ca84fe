"""Values with parameters (RFC 2045 §5.1, RFC 2183, RFC 2231), as senders write them, for showing what they say.

Tolerant: quotes that do not end, semicolons that are missing, names in raw ISO-2022-JP or Shift_JIS, whose octets
may look like quotes and backslashes. ``mime.attachments`` is the suspicious side, which tries every reading.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from urllib.parse import unquote_to_bytes

from ekiden.mime.charsets import decode_text, is_utf8
from ekiden.mime.header import decode_words

_MAX_VALUE = 65_536
_MAX_PARAMETERS = 200
_SHORT = 200
"""Octets of values that are remembered: most messages have the same ones."""
_COMMENT = re.compile(rb"\([^()]*\)")
_TYPE = re.compile(rb'["\s]*([^\s;/"]*)\s*(?:/\s*([^\s;,"]*))?')
_TOKEN = re.compile(rb"[^\s;\"()]+")
# A parameter begins where no word goes on. ``%b``: what is one character of two octets or more within quotes.
_PARAMETER = (
    rb"(?<![^\s;\"])([^\s=;*\"()]++)(?:\*([0-9]{1,4}))?(\*)?[ \t]*+=[ \t]*+"
    rb'(?:"((?:[^"\\\x1b\x81-\xfe]++|%b|\x1b\$[@B][^\x1b]*+|\\.|[\x1b\x81-\xfe])*+)"?'
    # Not in quotes, it goes on to the semicolon, or to a parameter before which there is none.
    rb"|((?:[^;\s]++|\s++(?!(?:charset|boundary|name|filename|type|format)\*?[0-9*]*+=))*+))"
)
_PARAMETERS = re.compile(_PARAMETER % rb"[\xc2-\xf4][\x80-\xbf]++", re.DOTALL | re.IGNORECASE)
_PARAMETERS_DOUBLE = re.compile(_PARAMETER % rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]", re.DOTALL | re.IGNORECASE)
_QUOTED_PAIR = re.compile(rb"(\x1b\$[@B][^\x1b]*+)|\\([\"\\])")
_QUOTED_PAIR_DOUBLE = re.compile(rb"(\x1b\$[@B][^\x1b]*+|[\x81-\xfe][\x40-\x7e\x80-\xfe])|\\([\"\\])")


class Parameters:
    """What a value says. Several share one: it is not to be changed."""

    __slots__ = ("_charsets", "octets", "token")

    def __init__(self, token: str) -> None:
        self.token = token
        """What stands before the parameters, in lower case."""
        self.octets: dict[str, bytes] = {}
        """As they came, without quotes, by their names in lower case; the first of a name counts."""
        self._charsets: dict[str, str] = {}

    def text(self, name: str) -> str:
        """For people; empty: there is none. ``name`` in lower case."""
        octets = self.octets.get(name, b"")
        if octets.isascii() and name not in self._charsets and b"=?" not in octets and b"\x1b" not in octets:
            return octets.decode("ascii").replace("\0", "\ufffd")
        if name in self._charsets:
            return decode_text(octets, self._charsets[name])
        return decode_words(octets)

    def texts(self) -> dict[str, str]:
        """All of them."""
        return {name: self.text(name) for name in self.octets}

    def join(self, name: str, pieces: dict[int, bytes], charset: str | None) -> None:
        """What came in pieces, or encoded: it counts instead of what came plain."""
        self.octets[name] = b"".join(pieces[at] for at in sorted(pieces))
        if charset is not None:
            self._charsets[name] = charset


def read_parameters(value: bytes) -> Parameters:
    """``value`` is that of Content-Type or Content-Disposition, unfolded. Never raises; linear in the octets."""
    return _remembered(value) if len(value) <= _SHORT else _read(value[:_MAX_VALUE])


@lru_cache(maxsize=512)
def _remembered(value: bytes) -> Parameters:
    return _read(value)


def _read(value: bytes) -> Parameters:
    first = _TOKEN.match(value.lstrip())
    token = b"" if first is None else first[0]
    if b"=" not in value:
        return Parameters(token.decode("latin-1").lower())
    if b"=" in token:  # a disposition that begins with its parameters
        token, at = b"", 0
    else:
        at = max(value.find(b";"), 0)
    read = Parameters(token.decode("latin-1").lower())
    pairs, parameters = _QUOTED_PAIR, _PARAMETERS
    if not value.isascii() and not is_utf8(value):
        pairs, parameters = _QUOTED_PAIR_DOUBLE, _PARAMETERS_DOUBLE
    pieces: dict[str, dict[int, bytes]] = {}
    charsets: dict[str, str] = {}
    for match in islice(parameters.finditer(value, at), _MAX_PARAMETERS):
        name, number, extended, quoted, bare = match.groups()
        name = name.decode("latin-1").lower()
        octets = bare.strip() if quoted is None else quoted
        if quoted is not None and b"\\" in quoted:
            octets = pairs.sub(_second, quoted)
        if extended is None and number is None:
            read.octets.setdefault(name, octets)
            continue
        place = int(number or 0)
        some = pieces.setdefault(name, {})
        if extended is not None:
            if place == 0 and 0 not in some and octets.count(b"'") >= 2:
                charsets[name] = octets.partition(b"'")[0].decode("latin-1")
            octets = percent_decoded(octets, place)
        some.setdefault(place, octets)
    for name, some in pieces.items():
        read.join(name, some, charsets.get(name))
    return read


def _second(pair: re.Match[bytes]) -> bytes:
    """Of a quoted pair; a character of several octets stays."""
    whole: bytes = pair[1] or pair[2]
    return whole


def percent_decoded(octets: bytes, number: int) -> bytes:
    """An extended value of RFC 2231 §4; its first piece begins with charset and language."""
    return unquote_to_bytes(octets.split(b"'", 2)[-1] if number == 0 else octets)


def media_type(value: bytes) -> str:
    """``type/subtype`` of a Content-Type, in lower case; what is no type is a word of its own or ``text/plain``."""
    return _remembered_type(value) if len(value) <= _SHORT else _type(value)


@lru_cache(maxsize=512)
def _remembered_type(value: bytes) -> str:
    return _type(value)


def _type(value: bytes) -> str:
    head = value.partition(b";")[0]
    match = _TYPE.match(without_comments(head) if b"(" in head else head)
    assert match is not None  # every part of it is optional
    main = match[1].lower().decode("latin-1")
    if match[2] is None:
        # RFC 2045 §5.2: what is no type means text/plain. Only if it looks harmless: readers go by the name, too.
        return "text/plain" if main in ("", "text", "html", "plain") else main
    return f"{main}/{match[2].lower().decode('latin-1')}"


def without_comments(value: bytes) -> bytes:
    """``value`` without comments in up to three levels; deeper ones leave a type that is no text."""
    for _ in range(3):
        value = _COMMENT.sub(b" ", value)
    return value
