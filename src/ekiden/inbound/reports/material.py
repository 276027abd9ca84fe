"""The parts of a mail that reports are read from, within bounds.

Only the first ``MAX_PARTS`` parts are looked at, and only ``MAX_TEXT`` characters of what they say to people: what
there is besides belongs to the mail that is returned.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from ekiden.inbound.reports.patterns import ADDRESS, any_of, compiled, readable
from ekiden.mime.tree import Part

MAX_PARTS: Final = 64
MAX_DEPTH: Final = 8
MAX_TEXT: Final = 65_536
"""Characters of all that is said to people, and of the fields of each report within."""
MAX_RETURNED: Final = 16_384
"""Octets of the header that comes back."""
MAX_VALUE: Final = 2_000
"""Characters of a field."""

_MAX_FIELDS: Final = 200
_STATUS: Final = frozenset({"message/delivery-status", "message/global-delivery-status"})
_FEEDBACK: Final = frozenset({"message/feedback-report"})
_RETURNED: Final = frozenset(
    {
        "message/rfc822",
        "message/global",
        "message/partial",
        "message/rfc822-headers",
        "message/global-headers",
        "text/rfc822-headers",
        "text/rfc822-header",
        "text/rfc822",
    }
)
_DISPOSITION: Final = frozenset({"message/disposition-notification", "message/global-disposition-notification"})


Fields = list[tuple[str, str]]
"""Names in lower case, with their values; in order."""


@dataclass(slots=True)
class Material:
    """What there is to read."""

    root: Part
    text: str = ""
    """What is said to people, before any mail that is returned in the same part."""
    statuses: list[str] = field(default_factory=list)
    """Fields of RFC 3464, wherever they were."""
    feedback: list[str] = field(default_factory=list)
    """Fields of RFC 5965."""
    dispositions: list[str] = field(default_factory=list)
    """Fields of RFC 8098."""
    returned: Fields = field(default_factory=list)
    """The header of the mail that is returned."""
    inner: Part | None = None
    """That mail, when it is whole: a report may have been sent on in another one."""
    files: list[tuple[str, str]] = field(default_factory=list)
    """Content types and names of the other parts."""
    own: frozenset[str] = frozenset()
    """Addresses of the report and of the returned mail's sender, in lower case: it is seldom about those."""
    shortened: bool = False

    def header(self, name: str) -> str:
        """A field of the mail itself, as text in one line; empty: there is none."""
        return readable(self.root.field(name)[:MAX_VALUE]).replace("\n", " ").strip()


_ADDRESS: Final = compiled(ADDRESS)
_UNREAD: Final = compiled(r"(?s)<(?:style|script|head|title)\b.*?</(?:style|script|head|title)\s*>|<!--.*?-->")
_MOST_UNREAD: Final = 200
# Each looks from one "<" to the next one at most.
_BREAKS: Final = re.compile(
    r"</?(?:p|br|div|tr|li|ul|table|h[1-6]|pre|blockquote|hr|td)\b[^<>]*+>", re.IGNORECASE | re.ASCII
)
_OTHER_TAGS: Final = re.compile(r"</?[a-z!?][^<>@]*+>|</?a\b[^<>]*+>", re.IGNORECASE | re.ASCII)


def _plain(markup: str) -> str:
    """HTML as lines of text; addresses between angle brackets stay."""
    text = _UNREAD.sub(" ", markup.replace("\n", " "), _MOST_UNREAD)
    text = _OTHER_TAGS.sub("", _BREAKS.sub("\n", text))
    return html.unescape(text)


# Where a part goes on with the mail that is returned. A line of dashes with words, or the first field of a header.
_CUT: Final = any_of(
    (
        r"^[ \t>|*#=_-]*(?:below this line is a copy|(?:below |here )?is a copy of the (?:original|message)"
        r"|this is a copy of (?:the|your)|enclosed is a copy|included is a copy|a copy of the original message"
        r"|the (?:full |complete )?headers? of the original message|message headers follow|original message follows"
        r"|the original message follows|unsent message follows|undelivered message follows|returned message\b"
        r"|original message ?-|original mail as follows|original mail info|header of the original message"
        r"|message text follows|message header follows|start of returned|original message headers?:"
        r"|en-t\S{1,3}tes de message d.origine|copy of your message|text of your message follows"
        r"|the message that you sent was|begin forwarded message)",
        r"^[ \t>|]{0,8}(?:return-path|received|delivered-to|x-received|dkim-signature|x-original-to|arc-seal)"
        r"[ \t]*: ?[^\n]",
    )
)
_STATUS_LINE: Final = compiled(r"^[ \t]{0,4}(?:final-recipient|original-recipient)[ \t]*:[ \t]*\S")
_FIELD: Final = compiled(r"^[ \t>|]{0,8}([a-z][a-z0-9-]{1,60})[ \t]*:[ \t]?(.*)$")


def header_fields(text: str) -> Fields:
    """The fields with which ``text`` begins, or that follow a few lines further on; folded lines are joined."""
    found: Fields = []
    for line in text[:MAX_RETURNED].split("\n")[:600]:
        if line[:1] in " \t" and found and line.strip():
            inner = _FIELD.match(line)
            if inner is None or inner[1].lower() not in _SURE:
                name, value = found[-1]
                found[-1] = (name, f"{value} {line.strip()}"[:MAX_VALUE])
                continue
        match = _FIELD.match(line)
        if match is not None:
            found.append((match[1].lower(), match[2].strip()[:MAX_VALUE]))
        elif len(found) > 3 and not line.strip():
            break
    return found


_SURE: Final = frozenset({"received", "return-path", "from", "to", "subject", "message-id", "date", "delivered-to"})


def gather(root: Part) -> Material:
    """Never fails, and costs what the bounds allow."""
    material = Material(root)
    said: list[str] = []
    marked_up: list[str] = []
    left = MAX_TEXT
    count = 0
    waiting: list[tuple[Part, int]] = [(root, 0)]
    while waiting:
        part, depth = waiting.pop()
        count += 1
        if count > MAX_PARTS:
            material.shortened = True
            break
        kind = part.content_type
        if kind in _STATUS:
            material.statuses.append(readable(part.text(MAX_TEXT)))
        elif kind in _FEEDBACK:
            material.feedback.append(readable(part.text(MAX_TEXT)))
        elif kind in _DISPOSITION:
            material.dispositions.append(readable(part.text(MAX_TEXT)))
        elif kind in _RETURNED and part is not root:
            _take_returned(material, part)
        elif part.children and kind.startswith("multipart/"):
            if depth < MAX_DEPTH:
                waiting += [(child, depth + 1) for child in reversed(part.children[:MAX_PARTS])]
            else:
                material.shortened = True
        elif kind == "text/html":
            if left > 0:
                text = _plain(readable(part.text(left)))
                left -= len(text)
                marked_up.append(text)
        elif kind.startswith(("text/", "multipart/")) or part is root:
            # What calls itself a multipart and has no parts is text, as readers show it.
            if left > 0:
                text = readable(part.text(left))
                left -= len(text)
                said.append(text)
        else:
            material.files.append((kind, part.params.get("name", "")))
    material.shortened = material.shortened or left <= 0
    _separate(material, "\n".join(said if any(text.strip() for text in said) else marked_up))
    material.own = frozenset(_own_addresses(material))
    return material


def _own_addresses(material: Material) -> Iterator[str]:
    for name in ("from", "to", "reply-to", "sender", "return-path", "delivered-to"):
        yield from addresses_in(material.header(name))
    for name, value in material.returned:
        if name in ("from", "return-path", "sender", "reply-to", "errors-to", "x-envelope-from"):
            yield from addresses_in(value)


def addresses_in(value: str) -> Iterator[str]:
    """The addresses of a field, in lower case."""
    for number, match in enumerate(_ADDRESS.finditer(value[:4_000])):
        if number == 50:
            return
        yield match[0].lower()


def _take_returned(material: Material, part: Part) -> None:
    if part.children:
        material.inner = material.inner or part.children[0]
    if not material.returned:
        inner = part.children[0] if part.children else None
        if inner is not None and inner.fields:
            material.returned = [
                (found.name.lower(), readable(found.text()[:MAX_VALUE]))
                for found in inner.fields[:_MAX_FIELDS]
                if len(found.raw) <= MAX_RETURNED
            ]
        else:
            material.returned = header_fields(readable(part.text(MAX_RETURNED)))


def _separate(material: Material, text: str) -> None:
    """What is said, from fields of RFC 3464 in the same text and from the mail that is returned there."""
    status = _STATUS_LINE.search(text)
    if status is not None and not material.statuses:
        start = text.rfind("\n\n", 0, status.start()) + 1
        material.statuses.append(text[start:])
    cut = _CUT.search(text)
    if cut is not None and not text[: cut.start()].strip():
        cut = _CUT.search(text, cut.end())
    if cut is None:
        material.text = text
        return
    material.text = text[: cut.start()]
    if not material.returned:
        material.returned = header_fields(text[cut.start() :])
