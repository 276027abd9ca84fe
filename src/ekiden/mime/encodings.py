"""Texts and files as bodies of parts: transfer encodings (RFC 2045 §6), lines of at most 76 characters, CRLF."""

from __future__ import annotations

import re
from binascii import b2a_base64, b2a_qp
from collections.abc import Iterator

from ekiden.mime.boundaries import MARK
from ekiden.mime.japanese import to_jis

BASE64_ROW = 57
"""Octets that one line of base64 holds."""
_BASE64_LINE = 76
# What needs no encoding in any way. Tabs do not, unless a line ends with one.
_PLAIN = bytes(octet for octet in range(0x20, 0x7F) if octet != 0x3D) + b"\t\r\n"
_SEVEN_BIT = re.compile(rb"(?:[\t -~]{0,76}+\r\n)*+[\t -~]{0,76}+")


_PIECE = 262_144
"""Octets that are encoded in one call."""


_MAX_LINE = 998
"""Octets (RFC 5322 §2.1.1)."""


def encode_text(text: str) -> tuple[bytes, bytes]:
    """The name of a transfer encoding, and ``text`` in UTF-8 so encoded: a body that ends with CRLF.

    Line ends of any kind become CRLF. 7bit when that is possible, else the shorter one of quoted-printable and
    base64. No line can be taken for one of our boundaries. A text that does not end with a line end gets one, which
    within a multipart belongs to the boundary behind it.
    """
    octets = _with_line_ends(text).encode("utf-8", "replace")
    if _is_seven_bit(octets) and MARK not in octets:
        return b"7bit", octets if octets.endswith(b"\r\n") else octets + b"\r\n"
    if worth_base64(octets):
        return b"base64", base64_lines(octets)
    return b"quoted-printable", quoted_printable(octets)


def encode_japanese(text: str) -> tuple[bytes, bytes] | None:
    """``encode_text`` in ISO-2022-JP; ``None``: the text has no form in it (``mime.japanese``).

    7bit, as RFC 1468 has it, unless a line is too long.
    """
    octets = to_jis(_with_line_ends(text))
    if octets is None:
        return None
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    boundary = b"--" + MARK
    if octets.startswith(boundary) or b"\n" + boundary in octets or b"\0" in octets:
        return b"base64", base64_lines(octets)
    if max(map(len, octets.split(b"\r\n"))) > _MAX_LINE:
        return b"base64", base64_lines(octets)
    return b"7bit", octets


def _with_line_ends(text: str) -> str:
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.replace("\n", "\r\n")


def worth_base64(octets: bytes) -> bool:
    """Whether a text is shorter so than quoted-printable: 3 for 1 against 4 for 3."""
    special = sum(len(octets[at : at + _PIECE].translate(None, _PLAIN)) for at in range(0, len(octets), _PIECE))
    return special * 6 > len(octets)


def _is_seven_bit(octets: bytes) -> bool:
    """Whether it can stand as it is. Looked at in pieces: one call must not keep everybody for megabytes."""
    return octets.isascii() and all(
        _SEVEN_BIT.fullmatch(octets, start, end) is not None for start, end in _pieces(octets)
    )


def _pieces(octets: bytes) -> Iterator[tuple[int, int]]:
    """Begins and ends of pieces of some ``_PIECE`` octets that end with a line, or within a very long one."""
    start = 0
    while len(octets) - start > _PIECE:
        line = octets.rfind(b"\r\n", start, start + _PIECE) + 2
        end = line if line > 1 else start + _PIECE
        yield start, end
        start = end
    yield start, len(octets)


def quoted_printable(octets: bytes) -> bytes:
    """Text whose line ends are CRLF (RFC 2045 §6.7); ends with CRLF."""
    if not octets.endswith(b"\r\n"):
        octets += b"\r\n"
    if len(octets) <= _PIECE:
        return _quoted(octets)
    encoded = []
    for start, end in _pieces(octets):
        piece = octets[start:end]
        if piece.endswith(b"\r\n"):
            encoded.append(_quoted(piece))
        else:  # within a line: what is added to it is taken off, and it goes on behind a soft line end
            encoded += (_quoted(piece + b"=\r\n")[:-5], b"=\r\n")
    return b"".join(encoded)


def _quoted(octets: bytes) -> bytes:
    # The library takes its soft line ends from the first line end it sees: there is one.
    return b2a_qp(octets, istext=True)


def base64_lines(octets: bytes) -> bytes:
    """``octets`` in lines of 76 characters, each with its CRLF (RFC 2045 §6.8). Nothing for nothing."""
    encoded = b2a_base64(octets, newline=False)
    if not encoded:
        return b""
    lines = [encoded[at : at + _BASE64_LINE] for at in range(0, len(encoded), _BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


def base64_body(octets: bytes) -> bytes:
    """``base64_lines`` of any size, in calls that keep nobody."""
    block = BASE64_ROW * 4096
    return b"".join(base64_lines(octets[at : at + block]) for at in range(0, len(octets), block))


def base64_rows(encoded: bytes) -> bytes:
    """What is base64 already, in lines of 76 characters; whatever its readers pass over goes (RFC 2045 §6.8)."""
    kept = b"".join(encoded[at : at + _PIECE].translate(None, _NOT_BASE64) for at in range(0, len(encoded), _PIECE))
    lines = [kept[at : at + _BASE64_LINE] for at in range(0, len(kept), _BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)


_NOT_BASE64 = b" \t\r\n" + bytes(range(0x80, 0x100))
