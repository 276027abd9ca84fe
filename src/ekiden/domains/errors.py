"""What can be wrong with a change to a domain."""

from __future__ import annotations

from typing import Any

from ekiden.core.texts import TranslatedError
from ekiden.domains.translations import TEXTS


class DomainsError(TranslatedError):
    """The change was refused; nothing was written. The text is one of ``domains.translations``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class BadDomain(DomainsError, ValueError):
    """A name that cannot be a sending domain."""


class DomainTaken(DomainsError):
    """The account has that domain already."""


class NoSuchDomain(DomainsError, LookupError):
    """There is no such domain, or the account does not have it."""


class DomainInUse(DomainsError):
    """An SMTP configuration sends from the domain."""


class BadSetting(DomainsError, ValueError):
    """A host for links, or a return path, that the domain cannot have."""


class BadAnswer(DomainsError, ValueError):
    """An answer to the questionnaire that cannot be taken. ``question`` is its id."""

    def __init__(self, question: str, template: str, **values: Any) -> None:
        super().__init__(template, question=question, **values)
        self.question = question
