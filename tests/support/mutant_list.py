"""Small faults as data: each is one that somebody could make tomorrow, with the tests that would notice.

``tests/mutants/*.toml``, one file for each room. ``file`` is below ``src/ekiden``, ``text`` stands in it exactly
once, and becomes ``fault``; ``tests`` are pytest's node ids, as narrow and as quick as can be: one of them has to
fail. A fault that changes nothing but the pace of things is none, nor is one that no module could be imported with.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src/ekiden"


@dataclass(frozen=True, slots=True)
class Mutant:
    name: str
    file: str
    text: str
    fault: str
    tests: tuple[str, ...]

    @property
    def room(self) -> str:
        return self.file.partition("/")[0]

    def applied(self, source: str) -> str | None:
        """``source`` with the fault; ``None``: the text is not there, or not once."""
        return source.replace(self.text, self.fault) if source.count(self.text) == 1 else None


def mutants() -> list[Mutant]:
    """All of them, by file and name."""
    found = []
    for path in sorted((ROOT / "tests/mutants").glob("*.toml")):
        for name, entry in tomllib.loads(path.read_text()).items():
            found.append(Mutant(name, entry["file"], entry["text"], entry["fault"], tuple(entry["tests"])))
    return sorted(found, key=lambda mutant: (mutant.file, mutant.name))
