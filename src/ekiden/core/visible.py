r"""Text that others wrote, made safe to look at: what a terminal would obey becomes ``\x1b``, ``\u202e`` and so on.

Controls (C0, DEL, C1), the marks that turn the direction of text, line separators, invisible format characters and
lone surrogates. Japanese, emoji with their joiners and every other text stay as they are. Making visible twice
changes nothing more, so it can be done at each depth that text passes.
"""

from __future__ import annotations

import re
from typing import Final

# U+200D (joins emoji) and U+200C (Persian) are text; U+061C, U+200E and U+200F turn the direction as U+202A does.
_REST: Final = (
    r"\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    r"\U000e0000-\U000e001f"
)
_LINE: Final = re.compile(rf"[\x00-\x0a{_REST}]")
_TEXT: Final = re.compile(rf"[\x00-\x08{_REST}]")


def visible(text: str) -> str:
    """On one line: line ends and tabs become visible, too."""
    return text if text.isascii() and text.isprintable() else _LINE.sub(_escape, text)


def split_visible(text: str) -> list[tuple[int, int, str]]:
    """Where ``visible`` changes the text: from, to, and what is shown instead."""
    return [(found.start(), found.end(), _escape(found)) for found in _LINE.finditer(text)]


def visible_text(text: str) -> str:
    """Line feeds and tabs stay: for text whose lines are ours."""
    return text if text.isascii() and text.isprintable() else _TEXT.sub(_escape, text)


def visible_json(document: str) -> str:
    r"""The same JSON document with ``\u`` escapes: controls and the like can only stand inside its strings."""
    return document if document.isascii() and document.isprintable() else _TEXT.sub(_json_escape, document)


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    short = _SHORT.get(number)
    if short is not None:
        return short
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _json_escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    if number < 0x10000:
        return f"\\u{number:04x}"
    number -= 0x10000
    return f"\\u{0xD800 + (number >> 10):04x}\\u{0xDC00 + (number & 0x3FF):04x}"


_SHORT: Final = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r"}
