"""A kept message as a person reads it: decoded header fields, its text, and what is attached.

Strangers may have written it, and it is shown on terminals and in browsers: what is looked at is bounded, and what
a terminal would obey is made visible. The standard library reads it, not the platform's own code that made it.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from email.header import decode_header, make_header
from email.message import Message
from html.parser import HTMLParser
from typing import Final, NamedTuple

from ekiden.core.visible import visible, visible_text
from ekiden.lab.mailbox import Mail

MAX_OCTETS: Final = 1 << 20
"""Of a message that are read; what is attached behind them is not listed."""
MAX_TEXT: Final = 200_000
"""Characters of text that are shown."""
MAX_VALUE: Final = 2_000
"""Characters of a header field that are shown."""
_MAX_PARTS: Final = 200
FIELDS: Final = ("From", "To", "Cc", "Subject", "Date", "Reply-To", "Message-ID")
_ENCODED: Final = re.compile(r"=\?[^?\s]+\?[bq]\?", re.IGNORECASE)


class Reading(NamedTuple):
    """``fields``: names and decoded values of ``FIELDS``. ``is_html``: ``text`` was made from HTML. ``attached``: a
    name or a type, and a size in octets, of every other part. ``cut``: there is more than is shown."""

    fields: tuple[tuple[str, str], ...]
    text: str
    is_html: bool
    attached: tuple[tuple[str, int], ...]
    cut: bool

    def field(self, name: str) -> str:
        return next((value for found, value in self.fields if found == name), "")


def read(mail: Mail, most: int = MAX_OCTETS) -> Reading:
    """Of the first ``most`` octets. Never raises; a message that is none is shown as it is."""
    data = mail.data[:most]
    message = email.message_from_bytes(data, policy=email.policy.compat32)
    plain: list[str] = []
    html: list[str] = []
    attached: list[tuple[str, int]] = []
    for number, part in enumerate(_leaves(message)):
        if number == _MAX_PARTS:
            break
        kind = part.get_content_type()
        body = _octets(part)
        name = _decoded(part.get_filename() or "")
        if kind in ("text/plain", "text/html") and part.get_content_disposition() != "attachment" and not name:
            (plain if kind == "text/plain" else html).append(_text(part, body))
        else:
            attached.append((visible(name or kind)[:MAX_VALUE], len(body)))
    text = "\n".join(plain) if any(each.strip() for each in plain) else "\n".join(map(text_of_html, html))
    text = text.replace("\r\n", "\n")
    fields = tuple(
        (name, visible(_decoded(" ".join(str(value).split())))[:MAX_VALUE])
        for name in FIELDS
        for value in message.get_all(name, [])[:1]
    )
    return Reading(
        fields,
        visible_text(text[:MAX_TEXT]),
        not any(each.strip() for each in plain) and bool(html),
        tuple(attached),
        len(mail.data) > most or len(text) > MAX_TEXT,
    )


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
    except (ValueError, LookupError, UnicodeError):
        return value


class _ToText(HTMLParser):
    """The words of a page, with the addresses of its links."""

    _SILENT: Final = frozenset({"script", "style", "head", "title"})
    _LINES: Final = frozenset({"p", "div", "br", "tr", "li", "table", "h1", "h2", "h3", "h4", "ul", "ol", "hr"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._silent = 0
        self._link = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self._SILENT:
            self._silent += 1
        elif tag in self._LINES:
            self.found.append("\n")
        elif tag == "a":
            self._link = dict(attrs).get("href") or ""
        elif tag == "img" and (alt := dict(attrs).get("alt")):
            self.found.append(f"[{alt}]")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._SILENT:
            self._silent = max(0, self._silent - 1)
        elif tag == "a" and self._link:
            self.found.append(f" <{self._link}>")
            self._link = ""
        elif tag in ("p", "div", "table", "ul", "ol"):
            self.found.append("\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            # Line ends of the source are blanks; runs of blanks become one later.
            self.found.append(" ".join(data.splitlines()) if data.strip() else " ")


def text_of_html(html: str) -> str:
    """The text that a reader of the page would see, roughly."""
    parser = _ToText()
    try:
        parser.feed(html[:MAX_OCTETS])
        parser.close()
    except AssertionError:  # what the standard library says to some broken declarations
        return html
    lines = [" ".join(line.split()) for line in "".join(parser.found).split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip() + "\n"
