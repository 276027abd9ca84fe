"""HTML of a message with its links replaced by tracked ones and a pixel that tells when it is opened.

Compiled once for a request, rendered for each recipient by joining strings. Everything but the values of the
links stays as it was written, character by character: what mail clients make of HTML depends on its quirks. So
there is no tree and no serializer here, but places found by ``mime.html_tokens``.

Values of placeholders go into the text as they are: senders put markup into them. Markup that comes so is not
looked at, it has no tracked links. The URL of a link may be a placeholder or have some in it: then it is looked at
when it is known.

Replaced is ``href`` of ``<a>`` and ``<area>``, for absolute ``http`` and ``https`` URLs only. Not replaced are:

- other schemes, anchors and relative URLs;
- links with the attribute ``clicktracking=off``, which itself is removed;
- signed URLs (``SIGNED``): they are secrets, made for one reader, and not for anybody's log of clicks;
- URLs named when rendering, such as those to unsubscribe.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from html import escape
from html import unescape as _unescape_reference
from html.entities import html5
from typing import Literal, NamedTuple

from ekiden.mime.html_tokens import DOCTYPE, END, Attribute, Tag, attributes, tags
from ekiden.mime.placeholders import BRACES, Growth, Syntax, Text, mask, slots, split

PixelPosition = Literal["TOP", "BOTTOM"]

SIGNED = frozenset({
    "x-amz-signature",  # Amazon S3, version 4
    "signature",  # Amazon S3 version 2, CloudFront, Google Cloud Storage version 2, Alibaba OSS
    "key-pair-id",  # CloudFront
    "x-goog-signature",  # Google Cloud Storage, version 4
    "sig",  # Azure shared access signature
    "x-oss-signature",  # Alibaba OSS, version 4
    "q-signature",  # Tencent COS
    "hdnts", "hdnea", "__token__",  # Akamai
})  # fmt: skip
"""Parameters of a query, in lower case, that only signed URLs have."""

_ABSOLUTE = re.compile(r"https?://[^\x00-\x20\x7f/?#\\][^\x00-\x1f\x7f]*", re.IGNORECASE)
_PARAMETER = re.compile(r"[?&;]([^=&;]*)=")
_REFERENCE = re.compile(r"&(?:#[0-9]+;?|#[xX][0-9A-Fa-f]+;?|[A-Za-z][A-Za-z0-9]*;?)")
_URL_BLANKS = "".join(map(chr, range(0x21)))
_NOT_IN_URLS = str.maketrans("", "", "\t\r\n")
_BLANKS = " \t\r\n\f"
_LINKS = frozenset(("a", "area"))
_PLACES = frozenset(("body", "head", "html", DOCTYPE))
"""Tags beside which a pixel may stand."""


class _Edit(NamedTuple):
    """What happens to ``html[start:end]``."""

    start: int
    end: int
    kind: Literal["link", "pixel", "remove"]
    quoted: bool = False


class Html:
    """A compiled document. ``links``: how many links ``render`` may ask to replace. ``names``: its placeholders."""

    __slots__ = (
        "_chosen",
        "_fixed",
        "_growth",
        "_length",
        "_parts",
        "_pixel",
        "_slots",
        "_syntax",
        "links",
        "names",
    )

    def __init__(self, html: str, edits: list[_Edit], syntax: Syntax = BRACES) -> None:
        self._syntax = syntax
        self._parts: list[str] = []
        self._slots: list[tuple[int, str]] = []
        self._fixed: list[tuple[int, str, bool]] = []
        self._chosen: list[tuple[int, Text, bool]] = []
        self._pixel = -1
        self._growth = Growth()
        at = 0
        for edit in edits:
            self._append(html[at : edit.start])
            at = edit.end
            if edit.kind == "pixel":
                self._pixel = len(self._parts)
                self._parts.append("")
            elif edit.kind == "link":
                self._link(html[edit.start : edit.end], edit.quoted)
        self._append(html[at:])
        self.links = len(self._fixed) + len(self._chosen)
        self.names = self._growth.names
        self._length = len(html)

    @classmethod
    def compile(
        cls, html: str, clicks: bool = False, pixel: PixelPosition | None = None, syntax: Syntax = BRACES
    ) -> Html:
        """``html`` with its links found if ``clicks``, and a place for the pixel unless ``None``. Never fails.

        TOP: behind ``<body>``, else where a body would begin. BOTTOM: before ``</body>``, else at the end.
        """
        if not clicks and pixel is None:
            return cls(html, [], syntax)
        # Where a placeholder stands it is not known which marks will stand there: braces mean nothing to HTML.
        masked = mask(html, syntax)
        edits: list[_Edit] = []
        places = _PixelPlaces()
        for tag in tags(masked, _LINKS | _PLACES if clicks else _PLACES):
            places.see(tag)
            if clicks and not tag.closing and tag.name in _LINKS:
                edits += _link_edits(masked, tag)
        if pixel is not None:
            place = places.top if pixel == "TOP" else places.bottom
            edits.append(_Edit(place, place, "pixel"))
        edits.sort(key=lambda edit: (edit.start, edit.end))
        return cls(html, edits, syntax)

    def length(self, values: Mapping[str, str]) -> int:
        """Characters of what ``render`` returns, before links are replaced."""
        return self._length + self._growth.of(values)

    def render(
        self,
        values: Mapping[str, str],
        link: Callable[[str], str] | None = None,
        pixel: str = "",
        untouched: Collection[str] = (),
    ) -> str:
        """The document for one recipient.

        ``link`` gives the tracked URL for a URL; one that it returns unchanged keeps its spelling. Both are plain,
        without HTML's references. ``pixel`` is the URL of the picture. Links to URLs in ``untouched`` stay.
        """
        parts = self._parts.copy()
        for at, name in self._slots:
            value = values.get(name)
            if value is not None:
                parts[at] = value
        for at, text, quoted in self._chosen:
            parts[at] = raw = text.render(values)
            if link is not None:
                target = link_target(raw)
                if target is not None and target not in untouched:
                    _replace(parts, at, target, link(target), quoted)
        if link is not None:
            for at, target, quoted in self._fixed:
                if target not in untouched:
                    _replace(parts, at, target, link(target), quoted)
        if self._pixel >= 0 and pixel:
            parts[self._pixel] = f'<img src="{escape(pixel)}" width="1" height="1" alt="">'
        return "".join(parts)

    def _append(self, html: str) -> None:
        begin = len(self._parts)
        parts = split(html, self._syntax)
        found = slots(parts, self._syntax)
        self._parts += parts
        self._slots += [(begin + at, name) for at, name in found]
        self._growth.add(parts, found)

    def _link(self, raw: str, quoted: bool) -> None:
        text = Text(raw, self._syntax)
        if text.names:
            parts = split(raw, self._syntax)
            self._growth.add(parts, slots(parts, self._syntax))
            self._chosen.append((len(self._parts), text, quoted))
        else:
            target = link_target(raw)
            if target is not None:
                self._fixed.append((len(self._parts), target, quoted))
        self._parts.append(raw)


def link_target(value: str) -> str | None:
    """The URL in the value of an ``href`` as browsers read it, if it is one to track (see the module)."""
    url = _unescaped(value).strip(_URL_BLANKS).translate(_NOT_IN_URLS)
    if _ABSOLUTE.fullmatch(url) is None:
        return None
    if "?" in url and any(name.lower() in SIGNED for name in _PARAMETER.findall(url.partition("#")[0])):
        return None
    return url.replace(" ", "%20")


def _replace(parts: list[str], at: int, target: str, tracked: str, quoted: bool) -> None:
    if tracked != target:
        parts[at] = escape(tracked) if quoted else f'"{escape(tracked)}"'


def _unescaped(value: str) -> str:
    return _REFERENCE.sub(_reference, value) if "&" in value else value


def _reference(match: re.Match[str]) -> str:
    """One character reference in an attribute: ``&copy=1`` is none there (WHATWG HTML §13.2.5.73)."""
    text = match[0]
    if text[1] != "#" and (
        text[1:] not in html5 or (text[-1] != ";" and match.string[match.end() : match.end() + 1] == "=")
    ):
        return text
    return _unescape_reference(text)


def _link_edits(html: str, tag: Tag) -> Iterator[_Edit]:
    found: dict[str, Attribute] = {}
    for attribute in attributes(html, tag):
        found.setdefault(attribute.name, attribute)
    off = found.get("clicktracking")
    if off is not None and html[off.value : off.value_end].strip(_BLANKS).lower() == "off":
        start = off.start
        if html[off.end] in _BLANKS + ">":  # else the blanks before it part its neighbours
            start = len(html[tag.start : start].rstrip(_BLANKS)) + tag.start
        yield _Edit(start, off.end, "remove")
        return
    href = found.get("href")
    if href is not None and href.value < href.value_end:
        yield _Edit(href.value, href.value_end, "link", href.quoted)


class _PixelPlaces:
    """Where a pixel may stand, learnt tag by tag."""

    def __init__(self) -> None:
        self._body = self._head_end = self._begin = -1
        self._body_end = self._html_end = -1
        self._end = 0

    def see(self, tag: Tag) -> None:
        if tag.name == "body":
            if tag.closing:
                self._body_end = tag.start
            elif self._body < 0:
                self._body = tag.end
        elif tag.name == "html" and tag.closing:
            self._html_end = tag.start
        elif tag.name in ("html", DOCTYPE):
            self._begin = tag.end
        elif tag.name == "head" and tag.closing:
            self._head_end = tag.end
        elif tag.name == END:
            self._end = tag.start

    @property
    def top(self) -> int:
        # Before a doctype it would put browsers into quirks mode, before a head it would end it.
        return next((place for place in (self._body, self._head_end, self._begin) if place >= 0), 0)

    @property
    def bottom(self) -> int:
        return next((place for place in (self._body_end, self._html_end) if place >= 0), self._end)
