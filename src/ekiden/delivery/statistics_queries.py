"""What became of the messages of some credentials: counts over time, and the recipients that were lost.

Messages are chosen by when they were accepted: ids are ordered by time, so that is one range of the primary keys of
``message``, ``delivery`` and ``event``, within one account. Nothing else is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Select, and_, exists, false, func, literal_column, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.address import spellings
from ekiden.core.clock import MINUTE, Millis
from ekiden.core.events import EventType
from ekiden.core.ids import id_time
from ekiden.core.states import State
from ekiden.core.submission import OWN_REPORT
from ekiden.store.retention import first_id
from ekiden.store.set_aside import readable
from ekiden.store.tables import (
    SHOWN,
    credential,
    delivery,
    domain,
    event,
    message,
    project,
    smtp_configuration,
    smtp_user,
)


class Senders(NamedTuple):
    """Credentials, and the domains they send for, in lower-case A-labels."""

    credentials: list[int]
    domains: list[str]


@dataclass(frozen=True, slots=True)
class MessageFilter:
    """Messages of an account, accepted from ``start`` until just before ``end``, submitted by one of ``senders``.

    The others are exact, and leave nothing out when they are ``None``; ``recipient`` chooses among the recipients.
    """

    account_id: int
    start: Millis
    end: Millis
    senders: Senders
    recipient: str | None = None
    subject: str | None = None
    message_id: int | None = None


class Count(NamedTuple):
    """Recipients of messages accepted in the period that begins at ``start``, by what became of them.

    ``deferred``: they had to wait at least once.
    """

    start: Millis
    state: State
    deferred: bool
    recipients: int


class Lost(NamedTuple):
    """A recipient that will not get the message. ``origin`` is JSON of ``core.submission.Origin``."""

    recipient: str
    subject: str
    reason: str
    at: Millis
    origin: str


async def senders_of(connection: AsyncConnection, project_id: int, configuration_id: str | None = None) -> Senders:
    """Who sends or has sent for an SMTP configuration, or for any of a project.

    A user that was deleted leaves a revoked credential that no configuration claims; it counts for each of its
    account, and the sender's domain tells which one a message was for.
    """
    configuration = smtp_configuration.c
    chosen = configuration.project_id == project_id
    if configuration_id is not None:
        chosen &= configuration.id == configuration_id
    used = select(smtp_user.c.credential_id)
    theirs = used.join(smtp_configuration, configuration.id == smtp_user.c.configuration_id).where(chosen)
    account_id = select(project.c.account_id).where(project.c.id == project_id).scalar_subquery()
    given_up = and_(
        credential.c.account_id == account_id,
        credential.c.kind == "smtp_user",
        credential.c.revoked_at.is_not(None),
        credential.c.id.not_in(used),
    )
    ids = await connection.scalars(select(credential.c.id).where(or_(credential.c.id.in_(theirs), given_up)))
    names = select(domain.c.name).join(smtp_configuration, configuration.domain_id == domain.c.id).where(chosen)
    return Senders(list(ids), list(await connection.scalars(names)))


async def count_recipients(connection: AsyncConnection, wanted: MessageFilter, width: Millis) -> list[Count]:
    """In periods of ``width`` milliseconds that begin at multiples of it since the epoch, the earliest first."""
    deferred = exists().where(
        event.c.account_id == delivery.c.account_id,
        event.c.message_id == delivery.c.message_id,
        event.c.recipient_number == delivery.c.number,
        event.c.type == int(EventType.DEFERRED),
    )
    # A table of its own, so that GROUP BY names columns: PostgreSQL takes two equal parameters for different ones.
    each = (
        select(
            (message.c.accepted_at // literal_column(str(int(width)), BigInteger)).label("period"),
            delivery.c.state,
            deferred.label("deferred"),
        )
        .select_from(_JOINED)
        .where(*_conditions(wanted))
        .subquery()
    )
    grouping = (each.c.period, each.c.state, each.c.deferred)
    rows = await connection.execute(select(*grouping, func.count()).group_by(*grouping).order_by(each.c.period))

    def count(row: Any) -> Count:
        return Count(row[0] * width, State(row[1]), bool(row[2]), row[3])

    return readable("delivery", count, rows)


async def count_states(
    connection: AsyncConnection, account_id: int, start: Millis, end: Millis
) -> Mapping[State, int]:
    """Recipients of all that an account had accepted from ``start`` until just before ``end``, without our reports
    to it and what came in and was sent on, by what became of them."""
    first, last = (min(first_id(at), _BEYOND) for at in (start - MINUTE, end + MINUTE))
    rows = await connection.execute(
        select(delivery.c.state, func.count())
        .select_from(_JOINED)
        .where(
            message.c.account_id == account_id,
            message.c.id >= first,
            message.c.id < last,
            message.c.accepted_at >= start,
            message.c.accepted_at < end,
            ~message.c.origin.startswith(f'{{"via":"{OWN_REPORT}"'),
            message.c.forward == "",
        )
        .group_by(delivery.c.state)
    )
    return {State(state): count for state, count in rows}


async def lost_recipients(
    connection: AsyncConnection, wanted: MessageFilter, offset: int, limit: int
) -> tuple[list[Lost], int]:
    """Those that bounced or expired, of the latest messages first, and how many there are in all."""
    conditions = [*_conditions(wanted), delivery.c.state.in_([int(State.BOUNCED), int(State.EXPIRED)])]
    total = await connection.scalar(select(func.count()).select_from(_JOINED).where(*conditions))
    query: Select[Any] = (
        select(
            SHOWN,
            message.c.subject,
            delivery.c.reason,
            delivery.c.updated_at,
            message.c.origin,
        )
        .select_from(_JOINED)
        .where(*conditions)
        .order_by(message.c.id.desc(), delivery.c.number)
        .offset(offset)
        .limit(limit)
    )
    return [Lost(*row) for row in await connection.execute(query)], total or 0


async def sent_by(connection: AsyncConnection, account_id: int, message_id: int, senders: Senders) -> bool:
    """Whether the account has that message, and one of ``senders`` submitted it."""
    wanted = MessageFilter(account_id, id_time(message_id), id_time(message_id) + 1, senders, message_id=message_id)
    query = select(message.c.id).select_from(_JOINED).where(*_conditions(wanted)).limit(1)
    return await connection.scalar(query) is not None


_BEYOND = (1 << 63) - 1  # what a BIGINT holds; ids of any later time would not fit
_JOINED = message.join(
    delivery, and_(delivery.c.account_id == message.c.account_id, delivery.c.message_id == message.c.id)
)


def _conditions(wanted: MessageFilter) -> list[ColumnElement[bool]]:
    key = message.c.id
    senders = wanted.senders
    first, end = (min(first_id(at), _BEYOND) for at in (wanted.start, wanted.end))
    conditions = [
        message.c.account_id == wanted.account_id,
        key >= first,
        key < end,
        # Said of the other table too, which is in the same order: then either can be read first.
        delivery.c.account_id == wanted.account_id,
        delivery.c.message_id >= first,
        delivery.c.message_id < end,
        message.c.credential_id.in_(senders.credentials),
        or_(
            false(),
            *(func.lower(message.c.sender).endswith(f"@{name}", autoescape=True) for name in senders.domains),
        ),
    ]
    if wanted.message_id is not None:
        conditions.append(key == wanted.message_id)
    if wanted.recipient is not None:
        conditions.append(delivery.c.recipient.in_(spellings(wanted.recipient)))
    if wanted.subject is not None:
        conditions.append(message.c.subject == wanted.subject)
    return conditions
