"""What can be wrong with a change to accounts, credentials and domains."""

from __future__ import annotations

from ekiden.core.errors import EkidenError


class AccessError(EkidenError):
    """The change was refused; nothing was written."""


class BadName(AccessError, ValueError):
    """A name, user name or password that cannot be used."""


class NameTaken(AccessError):
    """Somebody has that name already."""


class NotFound(AccessError, LookupError):
    """There is no such account, credential or domain."""
