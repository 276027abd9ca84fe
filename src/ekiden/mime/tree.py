"""The parts of a message that came in (RFC 5322, RFC 2045, RFC 2046): where they are and what they say.

Whatever the octets are, there is a tree, and nothing is copied: a part is two places in the message. It is read as
most mail programs would:

- lines end with CRLF or LF, or with CR in a message that has (almost) nothing else;
- a delimiter of an outer multipart ends all inner ones; a line is a delimiter only if nothing but blanks follows
  the boundary; after a closing delimiter another part may begin; parts that are not closed end with what is around
  them;
- a header ends at an empty line; without one, where the first line stands that is no field. In a header such lines
  are passed over, unless they belong to a field whose line before ends with a semicolon;
- a multipart without a boundary has that of the first line that looks like a delimiter before a part's header.

What is beyond a bound is one part that is not looked into (``Part.unread``). The time is linear in the size of the
message; finding delimiters takes some 20 ms for 25 MB and each level, of which a message of that size has 20.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ekiden.mime.charsets import decode_text, is_utf8
from ekiden.mime.header import decode_words
from ekiden.mime.parameters import Parameters, media_type, read_parameters
from ekiden.mime.scan import SLICE, find_in_slices
from ekiden.mime.transfer_decoding import decode_body

_MAX_BOUNDARY = 1_000  # octets; RFC 2046 §5.1.1 has 70
_MAX_TIMES = 20
"""How often the octets of a large message are searched for delimiters: each level searches its own."""
_ALWAYS_SEARCHED = 67_108_864
"""Octets that are searched in any case; 50 levels of a megabyte."""
_MAX_BLANKS = 1_000  # octets behind a boundary on its line
_MAILBOX_LINES = (b"From ", b">From ")
_BLANKS = b" \t\r\n"
_WHOLE = frozenset(("message/rfc822", "message/global", "message/news"))
"""Types whose body is a message."""

# One field with its folded lines, where lines end with LF, and where they end with CR as well.
_FIELD = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\n]*+(?:\n[ \t][^\n]*+)*+)\n?")
_FIELD_CR = re.compile(rb"([!-9;-~]++)[ \t]*+:([^\r\n]*+(?:(?:\r\n?|\n)[ \t][^\r\n]*+)*+)(?:\r\n|[\r\n])?")
_EMPTY = re.compile(rb"\r*+\n")
_EMPTY_CR = re.compile(rb"\r\n?|\n")
_LINE = re.compile(rb"[^\n]*+\n?")
_LINE_CR = re.compile(rb"[^\r\n]*+(?:\r\n|[\r\n])?")
_HEADER_END = re.compile(rb"\n\r*+\n")
_HEADER_END_CR = re.compile(rb"\r\r|\n\r?\n")
_GUESSED_BOUNDARY = re.compile(
    rb"(?<![^\r\n])--([^\r\n]{1,200}?)[ \t]*(?:\r\n?|\n)content-[a-z\-]+[ \t]*:", re.IGNORECASE
)
_GUESSED_WITHIN = 65_536


class TreeBounds(NamedTuple):
    """What is looked into; for all of a message together, unless it says otherwise."""

    parts: int = 1_000
    depth: int = 50
    """Multiparts and messages within one another; the message itself is level 0."""
    header: int = 262_144
    """Octets of one part's header; what is behind them is passed over."""
    fields: int = 10_000
    """Lines that are no fields count as well."""
    delimiters: int = 100_000
    """Places that begin like a delimiter, whether they are one or not."""


DEFAULT_BOUNDS = TreeBounds()


class PartField:
    """One header field. Its octets are those of the message."""

    __slots__ = ("_content", "_end", "_start", "name")

    def __init__(self, name: str, content: bytes, start: int, end: int) -> None:
        self.name = name
        """As it is written."""
        self._content = content
        self._start = start
        self._end = end

    @property
    def raw(self) -> bytes:
        """The octets behind the colon, folded as they came, without the last line end."""
        return self._content[self._start : self._end].rstrip(b"\r\n")

    @property
    def value(self) -> bytes:
        """Unfolded, without blanks around it."""
        value = self._content[self._start : self._end].strip(_BLANKS)
        return value.translate(None, b"\r\n") if b"\n" in value or b"\r" in value else value

    def text(self, charset: str = "") -> str:
        """The value for people: encoded words decoded, and octets above 127 as what they look like.

        ``charset``: what it may be if it is not UTF-8. NUL and line ends of encoded words do not stay.
        """
        value = self.value
        if value.isascii() and b"\x1b" not in value:
            text = value.decode("ascii")
            if "=?" not in text:
                return text.replace("\0", "\ufffd") if "\0" in text else text
        else:
            text = decode_text(value, "utf-8" if is_utf8(value) else charset)
        return decode_words(text).translate(_NO_LINE_ENDS)


# As they are written, and in lower case: most fields of most messages.
_USUAL_NAMES = {
    name: (name.decode(), name.decode().lower())
    for name in (
        b"Return-Path Received DKIM-Signature ARC-Seal ARC-Message-Signature ARC-Authentication-Results "
        b"Authentication-Results Received-SPF Date From Sender Reply-To To Cc Message-ID Message-Id In-Reply-To "
        b"References Subject MIME-Version Mime-Version Content-Type Content-Transfer-Encoding Content-Disposition "
        b"Content-ID Content-Description Content-Language User-Agent X-Mailer X-Priority Precedence Auto-Submitted "
        b"List-Unsubscribe List-Unsubscribe-Post List-ID Feedback-ID"
    ).split()
}
_NO_LINE_ENDS = {0x00: 0xFFFD, 0x0A: 0x20, 0x0D: 0x20}
_NO_PARAMETERS = Parameters("")


class Part:
    """A part, or the whole message: ``content[start:end]``, whose body is ``content[body:end]``."""

    __slots__ = (
        "_named", "_type", "body", "children", "content", "content_type", "encoding", "end", "fields", "start",
        "unread",
    )  # fmt: skip

    def __init__(self, content: bytes, start: int, end: int) -> None:
        self.content = content
        """The whole message."""
        self.start = start
        self.body = start
        """Where the body begins."""
        self.end = end
        """Where it ends: the line end before a delimiter belongs to that."""
        self.fields: list[PartField] = []
        """In order."""
        self.content_type = "text/plain"
        """``type/subtype`` in lower case, or what stands instead of it."""
        self.encoding = "7bit"
        """The transfer encoding, in lower case."""
        self.children: list[Part] = []
        """Of a multipart its parts, of a message within a message that one."""
        self.unread = False
        """It is not looked into, as a bound is reached: it may have parts. With no fields: nor is its header."""
        self._named: dict[str, PartField] = {}
        """The first field of each name in lower case."""
        self._type: Parameters | None = None

    def field(self, name: str) -> str:
        """The first field ``name`` for people (``PartField.text``); empty: there is none."""
        found = self._named.get(name.lower())
        return "" if found is None else found.text(self.charset)

    def fields_of(self, name: str) -> list[str]:
        """All fields ``name``, in order, as ``field`` gives them."""
        name = name.lower()
        if name not in self._named:
            return []
        return [found.text(self.charset) for found in self.fields if found.name.lower() == name]

    def value(self, name: str) -> bytes:
        """The octets of the first field ``name``, unfolded; empty: there is none."""
        found = self._named.get(name)
        return b"" if found is None else found.value

    @property
    def params(self) -> dict[str, str]:
        """The parameters of Content-Type, by their names in lower case (RFC 2231 and encoded words decoded)."""
        return self.type_parameters.texts()

    @property
    def type_parameters(self) -> Parameters:
        """Content-Type, read when somebody asks."""
        if self._type is None:
            value = self.value("content-type")
            self._type = read_parameters(value) if value else _NO_PARAMETERS
        return self._type

    @property
    def charset(self) -> str:
        """What it says its charset is, in lower case; may be anything."""
        return self.type_parameters.text("charset").strip().lower()

    def decoded(self, limit: int) -> bytes:
        """The body without its transfer encoding, at most ``limit`` octets of it. Never raises."""
        return decode_body(self.content, self.body, self.end, self.encoding, limit)

    def text(self, limit: int) -> str:
        """The body as text, of at most ``limit`` octets. Never raises; see ``mime.charsets``."""
        return decode_text(self.decoded(limit), self.charset)


def read_tree(raw: bytes, bounds: TreeBounds = DEFAULT_BOUNDS) -> Part:
    """The message ``raw`` as a tree. Never raises."""
    return _Reader(raw, bounds).tree()


def read_header(raw: bytes, bounds: TreeBounds = DEFAULT_BOUNDS) -> Part:
    """The message ``raw`` as a part whose body nobody has looked into. Never raises."""
    return _Reader(raw, bounds).header()


class _Reader:
    """One reading of one message."""

    def __init__(self, content: bytes, bounds: TreeBounds) -> None:
        self._content = content
        self._bounds = bounds
        self._parts = 1
        self._fields = 0
        self._delimiters = 0
        self._searched = 0
        self._most_searched = max(_MAX_TIMES * len(content), _ALWAYS_SEARCHED)
        returns = _has_only_returns(content)
        self._field = _FIELD_CR if returns else _FIELD
        self._empty = _EMPTY_CR if returns else _EMPTY
        self._line = _LINE_CR if returns else _LINE
        self._header_end = _HEADER_END_CR if returns else _HEADER_END
        self._line_ends = b"\r\n" if returns else b"\n"

    def header(self) -> Part:
        return self._part(0, len(self._content), "text/plain")

    def tree(self) -> Part:
        root = self.header()
        pending = [(root, 0)]
        while pending:
            part, depth = pending.pop()
            if part.content_type.startswith("multipart/"):
                self._searched += part.end - part.body
                if depth >= self._bounds.depth or self._is_full() or self._searched > self._most_searched:
                    part.unread = True
                else:
                    self._multipart(part)
            elif part.content_type in _WHOLE and part.body < part.end:
                if depth >= self._bounds.depth or self._is_full():
                    part.unread = True
                elif part.encoding not in ("base64", "quoted-printable") or self._begins_field(part.body):
                    self._parts += 1
                    part.children = [self._part(part.body, part.end, "text/plain")]
            # The first part first: it is the one that is read when not all are.
            pending += [(child, depth + 1) for child in reversed(part.children) if not child.unread]
        return root

    def _is_full(self) -> bool:
        return self._parts >= self._bounds.parts or self._fields >= self._bounds.fields

    # --- header ---------------------------------------------------------------------------------------------

    def _part(self, start: int, end: int, default: str) -> Part:
        part = Part(self._content, start, end)
        self._header(part)
        value = part.value("content-type")
        part.content_type = media_type(value) if value else default
        encoding = part.value("content-transfer-encoding")
        if encoding:
            part.encoding = encoding.split(b";")[0].strip(b" \t\"'").lower().decode("latin-1")
        return part

    def _begins_field(self, at: int) -> bool:
        return self._field.match(self._content, at, at + 1_000) is not None

    def _header(self, part: Part) -> None:
        """Its fields, and where its body begins."""
        content, field, fields, named = self._content, self._field, part.fields, part._named
        limit = min(part.end, part.start + self._bounds.header)
        most = self._bounds.fields - self._fields
        at = start = self._first_field(part.start, limit)
        odd = -1  # where a line stands that is no field, if nothing but such lines are behind it
        lines = 0
        while at < limit and lines < most:
            match = field.match(content, at, limit)
            if match is not None:
                octets = match[1]
                names = _USUAL_NAMES.get(octets)
                if names is None:
                    name = octets.decode("ascii")
                    names = (name, name.lower())
                begins, ends = match.span(2)
                found = PartField(names[0], content, begins, ends)
                fields.append(found)
                named.setdefault(names[1], found)
                odd = -1
                at = match.end()
                lines += 1
                continue
            empty = self._empty.match(content, at, limit)
            if empty is not None:
                at, odd = (empty.end(), -1) if odd < 0 else (odd, -1)
                break
            if at == start:
                at = part.start  # it has no header at all
                break
            lines += 1
            line_end = self._line.match(content, at, limit)
            assert line_end is not None  # any place begins a line
            if odd < 0 and content[max(at - 8, 0) : at].rstrip(b" \t\r\n").endswith(b";"):
                fields[-1]._end = line_end.end()
            elif odd < 0:
                odd = at
            at = line_end.end()
        else:
            at = self._behind_header(at, part.end) if at < part.end else part.end if odd < 0 else odd
        part.body = at
        self._fields += lines

    def _first_field(self, at: int, limit: int) -> int:
        """Behind lines of mailbox files, and blanks before the first field."""
        content = self._content
        while content.startswith(_MAILBOX_LINES, at, limit):
            line = self._line.match(content, at, limit)
            assert line is not None
            at = line.end()
        if content[at : at + 1] in (b" ", b"\t"):
            blanks = _ONLY_BLANKS.match(content, at, limit)
            assert blanks is not None
            if self._field.match(content, blanks.end(), limit) is not None:
                return blanks.end()
        return at

    def _behind_header(self, at: int, end: int) -> int:
        """The body of a header that is larger than what is read of it."""
        while at < end:
            # One octet before: the line end of the last field that was read.
            found = self._header_end.search(self._content, max(at - 1, 0), min(end, at + SLICE))
            if found is not None:
                return found.end()
            at += SLICE - 2 if end - at > SLICE else SLICE
        return end

    # --- parts ----------------------------------------------------------------------------------------------

    def _multipart(self, part: Part) -> None:
        boundary = part.type_parameters.octets.get("boundary", b"").rstrip(b" \t")[:_MAX_BOUNDARY]
        if not boundary:
            guessed = _GUESSED_BOUNDARY.search(self._content, part.body, min(part.end, part.body + _GUESSED_WITHIN))
            if guessed is None:
                return
            boundary = guessed[1]
        default = "message/rfc822" if part.content_type == "multipart/digest" else "text/plain"
        content, end = self._content, part.end
        needle = b"--" + boundary
        begins = -1
        at = find_in_slices(content, needle, part.body, end)
        while at >= 0:
            self._delimiters += 1
            if self._delimiters > self._bounds.delimiters or (begins < 0 and self._is_full()):
                break
            behind = at + len(needle)
            line_end = self._delimiter_end(at, behind, part.body, end)
            if line_end >= 0:
                if begins >= 0:
                    if self._parts + 1 >= self._bounds.parts or self._is_full():
                        break
                    self._child(part, begins, self._before(at, begins), default)
                closes = content.startswith(b"--", behind, end)
                begins = -1 if closes else line_end
                behind = line_end
            at = find_in_slices(content, needle, behind, end)
        if begins >= 0:
            if at < 0 and not self._is_full():  # it is not closed
                self._child(part, begins, end, default)
            else:
                rest = Part(content, begins, end)
                rest.content_type = "application/octet-stream"
                rest.encoding = "binary"
                rest.unread = True
                part.children.append(rest)
                self._parts += 1
        elif at >= 0 and not part.children:
            part.unread = True

    def _child(self, part: Part, start: int, end: int, default: str) -> None:
        self._parts += 1
        part.children.append(self._part(start, end, default))

    def _delimiter_end(self, at: int, behind: int, first: int, end: int) -> int:
        """Where the line behind a delimiter begins; -1: this is none."""
        content = self._content
        if at > first and content[at - 1] not in self._line_ends:
            return -1
        if content.startswith(b"--", behind, end):
            behind += 2
        rest = _REST.match(content, behind, min(end, behind + _MAX_BLANKS))
        if rest is None:
            return end if _ONLY_BLANKS.fullmatch(content, behind, end) is not None else -1
        return rest.end()

    def _before(self, at: int, start: int) -> int:
        """Where a part ends before the delimiter at ``at``: the line end between them belongs to that."""
        content = self._content
        if at > start and content[at - 1] == 0x0A:
            at -= 1
            return at - 1 if at > start and content[at - 1] == 0x0D else at
        return at - 1 if at > start else at


_ONLY_BLANKS = re.compile(rb"[ \t]*+")
_REST = re.compile(rb"[ \t]*+(?:\r*+\n|\r)")


def _has_only_returns(content: bytes) -> bool:
    """Whether its lines end with CR: at least two before the first LF."""
    first = content.find(b"\n", 0, 65_536)
    first = min(len(content), 65_536) if first < 0 else first
    return content.count(b"\r", 0, max(first - 1, 0)) >= 2
