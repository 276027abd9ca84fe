"""Units of work and the rows they come to: what is written is decided here, how to write it by each engine."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from ekiden.core.clock import Millis
from ekiden.core.events import Event
from ekiden.core.forward import forward_text
from ekiden.core.ids import MAX_NODE, IdFactory
from ekiden.core.notices import NEWS, Route, routes_text
from ekiden.core.said import encoded
from ekiden.core.states import State
from ekiden.store import tables
from ekiden.store.api import StoreError
from ekiden.store.inbound import received_row, understood_row
from ekiden.store.records import (
    ExpandedPiece,
    NewMessage,
    Noted,
    Outcome,
    ReceivedMail,
    Release,
    Understood,
)

Row = tuple[Any, ...]

_SENDING = int(State.SENDING)
_to_json = msgspec.json.Encoder().encode


def to_text(value: Any) -> str:
    """As JSON."""
    return _to_json(value).decode()


_NEWS = {event: int(news) for event, news in NEWS.items()}


def insert_columns(table: str) -> list[str]:
    """What a new row gives: by their names, since an older database that was altered has them in another order."""
    return [column.name for column in tables.metadata.tables[table].columns if not column.info.get("later")]


MESSAGE_COLUMNS = tuple(column.name for column in tables.message.columns)


class Unit:
    """Written as a whole or not at all. ``weight`` is about what it adds to a transaction, in octets."""

    __slots__ = ()

    @property
    def weight(self) -> int:
        return 512


@dataclass(slots=True)
class Accept(Unit):
    worker: int
    message: NewMessage

    @property
    def weight(self) -> int:
        return len(self.message.content) + 512 * (1 + len(self.message.deliveries))


@dataclass(slots=True)
class AcceptAll(Unit):
    worker: int
    messages: Sequence[NewMessage]
    piece: ExpandedPiece | None = None

    @property
    def weight(self) -> int:
        shared = {
            new.shared.id: new.shared.size
            for new in self.messages
            if new.shared is not None and not new.shared.stored
        }
        own = sum(len(new.content) + 512 * (1 + len(new.deliveries)) for new in self.messages)
        return 512 + own + sum(shared.values())


@dataclass(slots=True)
class Note(Unit):
    worker: int
    events: Sequence[Noted]

    @property
    def weight(self) -> int:
        return 512 * len(self.events)


@dataclass(slots=True)
class Receive(Unit):
    worker: int
    mail: ReceivedMail

    @property
    def weight(self) -> int:
        return len(self.mail.content) + 1024


@dataclass(slots=True)
class Understand(Unit):
    worker: int
    understood: Understood

    @property
    def weight(self) -> int:
        what = self.understood
        return 1024 * (1 + len(what.events)) + sum(len(new.content) + 1024 for new in what.messages)


@dataclass(slots=True)
class Finish(Unit):
    worker: int
    outcomes: Sequence[Outcome]
    messages: Sequence[NewMessage]

    @property
    def weight(self) -> int:
        return 1024 * len(self.outcomes) + sum(len(new.content) + 1024 for new in self.messages)


@dataclass(slots=True)
class Free(Unit):
    worker: int
    releases: Sequence[Release]

    @property
    def weight(self) -> int:
        return 256 * len(self.releases)


@dataclass(slots=True)
class Claim(Unit):
    worker: int
    now: Millis
    limit: int
    accounts: Sequence[int] = ()
    """Whose turn it is; empty: whoever has waited longest."""
    most: int = 0
    """Of each of them; 0: as many as all of them can have."""

    @property
    def of_each(self) -> int:
        return self.most or max(1, self.limit // len(self.accounts))

    @property
    def weight(self) -> int:
        return 512 * self.limit


@dataclass(slots=True)
class Beat(Unit):
    """A worker lives on. ``now`` ``None``: the database's clock."""

    worker: int
    now: Millis | None
    ttl: Millis


class EventIds:
    """Ids of events. On the hot path they have the node of the worker that writes them, and their half of it.

    Everything else (workers registered elsewhere, ``reap``, the command line) takes a random node: an event id has
    to be unique within its message (that is its key), so two writers would have to draw the same node and hit the
    same message in the same millisecond.
    """

    def __init__(self) -> None:
        self._by_worker: dict[int, IdFactory] = {}
        self._others = _random_factory()
        self.rare = _random_factory().next
        """For the cold side, which may run in another thread than the hot one."""

    def register(self, worker: int, node: int) -> None:
        self._by_worker[worker] = IdFactory(node, upper=True)

    def of(self, worker: int) -> Callable[[Millis], int]:
        """For the hot path."""
        return self._by_worker.get(worker, self._others).next


def _random_factory() -> IdFactory:
    return IdFactory(random.SystemRandom().randint(0, MAX_NODE))


class BadText(StoreError):
    """A text that the database cannot hold: NUL on PostgreSQL, half a surrogate pair on either.

    Mail is full of bytes that are no text. Rather than refuse a message for its Subject, a unit that fails with
    this is written once more, mended.
    """


def mended(row: Row) -> Row:
    """``row`` with U+FFFD for whatever a database cannot hold."""
    return tuple(_mended_text(value) if isinstance(value, str) else value for value in row)


def _mended_text(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\0", "\ufffd")


class Rows:
    """What a group of units inserts, by table, in the column order of ``store.tables``."""

    __slots__ = (
        "attempts",
        "contents",
        "deliveries",
        "events",
        "inbound",
        "mend",
        "messages",
        "notices",
        "shared",
    )

    def __init__(self, mend: bool) -> None:
        self.mend = mend
        self.messages: list[Row] = []
        self.contents: list[Row] = []
        self.deliveries: list[Row] = []
        self.attempts: list[Row] = []
        self.events: list[Row] = []
        self.notices: list[Row] = []
        self.inbound: list[Row] = []
        self.shared: dict[int, list[Row]] = {}
        """Pieces of shared contents by id. They are large: each is written by itself, before all others."""

    def take_contents(self, size: int) -> list[Row]:
        """The contents of more than ``size`` octets, which then are not among the rest any more."""
        taken = [row for row in self.contents if len(row[2]) > size]
        if taken:
            self.contents = [row for row in self.contents if len(row[2]) <= size]
        return taken

    def most(self) -> int:
        """Rows of the table that gets the most of them."""
        return max(map(len, (self.messages, self.deliveries, self.attempts, self.events, self.notices)))

    def tables(self) -> list[tuple[str, list[Row]]]:
        """The tables that get rows, and their rows."""
        found = [
            ("message", self.messages),
            ("content", self.contents),
            ("delivery", self.deliveries),
            ("attempt", self.attempts),
            ("event", self.events),
            ("notice", self.notices),
            ("inbound_mail", self.inbound),
        ]
        return [(name, [mended(row) for row in rows] if self.mend else rows) for name, rows in found if rows]

    def add_message(self, worker: int, new: NewMessage, next_id: Callable[[Millis], int]) -> None:
        m = new.message
        account, message, at, priority = m.account_id, m.id, m.accepted_at, int(m.priority)
        self.messages.append(
            (
                account,
                message,
                m.credential_id,
                m.sender,
                m.size,
                priority,
                m.ret,
                m.envid,
                m.smtputf8,
                m.eight_bit,
                at,
                m.expires_at,
                m.header_id,
                m.subject,
                m.origin,
                m.labels,
                m.marks.bulk,
                m.marks.reference,
                m.marks.application,
                m.marks.entity,
                m.marks.campaign,
                routes_text(m.routes),
                forward_text(m.forward),
            )
        )
        shared = new.shared
        if any(not d.state.final for d in new.deliveries):
            self.contents.append((account, message, new.content, None if shared is None else shared.id))
        if shared is not None and not shared.stored and shared.id not in self.shared:
            self.shared[shared.id] = [
                (account, shared.id, number, piece) for number, piece in enumerate(shared.pieces)
            ]
        for d in new.deliveries:
            sending = d.state is State.SENDING
            if sending and d.attempts == 0:
                d.attempts = 1
            self.deliveries.append(
                (
                    account,
                    message,
                    d.number,
                    d.recipient,
                    d.domain,
                    int(d.notify),
                    d.orcpt,
                    int(d.state),
                    int(d.cause),
                    d.reason,
                    0,
                    "",
                    priority,
                    d.due_at,
                    d.attempts,
                    worker if sending else None,
                    at,
                    d.written,
                    int(d.wait),
                    0,
                    "",
                    encoded(d.said),
                    0,
                )
            )
        self.add_events(new.events, m.routes, next_id)

    def add_received(self, worker: int, mail: ReceivedMail) -> None:
        self.contents.append((mail.account_id, mail.id, mail.content, None))
        self.inbound.append(received_row(worker, mail))

    def add_attempt(self, worker: int, outcome: Outcome) -> None:
        d, a = outcome.delivery, outcome.attempt
        self.attempts.append(
            (
                d.message.account_id,
                d.message.id,
                d.number,
                d.attempts,
                worker,
                a.started_at,
                a.finished_at,
                int(outcome.state),
                int(outcome.diagnosis.cause),
                a.host,
                a.address,
                a.tls,
                outcome.code,
                outcome.enhanced,
                a.reply,
                a.dialogue,
                encoded(a.said),
                int(outcome.diagnosis),
            )
        )

    def add_events(
        self, events: Sequence[Event], routes: tuple[Route, ...], next_id: Callable[[Millis], int]
    ) -> None:
        """With a notice for each endpoint that wants to hear of it."""
        for e in events:
            event_id = next_id(e.at)
            self.events.append(
                (
                    e.account_id,
                    e.message_id,
                    event_id,
                    e.recipient_number,
                    int(e.type),
                    e.at,
                    self._json(e.data),
                    int(e.diagnosis),
                )
            )
            if routes:
                news = _NEWS.get(e.type, 0)
                self.notices += [
                    (e.account_id, route.endpoint_id, event_id, e.message_id, e.recipient_number, e.at, 0, None)
                    for route in routes
                    if route.news & news
                ]

    def _json(self, data: dict[str, Any]) -> str:
        if not data:
            return "{}"
        return json.dumps(data, ensure_ascii=False) if self.mend else _to_json(data).decode()


class Group:
    """Units that go into one transaction, sorted by what is to be done.

    ``rows`` has what the accepted messages insert, and those that come with outcomes; ``results`` is in the order
    of the units, filled in by the engine at the positions that ``finishes``, ``claims`` and ``beats`` name.
    ``pieces`` are those of mail requests that are done, as ``expanded_row`` has them; ``understood`` mails that
    came in, as ``understood_row`` has them; ``heard`` what was heard of deliveries. ``mend``: see ``BadText``.
    """

    __slots__ = ("beats", "claims", "finishes", "frees", "heard", "pieces", "results", "rows", "understood")

    def __init__(self, units: Sequence[Unit], ids: EventIds, mend: bool) -> None:
        self.results: list[Any] = [None] * len(units)
        self.rows = rows = Rows(mend)
        self.frees: list[Row] = []
        self.pieces: list[Row] = []
        self.understood: list[Row] = []
        self.heard: list[Row] = []
        self.finishes: list[tuple[int, Finish]] = []
        self.claims: list[tuple[int, Claim]] = []
        self.beats: list[tuple[int, Beat]] = []
        for position, unit in enumerate(units):
            match unit:
                case Accept():
                    rows.add_message(unit.worker, unit.message, ids.of(unit.worker))
                case AcceptAll():
                    next_id = ids.of(unit.worker)
                    for new in unit.messages:
                        rows.add_message(unit.worker, new, next_id)
                    if unit.piece is not None:
                        self.pieces.append(expanded_row(unit.worker, unit.piece, mend))
                case Receive():
                    rows.add_received(unit.worker, unit.mail)
                case Understand():
                    what, next_id = unit.understood, ids.of(unit.worker)
                    row = understood_row(unit.worker, what)
                    self.understood.append(mended(row) if mend else row)
                    self.heard += [(each.after, *each[:3]) for each in what.heard]
                    for noted in what.events:
                        rows.add_events((noted.event,), noted.routes, next_id)
                    for new in what.messages:
                        rows.add_message(unit.worker, new, next_id)
                case Note():
                    for noted in unit.events:
                        rows.add_events((noted.event,), noted.routes, ids.of(unit.worker))
                case Finish():
                    self.finishes.append((position, unit))
                    for new in unit.messages:
                        rows.add_message(unit.worker, new, ids.of(unit.worker))
                case Free():
                    self.frees += [release_row(unit.worker, release, mend) for release in unit.releases]
                case Claim():
                    self.claims.append((position, unit))
                case Beat():
                    self.beats.append((position, unit))
                case _:
                    raise StoreError(f"{type(unit).__name__} is no unit of this store")

    def outcomes(self) -> list[tuple[int, Outcome]]:
        """The outcomes of all ``finishes``, each with its worker."""
        return [(unit.worker, outcome) for _, unit in self.finishes for outcome in unit.outcomes]

    def finished(self, applied: Iterable[bool]) -> None:
        """The results of ``finishes``: which of ``outcomes`` were applied."""
        each = iter(applied)
        for position, unit in self.finishes:
            self.results[position] = [next(each) for _ in unit.outcomes]


OUTCOME_COLUMNS = (
    "account_id",
    "message_id",
    "number",
    "worker",
    "attempts",
    "state",
    "cause",
    "reason",
    "code",
    "enhanced",
    "due_at",
    "updated_at",
    "wait",
    "said",
    "diagnosis",
)


def outcome_row(worker: int, outcome: Outcome, mend: bool) -> Row:
    """The new values of a delivery in the order of ``OUTCOME_COLUMNS``; the first five say which, and its fence."""
    d = outcome.delivery
    row = (
        d.message.account_id,
        d.message.id,
        d.number,
        worker,
        d.attempts,
        int(outcome.state),
        int(outcome.diagnosis.cause),
        outcome.reason,
        outcome.code,
        outcome.enhanced,
        outcome.due_at,
        outcome.attempt.finished_at,
        int(outcome.wait),
        encoded(outcome.said),
        int(outcome.diagnosis),
    )
    return mended(row) if mend else row


RELEASE_COLUMNS = (
    "account_id",
    "message_id",
    "number",
    "worker",
    "attempts",
    "due_at",
    "wait",
    "reason",
    "said",
)


def release_row(worker: int, release: Release, mend: bool) -> Row:
    """The values of ``RELEASE_COLUMNS``."""
    d, said = release.delivery, release.said
    key = (d.message.account_id, d.message.id, d.number)
    row = (*key, worker, d.attempts, release.due_at, int(release.wait), said.text(), said.encode())
    return mended(row) if mend else row


def expanded_row(worker: int, piece: ExpandedPiece, mend: bool) -> Row:
    """Account, request and number of the piece, and its fence; then what is new."""
    row = (piece.account_id, piece.request_id, piece.number, worker, piece.at, piece.failed)
    return mended(row) if mend else row
