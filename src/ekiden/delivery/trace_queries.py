"""Everything the store knows about one message, for the trace: facts, recipients, attempts and events."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.notices import Route, parse_routes
from ekiden.core.said import Said, decoded, read_dialogue
from ekiden.core.states import After, Cause, Priority, State, Wait
from ekiden.core.submission import Marks
from ekiden.core.waits import wait_of
from ekiden.store.api import Store
from ekiden.store.holds import HeldBy, held_by
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import account, attempt, content, credential, delivery, event, message


@dataclass(frozen=True, slots=True)
class TracedAttempt:
    """One attempt. ``state`` is what it led to; ``host`` and ``address`` are empty when nobody was reached."""

    number: int
    worker: int
    started_at: Millis
    finished_at: Millis
    state: State
    cause: Cause
    host: str
    address: str
    tls: str
    code: int
    enhanced: str
    reply: str
    dialogue: list[str]
    said: Said | None
    """``reply`` as code and facts, if no peer gave it."""
    diagnosis: Diagnosis


@dataclass(frozen=True, slots=True)
class TracedEvent:
    recipient_number: int
    type: EventType
    at: Millis
    data: dict[str, Any]
    diagnosis: Diagnosis


@dataclass(slots=True)
class TracedDelivery:
    """One recipient. ``due_at`` is the next time while it waits, and when the attempt began while it is sent."""

    number: int
    recipient: str
    domain: str
    notify: int
    orcpt: str | None
    state: State
    cause: Cause
    reason: str
    """In English; ``said``: as code and facts, if Ekiden says it."""
    said: Said | None
    wait: Wait | None
    holds: tuple[HeldBy, ...]
    code: int
    enhanced: str
    due_at: Millis
    attempt_count: int
    updated_at: Millis
    diagnosis: Diagnosis
    after: After
    """What was heard of it once it had ended."""
    attempts: list[TracedAttempt] = field(default_factory=list)
    events: list[TracedEvent] = field(default_factory=list)

    @property
    def late(self) -> Diagnosis:
        """What is wrong if it bounced later."""
        return next(
            (event.diagnosis for event in self.events if event.type is EventType.LATE_BOUNCE), Diagnosis.NONE
        )


@dataclass(slots=True)
class MessageTrace:
    """One message. ``origin`` has the keys of ``core.submission.Origin``; ``credential`` is empty without one."""

    id: int
    account_id: int
    account: str
    credential: str
    credential_kind: str
    sender: str
    size: int
    priority: Priority
    envid: str | None
    accepted_at: Millis
    expires_at: Millis
    header_id: str
    subject: str
    origin: dict[str, Any]
    labels: dict[str, Any]
    has_content: bool
    marks: Marks
    routes: tuple[Route, ...]
    deliveries: list[TracedDelivery] = field(default_factory=list)
    events: list[TracedEvent] = field(default_factory=list)
    """Those of the message as a whole."""


async def find_messages(
    store: Store, *, id: int | None = None, header_id: str | None = None, limit: int = 20
) -> list[tuple[int, int]]:
    """``(account_id, message_id)`` of the messages with this queue id or this Message-ID, the newest first.

    A Message-ID is looked for in all messages that are kept, because no index is spent on it.
    """
    statement = select(message.c.account_id, message.c.id)
    if id is not None:
        # One search of the primary key for each account.
        statement = statement.where(message.c.account_id.in_(select(account.c.id)), message.c.id == id)
    if header_id is not None:
        bare = header_id.strip().removeprefix("<").removesuffix(">")
        statement = statement.where(message.c.header_id.in_([bare, f"<{bare}>"]))
    async with store.read() as connection:
        rows = await connection.execute(statement.order_by(message.c.id.desc()).limit(limit))
        return [(row.account_id, row.id) for row in rows]


async def load_trace(store: Store, account_id: int, message_id: int) -> MessageTrace | None:
    """The whole history of a message, or ``None`` when there is no such message (any more)."""
    async with store.read() as connection:
        trace = await _message(connection, account_id, message_id)
        if trace is None:
            return None
        await _deliveries(connection, trace)
        by_number = {found.number: found for found in trace.deliveries}
        await _attempts(connection, trace, by_number)
        await _events(connection, trace, by_number)
    return trace


async def _message(connection: AsyncConnection, account_id: int, message_id: int) -> MessageTrace | None:
    rows = await connection.execute(
        select(
            message,
            account.c.name.label("account_name"),
            credential.c.name.label("credential_name"),
            credential.c.kind.label("credential_kind"),
            content.c.message_id.label("content_id"),
        )
        .select_from(
            message.outerjoin(account, account.c.id == message.c.account_id)
            .outerjoin(credential, credential.c.id == message.c.credential_id)
            .outerjoin(
                content, (content.c.account_id == message.c.account_id) & (content.c.message_id == message.c.id)
            )
        )
        .where(message.c.account_id == account_id, message.c.id == message_id)
    )
    row = rows.one_or_none()
    if row is None:
        return None
    return read("message", _trace_of, row)


def _trace_of(row: Any) -> MessageTrace:
    return value_of(
        MessageTrace,
        row,
        account=row.account_name or str(row.account_id),
        credential=row.credential_name or "",
        credential_kind=row.credential_kind or "",
        priority=Priority(row.priority),
        origin=json.loads(row.origin),
        labels=json.loads(row.labels),
        has_content=row.content_id is not None,
        marks=value_of(Marks, row),
        routes=parse_routes(row.routes),
    )


async def _deliveries(connection: AsyncConnection, trace: MessageTrace) -> None:
    rows = await connection.execute(
        select(delivery)
        .where(delivery.c.account_id == trace.account_id, delivery.c.message_id == trace.id)
        .order_by(delivery.c.number)
    )

    def traced(row: Any) -> TracedDelivery:
        state = State(row.state)
        return value_of(
            TracedDelivery,
            row,
            recipient=row.written or row.recipient,
            state=state,
            cause=Cause(row.cause),
            said=decoded(row.said),
            wait=wait_of(state, row.wait, row.holds, row.cause),
            holds=held_by(state, row.holds, row.held),
            attempt_count=row.attempts,
            diagnosis=Diagnosis(row.diagnosis),
            after=After(row.after),
        )

    trace.deliveries = readable("delivery", traced, rows)


async def _attempts(connection: AsyncConnection, trace: MessageTrace, by_number: dict[int, TracedDelivery]) -> None:
    rows = await connection.execute(
        select(attempt)
        .where(attempt.c.account_id == trace.account_id, attempt.c.message_id == trace.id)
        .order_by(attempt.c.recipient_number, attempt.c.number)
    )

    def traced(row: Any) -> tuple[int, TracedAttempt]:
        return row.recipient_number, value_of(
            TracedAttempt,
            row,
            state=State(row.state),
            cause=Cause(row.cause),
            dialogue=read_dialogue(row.dialogue),
            said=decoded(row.said),
            diagnosis=Diagnosis(row.diagnosis),
        )

    for number, made in readable("attempt", traced, rows):
        found = by_number.get(number)
        if found is not None:
            found.attempts.append(made)


async def _events(connection: AsyncConnection, trace: MessageTrace, by_number: dict[int, TracedDelivery]) -> None:
    rows = await connection.execute(
        select(event)
        .where(event.c.account_id == trace.account_id, event.c.message_id == trace.id)
        .order_by(event.c.id)
    )

    def traced(row: Any) -> TracedEvent:
        return TracedEvent(
            row.recipient_number, EventType(row.type), row.at, json.loads(row.data), Diagnosis(row.diagnosis)
        )

    for item in readable("event", traced, rows):
        found = by_number.get(item.recipient_number)
        (found.events if found is not None else trace.events).append(item)


async def notified(store: Store, account_id: int, message_id: int) -> list[tuple[int, str]]:
    """Of whom its sender was told by DSNs: number of the recipient, and the event's data as JSON."""
    query = select(event.c.recipient_number, event.c.data).where(
        event.c.account_id == account_id,
        event.c.message_id == message_id,
        event.c.type == int(EventType.NOTIFIED),
    )
    async with store.read() as connection:
        return [(number, data) for number, data in await connection.execute(query)]
