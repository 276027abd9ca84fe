"""What Ekiden itself says of a delivery: a code and its facts, told to each reader in their language.

What people and other servers said stays the text that it was. A fact is a text, a number, or itself something said.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from ekiden.core.language import Language
from ekiden.core.said_sentences import ENGLISH, TEXTS
from ekiden.core.texts import WORDS

MAX_FACT: Final = 500
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]+")
_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[str, dict[str, Any]]).decode


class Said(NamedTuple):
    """``code`` is one of ``said_sentences``, ``facts`` fill its template."""

    code: str
    facts: Mapping[str, Any] = {}

    def text(self, lang: Language = "en") -> str:
        """As a sentence. A code that is not known (a newer Ekiden wrote it) stands for itself."""
        template = ENGLISH.get(self.code)
        if template is None:
            return self.code
        values = {name: _told(value, lang) for name, value in self.facts.items()}
        try:
            return TEXTS(template, lang).format(**values)
        except KeyError:
            return self.code

    def encode(self) -> str:
        """As the store keeps it."""
        try:
            return _encode(self).decode()
        except UnicodeEncodeError:  # half a surrogate pair
            text = json.dumps(self, ensure_ascii=False)
            return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def document(self) -> dict[str, Any]:
        """For ``--json``: ``{"code": …, "facts": {…}}``."""
        return {"code": self.code, "facts": {name: _document(value) for name, value in self.facts.items()}}


def say(code: str, **facts: Any) -> Said:
    """``say("over_quota")``. Texts among the facts become lines of at most ``MAX_FACT`` characters."""
    return Said(code, {name: _line(value) if isinstance(value, str) else value for name, value in facts.items()})


def _line(text: str) -> str:
    if len(text) > MAX_FACT:
        text = text[: MAX_FACT - 1] + "…"
    return _CONTROL.sub(" ", text)


class Remark(str):
    """A line of a dialogue that is ours, as the store keeps it: ``# ``, and ``said`` as code and facts.

    Every message has some, and few are ever read: sentences are made for readers only (``dialogue_told``).
    """

    __slots__ = ("said",)
    said: Said

    def __new__(cls, said: Said) -> Remark:
        line = super().__new__(cls, f"# {said.encode()}")
        line.said = said
        return line


def dialogue_told(lines: Iterable[str], lang: Language) -> list[str]:
    """A dialogue for people."""
    return [f"# {line.said.text(lang)}" if isinstance(line, Remark) else line for line in lines]


def read_dialogue(text: str) -> list[str]:
    """The lines, with ``Remark`` where a remark was; those of an older Ekiden stay the English that they are."""
    lines: list[str] = []
    for line in text.splitlines():
        said = recognised(line[2:]) if line.startswith("# ") else None
        lines.append(line if said is None else Remark(said))
    return lines


def encoded(said: Said | None) -> str:
    """As the store keeps it; empty: Ekiden says nothing of it."""
    return "" if said is None else said.encode()


def decoded(text: str) -> Said | None:
    """What ``encoded`` made. ``ValueError``: it is nothing of ours."""
    return Said(*_decode(text)) if text else None


def recognised(text: str) -> Said | None:
    """What ``encoded`` made, of a text that may be anything."""
    if not text.startswith('["'):
        return None
    try:
        said = decoded(text)
    except ValueError:
        return None
    return said if said is not None and said.code in ENGLISH else None


def either(text: str | Said) -> str:
    """What Ekiden says or a text of others, as one column keeps both: nobody's text passes for ours."""
    if isinstance(text, Said):
        return text.encode()
    return f" {text}" if recognised(text) else text


def in_words(text: str, lang: Language = "en") -> str:
    """What ``either`` made."""
    said = recognised(text)
    return text if said is None else said.text(lang)


def tell(said: Said | None, text: str, lang: Language) -> str:
    """What is said in the reader's language; where Ekiden says nothing, the ``text`` of whoever did."""
    return text if said is None or (text and lang == "en") else said.text(lang)


def _known(value: Any) -> Any:
    """A fact that is something said comes back from the store as a list."""
    if isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and isinstance(value[1], dict):
        return Said(value[0], value[1])
    return value


def _document(value: Any) -> Any:
    value = _known(value)
    return value.document() if isinstance(value, Said) else value


def _told(value: Any, lang: Language) -> Any:
    value = _known(value)
    if isinstance(value, Said):
        return value.text(lang)
    return WORDS(value, lang) if isinstance(value, str) else value
