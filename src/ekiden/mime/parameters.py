"""Values with parameters (RFC 2045 §5.1, RFC 2183, RFC 2231), as senders write them, for showing what they say.

Tolerant: quotes that do not end, semicolons that are missing, names in raw ISO-2022-JP or Shift_JIS, whose octets
may look like quotes and backslashes. ``mime.attachments`` is the suspicious side, which tries every reading.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from ekiden.mime.charsets import decode_text, is_utf8
from ekiden.mime.header import decode_words

_MAX_VALUE = 65_536
_MAX_PARAMETERS = 200
_COMMENT = re.compile(rb"\([^()]*\)")
_TYPE = re.compile(rb'["\s]*([^\s;/"]*)\s*(?:/\s*([^\s;,"]*))?')
_TOKEN = re.compile(rb"[^\s;\"()]+")
# A parameter begins where no word goes on. ``%b``: what is one character of two octets or more within quotes.
_PARAMETER = (
    rb"(?<![^\s;\"'])([^\s=;*\"()]++)(?:\*([0-9]{1,4}))?(\*)?[ \t]*+=[ \t]*+"
    rb'(?:"((?:[^"\\\x1b\x81-\xfe]++|%b|\x1b\$[@B][^\x1b]*+|\\.|[\x1b\x81-\xfe])*+)"?'
    # Not in quotes, it goes on to the semicolon, or to a parameter before which there is none.
    rb"|((?:[^;\s]++|\s++(?!(?:charset|boundary|name|filename|type|format)\*?[0-9*]*+=))*+))"
)
_PARAMETERS = re.compile(_PARAMETER % rb"[\xc2-\xf4][\x80-\xbf]++", re.DOTALL | re.IGNORECASE)
_PARAMETERS_DOUBLE = re.compile(_PARAMETER % rb"[\x81-\xfe][\x40-\x7e\x80-\xfe]", re.DOTALL | re.IGNORECASE)
_QUOTED_PAIR = re.compile(rb"(\x1b\$[@B][^\x1b]*+)|\\([\"\\])")
_QUOTED_PAIR_DOUBLE = re.compile(rb"(\x1b\$[@B][^\x1b]*+|[\x81-\xfe][\x40-\x7e\x80-\xfe])|\\([\"\\])")


class Parameters(NamedTuple):
    """``token``: what stands before them. It is in lower case, and so are names; the first of a name counts."""

    token: str
    values: dict[str, str]
    octets: dict[str, bytes]
    """As they came, without quotes: a boundary is octets."""


class _Pieces:
    """What a value says of one name."""

    __slots__ = ("charset", "plain", "split")

    def __init__(self) -> None:
        self.plain: bytes | None = None
        self.split: dict[int, bytes] = {}
        self.charset: str | None = None

    def octets(self) -> bytes:
        if self.split:
            return b"".join(self.split[at] for at in sorted(self.split))
        return self.plain or b""

    def text(self) -> str:
        octets = self.octets()
        if self.split and self.charset is not None:
            return decode_text(octets, self.charset)
        return decode_words(octets)


def read_parameters(value: bytes) -> Parameters:
    """``value`` is that of Content-Type or Content-Disposition, unfolded. Never raises; linear in the octets."""
    value = value[:_MAX_VALUE]
    first = _TOKEN.match(value.lstrip())
    token = b"" if first is None else first[0]
    at = value.find(b";")
    if at < 0 and b"=" not in value:
        return Parameters(token.decode("latin-1").lower(), {}, {})
    pairs, parameters = _QUOTED_PAIR, _PARAMETERS
    if not value.isascii() and not is_utf8(value):
        pairs, parameters = _QUOTED_PAIR_DOUBLE, _PARAMETERS_DOUBLE
    found: dict[str, _Pieces] = {}
    for number, match in enumerate(parameters.finditer(value, max(at, 0))):
        if number >= _MAX_PARAMETERS:
            break
        _collect(found.setdefault(match[1].decode("latin-1").lower(), _Pieces()), match, pairs)
    if b"=" in token:  # a disposition that begins with its parameters
        token = b""
    return Parameters(
        token.decode("latin-1").lower(),
        {name: pieces.text() for name, pieces in found.items()},
        {name: pieces.octets() for name, pieces in found.items()},
    )


def _collect(pieces: _Pieces, match: re.Match[bytes], pairs: re.Pattern[bytes]) -> None:
    _, number, extended, quoted, bare = match.groups()
    octets: bytes = bare.strip() if quoted is None else quoted
    if quoted is not None and b"\\" in quoted:
        octets = pairs.sub(lambda pair: pair[1] or pair[2], quoted)
    if extended is None and number is None:
        if pieces.plain is None:
            pieces.plain = octets
        return
    at = int(number or 0)
    if extended is not None:
        if at == 0 and octets.count(b"'") >= 2 and 0 not in pieces.split:
            pieces.charset = octets.partition(b"'")[0].decode("latin-1")
        octets = percent_decoded(octets, at)
    pieces.split.setdefault(at, octets)


def percent_decoded(octets: bytes, number: int) -> bytes:
    """An extended value of RFC 2231 §4; its first piece begins with charset and language."""
    return unquote_to_bytes(octets.split(b"'", 2)[-1] if number == 0 else octets)


def media_type(value: bytes) -> str:
    """``type/subtype`` of a Content-Type, in lower case; what is no type is a word of its own or ``text/plain``."""
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
