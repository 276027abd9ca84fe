"""Whether a message carries an attachment (RFC 2045, 2046, 2183), found in place.

For configurations that refuse attachments. Bodies are neither decoded nor copied. Whoever wants to get one through
may write MIME that is broken on purpose, so every doubt is for the attachment:

- all fields of one name count, not just the first, even behind a line that is no field;
- every reading of a boundary parameter is tried;
- a line that only begins like a delimiter begins a part too, unless it is a delimiter of an inner multipart; so
  does one after the closing delimiter; and any line with ``--`` when there is no boundary at all;
- a disposition that nobody knows is an attachment (RFC 2183 §2.8), and so is a multipart in base64 or
  quoted-printable, which RFC 2045 §6.4 forbids and some readers decode.

Not attachments, although they are no text: ``Content-Disposition: inline``; pictures, sound, films and fonts with
a Content-ID directly in multipart/related; the reports of multipart/report; the signature of multipart/signed; the
two parts of multipart/encrypted; in a mail server's bounces the message that comes back. Opaque S/MIME
(application/pkcs7-mime) is one: nobody can look into it.

Content has CRLF line ends or bare LF; the door leaves no bare CR.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain, pairwise

from ekiden.mime.charsets import decode_text
from ekiden.mime.header import decode_words
from ekiden.mime.parameters import media_type, percent_decoded, without_comments
from ekiden.mime.scan import Header, find_in_slices

_MAX_DEPTH = 20
_MAX_PARTS = 1_000
_MAX_DELIMITERS = 10_000  # lines looked at, of whatever sort
_MAX_HEADER = 65_536  # octets of one part's header
_MAX_BOUNDARIES = 8  # readings of one multipart's boundary; honest ones have one
_MAX_LINE = 1_000  # octets of a delimiter's line looked at
_MAX_SHOWN = 60
_TOO_MANY = "too many parts"

_BLANKS = b" \t\r\n"
_FOLD = re.compile(rb"\r?\n(?=[ \t])")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_FIELD = re.compile(
    rb"^content-(type|disposition|id|transfer-encoding)[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE
)
# A line of nothing but blanks, a folded line without a field before it, or a line that is no field.
_IRREGULAR = re.compile(rb"\A[ \t]|^(?:[ \t]+\r?$|(?![!-9;-~]+:|[ \t\r\n]|>?From |\Z))", re.MULTILINE)
_PARAMETERS = {
    name: re.compile(
        rb"""(?<![^\s;,)"'])%b(?:\*([0-9]{1,4}))?(\*)?\s*=\s*(?:"((?:[^"\\]|\\.)*+)|([^;\s"]*+))""" % name,
        re.IGNORECASE | re.DOTALL,
    )
    for name in (b"boundary", b"filename", b"name")
}
_QUOTED_PAIR = re.compile(rb"\\(.)", re.DOTALL)

_EMBEDDED = ("image/", "audio/", "video/", "font/")
# What belongs to the structure of its multipart (RFC 1847, 2480, 3156, 6522, 3798, 3886, 5965, 6533, 8551).
_STRUCTURE = {
    "multipart/report": frozenset({
        "message/delivery-status",
        "message/disposition-notification",
        "message/feedback-report",
        "message/tracking-status",
        "message/global-delivery-status",
        "message/global-disposition-notification",
        "message/global-headers",
        "text/rfc822-headers",
    }),
    "multipart/signed": frozenset({
        "application/pkcs7-signature",
        "application/x-pkcs7-signature",
        "application/pgp-signature",
    }),
    "multipart/encrypted": frozenset({"application/pgp-encrypted", "application/octet-stream"}),
}  # fmt: skip


_RETURNED = frozenset({"message/rfc822", "message/global"})
"""The third part of a bounce (RFC 6522 §3, RFC 6533 §3): not its author's."""


def find_attachment(header: Header, *, bounce: bool = False) -> str | None:
    """The first attachment of the message, for a reply; ``None``: there is none.

    ``bounce``: a mail server wrote it, and may send a message back in multipart/report.

    Its file name or else its media type, in at most 60 characters of printable ASCII. Beyond 20 levels or 1,000
    parts, and for part headers longer than 64 KiB: ``too many parts``. Never raises. Megabytes that are made for it
    take seconds: in a thread, please.
    """
    if header.count(b"content-disposition") == 0:
        count = header.count(b"content-type")
        if count == 0:
            return None
        if count == 1 and (header.get(b"content-type") or b"")[:5].lower() == b"text/":
            return None
    return _Walk(header.content, bounce=bounce).message(header)


def _fields(block: bytes) -> dict[bytes, list[bytes]]:
    """The values of the fields ``Content-…``, by the rest of their names in lower case."""
    values: dict[bytes, list[bytes]] = {}
    for name, value in _FIELD.findall(_FOLD.sub(b"", block)):
        values.setdefault(name.lower(), []).append(value)
    return values


class _Found(Exception):
    """Ends the walk."""

    def __init__(self, shown: str) -> None:
        self.shown = shown


class _Part:
    """What the header of one part says about it."""

    def __init__(self, block: bytes) -> None:
        fields = _fields(block.lstrip(b" \t"))
        self._types = fields.get(b"type", [])
        self._dispositions = fields.get(b"disposition", [])
        self._encodings = fields.get(b"transfer-encoding", [])
        # For some readers the header ends at the first line that is no field. What stands behind it can make an
        # attachment of the part, but not excuse one.
        irregular = _IRREGULAR.search(block)
        if irregular is not None:
            fields = _fields(block[: irregular.start()])
        self._has_type = b"type" in fields
        self._has_disposition = any(_token(value) for value in fields.get(b"disposition", []))
        self._has_id = b"id" in fields

    def kinds(self, parent: str) -> list[str]:
        """The media types, in lower case; several when the header contradicts itself."""
        kinds = [media_type(value) for value in self._types]
        if not self._has_type:  # RFC 2045 §5.2; RFC 2046 §5.1.5
            kinds.append("message/rfc822" if parent == "multipart/digest" else "text/plain")
        return kinds

    def is_attachment(self, kind: str, parent: str) -> bool:
        """Whether this part, being of type ``kind``, is one by itself."""
        if kind in _STRUCTURE.get(parent, ()):
            return False
        if any(_token(value) not in (b"", b"inline") for value in self._dispositions):
            return True
        main = kind.partition("/")[0]
        if main == "multipart":
            return any(_token(value).strip(b'"') in (b"base64", b"quoted-printable") for value in self._encodings)
        if main == "text":
            return False
        if main == "message":
            return True
        embedded = self._has_id and parent == "multipart/related" and kind.startswith(_EMBEDDED)
        return not (self._has_disposition or embedded)

    def boundaries(self) -> list[bytes]:
        """Every reading of the boundary; one that is empty when there is none. Ends the walk beyond a few."""
        found: set[bytes] = set()
        for value in self._types:
            for reading in chain(_boundaries(value), _boundaries(without_comments(value)) if b"(" in value else ()):
                if reading:
                    found.add(reading)
                if len(found) > _MAX_BOUNDARIES:
                    raise _Found(_TOO_MANY)
        return sorted(found) or [b""]

    def shown(self, kind: str) -> str:
        """How a reply names it."""
        for values, name in ((self._dispositions, b"filename"), (self._types, b"name")):
            for value in values:
                given = _printable(_file_name(value, name))
                if given:
                    return given
        return _printable(kind) or "application/octet-stream"


class _Walk:
    """One walk over one message. Ends with ``_Found``, or without it when there is no attachment."""

    def __init__(self, content: bytes, *, bounce: bool) -> None:
        self._content = content
        self._returned = _RETURNED if bounce else frozenset()
        self._parts = 0
        self._delimiters = 0
        # Every level searches its own octets for delimiters; contradictory boundaries must not multiply that.
        self._octets = (_MAX_DEPTH + 1) * len(content)
        self._exact: set[int] = set()
        """Where delimiters are that every reader knows as such."""
        self._loose: dict[int, tuple[int, str, int]] = {}
        """Lines that only begin like a delimiter: where their part would begin, its parent, its depth."""

    def message(self, header: Header) -> str | None:
        try:
            # Delimiters are looked for in the header, too: some readers end it at the first line that is no field.
            self._part(header.raw, 0, len(self._content), "", 0)
            self._loose_parts()
        except _Found as found:
            return found.shown
        return None

    def _part(self, block: bytes, start: int, end: int, parent: str, depth: int) -> None:
        part = _Part(block)
        kinds = part.kinds(parent)
        for kind in kinds:
            if parent == "multipart/report" and kind in self._returned:
                continue
            if part.is_attachment(kind, parent):
                raise _Found(part.shown(kind))
        multiparts = {kind for kind in kinds if kind.startswith("multipart")}
        if not multiparts:
            return
        multipart = multiparts.pop() if len(multiparts) == 1 else "multipart/mixed"
        if "multipart/digest" in multiparts:
            multipart = "multipart/digest"
        if depth >= _MAX_DEPTH:
            raise _Found(_TOO_MANY)
        for boundary in part.boundaries():
            self._multipart(boundary, start, end, multipart, depth + 1)

    def _multipart(self, boundary: bytes, start: int, end: int, kind: str, depth: int) -> None:
        self._octets -= end - start
        if self._octets < 0:
            raise _Found(_TOO_MANY)
        begins = -1
        for at, line_end, exact in self._lines(boundary, start, end):
            if exact is None:
                if at not in self._exact:
                    self._loose.setdefault(at, (line_end, kind, depth))
                continue
            if begins >= 0:
                self._begin(begins, at + 1, kind, depth)
            self._exact.add(at)
            begins = line_end if exact else -1
        if begins >= 0:
            self._begin(begins, end, kind, depth)

    def _lines(self, boundary: bytes, start: int, end: int) -> Iterator[tuple[int, int, bool | None]]:
        """Lines that begin with ``--boundary``: the place of the line feed before, where the next line begins, and
        True for a delimiter, False for a closing one, None for one that only begins so.
        """
        content = self._content
        needle = b"\n--" + boundary
        at = find_in_slices(content, needle, start, end)
        while at >= 0:
            self._delimiters += 1
            if self._delimiters > _MAX_DELIMITERS:
                raise _Found(_TOO_MANY)
            line_end = find_in_slices(content, b"\n", at + 1, end)
            after = end if line_end < 0 else line_end + 1
            rest = content[at + len(needle) : min(after, at + len(needle) + _MAX_LINE)].strip(_BLANKS)
            if not boundary or not rest:
                yield at, after, True
            else:
                yield at, after, False if rest == b"--" else None
            at = find_in_slices(content, needle, after - 1, end)

    def _begin(self, start: int, end: int, parent: str, depth: int) -> None:
        """Look at the part of ``parent`` whose header begins at ``start``."""
        self._parts += 1
        if self._parts > _MAX_PARTS:
            raise _Found(_TOO_MANY)
        # One octet more: an empty header ends with the line feed of the delimiter and the empty line.
        limit = min(end, start + _MAX_HEADER)
        empty = _EMPTY_LINE.search(self._content, start - 1, limit)
        if empty is None and limit < end:
            raise _Found(_TOO_MANY)
        stop = limit if empty is None else empty.end()
        self._part(self._content[start:stop], start - 1, end, parent, depth)

    def _loose_parts(self) -> None:
        """Parts for those who compare only the beginning of a line (RFC 2046 §5.1.1 can be read so)."""
        while self._loose:
            loose = {at: part for at, part in self._loose.items() if at not in self._exact}
            self._exact.update(loose)
            self._loose = {}
            for at, next_at in pairwise([*sorted(loose), len(self._content) - 1]):
                start, parent, depth = loose[at]
                self._begin(start, max(next_at + 1, start), parent, depth)


def _token(value: bytes) -> bytes:
    """What stands before the parameters, in lower case and without comments."""
    if b"(" in value:
        value = without_comments(value)
    return value.partition(b";")[0].strip(_BLANKS).lower()


def _boundaries(value: bytes) -> Iterator[bytes]:
    """The readings of the boundary in one Content-Type, empty ones among them."""
    pieces: dict[int, bytes] = {}
    for match in _PARAMETERS[b"boundary"].finditer(value):
        number, extended, quoted, token = match.groups()
        readings = [token] if quoted is None else [quoted, _QUOTED_PAIR.sub(rb"\1", quoted)]
        if number is not None:
            pieces.setdefault(int(number), percent_decoded(readings[-1], int(number)) if extended else readings[-1])
        elif extended:
            yield percent_decoded(readings[-1], 0).rstrip(_BLANKS)
        else:
            # Simple readers take everything up to the semicolon, less what they know as quotes.
            start = match.start(3 if quoted is not None else 4)
            stop = value.find(b";", start)
            simple = value[start : stop if stop >= 0 else len(value)].strip(_BLANKS)
            if quoted is not None and not simple.endswith(b'"'):
                readings += [b'"' + simple, simple]
            elif quoted is None:
                readings += [simple, simple.strip(b"'"), simple.strip(b"<>")]
            yield from (reading.rstrip(_BLANKS) for reading in readings)
    yield b"".join(pieces[number] for number in sorted(pieces)).rstrip(_BLANKS)


def _file_name(value: bytes, name: bytes) -> str:
    """The parameter ``name``: the extended form (RFC 2231) before the plain one, which may have encoded words."""
    plain = b""
    pieces: dict[int, bytes] = {}
    charset = "utf-8"
    for match in _PARAMETERS[name].finditer(value):
        number, extended, quoted, token = match.groups()
        octets = token if quoted is None else _QUOTED_PAIR.sub(rb"\1", quoted)
        at = int(number or 0)
        if extended:
            if at == 0 and octets.count(b"'") >= 2:
                charset = octets.partition(b"'")[0].decode("latin-1") or charset
            octets = percent_decoded(octets, at)
        elif number is None:
            plain = plain or octets
            continue
        pieces.setdefault(at, octets)
    if not pieces:
        return decode_words(plain)
    return decode_text(b"".join(pieces[at] for at in sorted(pieces)), charset)


def _printable(text: str) -> str:
    shown = "".join(char if char.isascii() and char.isprintable() else "?" for char in text.strip())
    return shown if len(shown) <= _MAX_SHOWN else shown[: _MAX_SHOWN - 3] + "..."
