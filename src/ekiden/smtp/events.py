"""What the server machine tells its driver. Those that ask are followed by one decision method."""

from __future__ import annotations

from dataclasses import dataclass, field

from ekiden.core.address import Address
from ekiden.core.submission import Recipient
from ekiden.smtp.params import MailParameters


@dataclass(slots=True)
class Hello:
    """HELO or EHLO was answered. ``name`` is what the client calls itself: printable, otherwise unchecked."""

    name: str
    esmtp: bool


@dataclass(slots=True)
class StartTls:
    """220 is queued: flush it, do the handshake, then call ``tls_established``. Nothing received before counts."""


@dataclass(slots=True)
class Authenticate:
    """Asks: ``accept_auth()`` or ``reject_auth()``."""

    mechanism: str
    username: str
    password: str = field(repr=False)


@dataclass(slots=True)
class MailFrom:
    """Asks: ``accept()`` or ``reject(reply)``. ``sender`` is ``None`` for ``<>``."""

    sender: Address | None
    params: MailParameters


@dataclass(slots=True)
class RcptTo:
    """Asks: ``accept()`` or ``reject(reply)``."""

    recipient: Recipient


@dataclass(slots=True)
class DataStarting:
    """Asks, when ``ServerConfig.ask_before_data``: ``accept()`` sends 354. ``size_hint`` is MAIL's SIZE."""

    size_hint: int | None


@dataclass(slots=True)
class MessageReceived:
    """Asks: ``accept_message(queue_id)`` or ``reject(reply)``.

    ``content`` has CRLF line ends only, ends with one unless it is empty, and has no dots added. Lines may be
    longer than 998 octets: nothing is cut.
    """

    sender: Address | None
    recipients: list[Recipient]
    content: bytes = field(repr=False)
    params: MailParameters


@dataclass(slots=True)
class ConnectionClosing:
    """The last event: flush, then close. ``reason`` is for the log."""

    reason: str


Event = Hello | StartTls | Authenticate | MailFrom | RcptTo | DataStarting | MessageReceived | ConnectionClosing
