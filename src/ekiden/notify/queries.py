"""The outbox in SQL: which endpoints are due, their notices with all that is to be told, and what became of them.

``ix_notice_live`` holds what is not dead: it is walked from endpoint to endpoint, so that looking costs one step
for each endpoint with news and nothing for those without. Events, messages and deliveries are looked up by their
keys; on PostgreSQL the planner is told so, since it would have to guess how many rows come out of a LIMIT.
"""
# ruff: noqa: S608 (SQL is put together from our own names and numbers; values are always parameters)

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
from sqlalchemy import RowMapping, bindparam, delete, or_, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import SECOND, Millis
from ekiden.core.diagnosis import STAGE_OF, Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import NODE_BITS, SEQUENCE_BITS, id_time
from ekiden.core.notices import Happening
from ekiden.core.states import Cause, State
from ekiden.limits.loop_slices import Turns, in_turns
from ekiden.notify.options import MOST_EVENTS
from ekiden.store.retention import first_id
from ekiden.store.set_aside import Unreadable, read
from ekiden.store.tables import LIVE_SQL, callback, endpoint, notice

_json = msgspec.json.Decoder(dict[str, Any]).decode


class _Origin(msgspec.Struct, gc=False):
    """What is told of ``core.submission.Origin``."""

    client: str = ""


_origin = msgspec.json.Decoder(_Origin).decode

STATE_OF: Final[dict[EventType, State]] = {
    EventType.ACCEPTED: State.QUEUED,
    EventType.DEFERRED: State.DEFERRED,
    EventType.HELD: State.HELD,
    EventType.RELEASED: State.QUEUED,
    EventType.DELIVERED: State.DELIVERED,
    EventType.BOUNCED: State.BOUNCED,
    EventType.EXPIRED: State.EXPIRED,
    EventType.DROPPED: State.DROPPED,
    EventType.CANCELLED: State.CANCELLED,
    EventType.OPENED: State.DELIVERED,
    EventType.CLICKED: State.DELIVERED,
    EventType.UNSUBSCRIBED: State.DELIVERED,
    EventType.COMPLAINED: State.DELIVERED,
    EventType.LATE_BOUNCE: State.DELIVERED,
    EventType.QUEUED: State.QUEUED,
}
"""The state of a delivery when the event happened."""


# Those of a newer version are left for its workers; NULL: the event is not kept any more.
_KNOWN_TYPES: Final = frozenset({None, *map(int, EventType)})


class DueEndpoint(NamedTuple):
    """An endpoint with notices that are due. ``failures`` more than 0: its breaker lets a probe through."""

    id: int
    account_id: int
    format: str
    url: str
    sealed: bytes | None
    failures: int
    failing_since: Millis | None
    owner: int | None
    gather: Millis = 0
    most: int = 0
    options: str = ""
    """``options.Kept`` as the store has it."""
    oldest: int | None = None
    """Id of the oldest event that is due, where the endpoint gathers."""

    def ripe(self, now: Millis) -> bool:
        """Whether everything that waits goes; else only what fills requests does."""
        return self.oldest is None or id_time(self.oldest) <= now - self.gather


class DueNotice(NamedTuple):
    """A notice, and what it tells of; ``None``: the event is not kept any more."""

    endpoint_id: int
    id: int
    message_id: int
    attempts: int
    due_at: Millis
    happening: Happening | None
    unreadable: bool = False
    """There is an event, and it, or its message, cannot be read."""


class Page(NamedTuple):
    """Up to ``limit`` due notices of an endpoint, from those with ids above ``after``."""

    endpoint_id: int
    after: int
    limit: int


class Postponed(NamedTuple):
    """A notice that the receiver refused for its own sake: its next time."""

    id: int
    attempts: int
    due_at: Millis


@dataclass(frozen=True, slots=True)
class Sent:
    """One request, for the log."""

    id: int
    at: Millis
    millis: int
    status: int
    answer: str
    notices: Sequence[int]


@dataclass(frozen=True, slots=True)
class RoundResult:
    """What one round of requests to an endpoint came to. ``failures`` and the two times are its breaker."""

    endpoint_id: int
    account_id: int
    taken: Sequence[int]
    postponed: Sequence[Postponed]
    dead: Sequence[int]
    sent: Sequence[Sent]
    failures: int
    failing_since: Millis | None
    retry_at: Millis
    recovered: bool = False
    """It failed before, and does no more."""
    lasts: Millis | None = None
    """What could not be told for so long is given up; ``None``: as configured."""


# ---- which endpoints

# An owner counts while its worker lives. Pulled ones are never sent. Of an endpoint that gathers one step of the
# index tells the oldest event that is due (those before it are postponed). Its id says when it happened: what was
# postponed, or is told again, does not gather a second time. Counting takes a step for each notice, up to as many
# as fill a request: it is not done in each look (``counted``), nor where the wait is a second anyway.
_DUE_ENDPOINTS = f"""
    WITH RECURSIVE s(id) AS (
        SELECT (SELECT endpoint_id FROM notice WHERE {LIVE_SQL} AND endpoint_id > :after
                ORDER BY endpoint_id LIMIT 1)
        UNION ALL
        SELECT (SELECT endpoint_id FROM notice WHERE {LIVE_SQL} AND endpoint_id > s.id
                ORDER BY endpoint_id LIMIT 1)
        FROM s WHERE s.id IS NOT NULL
    )
    SELECT e.id, e.account_id, e.format, e.url, e.sealed, e.failures, e.failing_since, e.owner,
        e.gather, e.most, e.options, CASE WHEN e.gather > 0 THEN {{oldest}} END AS oldest
    FROM s JOIN endpoint AS e ON e.id = s.id
    WHERE e.format <> 'pull' AND e.retry_at <= :now {{crowded}}
    AND (e.owner IS NULL OR e.owner = :worker
         OR NOT EXISTS (SELECT 1 FROM worker AS w WHERE w.id = e.owner AND w.ended_at IS NULL))
    AND CASE WHEN e.paused THEN FALSE
        WHEN e.gather = 0 THEN EXISTS (
            SELECT 1 FROM notice AS n WHERE n.endpoint_id = e.id AND n.dead_at IS NULL AND n.due_at <= :now)
        WHEN {{oldest}} < :later - e.gather * {1 << (NODE_BITS + SEQUENCE_BITS)} THEN TRUE
        WHEN e.gather <= {SECOND} OR e.most NOT BETWEEN 1 AND :counted THEN FALSE
        ELSE (SELECT count(*) FROM (
            SELECT 1 FROM notice AS n WHERE n.endpoint_id = e.id AND n.dead_at IS NULL AND n.due_at <= :now
            LIMIT :counted) AS enough) >= e.most END
    LIMIT :limit
"""
_OLDEST = """(SELECT n.id FROM notice AS n WHERE n.endpoint_id = e.id AND n.dead_at IS NULL AND n.due_at <= :now
        ORDER BY n.id LIMIT 1)"""


async def due_endpoints(
    connection: AsyncConnection,
    worker: int,
    now: Millis,
    busy: Collection[int],
    after: int,
    limit: int,
    crowded: Collection[int] = (),
    counted: int = MOST_EVENTS,
) -> list[DueEndpoint]:
    """Up to ``limit`` endpoints with ids above ``after`` that ``worker`` may send to, without the ``busy`` ones and
    those of the accounts in ``crowded``.

    ``counted``: what waits is counted for endpoints whose requests take at most so many, and for no others.
    """
    values = {"worker": worker, "now": now, "after": after, "limit": limit + len(busy), "counted": counted}
    values["later"] = first_id(now + 1)
    # The walk goes upwards by itself; an ORDER BY would have to see its end.
    without = f"AND e.account_id NOT IN ({_numbers(sorted(crowded))})" if crowded else ""
    rows = await connection.execute(text(_DUE_ENDPOINTS.format(crowded=without, oldest=_OLDEST)), values)
    found = sorted((DueEndpoint(*row) for row in rows if row.id not in busy), key=attrgetter("id"))
    return found[:limit]


async def own_endpoints(connection: AsyncConnection, worker: int, wanted: Sequence[DueEndpoint]) -> set[int]:
    """Take endpoints for ``worker``, as long as they have no other owner than when they were read."""
    if not wanted:
        return set()
    gone = sorted({item.owner for item in wanted if item.owner is not None})
    owned = or_(endpoint.c.owner.is_(None), endpoint.c.owner.in_(gone))
    taken = await connection.execute(
        update(endpoint)
        .where(endpoint.c.id.in_([item.id for item in wanted]), owned)
        .values(owner=worker)
        .returning(endpoint.c.id)
    )
    return set(taken.scalars())


async def release_endpoints(connection: AsyncConnection, worker: int, ids: Collection[int]) -> None:
    """Give up what ``worker`` owns of ``ids``."""
    await connection.execute(
        update(endpoint).where(endpoint.c.id.in_(sorted(ids)), endpoint.c.owner == worker).values(owner=None)
    )


# ---- notices with what they tell

_EVENT_COLUMNS = "e.type, e.at, e.data, e.diagnosis"
MESSAGE_COLUMNS = (
    *("sender", "subject", "accepted_at", "labels", "bulk", "reference", "application", "entity", "campaign"),
    *("header_id", "origin"),
)
"""Those that ``happening_of`` reads."""
_NUMBER = "CASE WHEN p.recipient_number = 0 THEN 1 ELSE p.recipient_number END"
_OF_DELIVERY = f"account_id = p.account_id AND a.message_id = p.message_id AND a.recipient_number = {_NUMBER}"
_PAGE_COLUMNS = "n.account_id, n.endpoint_id, n.id, n.message_id, n.recipient_number, n.due_at, n.attempts"


def _with_facts(page: str) -> str:
    """``page`` yields ``_PAGE_COLUMNS``. An event of the message as a whole takes the recipient, if there is one
    only. Outer joins, because their order is fixed."""
    return f"""
    WITH p AS ({page})
    SELECT p.*, {_EVENT_COLUMNS}, {", ".join(f"m.{name}" for name in MESSAGE_COLUMNS)},
        coalesce(d.written, d.recipient) AS recipient, d.state, d.cause, d.code, d.enhanced, d.reason,
        d.diagnosis AS last_diagnosis,
        CASE WHEN p.recipient_number = 0 THEN (SELECT count(*) FROM delivery AS o
            WHERE o.account_id = p.account_id AND o.message_id = p.message_id) ELSE 1 END AS recipients,
        (SELECT count(*) FROM attempt AS a WHERE a.{_OF_DELIVERY} AND a.finished_at <= e.at) AS tried,
        (SELECT min(a.started_at) FROM attempt AS a WHERE a.{_OF_DELIVERY} AND a.finished_at <= e.at) AS first_at
    FROM p
    LEFT JOIN event AS e ON e.account_id = p.account_id AND e.message_id = p.message_id AND e.id = p.id
    LEFT JOIN message AS m ON m.account_id = p.account_id AND m.id = p.message_id
    LEFT JOIN delivery AS d
        ON d.account_id = p.account_id AND d.message_id = p.message_id AND d.number = {_NUMBER}
    ORDER BY p.id
    """


async def by_keys(connection: AsyncConnection) -> None:
    """Keep PostgreSQL's planner from reading whole tables, until the transaction ends."""
    if connection.dialect.name == "postgresql":
        await connection.execute(
            text(
                "SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true), "
                "set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)"
            )
        )


def _pages_sql(pages: Sequence[Page], now: Millis, limit: int, lateral: bool) -> str:
    """``pages`` have the same ``limit``. Without LATERAL each page ends at the id of its last row."""
    wanted = ", ".join(f"({page.endpoint_id:d}, {page.after:d})" for page in pages)
    due = f"endpoint_id = v.endpoint_id AND {LIVE_SQL} AND id > v.after AND due_at <= {now:d}"
    if lateral:
        source = (
            f"CROSS JOIN LATERAL (SELECT * FROM notice WHERE notice.{due} ORDER BY notice.id LIMIT {limit:d}) AS n"
        )
    else:
        last = f"SELECT id FROM notice WHERE {due} ORDER BY id LIMIT 1 OFFSET {limit - 1:d}"
        source = (
            f"CROSS JOIN notice AS n WHERE n.{due.replace(' AND ', ' AND n.')} AND n.id <= ifnull(({last}), {_TOP})"
        )
    return (
        f"SELECT {_PAGE_COLUMNS} FROM (SELECT column1 AS endpoint_id, column2 AS after "
        f"FROM (VALUES {wanted}) AS given) AS v {source}"
    )


_TOP = (1 << 63) - 1


async def due_notices(
    connection: AsyncConnection, pages: Sequence[Page], now: Millis
) -> dict[int, list[DueNotice]]:
    """The notices of ``pages`` by endpoint, oldest first."""
    found: dict[int, list[DueNotice]] = {page.endpoint_id: [] for page in pages}
    lateral = connection.dialect.name == "postgresql"
    await by_keys(connection)
    for limit in {page.limit for page in pages}:
        alike = [page for page in pages if page.limit == limit]
        rows = await connection.exec_driver_sql(_with_facts(_pages_sql(alike, now, limit, lateral)))
        turns = Turns()
        for row in rows.mappings():
            if row["type"] in _KNOWN_TYPES:
                found[row["endpoint_id"]].append(_notice_of(row))
            await turns.next()
    return found


async def waiting_messages(
    connection: AsyncConnection, endpoints: Collection[int], now: Millis
) -> list[tuple[int, int, int, Millis]]:
    """(endpoint, notice, message, next time) of the live notices that were postponed beyond ``now``."""
    rows = await connection.execute(
        text(
            "SELECT endpoint_id, id, message_id, due_at FROM notice "
            f"WHERE {LIVE_SQL} AND endpoint_id IN ({', '.join(map(str, sorted(endpoints)))}) AND due_at > :now"
        ),
        {"now": now},
    )
    return [(row.endpoint_id, row.id, row.message_id, row.due_at) for row in rows]


def _notice_of(row: RowMapping) -> DueNotice:
    happening = None
    own = not row["message_id"] or row["type"] == EventType.RECEIVED
    if row["type"] is not None and (row["sender"] is not None or own):
        try:
            happening = read("event", _own_happening if own else happening_of, row)
        except Unreadable:
            key = (row["endpoint_id"], row["id"], row["message_id"], row["attempts"], row["due_at"])
            return DueNotice(*key, None, unreadable=True)
    return DueNotice(row["endpoint_id"], row["id"], row["message_id"], row["attempts"], row["due_at"], happening)


def happening_of(row: RowMapping) -> Happening:
    """From a row of an event with its message and delivery."""
    type_ = EventType(row["type"])
    data = _json(row["data"])
    state = int(STATE_OF.get(type_, State.QUEUED))
    cause, code, diagnosis = int(Cause.NONE), int(data.get("code") or 0), row["diagnosis"]
    enhanced, reason = data.get("enhanced") or "", data.get("text") or data.get("reason") or ""
    if "cause" in data:
        cause = int(Cause.__members__.get(str(data["cause"]).upper(), Cause.NONE))
    if not reason and not code and row["state"] == state:
        # The event says nothing; while the delivery is still in the state that it led to, that knows.
        cause, code, enhanced, reason = row["cause"], row["code"], row["enhanced"], row["reason"]
        diagnosis = row["last_diagnosis"]
    number = row["recipient_number"]
    return Happening(
        event_id=row["id"],
        type=type_,
        at=row["at"],
        data=data,
        account_id=row["account_id"],
        message_id=row["message_id"],
        number=number,
        recipient=row["recipient"] or "" if row["recipients"] == 1 else "",
        sender=row["sender"],
        subject=row["subject"],
        accepted_at=row["accepted_at"],
        state=state,
        cause=cause,
        diagnosis=Diagnosis(diagnosis),
        code=code,
        enhanced=enhanced,
        reason=reason,
        attempts=row["tried"],
        first_attempt_at=row["first_at"],
        bulk=row["bulk"],
        reference=row["reference"],
        application=row["application"],
        entity=row["entity"],
        campaign=row["campaign"],
        labels=_json(row["labels"]) if row["labels"] != "{}" else {},
        header_id=row["header_id"],
        client=_origin(row["origin"]).client,
        stage=STAGE_OF.get(str(data.get("stage"))),
        source=str(data.get("source", "")),
    )


def _own_happening(row: RowMapping) -> Happening:
    """Of an event that belongs to no message of ours: it tells all of itself."""
    data = _json(row["data"])
    return Happening(
        event_id=row["id"],
        type=EventType(row["type"]),
        at=row["at"],
        data=data,
        account_id=row["account_id"],
        message_id=row["message_id"],
        number=row["recipient_number"],
        recipient=str(data.get("recipient") or data.get("address", "")),
        sender=str(data.get("sender", "")),
        subject="",
        accepted_at=row["at"],
        state=int(State.QUEUED),
        cause=int(Cause.NONE),
        diagnosis=Diagnosis(row["diagnosis"]),
        code=0,
        enhanced="",
        reason=str(data.get("reason", "")),
        attempts=0,
        first_attempt_at=None,
    )


# ---- what became of them


async def record_rounds(
    connection: AsyncConnection, worker: int, rounds: Iterable[RoundResult], now: Millis
) -> None:
    """Write results: what was taken goes, what was refused waits or is dead, the log grows, breakers move.

    Doing it again, after a commit whose answer was lost, changes nothing.
    """
    log: list[dict[str, Any]] = []
    postponed: list[dict[str, int]] = []
    taken: list[dict[str, int]] = []
    dead: list[dict[str, int]] = []
    for done in rounds:
        if len(done.taken) > _FEW:
            await connection.exec_driver_sql(
                f"DELETE FROM notice WHERE account_id = {done.account_id:d} "
                f"AND endpoint_id = {done.endpoint_id:d} AND id IN ({_numbers(done.taken)})"
            )
        else:
            taken += [_key_of(done, id) for id in done.taken]
        dead += [_key_of(done, id) for id in done.dead]
        postponed += [
            {**_key_of(done, item.id), "new_attempts": item.attempts, "new_due": item.due_at}
            for item in done.postponed
        ]
        log += [
            {
                "account_id": done.account_id,
                "endpoint_id": done.endpoint_id,
                "id": sent.id,
                "at": sent.at,
                "millis": sent.millis,
                "status": sent.status,
                "answer": sent.answer,
                "notices": f"[{_numbers(sent.notices)}]",
            }
            for sent in done.sent
        ]
        if done.failures or done.recovered:
            await connection.execute(
                update(endpoint)
                .where(endpoint.c.id == done.endpoint_id, endpoint.c.owner == worker)
                .values(failures=done.failures, failing_since=done.failing_since, retry_at=done.retry_at)
            )
    if taken:
        await connection.execute(delete(notice).where(*_IS_KEY), taken)
    if dead:
        await connection.execute(update(notice).where(*_IS_KEY).values(dead_at=now), dead)
    if postponed:
        await connection.execute(_POSTPONE, postponed)
    if log:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        await connection.execute(dialect.insert(callback).on_conflict_do_nothing(), log)


_FEW = 20
"""Up to so many of one endpoint are removed together with those of others, more by a statement of their own."""
_IS_KEY = (
    notice.c.account_id == bindparam("of_account"),
    notice.c.endpoint_id == bindparam("of_endpoint"),
    notice.c.id == bindparam("of_id"),
)
_POSTPONE = update(notice).where(*_IS_KEY).values(attempts=bindparam("new_attempts"), due_at=bindparam("new_due"))


def _key_of(done: RoundResult, id: int) -> dict[str, int]:
    return {"of_account": done.account_id, "of_endpoint": done.endpoint_id, "of_id": id}


async def expire_notices(
    connection: AsyncConnection, endpoint_id: int, due_before: Millis, now: Millis, limit: int
) -> int:
    """Give up to ``limit`` notices up that were due before then; returns how many."""
    done = await connection.execute(
        text(
            "UPDATE notice SET dead_at = :now WHERE endpoint_id = :endpoint AND account_id = "
            "(SELECT account_id FROM endpoint WHERE id = :endpoint) AND id IN "
            f"(SELECT id FROM notice WHERE {LIVE_SQL} AND endpoint_id = :endpoint AND due_at <= :before "
            "ORDER BY id LIMIT :limit)"
        ),
        {"now": now, "endpoint": endpoint_id, "before": due_before, "limit": limit},
    )
    return done.rowcount


def _numbers(values: Iterable[int]) -> str:
    """As a text: SQLAlchemy would take longer over so many parameters than the database over the whole batch."""
    return ", ".join(map(str, values))


# ---- reports that are fetched


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports; everything that is given must hold. ``message`` is the id that the client knows."""

    bulk: str | None = None
    message: str | None = None
    application: str | None = None
    entity: str | None = None
    campaign: str | None = None


_REPORT = "n.account_id = :account AND n.endpoint_id = :endpoint AND n.dead_at IS NULL AND n.id >= :since"


def _report_page(wanted: ReportFilter, message_id: int | None, number: int | None) -> tuple[str, dict[str, Any]]:
    """Where the search begins decides what it costs: at the messages of a bulk or of an id, else at the oldest
    notice."""
    conditions = [_REPORT]
    values: dict[str, Any] = {}
    for name in ("application", "entity", "campaign"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append(f"m.{name} = :{name}")
            values[name] = value
    by_message: list[str] = []
    if wanted.bulk is not None:
        # Word for word what the partial indexes hold, for SQLite to see that they fit.
        by_message.append("m.bulk = :bulk AND m.bulk <> ''")
        values["bulk"] = wanted.bulk
    if message_id is not None:
        by_message.append("m.id = :message AND m.reference = ''")
        conditions.append("n.recipient_number IN (0, :number)" if number == 1 else "n.recipient_number = :number")
        values |= {"message": message_id, "number": number}
    elif wanted.message is not None:
        by_message.append("m.reference = :reference AND m.reference <> ''")
        values["reference"] = wanted.message
    if by_message:
        source = (
            "message AS m CROSS JOIN event AS e CROSS JOIN notice AS n WHERE m.account_id = :account AND "
            + " AND ".join(by_message)
            + " AND e.account_id = :account AND e.message_id = m.id AND n.id = e.id AND n.message_id = m.id AND "
        )
    else:
        source = "notice AS n LEFT JOIN message AS m ON m.account_id = n.account_id AND m.id = n.message_id WHERE "
    return (
        f"SELECT {_PAGE_COLUMNS} FROM {source}{' AND '.join(conditions)} ORDER BY n.id LIMIT :limit",
        values,
    )


async def find_reports(
    connection: AsyncConnection,
    account_id: int,
    endpoint_id: int,
    wanted: ReportFilter,
    delivery: tuple[int, int] | None,
    since: int,
    limit: int,
) -> list[DueNotice]:
    """The oldest notices that fit and whose ids are ``since`` or more.

    ``delivery``: message id and number, when ``wanted.message`` is not a reference but names these.
    """
    page, values = _report_page(wanted, *(delivery or (None, None)))
    await by_keys(connection)
    rows = await connection.execute(
        text(_with_facts(page)),
        {"account": account_id, "endpoint": endpoint_id, "since": since, "limit": limit, **values},
    )
    return await in_turns(_notice_of, (row for row in rows.mappings() if row["type"] in _KNOWN_TYPES))


async def take_notices(
    connection: AsyncConnection, account_id: int, endpoint_id: int, ids: Collection[int]
) -> set[int]:
    """Remove notices; returns those that were still there. Nobody else gets the same."""
    rows = await connection.exec_driver_sql(
        f"DELETE FROM notice WHERE account_id = {account_id:d} AND endpoint_id = {endpoint_id:d} "
        f"AND id IN ({_numbers(sorted(ids))}) AND {LIVE_SQL} RETURNING id"
    )
    return {row[0] for row in rows}
