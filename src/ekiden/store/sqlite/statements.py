"""What a group of units becomes in SQL on SQLite. Runs in the writer's thread, inside a transaction.

Statements are as wide as their rows allow (``VALUES (…),(…),…`` in a few fixed sizes, so that each is prepared
once): the cost of a step, and of the interpreter lock around it, is shared by up to 64 rows.
"""
# ruff: noqa: S608 (SQL is put together from our own names and numbers; values are always parameters)

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from operator import itemgetter
from typing import Any

import msgspec

from ekiden.core.events import EventType
from ekiden.core.states import FIRST_FINAL, Cause, Hold, State
from ekiden.store import tables
from ekiden.store.api import Fenced
from ekiden.store.claims import CLAIMED_COLUMNS, claim_shares, claimed_deliveries
from ekiden.store.inbound import HEARD_SQL, SETTLE_SQL
from ekiden.store.records import Delivery, Outcome
from ekiden.store.units import (
    MESSAGE_COLUMNS,
    OUTCOME_COLUMNS,
    RELEASE_COLUMNS,
    Claim,
    EventIds,
    Group,
    Row,
    Unit,
    insert_columns,
    outcome_row,
    to_text,
)

_SIZES = (64, 16, 4, 1)
_from_json = msgspec.json.Decoder(list[list[Any]]).decode


def apply(connection: sqlite3.Connection, units: Sequence[Unit], ids: EventIds, mend: bool) -> list[Any]:
    """Write ``units``; the results are in their order. Raises what the driver raises: then roll back."""
    group = Group(units, ids, mend)
    ended = _finish(connection, group, ids) if group.finishes else None
    if group.frees:
        _each_chunk(connection, _free_sql, group.frees)
    for pieces in group.rows.shared.values():
        for piece in pieces:
            connection.execute(_insert_sql("shared_content", 1), piece)
    for table, inserted in group.rows.tables():
        _each_chunk(connection, partial(_insert_sql, table), inserted)
    if ended:
        _each_chunk(connection, _remove_content_sql, list(ended))
    for account_id, request_id, number, worker, at, failed in group.pieces:
        done = connection.execute(_EXPANDED_SQL, (at, failed, account_id, request_id, number, worker))
        if done.rowcount != 1:
            raise Fenced(f"piece {number} of mail request {request_id}")
    for row in group.understood:
        if connection.execute(_SETTLE_SQL, row).rowcount != 1:
            raise Fenced(f"mail {row[5]} that came in")
    if group.heard:
        connection.executemany(_HEARD_SQL, group.heard)
    for position, unit in group.claims:
        group.results[position] = claim(connection, unit, ids)
    return group.results


def _finish(connection: sqlite3.Connection, group: Group, ids: EventIds) -> dict[tuple[int, int], None]:
    """Change the deliveries; gather what is to be inserted for them. Returns the messages that may have ended."""
    rows = group.rows
    outcomes = group.outcomes()
    new_values = [outcome_row(worker, outcome, rows.mend) for worker, outcome in outcomes]
    owned = [True] * len(outcomes)
    # Not by ``rowcount``: Python does not count what a statement that begins with WITH changes (-1).
    before = connection.total_changes
    _each_chunk(connection, _finish_sql, new_values)
    if connection.total_changes - before != len(new_values):
        # Rare: at least one is fenced. Nothing else has been written yet, so begin again and look first.
        connection.execute("ROLLBACK")
        connection.execute("BEGIN IMMEDIATE")
        owned = _owned(connection, new_values)
        _each_chunk(connection, _finish_sql, [row for row, ours in zip(new_values, owned, strict=True) if ours])
    group.finished(owned)
    ended: dict[tuple[int, int], None] = {}
    for (worker, outcome), ours in zip(outcomes, owned, strict=True):
        if ours:
            rows.add_attempt(worker, outcome)
            rows.add_events(outcome.events, outcome.delivery.message.routes, ids.of(worker))
            if outcome.state >= FIRST_FINAL:
                ended[_message_key(outcome)] = None
    return ended


def _message_key(outcome: Outcome) -> tuple[int, int]:
    message = outcome.delivery.message
    return message.account_id, message.id


def _owned(connection: sqlite3.Connection, new_values: list[Row]) -> list[bool]:
    """Which of the deliveries still belong to their worker and attempt; a second outcome for one never does."""
    seen: set[Row] = set()
    owned = []
    for row in new_values:
        key = row[:3]
        ours = key not in seen and connection.execute(_OWNED_SQL, row[:5]).fetchone() is not None
        if ours:
            seen.add(key)
        owned.append(ours)
    return owned


def claim(connection: sqlite3.Connection, unit: Claim, ids: EventIds) -> list[Delivery]:
    """Own due deliveries. Reading first and changing after is safe inside BEGIN IMMEDIATE."""
    if unit.limit < 1:
        return []
    if unit.accounts:
        values: tuple[Any, ...] = (json.dumps(_in_turn(connection, unit)),)
        sql = _CLAIM_PICKED_SQL
    else:
        sql, values = CLAIM_SQL, (unit.now, unit.limit, *claim_shares(unit.limit))
    try:
        found = _from_json(connection.execute(sql, values).fetchone()[0])
    except (sqlite3.OperationalError, msgspec.MsgspecError) as error:
        if getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) != sqlite3.SQLITE_ERROR:
            raise  # not the rows' fault
        found = _singly(connection, sql, values)
    deliveries, broken = claimed_deliveries(found, unit.now)
    for one in broken:
        reason, said = one.said.text(), one.said.encode()
        connection.execute(_HOLD_SQL, (reason, said, unit.now, *one[:3]))
        event = (*one[:2], ids.of(unit.worker)(unit.now), one.number, int(EventType.HELD), unit.now)
        connection.execute(_insert_sql("event", 1), (*event, to_text({"reason": reason, "said": one.said}), 0))
    owned: list[Row] = [(d.message.account_id, d.message.id, d.number, unit.worker, unit.now) for d in deliveries]
    _each_chunk(connection, _own_sql, owned)
    return deliveries


def _singly(connection: sqlite3.Connection, sql: str, values: tuple[Any, ...]) -> list[list[Any]]:
    """What ``sql`` is to bring, when some of it cannot be put into JSON (SQLite keeps octets in any column)."""
    found: list[list[Any]] = []
    for row in connection.execute(sql.replace(_AS_JSON, _AS_ROWS), values).fetchall():
        # None: neither a number nor a text; the claim finds out what that means for its column.
        found.append([None if isinstance(value, bytes) else value for value in row])
    return found


def _in_turn(connection: sqlite3.Connection, unit: Claim) -> list[Row]:
    """Keys of due deliveries of ``unit.accounts``, as many of each as of the others; the places come last.

    Priorities are interleaved by their shares: however few an account gets, each has its part of them.
    """
    each = unit.of_each
    shares = claim_shares(each)
    keys: list[Row] = []
    for account in unit.accounts:
        found: list[tuple[bool, float, int, int, Row]] = []
        for priority, share in enumerate(shares):
            due = connection.execute(TURN_SQL, (account, priority, unit.now, each))
            for nth, row in enumerate(due, 1):
                within = nth <= share
                found.append((not within, nth / share if within else 0.0, priority, nth, row))
        found.sort(key=itemgetter(0, 1, 2, 3))
        keys += [(*entry[4], place) for place, entry in enumerate(found[:each])]
    keys.sort(key=itemgetter(4, 3))
    return keys[: unit.limit]


def _each_chunk(connection: sqlite3.Connection, sql: Callable[[int], str], rows: Sequence[Row]) -> None:
    """Run ``sql`` over all ``rows`` in the widest statements there are."""
    position = 0
    for size in _chunks(len(rows)):
        flat: list[Any] = []
        for row in rows[position : position + size]:
            flat += row
        connection.execute(sql(size), flat)
        position += size


def _chunks(count: int) -> Iterator[int]:
    for size in _SIZES:
        while count >= size:
            yield size
            count -= size


def _values(columns: int, size: int) -> str:
    return ",".join(["(" + ",".join("?" * columns) + ")"] * size)


@cache
def _insert_sql(table: str, size: int) -> str:
    names = insert_columns(table)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {_values(len(names), size)}"


# The unary plus hides from the planner that ix_delivery_owner would fit: the primary key is always better.
_FENCE = f"+d.state = {int(State.SENDING)} AND d.owner = v.worker AND d.attempts = v.attempts"
_SETTLE_SQL = SETTLE_SQL.format(*"????????")
_HEARD_SQL = HEARD_SQL.format(*"????")
_SAME = "d.account_id = v.account_id AND d.message_id = v.message_id AND d.number = v.number"


@cache
def _finish_sql(size: int) -> str:
    return (
        f"WITH v({', '.join(OUTCOME_COLUMNS)}) AS (VALUES {_values(len(OUTCOME_COLUMNS), size)}) "
        "UPDATE delivery AS d SET owner = NULL, state = v.state, cause = v.cause, reason = v.reason, "
        "code = v.code, enhanced = v.enhanced, due_at = v.due_at, updated_at = v.updated_at, "
        "wait = v.wait, said = v.said, diagnosis = v.diagnosis "
        f"FROM v WHERE {_SAME} AND {_FENCE}"
    )


@cache
def _free_sql(size: int) -> str:
    return (
        f"WITH v({', '.join(RELEASE_COLUMNS)}) AS (VALUES {_values(len(RELEASE_COLUMNS), size)}) "
        "UPDATE delivery AS d SET owner = NULL, attempts = d.attempts - 1, due_at = v.due_at, reason = v.reason, "
        "wait = v.wait, said = v.said, "
        f"state = CASE WHEN d.attempts > 1 THEN {int(State.DEFERRED)} ELSE {int(State.QUEUED)} END "
        f"FROM v WHERE {_SAME} AND {_FENCE}"
    )


@cache
def _own_sql(size: int) -> str:
    return (
        f"WITH v(account_id, message_id, number, worker, now) AS (VALUES {_values(5, size)}) "
        f"UPDATE delivery AS d SET state = {int(State.SENDING)}, owner = v.worker, attempts = d.attempts + 1, "
        f"due_at = v.now, updated_at = v.now FROM v WHERE {_SAME}"
    )


@cache
def _remove_content_sql(size: int) -> str:
    return (
        # CROSS JOIN fixes the order of the loops; "(account_id, message_id) IN (VALUES …)" would read all contents.
        f"WITH v(account_id, message_id) AS (VALUES {_values(2, size)}) "
        "DELETE FROM content WHERE rowid IN (SELECT c.rowid FROM v CROSS JOIN content AS c "
        "ON c.account_id = v.account_id AND c.message_id = v.message_id WHERE NOT EXISTS "
        "(SELECT 1 FROM delivery AS d WHERE d.account_id = v.account_id AND d.message_id = v.message_id "
        f"AND d.state < {int(FIRST_FINAL)}))"
    )


_EXPANDED_SQL = (
    "UPDATE mail_request_piece SET state = 1, owner = NULL, expanded_at = ?, failed = ? "
    "WHERE account_id = ? AND request_id = ? AND number = ? AND state = 0 AND owner = ?"
)
_OWNED_SQL = (
    "SELECT 1 FROM delivery WHERE account_id = ? AND message_id = ? AND number = ? "
    f"AND +state = {int(State.SENDING)} AND owner = ? AND attempts = ?"
)


_AS_ROWS = ", ".join([f"d.{name}" for name in CLAIMED_COLUMNS] + [f"m.{name}" for name in MESSAGE_COLUMNS])
_AS_JSON = f"json_group_array(json_array({_AS_ROWS}))"
_HOLD_SQL = (
    f"UPDATE delivery SET state = {int(State.HELD)}, cause = {int(Cause.OURS)}, reason = ?, said = ?, "
    "owner = NULL, "
    f"holds = {int(Hold.UNREADABLE)}, held = '', updated_at = ? "
    "WHERE account_id = ? AND message_id = ? AND number = ?"
)

_PICKED_SQL = (
    f"SELECT {_AS_JSON}" + " FROM (SELECT * FROM picked ORDER BY priority, place) AS p "
    "CROSS JOIN delivery AS d "
    "ON d.account_id = p.account_id AND d.message_id = p.message_id AND d.number = p.number "
    "CROSS JOIN message AS m ON m.account_id = p.account_id AND m.id = p.message_id"
)


def _due_sql(priority: int, share: str) -> str:
    # Read from the index alone, and only as many as could be claimed.
    return (
        "SELECT account_id, message_id, number, priority, row_number() OVER (ORDER BY due_at) AS place, "
        f"{share} AS share FROM (SELECT account_id, message_id, number, priority, due_at FROM delivery "
        f"WHERE {tables.WAITING_SQL} AND priority = {priority} AND due_at <= ?1 ORDER BY due_at LIMIT ?2)"
    )


# ?1 account, ?2 priority, ?3 now, ?4 limit.
TURN_SQL = (
    "SELECT account_id, message_id, number, priority FROM delivery INDEXED BY ix_delivery_turn "
    f"WHERE {tables.WAITING_SQL} AND account_id = ?1 AND priority = ?2 AND due_at <= ?3 ORDER BY due_at LIMIT ?4"
)

# ?1 now, ?2 limit, ?3 to ?5 the shares. Whoever is within its priority's share goes first; what is
# left is filled up by priority. All comes back as one row of JSON, since each row would cost a step.
CLAIM_SQL = (
    "WITH due AS ("
    + " UNION ALL ".join(_due_sql(priority, f"?{3 + priority}") for priority in range(3))
    + "), picked AS (SELECT * FROM due ORDER BY place > share, priority, place LIMIT ?2) "
    + _PICKED_SQL
)
# ?1 keys as a JSON array.
_CLAIM_PICKED_SQL = (
    "WITH picked AS (SELECT value ->> 0 AS account_id, value ->> 1 AS message_id, value ->> 2 AS number, "
    "value ->> 3 AS priority, value ->> 4 AS place FROM json_each(?1)) " + _PICKED_SQL
)
