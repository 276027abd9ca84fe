"""Which fields a form may have. What nobody would read is refused: a file or a wish must not vanish with a 200.

A form is read to its end whatever is wrong with its parts, so that one answer names all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ekiden.dialects.infobip.errors import Violation
from ekiden.web.shape import MOST_PROBLEMS, alike


@dataclass(frozen=True, slots=True)
class FormFields:
    """By their names in lower case, as they are documented."""

    texts: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, texts: Iterable[str], files: Iterable[str] = ()) -> FormFields:
        """Of their documented names."""
        return cls({name.lower(): name for name in texts}, {name.lower(): name for name in files})

    def documented(self, name: str, given: str) -> str:
        """How a field is called in answers: as it is documented, else as it was given."""
        return self.texts.get(name) or self.files.get(name) or given

    def unknown(self, name: str, given: str, *, file: bool) -> Violation:
        """What is wrong with a field that this form does not have, with what may have been meant."""
        if file and self.files:
            return Violation(
                given, "is not a field of this request; files are given as {names}", _names(self.files)
            )
        if name in self.files:
            return Violation(given, "must be a file with a name")
        known = {**self.texts, **self.files}
        meant = alike(name, known)
        if meant:
            return Violation(given, "is not a field of this request; did you mean {name}?", {"name": known[meant]})
        return Violation(given, "is not a field of this request")


def _names(fields: Mapping[str, str]) -> dict[str, Any]:
    return {"names": ", ".join(fields.values())}


@dataclass(slots=True)
class Problems:
    """What was wrong with the parts of one form; each thing once, and not more than anybody reads."""

    found: list[Violation] = field(default_factory=list)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    @property
    def full(self) -> bool:
        return len(self.found) >= MOST_PROBLEMS

    def note(self, violations: Iterable[Violation]) -> None:
        for violation in violations:
            key = (violation.property, violation.template)
            if not self.full and key not in self._seen:
                self._seen.add(key)
                self.found.append(violation)
