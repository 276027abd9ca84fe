"""What a check of ``ekiden doctor`` is: a small function from the ``Patient`` to findings.

A check looks, it repairs nothing; what it writes (a row, a file) it takes away again.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ekiden.config.model import Config
from ekiden.core.clock import Clock, Millis
from ekiden.core.display import span
from ekiden.core.language import Language
from ekiden.doctor.translations import TEXTS
from ekiden.store.api import Store

Level = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found. ``title`` and the templates are keys of ``doctor.translations``; ``fix`` may be empty."""

    check: str
    level: Level
    title: str
    what: str
    fix: str
    values: dict[str, Any]

    def told(self, lang: Language) -> tuple[str, str, str]:
        """Title, what was found and what to do, in the language; a value may be a text for each."""
        values = {name: item[lang] if isinstance(item, Mapping) else item for name, item in self.values.items()}
        title, what, fix = (TEXTS(template, lang, **values) for template in (self.title, self.what, self.fix))
        return title, what, fix


@dataclass(slots=True)
class Patient:
    """What the checks look at. ``store`` is ``None`` when it could not be opened; ``outbound`` the host whose port
    25 is to be tried, if one was named."""

    config: Config
    clock: Clock
    store: Store | None = None
    outbound: str = ""


Check = Callable[[Patient], Coroutine[Any, Any, list[Finding]]]


def in_each(text: Callable[[Language], str]) -> dict[Language, str]:
    """A value that is a text for people: in each language."""
    return {"en": text("en"), "ja": text("ja")}


def length_of(length: Millis) -> dict[Language, str]:
    """A value that is a length of time."""
    return in_each(lambda lang: span(length, lang))


def find(check: str, level: Level, title: str, what: str, fix: str = "", **values: Any) -> Finding:
    return Finding(check, level, title, what, fix, values)
