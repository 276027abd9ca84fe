"""What the client machine is given and what it tells: transactions, their results, events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ekiden.core.diagnosis import Stage
from ekiden.core.said import Said
from ekiden.core.submission import Notify, Ret
from ekiden.smtp.reply import Reply


@dataclass(slots=True)
class TransactionRecipient:
    """One RCPT; ``notify`` and ``orcpt`` are passed on where the peer offers DSN."""

    address: str
    notify: Notify = Notify.NONE_GIVEN
    orcpt: str | None = None


@dataclass(slots=True)
class Transaction:
    """One message for one peer. ``sender`` is ``""`` for ``<>``; ``content`` has CRLF line ends.

    ``smtputf8``: it was submitted with that parameter. ``eight_bit``: ``content`` has octets above 127.
    """

    sender: str
    recipients: Sequence[TransactionRecipient]
    content: bytes = field(repr=False)
    size: int = 0
    """Octets; 0: count them."""
    ret: Ret | None = None
    envid: str | None = None
    smtputf8: bool = False
    eight_bit: bool = False
    normalised: bool = False
    """``content`` is known to have no bare CR or LF; otherwise they become CRLF on the way."""


@dataclass(slots=True)
class TransactionResult:
    """``recipients``: the deciding reply of each, in order; ``stages``: what each of those answers.

    ``reusable``: another ``send`` may follow. ``together``: several were accepted, and one reply to DATA or to the
    content was for all of those.
    """

    recipients: list[Reply]
    stages: list[Stage]
    reusable: bool
    together: bool = False

    @property
    def local(self) -> bool:
        """At least one reply is ours, not the peer's."""
        return any(reply.local for reply in self.recipients)


@dataclass(slots=True)
class Greeting:
    """The banner. Not always positive: the driver looks at ``reply`` before it says ``ehlo()``."""

    reply: Reply


@dataclass(slots=True)
class HelloDone:
    """EHLO was accepted, or HELO after it. ``extensions``: upper-case keywords and their parameters."""

    extensions: dict[str, str]


@dataclass(slots=True)
class HelloRefused:
    """Neither EHLO nor HELO was accepted."""

    reply: Reply


@dataclass(slots=True)
class TlsReady:
    """Do the handshake now, then call ``tls_established()``."""


@dataclass(slots=True)
class TlsRefused:
    """STARTTLS was refused; the session goes on in clear text if the driver wants."""

    reply: Reply


@dataclass(slots=True)
class TransactionDone:
    result: TransactionResult


@dataclass(slots=True)
class ResetDone:
    """The answer to ``rset()``."""

    reply: Reply


@dataclass(slots=True)
class Closed:
    """The last event: close the stream. ``reason`` is for the trace; ``reply`` the 421 behind it, if any.

    ``said``: ``reason`` as code and facts, when it is ours.
    """

    reason: str
    reply: Reply | None = None
    said: Said | None = field(default=None, compare=False)


ClientEvent = Greeting | HelloDone | HelloRefused | TlsReady | TlsRefused | TransactionDone | ResetDone | Closed
