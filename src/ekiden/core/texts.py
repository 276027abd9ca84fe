"""Texts for people in English and Japanese. The English text is the key; a room keeps its own catalogue."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

from ekiden.core.errors import EkidenError
from ekiden.core.language import Language


class Help(NamedTuple):
    """A sentence in both languages, where it belongs to one thing and no catalogue is needed."""

    en: str
    ja: str

    def text(self, lang: Language) -> str:
        """For a person who reads ``lang``."""
        return self.ja if lang == "ja" else self.en


class Texts:
    """A catalogue: English templates and their Japanese. ``{name}`` in a template is replaced by a value.

    ``Texts("cli/help")`` reads ``cli/help.ja.json`` when its Japanese is asked for first.
    """

    def __init__(self, japanese: Mapping[str, str] | str) -> None:
        self._japanese = japanese

    @property
    def japanese(self) -> Mapping[str, str]:
        if not isinstance(self._japanese, Mapping):
            path = Path(__file__).parents[1] / f"{self._japanese}.ja.json"
            self._japanese = cast(Mapping[str, str], json.loads(path.read_bytes()))
        return self._japanese

    def __call__(self, text: str, lang: Language, /, **values: Any) -> str:
        """The text in the language; a text without a translation stays English."""
        chosen = self.japanese.get(text, text) if lang == "ja" else text
        return chosen.format(**values) if values else chosen


WORDS: Final = Texts("core/words")
"""Words of known sets that are given as a reason: the system's errors, kinds of networks and of suppressions."""
_REASONS: Final = frozenset({"why", "error", "reason"})


class TranslatedError(EkidenError):
    """An error that can be told in both languages; ``str(error)`` is the English."""

    def __init__(self, texts: Texts, template: str, /, **values: Any) -> None:
        self.texts = texts
        self.template = template
        self.values = values
        super().__init__(self.text("en"))

    def text(self, lang: Language) -> str:
        """The sentence for a person who reads ``lang``."""
        values = {name: _told(name, value, lang) for name, value in self.values.items()}
        return self.texts(self.template, lang, **values)


def _told(name: str, value: Any, lang: Language) -> Any:
    if isinstance(value, TranslatedError):
        return value.text(lang)
    if lang == "ja" and name in _REASONS:
        return WORDS((value.strerror or str(value)) if isinstance(value, OSError) else str(value), lang)
    return value
