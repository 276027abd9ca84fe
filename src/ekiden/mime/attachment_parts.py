"""Attachments and inline images as what messages of a request share (``core.submission.SharedContent``): their end.

Encoded in base64 as they come in, into pieces of at most 1 MiB: a file of 20 MB costs its 27 MB of pieces and
little more, and is stored once for all recipients.

A part of a composite type (message/rfc822, multipart/...) must not be base64 (RFC 2045 §6.4): such files are sent
as application/octet-stream, and their name says what they are. So is a file whose type is no type.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from html import escape
from urllib.parse import quote

from ekiden.core.submission import SharedContent
from ekiden.mime.boundaries import MIXED, RELATED, begin, end
from ekiden.mime.encodings import BASE64_ROW, base64_lines
from ekiden.mime.file_names import safe_name

MAX_PIECE = 1 << 20
_BLOCK = BASE64_ROW * 4096
"""Octets that are encoded at once."""
_LONGEST_NAME = 255
_UNKNOWN = "application/octet-stream"

_WORD = r"[A-Za-z0-9!#$%&'*+.^_`{|}~\-]+"
_TYPE = re.compile(rf"({_WORD})/({_WORD})")
_PARAMETER = re.compile(rf'({_WORD})\s*=\s*(?:({_WORD})|"({_WORD})")')
_PLAIN_NAME = re.compile(r"(?!.*  )(?!.*=\?)[!#-\[\]-~](?:[ !#-\[\]-~]{0,58}[!#-\[\]-~])?")
_PLAIN_ID = re.compile(r"[A-Za-z0-9!#$&'*+/=?^_`{|}~.@\-]{1,60}")
_NOT_IN_FALLBACK = re.compile(r"[^!#-\[\]-~]+")
_EXTENDED_LINE = 56
"""Characters of a piece of an extended parameter (RFC 2231 §3)."""


@dataclass(frozen=True, slots=True)
class SharedParts:
    """The content, and what the composer has to open before it: see ``mime.compose``."""

    content: SharedContent
    inline: bool
    attached: bool


class SharedBuilder:
    """Takes files in any order; inline images come first in what it builds. ``id`` is that of the content."""

    def __init__(self, id: int) -> None:
        self._id = id
        self._inline = _Pieces()
        self._attached = _Pieces()

    def begin(self, filename: str, content_type: str, *, inline: bool = False) -> PartWriter:
        """A writer for a file whose octets come bit by bit; end it before the next one begins.

        An inline image is ``cid:FILENAME`` for the HTML; see ``content_id`` for names that cannot be one.
        """
        pieces = self._inline if inline else self._attached
        pieces.begin(RELATED if inline else MIXED)
        name = safe_name(filename) or ("image" if inline else "attachment")
        lines = [
            b"Content-Type: " + _content_type(content_type),
            b"Content-Disposition: " + (b"inline" if inline else b"attachment") + _file_name(name),
            b"Content-Transfer-Encoding: base64",
        ]
        if inline:
            lines.insert(1, b"Content-ID: <" + content_id(filename).encode() + b">")
        pieces.write(b"\r\n".join(lines) + b"\r\n\r\n")
        return PartWriter(pieces)

    def add(self, filename: str, content_type: str, chunks: Iterable[bytes], *, inline: bool = False) -> None:
        """A whole file; ``chunks`` of any size."""
        writer = self.begin(filename, content_type, inline=inline)
        for chunk in chunks:
            writer.write(chunk)
        writer.end()

    def build(self) -> SharedParts | None:
        """What was added, or ``None`` when that is nothing. The builder is spent."""
        inline, attached = self._inline.close(RELATED), self._attached.close(MIXED)
        if not inline and not attached:
            return None
        return SharedParts(SharedContent(self._id, (*inline, *attached)), bool(inline), bool(attached))


class PartWriter:
    """The body of one part."""

    def __init__(self, pieces: _Pieces) -> None:
        self._pieces = pieces
        self._rest = bytearray()
        self._empty = True

    def write(self, chunk: bytes) -> None:
        """More of the file."""
        self._rest += chunk
        self._empty = self._empty and not chunk
        whole = len(self._rest) - len(self._rest) % BASE64_ROW
        if whole < _BLOCK:
            return
        with memoryview(self._rest) as rest:
            for at in range(0, whole, _BLOCK):
                self._pieces.write(base64_lines(bytes(rest[at : min(at + _BLOCK, whole)])))
        del self._rest[:whole]

    def end(self) -> None:
        """The file is complete."""
        self._pieces.write(base64_lines(bytes(self._rest)))
        if self._empty:  # the boundary behind it still needs its line end
            self._pieces.write(b"\r\n")
        self._pieces.open = False
        self._rest.clear()


class _Pieces:
    """Octets cut into pieces as they are written."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._buffer = bytearray()
        self.open = False

    def begin(self, boundary: bytes) -> None:
        if self.open:
            raise ValueError("the file before has not been ended")
        self.open = True
        self.write(begin(boundary))

    def write(self, octets: bytes) -> None:
        self._buffer += octets
        while len(self._buffer) >= MAX_PIECE:
            with memoryview(self._buffer) as view:
                self._pieces.append(bytes(view[:MAX_PIECE]))
            del self._buffer[:MAX_PIECE]

    def close(self, boundary: bytes) -> list[bytes]:
        """The pieces, with the multipart ended; none when no part was begun."""
        if self.open:
            raise ValueError("the last file has not been ended")
        if not self._pieces and not self._buffer:
            return []
        self.write(end(boundary))
        if self._buffer:
            self._pieces.append(bytes(self._buffer))
        return self._pieces


def content_id(filename: str) -> str:
    """The Content-ID of an inline image, without its brackets: the name as it is wherever a Content-ID can be so.

    Else, for blanks and what is not ASCII, one made of it, which ``refer_inline`` writes into the HTML.
    """
    if _PLAIN_ID.fullmatch(filename) is not None:
        return filename
    return "image-" + sha256(filename.encode("utf-8", "replace")).hexdigest()[:24]


def refer_inline(html: str, filenames: Iterable[str]) -> str:
    """``html`` with ``cid:FILENAME`` replaced for names that cannot be a Content-ID, however it is spelt there."""
    # Longer names first: one may begin like another.
    for filename in sorted(set(filenames), key=len, reverse=True):
        chosen = content_id(filename)
        if chosen != filename:
            octets = filename.encode("utf-8", "replace")
            for spelling in (filename, escape(filename), quote(octets), quote(octets, safe="").lower()):
                html = html.replace(f"cid:{spelling}", f"cid:{chosen}")
    return html


def _content_type(text: str) -> bytes:
    """The type with those of its parameters that are simple. Names are Content-Disposition's to say."""
    head, *rest = text.split(";")
    match = _TYPE.fullmatch(head.strip())
    if match is None or match[1].lower() in ("message", "multipart") or len(match[0]) > _LONGEST_NAME:
        return _UNKNOWN.encode()
    value = match[0].lower()
    for part in rest:
        parameter = _PARAMETER.fullmatch(part.strip())
        if (
            parameter is not None
            and parameter[1].lower() not in ("name", "boundary")
            and len(part) < _EXTENDED_LINE
        ):
            value += f';\r\n {parameter[1].lower()}="{parameter[2] or parameter[3]}"'
    return value.encode()


def _file_name(name: str) -> bytes:
    """The parameter ``filename``; an extended one (RFC 2231) before one in ASCII, for readers that know only that.

    Readers that know both take the extended one, and the first if they know no difference.
    """
    if _PLAIN_NAME.fullmatch(name) is not None:
        return f';\r\n filename="{name}"'.encode()
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    stem, dot, extension = plain.rpartition(".")
    fallback = _NOT_IN_FALLBACK.sub("_", stem if dot else plain).strip("_.")[:40] or "attachment"
    if dot and _TYPE.fullmatch(f"x/{extension}") is not None:
        fallback += "." + extension[:10]
    return f'{extended_parameter("filename", name)};\r\n filename="{fallback}"'.encode()


def extended_parameter(name: str, value: str) -> str:
    """``;\r\n name*=utf-8''value``, in several pieces if it is long (RFC 2231 §3, §4)."""
    pieces = _extended(value)
    pieces[0] = "utf-8''" + pieces[0]
    lines = [f"{name}*{at}*={piece}" for at, piece in enumerate(pieces)]
    if len(lines) == 1:
        lines = [f"{name}*={pieces[0]}"]
    return "".join(f";\r\n {line}" for line in lines)


def _extended(name: str) -> list[str]:
    """``name`` percent-encoded, in pieces for one line each; none ends within a character."""
    pieces = [""]
    for char in name:
        encoded = quote(char, safe="")
        if len(pieces[-1]) + len(encoded) > _EXTENDED_LINE:
            pieces.append("")
        pieces[-1] += encoded
    return pieces
