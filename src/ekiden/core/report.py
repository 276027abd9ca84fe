"""What a received mail says about mail of ours: a bounce, a complaint, an automatic reply and so on.

One mail is one ``Reading``, with a ``Report`` for each recipient that it speaks of. What is wrong is a
``Diagnosis``, judged as live replies are; what follows from it is decided by whoever has found the delivery.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.states import Cause


class Kind(Enum):
    """What a mail is. The values are what commands and webhooks print."""

    BOUNCE = "bounce"
    """It was not delivered, and nobody will try again."""
    DELAY = "delay"
    """It has not been delivered yet."""
    COMPLAINT = "complaint"
    """Feedback (RFC 5965): the recipient calls it spam, or what else ``Report.action`` says; see ``complains``."""
    AUTO_REPLY = "auto-reply"
    """Absence notes, confirmations, receipts, questions whether the sender is a person (RFC 3834)."""
    UNSUBSCRIBE = "unsubscribe"
    TLS_REPORT = "tls-report"
    """RFC 8460."""
    DMARC_REPORT = "dmarc-report"
    """An aggregate report (RFC 9990)."""
    OTHER = "other"
    """Nothing of these: mail of people, or news of what was delivered, relayed or expanded."""


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of one recipient. Texts are empty and numbers 0 where nothing is said."""

    kind: Kind
    recipient: str
    """Whom the reporter could not reach, who complains, who is away; as it was written."""
    asked: str = ""
    """The address that was asked for, when it led to ``recipient`` (``Original-Recipient`` of RFC 3464)."""
    action: str = ""
    """Of RFC 3464 in lower case (``failed``, ``delayed``, ``relayed`` …); of a complaint its Feedback-Type; of an
    automatic reply ``challenge``, ``receipt`` or nothing."""
    diagnosis: Diagnosis = Diagnosis.NONE
    code: int = 0
    """The basic code of the reply that is quoted (RFC 5321 §4.2)."""
    enhanced: str = ""
    """Of that reply, or of the reporter (RFC 3463)."""
    text: str = ""
    """The words that were judged, in one line, without their codes."""
    stage: Stage | None = None
    """What that reply answered, when the report tells it."""
    expired: bool = False
    """Somebody gave up after a while: what is wrong was only so for that time."""
    remote_mta: str = ""
    """The host that refused."""
    at: Millis = 0
    """When, as the report has it."""
    named: bool = True
    """Somebody says that it is about ``recipient``; else that is whom the returned mail was written to."""
    how: str = ""
    """What it was read from: ``delivery-status``, ``feedback-report``, or the name of a shape of free form."""

    @property
    def cause(self) -> Cause:
        """As of the diagnosis, but for a sender that is refused: that may be whoever sent the mail on."""
        return Cause.POLICY if self.diagnosis is Diagnosis.SENDER_REFUSED else self.diagnosis.cause

    @property
    def hard(self) -> bool:
        """Whether it shows that the address is no good for ever.

        Not of a disabled mailbox: an hour later nobody can tell any more whether a person came back.
        """
        return (
            self.kind is Kind.BOUNCE
            and self.named
            and self.diagnosis.hard
            and self.diagnosis is not Diagnosis.DISABLED
        )

    @property
    def complains(self) -> bool:
        """Whether somebody complains: not who takes it back (``not-spam``), nor reports of failed authentication
        (RFC 6591), which are written in the same form."""
        return self.kind is Kind.COMPLAINT and self.action not in _NO_COMPLAINTS

    @property
    def shown_code(self) -> str:
        """``5.1.1``, else ``550``, else nothing."""
        return self.enhanced or (str(self.code) if self.code else "")


_NO_COMPLAINTS: Final = frozenset({"not-spam", "auth-failure", "dmarc"})


@dataclass(frozen=True, slots=True)
class Origin:
    """What a report quotes of the mail that it is about: for whoever looks for the delivery."""

    senders: tuple[str, ...] = ()
    """Envelope senders, the surest first: the returned Return-Path, and what the report says itself."""
    recipients: tuple[str, ...] = ()
    """Envelope recipients: ``Received: … for``, and those that the report names."""
    message_ids: tuple[str, ...] = ()
    """Message-ID fields, with their angle brackets."""
    ids: tuple[tuple[str, str], ...] = ()
    """Other fields that are made to be recognised, such as ``x-…-id`` and ``feedback-id``; names in lower case."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one mail says."""

    kind: Kind
    reports: tuple[Report, ...] = ()
    origin: Origin = Origin()
    shortened: bool = False
    """There was more than is read of one mail: the rest is unknown."""
