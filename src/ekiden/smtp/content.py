"""What DATA does to content: line ends and dots (RFC 5321 §2.3.8, §4.5.2).

A large content is made ready in pieces while it comes in, so that its end costs no more than the end of a small one
and a copy: a pass over 20 MB of the worst octets would keep everybody else waiting for tenths of a second. It goes
out in pieces, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from io import IncrementalNewlineDecoder

PIECE = 131_072
"""Octets of content from which on it is made ready while the rest is still coming."""


def normalise_line_ends(content: bytes) -> bytes:
    """``content`` in which every line ends with CRLF, also the last; ``b""`` stays empty.

    Bare CR and bare LF become CRLF each. Content that is right already is returned as it is, and most is: the
    decoder tells in one pass in C which kinds of line ends there are, three times as fast as counting each.
    """
    content = _mended(content)
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content


def _mended(content: bytes) -> bytes:
    """The same for a piece that does not end within a CRLF; its last line may go on."""
    decoder = IncrementalNewlineDecoder(None, False)
    decoder.decode(content.decode("latin-1"), True)
    if decoder.newlines not in (None, "\r\n"):
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return content


def stuff_dots(content: bytes) -> bytes:
    """``content`` with a dot added to each line that begins with one. Line ends must be CRLF."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content


def outgoing(content: bytes, *, normalised: bool = False, piece: int = PIECE) -> Iterator[bytes]:
    """What DATA sends for ``content``, its end mark included: one piece, or several of a large one.

    ``normalised``: it has no bare CR or LF; otherwise they become CRLF.
    """
    size = len(content)
    if size <= piece:
        yield stuff_dots(content if normalised else normalise_line_ends(content)) + b".\r\n"
        return
    start = 0
    at_line = True
    while start < size:
        end = min(start + piece, size)
        if end < size and content[end - 1] == 0x0D:  # a CRLF stays together
            end -= 1
        part = content[start:end]
        if not normalised:
            part = _mended(part)
        if b"\r\n." in part:
            part = part.replace(b"\r\n.", b"\r\n..")
        if at_line and part.startswith(b"."):
            part = b"." + part
        at_line = part.endswith(b"\r\n")
        yield part
        start = end
    yield b".\r\n" if at_line else b"\r\n.\r\n"


class ContentReader:
    """Finds the end of DATA's content in a buffer that grows, in linear time and bounded memory.

    Only CRLF "." CRLF ends content (RFC 5321 §4.1.1.4); no other mixture of CR, LF and dots does. Once the content
    is larger than ``max_size`` it is thrown away while it comes, and ``oversize`` is set. Dots that were added do
    not count towards the size (RFC 1870 §5), line ends that are mended do.
    """

    __slots__ = (
        "_at_line",
        "_begun",
        "_dots",
        "_max_size",
        "_piece",
        "_pieces",
        "_scan",
        "held",
        "oversize",
        "size",
    )

    def __init__(self, max_size: int, piece: int = PIECE) -> None:
        self.oversize = False
        self.held = 0
        """Octets of content that are not in the buffer any more."""
        self.size = 0
        """Octets of the content, of which some may have been thrown away."""
        self._max_size = max_size
        self._piece = max(min(piece, max_size // 8), len(_END))
        self._pieces: list[bytes] = []
        self._at_line = True
        """What the buffer begins with begins a line."""
        self._begun = False
        self._dots = False
        self._scan = 0

    def read(self, buffer: bytearray) -> bytes | None:
        """The content without added dots and end mark, which are removed from the front of ``buffer``.

        Its line ends are CRLF, as by ``normalise_line_ends``.
        ``None``: more is needed. The same buffer must come again, with octets added behind only.
        """
        if not self._begun:
            # The CRLF of the DATA line is the first half of an end that follows at once.
            if len(buffer) < 3 and b".\r\n".startswith(buffer):
                return None
            self._begun = True
            if buffer.startswith(b".\r\n"):
                del buffer[:3]
                return b""
            self._dots = buffer.startswith(b".")
        end = self._find_end(buffer)
        if end < 0:
            while len(buffer) > self._piece + len(_END):
                self._take(buffer)
            return None
        content = self._ready(buffer, end + 2)
        self.size += len(content)
        self.oversize = self.size > self._max_size
        if self.oversize:
            content = b""
        elif self._pieces:
            self._pieces.append(content)
            content = b"".join(self._pieces)
        self._pieces.clear()
        self.held = 0
        del buffer[: end + 5]
        return content

    def _ready(self, buffer: bytearray, end: int) -> bytes:
        with memoryview(buffer) as view:
            piece = bytes(view[:end])
        if self._dots:
            if b"\r\n." in piece:
                piece = piece.replace(b"\r\n.", b"\r\n")
            if self._at_line and buffer[0] == 0x2E:
                piece = piece[1:]
        return _mended(piece)

    def _take(self, buffer: bytearray) -> None:
        """Make the begin of the buffer ready, where no end is; the last octets may be the first of an end mark."""
        end = min(self._piece, len(buffer) - len(_END))
        if buffer[end] == 0x0A and buffer[end - 1] == 0x0D:
            end -= 1
        piece = self._ready(buffer, end)
        self._at_line = buffer.endswith(b"\r\n", 0, end)
        del buffer[:end]
        self._scan = max(0, self._scan - end)
        self.size += len(piece)
        if self.size > self._max_size:
            self.oversize = True
            self._pieces.clear()
            self.held = 0
        else:
            self.held += len(piece)
            self._pieces.append(piece)

    def _find_end(self, buffer: bytearray) -> int:
        """Where CRLF "." CRLF is, or -1. Most content has no other line that begins with a dot: look for any
        first, so that one pass tells the end and that there is nothing to unstuff."""
        if not self._dots:
            dot = buffer.find(b"\r\n.", self._scan)
            if dot < 0:
                self._scan = max(0, len(buffer) - 2)
                return -1
            self._scan = dot
            if len(buffer) < dot + 5 and _END.startswith(buffer[dot:]):
                return -1
            self._dots = not buffer.startswith(_END, dot)
            if not self._dots:
                return dot
        end = buffer.find(_END, self._scan)
        self._scan = max(0, len(buffer) - 4)
        return end


class ChunkedContent:
    """The content of BDAT's chunks (RFC 3030), made ready as they come. There are no dots in it."""

    __slots__ = ("_piece", "_pieces", "_ready", "_rest", "received")

    def __init__(self, piece: int = PIECE) -> None:
        self._piece = piece
        self.received = 0
        """Octets as they came."""
        self._pieces: list[bytes] = []
        self._ready = 0
        self._rest = bytearray()

    @property
    def held(self) -> int:
        """Octets that are kept."""
        return self._ready + len(self._rest)

    def add(self, octets: memoryview) -> None:
        self.received += len(octets)
        self._rest += octets
        while len(self._rest) > self._piece:
            end = self._piece - (self._rest[self._piece - 1] == 0x0D)  # a CRLF stays together
            piece = _mended(bytes(self._rest[:end]))
            del self._rest[:end]
            self._pieces.append(piece)
            self._ready += len(piece)

    def take(self) -> bytes:
        """All of it, with CRLF line ends; nothing is kept."""
        self._pieces.append(_mended(bytes(self._rest)))
        if self.received and not self._pieces[-1].endswith(b"\r\n"):
            self._pieces.append(b"\r\n")
        content = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self.clear()
        return content

    def clear(self) -> None:
        self.received = self._ready = 0
        self._pieces.clear()
        self._rest = bytearray()


_END = b"\r\n.\r\n"
