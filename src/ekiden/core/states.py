"""What can become of a delivery (one recipient of one message), and why. Numbers are what the store keeps."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class State(IntEnum):
    """A delivery is always in exactly one. Those from ``DELIVERED`` on are final."""

    HELD = 1
    """Waits for a person."""
    SCHEDULED = 2
    """Waits for the time its sender asked for; never attempted yet."""
    QUEUED = 3
    """Due now; never attempted yet."""
    SENDING = 4
    """Owned by a worker, which has committed the attempt."""
    DEFERRED = 5
    """Was attempted, and waits for its next time."""
    DELIVERED = 10
    BOUNCED = 11
    """Refused for good, by the recipient's side or by us before dialling."""
    EXPIRED = 12
    """Ran out of time while deferred."""
    DROPPED = 13
    """Not sent on purpose (suppression, policy)."""
    CANCELLED = 14
    """Taken back by the sender or an operator."""

    @property
    def final(self) -> bool:
        return self >= State.DELIVERED

    @property
    def waiting(self) -> bool:
        """Is claimed once its time has come."""
        return self in WAITING


WAITING = frozenset({State.SCHEDULED, State.QUEUED, State.DEFERRED})
FIRST_FINAL = State.DELIVERED


class Cause(IntEnum):
    """The second axis of a verdict: whose matter it is."""

    NONE = 0
    RECIPIENT = 1
    REPUTATION = 2
    CONTENT = 3
    RATE = 4
    POLICY = 5
    NETWORK = 6
    OURS = 7


class Hold(IntFlag):
    """Who holds it. A delivery with any hold is ``State.HELD``, and any other has none."""

    OPERATOR = 1
    SENDER = 2
    """Paused with the bulk that it came with."""
    UNREADABLE = 4
    """Ekiden: it, or its message, cannot be read, or what became of it not be written."""
    CONFIRMATION = 8
    """It is sent once its sender has confirmed it."""
    SUSPENSION = 16
    """Its account is suspended."""


class After(IntFlag):
    """What was heard of a delivery once it had ended. Its state stays what it is."""

    BOUNCED = 1
    """Its recipient's server had taken the message, and gave it up later."""
    COMPLAINED = 2
    AUTO_REPLIED = 4
    UNSUBSCRIBED = 8


class Reading(IntEnum):
    """Of a mail that came in."""

    UNREAD = 1
    READ = 2


class Wait(IntEnum):
    """What a delivery waits for; those from ``HELD_BY_OPERATOR`` on are shown and not stored: see ``Hold``."""

    DUE = 0
    """A worker with room. Also of what does not wait, since it is sent or has ended."""
    SCHEDULED = 1
    """The time that its sender asked for."""
    QUOTA = 2
    """The next window of its account's quota with room."""
    RETRY = 3
    """Its next attempt."""
    SITE_DOWN = 4
    """Its next attempt; no server of the destination could be talked to."""
    PACED = 5
    """Its turn at a destination that takes less than there is."""
    SHARE = 6
    """Room for its account, which has its share of the worker."""
    NO_SOURCE = 7
    """An address of our own in the family that the destination has."""
    WORKER_LOST = 8
    """Its next attempt; the worker of the last one ended before it reported."""
    WORKER_STOPPED = 9
    """Another worker: the one that had it stopped."""
    HELD_BY_OPERATOR = 20
    PAUSED_BY_SENDER = 21
    UNREADABLE = 22
    CONFIRMATION = 23
    ACCOUNT_SUSPENDED = 24


class Priority(IntEnum):
    """Client priority; smaller goes first. Names are those that clients write in header fields."""

    HIGH = 0
    STANDARD = 1
    LOW = 2
