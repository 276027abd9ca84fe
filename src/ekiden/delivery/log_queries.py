"""Deliveries of one account, the newest first, by what their sender knows of them; without our reports to it, and
without what came in and was sent on.

Every question is a walk down an index that is ordered by the id of the message, which is ordered by time
(``core.ids``): the ids of a reference, a bulk or a recipient, else all that the account has sent. A walk stops when
the page is full, so its cost is that of the page, however much there is. What the index does not know (sender,
state, campaign …) is checked on the way; for what is rare the walk goes on in slices, each a short read of its
own, down to the end of the time that was asked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, Select, Table, TextClause, and_, or_, select, text, union

from ekiden.core.clock import MINUTE, SECOND, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.ids import external_id
from ekiden.core.said import Said, decoded
from ekiden.core.states import Cause, State
from ekiden.core.submission import OWN_REPORT
from ekiden.store.api import Store
from ekiden.store.retention import first_id
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable_in_turns
from ekiden.store.tables import (
    APPLICATION_SQL,
    BULK_SQL,
    CAMPAIGN_SQL,
    REFERENCE_SQL,
    SHOWN,
    delivery,
    message,
)

_GROWTH: Final = 4
_LARGEST_SLICE: Final = 20_000
"""Keys that one statement walks over at most: some tens of milliseconds."""
# Ids of a request are made before it is accepted, and run ahead of the clock when very many are made at once.
_MADE_BEFORE: Final = MINUTE
_MADE_AHEAD: Final = SECOND
_BEYOND: Final = (1 << 63) - 1
_MOST_CHOICES: Final = 100
"""Ids looked up by one statement; SQLite joins 500 queries to one at most."""

# SQLite uses a partial index only when the statement repeats its condition word for word.
_HAS_BULK = text(BULK_SQL)
_HAS_REFERENCE = text(REFERENCE_SQL)
_HAS_CAMPAIGN = text(CAMPAIGN_SQL)
_HAS_APPLICATION = text(APPLICATION_SQL)

_Condition = ColumnElement[bool] | TextClause

_OWN: Final = f'{{"via":"{OWN_REPORT}"'
"""How the origin of a message begins that the platform wrote itself. ``via`` is the first of its members."""
_HALF: Final = re.compile("[\ud800-\udfff]")
"""Halves of surrogate pairs, which JSON may bring."""

_decode_labels = msgspec.json.Decoder(dict[str, str]).decode


class Position(NamedTuple):
    """Of a delivery in the log: message id and number of the recipient, both falling."""

    message_id: int
    number: int


@dataclass(frozen=True, slots=True)
class EntryFilter:
    """Which deliveries of the account; everything that is given must hold, in a tuple any one of it.

    ``since`` and ``until`` are times of acceptance, both included. ``positions`` and ``references`` are two ways to
    name a message; a delivery found by either is meant. ``states`` ``None``: all. Only what comes after ``after``
    is meant.
    """

    account_id: int
    since: Millis
    until: Millis | None = None
    positions: tuple[Position, ...] = ()
    references: tuple[str, ...] = ()
    bulks: tuple[str, ...] = ()
    senders: tuple[str, ...] = ()
    recipients: tuple[str, ...] = ()
    campaigns: tuple[str, ...] = ()
    application: str | None = None
    entity: str | None = None
    states: frozenset[State] | None = None
    after: Position | None = None


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One delivery as it stands. ``sender`` is that of the envelope; empty: the null sender."""

    message_id: int
    number: int
    recipient: str
    sender: str
    subject: str
    accepted_at: Millis
    updated_at: Millis
    state: State
    cause: Cause
    code: int
    enhanced: str
    reason: str
    said: Said | None
    attempts: int
    bulk: str
    reference: str
    application: str
    entity: str
    campaign: str
    labels: dict[str, str]
    diagnosis: Diagnosis = Diagnosis.NONE

    @property
    def external_id(self) -> str:
        """What the sender calls it."""
        return external_id(self.message_id, self.number, self.reference)

    @property
    def done_at(self) -> Millis | None:
        """When it ended; ``None``: it has not."""
        return self.updated_at if self.state.final else None

    @property
    def position(self) -> Position:
        return Position(self.message_id, self.number)


def can_be_kept(text: str) -> bool:
    """Whether a database can have it as a name: to ask one for anything else is an error."""
    return bool(text) and "\0" not in text and not _HALF.search(text)


async def find_entries(store: Store, wanted: EntryFilter, limit: int) -> list[LogEntry]:
    """Up to ``limit`` entries, the newest first, recipients of one message from the last to the first."""
    found: list[LogEntry] = []
    if wanted.states is not None and not wanted.states:
        return found
    for walk in walks(wanted):
        lowest = found[-1].message_id if len(found) == limit else 0
        found += await _follow(store, walk, limit, lowest)
        found.sort(key=lambda entry: entry.position, reverse=True)
        del found[limit:]
    return found


# ---- walks


@dataclass(frozen=True, slots=True)
class Walk:
    """The ids of messages to look at, from the newest down, all of them from indexes.

    ``choices``: conditions on ``table``, each of which an index answers; together they are all that is meant. None:
    the whole table is, as far as ``checks`` hold.
    """

    wanted: EntryFilter
    table: Table
    choices: tuple[tuple[_Condition, ...], ...] = ()
    checks: tuple[ColumnElement[bool], ...] = ()

    def end(self, first: int, last: int, size: int) -> Select[Any]:
        """The id at which ``size`` rows have been walked over; no row: there are not so many."""
        return self._ids(first, last, size, ()).offset(size - 1).limit(1)

    def keys(self, first: int, last: int, size: int) -> Select[Any]:
        """The ids from ``last`` down to ``first``, which ``end`` gave for that ``size``."""
        ids = self._ids(first, last, size, self.checks)
        # A message can have many deliveries.
        return (ids if self.table is message or self.choices[1:] else ids.distinct()).limit(size)

    def _ids(self, first: int, last: int, size: int, checks: tuple[ColumnElement[bool], ...]) -> Select[Any]:
        parts = []
        key: ColumnElement[int] = message.c.id if self.table is message else delivery.c.message_id
        for conditions in self.choices or ((),):
            part = select(key.label("id")).where(
                self.table.c.account_id == self.wanted.account_id, key >= first, key <= last, *conditions, *checks
            )
            parts.append(part.order_by(key.desc()))
        if len(parts) == 1:
            return parts[0]
        ids = union(*(select(part.limit(size).subquery()) for part in parts)).subquery()
        return select(ids.c.id).order_by(ids.c.id.desc())


def walks(wanted: EntryFilter) -> list[Walk]:
    """One by what chooses the fewest: ids (several, if they are many), recipient, bulk, campaign, application; else
    over everything.
    """
    if wanted.positions or wanted.references:
        choices: list[tuple[_Condition, ...]] = [
            (message.c.reference == name, _HAS_REFERENCE) for name in dict.fromkeys(wanted.references)
        ]
        choices += [
            (message.c.id == number, message.c.reference == "")
            for number in dict.fromkeys(position.message_id for position in wanted.positions)
        ]
        return [
            Walk(wanted, message, tuple(choices[start : start + _MOST_CHOICES]))
            for start in range(0, len(choices), _MOST_CHOICES)
        ]
    if wanted.recipients:
        return [Walk(wanted, delivery, tuple((delivery.c.recipient == name,) for name in wanted.recipients))]
    if wanted.bulks:
        return [Walk(wanted, message, tuple((message.c.bulk == name, _HAS_BULK) for name in wanted.bulks))]
    if wanted.campaigns:
        named = tuple((message.c.campaign == name, _HAS_CAMPAIGN) for name in wanted.campaigns)
        return [Walk(wanted, message, named)]
    if wanted.application:
        return [Walk(wanted, message, ((message.c.application == wanted.application, _HAS_APPLICATION),))]
    if wanted.senders or wanted.application is not None or wanted.entity is not None:
        return [Walk(wanted, message, checks=tuple(_message_conditions(wanted)))]
    # Of states the deliveries know more.
    return [Walk(wanted, delivery, checks=tuple(_delivery_conditions(wanted)))]


async def _follow(store: Store, walk: Walk, limit: int, lowest: int) -> list[LogEntry]:
    """Go down the walk, slice by slice, until there are ``limit`` entries or no more ids from ``lowest`` up."""
    wanted = walk.wanted
    first = min(_BEYOND, max(first_id(wanted.since - _MADE_BEFORE), lowest))
    last = _BEYOND if wanted.until is None else min(_BEYOND, first_id(wanted.until + 1 + _MADE_AHEAD))
    if wanted.after is not None:
        last = min(last, wanted.after.message_id)
    found: list[LogEntry] = []
    size = limit
    while True:
        async with store.read() as connection:
            end = await connection.scalar(walk.end(first, last, size))
            slice_ = walk.keys(first if end is None else end, last, size)
            rows = await connection.execute(entries_statement(wanted, slice_, limit - len(found)))
            found += await readable_in_turns("message", _entry, rows)
        if end is None or len(found) >= limit:
            return found
        last = end - 1
        size = max(limit, min(size * _GROWTH, _LARGEST_SLICE // max(1, len(walk.choices))))


_MESSAGE_COLUMNS: Final = (
    message.c.id,
    message.c.sender,
    message.c.subject,
    message.c.accepted_at,
    message.c.bulk,
    message.c.reference,
    message.c.application,
    message.c.entity,
    message.c.campaign,
    message.c.labels,
)
_DELIVERY_COLUMNS: Final = (
    delivery.c.message_id,
    delivery.c.number,
    SHOWN,
    delivery.c.state,
    delivery.c.cause,
    delivery.c.code,
    delivery.c.enhanced,
    delivery.c.reason,
    delivery.c.said,
    delivery.c.attempts,
    delivery.c.updated_at,
    delivery.c.diagnosis,
)


def entries_statement(wanted: EntryFilter, ids: Select[Any], limit: int) -> Select[Any]:
    """The entries of the messages, as far as they are meant."""
    # ``ids`` has a LIMIT, which keeps every planner from doing anything else first.
    keys = ids.subquery("keys")
    joined = keys.join(message, and_(message.c.account_id == wanted.account_id, message.c.id == keys.c.id)).join(
        delivery, and_(delivery.c.account_id == wanted.account_id, delivery.c.message_id == keys.c.id)
    )
    found = (
        select(*_MESSAGE_COLUMNS, *_DELIVERY_COLUMNS)
        .select_from(joined)
        .where(*_message_conditions(wanted), *_delivery_conditions(wanted))
    )
    if wanted.positions or wanted.references:
        found = found.where(_is_named(wanted))
    if wanted.after is not None:
        found = found.where(or_(keys.c.id < wanted.after.message_id, delivery.c.number < wanted.after.number))
    return found.order_by(keys.c.id.desc(), delivery.c.number.desc()).limit(limit)


def _is_named(wanted: EntryFilter) -> ColumnElement[bool]:
    """A reference means every recipient of a message, a queue id one."""
    positions = sorted(set(wanted.positions), key=itemgetter(1))
    return or_(
        message.c.reference != "",
        *(
            and_(delivery.c.number == number, delivery.c.message_id.in_([each.message_id for each in group]))
            for number, group in groupby(positions, itemgetter(1))
        ),
    )


def _message_conditions(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    m = message.c
    found: list[ColumnElement[bool]] = [
        m.accepted_at >= wanted.since,
        ~m.origin.startswith(_OWN),
        m.forward == "",
    ]
    if wanted.until is not None:
        found.append(m.accepted_at <= wanted.until)
    for column, names in ((m.bulk, wanted.bulks), (m.sender, wanted.senders), (m.campaign, wanted.campaigns)):
        if names:
            found.append(column.in_(names))
    if wanted.application is not None:
        found.append(m.application == wanted.application)
    if wanted.entity is not None:
        found.append(m.entity == wanted.entity)
    return found


def _delivery_conditions(wanted: EntryFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.recipients:
        found.append(delivery.c.recipient.in_(wanted.recipients))
    if wanted.states is not None:
        found.append(delivery.c.state.in_(sorted(map(int, wanted.states))))
    return found


def _entry(row: Any) -> LogEntry:
    return value_of(
        LogEntry,
        row,
        recipient=row.shown,
        state=State(row.state),
        cause=Cause(row.cause),
        said=decoded(row.said),
        labels=_decode_labels(row.labels),
        diagnosis=Diagnosis(row.diagnosis),
    )
