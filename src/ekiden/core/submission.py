"""The one value that every way in builds and that the door (``intake``) takes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntFlag
from typing import Final

from ekiden.core.address import Address
from ekiden.core.clock import Millis
from ekiden.core.notices import Route
from ekiden.core.states import Priority


class Notify(IntFlag):
    """RFC 3461 §4.1. ``NONE_GIVEN`` means the parameter was absent: failures are reported, delays may be."""

    NONE_GIVEN = 0
    NEVER = 1
    SUCCESS = 2
    FAILURE = 4
    DELAY = 8

    @property
    def on_failure(self) -> bool:
        return self is Notify.NONE_GIVEN or bool(self & Notify.FAILURE)

    @property
    def on_delay(self) -> bool:
        return bool(self & Notify.DELAY)

    @property
    def on_success(self) -> bool:
        return bool(self & Notify.SUCCESS)


class Ret(Enum):
    """RFC 3461 §4.3: how much of the message a failure report returns."""

    FULL = "FULL"
    HDRS = "HDRS"


@dataclass(frozen=True, slots=True)
class Recipient:
    """One RCPT. ``orcpt`` is the decoded parameter with its type (``rfc822;a@b``), or ``None``."""

    address: Address
    notify: Notify = Notify.NONE_GIVEN
    orcpt: str | None = None


OWN_REPORT: Final = "DSN"
"""``Origin.via`` of the reports that this platform writes to senders: no messages of theirs."""
SENT_ON: Final = "FORWARD"
"""Of what came in for an account and is sent on for it."""


BLOCKING: Final = "blocking"
"""A label (``Submission.labels``), with any value: addresses at which the message bounces for good are blocked for
the whole account, and for its block period (``recipients.hard_bounces``)."""


@dataclass(frozen=True, slots=True)
class Origin:
    """How a submission came in: for the Received field, the trace and the rules of access."""

    via: str
    """The protocol as RFC 3848 names it (``ESMTPSA``), or ``HTTP``, ``LOCAL``, ``DSN``."""
    client: str = ""
    """IP address of the peer, after PROXY protocol."""
    helo: str = ""
    region: str = ""
    endpoint: str = ""
    """``public`` or ``private``."""
    tls: str = ""
    """``TLSv1.3 TLS_AES_256_GCM_SHA384``, or nothing."""
    listener: str = ""


@dataclass(frozen=True, slots=True)
class Marks:
    """How the sender refers to a message, and finds it again in logs and reports. Empty: not at all.

    ``bulk`` is the id of the request, ``reference`` the sender's own id of the message, whoever its recipients.
    """

    bulk: str = ""
    reference: str = ""
    application: str = ""
    entity: str = ""
    campaign: str = ""


NO_MARKS = Marks()


@dataclass(frozen=True, slots=True)
class SharedContent:
    """The end of several messages: attachments, mostly. Stored once, in pieces, and never joined to be stored.

    It begins where a line begins, ends with CRLF, and is canonical as RFC 6376 §3.4.4 ("relaxed") has it: no blank
    before a line end, no two blanks together, no empty line at the end. ``id`` is one of ``core.ids``.
    ``stored``: it is on stable storage before the messages are.
    """

    id: int
    pieces: tuple[bytes, ...] = field(repr=False)
    stored: bool = False

    @property
    def size(self) -> int:
        """Octets."""
        return sum(map(len, self.pieces))


@dataclass(slots=True)
class Submission:
    """Who sends, envelope, recipients, content, options. ``content`` is RFC 5322 bytes with CRLF line ends."""

    account_id: int
    credential_id: int
    sender: Address | None
    """Envelope sender; ``None`` is the null sender ``<>``."""
    recipients: list[Recipient]
    content: bytes
    origin: Origin
    priority: Priority = Priority.STANDARD
    ret: Ret | None = None
    envid: str | None = None
    smtputf8: bool = False
    eight_bit: bool = False
    send_at: Millis | None = None
    expires_after: Millis | None = None
    """How long delivery may be tried; ``None`` is the configured time."""
    labels: dict[str, str] = field(default_factory=dict)
    """Free facts a dialect wants back in events."""
    marks: Marks = NO_MARKS
    routes: tuple[Route, ...] = ()
    """Who is told what becomes of it, besides its account's own report (``core.notices``)."""
    message_id: int | None = None
    """An id made before (``intake.tracking``), for links that have to name it; ``None``: a new one."""
    shared: SharedContent | None = None
    """What follows ``content``: the part that the messages of one request have in common."""
    to_unsubscribed: bool = False
    """Those who have unsubscribed get it as well; what else stops mail to them does so."""
