"""What can be wrong with a change to content."""

from __future__ import annotations

from typing import Any

from ekiden.content.texts import TEXTS
from ekiden.core.texts import TranslatedError


class ContentError(TranslatedError):
    """The change was refused; nothing was written. The text is one of ``content.texts``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadContent(ContentError, ValueError):
    """A name, an id or a text that cannot be used."""


class ContentTaken(ContentError):
    """The account has something of that id already."""


class NoSuchContent(ContentError, LookupError):
    """The account has nothing of that id."""
