"""Whom the client of an SMTP session talks to: what decides over its commands, and takes its messages."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from ekiden.smtp.reply import Reply

if TYPE_CHECKING:
    from ekiden.access.directory import Directory
    from ekiden.access.refusals import Refusals
    from ekiden.core.submission import Origin
    from ekiden.listeners.smtp_listener import ListenerSpec
    from ekiden.smtp.events import Authenticate, MailFrom, MessageReceived, RcptTo
    from ekiden.smtp.server_config import ServerConfig


REVOKED: Final = Reply.of(421, "4.7.0", "Your credential is not valid any more")


class Pending(Enum):
    """Not known from memory: ask the coroutine."""

    ASK = 1


class Visitor(Protocol):
    """One per session. Answers are the reply of a refusal, or ``None``: accepted."""

    max_recipients: int | None
    """Of each message, as of the login; ``None``: as the listener says."""

    @property
    def unproven(self) -> bool:
        """It still has to log in, for which there is a time."""
        ...

    @property
    def account_id(self) -> int:
        """For whom it is; 0: nobody has said so yet."""
        ...

    @property
    def credential_id(self) -> int:
        """What it was opened with; 0: nothing that could be revoked."""
        ...

    @property
    def payer(self) -> Hashable:
        """Whose share of the memory its contents take."""
        ...

    def begin(self, *, trusted: bool) -> None:
        """Nothing is known of the client but its address: at the beginning, and once TLS stands."""
        ...

    def connect(self) -> Reply | None: ...

    async def authenticate(self, event: Authenticate) -> Reply | None: ...

    def ended(self) -> bool:
        """Whether what the session was opened with would not open it any more, as of the last look."""
        ...

    def known_mail(self, event: MailFrom) -> Reply | Pending | None:
        """The answer to MAIL from memory."""
        ...

    async def mail(self, event: MailFrom) -> Reply | None: ...

    def rcpt(self, event: RcptTo) -> Reply | None: ...

    def content(self) -> Reply | None:
        """The content has come, before anything is done with it."""
        ...

    async def take(self, event: MessageReceived, origin: Origin) -> str:
        """Take the message; its queue id. On stable storage then. Raises ``IntakeError``."""
        ...


class SmtpService(Protocol):
    """What is behind a listener. One per worker and kind."""

    @property
    def refusals(self) -> Refusals: ...

    @property
    def directory(self) -> Directory | None:
        """Of credentials that sessions are opened with, where they are."""
        ...

    def offers(self, config: ServerConfig, *, trusted: bool) -> ServerConfig:
        """``config``, with what is offered to clients and demanded of them."""
        ...

    def visit(self, listener: ListenerSpec, peer: str) -> Visitor:
        """For the session of a client at ``peer``, its IP address."""
        ...
