"""What DATA does to content: line ends and dots (RFC 5321 §2.3.8, §4.5.2)."""

from __future__ import annotations

from io import IncrementalNewlineDecoder


def normalise_line_ends(content: bytes) -> bytes:
    """``content`` in which every line ends with CRLF, also the last; ``b""`` stays empty.

    Bare CR and bare LF become CRLF each. Content that is right already is returned as it is, and most is: the
    decoder tells in one pass in C which kinds of line ends there are, three times as fast as counting each.
    """
    decoder = IncrementalNewlineDecoder(None, False)
    decoder.decode(content.decode("latin-1"), True)
    if decoder.newlines not in (None, "\r\n"):
        content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    if content and not content.endswith(b"\r\n"):
        content += b"\r\n"
    return content


def stuff_dots(content: bytes) -> bytes:
    """``content`` with a dot added to each line that begins with one. Line ends must be CRLF."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n..")
    return b"." + content if content.startswith(b".") else content


def unstuff_dots(content: bytes) -> bytes:
    """The reverse. Only CRLF begins a new line here: a dot behind a bare LF is content as it stands."""
    if b"\r\n." in content:
        content = content.replace(b"\r\n.", b"\r\n")
    return content[1:] if content.startswith(b".") else content


class ContentReader:
    """Finds the end of DATA's content in a buffer that grows, in linear time and bounded memory.

    Only CRLF "." CRLF ends content (RFC 5321 §4.1.1.4); no other mixture of CR, LF and dots does. Once the content
    is larger than ``max_size`` it is thrown away while it comes, and ``oversize`` is set.
    """

    __slots__ = ("_begun", "_counted", "_dots", "_max_size", "_scan", "_stuffed", "oversize")

    def __init__(self, max_size: int) -> None:
        self.oversize = False
        self._max_size = max_size
        self._begun = False
        self._dots = False
        self._scan = 0
        self._counted = 0
        self._stuffed = 0

    def read(self, buffer: bytearray) -> bytes | None:
        """The content without added dots and end mark, which are removed from the front of ``buffer``.

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
            if self.oversize:
                self._drop(buffer)
            elif len(buffer) > self._max_size:
                self._measure(buffer)
            return None
        content = b""
        if not self.oversize:
            with memoryview(buffer) as view:
                content = bytes(view[: end + 2])
        del buffer[: end + 5]
        return unstuff_dots(content) if self._dots else content

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

    def _drop(self, buffer: bytearray) -> None:
        """Keep only what may be the beginning of the end mark."""
        del buffer[:-4]
        self._scan = 0

    def _measure(self, buffer: bytearray) -> None:
        """Dots that were added do not count towards the size (RFC 1870 §5): find out whether it is too large."""
        if not self._counted and buffer.startswith(b"."):
            self._stuffed = 1
        self._stuffed += buffer.count(b"\r\n.", self._counted)
        self._counted = len(buffer) - 2  # what begins here is not complete yet
        # Up to four octets at the end may turn out to be those of the end mark.
        if len(buffer) - 4 - self._stuffed > self._max_size:
            self.oversize = True
            self._drop(buffer)


_END = b"\r\n.\r\n"
