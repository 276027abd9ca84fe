"""Templates: text with ``{{name}}``, ``${name}`` or ``((#name#))``, where each recipient's own words go.

Compiled once for a request and rendered for each recipient, in one pass: what a value brings along is never looked
at again, so a value with braces in it names nothing. A name is any text without braces; blanks around it do not
count. A name without a value stays as it is written: text that only looks like a placeholder survives.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

MAX_SLOTS = 20_000
"""Placeholders of one text: finding more is one call that lets nobody else run for too long."""


class Syntax(NamedTuple):
    """How a placeholder is written: ``pattern`` finds it, with what stands around its name. ``in_headers``: further
    header fields have placeholders, too."""

    opening: str
    closing: str
    pattern: re.Pattern[str]
    in_headers: bool = False


BRACES: Final = Syntax("{{", "}}", re.compile(r"(\{\{[^{}]*+\}\})"))
DOLLAR: Final = Syntax("${", "}", re.compile(r"(\$\{[^{}]*+\})"))
HASHES: Final = Syntax("((#", "#))", re.compile(r"(\(\(#[^#()]*+#\)\))"), in_headers=True)
NONE: Final = Syntax("\0", "\0", re.compile(r"((?!))"))
"""Nothing is a placeholder."""


def too_many_slots(source: str, syntax: Syntax = BRACES) -> bool:
    """Whether there may be more than ``MAX_SLOTS``: to be asked before a text is compiled."""
    return source.count(syntax.opening) > MAX_SLOTS


class Growth:
    """How much longer templates become by their values. Told before they are filled: 25 MB of placeholders with a
    value of 1 MB would be terabytes. ``names``: all placeholders."""

    __slots__ = ("_found",)

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, int]] = {}
        """How often a name stands there, and how many characters that takes, with the braces."""

    def add(self, parts: list[str], slots: list[tuple[int, str]]) -> None:
        """One more template; both are as ``split`` and ``slots`` return them."""
        for at, name in slots:
            count, width = self._found.get(name, (0, 0))
            self._found[name] = (count + 1, width + len(parts[at]))

    def of(self, values: Mapping[str, str]) -> int:
        """In characters; negative where values are short."""
        return sum(
            count * len(values[name]) - width for name, (count, width) in self._found.items() if name in values
        )

    @property
    def names(self) -> frozenset[str]:
        return frozenset(self._found)


class Text:
    """A compiled template. ``names``: the placeholders in it, without their braces."""

    __slots__ = ("_growth", "_parts", "_slots", "names", "source")

    def __init__(self, source: str, syntax: Syntax = BRACES) -> None:
        self.source = source
        self._parts = split(source, syntax)
        self._slots = slots(self._parts, syntax)
        self._growth = Growth()
        self._growth.add(self._parts, self._slots)
        self.names = self._growth.names

    @classmethod
    def compile(cls, source: str) -> Text:
        """The template ``source``. Never fails."""
        return cls(source)

    def length(self, values: Mapping[str, str]) -> int:
        """Characters of what ``render`` returns, when nothing is escaped."""
        return len(self.source) + self._growth.of(values)

    def render(self, values: Mapping[str, str], escape: Callable[[str], str] | None = None) -> str:
        """The text with each value, as ``escape`` returns it, in the place of its name."""
        if not self._slots:
            return self.source
        parts = self._parts.copy()
        for at, name in self._slots:
            value = values.get(name)
            if value is not None:
                parts[at] = value if escape is None else escape(value)
        return "".join(parts)


def split(source: str, syntax: Syntax = BRACES) -> list[str]:
    """``source`` in pieces: text, a placeholder with its braces, text, and so on; text may be empty."""
    return syntax.pattern.split(source)


def slots(parts: list[str], syntax: Syntax = BRACES) -> list[tuple[int, str]]:
    """The places and names of the placeholders in what ``split`` returned. One without a name is none."""
    begin, end = len(syntax.opening), -len(syntax.closing)
    found = ((at, parts[at][begin:end].strip()) for at in range(1, len(parts), 2))
    return [(at, name) for at, name in found if name]


def mask(source: str, syntax: Syntax = BRACES) -> str:
    """``source`` with opening braces over each placeholder, at equal length.

    For those who look for marks in a template: a name may have blanks, quotes and angle brackets in it.
    """
    return syntax.pattern.sub(lambda match: "{" * len(match[0]), source)
