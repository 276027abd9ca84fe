"""Files that support the answers to a questionnaire, for the administrator who decides."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

from ekiden.domains.errors import BadAnswer

if TYPE_CHECKING:
    from ekiden.core.clock import Millis

MAX_FILES: Final = 10
MAX_SIZE: Final = 10_485_760
"""Octets of all files of a domain together."""
MAX_NAME: Final = 255
_QUESTION: Final = "attachments"


class File(NamedTuple):
    """One to keep: its name without folders, and its octets."""

    name: str
    data: bytes


class Evidence(NamedTuple):
    """One that is kept. ``number`` counts from 1."""

    number: int
    name: str
    media_type: str
    size: int
    added_at: Millis


def check_files(files: Sequence[File]) -> None:
    """Raises ``BadAnswer`` for what is too much, or has no name."""
    if len(files) > MAX_FILES:
        raise BadAnswer(_QUESTION, "{question}: there may be {most} files", most=MAX_FILES)
    if sum(len(file.data) for file in files) > MAX_SIZE:
        raise BadAnswer(_QUESTION, "{question}: the files may have {most} octets together", most=MAX_SIZE)
    for file in files:
        bad = not file.name.strip() or len(file.name) > MAX_NAME or "/" in file.name
        if bad or any(unicodedata.category(char) in ("Cc", "Cs") for char in file.name):
            raise BadAnswer(_QUESTION, "{question}: {value} is not the name of a file", value=repr(file.name))
