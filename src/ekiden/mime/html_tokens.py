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
_ATTRIBUTE = re.compile(rf"({_NAME}) {_VALUE}", re.VERBOSE)
_COMMENT_END = re.compile(r"--!?>")
_RAW = {
    name: re.compile(rf"</{name}(?=[{_BLANK}/>])", re.IGNORECASE)
    for name in ("script", "style", "title", "textarea", "xmp", "iframe", "noembed", "noframes")
}
_RAW["plaintext"] = re.compile(r"(?!)")  # nothing ends it

DOCTYPE = "!doctype"

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
    cdata = True  # whether a CDATA section can still end
    while (found := _OPEN.search(html, at)) is not None:
        start = found.start()
        match = _TAG.match(html, start)
        if match is not None:
            name = match[1].lower()
            at = match.end()
            closing = html[start + 1] == "/"
            if name in _RAW and not closing:
                close = _RAW[name].search(html, at)
                if close is None:
                    yield Tag(END, False, start, start)
                    return
                at = close.start()
            if name in names:
                yield Tag(name, closing, start, match.end())
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
    yield Tag(END, False, len(html), len(html))


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
