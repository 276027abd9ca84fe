"""Messages from their parts: subject, text and HTML that an API is given (RFC 5322, 2045, 2046, 2387).

A ``Composer`` is made once for a request and composes one message for each recipient. What it composes ends where
the content that the messages share begins (``mime.attachment_parts``), and without such content it is the message.
No deeper than needed, at most: mixed(related(alternative(text, AMP, HTML), inline images), attachments).

Date and Message-ID are the door's to add.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from ekiden.mime.attachment_parts import SharedParts
from ekiden.mime.boundaries import ALTERNATIVE, MIXED, RELATED, begin, end
from ekiden.mime.encodings import encode_japanese, encode_text
from ekiden.mime.fields import check_name, extra_field, text_field
from ekiden.mime.html_links import Html, PixelPosition
from ekiden.mime.japanese import ISO_2022_JP, UTF_8, Charset
from ekiden.mime.mailbox import Mailbox, mailbox_field
from ekiden.mime.placeholders import BRACES, Syntax, Text

_PLAIN = b"text/plain"
_AMP = b"text/x-amp-html"
_HTML = b"text/html"


class Composer:
    """The messages of one request. ``links``: how many tracked links one message has at most."""

    def __init__(
        self,
        sender: Mailbox,
        subject: str,
        *,
        text: str | None = None,
        html: str | None = None,
        amp: str | None = None,
        headers: Iterable[tuple[str, str]] = (),
        shared: SharedParts | None = None,
        clicks: bool = False,
        pixel: PixelPosition | None = None,
        syntax: Syntax = BRACES,
        charset: Charset = UTF_8,
    ) -> None:
        """Without any body, there is an empty text. ``headers`` are in the order given, and templates where
        ``syntax`` says so.

        ``clicks`` and ``pixel`` are ``Html.compile``'s, ``syntax`` says how placeholders are written. Raises
        ``BadHeaderName`` and ``BadHeaderValue``. A text that has no form in ``charset`` is in UTF-8, and AMP is.
        """
        self._charset: Charset = charset
        self._subject = Text(subject, syntax)
        self._html = None if html is None else Html.compile(html, clicks, pixel, syntax)
        self._amp = None if amp is None else Text(amp, syntax)
        self._text = Text(text or "", syntax) if text is not None or (html is None and amp is None) else None
        self._encoded_text = (
            None if self._text is None or self._text.names else _part(_PLAIN, self._text.source, charset)
        )
        self._from = mailbox_field("From", (sender,), charset)
        self._headers: list[tuple[str, bytes]] = []
        self._templates: list[tuple[str, Text]] = []
        for name, value in headers:
            template = Text(value, syntax) if syntax.in_headers else None
            if template is not None and template.names:
                check_name(name)
                self._templates.append((name, template))
            else:
                self._headers.append((name.lower(), extra_field(name, value, charset)))
        self._all_headers = b"".join(field for _, field in self._headers)
        self._shared = shared
        bodies = ((_PLAIN, self._text), (_AMP, self._amp), (_HTML, self._html))
        kinds = [kind for kind, body in bodies if body is not None]
        self._several = len(kinds) > 1
        self._opening = self._open(b"multipart/alternative" if self._several else kinds[0])
        self._closing = end(ALTERNATIVE) if self._several else b""

    @property
    def links(self) -> int:
        return 0 if self._html is None else self._html.links

    @property
    def _all(self) -> list[Text | Html]:
        found = (self._subject, self._text, self._amp, self._html, *(template for _, template in self._templates))
        return [template for template in found if template is not None]

    @property
    def names(self) -> frozenset[str]:
        """The placeholders of all templates."""
        return frozenset[str]().union(*(template.names for template in self._all))

    def length(self, values: Mapping[str, str]) -> int:
        """Characters of all templates so filled, before links are replaced: the message has more octets.

        To be asked before ``compose``, which needs many times the memory.
        """
        return sum(template.length(values) for template in self._all)

    def compose(
        self,
        to: Sequence[Mailbox],
        values: Mapping[str, str],
        *,
        cc: Sequence[Mailbox] = (),
        reply_to: Sequence[Mailbox] = (),
        headers: Sequence[tuple[str, str]] = (),
        link: Callable[[str], str] | None = None,
        pixel: str = "",
        untouched: Collection[str] = (),
    ) -> bytes:
        """The message for those who read ``to`` and ``cc`` in its header, up to where shared content begins.

        Who answers writes to ``reply_to``. ``values`` fill the placeholders, in HTML and AMP as they are.
        ``headers`` are this message's own, and stand instead of those of that name for all. The rest is
        ``Html.render``'s. Raises ``BadHeaderValue``, also for a subject that gets a line break by a value, and
        ``BadHeaderName``.
        """
        own = {name.lower() for name, _ in headers}
        if reply_to:
            own.add("reply-to")
        charset = self._charset
        filled = [(name, template.render(values)) for name, template in self._templates if name.lower() not in own]
        pieces = [
            self._from,
            mailbox_field("To", to, charset),
            mailbox_field("Cc", cc, charset),
            mailbox_field("Reply-To", reply_to, charset),
            text_field("Subject", self._subject.render(values), charset),
            self._without(own),
            b"".join(extra_field(name, value, charset) for name, value in (*filled, *headers)),
            self._opening,
        ]
        if self._text is not None:
            self._add(pieces, self._encoded_text or _part(_PLAIN, self._text.render(values), charset))
        if self._amp is not None:
            self._add(pieces, _part(_AMP, self._amp.render(values)))
        if self._html is not None:
            self._add(pieces, _part(_HTML, self._html.render(values, link, pixel, untouched), charset))
        pieces.append(self._closing)
        return b"".join(pieces)

    def _without(self, names: Collection[str]) -> bytes:
        """The fields that all messages have, but for those of ``names``: nothing stands twice."""
        if not names:
            return self._all_headers
        return b"".join(field for name, field in self._headers if name not in names)

    def _add(self, pieces: list[bytes], part: bytes) -> None:
        if self._several:
            pieces.append(begin(ALTERNATIVE))
        pieces.append(part)

    def _open(self, kind: bytes) -> bytes:
        """What stands before the first text, which is, or is within, a part of type ``kind``."""
        opened = b"MIME-Version: 1.0\r\n"
        if self._shared is not None and self._shared.attached:
            opened += _multipart(b"mixed", MIXED) + begin(MIXED)
        if self._shared is not None and self._shared.inline:
            opened += _multipart(b"related", RELATED, b';\r\n type="' + kind + b'"') + begin(RELATED)
        if self._several:
            opened += _multipart(b"alternative", ALTERNATIVE)
        return opened


def _multipart(kind: bytes, boundary: bytes, more: bytes = b"") -> bytes:
    return b"Content-Type: multipart/" + kind + b';\r\n boundary="' + boundary + b'"' + more + b"\r\n\r\n"


def _part(kind: bytes, text: str, charset: Charset = UTF_8) -> bytes:
    """Header and body of a text."""
    japanese = encode_japanese(text) if charset == ISO_2022_JP else None
    encoding, body = encode_text(text) if japanese is None else japanese
    label = UTF_8 if japanese is None else ISO_2022_JP
    return b"".join((
        b"Content-Type: ", kind, b"; charset=", label.encode(),
        b"\r\nContent-Transfer-Encoding: ", encoding, b"\r\n\r\n", body
    ))  # fmt: skip
