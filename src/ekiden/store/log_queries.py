"""Deliveries of one account, the newest first, by what their sender knows of them.

Every question is a walk down an index that is ordered by the id of the message, which is ordered by time
(``core.ids``): the ids of a reference, a bulk or a recipient, else all that the account has sent. A walk stops when
the page is full, so its cost is that of the page, however much there is. What the index does not know (sender,
state, campaign …) is checked on the way; for what is rare the walk goes on in slices, each a short read of its
own, down to the end of the time that was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import ColumnElement, FromClause, Select, TextClause, and_, or_, select, text

from ekiden.core.clock import MINUTE, SECOND, Millis
from ekiden.core.notices import external_id
from ekiden.core.states import Cause, State
from ekiden.store.api import Store
from ekiden.store.retention import first_id
from ekiden.store.tables import BULK_SQL, REFERENCE_SQL, delivery, message

_GROWTH: Final = 4
_LARGEST_SLICE: Final = 20_000
"""Keys that one statement walks over at most: some tens of milliseconds."""
# Ids of a request are made before it is accepted, and run ahead of the clock when very many are made at once.
_MADE_BEFORE: Final = MINUTE
_MADE_AHEAD: Final = SECOND
_BEYOND: Final = (1 << 63) - 1
_LAST_NUMBER: Final = (1 << 31) - 1

# SQLite uses a partial index only when the statement repeats its condition word for word.
_HAS_BULK = text(BULK_SQL)
_HAS_REFERENCE = text(REFERENCE_SQL)

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
    attempts: int
    bulk: str
    reference: str
    application: str
    entity: str
    campaign: str
    labels: dict[str, str]

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


async def find_entries(store: Store, wanted: EntryFilter, limit: int) -> list[LogEntry]:
    """Up to ``limit`` entries, the newest first, recipients of one message from the last to the first."""
    found: list[LogEntry] = []
    if wanted.states is not None and not wanted.states:
        return found
    for walk in _walks(wanted):
        lowest = found[-1].message_id if len(found) == limit else 0
        found += await _follow(store, walk, limit, lowest)
        found.sort(key=lambda entry: entry.position, reverse=True)
        del found[limit:]
    return found


# ---- walks


@dataclass(frozen=True, slots=True)
class _Walk:
    """The keys of ``wanted`` in one index. ``by_message``: it is one of messages, else of deliveries.

    ``named``: the conditions name each key, and only messages count that their sender gave no id.
    """

    wanted: EntryFilter
    by_message: bool
    conditions: tuple[ColumnElement[bool] | TextClause, ...] = ()
    named: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        return (message.c.id,) if self.by_message else (delivery.c.message_id, delivery.c.number)

    def candidates(self, columns: Sequence[Any], after: Position | None, lowest: int, size: int) -> Select[Any]:
        """The next ``size`` keys after ``after``, with ``columns``."""
        wanted = self.wanted
        table, key = (message, message.c.id) if self.by_message else (delivery, delivery.c.message_id)
        first = min(_BEYOND, max(first_id(wanted.since - _MADE_BEFORE), lowest))
        last = _BEYOND if wanted.until is None else min(_BEYOND, first_id(wanted.until + 1 + _MADE_AHEAD))
        if after is not None:
            last = min(last, after.message_id)
        found = select(*columns).where(table.c.account_id == wanted.account_id)
        if not self.named:
            found = found.where(key >= first, key <= last)
        order = [key.desc()]
        if not self.by_message:
            order.append(delivery.c.number.desc())
            if after is not None:
                found = found.where(_comes_after(key, after))
        return found.where(*self.conditions).order_by(*order).limit(size)


def _walks(wanted: EntryFilter) -> list[_Walk]:
    """One for each value of what chooses the fewest: ids, recipient, bulk; else one over everything."""
    if wanted.positions or wanted.references:
        walks = [
            _Walk(wanted, True, (message.c.reference == name, _HAS_REFERENCE))
            for name in dict.fromkeys(wanted.references)
        ]
        for number, group in groupby(sorted(set(wanted.positions), key=itemgetter(1)), itemgetter(1)):
            ids = [position.message_id for position in group]
            chosen = (delivery.c.message_id.in_(ids), delivery.c.number == number)
            walks.append(_Walk(wanted, False, chosen, named=True))
        return walks
    if wanted.recipients:
        return [_Walk(wanted, False, (delivery.c.recipient == name,)) for name in dict.fromkeys(wanted.recipients)]
    if wanted.bulks:
        return [_Walk(wanted, True, (message.c.bulk == name, _HAS_BULK)) for name in dict.fromkeys(wanted.bulks)]
    # Whichever table knows more of what was asked for is walked over; the other one is read for what is left.
    of_messages = wanted.senders or wanted.campaigns or wanted.application or wanted.entity
    return [_Walk(wanted, bool(of_messages))]


async def _follow(store: Store, walk: _Walk, limit: int, lowest: int) -> list[LogEntry]:
    """Go down the walk, slice by slice, until there are ``limit`` entries or no more keys above ``lowest``."""
    found: list[LogEntry] = []
    after, size = walk.wanted.after, limit
    while True:
        async with store.read() as connection:
            rows = await connection.execute(slice_statement(walk, after, lowest, size, limit - len(found)))
            found += map(_entry, rows)
            if len(found) >= limit:
                return found
            end = (await connection.execute(end_statement(walk, after, lowest, size))).one_or_none()
        if end is None:
            return found
        # A slice of messages has all recipients of its last one.
        after = Position(end[0] - 1, _LAST_NUMBER) if walk.by_message else Position(end[0], end[1])
        size = min(size * _GROWTH, _LARGEST_SLICE)


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
    delivery.c.recipient,
    delivery.c.state,
    delivery.c.cause,
    delivery.c.code,
    delivery.c.enhanced,
    delivery.c.reason,
    delivery.c.attempts,
    delivery.c.updated_at,
)


def slice_statement(walk: _Walk, after: Position | None, lowest: int, size: int, limit: int) -> Select[Any]:
    """The entries among the next ``size`` keys."""
    wanted = walk.wanted
    m: Any = message.c
    d: Any = delivery.c
    # The LIMIT inside keeps every planner from doing anything else first.
    if walk.conditions:
        # Keys alone are in the index; SQLite would rather read the whole range of the table than leave it.
        keys = walk.candidates(walk.key, after, lowest, size).subquery("keys")
        ids = keys.c.id if walk.by_message else keys.c.message_id
    elif walk.by_message:
        keys = walk.candidates(_MESSAGE_COLUMNS, after, lowest, size).subquery("keys")
        m, ids = keys.c, keys.c.id
    else:
        keys = walk.candidates(_DELIVERY_COLUMNS, after, lowest, size).subquery("keys")
        d, ids = keys.c, keys.c.message_id
    joined: FromClause = keys
    if m is message.c:
        joined = joined.join(message, and_(m.account_id == wanted.account_id, m.id == ids))
    if d is delivery.c:
        theirs = and_(d.account_id == wanted.account_id, d.message_id == ids)
        joined = joined.join(delivery, theirs if walk.by_message else and_(theirs, d.number == keys.c.number))
    found = (
        select(*(m[column.name] for column in _MESSAGE_COLUMNS), *(d[column.name] for column in _DELIVERY_COLUMNS))
        .select_from(joined)
        .where(*_conditions(wanted, m, d))
    )
    if walk.named:
        found = found.where(m.reference == "")
    if walk.by_message and after is not None:
        found = found.where(_comes_after(ids, after))
    return found.order_by(ids.desc(), d.number.desc()).limit(limit)


def end_statement(walk: _Walk, after: Position | None, lowest: int, size: int) -> Select[Any]:
    """The last of the next ``size`` keys; no row: there are not so many, the walk is over."""
    return walk.candidates(walk.key, after, lowest, 1).offset(size - 1)


def _comes_after(key: ColumnElement[int], after: Position) -> ColumnElement[bool]:
    return or_(key < after.message_id, delivery.c.number < after.number)


def _conditions(wanted: EntryFilter, m: Any, d: Any) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [m.accepted_at >= wanted.since]
    if wanted.until is not None:
        found.append(m.accepted_at <= wanted.until)
    for column, names in (
        (m.bulk, wanted.bulks),
        (m.sender, wanted.senders),
        (m.campaign, wanted.campaigns),
        (d.recipient, wanted.recipients),
    ):
        if names:
            found.append(column.in_(names))
    if wanted.application is not None:
        found.append(m.application == wanted.application)
    if wanted.entity is not None:
        found.append(m.entity == wanted.entity)
    if wanted.states is not None:
        found.append(d.state.in_(sorted(map(int, wanted.states))))
    return found


def _entry(row: Any) -> LogEntry:
    return LogEntry(
        row.message_id,
        row.number,
        row.recipient,
        row.sender,
        row.subject,
        row.accepted_at,
        row.updated_at,
        State(row.state),
        Cause(row.cause),
        row.code,
        row.enhanced,
        row.reason,
        row.attempts,
        row.bulk,
        row.reference,
        row.application,
        row.entity,
        row.campaign,
        _decode_labels(row.labels),
    )
