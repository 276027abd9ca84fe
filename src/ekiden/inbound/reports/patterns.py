"""Patterns over what strangers wrote: RE2, which takes linear time whatever it is given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import re2

Pattern = Any
"""A pattern of RE2. It has the methods of ``re.Pattern`` that are used here."""

ADDRESS: Final = r"""(?:"[^"\n]+"|[^\s<>"(),;:\[\]@\\]+)@[^\s<>"'(),;:\[\]@]+"""
"""What ``{address}`` stands for: anything that a reporter may have taken for one."""
MAX_ADDRESS: Final = 320
_MEMORY: Final = 1 << 20
"""Octets that RE2 may take for one pattern. With less it takes longer, and no other time than linear."""
_SET_MEMORY: Final = 4 << 20


def _options(memory: int) -> Any:
    options = re2.Options()
    for name, value in (("case_sensitive", False), ("log_errors", False), ("max_mem", memory)):
        setattr(options, name, value)
    return options


def _written(patterns: Iterable[str], folded: bool) -> str:
    pattern = "|".join(f"(?:{pattern})" for pattern in patterns)
    if folded:
        pattern = _BLANK.sub(lambda found: found[0] if found[0] != " " else r"(?:\s+)", pattern)
    return "(?m)" + pattern.replace("{address}", ADDRESS)


_BLANK: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]| ")
"""A class of characters, whose blanks are not meant, or a blank."""


def any_of(patterns: Iterable[str], *, folded: bool = False) -> Pattern:
    """One of them. Without regard to cases; ``^`` and ``$`` are those of lines; ``{address}`` is an address.

    ``folded``: a blank of the pattern is any white space, since lines are broken anywhere.
    """
    return re2.compile(_written(patterns, folded), _options(_MEMORY))


def compiled(pattern: str) -> Pattern:
    """As ``any_of`` one."""
    return any_of((pattern,))


class PatternSet:
    """Many patterns that are looked for in one pass, as those of ``any_of`` with ``folded``."""

    def __init__(self, patterns: Iterable[Iterable[str]]) -> None:
        self._set = re2.Set.SearchSet(_options(_SET_MEMORY))
        for number, each in enumerate(patterns):
            added = self._set.Add(_written(each, True))
            assert added == number
        self._set.Compile()

    def said(self, text: str) -> bool:
        """Whether any of them is in ``text``."""
        return bool(self._set.Match(text))

    def matching(self, text: str) -> list[int]:
        """The numbers of those that are in ``text``, in order."""
        return sorted(self._set.Match(text) or ())


def readable(text: str) -> str:
    """``text`` with line feeds as the only ends of lines, and without what UTF-8 cannot say."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8").replace("\u00a0", " ")
    return text.replace("\x00", "")


def one_line(text: str, most: int) -> str:
    """Its words with one blank between them, in at most so many characters."""
    return " ".join(text[: 4 * most].split())[:most]
