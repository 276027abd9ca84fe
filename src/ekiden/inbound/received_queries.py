"""Mails that came in, for whoever looks at them: a list, one with all that followed, and its content."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import select

from ekiden.core.events import EventType
from ekiden.core.ids import id_time
from ekiden.core.said import in_words
from ekiden.core.states import Reading
from ekiden.inbound.reader import KINDS
from ekiden.store.inbound import find_received, received_of
from ekiden.store.retention import first_id
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import account, callback, content, endpoint, event, inbound_mail, notice

if TYPE_CHECKING:
    from sqlalchemy import Row

    from ekiden.core.clock import Millis
    from ekiden.core.language import Language
    from ekiden.core.report import Kind
    from ekiden.store.api import Connection, Store
    from ekiden.store.records import ReceivedMail

_MOST_REQUESTS: Final = 20
_json: Final = msgspec.json.Decoder(dict[str, Any]).decode


class _Data(msgspec.Struct):
    """Of ``EventType.RECEIVED``."""

    recipient: str = ""
    routes: list[str] = []
    endpoints: list[int] = []


_data: Final = msgspec.json.Decoder(_Data).decode


@dataclass(frozen=True, slots=True)
class Received:
    """A mail that came in. ``kind``: ``None``: nobody has read it yet. ``told``: what was understood of it."""

    mail: ReceivedMail
    kind: Kind | None
    told: Mapping[str, Any]
    due_at: Millis
    """When it is read, while nobody has."""


@dataclass(frozen=True, slots=True)
class TracedRequest:
    """A request that told of a mail. ``status`` 0: there was no answer."""

    at: Millis
    millis: int
    status: int
    answer: str

    def words(self, lang: Language = "en") -> str:
        """``answer``, or why there is none."""
        return self.answer if self.status else in_words(self.answer, lang)


@dataclass(frozen=True, slots=True)
class TracedNotice:
    """A recipient of a mail, for a route. ``state``: ``told``, ``waiting``, ``paused`` or ``dead``; ``gone``: the
    route is not there any more."""

    event_id: int
    number: int
    recipient: str
    route: str
    endpoint_id: int
    url: str
    state: str
    attempts: int
    """Requests that failed for its own sake."""
    due_at: Millis | None
    """The next one; ``None``: there is none."""
    requests: list[TracedRequest] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReceivedTrace:
    """A mail with all that followed."""

    received: Received
    has_content: bool
    notices: list[TracedNotice]


async def list_received(store: Store, account_id: int | None = None, *, limit: int = 100) -> list[Received]:
    """The latest of one account or of all (0: of who runs Ekiden), newest first."""
    found: list[list[Received]] = []
    async with store.read() as connection:
        accounts = [account_id] if account_id is not None else [0, *await connection.scalars(select(account.c.id))]
        for whose in accounts:
            query = select(inbound_mail).where(inbound_mail.c.account_id == whose)
            rows = await connection.execute(query.order_by(inbound_mail.c.id.desc()).limit(limit))
            found.append(readable("inbound_mail", _received, rows))
    newest = heapq.merge(*found, key=lambda item: item.mail.id, reverse=True)
    return [item for item, _ in zip(newest, range(limit), strict=False)]


async def load_received(store: Store, id: int) -> ReceivedTrace | None:
    """The mail of that id, whoever it concerns."""
    async with store.read() as connection:
        found = await find_received(connection, id)
        if found is None:
            return None
        received = read("inbound_mail", _received, found[1])
        of = received.mail.account_id, received.mail.id
        kept = select(content.c.message_id).where(content.c.account_id == of[0], content.c.message_id == of[1])
        has_content = await connection.scalar(kept) is not None
        return ReceivedTrace(received, has_content, await _notices(connection, *of))


async def _notices(connection: Connection, account_id: int, mail_id: int) -> list[TracedNotice]:
    query = select(event).where(
        event.c.account_id == account_id,
        event.c.message_id == mail_id,
        event.c.type == int(EventType.RECEIVED),
    )
    events = [(row, _data(row.data)) for row in await connection.execute(query.order_by(event.c.id))]
    ids = {id for _, data in events for id in data.endpoints}
    rows = await connection.execute(select(endpoint).where(endpoint.c.id.in_(ids)))
    endpoints = {row.id: row for row in rows}
    found = []
    for row, data in events:
        for route, endpoint_id in zip(data.routes, data.endpoints, strict=False):
            at = endpoints.get(endpoint_id)
            key = notice.c.account_id == account_id, notice.c.endpoint_id == endpoint_id, notice.c.id == row.id
            waits = (await connection.execute(select(notice).where(*key))).one_or_none()
            requests = await _requests(connection, account_id, endpoint_id, row.id)
            state, due_at = _state(waits, at, requests)
            of = row.id, row.recipient_number, data.recipient, route, endpoint_id
            attempts = 0 if waits is None else waits.attempts
            url = "" if at is None else at.url
            found.append(TracedNotice(*of, url, state, attempts, due_at, requests))
    return found


def _state(waits: Row[Any] | None, at: Row[Any] | None, requests: list[TracedRequest]) -> tuple[str, Millis | None]:
    if waits is None:
        taken = any(200 <= request.status < 300 for request in requests)
        return ("told" if taken or (at is not None and at.setting) else "gone"), None
    if waits.dead_at is not None:
        return "dead", None
    if at is not None and at.paused:
        return "paused", None
    return "waiting", max(waits.due_at, 0 if at is None else at.retry_at)


async def _requests(
    connection: Connection, account_id: int, endpoint_id: int, event_id: int
) -> list[TracedRequest]:
    """The latest that told of the event, in their order."""
    query = (
        select(callback)
        .where(
            callback.c.account_id == account_id,
            callback.c.endpoint_id == endpoint_id,
            callback.c.id >= first_id(id_time(event_id)),
            callback.c.notices == f"[{event_id}]",  # each mail goes by itself
        )
        .order_by(callback.c.id.desc())
        .limit(_MOST_REQUESTS)
    )
    rows = (await connection.execute(query)).all()
    return [TracedRequest(row.at, row.millis, row.status, row.answer) for row in reversed(rows)]


def _received(row: Row[Any]) -> Received:
    kind = KINDS[row.kind] if row.state == int(Reading.READ) else None
    return Received(received_of(row), kind, _json(row.told) if row.told else {}, row.due_at)
