"""What can be wrong with what an account wants to receive."""

from __future__ import annotations

from typing import Any

from ekiden.core.texts import TranslatedError
from ekiden.inbound.translations import TEXTS


class InboundError(TranslatedError):
    """The change was refused; nothing was written. The text is one of ``inbound.translations``."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class InboundDomainTaken(InboundError):
    """An account receives it already, or another one sends from it."""


class NoSuchInboundDomain(InboundError, LookupError):
    """The account does not receive it."""


class TooManyInboundDomains(InboundError):
    """The account receives as many as it may."""


class BadCondition(InboundError, ValueError):
    """A condition that nothing can be tested with: of its header field's name, or of its pattern."""
