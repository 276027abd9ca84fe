"""The header block of a message, looked at in place (RFC 5322 §2.2).

Nothing is decoded and nothing is normalised: what is not removed on purpose keeps its bytes. Lines end with CRLF;
a bare CR or LF is an ordinary octet of its line.

A line that is no field (no name, no colon) is kept and belongs to no field. A message whose very first line is no
field has no header block at all: it is all body, and whoever puts fields before it has to add the empty line.
Lines ``From …`` and ``>From …``, as mailbox files have them, do not count as such a first line.

What comes from outside is measured first (``measure``): everything behind it takes a time that the bounds allow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import Literal, NamedTuple

_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:")  # RFC 5322 §3.6.8; blanks before the colon: §4.5.8
_FIELDS = re.compile(rb"^([!-9;-~]+)[ \t]*:", re.MULTILINE)
_COLON = re.compile(rb"[ \t]*:")
_FOLD = re.compile(rb"\r\n(?=[ \t])")
_UNFOLDED_END = re.compile(rb"\r\n(?![ \t])")
_FEW = 4  # names that are looked for one by one
_MAILBOX_LINES = (b"From ", b">From ")
_BLANKS = b" \t\r\n"
SLICE = 1_048_576
"""Octets that are searched in one call: in a thread it lets others go in between."""


class Field(NamedTuple):
    """``name`` in lower case; ``content[start:end]`` is the whole field with its folded lines and final CRLF."""

    name: bytes
    start: int
    value: int
    """Where the value begins, after the colon."""
    end: int


class HeaderBounds(NamedTuple):
    """What a header block may have at most."""

    octets: int = 262_144
    fields: int = 1_000
    """Lines that are no fields count as well."""
    field: int = 65_536
    """Octets of one field with its folded lines."""


class Header:
    """The header block of ``content``; made by ``scan``. Names are given in lower case, as bytes."""

    __slots__ = ("_lower", "_values", "body", "content", "end")

    def __init__(self, content: bytes, end: int, body: int) -> None:
        self.content = content
        self.end = end
        """Where the block ends: behind the CRLF of its last line."""
        self.body = body
        """Where the body begins, behind the empty line. Equal to ``end`` when there is no empty line."""
        # Names are searched with the line feed before them; the one added here also makes up for its length, so
        # that the place of the line feed is the place of the name in ``content``.
        self._lower = b"\n" + content[:end].lower()
        self._values: dict[bytes, bytes | None] = {}

    @property
    def raw(self) -> bytes:
        """The block, without the empty line."""
        return self.content[: self.end]

    @property
    def is_ascii(self) -> bool:
        """False: an internationalised header (RFC 6532), to be sent with SMTPUTF8 only."""
        return self._lower.isascii()

    def has(self, name: bytes) -> bool:
        """Whether there is a field ``name``."""
        if name in self._values:
            return self._values[name] is not None
        return self._find(name, 0) >= 0

    def begins(self, prefix: bytes) -> bool:
        """Whether the name of any field may begin with ``prefix``; a quick look that can be wrong with a yes."""
        return b"\n" + prefix in self._lower

    def count(self, name: bytes) -> int:
        """How many fields ``name`` there are."""
        if b"\n" + name not in self._lower:
            return 0
        return sum(1 for _ in self._all(name))

    def repeats(self, name: bytes) -> bool:
        """Whether there are several fields ``name``; a quick look is enough where there are not."""
        return self._lower.count(b"\n" + name) > 1 and self.count(name) > 1

    def get(self, name: bytes) -> bytes | None:
        """The unfolded value of the first field ``name``, without blanks around it; ``None``: no such field.

        It is remembered: several ask for the author of each message, and for its Message-ID.
        """
        if name not in self._values:
            self._values[name] = self._read(name)
        return self._values[name]

    def _read(self, name: bytes) -> bytes | None:
        start = self._find(name, 0)
        if start < 0:
            return None
        raw = self.content[self.content.index(b":", start) + 1 : self._field_end(start)]
        if b"\r\n" in raw:
            raw = _FOLD.sub(b"", raw)
        return raw.strip(_BLANKS)

    def fields(self) -> list[Field]:
        """Every field, in order."""
        return [
            Field(match[1].lower(), match.start(), match.end(), self._field_end(match.start()))
            for match in _FIELDS.finditer(self.content, 0, self.end)
            # A bare LF is no end of a line, although the regular expression takes it for one.
            if match.start() == 0 or self.content[match.start() - 2 : match.start()] == b"\r\n"
        ]

    def header_without(self, names: Collection[bytes]) -> bytes:
        """The block without any field of ``names``; every other octet as it was."""
        if len(names) > _FEW:  # one pass for all of them
            spans = [(found.start, found.end) for found in self.fields() if found.name in names]
        else:
            spans = sorted((start, self._field_end(start)) for name in names for start in self._all(name))
        if not spans:
            return self.raw
        kept = []
        at = 0
        for start, end in spans:
            kept.append(self.content[at:start])
            at = end
        kept.append(self.content[at : self.end])
        return b"".join(kept)

    def without(self, names: Collection[bytes]) -> bytes:
        """The message without any field of ``names``; the same object when there is none."""
        if len(names) <= _FEW and not any(self.has(name) for name in names):
            return self.content
        block = self.header_without(names)
        return self.content if len(block) == self.end else block + self.content[self.end :]

    def _all(self, name: bytes) -> Iterator[int]:
        start = self._find(name, 0)
        while start >= 0:
            yield start
            start = self._find(name, start + 1)

    def _find(self, name: bytes, at: int) -> int:
        lower = self._lower
        needle = b"\n" + name
        found = lower.find(needle, at)
        while found >= 0:
            # lower[found] is the line feed: content[found] is the first octet of the name.
            end = found + len(needle)
            if _COLON.match(lower, end) is not None and (found == 0 or lower[found - 1] == 0x0D):
                return found
            found = lower.find(needle, end)
        return -1

    def _field_end(self, start: int) -> int:
        content = self.content
        at = content.find(b"\r\n", start, self.end)
        while at >= 0:
            at += 2
            if at >= self.end or content[at] not in b" \t":
                return at
            at = content.find(b"\r\n", at, self.end)
        return self.end


def scan(content: bytes) -> Header:
    """Find the header block of ``content``. Never fails: see the module for what malformed blocks mean."""
    if content.startswith(b"\r\n"):
        return Header(content, 0, 2)
    if _FIELD.match(content) is None and not content.startswith(_MAILBOX_LINES):
        return Header(content, 0, 0)
    end = content.find(b"\r\n\r\n")
    if end < 0:
        return Header(content, len(content), len(content))
    return Header(content, end + 2, end + 4)


def measure(content: bytes, bounds: HeaderBounds) -> Literal["octets", "fields", "field"] | None:
    """Which of the bounds the header block of ``content`` exceeds; ``None``: none of them.

    Looks no further than the bound, whatever the size of the content.
    """
    if content.startswith(b"\r\n"):
        return None
    end = content.find(b"\r\n\r\n", 0, bounds.octets + 2)
    if end < 0:
        end = len(content) - 2
    small = end + 2 <= bounds.octets and end + 2 <= bounds.field
    if small and content.count(b"\r\n", 0, max(end + 2, 0)) <= bounds.fields:
        return None
    if _FIELD.match(content, 0, bounds.octets) is None and not content.startswith(_MAILBOX_LINES):
        return None  # all body
    if end + 2 > bounds.octets:
        return "octets"
    fields = _UNFOLDED_END.split(content[: end + 2])
    if len(fields) - 1 > bounds.fields:
        return "fields"
    return "field" if max(map(len, fields)) + 2 > bounds.field else None


def find_in_slices(content: bytes, needle: bytes, start: int, end: int) -> int:
    """As ``bytes.find``, in calls that keep nobody for megabytes."""
    while end - start > SLICE:
        found = content.find(needle, start, start + SLICE + len(needle) - 1)
        if found >= 0:
            return found
        start += SLICE
    return content.find(needle, start, end)
