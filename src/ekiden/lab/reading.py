"""A kept message as a person reads it: decoded header fields, its text, and what is attached.

Strangers may have written it, and it is shown on terminals and in browsers: what is looked at is bounded, and what
a terminal would obey is made visible. The standard library reads it, not the platform's own code that made it; but
the tags of HTML are found by ``mime.html_tokens``, since there are pages with which ``html.parser`` takes minutes.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Container, Iterator
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from html import unescape
from itertools import islice
from typing import Final, NamedTuple

from ekiden.core.visible import visible, visible_text
from ekiden.lab.mailbox import Mail
from ekiden.mime.html_tokens import END, Tag, attributes, tags

MAX_OCTETS: Final = 1 << 20
"""Of a message that are read; what is attached behind them is not listed."""
MAX_TEXT: Final = 200_000
"""Characters of text that are shown."""
MAX_VALUE: Final = 2_000
"""Characters of a header field that are shown."""
_MAX_HEADER: Final = 16_384
"""Octets in which header fields are looked for, since a list of messages is made anew every few seconds; and of a
field that says what a part is.
"""
_MAX_PARTS: Final = 200
FIELDS: Final = ("From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID")
_TROUBLE: Final = (MessageError, RecursionError, ValueError, LookupError)
"""What comes of some messages: charsets that are none, levels without end, parameters without end."""
_ENCODED: Final = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)


class Reading(NamedTuple):
    """``fields``: decoded values of ``FIELDS``. ``is_html``: ``text`` was made from HTML. ``attached``: a name or a
    type, and a size in octets, of every other part. ``cut``: there is more than is shown."""

    fields: dict[str, str]
    text: str
    is_html: bool
    attached: list[tuple[str, int]]
    cut: bool


def read(mail: Mail) -> Reading:
    """Never raises; a message that nobody can take apart is shown as it is."""
    data = mail.data[:MAX_OCTETS]
    try:
        plain, html, attached = _parts(data)
    except _TROUBLE:
        plain, html, attached = [data.partition(b"\r\n\r\n")[2].decode("utf-8", "replace")], [], []
    is_html = bool(html) and not any(each.strip() for each in plain)
    text = "\n".join(map(text_of_html, html) if is_html else plain).replace("\r\n", "\n")
    cut = len(mail.data) > MAX_OCTETS or len(text) > MAX_TEXT
    return Reading(read_fields(mail), visible_text(text[:MAX_TEXT]), is_html, attached, cut)


def read_fields(mail: Mail) -> dict[str, str]:
    """``FIELDS`` of the header, those that are there. Never raises."""
    header = BytesHeaderParser(policy=email.policy.compat32).parsebytes(mail.data[:_MAX_HEADER])
    return {
        name: visible(_decoded(" ".join(value.split())))[:MAX_VALUE]
        for name in FIELDS
        for value in _raw(header, name)[:1]
    }


def _raw(header: Message, name: str) -> list[str]:
    """Without the parser's own idea of octets beyond ASCII, which it would not show."""
    return [value for found, value in header.raw_items() if found.lower() == name.lower()]


def _parts(data: bytes) -> tuple[list[str], list[str], list[tuple[str, int]]]:
    """Plain texts, pages, and what is attached. Raises ``_TROUBLE``."""
    plain: list[str] = []
    html: list[str] = []
    attached: list[tuple[str, int]] = []
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    for part in islice(_leaves(message), _MAX_PARTS):
        if any(
            len(value) > _MAX_HEADER for field, value in part.raw_items() if field.lower().startswith("content-")
        ):
            raise ValueError("a field that would take minutes")
        kind = part.get_content_type()
        body = _octets(part)
        name = _decoded(part.get_filename() or "")
        if kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not name:
            (plain if kind == "text/plain" else html).append(_text(part, body))
        else:
            attached.append((visible(name or kind)[:MAX_VALUE], len(body)))
    return plain, html, attached


def _leaves(message: Message) -> Iterator[Message]:
    """Parts that hold no others; a message inside of one is one part, whose text is not this message's."""
    if not message.is_multipart() or message.get_content_maintype() == "message":
        yield message
        return
    for part in message.get_payload():
        if isinstance(part, Message):
            yield from _leaves(part)


def _octets(part: Message) -> bytes:
    inner = part.get_payload()
    if isinstance(inner, list):  # a message, or the groups of fields of a report
        return b"\n".join(item.as_bytes() for item in inner if isinstance(item, Message))
    try:
        found = part.get_payload(decode=True)
    except (ValueError, LookupError):
        found = None
    return found if isinstance(found, bytes) else str(part.get_payload()).encode("utf-8", "replace")


def _text(part: Message, body: bytes) -> str:
    charset = str(part.get_content_charset() or "utf-8")
    try:
        return body.decode(charset, "replace")
    except (LookupError, ValueError):  # no such charset, or one that is no charset of texts
        return body.decode("utf-8", "replace")


def _decoded(value: str) -> str:
    """Encoded words as text; raw UTF-8, which the parser keeps as surrogates, too."""
    value = value.encode("utf-8", "surrogateescape").decode("utf-8", "replace")[: MAX_VALUE * 4]
    if not _ENCODED.search(value):
        return value
    try:
        return str(make_header(decode_header(value)))
    except _TROUBLE:
        return value


class _Every(Container[str]):
    def __contains__(self, name: object) -> bool:
        return True


_SILENT: Final = frozenset({"script", "style", "title", "textarea", "iframe", "noembed", "noframes"})
_LINES: Final = frozenset({"p", "div", "br", "tr", "li", "table", "h1", "h2", "h3", "h4", "ul", "ol", "hr"})
_LINES_AFTER: Final = frozenset({"p", "div", "table", "ul", "ol"})
_BLANKS: Final = re.compile(r"\s+")


def text_of_html(html: str) -> str:
    """The text that a reader of the page would see, roughly, with the addresses of its links. What nobody ends is
    shown as it is."""
    found: list[str] = []
    at = 0
    link = ""
    silent = False
    for tag in tags(html, _Every()):
        if not silent:
            found.append(_words(html[at : tag.start]))
        at = tag.end
        silent = tag.name in _SILENT and not tag.closing
        if tag.name == "a":
            if link:
                found.append(f" <{link}>")
            link = "" if tag.closing else _value(html, tag, "href")
        elif tag.name == "img" and (alt := _value(html, tag, "alt")):
            found.append(f"[{alt}]")
        elif tag.name in (_LINES_AFTER if tag.closing else _LINES):
            found.append("\n")
        elif tag.name == END:
            found.append(_BLANKS.sub(" ", html[tag.start :]))
    lines = [" ".join(line.split()) for line in "".join(found).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"


def _words(html: str) -> str:
    """Line ends of the source are blanks."""
    return _BLANKS.sub(" ", unescape(html))


def _value(html: str, tag: Tag, name: str) -> str:
    """Of an attribute; empty: it has none."""
    found = next((each for each in attributes(html, tag) if each.name == name), None)
    return "" if found is None else _BLANKS.sub(" ", unescape(html[found.value : found.value_end]))
