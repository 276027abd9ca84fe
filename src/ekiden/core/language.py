"""In which of both languages somebody reads, and how that is known: from the environment, or from a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

Language = Literal["en", "ja"]
_RANGE: Final = re.compile(
    r"\s*(ja|en)(?:-[A-Za-z0-9-]+)?\s*(?:;\s*q\s*=\s*([01](?:\.\d{0,3})?)\s*)?\Z", re.IGNORECASE
)


def language(environ: Mapping[str, str]) -> Language:
    """The reader's language: ``EKIDEN_LANG``, else the locale (POSIX order: LC_ALL, LC_MESSAGES, LANG)."""
    for name in ("EKIDEN_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name)
        if value:
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


def reader_language(accept: str) -> Language:
    """What of Japanese and English the field ``Accept-Language`` (RFC 9110 §12.5.4) likes better; else English."""
    liked: dict[str, float] = {}
    for item in accept[:500].split(","):
        if found := _RANGE.match(item):
            name, quality = found[1].lower(), float(found[2] or 1)
            liked[name] = max(quality, liked.get(name, 0.0))
    return "ja" if liked.get("ja", 0.0) > liked.get("en", 0.0) or _first(accept, liked) else "en"


def _first(accept: str, liked: dict[str, float]) -> bool:
    """Both are liked alike, and Japanese is named first."""
    tie = liked.get("ja", 0.0) == liked.get("en", -1.0) > 0
    return tie and accept.strip().lower().startswith("ja")
