"""Where a line may be broken for a terminal: between words, never within an id, a time or an address.

Japanese has no blanks between words: it may be broken between any two characters, but no line begins with what
closes (。、」) or ends with what opens (「（). A word is broken only when a line of its own is too short for it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from rich.cells import cell_len, get_character_cell_size

_OPENS: Final = "「『（【〈《［｛"
_CLOSES: Final = "」』）】〉》］｝、。，．：；？！・ー々〜…ぁぃぅぇぉっゃゅょァィゥェォッャュョ\u200d\ufe0f"
_WIDE: Final = (
    "\u1100-\u115f\u2e80-\u303e\u3041-\u33ff\u3400-\u4dbf\u4e00-\u9fff\ua000-\ua4cf\uac00-\ud7a3\uf900-\ufaff"
    "\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\U0001f300-\U0001faff\U00020000-\U0003fffd"
)
_TIME: Final = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?: [+-]\d{4})?"
_TOKEN: Final = re.compile(
    rf"(?P<blank>[ \t\n]+)|[{_OPENS}]*(?:{_TIME}|[{_WIDE}]|[^\s{_WIDE}]+)[{_CLOSES}]*|[{_OPENS}]+"
)
_PART: Final = re.compile(r"[^,;&=(\[{]*[,;&=(\[{]+|[^,;&=(\[{]+")
"""Of a word that is longer than a line, such as JSON or a URL."""
_LABEL: Final = re.compile(r" *\S.*? {2,}(?=\S)")
_FARTHEST: Final = 30
"""Columns to which a line is indented at most below its label."""


class Span(NamedTuple):
    """A part of a line: from and up to these characters."""

    start: int
    end: int


def longest_word(text: str) -> int:
    """Columns of the longest part that is not broken."""
    return max((cell_len(found.group()) for found in _TOKEN.finditer(text) if not found["blank"]), default=0)


def hanging(text: str) -> int:
    """How far the rest of a line is indented: below what stands behind its label, else a little."""
    label = _LABEL.match(text)
    if label is not None and cell_len(label.group()) <= _FARTHEST:
        return cell_len(label.group())
    return min(len(text) - len(text.lstrip(" ")), _FARTHEST) + 2


def fold(text: str, width: int, hang: int = 0) -> list[Span]:
    """The lines of ``text``, which has no line end, for so many columns; all but one begin after ``hang``."""
    hang = min(hang, width // 2)
    lines: list[Span] = []
    start = end = used = 0
    for word in _words(text, width - hang):
        if text[word.start] in " \t\n":
            if end == start and lines:
                start = end = word.end  # no line but the first begins with blanks
            continue
        size = cell_len(text[end : word.end])
        if used + size > (width - hang if lines else width) and end > start:
            lines.append(Span(start, end))
            start = word.start
            used, size = 0, cell_len(text[start : word.end])
        end, used = word.end, used + size
    if end > start or not lines:
        lines.append(Span(start, end))
    return lines


def _words(text: str, room: int) -> Iterator[Span]:
    """Blanks and words; what has no room in a line comes in parts."""
    for found in _TOKEN.finditer(text):
        span = Span(*found.span())
        if found["blank"] or cell_len(found.group()) <= room:
            yield span
            continue
        for part in _PART.finditer(text, span.start, span.end):
            begin = end = part.start()
            used = 0
            for char in part.group():
                size = get_character_cell_size(char)
                if used + size > room and end > begin:
                    yield Span(begin, end)
                    begin, used = end, 0
                end, used = end + 1, used + size
            yield Span(begin, end)
