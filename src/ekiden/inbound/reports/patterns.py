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
_MEMORY: Final = 4 << 20


def compiled(pattern: str, *, folded: bool = False) -> Pattern:
    """Without regard to cases; ``^`` and ``$`` are those of lines; ``{address}`` is an address.

    ``folded``: a blank of the pattern is any white space, since lines are broken anywhere.
    """
    if folded:
        pattern = _OUTSIDE.sub(lambda found: found[0] if found[0] != " " else r"(?:\s+)", pattern)
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile("(?m)" + pattern.replace("{address}", ADDRESS), options)


_OUTSIDE: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]| ")
"""A class of characters, whose blanks are not meant, or a blank."""


def any_of(patterns: Iterable[str], *, folded: bool = False) -> Pattern:
    """One of them."""
    return compiled("|".join(f"(?:{pattern})" for pattern in patterns), folded=folded)


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
