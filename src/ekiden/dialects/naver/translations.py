"""What this dialect's errors say in Japanese, Korean and Chinese. Clients ask for it with ``x-ncp-lang``.

The English stands where it is said. Japanese is in ``translations.ja.json``, as everywhere; the other two have the
same entries in files of the same form. Sentences of services are known there in Japanese only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final, Literal, cast

from ekiden.core.texts import Texts, TranslatedError

Language = Literal["en", "ko", "zh", "ja"]
TAGS: Final[Mapping[str, Language]] = {"en-us": "en", "ko-kr": "ko", "zh-cn": "zh", "ja-jp": "ja"}
"""Values of ``x-ncp-lang`` in lower case. NAVER has the first three."""
LANGUAGE_HEADER: Final = "x-ncp-lang"

TEXTS: Final = Texts("dialects/naver/translations")


def language_of(tag: str) -> Language:
    """Of the header's value; English for whatever is not known (contract §1)."""
    return TAGS.get(tag.strip().lower(), "en")


@cache
def catalogue(language: Literal["ko", "zh"]) -> Mapping[str, str]:
    """By the English template."""
    path = Path(__file__).with_name(f"translations.{language}.json")
    return cast(Mapping[str, str], json.loads(path.read_bytes()))


def knows(template: str, language: Language) -> bool:
    """Whether a sentence of ours, or of a service's, can be told in it."""
    return language in ("en", "ja") or template in catalogue(language)


def sentence(template: str, language: Language, **values: object) -> str:
    """One of ours. What is not translated stays English."""
    if language in ("en", "ja"):
        return TEXTS(template, language, **values)
    chosen = catalogue(language).get(template, template)
    return chosen.format(**values) if values else chosen


def told(error: TranslatedError, language: Language) -> str:
    """The sentence of an error, whoever's it is."""
    if language in ("en", "ja"):
        return error.text(language)
    values = {
        name: told(value, language) if isinstance(value, TranslatedError) else value
        for name, value in error.values.items()
    }
    return catalogue(language).get(error.template, error.template).format(**values)
