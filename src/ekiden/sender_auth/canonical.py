"""Canonical forms of header fields and bodies (RFC 6376 §3.4).

Lines end with CRLF; a bare CR or LF is an ordinary octet. Blanks are SP and HTAB and nothing else; octets above 127
stay as they are. Everything works on whole blocks and does nothing where nothing is to be changed, because it runs
for each message that is sent. No input makes it slower than linear: blanks are first made single, so that those at
the end of a line need no search that starts at each octet of a run. ``BodyHash`` works in slices: a large body
would keep the interpreter, and with it every other thread, for longer than anybody should wait.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import Literal

Canonicalization = Literal["simple", "relaxed"]

SLICE = 65_536
"""Octets of a body that are made canonical at once."""
_FIELD_END = re.compile(rb"\r\n(?![ \t])")
_BLANKS = b" \t"
_RUNS = (b" " * 16, b" " * 4)


def split_fields(block: bytes) -> list[bytes]:
    """The fields of a header block (``mime.scan.Header.raw``) in order, as they are but for their last CRLF.

    Lines that are no fields are among them; ``field_name`` gives them a name that no field has.
    """
    fields = _FIELD_END.split(block)
    if not fields[-1]:
        fields.pop()
    return fields


def field_name(raw: bytes) -> bytes:
    """The name of a field in lower case, without the blanks that RFC 5322 §4.5.8 allows before the colon.

    Empty for a line without a colon. A line with blanks inside its "name" gives a name that has blanks.
    """
    name, colon, _ = raw.partition(b":")
    return name.rstrip(_BLANKS).lower() if colon else b""


def canonical_field(raw: bytes, how: Canonicalization) -> bytes:
    """A field in its canonical form (§3.4.1, §3.4.2), like ``raw`` without its last CRLF (see ``split_fields``)."""
    if how == "simple":
        return raw
    name, _, value = raw.partition(b":")
    if b"\r\n" in value:
        value = value.replace(b"\r\n", b"")
    return name.rstrip(_BLANKS).lower() + b":" + _single_blanks(value).strip(b" ")


def canonical_body(body: bytes, how: Canonicalization) -> bytes:
    """The body in its canonical form (§3.4.3, §3.4.4). An empty one is CRLF when simple, and empty when relaxed."""
    if how == "simple":
        return _without_empty_end(body) or b"\r\n"
    body = canonical_lines(body, how)
    # A last line without CRLF gets one on the way (RFC 5321 §4.1.1.4), which makes its last blank a trailing one.
    if body.endswith(b" "):
        body = body[:-1]
    return _without_empty_end(body)


def canonical_lines(lines: bytes, how: Canonicalization) -> bytes:
    """Whole lines from inside a body in their canonical form: empty ones at the end stay, as others follow."""
    if how == "simple":
        return lines
    lines = _single_blanks(lines)
    return lines.replace(b" \r\n", b"\r\n") if b" \r\n" in lines else lines


def _single_blanks(text: bytes) -> bytes:
    if b"\t" in text:
        text = text.replace(b"\t", b" ")
    if b"  " in text:
        # Five times as fast as a regular expression where short runs are many, which somebody may send on purpose;
        # each round halves what is left.
        for run in _RUNS:
            if run in text:
                text = text.replace(run, b" ")
        while b"  " in text:
            text = text.replace(b"  ", b" ")
    return text


def _without_empty_end(body: bytes) -> bytes:
    """``body`` without empty lines at its end, the last line with its CRLF; empty when there is no other line."""
    if not body.endswith(b"\r\n"):
        return body + b"\r\n" if body else body
    if body.endswith(b"\r\n\r\n") or len(body) == 2:
        end = _end_of_text(body)
        return body[:end] + b"\r\n" if end else b""
    return body


def _end_of_text(body: bytes) -> int:
    """Where the CRLFs at the end of ``body`` begin."""
    text = len(body.rstrip(b"\r\n"))
    # Behind the text there are only CR and LF. They are pairs from the last place on where two equal ones meet.
    broken = max(body.rfind(b"\n\n", text), body.rfind(b"\r\r", text))
    start = text if broken < 0 else broken + 1
    return start + 1 if body[start : start + 1] == b"\n" else start


class BodyHash:
    """The SHA-256 of ``canonical_body`` of a body that is fed bit by bit."""

    __slots__ = ("_empty_lines", "_hash", "_how", "_lengths", "_rest", "_some", "beginnings", "octets")

    def __init__(self, how: Canonicalization, lengths: Iterable[int] = ()) -> None:
        """``lengths``: of beginnings of the canonical body whose SHA-256 is wanted too (``l=``)."""
        self._how = how
        self._hash = hashlib.sha256()
        self._lengths = sorted(set(lengths), reverse=True)
        self.beginnings: dict[int, bytes] = {}
        """The SHA-256 by length; none of those that are longer than the body."""
        self.octets = 0
        """Of the canonical body."""
        self._rest = b""
        """A blank or a CR at the end, which may belong to a line end."""
        self._empty_lines = 0
        """Line ends behind the text so far: the first one ends its last line."""
        self._some = False

    def update(self, piece: bytes) -> None:
        text = self._rest + piece
        if self._how == "relaxed":
            text = canonical_lines(text, "relaxed")
        kept = len(text) - 1 if text.endswith(b"\r") else len(text)
        if self._how == "relaxed" and kept and text[kept - 1] == 0x20:
            kept -= 1
        self._rest, text = text[kept:], text[:kept]
        end = _end_of_text(text) if text.endswith(b"\r\n") else len(text)
        if end:
            self._write(text[:end])
            self._empty_lines = 0
        self._empty_lines += (len(text) - end) // 2

    def digest(self) -> bytes:
        """When all has been fed."""
        if self._rest and self._rest != b" ":  # a last line's blank goes, its CR is text
            self._write(self._rest)
        self._hashed(b"\r\n" if self._some or self._how == "simple" else b"")
        return self._hash.digest()

    def _write(self, text: bytes) -> None:
        while self._empty_lines:
            some = min(self._empty_lines, SLICE)
            self._hashed(b"\r\n" * some)
            self._empty_lines -= some
        self._hashed(text)
        self._some = True

    def _hashed(self, text: bytes) -> None:
        while self._lengths and self._lengths[-1] <= self.octets + len(text):
            length = self._lengths.pop()
            self._hash.update(text[: length - self.octets])
            text = text[length - self.octets :]
            self.octets = length
            self.beginnings[length] = self._hash.digest()
        self._hash.update(text)
        self.octets += len(text)
