"""The tags of an HTML document and where their attributes stand, as browsers see them (WHATWG HTML §13.2.5).

Parsers that build a tree (lxml, selectolax) write a document of their own; whoever has to leave every other
character as it is needs places, so this is a tokenizer only. It never fails, and each character is looked at a
bounded number of times, whatever the input.

Comments, conditional ones among them, are passed over, as are CDATA sections, processing instructions, and what
stands in elements without markup (script, style, title, textarea ...).
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import NamedTuple

_BLANK = r" \t\n\r\f"
_NAME = rf"(?:=[^{_BLANK}/>=]*+|[^{_BLANK}/>=]++)"
_OPEN = re.compile(r"<(?=[A-Za-z/!?])")
# An attribute whose quote nobody closes is none, and then there is no tag. Blanks within [] count.
_VALUE = rf"""(?:
    [{_BLANK}]*+ = [{_BLANK}]*+ (?: "([^"]*+)" | '([^']*+)' | (?=>) | ([^{_BLANK}>"'][^{_BLANK}>]*+) )
    | (?![{_BLANK}]*+=)
)"""
_TAG = re.compile(rf"</?([A-Za-z][^{_BLANK}/>]*+) (?: [{_BLANK}/]++ | {_NAME} {_VALUE} )*+ >", re.VERBOSE)
_PIECE = re.compile(rf"[{_BLANK}/]++ | {_NAME} {_VALUE}", re.VERBOSE)
_TAG_NAME = re.compile(rf"</?([A-Za-z][^{_BLANK}/>]*+)")
_ATTRIBUTE = re.compile(rf"({_NAME}) {_VALUE}", re.VERBOSE)
_COMMENT_END = re.compile(r"--!?>")
_RAW = {
    name: re.compile(rf"</{name}(?=[{_BLANK}/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_RAW["plaintext"] = re.compile(r"(?!)")  # nothing ends it

# One call must not read megabytes: a thread that is in it lets nobody else run.
_WINDOW = 262_144
_LONGEST_QUICK = 16_384
"""Characters of a tag that are read in one go; a longer one, with a picture in its URL, attribute by attribute."""
_LONGEST_NAME = 256
_MAX_TAGS = 500_000
"""Tags of a document; behind them nothing is looked for. 10 MB of honest HTML have some 200,000."""
_MAX_PIECES = 20_000
"""Attributes and blanks between them of one tag; behind a tag with more nothing is looked for."""

DOCTYPE = "!doctype"

OTHER = "!"
"""The name of what is no tag: a comment, a CDATA section, a processing instruction, a declaration."""

END = ""
"""The name of the last token: where the document ends, or where something begins that nobody ends."""


class Tag(NamedTuple):
    """``html[start:end]`` is the whole tag; ``name`` is in lower case. ``DOCTYPE`` counts as one."""

    name: str
    closing: bool
    start: int
    end: int


class Attribute(NamedTuple):
    """``html[start:end]`` is the whole attribute, ``html[value:value_end]`` its value without quotes."""

    name: str
    start: int
    end: int
    value: int
    value_end: int
    quoted: bool


def tags(html: str, names: Container[str]) -> Iterator[Tag]:
    """The tags called one of ``names``, in order; ``END`` comes last."""
    at = 0
    count = 0
    cdata = True  # whether a CDATA section can still end
    while (start := _next_open(html, at)) >= 0:
        count += 1
        if count > _MAX_TAGS:
            yield Tag(END, False, start, start)
            return
        named, end = _whole_tag(html, start)
        if end >= 0:
            name = named.lower()
            at = end
            closing = html[start + 1] == "/"
            if name in _RAW and not closing:
                close = _RAW[name].search(html, at)
                if close is None:
                    yield Tag(END, False, start, start)
                    return
                at = close.start()
            if name in names:
                yield Tag(name, closing, start, end)
            continue
        if _is_letter(html, start + 1 + (html[start + 1] == "/")):  # a tag that does not end
            yield Tag(END, False, start, start)
            return
        at = -1
        if html.startswith("<!--", start):
            at = _comment_end(html, start + 4)
        else:
            # Browsers end a CDATA section at the next `>`, readers of XHTML at `]]>`: the longer one it is.
            if cdata and html.startswith("<![CDATA[", start):
                at = html.find("]]>", start)
                cdata = at >= 0
            at = html.find(">", max(at, start)) + 1 or -1
            if DOCTYPE in names and html[start + 1 : start + 9].lower() == DOCTYPE and at > 0:
                yield Tag(DOCTYPE, False, start, at)
        if at < 0:
            yield Tag(END, False, start, start)
            return
        if OTHER in names:
            yield Tag(OTHER, False, start, at)
    yield Tag(END, False, len(html), len(html))


def _next_open(html: str, at: int) -> int:
    """Where the next ``<`` stands that begins something; -1: nowhere."""
    while (at := html.find("<", at)) >= 0:
        found = _OPEN.search(html, at, at + _WINDOW)
        if found is not None:
            return found.start()
        at = at + _WINDOW - 1
    return -1


def _whole_tag(html: str, start: int) -> tuple[str, int]:
    """The name of the tag at ``start`` and where it ends; -1: there is none, or it does not end."""
    match = _TAG.match(html, start, start + _LONGEST_QUICK)
    if match is not None:
        return match[1], match.end()
    if len(html) - start <= _LONGEST_QUICK:
        return "", -1
    named = _TAG_NAME.match(html, start, start + _LONGEST_NAME + 2)
    if named is None or named.end() - start > _LONGEST_NAME:
        return "", -1
    at = named.end()
    for _ in range(_MAX_PIECES):
        if html.startswith(">", at):
            return named[1], at + 1
        piece = _PIECE.match(html, at)
        if piece is None:
            break
        at = piece.end()
    return "", -1


def attributes(html: str, tag: Tag) -> list[Attribute]:
    """The attributes of ``tag`` in order, names in lower case; of equal ones, the first counts."""
    found = []
    at = tag.start + 1 + tag.closing + len(tag.name)
    for match in _ATTRIBUTE.finditer(html, at, tag.end):
        group = match.lastindex or 1
        start, end = match.span(group) if group > 1 else (match.end(), match.end())
        found.append(Attribute(match[1].lower(), match.start(), match.end(), start, end, group in (2, 3)))
    return found


def _is_letter(html: str, at: int) -> bool:
    return html[at : at + 1].isascii() and html[at : at + 1].isalpha()


def _comment_end(html: str, at: int) -> int:
    """Where the comment ends whose text begins at ``at``; -1: nowhere. ``<!-->`` and ``<!--->`` are whole ones."""
    if html.startswith(">", at):
        return at + 1
    if html.startswith("->", at):
        return at + 2
    match = _COMMENT_END.search(html, at)
    return -1 if match is None else match.end()
