"""What can be wrong with a change to accounts, credentials and what belongs to them."""

from __future__ import annotations

from typing import Any

from ekiden.access.translations import TEXTS
from ekiden.core.texts import TranslatedError


class AccessError(TranslatedError):
    """The change was refused; nothing was written. The text is one of ``access.translations``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadName(AccessError, ValueError):
    """A name, user name, password, scope or network that cannot be used."""


class NameTaken(AccessError):
    """Somebody has that name already."""


class NotFound(AccessError, LookupError):
    """There is no such account, credential or domain."""
