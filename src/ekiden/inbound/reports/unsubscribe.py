"""Who wants no more mail, by mail (RFC 2369 §3.2).

Surely known is only what comes to an address that was given for nothing else (``inbound.unsubscribe_mail``).
Elsewhere a mail has to consist of the wish and nothing more.
"""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Final

from ekiden.inbound.reports.material import Material
from ekiden.inbound.reports.patterns import PatternSet, compiled

_MOST_WORDS: Final = 400
"""Characters of a mail that says nothing else."""
_DATA: Final[dict[str, list[str]]] = tomllib.loads(
    files("ekiden.inbound.reports").joinpath("answers.toml").read_text("utf-8")
)["unsubscribe"]
_WISH: Final = compiled(rf"^\W{{0,6}}(?:(?:re|fw): ?)?(?:please )?(?:{'|'.join(_DATA['wishes'])})\W{{0,6}}$")
_BY_PROGRAM: Final = PatternSet([_DATA["by_program"]])


def asks_to_unsubscribe(material: Material) -> bool:
    """Whether that is all that a mail says."""
    text = material.text.strip()
    subject = material.header("subject")
    if _WISH.search(subject) is None:
        return not subject.strip() and _WISH.fullmatch(text[:_MOST_WORDS]) is not None
    if len(text) > _MOST_WORDS:
        return False
    return not text or _WISH.search(text) is not None or _BY_PROGRAM.said(text) or len(text) <= 80
