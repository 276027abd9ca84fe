"""What an operator changes in the queue: retry, hold, release and cancel by filter. Never on the hot path.

Changes are made in short transactions of ``BATCH`` deliveries; the keys to change are collected first (24 bytes
each), so that no transaction lives as long as the whole change.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Final

from sqlalchemy import Select, bindparam, func, literal_column, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_rows
from sqlalchemy import update as update_rows
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory
from ekiden.core.notices import NEWS, Route, parse_routes
from ekiden.core.states import FIRST_FINAL, WAITING, Cause, State
from ekiden.store.api import Store
from ekiden.store.queue_queries import QUEUE_STATES, QueueFilter, count_deliveries, index_parts
from ekiden.store.set_aside import Unreadable, read
from ekiden.store.tables import content, delivery, event, notice

BATCH: Final = 500
"""Deliveries changed in one transaction."""


class Action(Enum):
    """What an operator can do to deliveries that are not final and not in a worker's hands."""

    RETRY = "retry"
    """What waits is due now."""
    HOLD = "hold"
    """What waits is ``HELD``. It keeps its next time, for ``RELEASE``."""
    RELEASE = "release"
    """What is held waits again: for its time if the sender asked for one that has not come, else it is due now."""
    CANCEL = "cancel"
    """What waits or is held is ``CANCELLED``, for good."""

    @property
    def states(self) -> frozenset[State]:
        """From which states it leads on."""
        if self is Action.RELEASE:
            return frozenset({State.HELD})
        return WAITING if self is not Action.CANCEL else WAITING | {State.HELD}


@dataclass(slots=True)
class Selection:
    """The keys that an action would change, and what it would leave alone.

    ``sending``: a worker has them. ``unsuited``: in a state that the action does not lead on from (for ``retry``,
    also what is due already).
    """

    action: Action
    keys: array[int]
    sending: int = 0
    unsuited: int = 0

    def __len__(self) -> int:
        return len(self.keys) // 3

    def batches(self, size: int) -> list[slice]:
        return [slice(start, start + size * 3) for start in range(0, len(self.keys), size * 3)]


@dataclass(slots=True)
class Change:
    """What an action came to. ``missed`` were taken by a worker or became final in the meantime."""

    changed: int = 0
    missed: int = 0


# ---- choosing


async def _stream_keys(connection: AsyncConnection, statement: Select[Any]) -> AsyncIterator[Sequence[Any]]:
    async with connection.stream(statement) as result:
        async for rows in result.partitions(5000):
            yield rows


async def select_deliveries(
    store: Store, action: Action, wanted: QueueFilter, now: Millis, limit: int | None = None
) -> Selection:
    """Find what ``action`` would change, without changing anything: the count of ``--dry-run``.

    ``limit`` bounds how many are chosen, those due first.
    """
    selection = Selection(action, array("q"))
    states = wanted.states or QUEUE_STATES
    async with store.read() as connection:
        for part in index_parts(wanted, states & action.states):
            statement = select(delivery.c.account_id, delivery.c.message_id, delivery.c.number).where(*part)
            if action is Action.RETRY:
                statement = statement.where(delivery.c.due_at > now)
                late = select(func.count()).select_from(delivery).where(*part, delivery.c.due_at <= now)
                selection.unsuited += (await connection.execute(late)).scalar_one()
            if limit is not None:
                statement = statement.order_by(delivery.c.due_at).limit(limit - len(selection))
            async for rows in _stream_keys(connection, statement):
                for row in rows:
                    selection.keys.extend(row)
    others = states - action.states
    if others:
        counts = await count_deliveries(store, replace(wanted, states=others))
        selection.sending = counts.pop(State.SENDING, 0)
        selection.unsuited += sum(counts.values())
    return selection


# ---- carrying out


async def apply_action(
    store: Store,
    selection: Selection,
    ids: IdFactory,
    now: Callable[[], Millis],
    by: str,
    reason: str = "",
) -> AsyncIterator[Change]:
    """Carry the action out, batch by batch; each batch is committed when it is yielded.

    ``reason`` is what the queue shows for it from now on (empty: as it was); ``by`` goes into the events. ``ids``
    must have a node of its own (``store.register_worker``). A delivery that a worker has taken since it was
    selected is left to the worker.
    """
    for part in selection.batches(BATCH):
        flat = selection.keys[part]
        keys = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)]
        async with store.write() as connection:
            changed = await _apply_batch(connection, selection.action, keys, ids, now(), by, reason)
        yield Change(changed, len(keys) - changed)


async def _apply_batch(
    connection: AsyncConnection,
    action: Action,
    keys: Sequence[tuple[int, int, int]],
    ids: IdFactory,
    now: Millis,
    by: str,
    reason: str,
) -> int:
    locks_rows = connection.dialect.name == "postgresql"
    if action is Action.CANCEL and locks_rows:
        # Two transactions may each end "another" delivery of one message and not see each other. They queue here.
        await connection.exec_driver_sql(_lock_contents(keys))
    lock = _lock(keys, action.states, rows=locks_rows)
    rows = (await connection.exec_driver_sql(lock)).all()
    if not rows:
        return 0
    cause = {Action.HOLD: Cause.OURS, Action.CANCEL: Cause.NONE}.get(action)
    fixed: dict[str, Any] = {"updated_at": now}
    if reason:
        fixed["reason"] = reason
    if cause is not None:
        fixed["cause"] = int(cause)
    changes = []
    for row in rows:
        state, due_at = _next(action, row.due_at, row.attempts, now)
        changes.append({**_key_values(row), "to_state": int(state), "to_due": due_at})
    await connection.execute(
        update_rows(delivery)
        .where(*_KEY_MATCHES)
        .values(state=bindparam("to_state"), due_at=bindparam("to_due"), **fixed),
        changes,
    )
    events = _events(action, rows, ids, now, by, reason)
    await connection.execute(insert_rows(event), events)
    notices = _notices(action, rows, events, now)
    if notices:
        await connection.execute(insert_rows(notice), notices)
    if action is Action.CANCEL:
        await _remove_contents(connection, sorted({(row.account_id, row.message_id) for row in rows}))
    return len(rows)


_KEY_MATCHES = (
    delivery.c.account_id == bindparam("of_account"),
    delivery.c.message_id == bindparam("of_message"),
    delivery.c.number == bindparam("of_number"),
)


def _key_values(row: Any) -> dict[str, int]:
    return {"of_account": row.account_id, "of_message": row.message_id, "of_number": row.number}


def _lock(keys: Sequence[tuple[int, int, int]], states: frozenset[State], *, rows: bool) -> str:
    """Those of the keys that are still in one of the states; ``rows``: locked, where the engine locks rows.

    A join, because SQLite answers ``(a, b, c) IN (…)`` by reading the whole table; as a text of numbers, because
    SQLAlchemy would take longer over so many parameters than the database over the whole batch.
    """
    wanted = ", ".join(
        f"({account_id:d}, {message_id:d}, {number:d})" for account_id, message_id, number in sorted(keys)
    )
    return (
        f"WITH wanted (account_id, message_id, number) AS (VALUES {wanted}) "  # noqa: S608 (numbers only)
        "SELECT d.account_id, d.message_id, d.number, d.due_at, d.attempts, m.routes "
        "FROM wanted JOIN delivery AS d ON d.account_id = wanted.account_id "
        "AND d.message_id = wanted.message_id AND d.number = wanted.number "
        "JOIN message AS m ON m.account_id = wanted.account_id AND m.id = wanted.message_id "
        f"WHERE d.state IN ({', '.join(str(int(state)) for state in sorted(states))}) "
        f"ORDER BY d.account_id, d.message_id, d.number{' FOR UPDATE OF d' if rows else ''}"
    )


def _lock_contents(keys: Sequence[tuple[int, int, int]]) -> str:
    wanted = ", ".join(
        f"({account_id:d}, {message_id:d})" for account_id, message_id in sorted({key[:2] for key in keys})
    )
    return (
        "SELECT 1 FROM content AS c "  # noqa: S608 (numbers only)
        f"WHERE (c.account_id, c.message_id) IN (VALUES {wanted}) "
        "ORDER BY c.account_id, c.message_id FOR UPDATE OF c"
    )


def _next(action: Action, due_at: Millis, attempts: int, now: Millis) -> tuple[State, Millis]:
    """The new state and the new next time."""
    match action:
        case Action.HOLD:
            return State.HELD, due_at
        case Action.CANCEL:
            return State.CANCELLED, now
        case Action.RELEASE if not attempts and due_at > now:
            return State.SCHEDULED, due_at
        case _:
            return State.DEFERRED if attempts else State.QUEUED, now


_EVENT_TYPES: Final = {
    Action.RETRY: EventType.RELEASED,
    Action.HOLD: EventType.HELD,
    Action.RELEASE: EventType.RELEASED,
    Action.CANCEL: EventType.CANCELLED,
}


def _events(
    action: Action, rows: Sequence[Any], ids: IdFactory, now: Millis, by: str, reason: str
) -> list[dict[str, Any]]:
    data: dict[str, Any] = {"action": action.value, "by": by}
    if reason:
        data["reason"] = reason
    encoded = json.dumps(data, ensure_ascii=False)
    return [
        {
            "account_id": row.account_id,
            "message_id": row.message_id,
            "id": ids.next(now),
            "recipient_number": row.number,
            "type": int(_EVENT_TYPES[action]),
            "at": now,
            "data": encoded,
        }
        for row in rows
    ]


def _notices(
    action: Action, rows: Sequence[Any], events: Sequence[dict[str, Any]], now: Millis
) -> list[dict[str, Any]]:
    """One for each endpoint that wants to hear of it."""
    news = NEWS[_EVENT_TYPES[action]]
    return [
        {
            "account_id": row.account_id,
            "endpoint_id": route.endpoint_id,
            "id": told["id"],
            "message_id": row.message_id,
            "recipient_number": row.number,
            "due_at": now,
            "attempts": 0,
            "dead_at": None,
        }
        for row, told in zip(rows, events, strict=True)
        for route in _routes(row)
        if route.news & news
    ]


def _routes(row: Any) -> tuple[Route, ...]:
    """Of a message that cannot be read nobody is told: what an operator does to it he knows."""
    try:
        return read("message", lambda one: parse_routes(one.routes), row)
    except Unreadable:
        return ()


async def _remove_contents(connection: AsyncConnection, messages: Sequence[tuple[int, int]]) -> None:
    """Remove the contents of those messages that have no delivery left that needs them."""
    needed = (
        select(literal_column("1"))
        .where(
            delivery.c.account_id == content.c.account_id,
            delivery.c.message_id == content.c.message_id,
            delivery.c.state < int(FIRST_FINAL),
        )
        .exists()
    )
    await connection.execute(
        delete_rows(content).where(
            content.c.account_id == bindparam("of_account"),
            content.c.message_id == bindparam("of_message"),
            ~needed,
        ),
        [{"of_account": account_id, "of_message": message_id} for account_id, message_id in messages],
    )
