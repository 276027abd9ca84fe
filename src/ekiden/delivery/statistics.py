"""Figures about the mail of SMTP configurations: how much was submitted, what became of it, who was not reached.

Everything counts recipients, and belongs to the time when its message was accepted: so the figures of a period can
be compared with each other, and rates never exceed one.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

import msgspec

from ekiden.core.clock import DAY, HOUR, Millis
from ekiden.core.states import State
from ekiden.delivery.statistics_queries import (
    MessageFilter,
    Senders,
    count_recipients,
    count_states,
    lost_recipients,
    senders_of,
    sent_by,
)
from ekiden.delivery.trace_queries import MessageTrace, load_trace
from ekiden.store.set_aside import Unreadable, read

if TYPE_CHECKING:
    from ekiden.store.api import Store

Metric = Literal["submitted", "success", "bounced", "deferred"]
METRICS: Final[tuple[Metric, ...]] = ("submitted", "success", "bounced", "deferred")
"""``submitted``: accepted by us. ``success``: accepted by the recipient's server. ``bounced``: will not be
delivered, also because time ran out. ``deferred``: had to wait at least once, whatever came of it."""
FINE_UNTIL: Final[Millis] = 48 * HOUR
"""Up to this length a span is divided into hours, a longer one into days (UTC)."""


@dataclass(frozen=True, slots=True)
class Question:
    """What to count: messages accepted from ``start`` until just before ``end``.

    ``configuration_id`` ``None``: those of all SMTP configurations of the project. The rest is exact.
    """

    account_id: int
    project_id: int
    start: Millis
    end: Millis
    configuration_id: str | None = None
    recipient: str | None = None
    subject: str | None = None
    message_id: int | None = None


@dataclass(slots=True)
class Series:
    """``periods`` maps the start of each hour or day with anything in it to its number, in order of time."""

    total: int = 0
    periods: Counter[Millis] = field(default_factory=Counter)

    def add(self, start: Millis, number: int) -> None:
        self.total += number
        self.periods[start] += number


@dataclass(frozen=True, slots=True)
class Bounce:
    """A recipient that was not reached. ``client``: the IP address that submitted the message."""

    recipient: str
    subject: str
    reason: str
    at: Millis
    client: str


@dataclass(frozen=True, slots=True)
class DayCount:
    """Of recipients: ``accepted``, and of them ``delivered``, ``failed`` and, since they were suppressed,
    ``blocked``. The rest is on its way."""

    accepted: int = 0
    delivered: int = 0
    failed: int = 0
    blocked: int = 0

    def __add__(self, other: DayCount) -> DayCount:
        return DayCount(
            self.accepted + other.accepted,
            self.delivered + other.delivered,
            self.failed + other.failed,
            self.blocked + other.blocked,
        )


class Statistics:
    """Questions for people and programs; a few indexed queries each."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def series(self, question: Question) -> Mapping[Metric, Series]:
        """One for each of ``METRICS``."""
        width = HOUR if question.end - question.start <= FINE_UNTIL else DAY
        async with self._store.read() as connection:
            senders = await senders_of(connection, question.project_id, question.configuration_id)
            counts = await count_recipients(connection, _filter(question, senders), width)
        found: dict[Metric, Series] = {metric: Series() for metric in METRICS}
        for count in counts:
            found["submitted"].add(count.start, count.recipients)
            if count.state is State.DELIVERED:
                found["success"].add(count.start, count.recipients)
            elif count.state in (State.BOUNCED, State.EXPIRED):
                found["bounced"].add(count.start, count.recipients)
            if count.deferred:
                found["deferred"].add(count.start, count.recipients)
        return found

    async def between(self, account_id: int, bounds: Sequence[Millis]) -> list[DayCount]:
        """All that an account has sent, from each of ``bounds`` until just before the next one."""
        found = []
        for start, end in itertools.pairwise(bounds):
            async with self._store.read() as connection:
                counts = await count_states(connection, account_id, start, end)
            failed = sum(counts.get(state, 0) for state in (State.BOUNCED, State.EXPIRED, State.CANCELLED))
            delivered, blocked = (counts.get(state, 0) for state in (State.DELIVERED, State.DROPPED))
            found.append(DayCount(sum(counts.values()), delivered, failed, blocked))
        return found

    async def bounces(self, question: Question, *, offset: int, limit: int) -> tuple[list[Bounce], int]:
        """A page of those who were not reached, the latest first, and how many they are in all."""
        async with self._store.read() as connection:
            senders = await senders_of(connection, question.project_id, question.configuration_id)
            lost, total = await lost_recipients(connection, _filter(question, senders), offset, limit)
        return [
            Bounce(item.recipient, item.subject, item.reason, item.at, _client(item.origin)) for item in lost
        ], total

    async def message(self, account_id: int, project_id: int, message_id: int) -> MessageTrace | None:
        """The history of a message that an SMTP user of the project submitted; ``None``: there is none such."""
        async with self._store.read() as connection:
            senders = await senders_of(connection, project_id)
            if not await sent_by(connection, account_id, message_id, senders):
                return None
        return await load_trace(self._store, account_id, message_id)


def _filter(question: Question, senders: Senders) -> MessageFilter:
    return MessageFilter(
        question.account_id,
        question.start,
        question.end,
        senders,
        recipient=question.recipient,
        subject=question.subject,
        message_id=question.message_id,
    )


def _client(origin: str) -> str:
    try:
        return str(read("message", msgspec.json.Decoder(dict[str, object]).decode, origin).get("client", ""))
    except Unreadable:
        return ""
