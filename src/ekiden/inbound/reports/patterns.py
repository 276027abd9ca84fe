"""Patterns over what strangers wrote: RE2, which takes linear time whatever it is given."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import re2

Pattern = Any
"""A pattern of RE2. It has the methods of ``re.Pattern`` that are used here."""

ADDRESS: Final = r"""(?:"[^"\n]+"|[^\s<>"(),;:\[\]@\\]+)@[^\s<>"'(),;:\[\]@]+"""
"""What ``{address}`` stands for: anything that a reporter may have taken for one."""
MAX_ADDRESS: Final = 320
_MEMORY: Final = 4 << 20


def compiled(pattern: str) -> Pattern:
    """Without regard to cases; ``^`` and ``$`` are those of lines; ``{address}`` is an address."""
    options = re2.Options()
    options.case_sensitive = False
    options.log_errors = False
    options.max_mem = _MEMORY
    return re2.compile("(?m)" + pattern.replace("{address}", ADDRESS), options)


def any_of(patterns: Iterable[str]) -> Pattern:
    """One of them."""
    return compiled("|".join(f"(?:{pattern})" for pattern in patterns))


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
