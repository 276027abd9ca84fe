"""What happened to a message, as facts that are written with the change they tell of and never altered."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis


class EventType(IntEnum):
    """Numbers are what the store keeps."""

    ACCEPTED = 1
    """The message is on stable storage. Belongs to the message (``recipient_number`` 0)."""
    DELIVERED = 2
    DEFERRED = 3
    BOUNCED = 4
    EXPIRED = 5
    DROPPED = 6
    CANCELLED = 7
    HELD = 8
    RELEASED = 9
    """An operator let a held delivery go, or asked for an immediate retry."""
    LEASE_LOST = 10
    """The worker that had it ended before it reported; it is due again."""
    NOTIFIED = 11
    """A delivery status notification was queued for the sender; ``data.dsn`` is its id."""
    OPENED = 12
    """The recipient's reader loaded the picture that counts opens; ``data`` as ``landing`` writes it."""
    CLICKED = 13
    """The recipient followed a link; ``data.url``."""
    UNSUBSCRIBED = 14
    """The recipient wants no more of it; ``data.how``: ``page``, ``one-click``."""
    COMPLAINED = 15
    """The recipient's provider reported a complaint (RFC 5965)."""
    LATE_BOUNCE = 16
    """A bounce came after the recipient's server had accepted the message."""
    QUEUED = 18
    """``ACCEPTED``, of one of several recipients: written only where an endpoint wants each of them told."""
    RECEIVED = 19
    """A mail came in that routes of the account take. Belongs to that mail; ``data``: ``recipient``, ``sender``,
    ``size``, and the names of ``routes`` with their ``endpoints``."""
    DOMAIN_VERIFIED = 20
    """A domain may be sent from. Belongs to the account (``message_id`` 0), as the next three; ``data.domain``."""
    DOMAIN_FAILED = 21
    """A check failed while the domain was not in use, or within its grace; ``data.reason``."""
    DOMAIN_SUSPENDED = 22
    """Checks failed for longer than the grace: nothing from this domain is accepted; ``data.reason``."""
    DOMAIN_RESUMED = 23
    """The records are back, and so is the domain."""
    BLOCKED = 24
    """An address is suppressed. Belongs to the account, as the next one; both are written only where an endpoint
    wants them (``core.notices.BLOCKS``). ``data``: ``address``, ``domain``, ``kind``, ``reason``, ``by``, and how
    often it ``occurred``."""
    UNBLOCKED = 25
    """It is no more, or its time was over."""


@dataclass(frozen=True, slots=True)
class Event:
    """``data`` is small and JSON-ready; what an attempt saw on the wire is in the attempt, not here."""

    account_id: int
    message_id: int
    recipient_number: int
    type: EventType
    at: Millis
    data: dict[str, Any] = field(default_factory=dict)
    diagnosis: Diagnosis = Diagnosis.NONE
    """Of the attempt that led to it."""
