"""Bodies out of their transfer encodings (RFC 2045 §6), as far as they can be: broken ones give what is in them.

In pieces, so that a body of megabytes neither keeps other threads nor is in memory more often than it has to be.
"""

from __future__ import annotations

import re
from binascii import Error as BinasciiError
from binascii import a2b_base64, a2b_qp, a2b_uu
from collections.abc import Iterator
from io import BytesIO
from itertools import islice

_PIECE = 262_144
_SAMPLE = 4_096
_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_RUBBISH = bytes(octet for octet in range(0x100) if octet not in _ALPHABET and octet != 0x3D)
_PADDING = re.compile(rb"=+")
_MAX_PADDINGS = 100  # in one piece; honest ones have one
_BASE64_LINE = re.compile(rb"[ \t]*[A-Za-z0-9+/]*=*[ \t]*")
_BASE64_NEXT = re.compile(
    rb"[ \t\r\n]*(?:[A-Za-z0-9+/]{4}){2,19}(?:[ \t\r\n]|[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|\Z)"
)
_TRAILING = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n)")
_LINE_ENDS = re.compile(rb"\r\n?|\n")
_UU_BEGIN = re.compile(rb"(?:^|(?<=[\r\n]))begin(?:-base64)? [0-7]{3,4} [^\r\n]*")
_UU_NAMES = frozenset(("x-uuencode", "uuencode", "x-uue", "uue"))
IDENTITY = frozenset(("", "7bit", "8bit", "binary", "7-bit", "8-bit", "7bits", "8bits", "none"))


def is_known(encoding: str) -> bool:
    """Whether bodies in it can be decoded; ``encoding`` in lower case."""
    return encoding in IDENTITY or encoding in ("base64", "quoted-printable") or encoding in _UU_NAMES


def decode_body(content: bytes, start: int, end: int, encoding: str, limit: int) -> bytes:
    """What ``content[start:end]`` is decoded, at most its first ``limit`` octets.

    ``encoding`` is in lower case. Never fails: what is unknown, or is nothing of the kind, is given as it is.
    """
    if encoding == "base64" and _is_base64(content[start : min(end, start + _SAMPLE)]):
        pieces = _base64(content, start, end)
    elif encoding == "quoted-printable":
        pieces = _quoted_printable(content, start, end)
    elif encoding in _UU_NAMES:
        begin = _UU_BEGIN.search(content, start, end)
        if begin is None:
            return content[start : min(end, start + limit)]
        pieces = _uuencoded(content, begin.end(), end)
    else:
        return content[start : min(end, start + limit)]
    gathered = BytesIO()
    room = limit
    for piece in pieces:
        gathered.write(piece if len(piece) <= room else piece[:room])
        room -= len(piece)
        if room <= 0:
            break
    return gathered.getvalue()


def _is_base64(sample: bytes) -> bool:
    """Not when most of its lines are something else: a text that somebody has labelled so."""
    first = sample[: sample.find(b"\n")].rstrip(b"\r")
    if first and len(first) % 4 == 0 and _BASE64_LINE.fullmatch(first) is not None:
        return True
    lines = [line for line in _LINE_ENDS.split(sample) if line]
    odd = sum(_BASE64_LINE.fullmatch(line) is None for line in lines)
    return odd * 2 <= len(lines)


def _base64(content: bytes, start: int, end: int) -> Iterator[bytes]:
    """Rubbish is passed over. Behind a padding it goes on if there is more of it: not for a footer of a list."""
    rest = b""
    for at in range(start, end, _PIECE):
        stop = min(at + _PIECE, end)
        piece = content[at:stop]
        if b"=" not in piece:
            rest += piece.translate(None, _RUBBISH)
            whole = len(rest) & ~3
            yield a2b_base64(rest[:whole])
            rest = rest[whole:]
            continue
        begin = 0
        for padding in islice(_PADDING.finditer(piece), _MAX_PADDINGS):
            rest += piece[begin : padding.start()].translate(None, _RUBBISH)
            begin = padding.end()
            yield _last_base64(rest)
            rest = b""
            if begin == len(piece):
                break
            if _BASE64_NEXT.match(content, at + begin, end) is None:
                return
        rest += piece[begin:].translate(None, _RUBBISH + b"=")
        whole = len(rest) & ~3
        yield a2b_base64(rest[:whole])
        rest = rest[whole:]
    yield _last_base64(rest)


def _last_base64(kept: bytes) -> bytes:
    """What ends without padding, or with too little of it; a single character is less than an octet."""
    return a2b_base64(kept[: len(kept) - (len(kept) % 4 == 1)] + b"==")


def _quoted_printable(content: bytes, start: int, end: int) -> Iterator[bytes]:
    at = start
    while at < end:
        stop = _cut(content, at, end)
        piece = content[at:stop]
        at = stop
        if b"\n" not in piece:  # the library takes a soft line end to go on until a line feed
            piece = piece.replace(b"\r", b"\r\n")
        if b" \n" in piece or b" \r\n" in piece or b"\t\n" in piece or b"\t\r\n" in piece:
            piece = _TRAILING.sub(b"", piece)  # RFC 2045 §6.7 (3)
        yield a2b_qp(piece)


def _cut(content: bytes, at: int, end: int) -> int:
    """Where a piece ends: behind a line, else anywhere but within ``=XX``."""
    if end - at <= _PIECE:
        return end
    line = content.rfind(b"\n", at + 1, at + _PIECE)
    if line >= 0:
        return line + 1
    mark = content.rfind(b"=", at + _PIECE - 2, at + _PIECE)
    return mark if mark > at else at + _PIECE


def _uuencoded(content: bytes, start: int, end: int) -> Iterator[bytes]:
    """Lines until ``end``; those that are none are passed over."""
    at = start
    while at < end:
        line_end = _LINE_ENDS.search(content, at, min(end, at + _SAMPLE))
        stop = min(end, at + _SAMPLE) if line_end is None else line_end.start()
        line = content[at:stop]
        at = stop if line_end is None else line_end.end()
        if line.rstrip() == b"end":
            return
        yield _uu_line(line)


def _uu_line(line: bytes) -> bytes:
    if not line:
        return b""
    try:
        return a2b_uu(line)
    except BinasciiError:
        pass
    # Some programs write more than the line's first character says.
    try:
        return a2b_uu(line[: (((line[0] - 32) & 63) * 4 + 5) // 3])
    except BinasciiError:
        return b""
