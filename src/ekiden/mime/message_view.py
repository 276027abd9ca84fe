"""What an application wants of a message that came in: header fields, text, HTML, files.

Bodies are chosen as mail programs choose them (RFC 2046 §5.1, RFC 2387, RFC 1847, RFC 2183):

- the text is what stands in text/plain, the HTML what stands in text/html, unless it is an attachment; of the parts
  of a multipart/alternative the first that has the one, and the first that has the other;
- several of them that are shown one after the other (multipart/mixed and whatever nobody knows) are joined;
- everything else is a file: other parts of multipart/related, with the Content-ID that the HTML names them by,
  signatures, messages within the message (whole), calendars, winmail.dat;
- what cannot be decoded, is not looked into because of a bound, or is too much text, is a file as it came. Nothing
  of the message is lost.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from ekiden.mime.charsets import decode_text
from ekiden.mime.file_names import safe_name
from ekiden.mime.parameters import read_parameters
from ekiden.mime.transfer_decoding import is_known
from ekiden.mime.tree import Part, read_tree

MAX_TEXT = 6_291_456
"""Octets of text and HTML together. One that is larger is a file."""
_LONGEST_ID = 250
_LONGEST_TYPE = 127
_TYPE = re.compile(r"[a-z0-9!#$%&'*+.^_`{|}~\-]+/[a-z0-9!#$%&'*+.^_`{|}~\-]+")
_META_CHARSET = re.compile(rb"""<meta\s[^>]{0,200}?charset\s*=\s*["']?([A-Za-z0-9_:.\-]{1,40})""", re.IGNORECASE)
_META_WITHIN = 2_048
_BLANK = 65_536
"""Octets of nothing but blanks that are passed over."""
_SHOWN = re.compile(rb"\S{1,2}")
_UNKNOWN = "application/octet-stream"
_BODIES = ("text/plain", "text/html")
_MESSAGES = frozenset(("message/rfc822", "message/global", "message/news"))
_EXTENSIONS = {
    "text/plain": ".txt",
    "text/html": ".html",
    "text/calendar": ".ics",
    "text/csv": ".csv",
    "text/rfc822-headers": ".txt",
    "text/vcard": ".vcf",
    "text/x-vcard": ".vcf",
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/gif": ".gif",
    "image/svg+xml": ".svg",
    "image/webp": ".webp",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
    "application/gzip": ".gz",
    "application/json": ".json",
    "application/xml": ".xml",
    "message/delivery-status": ".txt",
    "message/global-delivery-status": ".txt",
    "message/feedback-report": ".txt",
}
_NAMES = {
    "application/ms-tnef": "winmail.dat",
    "application/vnd.ms-tnef": "winmail.dat",
    "application/pkcs7-mime": "smime.p7m",
    "application/x-pkcs7-mime": "smime.p7m",
    "application/pkcs7-signature": "smime.p7s",
    "application/x-pkcs7-signature": "smime.p7s",
    "application/pgp-signature": "signature.asc",
}


@dataclass(slots=True)
class ReceivedFile:
    """A file of a message. Its octets are decoded when somebody asks for them."""

    name: str
    """Never empty, at most 255 characters, without a path and control characters."""
    content_type: str
    """``type/subtype`` in lower case."""
    content_id: str
    """Without its brackets; empty: it has none."""
    part: Part
    whole: bool = False
    """It is the part with its header, as it came."""

    def octets(self, limit: int) -> bytes:
        """Its first ``limit`` octets."""
        part = self.part
        if self.whole:
            return part.content[part.start : min(part.end, part.start + limit)]
        if part.children:  # a message: its transfer encoding, if it says any, is none
            return part.content[part.body : min(part.end, part.body + limit)]
        return part.decoded(limit)


@dataclass(slots=True)
class MessageView:
    """``text`` and ``html``: ``None`` when the message has none."""

    headers: list[tuple[str, str]]
    """Names as they are written, and values for people (``PartField.text``), in order; several of a name stay."""
    subject: str
    text: str | None = None
    html: str | None = None
    files: list[ReceivedFile] = field(default_factory=list)


def read_message(raw: bytes) -> MessageView:
    """``raw`` is a message from outside. Never raises. Files refer to ``raw``; nothing but text is copied."""
    return view_message(read_tree(raw))


def view_message(root: Part) -> MessageView:
    """The same of a message that has been read."""
    charset = root.charset
    headers = [(each.name, each.text(charset)) for each in root.fields]
    view = MessageView(headers, next((value for name, value in headers if name.lower() == "subject"), ""))
    _Walk(view).message(root)
    return view


class _Alternative(NamedTuple):
    """A multipart/alternative that a part is within: somewhere in its part ``number``."""

    taken: dict[str, int]
    """Which part the text and the HTML are taken of."""
    number: int


class _Place(NamedTuple):
    """Where a part stands."""

    alternatives: tuple[_Alternative, ...] = ()
    first: bool = True
    """Of its multipart."""
    file: bool = False
    """It is a file, whatever its type: unless it has parts."""


class _Walk:
    """Takes from each part what it is for the view."""

    def __init__(self, view: MessageView) -> None:
        self._view = view
        self._bodies: dict[str, list[str]] = {kind: [] for kind in _BODIES}
        self._room = MAX_TEXT

    def message(self, root: Part) -> None:
        pending = [(root, _Place())]
        while pending:
            part, place = pending.pop()
            if part.children and part.content_type.startswith("multipart/"):
                pending += reversed(list(zip(part.children, _places(part, place), strict=True)))
            else:
                self._leaf(part, place)
        view, bodies = self._view, self._bodies
        view.text, view.html = ("".join(bodies[kind]) if bodies[kind] else None for kind in _BODIES)

    def _leaf(self, part: Part, place: _Place) -> None:
        kind = part.content_type
        if kind.startswith("multipart/"):
            if not part.unread:
                self._no_parts(part, place)
                return
        elif kind in _BODIES and not place.file and not part.unread and is_known(part.encoding):
            disposition, name = _named(part)
            if disposition in ("", "inline") and (not name or (place.first and not self._bodies[kind])):
                self._body(part, kind, place)
                return
        self._file(part)

    def _no_parts(self, part: Part, place: _Place) -> None:
        """A multipart in which no part begins: what is in it is text, if it is more than a delimiter."""
        shown = _SHOWN.search(part.content, part.body, min(part.end, part.body + _BLANK))
        if (shown is None and part.end - part.body > _BLANK) or (shown is not None and shown[0][:2] != b"--"):
            self._body(part, "text/plain", place)

    def _body(self, part: Part, kind: str, place: _Place) -> None:
        if any(each.taken.get(kind, each.number) != each.number for each in place.alternatives):
            self._file(part)
            return
        octets = part.decoded(self._room + 1)
        if len(octets) > self._room:
            self._file(part)
            return
        self._room -= len(octets)
        for each in place.alternatives:
            each.taken[kind] = each.number
        charset = part.charset
        if not charset and kind == "text/html":
            found = _META_CHARSET.search(octets, 0, _META_WITHIN)
            charset = "" if found is None else found[1].decode("ascii")
        text = decode_text(octets, charset)
        pieces = self._bodies[kind]
        if pieces and kind == "text/plain" and pieces[-1] and pieces[-1][-1] not in "\r\n":
            pieces.append("\r\n")
        pieces.append(text)

    def _file(self, part: Part) -> None:
        kind = part.content_type
        if part.unread and kind not in _MESSAGES:
            # With its header it can still be opened as a message.
            kind, name = ("message/rfc822", "unread.eml") if part.fields else (_UNKNOWN, "unread.bin")
            self._view.files.append(ReceivedFile(name, kind, "", part, whole=True))
            return
        name = _named(part)[1]
        if not name and kind in _MESSAGES:
            subject = part.children[0].field("subject")[:200] if part.children else ""
            name = safe_name(subject.replace("/", "_").replace("\\", "_") + ".eml").lstrip(". ")
            name = name if name != "eml" else "message.eml"
        if len(kind) > _LONGEST_TYPE or _TYPE.fullmatch(kind) is None:
            kind = _UNKNOWN
        content_id = decode_text(part.value("content-id")[:_LONGEST_ID]).strip("<> \t")
        self._view.files.append(ReceivedFile(name or _made_name(kind), kind, content_id, part))


def _places(part: Part, place: _Place) -> list[_Place]:
    """Where the children of a multipart stand."""
    kind = part.content_type.removeprefix("multipart/")
    numbers = range(len(part.children))
    if kind == "alternative":
        taken: dict[str, int] = {}
        return [_Place((*place.alternatives, _Alternative(taken, number)), first=number == 0) for number in numbers]
    if kind == "related":
        root = _root(part)
        return [_Place(place.alternatives, first=number == root, file=number != root) for number in numbers]
    if kind == "signed":
        return [_Place(place.alternatives, first=number == 0, file=number > 0) for number in numbers]
    return [_Place(place.alternatives, first=number == 0) for number in numbers]


def _root(part: Part) -> int:
    """Which part of a multipart/related refers to the others (RFC 2387 §3.2)."""
    start = part.type_parameters.text("start").strip("<> \t")
    if start:
        for number, child in enumerate(part.children):
            if child.value("content-id").strip(b"<> \t").decode("latin-1") == start:
                return number
    return 0


def _named(part: Part) -> tuple[str, str]:
    """Its disposition, in lower case, and the name that it is given; each may be empty."""
    value = part.value("content-disposition")
    given = [part.type_parameters.text("name")]
    token = ""
    if value:
        disposition = read_parameters(value)
        token = disposition.token
        given[:0] = disposition.text("filename"), disposition.text("name")
    return token, next((name for name in map(safe_name, given) if name.strip(". ")), "")


def _made_name(kind: str) -> str:
    stem = "image" if kind.startswith("image/") else "attachment"
    return _NAMES.get(kind) or stem + _EXTENSIONS.get(kind, "")
