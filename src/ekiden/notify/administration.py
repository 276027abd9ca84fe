"""What operators do with callbacks: see endpoints, requests and dead letters, try again, and tell once more.

Rare, hence SQLAlchemy; a change becomes known to the worker that sends at its next look, within a second.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects import postgresql, sqlite

from ekiden.core.clock import DAY, Millis
from ekiden.core.events import EventType
from ekiden.core.ids import id_time
from ekiden.core.language import Language
from ekiden.core.notices import NEWS, parse_routes
from ekiden.core.said import in_words
from ekiden.notify.formats import PULL
from ekiden.store.retention import first_id
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import LIVE_SQL, callback, endpoint, event, inbound_mail, message, notice

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.store.api import Store

_BATCH = 500
_LONGEST_LIFE: Millis = 60 * DAY
"""So long after a message was accepted something may still happen to it, an opening for instance."""
_LONGEST_UNREAD: Millis = 7 * DAY
"""So long after it came in a mail may be read."""
_ids = msgspec.json.Decoder(list[int]).decode


class _Received(msgspec.Struct):
    """What is read of the data of ``EventType.RECEIVED``."""

    endpoints: list[int] = []


_received = msgspec.json.Decoder(_Received).decode


@dataclass(frozen=True, slots=True)
class EndpointState:
    """An endpoint. ``failures`` in a row since ``failing_since``; nothing is sent before ``retry_at``."""

    id: int
    account_id: int
    format: str
    url: str
    authenticated: bool
    created_at: Millis
    failures: int
    failing_since: Millis | None
    retry_at: Millis
    waiting: int
    oldest: Millis | None
    """When the oldest event that waits happened."""
    dead: int


@dataclass(frozen=True, slots=True)
class Request:
    """One line of the log. ``status`` 0: there was no answer. ``events`` are the ids of what it carried."""

    id: int
    account_id: int
    endpoint_id: int
    at: Millis
    millis: int
    status: int
    answer: str
    events: list[int]

    def told(self, lang: Language = "en") -> str:
        """``answer``, or why there is none."""
        return self.answer if self.status else in_words(self.answer, lang)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What could not be told."""

    account_id: int
    endpoint_id: int
    event_id: int
    message_id: int
    number: int
    type: EventType | None
    """``None``: the event is not kept any more."""
    attempts: int
    dead_at: Millis

    @property
    def at(self) -> Millis:
        """When it happened."""
        return id_time(self.event_id)


class Backlog(NamedTuple):
    """For metrics: how many events wait to be sent, and when the oldest of them happened."""

    waiting: int
    oldest: Millis | None


async def backlog(store: Store) -> Backlog:
    """Over all endpoints that are sent to. Counts the index of what waits."""
    sent = select(endpoint.c.id).where(endpoint.c.format != PULL)
    live = select(func.count(), func.min(notice.c.id)).where(text(LIVE_SQL), notice.c.endpoint_id.in_(sent))
    async with store.read() as connection:
        count, first = (await connection.execute(live)).one()
    return Backlog(count, None if first is None else id_time(first))


async def list_endpoints(
    store: Store, account_id: int | None = None, *, busy: bool = False, limit: int = 1000
) -> list[EndpointState]:
    """Endpoints by id. ``busy``: only those that fail, or that something waits for or was given up at."""
    waiting = select(notice.c.endpoint_id, func.count().label("n"), func.min(notice.c.id).label("first"))
    live = waiting.where(text(LIVE_SQL)).group_by(notice.c.endpoint_id).subquery()
    dead = waiting.where(notice.c.dead_at.is_not(None)).group_by(notice.c.endpoint_id).subquery()
    query = (
        select(endpoint, live.c.n.label("live"), live.c.first, dead.c.n.label("given_up"))
        .select_from(
            endpoint.outerjoin(live, live.c.endpoint_id == endpoint.c.id).outerjoin(
                dead, dead.c.endpoint_id == endpoint.c.id
            )
        )
        .order_by(endpoint.c.id)
        .limit(limit)
    )
    if account_id is not None:
        query = query.where(endpoint.c.account_id == account_id)
    if busy:
        query = query.where((endpoint.c.failures > 0) | live.c.n.is_not(None) | dead.c.n.is_not(None))
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return [
        value_of(
            EndpointState,
            row,
            authenticated=row.sealed is not None,
            waiting=row.live or 0,
            oldest=None if row.first is None else id_time(row.first),
            dead=row.given_up or 0,
        )
        for row in rows
    ]


async def list_requests(
    store: Store,
    account_id: int | None = None,
    endpoint_id: int | None = None,
    *,
    failed: bool = False,
    limit: int = 100,
) -> list[Request]:
    """The latest requests, newest first. ``failed``: only those that were not taken."""
    query = select(callback).order_by(callback.c.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(callback.c.account_id == account_id)
    if endpoint_id is not None:
        query = query.where(callback.c.endpoint_id == endpoint_id)
    if failed:
        query = query.where((callback.c.status < 200) | (callback.c.status >= 300))
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return [value_of(Request, row, events=_ids(row.notices)) for row in rows]


async def list_dead(
    store: Store, account_id: int | None = None, endpoint_id: int | None = None, *, limit: int = 100
) -> list[DeadLetter]:
    """The latest dead letters, newest first."""
    query = (
        select(notice, event.c.type)
        .select_from(
            notice.outerjoin(
                event,
                (event.c.account_id == notice.c.account_id)
                & (event.c.message_id == notice.c.message_id)
                & (event.c.id == notice.c.id),
            )
        )
        .where(notice.c.dead_at.is_not(None))
        .order_by(notice.c.dead_at.desc(), notice.c.id.desc())
        .limit(limit)
    )
    if account_id is not None:
        query = query.where(notice.c.account_id == account_id)
    if endpoint_id is not None:
        query = query.where(notice.c.endpoint_id == endpoint_id)
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()

    def letter(row: Any) -> DeadLetter:
        return value_of(
            DeadLetter,
            row,
            event_id=row.id,
            number=row.recipient_number,
            type=None if row.type is None else EventType(row.type),
        )

    return readable("event", letter, rows)


async def retry(store: Store, endpoints: Sequence[int], now: Millis, *, dead: bool = True) -> int:
    """Try the endpoints again at once, with what was postponed and, unless ``dead`` is false, what was given up.

    Returns how many events got another chance; what merely waited for its turn is not counted.
    """
    count = 0
    for endpoint_id in endpoints:
        async with store.write() as connection:
            await connection.execute(update(endpoint).where(endpoint.c.id == endpoint_id).values(retry_at=0))
        postponed = (notice.c.dead_at.is_(None)) & (notice.c.attempts > 0) & (notice.c.due_at > now)
        chosen = postponed | notice.c.dead_at.is_not(None) if dead else postponed
        account = select(endpoint.c.account_id).where(endpoint.c.id == endpoint_id).scalar_subquery()
        theirs = (notice.c.account_id == account) & (notice.c.endpoint_id == endpoint_id)
        changed = _BATCH
        while changed == _BATCH:
            some = select(notice.c.id).where(theirs, chosen).order_by(notice.c.id).limit(_BATCH)
            async with store.write() as connection:
                done = await connection.execute(
                    update(notice).where(theirs, notice.c.id.in_(some)).values(due_at=now, attempts=0, dead_at=None)
                )
                changed = done.rowcount
            count += changed
    return count


async def replay_range(
    store: Store, endpoint_id: int, since: Millis, until: Millis, now: Millis, *, dry_run: bool = False
) -> int:
    """Tell the endpoint once more of what happened from ``since`` until before ``until``, as far as its events are
    kept. What waits already is not doubled; dead letters come alive. Returns how many events that were, and with
    ``dry_run`` nothing else."""
    async with store.read() as connection:
        account_id = await connection.scalar(select(endpoint.c.account_id).where(endpoint.c.id == endpoint_id))
    if account_id is None:
        return 0
    count = await _replay_received(store, account_id, endpoint_id, since, until, now, dry_run=dry_run)
    after = first_id(since - _LONGEST_LIFE)
    while True:
        page = (
            select(message.c.id, message.c.routes)
            .where(message.c.account_id == account_id, message.c.id >= after, message.c.id < first_id(until))
            .order_by(message.c.id)
            .limit(_BATCH)
        )
        async with store.read() as connection:
            messages = (await connection.execute(page)).all()
            rows = await _told(connection, account_id, endpoint_id, messages, since, until, now)
        if not messages:
            return count
        if rows and not dry_run:
            async with store.write() as connection:
                await _insert(connection, rows)
        count += len(rows)
        after = messages[-1].id + 1


async def _replay_received(
    store: Store, account_id: int, endpoint_id: int, since: Millis, until: Millis, now: Millis, *, dry_run: bool
) -> int:
    """Of mails that came in."""
    count, after = 0, first_id(since - _LONGEST_UNREAD)
    while True:
        page = (
            select(inbound_mail.c.id)
            .where(inbound_mail.c.account_id == account_id, inbound_mail.c.id >= after)
            .where(inbound_mail.c.id < first_id(until))
            .order_by(inbound_mail.c.id)
            .limit(_BATCH)
        )
        async with store.read() as connection:
            mails = list(await connection.scalars(page))
            found = select(event).where(
                event.c.account_id == account_id,
                event.c.message_id.in_(mails),
                event.c.type == int(EventType.RECEIVED),
                event.c.at >= since,
                event.c.at < until,
            )
            events = (await connection.execute(found)).all() if mails else []
        rows = [
            _notice(account_id, endpoint_id, row, now)
            for row in events
            if endpoint_id in _received(row.data).endpoints
        ]
        if rows and not dry_run:
            async with store.write() as connection:
                await _insert(connection, rows)
        count += len(rows)
        if len(mails) < _BATCH:
            return count
        after = mails[-1] + 1


async def _told(
    connection: AsyncConnection,
    account_id: int,
    endpoint_id: int,
    messages: Iterable[Any],
    since: Millis,
    until: Millis,
    now: Millis,
) -> list[dict[str, Any]]:
    """New notices of the messages' events in that time that the endpoint wants."""
    wanted: dict[int, int] = {}
    for row in messages:
        for route in parse_routes(row.routes):
            if route.endpoint_id == endpoint_id:
                wanted[row.id] = wanted.get(row.id, 0) | route.news
    if not wanted:
        return []
    events = select(event.c.message_id, event.c.id, event.c.recipient_number, event.c.type).where(
        event.c.account_id == account_id,
        event.c.message_id.in_(sorted(wanted)),
        event.c.at >= since,
        event.c.at < until,
    )
    return [
        _notice(account_id, endpoint_id, row, now)
        for row in await connection.execute(events)
        if wanted[row.message_id] & _NEWS.get(row.type, 0)
    ]


_NEWS = {int(type_): int(news) for type_, news in NEWS.items()}


async def replay_event(
    store: Store, event_id: int, now: Millis, *, endpoint_id: int | None = None, dry_run: bool = False
) -> int:
    """Tell once more of one event, every endpoint that wants it or one. Returns to how many that is."""
    at = id_time(event_id)
    found = (
        select(event.c.account_id, event.c.message_id, event.c.id, event.c.recipient_number, event.c.type)
        .add_columns(message.c.routes)
        .join(message, (message.c.account_id == event.c.account_id) & (message.c.id == event.c.message_id))
        # No index leads from an event to its message, but it happened after that was accepted.
        .where(message.c.id >= first_id(at - _LONGEST_LIFE), message.c.id < first_id(at + DAY))
        .where(event.c.id == event_id)
    )
    mail = inbound_mail.c
    received = (
        select(event)
        .join(inbound_mail, (mail.account_id == event.c.account_id) & (mail.id == event.c.message_id))
        .where(mail.id >= first_id(at - _LONGEST_UNREAD), mail.id < first_id(at + DAY))
        .where(event.c.id == event_id, event.c.type == int(EventType.RECEIVED))
    )
    async with store.read() as connection:
        rows = [
            _notice(row.account_id, route.endpoint_id, row, now)
            for row in await connection.execute(found)
            for route in parse_routes(row.routes)
            if route.news & _NEWS.get(row.type, 0) and endpoint_id in (None, route.endpoint_id)
        ]
        rows += [
            _notice(row.account_id, told, row, now)
            for row in await connection.execute(received)
            for told in _received(row.data).endpoints
            if endpoint_id in (None, told)
        ]
    if rows and not dry_run:
        async with store.write() as connection:
            await _insert(connection, rows)
    return len(rows)


def _notice(account_id: int, endpoint_id: int, row: Any, now: Millis) -> dict[str, Any]:
    return {
        "account_id": account_id,
        "endpoint_id": endpoint_id,
        "id": row.id,
        "message_id": row.message_id,
        "recipient_number": row.recipient_number,
        "due_at": now,
        "attempts": 0,
        "dead_at": None,
    }


async def _insert(connection: AsyncConnection, rows: Sequence[dict[str, Any]]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(notice)
    await connection.execute(
        new.on_conflict_do_update(
            index_elements=[notice.c.account_id, notice.c.endpoint_id, notice.c.id],
            set_={"due_at": new.excluded.due_at, "attempts": 0, "dead_at": None},
            where=notice.c.dead_at.is_not(None),
        ),
        list(rows),
    )
