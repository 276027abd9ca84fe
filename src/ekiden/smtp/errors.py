"""Errors of this package."""

from __future__ import annotations

from ekiden.core.errors import EkidenError
from ekiden.smtp.reply import Reply


class SmtpError(EkidenError):
    """The base of everything this package raises."""


class CommandRefused(SmtpError):
    """The peer's command cannot be accepted; ``reply`` is what to answer."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.text)
        self.reply = reply


class UsageError(SmtpError):
    """Our own driver called a machine out of turn: a bug on our side, never the peer's doing."""
