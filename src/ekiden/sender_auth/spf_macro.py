"""SPF macros (RFC 7208 §7): parsed once, expanded with the values of a check."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from ekiden.sender_auth.recorded_lookup import MAX_NAME
from ekiden.sender_auth.spf_errors import SpfSyntaxError

_LETTERS = "slodiphv"
_EXPLANATION_LETTERS = "crt"  # only in the text that exp= leads to, §7.2
_FIXED = {"%": "%", "_": " ", "-": "%20"}
_MACRO = re.compile(r"%(?:([%_-])|\{([A-Za-z])([0-9]*)([rR]?)([.\-+,/_=]*)\})")


@dataclass(frozen=True, slots=True)
class Macro:
    """``%{letter digits r delimiters}``. ``keep`` is the number of right-hand parts, 0 for all of them."""

    letter: str
    keep: int
    reverse: bool
    delimiters: str
    escape: bool

    def expand(self, value: str) -> str:
        """``value`` with the transformers applied (§7.3): split, reversed, cut, joined with dots, escaped."""
        if self.delimiters or self.keep or self.reverse:
            parts = re.split(f"[{re.escape(self.delimiters or '.')}]", value)
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.keep :] if self.keep else parts)
        return quote(value, safe="~", errors="replace") if self.escape else value


@dataclass(frozen=True, slots=True)
class MacroString:
    """A macro string: ``text`` as written and its parts, literal text or macros."""

    text: str
    parts: tuple[str | Macro, ...]

    @property
    def letters(self) -> frozenset[str]:
        """The macro letters that occur, in lower case."""
        return frozenset(part.letter for part in self.parts if isinstance(part, Macro))

    def expand(self, values: Mapping[str, str]) -> str:
        """The text, with a value for each letter that occurs."""
        return "".join(part if isinstance(part, str) else part.expand(values[part.letter]) for part in self.parts)

    def expand_name(self, values: Mapping[str, str]) -> str:
        """The domain name without its final dot; labels on the left go until it has at most 253 characters."""
        name = self.expand(values).removesuffix(".")
        while len(name) > MAX_NAME and "." in name:
            name = name.partition(".")[2]
        return name


def parse_macro_string(text: str) -> MacroString:
    """A ``macro-string`` of a term. Raises ``SpfSyntaxError``."""
    return _parse(text, _LETTERS, _is_visible)[0]


def parse_explanation(text: str) -> MacroString:
    """An ``explain-string``: blanks and the letters c, r, t are allowed too. Raises ``SpfSyntaxError``."""
    return _parse(text, _LETTERS + _EXPLANATION_LETTERS, lambda char: char == " " or _is_visible(char))[0]


def parse_domain_spec(text: str) -> MacroString:
    """A ``domain-spec``: a macro string that ends in a macro or in a dot and a top label. ``SpfSyntaxError``."""
    if not text:
        raise SpfSyntaxError("missing_domain", "a domain name is missing")
    string, ends_in_macro = _parse(text, _LETTERS, _is_visible)
    if ends_in_macro:
        return string
    last = string.parts[-1]
    assert isinstance(last, str)
    _, dot, label = last.removesuffix(".").rpartition(".")
    if not dot or not _is_top_label(label):
        if re.fullmatch(r"[0-9]+(?:\.[0-9]+){3}", text):
            raise SpfSyntaxError("bad_domain", "{name} is an address; write ip4:{name}", name=text)
        raise SpfSyntaxError("bad_domain", "{name} is not a domain name with at least two labels", name=text)
    return string


def _parse(text: str, letters: str, allowed: Callable[[str], bool]) -> tuple[MacroString, bool]:
    """The string, and whether a ``macro-expand`` ends it; ``%%``, ``%_`` and ``%-`` are that too."""
    ends_in_macro = False
    parts: list[str | Macro] = []
    literal = ""
    at = 0
    while at < len(text):
        char = text[at]
        if char != "%":
            if not allowed(char):
                raise SpfSyntaxError("bad_character", "the character {char} is not allowed", char=ascii(char))
            literal += char
            at += 1
            ends_in_macro = False
            continue
        match = _MACRO.match(text, at)
        if match is None:
            raise SpfSyntaxError(
                "bad_macro", "{macro} is not a macro; a percent sign is written %%", macro=text[at : at + 8]
            )
        at = match.end()
        ends_in_macro = True
        fixed, letter, digits, reverse, delimiters = match.groups()
        if fixed is not None:
            literal += _FIXED[fixed]
            continue
        if letter.lower() not in letters:
            template = (
                "the macro {macro} is only allowed in the text of an explanation"
                if letter.lower() in _EXPLANATION_LETTERS
                else "there is no macro {macro}"
            )
            raise SpfSyntaxError("bad_macro", template, macro=match.group())
        if digits and not digits.strip("0"):
            raise SpfSyntaxError("bad_macro", "the number in {macro} must not be zero", macro=match.group())
        if literal:
            parts.append(literal)
            literal = ""
        # int() refuses thousands of digits, and no value has more parts than six digits can say.
        keep = int(digits.lstrip("0")[:6]) if digits else 0
        parts.append(Macro(letter.lower(), keep, bool(reverse), delimiters, letter.isupper()))
    if literal:
        parts.append(literal)
    return MacroString(text, tuple(parts)), ends_in_macro


def _is_visible(char: str) -> bool:
    return "\x21" <= char <= "\x7e"


def _is_top_label(label: str) -> bool:
    """§7.1 ``toplabel``: letters, digits and inner hyphens, not digits alone."""
    return (
        bool(re.fullmatch(r"[A-Za-z0-9-]+", label)) and label[0] != "-" and label[-1] != "-" and not label.isdigit()
    )
