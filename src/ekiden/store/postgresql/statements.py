"""What a group of units becomes in SQL on PostgreSQL: arrays in, ``unnest``, one statement for all of a kind."""
# ruff: noqa: S608 (SQL is put together from our own names and numbers; values are always parameters)

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import cache
from struct import pack
from typing import Any

from sqlalchemy.dialects import postgresql

from ekiden.core.events import EventType
from ekiden.core.states import FIRST_FINAL, Cause, Hold, State
from ekiden.store import tables
from ekiden.store.api import Fenced
from ekiden.store.claims import CLAIMED_COLUMNS, claim_shares, claimed_deliveries
from ekiden.store.inbound import HEARD_SQL, SETTLE_SQL
from ekiden.store.postgresql.group_commit import Progress
from ekiden.store.records import Delivery
from ekiden.store.units import (
    MESSAGE_COLUMNS,
    OUTCOME_COLUMNS,
    RELEASE_COLUMNS,
    Claim,
    EventIds,
    Group,
    Row,
    Rows,
    Unit,
    insert_columns,
    outcome_row,
    to_text,
)

_LARGE = 1_048_576
"""Octets of a content from which on it goes to the server in pieces. As a parameter it is copied three times in one
go: with 40 MB that is a tenth of a second of the event loop."""
_PIECE = 262_144
_FEW = 256
_MANY = 1_024
"""Rows of a table that go to the server in one statement: the driver packs them in one go, which takes the event
loop 60 to 130 ms when a request brings thousands of messages."""


async def apply(connection: Any, units: Sequence[Unit], ids: EventIds, mend: bool, progress: Progress) -> list[Any]:
    """Write ``units`` in one transaction; the results are in their order. Raises what the driver raises."""
    group = Group(units, ids, mend)
    large = group.rows.take_contents(_LARGE)
    many = group.rows.most() > _MANY
    other = group.finishes or group.frees or group.claims or group.beats or group.pieces or group.understood
    if not (other or group.rows.shared or large or many):
        progress.committing = True
        await _insert(connection, group.rows)  # one statement is a transaction of its own
        return group.results
    async with connection.transaction():
        ended = await _finish(connection, group, ids) if group.finishes else []
        if group.frees:
            await connection.execute(_FREE, *_columns(group.frees))
        for content in large:
            await _copy_content(connection, *content)
        await _insert(connection, group.rows)
        for account_id, request_id, number, worker, at, failed in group.pieces:
            if not await connection.fetchval(_EXPANDED, at, failed, account_id, request_id, number, worker):
                raise Fenced(f"piece {number} of mail request {request_id}")
        for row in group.understood:
            if await connection.execute(_SETTLE, *row) != "UPDATE 1":
                raise Fenced(f"mail {row[5]} that came in")
        if group.heard:
            await connection.executemany(_HEARD, sorted(group.heard, key=lambda row: row[1:]))
        if ended:
            await connection.execute(_REMOVE_CONTENT, *_columns(ended))
        for position, claim in group.claims:
            group.results[position] = await _claim(connection, claim, ids)
        for position, beat in group.beats:
            group.results[position] = await connection.fetchval(_BEAT, beat.worker, beat.now, beat.ttl)
        progress.committing = True
    return group.results


_SETTLE = SETTLE_SQL.format("$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8")
_HEARD = HEARD_SQL.format("$1::smallint", "$2", "$3", "$4")
NOW_SQL = "floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint"
_BEAT = (
    "UPDATE worker SET expires_at = COALESCE($2, clock.now) + $3 "
    f"FROM (SELECT {NOW_SQL} AS now) AS clock "
    "WHERE worker.id = $1 AND worker.ended_at IS NULL RETURNING COALESCE($2, clock.now)"
)


async def _finish(connection: Any, group: Group, ids: EventIds) -> list[Row]:
    """Change the deliveries; gather what is to be inserted for them. Returns the messages that may have ended."""
    rows = group.rows
    outcomes = group.outcomes()
    new_values: dict[Row, Row] = {}
    firsts: list[bool] = []
    for worker, outcome in outcomes:
        row = outcome_row(worker, outcome, rows.mend)
        firsts.append(row[:3] not in new_values)  # a second outcome for one delivery is fenced by the first
        new_values.setdefault(row[:3], row)
    final = sorted({row[:2] for row in new_values.values() if row[5] >= FIRST_FINAL})
    if final:
        # Two transactions may each end "another" delivery of one message and not see each other. They queue here.
        await connection.fetch(_LOCK_CONTENT, *_columns(final))
    applied: set[Row] = set()
    if new_values:
        found = await connection.fetch(_FINISH, *_columns(list(new_values.values())))
        applied = {tuple(row) for row in found}
    flags: list[bool] = []
    for (worker, outcome), first in zip(outcomes, firsts, strict=True):
        message = outcome.delivery.message
        ours = first and (message.account_id, message.id, outcome.delivery.number) in applied
        flags.append(ours)
        if ours:
            rows.add_attempt(worker, outcome)
            rows.add_events(outcome.events, outcome.delivery.message.routes, ids.of(worker))
    group.finished(flags)
    return final


async def _claim(connection: Any, unit: Claim, ids: EventIds) -> list[Delivery]:
    if unit.limit < 1:
        return []
    if unit.accounts:
        each = unit.of_each
        shares = claim_shares(each)
        found = await connection.fetch(
            TURN_SQL, unit.now, unit.limit, list(unit.accounts), each, *shares, unit.worker
        )
    else:
        found = await connection.fetch(CLAIM_SQL, unit.now, unit.limit, *claim_shares(unit.limit), unit.worker)
    deliveries, broken = claimed_deliveries(map(tuple, found), unit.now)
    for one in broken:
        reason, said = one.said.text(), one.said.encode()
        await connection.execute(_HOLD, *one[:3], reason, unit.now, said)
        event = (*one[:2], ids.of(unit.worker)(unit.now), one.number, int(EventType.HELD), unit.now)
        values = [[value] for value in (*event, to_text({"reason": reason, "said": one.said}), 0)]
        await connection.execute(_insert_sql(("event",)), *values)
    return deliveries


async def _insert(connection: Any, rows: Rows) -> None:
    """All tables in one statement, hence one round trip, after the pieces of shared contents."""
    for pieces in rows.shared.values():
        for piece in pieces:
            await connection.execute(_INSERT_PIECE, *piece)
    filled = rows.tables()
    if rows.most() > _MANY:
        for name, found in filled:
            for start in range(0, len(found), _FEW):
                await asyncio.sleep(0)  # what the server answers at once would let nobody else run
                columns = _columns(found[start : start + _FEW])
                await connection.execute(_insert_sql((name,)), *columns)
    elif filled:
        values = [column for _, found in filled for column in zip(*found, strict=True)]
        await connection.execute(_insert_sql(tuple(name for name, _ in filled)), *values)


async def _copy_content(connection: Any, account: int, message: int, data: bytes, shared: int | None) -> None:
    """One row of ``content`` in the binary format of COPY, which may come in any pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"PGCOPY\n\xff\r\n\0" + pack("!iihiqiqi", 0, 0, 4, 8, account, 8, message, len(data))
        for start in range(0, len(data), _PIECE):
            yield data[start : start + _PIECE]
            await asyncio.sleep(0)
        yield (pack("!i", -1) if shared is None else pack("!iq", 8, shared)) + pack("!h", -1)

    columns = ["account_id", "message_id", "data", "shared_id"]
    await connection.copy_to_table("content", source=pieces(), columns=columns, format="binary")


def _columns(rows: Sequence[Row]) -> list[Row]:
    return list(zip(*rows, strict=True))


_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def _types(table: str, names: Sequence[str]) -> list[str]:
    columns = tables.metadata.tables[table].columns
    return [columns[name].type.compile(_DIALECT).lower() for name in names]


def _unnest(types: Sequence[str], first: int = 1) -> str:
    return "unnest(" + ", ".join(f"${first + n}::{kind}[]" for n, kind in enumerate(types)) + ")"


@cache
def _insert_sql(names: tuple[str, ...]) -> str:
    statements = []
    first = 1
    for name in names:
        given = insert_columns(name)
        types = _types(name, given)
        columns = ", ".join(given)
        statements.append(f"INSERT INTO {name} ({columns}) SELECT * FROM {_unnest(types, first)}")
        first += len(types)
    *others, last = statements
    if not others:
        return last
    return "WITH " + ", ".join(f"i{n} AS ({sql})" for n, sql in enumerate(others)) + " " + last


_HOLD = (
    f"UPDATE delivery SET state = {int(State.HELD)}, cause = {int(Cause.OURS)}, reason = $4, owner = NULL, "
    f"attempts = attempts - 1, updated_at = $5, said = $6, holds = {int(Hold.UNREADABLE)}, held = '' "
    "WHERE account_id = $1 AND message_id = $2 AND number = $3"
)
_EXPANDED = (
    "UPDATE mail_request_piece SET state = 1, owner = NULL, expanded_at = $1, failed = $2 "
    "WHERE account_id = $3 AND request_id = $4 AND number = $5 AND state = 0 AND owner = $6 RETURNING 1"
)
_INSERT_PIECE = "INSERT INTO shared_content VALUES ($1, $2, $3, $4)"

_SAME = "d.account_id = v.account_id AND d.message_id = v.message_id AND d.number = v.number"
# "+ 0" hides from the planner that ix_delivery_owner would fit: it likes to read that as a whole instead of looking
# the rows up by their primary key.
_FENCE = f"d.state + 0 = {int(State.SENDING)} AND d.owner = v.worker AND d.attempts = v.attempts"

_FINISH = (
    "UPDATE delivery AS d SET owner = NULL, state = v.state, cause = v.cause, reason = v.reason, code = v.code, "
    "enhanced = v.enhanced, due_at = v.due_at, updated_at = v.updated_at, wait = v.wait, said = v.said, "
    "diagnosis = v.diagnosis FROM "
    + _unnest(_types("delivery", ["owner" if name == "worker" else name for name in OUTCOME_COLUMNS]))
    + f" AS v({', '.join(OUTCOME_COLUMNS)}) WHERE {_SAME} AND {_FENCE} "
    "RETURNING d.account_id, d.message_id, d.number"
)

_FREE = (
    "UPDATE delivery AS d SET owner = NULL, attempts = d.attempts - 1, due_at = v.due_at, reason = v.reason, "
    "wait = v.wait, said = v.said, "
    f"state = CASE WHEN d.attempts > 1 THEN {int(State.DEFERRED)} ELSE {int(State.QUEUED)} END FROM "
    + _unnest(_types("delivery", ["owner" if name == "worker" else name for name in RELEASE_COLUMNS]))
    + f" AS v({', '.join(RELEASE_COLUMNS)}) WHERE {_SAME} AND {_FENCE}"
)

_LOCK_CONTENT = (
    "SELECT 1 FROM unnest($1::bigint[], $2::bigint[]) AS v(account_id, message_id) JOIN content AS c "
    "ON c.account_id = v.account_id AND c.message_id = v.message_id "
    "ORDER BY v.account_id, v.message_id FOR UPDATE OF c"
)

_REMOVE_CONTENT = (
    "DELETE FROM content AS c USING unnest($1::bigint[], $2::bigint[]) AS v(account_id, message_id) "
    "WHERE c.account_id = v.account_id AND c.message_id = v.message_id AND NOT EXISTS "
    "(SELECT 1 FROM delivery AS d WHERE d.account_id = c.account_id AND d.message_id = c.message_id "
    f"AND d.state < {int(FIRST_FINAL)})"
)


def _due_sql(priority: int) -> str:
    return (
        f"due{priority} AS (SELECT account_id, message_id, number, priority, due_at FROM delivery "
        f"WHERE {tables.WAITING_SQL} AND priority = {priority} AND due_at <= $1 "
        "ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
    )


def _taken_sql(worker: str) -> str:
    """Own what is ``picked``, and return it with its messages."""
    return (
        f"taken AS (UPDATE delivery AS d SET state = {int(State.SENDING)}, owner = {worker}, "
        f"attempts = d.attempts + 1, due_at = $1, updated_at = $1 FROM picked AS v WHERE {_SAME} "
        "RETURNING d.account_id, d.message_id, v.place, "
        + ", ".join(f"d.attempts - 1 AS {name}" if name == "attempts" else f"d.{name}" for name in CLAIMED_COLUMNS)
        + ") SELECT "
        + ", ".join([f"d.{name}" for name in CLAIMED_COLUMNS] + [f"m.{name}" for name in MESSAGE_COLUMNS])
        + " FROM taken AS d JOIN message AS m ON m.account_id = d.account_id AND m.id = d.message_id "
        "ORDER BY m.priority, d.place"
    )


# $1 now, $2 limit, $3 to $5 the shares, $6 the worker. Whoever is within its priority's share goes first; what is
# left is filled up by priority.
CLAIM_SQL = (
    f"WITH {', '.join(_due_sql(priority) for priority in range(3))}, "
    "due AS ("
    + " UNION ALL ".join(
        f"SELECT *, row_number() OVER (ORDER BY due_at) AS place, ${3 + priority}::int AS share FROM due{priority}"
        for priority in range(3)
    )
    + "), picked AS (SELECT * FROM due ORDER BY place > share, priority, place LIMIT $2), "
    + _taken_sql("$6")
)

# $1 now, $2 limit, $3 the accounts, $4 how many of each, $5 to $7 the shares of priorities in that, $8 the worker.
TURN_SQL = (
    "WITH due AS (SELECT d.*, row_number() OVER ("
    "PARTITION BY d.account_id ORDER BY d.nth > d.share, "
    "CASE WHEN d.nth <= d.share THEN d.nth::float8 / d.share ELSE 0 END, d.priority, d.nth) AS place "
    "FROM unnest($3::bigint[]) AS a(account_id) "
    "CROSS JOIN unnest(ARRAY[0, 1, 2]::smallint[], ARRAY[$5, $6, $7]::int[]) AS p(priority, share) "
    "CROSS JOIN LATERAL (SELECT l.*, p.share, row_number() OVER (ORDER BY l.due_at) AS nth FROM ("
    "SELECT account_id, message_id, number, priority, due_at FROM delivery "
    f"WHERE {tables.WAITING_SQL} AND account_id = a.account_id AND priority = p.priority AND due_at <= $1 "
    "ORDER BY due_at LIMIT $4::int FOR UPDATE SKIP LOCKED) AS l) AS d), "
    "picked AS (SELECT * FROM due WHERE place <= $4 ORDER BY place, priority LIMIT $2), " + _taken_sql("$8")
)
