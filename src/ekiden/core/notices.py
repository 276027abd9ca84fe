"""Who is told what: routes of events to endpoints, and what the teller knows when an event's turn has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntFlag
from typing import Any, Final, NamedTuple

import msgspec

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.events import EventType
from ekiden.core.ids import external_id


class News(IntFlag):
    """Kinds of events that an endpoint may want. Numbers are what the store keeps."""

    FINAL = 1
    """What became of a delivery in the end."""
    INTERMEDIATE = 2
    """What happens to it before."""
    TRACKING = 4
    """What its recipient does with it, and what is heard of it after its delivery."""
    EACH = 8
    """That it was accepted, for each of several recipients; for a single one ``INTERMEDIATE`` tells it."""
    FAILURE = 16
    """That it did not arrive, also when that is heard of later. Part of ``FINAL`` and of ``TRACKING``."""
    RECEIVED = 32
    """A mail that came in. No message of ours has it."""


NEWS: dict[EventType, News] = {
    EventType.ACCEPTED: News.INTERMEDIATE,
    EventType.DEFERRED: News.INTERMEDIATE,
    EventType.HELD: News.INTERMEDIATE,
    EventType.RELEASED: News.INTERMEDIATE,
    EventType.DELIVERED: News.FINAL,
    EventType.BOUNCED: News.FINAL | News.FAILURE,
    EventType.EXPIRED: News.FINAL | News.FAILURE,
    EventType.DROPPED: News.FINAL | News.FAILURE,
    EventType.CANCELLED: News.FINAL,
    EventType.OPENED: News.TRACKING,
    EventType.CLICKED: News.TRACKING,
    EventType.UNSUBSCRIBED: News.TRACKING,
    EventType.COMPLAINED: News.TRACKING,
    EventType.LATE_BOUNCE: News.TRACKING | News.FAILURE,
    EventType.QUEUED: News.EACH,
    EventType.RECEIVED: News.RECEIVED,
}
"""What kinds of news an event is; the others are for traces only."""


class Route(NamedTuple):
    """Events of ``news`` go to the endpoint."""

    endpoint_id: int
    news: int
    """A mask of ``News``."""


BLOCKS: Final = "event//blocks"
"""The ``setting`` of the endpoint that is told which addresses an account does not mail any more, and does again.
No message leads to it."""
_decode = msgspec.json.Decoder(tuple[Route, ...]).decode


def routes_text(routes: tuple[Route, ...]) -> str:
    """As the store keeps them; empty for none."""
    return msgspec.json.encode(routes).decode() if routes else ""


def parse_routes(text: str) -> tuple[Route, ...]:
    """From ``routes_text``."""
    return _decode(text) if text else ()


@dataclass(frozen=True, slots=True)
class Happening:
    """An event with all that somebody who is told of it may want to know.

    ``attempts``, ``first_attempt_at`` and ``code`` to ``reason`` are as of the event where it says so, else as of
    now. ``reason`` is the text of the reply, or of our own verdict.
    """

    event_id: int
    type: EventType
    at: Millis
    data: dict[str, Any]
    account_id: int
    message_id: int
    number: int
    """Of the recipient; 0: of the message as a whole."""
    recipient: str
    sender: str
    """Envelope sender; empty: the null sender."""
    subject: str
    accepted_at: Millis
    state: int
    """``core.states.State``, as of the event."""
    cause: int
    """``core.states.Cause``."""
    diagnosis: Diagnosis
    code: int
    enhanced: str
    reason: str
    attempts: int
    first_attempt_at: Millis | None
    bulk: str = ""
    reference: str = ""
    application: str = ""
    entity: str = ""
    campaign: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    header_id: str = ""
    """The Message-ID field."""
    client: str = ""
    """IP address of who submitted it."""
    stage: Stage | None = None
    """What the peer's reply answered, where that is known."""
    source: str = ""
    """Our own IP address in the attempt, where there was a connection."""

    @property
    def external_id(self) -> str:
        return external_id(self.message_id, self.number, self.reference)
