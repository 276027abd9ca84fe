"""Reception: mail that strangers send us, taken for those only whom somebody wants it for."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec

from ekiden.access.failures import throttle_key
from ekiden.inbound.loops import TOO_FAST
from ekiden.inbound.mailboxes import Mailbox, Use
from ekiden.smtp.reply import Reply

if TYPE_CHECKING:
    from ekiden.access.refusals import Refusals
    from ekiden.core.submission import Origin
    from ekiden.inbound.config import InboundConfig
    from ekiden.inbound.reception import Reception
    from ekiden.listeners.smtp_config import SmtpConfig
    from ekiden.listeners.smtp_listener import ListenerSpec
    from ekiden.listeners.smtp_visitor import Pending
    from ekiden.smtp.events import Authenticate, MailFrom, MessageReceived, RcptTo
    from ekiden.smtp.server_config import ServerConfig

BUSY: Final = Reply.of(451, "4.3.2", "Too much mail is coming in at this moment, try again later")
NOT_KNOWN: Final = Reply.of(451, "4.3.0", "It is not known yet who receives mail here, try again later")
CLOSED: Final = Reply.of(450, "4.2.1", "This mailbox takes no mail at present")
NO_MAILBOX: Final = Reply.of(550, "5.1.1", "There is no such mailbox here")
NO_BOUNCES: Final = Reply.of(550, "5.7.1", "No message with this sender was sent from here: bounces are not taken")
ONLY_BOUNCES: Final = Reply.of(550, "5.7.1", "Nothing but bounces, from <>, is taken here")
ONE_AT_A_TIME: Final = Reply.of(452, "4.5.3", "Recipients of another account, send it to them separately")
TOO_MANY_UNKNOWN: Final = Reply.of(421, "4.7.0", "Too many unknown recipients")
NO_AUTH: Final = Reply.of(503, "5.5.1", "AUTH is not offered here")

_MOST_UNKNOWN: Final = 20
"""Recipients of a session whom nobody knows, before it is ended: it is not mail that such a client looks for."""


def reception_limits(smtp: SmtpConfig, inbound: InboundConfig) -> SmtpConfig:
    """Of listeners for mail that comes in: what ``[inbound]`` does not say is as for submission."""
    return msgspec.structs.replace(
        smtp,
        max_size=inbound.max_size,
        max_recipients=inbound.max_recipients,
        max_connections=inbound.max_connections,
        max_connections_per_address=inbound.max_connections_per_address,
        max_memory=inbound.max_memory,
        command_timeout=inbound.command_timeout,
    )


class Receptions:
    """``smtp_visitor.SmtpService`` of listeners for mail that comes in."""

    directory = None

    def __init__(self, reception: Reception, refusals: Refusals) -> None:
        self.reception = reception
        self.refusals = refusals

    def offers(self, config: ServerConfig, *, trusted: bool) -> ServerConfig:
        """STARTTLS is offered and never demanded: any bounce has to arrive. DSN is not: strangers get no mail."""
        return replace(
            config,
            require_tls=False,
            require_auth=False,
            auth_mechanisms=(),
            accept_bare_postmaster=True,
            reports=False,
        )

    def visit(self, listener: ListenerSpec, peer: str) -> Stranger:
        return Stranger(self.reception, peer)


class Stranger:
    """``smtp_visitor.Visitor`` of one session. The envelope decides: who it is from, and for whom."""

    __slots__ = ("_boxes", "_reception", "_sender", "_unknown", "max_recipients", "peer")

    unproven = False
    account_id = 0
    credential_id = 0

    def __init__(self, reception: Reception, peer: str) -> None:
        self._reception = reception
        self.peer = peer
        """Its IP address."""
        self.max_recipients: int | None = None
        self._sender = ""
        self._boxes: list[Mailbox] = []
        self._unknown = 0

    @property
    def payer(self) -> Hashable:
        return f"inbound:{throttle_key(self.peer)}"

    def begin(self, *, trusted: bool) -> None:
        self._boxes = []

    def connect(self) -> Reply | None:
        return None

    async def authenticate(self, event: Authenticate) -> Reply | None:
        return NO_AUTH

    def ended(self) -> bool:
        return False

    def known_mail(self, event: MailFrom) -> Reply | Pending | None:
        if self._reception.busy():
            return BUSY
        self._sender = "" if event.sender is None else event.sender.text
        self._boxes = []
        return None

    async def mail(self, event: MailFrom) -> Reply | None:
        raise AssertionError("the answer to MAIL is known")

    def rcpt(self, event: RcptTo) -> Reply | None:
        box = self._reception.mailboxes.find(event.recipient.address)
        if box is None:
            if not self._reception.mailboxes.known:
                return NOT_KNOWN
            self._unknown += 1
            return NO_MAILBOX if self._unknown <= _MOST_UNKNOWN else TOO_MANY_UNKNOWN
        if not self._sender and box.use is Use.ROUTE:
            return NO_BOUNCES
        if box.closed:
            return CLOSED
        if self._sender and box.use is Use.FORWARDED:
            return ONLY_BOUNCES
        if self._reception.loops.too_fast(box, self._sender):
            return TOO_FAST
        if self._boxes and self._boxes[0].account_id != box.account_id:
            return ONE_AT_A_TIME
        self._boxes.append(box)
        return None

    def content(self) -> Reply | None:
        return None

    async def take(self, event: MessageReceived, origin: Origin) -> str:
        return await self._reception.take(event, origin, self._boxes)
