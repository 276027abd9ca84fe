"""The queue as an operator sees it: list, count and shape by filter. For rare use, never on the hot path.

How the indexes are used: a delivery that is not final is in exactly one of three partial indexes (waiting, sending,
held), so questions about the queue are asked of these and never touch finished deliveries. Ids are ordered by time
(``core.ids``), so an age is a comparison of ids.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import itemgetter
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, or_, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.address import spellings
from ekiden.core.clock import MINUTE, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.ids import EPOCH, NODE_BITS, SEQUENCE_BITS, id_time
from ekiden.core.said import Said, decoded
from ekiden.core.states import WAITING, Cause, Priority, State, Wait
from ekiden.core.waits import wait_of
from ekiden.store.api import Store
from ekiden.store.holds import HeldBy, held_by, waits_for
from ekiden.store.records import DeliveryKey
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import BY_RECIPIENT, HELD_SQL, SENDING_SQL, SHOWN, WAITING_SQL, account, delivery, message

_BATCH: Final = 500
"""Ids in one statement that looks them up."""

SHAPE_MINUTES: Final = (5, 10, 20, 40, 80, 160, 320, 640, 1280)
"""Upper ends of the age buckets of ``shape``; the last bucket is everything older."""

QUEUE_STATES: Final = frozenset(state for state in State if not state.final)

# SQLite uses a partial index only when the statement repeats its condition word for word.
_IS_WAITING = text(WAITING_SQL)
_IS_SENDING = text(SENDING_SQL)
IS_HELD = text(HELD_SQL)
"""First in a part of ``index_parts`` whose deliveries are held."""


class Target(NamedTuple):
    """A message, or with ``number`` one recipient of it."""

    message_id: int
    number: int | None = None


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which deliveries; everything that is given must hold.

    ``states`` empty means: all that are not final. In ``recipient``, ``sender`` and ``domain`` a ``*`` stands for
    any characters; upper and lower case are the same. ``domain`` is in A-labels. ``accepted_since``,
    ``accepted_before`` and ``due_before`` are times. A ``sender`` of ``<>`` is the null sender.
    ``mailbox`` is a recipient to the letter, which an index finds. ``waits``: waits for any of these.
    """

    targets: tuple[Target, ...] = ()
    account_id: int | None = None
    mailbox: str | None = None
    states: frozenset[State] = frozenset()
    domain: str | None = None
    recipient: str | None = None
    sender: str | None = None
    accepted_since: Millis | None = None
    accepted_before: Millis | None = None
    due_before: Millis | None = None
    waits: frozenset[Wait] = frozenset()

    @property
    def unlimited(self) -> bool:
        """Nothing but states was given: the whole queue is meant."""
        return self == QueueFilter(states=self.states)


@dataclass(frozen=True, slots=True)
class QueueRow:
    """One delivery as it is listed."""

    key: DeliveryKey
    account: str
    sender: str
    subject: str
    recipient: str
    domain: str
    state: State
    cause: Cause
    reason: str
    """In English; ``said``: as code and facts, if Ekiden says it."""
    said: Said | None
    wait: Wait | None
    holds: tuple[HeldBy, ...]
    code: int
    enhanced: str
    priority: Priority
    due_at: Millis
    attempts: int
    updated_at: Millis
    diagnosis: Diagnosis

    @property
    def accepted_at(self) -> Millis:
        return id_time(self.key.message_id)


@dataclass(slots=True)
class ShapeRow:
    """Deliveries of one destination domain by age; ``ages`` has one number per bucket of ``SHAPE_MINUTES`` + 1."""

    domain: str
    ages: list[int] = field(default_factory=lambda: [0] * (len(SHAPE_MINUTES) + 1))

    @property
    def total(self) -> int:
        return sum(self.ages)


@dataclass(frozen=True, slots=True)
class Shape:
    """The largest destinations first; ``total`` is over all ``domains`` of them, listed or not."""

    rows: list[ShapeRow]
    total: ShapeRow
    domains: int


# ---- conditions


def _glob(column: ColumnElement[str], pattern: str) -> ColumnElement[bool]:
    lowered = func.lower(column)
    if "*" not in pattern:
        return lowered == pattern.lower()
    escaped = pattern.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_").replace("*", "%")
    return lowered.like(escaped, escape="\\")


def _address(column: ColumnElement[str], text: str, *more: ColumnElement[str]) -> ColumnElement[bool]:
    """By an address however it is spelled, or by a pattern, which may be one of how it was written (``more``)."""
    if "*" in text:
        return or_(*(_glob(each, text) for each in (column, *more)))
    return func.lower(column).in_([each.lower() for each in spellings(text)])


def _first_id(at: Millis) -> int:
    """The smallest id made at or after ``at``."""
    return max(0, at - EPOCH) << (NODE_BITS + SEQUENCE_BITS)


def _conditions(wanted: QueueFilter, *, by_key: bool = False) -> list[ColumnElement[bool]]:
    """Everything but the states. ``by_key``: no index on the state helps, so the primary key should."""
    found: list[ColumnElement[bool]] = []
    if wanted.targets:
        found.append(delivery.c.message_id.in_(sorted({target.message_id for target in wanted.targets})))
        single = [target for target in wanted.targets if target.number is not None]
        if single:
            whole = [target.message_id for target in wanted.targets if target.number is None]
            pairs = [and_(delivery.c.message_id == t.message_id, delivery.c.number == t.number) for t in single]
            found.append(or_(delivery.c.message_id.in_(whole), *pairs))
        if wanted.account_id is None:
            # The key begins with the account: with the accounts named, each id is one search of the primary key.
            found.append(delivery.c.account_id.in_(select(account.c.id)))
    if wanted.account_id is not None:
        if by_key or wanted.targets:
            found.append(delivery.c.account_id == wanted.account_id)
        else:
            # The sum keeps planners without statistics from reading all that the account ever sent.
            found.append(delivery.c.account_id + literal_column("0") == wanted.account_id)
    if wanted.domain is not None:
        found.append(_glob(delivery.c.domain, wanted.domain))
    if wanted.mailbox is not None:
        found.append(delivery.c.recipient == wanted.mailbox)
    if wanted.recipient is not None:
        found.append(_address(delivery.c.recipient, wanted.recipient, delivery.c.written))
    if wanted.accepted_since is not None:
        found.append(delivery.c.message_id >= _first_id(wanted.accepted_since))
    if wanted.accepted_before is not None:
        found.append(delivery.c.message_id < _first_id(wanted.accepted_before))
    if wanted.due_before is not None:
        found.append(delivery.c.due_at < wanted.due_before)
    if wanted.waits:
        found.append(or_(*map(waits_for, sorted(wanted.waits))))
    if wanted.sender is not None:
        null = wanted.sender in ("", "<>")
        found.append(
            select(literal_column("1"))
            .where(message.c.account_id == delivery.c.account_id, message.c.id == delivery.c.message_id)
            .where(message.c.sender == "" if null else _address(message.c.sender, wanted.sender))
            .exists()
        )
    return found


def index_parts(wanted: QueueFilter, states: frozenset[State]) -> list[list[Any]]:
    """The conditions, one list per index that has to be looked at; its first says which."""
    parts: list[list[Any]] = []
    waiting = states & WAITING
    if waiting:
        narrower = [] if waiting == WAITING else [delivery.c.state.in_(sorted(waiting))]
        parts.append([_IS_WAITING, *narrower, *_conditions(wanted)])
    if State.SENDING in states:
        parts.append([_IS_SENDING, *_conditions(wanted)])
    if State.HELD in states:
        parts.append([IS_HELD, *_conditions(wanted)])
    final = sorted(state for state in states if state.final)
    if final:
        parts.append([delivery.c.state.in_(final), *_conditions(wanted, by_key=True)])
    return parts


# ---- list, count, shape

_ROW_COLUMNS = (
    delivery.c.account_id,
    delivery.c.message_id,
    delivery.c.number,
    SHOWN,
    delivery.c.domain,
    delivery.c.state,
    delivery.c.cause,
    delivery.c.reason,
    delivery.c.said,
    delivery.c.wait,
    delivery.c.holds,
    delivery.c.held,
    delivery.c.code,
    delivery.c.enhanced,
    delivery.c.priority,
    delivery.c.due_at,
    delivery.c.attempts,
    delivery.c.updated_at,
    delivery.c.diagnosis,
)


def _list_statements(wanted: QueueFilter, limit: int) -> list[Select[Any]]:
    """One statement for each ordered walk through an index; the caller merges them by ``due_at``."""
    statements = []
    for part in index_parts(wanted, wanted.states or QUEUE_STATES):
        base = select(*_ROW_COLUMNS).where(*part).order_by(delivery.c.due_at).limit(limit)
        if part[0] is _IS_WAITING and not wanted.targets:
            # ix_delivery_due is ordered by priority first: one walk in due order for each.
            statements += [base.where(delivery.c.priority == int(priority)) for priority in Priority]
        else:
            statements.append(base)
    return statements


def newest_statements(wanted: QueueFilter, limit: int, accounts: Sequence[int]) -> list[Select[Any]]:
    """The newest first. The primary key begins with the account: each is a walk of its own, from its newest down.

    Without final states the indexes of the queue are walked, which know nothing of what has ended.
    """
    order = (delivery.c.message_id.desc(), delivery.c.number.desc())
    states = wanted.states or QUEUE_STATES
    if not any(state.final for state in states):
        return [
            select(*_ROW_COLUMNS).where(*part).order_by(*order).limit(limit) for part in index_parts(wanted, states)
        ]
    narrower = [] if states == frozenset(State) else [delivery.c.state.in_(sorted(states))]
    chosen = select(*_ROW_COLUMNS)
    if wanted.mailbox is not None:
        chosen = chosen.with_hint(delivery, BY_RECIPIENT, "sqlite")
    return [
        chosen.where(*_conditions(replace(wanted, account_id=account_id), by_key=True), *narrower)
        .order_by(*order)
        .limit(limit)
        for account_id in accounts
    ]


async def list_deliveries(
    store: Store, wanted: QueueFilter, limit: int = 100, *, newest: bool = False
) -> list[QueueRow]:
    """Up to ``limit`` deliveries, by their next time or the ``newest`` first, recipients of one message backwards.

    Without ``states``: those that are not final.
    """
    async with store.read() as connection:
        found: list[Any] = []
        if newest:
            accounts: Sequence[int] = [] if wanted.account_id is None else [wanted.account_id]
            if not accounts:
                accounts = (await connection.scalars(select(account.c.id).order_by(account.c.id))).all()
            statements = newest_statements(wanted, limit, accounts)
        else:
            statements = _list_statements(wanted, limit)
        for statement in statements:
            found += (await connection.execute(statement)).all()
            if len(statements) > _BATCH and len(found) > limit:
                found = _first(found, limit, newest)
        found = _first(found, limit, newest)
        return await _rows(connection, found)


async def find_mailbox(
    store: Store,
    mailboxes: Sequence[str],
    account_id: int | None = None,
    since: Millis | None = None,
    until: Millis | None = None,
    limit: int = 100,
) -> list[QueueRow]:
    """Up to ``limit`` deliveries in any state to any of these recipients, each to the letter; the newest first."""
    found: list[Any] = []
    async with store.read() as connection:
        accounts: Sequence[int] = [] if account_id is None else [account_id]
        if not accounts:
            accounts = (await connection.scalars(mailbox_accounts(mailboxes))).all()
        for mailbox in mailboxes:
            wanted = QueueFilter(
                mailbox=mailbox, states=frozenset(State), accepted_since=since, accepted_before=until
            )
            for statement in newest_statements(wanted, limit, accounts):
                found += (await connection.execute(statement)).all()
        return await _rows(connection, _first(found, limit, True))


def mailbox_accounts(mailboxes: Sequence[str]) -> Select[Any]:
    """The accounts that have sent anything to any of these recipients: one search of the index for each."""
    searched = [
        select(literal_column("1"))
        .where(delivery.c.account_id == account.c.id, delivery.c.recipient == mailbox)
        .exists()
        for mailbox in mailboxes
    ]
    return select(account.c.id).where(or_(*searched))


async def _rows(connection: AsyncConnection, found: Sequence[Any]) -> list[QueueRow]:
    facts, names = await _facts(connection, {(row.account_id, row.message_id) for row in found})

    def listed(row: Any) -> QueueRow:
        state = State(row.state)
        sender, subject = facts.get((row.account_id, row.message_id), ("", ""))
        return value_of(
            QueueRow,
            row,
            key=DeliveryKey(row.account_id, row.message_id, row.number),
            account=names.get(row.account_id, str(row.account_id)),
            sender=sender,
            subject=subject,
            recipient=row.shown,
            state=state,
            cause=Cause(row.cause),
            said=decoded(row.said),
            wait=wait_of(state, row.wait, row.holds, row.cause),
            holds=held_by(state, row.holds, row.held),
            priority=Priority(row.priority),
            diagnosis=Diagnosis(row.diagnosis),
        )

    return readable("delivery", listed, found)


def _first(found: list[Any], limit: int, newest: bool) -> list[Any]:
    if newest:
        return heapq.nlargest(limit, found, key=lambda row: (row.message_id, row.number))
    # SQLite keeps anything in any column, and one such row must not spoil the list.
    due = ((row.due_at if type(row.due_at) is int else 0, row.message_id, row.number, row) for row in found)
    return [row for *_, row in heapq.nsmallest(limit, due, key=itemgetter(0, 1, 2))]


async def _facts(
    connection: AsyncConnection, keys: set[tuple[int, int]]
) -> tuple[dict[tuple[int, int], tuple[str, str]], dict[int, str]]:
    """Senders and subjects of the messages, and names of their accounts."""
    facts: dict[tuple[int, int], tuple[str, str]] = {}
    for account_id, group in itertools.groupby(sorted(keys), key=itemgetter(0)):
        ids = [message_id for _, message_id in group]
        for start in range(0, len(ids), _BATCH):
            statement = select(message.c.id, message.c.sender, message.c.subject).where(
                message.c.account_id == account_id, message.c.id.in_(ids[start : start + _BATCH])
            )
            rows = await connection.execute(statement)
            facts.update(((account_id, row.id), (row.sender, row.subject)) for row in rows)
    accounts = sorted({account_id for account_id, _ in keys})
    names: dict[int, str] = {}
    for start in range(0, len(accounts), _BATCH):
        wanted = select(account.c.id, account.c.name).where(account.c.id.in_(accounts[start : start + _BATCH]))
        names.update((row.id, row.name) for row in await connection.execute(wanted))
    return facts, names


async def count_deliveries(store: Store, wanted: QueueFilter) -> dict[State, int]:
    """How many deliveries there are in each state. Without ``states``: of those that are not final."""
    counts: dict[State, int] = {}
    async with store.read() as connection:
        for part in index_parts(wanted, wanted.states or QUEUE_STATES):
            statement = select(delivery.c.state, func.count().label("n")).where(*part).group_by(delivery.c.state)
            for row in await connection.execute(statement):
                counts[State(row.state)] = row.n
    return counts


async def shape(store: Store, wanted: QueueFilter, now: Millis, limit: int = 20) -> Shape:
    """Deliveries by destination domain and age since acceptance, as Postfix's ``qshape`` shows a queue."""
    bounds = [_first_id(now - minutes * MINUTE) for minutes in SHAPE_MINUTES]
    # Bucket i holds what is younger than SHAPE_MINUTES[i]: its id is larger than the bound.
    bucket = case(
        *[(delivery.c.message_id > bound, index) for index, bound in enumerate(bounds)], else_=len(bounds)
    )
    by_domain: dict[str, ShapeRow] = {}
    total = ShapeRow("")
    async with store.read() as connection:
        for part in index_parts(wanted, wanted.states or QUEUE_STATES):
            inner = select(delivery.c.domain, bucket.label("bucket")).where(*part).subquery()
            statement = select(inner.c.domain, inner.c.bucket, func.count().label("n")).group_by(
                inner.c.domain, inner.c.bucket
            )
            for row in await connection.execute(statement):
                found = by_domain.get(row.domain)
                if found is None:
                    found = by_domain[row.domain] = ShapeRow(row.domain)
                found.ages[row.bucket] += row.n
                total.ages[row.bucket] += row.n
    largest = heapq.nsmallest(limit, by_domain.values(), key=lambda row: (-row.total, str(row.domain)))
    return Shape(largest, total, len(by_domain))
