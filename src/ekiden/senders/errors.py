"""What can be wrong with projects, SMTP configurations and their users, in English and Japanese."""

from __future__ import annotations

from typing import Any

from ekiden.access.errors import AccessError, NameTaken, NotFound
from ekiden.core.texts import TranslatedError
from ekiden.senders.translations import TEXTS


class SmtpError(AccessError):
    """The change was refused; nothing was written."""

    def __init__(self, template: str, **values: Any) -> None:
        TranslatedError.__init__(self, TEXTS, template, **values)


class BadValue(SmtpError, ValueError):
    """A field cannot have that value."""


class NoSuch(SmtpError, NotFound):
    """There is no such domain, configuration or user, or none that the caller may know of."""


class InUse(SmtpError, NameTaken):
    """The name, the domain or the user is there already."""


class TooManyUsers(SmtpError):
    """The configuration has all the users it may have."""


def check_text(field: str, text: str, shortest: int, longest: int) -> str:
    """``text``, or ``BadValue``: so many printable characters."""
    if not shortest <= len(text) <= longest or not text.isprintable():
        raise BadValue(
            "{field} has {shortest} to {longest} printable characters",
            field=field,
            shortest=shortest,
            longest=longest,
        )
    return text
