"""The values that go into and come out of the store on the hot path."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event
from ekiden.core.forward import Forward
from ekiden.core.notices import Route
from ekiden.core.said import Said
from ekiden.core.states import Cause, Priority, State, Wait
from ekiden.core.submission import NO_MARKS, Marks, SharedContent


@dataclass(slots=True)
class Message:
    """One content with one envelope sender, as every delivery of it needs it. ``sender`` is empty for ``<>``.

    ``content`` is filled when the message was handed over in memory, or once it has been fetched.
    """

    account_id: int
    id: int
    credential_id: int
    sender: str
    size: int
    priority: Priority
    ret: str | None
    envid: str | None
    smtputf8: bool
    eight_bit: bool
    accepted_at: Millis
    expires_at: Millis
    header_id: str = ""
    subject: str = ""
    origin: str = "{}"
    labels: str = "{}"
    marks: Marks = NO_MARKS
    routes: tuple[Route, ...] = ()
    forward: Forward | None = None
    """``None``: it was submitted here."""
    content: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class Delivery:
    """One recipient of one message, owned by this worker when its state is ``SENDING``.

    ``attempts`` counts the one that has begun. ``due_at`` is the next time, or the start of the attempt.
    """

    message: Message
    number: int
    recipient: str
    domain: str
    notify: int
    orcpt: str | None
    state: State
    due_at: Millis
    attempts: int = 0
    cause: Cause = Cause.NONE
    reason: str = ""
    wait: Wait = Wait.DUE
    said: Said | None = None
    written: str | None = None
    """The recipient as its sender wrote it; ``None``: as ``recipient`` has it."""

    @property
    def shown(self) -> str:
        """The recipient, for people."""
        return self.written or self.recipient

    @property
    def key(self) -> DeliveryKey:
        return DeliveryKey(self.message.account_id, self.message.id, self.number)


class DeliveryKey(NamedTuple):
    account_id: int
    message_id: int
    number: int


@dataclass(slots=True)
class NewMessage:
    """A message to insert, with its deliveries and first events, as one atomic unit.

    Deliveries whose state is ``SENDING`` are inserted already owned by the accepting worker, with their first
    attempt counted: the caller hands them to delivery in memory once the commit has returned.
    """

    message: Message
    content: bytes
    deliveries: Sequence[Delivery]
    events: Sequence[Event]
    shared: SharedContent | None = None
    """What follows ``content``; those that have the same one are given to one ``accept_all``."""


class ExpandedPiece(NamedTuple):
    """A piece of a mail request whose messages are written: it belongs to the worker that writes them, and never
    again to another. ``failed``: JSON of what became no message (``mailings``)."""

    account_id: int
    request_id: int
    number: int
    at: Millis
    failed: str = ""


@dataclass(slots=True)
class Attempt:
    """What one attempt saw. ``dialogue`` never holds content; see ``store.tables.attempt``."""

    started_at: Millis
    finished_at: Millis
    host: str = ""
    address: str = ""
    tls: str = ""
    reply: str = ""
    dialogue: str = ""
    said: Said | None = None
    """``reply`` as code and facts, when no peer gave it."""
    source: str = ""
    """Our own IP address in the connection; kept with the event only."""


@dataclass(slots=True)
class Outcome:
    """How an owned delivery ends its attempt: its new state, the attempt, and the events of the change.

    Applied only while the delivery still belongs to the reporting worker and to attempt ``delivery.attempts``.
    """

    delivery: Delivery
    state: State
    diagnosis: Diagnosis
    code: int
    enhanced: str
    reason: str
    due_at: Millis
    """Next time when ``state`` is ``DEFERRED``, else the time of the change."""
    attempt: Attempt
    events: Sequence[Event]
    wait: Wait = Wait.DUE
    """Why until ``due_at`` when ``state`` is ``DEFERRED``."""
    said: Said | None = None
    """``reason`` as code and facts, when no peer gave it."""


class Noted(NamedTuple):
    """An event that comes from elsewhere than the queue, and the routes of its message."""

    event: Event
    routes: tuple[Route, ...]


@dataclass(slots=True)
class ReceivedMail:
    """A mail that came in. ``account_id`` 0: for who runs Ekiden. ``authentication`` is JSON."""

    account_id: int
    id: int
    listener: str
    peer: str
    helo: str
    tls: str
    sender: str
    """Envelope sender; empty: the null sender."""
    recipients: tuple[str, ...]
    size: int
    smtputf8: bool
    accepted_at: Millis
    header_id: str
    subject: str
    authentication: str
    attempts: int = 0
    """Begun readings."""
    content: bytes = field(default=b"", repr=False)
    """Empty: only in the store."""


class Heard(NamedTuple):
    """Bits of ``core.states.After`` for a delivery that has ended."""

    account_id: int
    message_id: int
    number: int
    after: int


@dataclass(slots=True)
class Understood:
    """What a mail that came in turned out to be, and all that follows from it: written as one, or not at all.

    ``told`` is JSON. ``due_at`` set: it was not read, and is again then.
    """

    mail: ReceivedMail
    kind: int
    told: str = ""
    due_at: Millis | None = None
    events: Sequence[Noted] = ()
    heard: Sequence[Heard] = ()
    messages: Sequence[NewMessage] = ()


@dataclass(slots=True)
class Release:
    """An owned delivery given back undialled: its attempt is not counted, and it is due at ``due_at``."""

    delivery: Delivery
    due_at: Millis
    wait: Wait
    said: Said


class Registration(NamedTuple):
    """A worker known to the store. ``id`` is its lease and fencing token, ``node`` its part of new ids."""

    id: int
    node: int


class DueAccounts(NamedTuple):
    """``accounts`` that have something due, in order. ``after``: where to go on; 0: there are no more."""

    accounts: list[int]
    after: int


@dataclass(slots=True)
class QueueStats:
    """For metrics: deliveries that are not final by state, the oldest due time, live workers, held leases."""

    by_state: dict[State, int]
    oldest_due: Millis | None
    workers: int
    leases: int


@dataclass(slots=True)
class Counters:
    """What a store has written since it was opened, for metrics; grows only."""

    commits: int = 0
    units: int = 0
    """Calls of ``accept``, ``claim``, ``finish`` and ``release``; ``units / commits`` is how well they group."""
    failures: int = 0
    """Transactions that were rolled back."""
    seconds: float = 0.0
    """Spent in transactions, waiting for the disk included."""
