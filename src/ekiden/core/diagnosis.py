"""What is wrong with a delivery: the one judgement of a reply, and what follows from it.

A diagnosis is made once, when an attempt ends (``smtp.diagnose`` reads the peers' replies), and is kept with the
attempt, the delivery and the event. Whoever wants to know something of a failure looks it up here or in a
dictionary of its own, which has an entry for every member; nobody reads a reply a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

from ekiden.core.said import Remark, Said
from ekiden.core.states import Cause, State, Wait


class Stage(IntEnum):
    """What a reply answers: the same words mean different things in different places."""

    CONNECT = 1
    """The greeting, or STARTTLS."""
    EHLO = 2
    MAIL = 3
    RCPT = 4
    DATA = 5
    """The command; the content has not been sent."""
    END = 6
    """The end of the content: it has been seen."""

    @property
    def label(self) -> str:
        """As events have it: ``rcpt``."""
        return _STAGES[self]


class Scope(Enum):
    """Whose mail it concerns: others' need not wait for it."""

    SITE = "site"
    """All that we send to these servers, whoever's it is."""
    CONNECTION = "connection"
    """What goes over this connection, or over so many."""
    SENDER = "sender"
    """What this sender's domain sends."""
    RECIPIENT = "recipient"
    MESSAGE = "message"


class Diagnosis(IntEnum):
    """Numbers are what the store keeps."""

    NONE = 0
    """Nothing is wrong, or nothing has been tried."""

    # The recipient
    NO_MAILBOX = 1
    """There is no such mailbox."""
    DISABLED = 2
    """It exists, but takes nothing: closed, inactive, suspended."""
    FULL = 3
    MOVED = 4
    """It is somewhere else now."""
    BAD_ADDRESS = 5
    """The form of the address is not accepted."""
    RECIPIENT_REFUSED = 6
    """The recipient is refused, and nobody says that it does not exist."""
    RECIPIENT_FILTER = 7
    """A filter of the recipient's own, which often pretends that there is no mailbox."""
    NO_DOMAIN = 8
    """The domain does not exist, or no host of it takes mail."""
    NULL_MX = 9
    """The domain declares that it takes no mail (RFC 7505)."""
    NO_ROUTE = 10
    """The domain exists, but nothing there can take mail."""

    # The sender
    SENDER_REFUSED = 11
    """The sender's address or domain does not exist, or is not accepted."""
    SPF = 12
    DKIM = 13
    DMARC = 14
    """Or several kinds of authentication together."""
    PTR = 15
    """The sending address has no name in reverse DNS, or one that does not fit."""
    TLS = 16
    """Mail is taken over TLS only."""
    AUTHENTICATION = 17
    """The server wants a login."""

    # Reputation
    IP_BLOCKED = 18
    """The sending address is on a blocklist or has a bad reputation."""
    DOMAIN_BLOCKED = 19
    """The same of the sender's domain, or of one that the content names."""

    # The content
    SPAM = 20
    VIRUS = 21
    """Or another danger: phishing, a forbidden kind of file."""
    MALFORMED = 22
    """Lines too long, fields missing, broken MIME."""
    TOO_BIG = 23
    CONVERSION = 24
    """8-bit text that the server does not take."""
    SMTPUTF8 = 25
    """An international address that the server does not take (RFC 6531)."""

    # Too much at a time
    RATE_IP = 26
    """From this sending address."""
    RATE_DOMAIN = 27
    """From this sender or sender's domain."""
    RATE_RECIPIENT = 28
    """To this recipient."""
    CONNECTIONS = 29
    """Too many connections, or too much on one of them."""
    RECIPIENTS = 30
    """Too many recipients: nothing is said about the one that was refused."""

    # Rules
    GREYLISTED = 31
    RELAY = 32
    """The server is not responsible for the domain."""
    POLICY = 33
    PROTOCOL = 34
    """The server did not accept a command of ours."""

    # The way
    PEER = 35
    """The server has troubles of its own: overloaded, out of storage, out of order."""
    NO_ANSWER = 36
    """No server could be reached."""
    LOST = 37
    """The connection broke or stalled."""
    DNS = 38
    """The domain could not be looked up just now."""
    NETWORK = 39
    """Another disturbance of the way."""
    NOT_SMTP = 40
    """What the server said made no sense."""
    LOOP = 41

    OURS = 42
    """Ekiden's own fault."""
    UNREPORTED = 43
    """The worker ended before it reported: nobody knows what became of the attempt."""
    UNKNOWN = 44
    """The server refused, and gave no reason that is known."""

    @property
    def label(self) -> str:
        """As it is written: ``no-mailbox``."""
        return _LABELS[self]

    @property
    def cause(self) -> Cause:
        return CAUSES[self]

    @property
    def hard(self) -> bool:
        """Whether a bounce with it says that the address is no good for ever, as far as one can know."""
        return HARD[self]

    @property
    def scope(self) -> Scope:
        return SCOPES[self]


D = Diagnosis

CAUSES: Final[dict[Diagnosis, Cause]] = {
    D.NONE: Cause.NONE,
    D.NO_MAILBOX: Cause.RECIPIENT,
    D.DISABLED: Cause.RECIPIENT,
    D.FULL: Cause.RECIPIENT,
    D.MOVED: Cause.RECIPIENT,
    D.BAD_ADDRESS: Cause.RECIPIENT,
    D.RECIPIENT_REFUSED: Cause.RECIPIENT,
    D.RECIPIENT_FILTER: Cause.RECIPIENT,
    D.NO_DOMAIN: Cause.RECIPIENT,
    D.NULL_MX: Cause.RECIPIENT,
    D.NO_ROUTE: Cause.RECIPIENT,
    D.SENDER_REFUSED: Cause.OURS,
    D.SPF: Cause.POLICY,
    D.DKIM: Cause.POLICY,
    D.DMARC: Cause.POLICY,
    D.PTR: Cause.POLICY,
    D.TLS: Cause.POLICY,
    D.AUTHENTICATION: Cause.POLICY,
    D.IP_BLOCKED: Cause.REPUTATION,
    D.DOMAIN_BLOCKED: Cause.REPUTATION,
    D.SPAM: Cause.CONTENT,
    D.VIRUS: Cause.CONTENT,
    D.MALFORMED: Cause.CONTENT,
    D.TOO_BIG: Cause.CONTENT,
    D.CONVERSION: Cause.CONTENT,
    D.SMTPUTF8: Cause.OURS,
    D.RATE_IP: Cause.RATE,
    D.RATE_DOMAIN: Cause.RATE,
    D.RATE_RECIPIENT: Cause.RATE,
    D.CONNECTIONS: Cause.RATE,
    D.RECIPIENTS: Cause.RATE,
    D.GREYLISTED: Cause.POLICY,
    D.RELAY: Cause.POLICY,
    D.POLICY: Cause.POLICY,
    D.PROTOCOL: Cause.OURS,
    D.PEER: Cause.NETWORK,
    D.NO_ANSWER: Cause.NETWORK,
    D.LOST: Cause.NETWORK,
    D.DNS: Cause.NETWORK,
    D.NETWORK: Cause.NETWORK,
    D.NOT_SMTP: Cause.NETWORK,
    D.LOOP: Cause.NETWORK,
    D.OURS: Cause.OURS,
    D.UNREPORTED: Cause.OURS,
    D.UNKNOWN: Cause.POLICY,
}
"""Whose matter it is."""

_HARD = {
    D.NO_MAILBOX,
    D.DISABLED,
    D.MOVED,
    D.NULL_MX,
}
# Not NO_DOMAIN: a domain that is not in the DNS today may be again tomorrow, and that says nothing of the mailbox.
# Not BAD_ADDRESS, which is about how an address is written. Not FULL: a full one is emptied.
HARD: Final[dict[Diagnosis, bool]] = {diagnosis: diagnosis in _HARD for diagnosis in Diagnosis}

SCOPES: Final[dict[Diagnosis, Scope]] = {
    D.NONE: Scope.MESSAGE,
    D.NO_MAILBOX: Scope.RECIPIENT,
    D.DISABLED: Scope.RECIPIENT,
    D.FULL: Scope.RECIPIENT,
    D.MOVED: Scope.RECIPIENT,
    D.BAD_ADDRESS: Scope.RECIPIENT,
    D.RECIPIENT_REFUSED: Scope.RECIPIENT,
    D.RECIPIENT_FILTER: Scope.RECIPIENT,
    D.NO_DOMAIN: Scope.RECIPIENT,
    D.NULL_MX: Scope.RECIPIENT,
    D.NO_ROUTE: Scope.RECIPIENT,
    D.SENDER_REFUSED: Scope.SENDER,
    D.SPF: Scope.SENDER,
    D.DKIM: Scope.SENDER,
    D.DMARC: Scope.SENDER,
    D.PTR: Scope.SITE,
    D.TLS: Scope.SENDER,
    D.AUTHENTICATION: Scope.SITE,
    D.IP_BLOCKED: Scope.SITE,
    D.DOMAIN_BLOCKED: Scope.SENDER,
    D.SPAM: Scope.MESSAGE,
    D.VIRUS: Scope.MESSAGE,
    D.MALFORMED: Scope.MESSAGE,
    D.TOO_BIG: Scope.MESSAGE,
    D.CONVERSION: Scope.MESSAGE,
    D.SMTPUTF8: Scope.MESSAGE,
    D.RATE_IP: Scope.SITE,
    D.RATE_DOMAIN: Scope.SENDER,
    D.RATE_RECIPIENT: Scope.RECIPIENT,
    D.CONNECTIONS: Scope.CONNECTION,
    D.RECIPIENTS: Scope.CONNECTION,
    D.GREYLISTED: Scope.RECIPIENT,
    D.RELAY: Scope.RECIPIENT,
    D.POLICY: Scope.SITE,
    D.PROTOCOL: Scope.SITE,
    D.PEER: Scope.SITE,
    D.NO_ANSWER: Scope.SITE,
    D.LOST: Scope.CONNECTION,
    D.DNS: Scope.SITE,
    D.NETWORK: Scope.SITE,
    D.NOT_SMTP: Scope.SITE,
    D.LOOP: Scope.MESSAGE,
    D.OURS: Scope.MESSAGE,
    D.UNREPORTED: Scope.MESSAGE,
    D.UNKNOWN: Scope.SITE,
}

_STAGES: Final = {stage: stage.name.lower() for stage in Stage}
STAGE_OF: Final = {label: stage for stage, label in _STAGES.items()}
_LABELS: Final = {diagnosis: diagnosis.name.lower().replace("_", "-") for diagnosis in Diagnosis}
BY_NUMBER: Final = {int(diagnosis): diagnosis for diagnosis in Diagnosis}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an attempt came to for one recipient.

    ``final``: asking again will not help (also true of success). ``code`` and ``enhanced`` are the peer's
    (RFC 5321 §4.2, RFC 3463) or, when the peer never answered, the ones we would report: ``text`` says so.
    """

    state: State
    diagnosis: Diagnosis
    code: int
    enhanced: str
    text: str
    said: Said | None = None
    """``text`` as code and facts, when it is ours."""
    wait: Wait = Wait.RETRY
    """What is waited for when ``state`` is ``DEFERRED``."""
    stage: Stage | None = None
    """What the peer's reply answers; ``None``: it gave none."""

    @property
    def cause(self) -> Cause:
        return CAUSES[self.diagnosis]

    @property
    def remark(self) -> str:
        """``text`` as a dialogue of one line, for the store."""
        return f"# {self.text}" if self.said is None else str(Remark(self.said))

    @property
    def delivered(self) -> bool:
        return self.state is State.DELIVERED

    @property
    def final(self) -> bool:
        return self.state.final
