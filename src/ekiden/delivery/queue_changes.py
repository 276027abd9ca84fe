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
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Select, bindparam, func, literal_column, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import insert as insert_rows
from sqlalchemy import update as update_rows
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory
from ekiden.core.notices import NEWS, Route, parse_routes
from ekiden.core.said import Said, encoded, say
from ekiden.core.states import FIRST_FINAL, WAITING, Cause, Hold, State, Wait
from ekiden.core.waits import SHOWN_AS, USUAL, WAITS_OF, holds_of, wait_below
from ekiden.delivery.queue_queries import IS_HELD, QUEUE_STATES, QueueFilter, count_deliveries, index_parts
from ekiden.store.api import Store
from ekiden.store.holds import NAMES, has_hold, held_by, laid, lifted
from ekiden.store.set_aside import Unreadable, read
from ekiden.store.tables import content, delivery, event, notice

BATCH: Final = 500
"""Deliveries changed in one transaction."""


class Action(Enum):
    """What an operator or a sender can do to deliveries that are not final and not in a worker's hands."""

    RETRY = "retry"
    """What waits is due now."""
    HOLD = "hold"
    """It is ``HELD``, by whoever says so besides others. It keeps its next time, for ``RELEASE``."""
    RELEASE = "release"
    """Their hold is lifted. What nobody else holds waits again: for its time if the sender asked for one that has
    not come, else it is due now."""
    CANCEL = "cancel"
    """What waits or is held, by whomever, is ``CANCELLED``, for good."""

    @property
    def states(self) -> frozenset[State]:
        """From which states it leads on."""
        if self is Action.RELEASE:
            return frozenset({State.HELD})
        return WAITING if self is Action.RETRY else WAITING | {State.HELD}


LIFTS: Final[dict[Hold, Hold]] = {Hold.OPERATOR: Hold.OPERATOR | Hold.UNREADABLE, Hold.SENDER: Hold.SENDER}
"""Whose holds each of them lifts: what Ekiden has set aside an operator lets go."""

_SAID: Final[dict[tuple[Action, Hold], Said]] = {
    (Action.HOLD, Hold.OPERATOR): say("held_by_operator"),
    (Action.HOLD, Hold.SENDER): say("paused_by_sender"),
    (Action.RELEASE, Hold.OPERATOR): say("released_by_operator"),
    (Action.RELEASE, Hold.SENDER): say("resumed_by_sender"),
    (Action.CANCEL, Hold.OPERATOR): say("cancelled_by_operator"),
    (Action.CANCEL, Hold.SENDER): say("cancelled_by_sender"),
}


def suited(action: Action, holder: Hold) -> ColumnElement[bool] | None:
    """Which of the deliveries that are ``HELD`` the action changes; ``None``: all of them."""
    if action is Action.HOLD:
        return ~has_hold(holder)
    return has_hold(LIFTS[holder]) if action is Action.RELEASE else None


@dataclass(slots=True)
class Selection:
    """The keys that an action would change, and what it would leave alone.

    ``sending``: a worker has them. ``unsuited``: in a state that the action does not lead on from (for ``retry``,
    also what is due already), held by them already, or by others alone.
    """

    action: Action
    keys: array[int]
    sending: int = 0
    unsuited: int = 0
    holder: Hold = Hold.OPERATOR

    def __len__(self) -> int:
        return len(self.keys) // 3

    def batches(self, size: int) -> list[slice]:
        return [slice(start, start + size * 3) for start in range(0, len(self.keys), size * 3)]


@dataclass(slots=True)
class Change:
    """What an action came to. ``missed`` were taken by a worker or became final in the meantime.

    ``still_held``: of those changed by ``release``, how many somebody else holds.
    """

    changed: int = 0
    missed: int = 0
    still_held: int = 0


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
    held_so = suited(action, selection.holder)
    async with store.read() as connection:
        for part in index_parts(wanted, states & action.states):
            statement = select(delivery.c.account_id, delivery.c.message_id, delivery.c.number).where(*part)
            left: ColumnElement[bool] | None = None
            if action is Action.RETRY:
                left = delivery.c.due_at <= now
            elif held_so is not None and part[0] is IS_HELD:
                left = ~held_so
            if left is not None:
                statement = statement.where(~left)
                others_left = select(func.count()).select_from(delivery).where(*part, left)
                selection.unsuited += (await connection.execute(others_left)).scalar_one()
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

    ``reason`` is what the person says of it; empty: nothing, and the queue shows that it was done (for ``RETRY``,
    what it showed before). ``by`` says who, and goes into the events. ``ids`` must have a node of its own
    (``store.register_worker``). A delivery that a worker has taken since it was selected is left to the worker.
    """
    for part in selection.batches(BATCH):
        flat = selection.keys[part]
        keys = [(flat[i], flat[i + 1], flat[i + 2]) for i in range(0, len(flat), 3)]
        async with store.write() as connection:
            done = await _apply_batch(connection, selection, keys, ids, _Doing(now(), by, reason))
        yield Change(done.changed, len(keys) - done.changed, done.still_held)


class _Doing(NamedTuple):
    """When, who, and what they say."""

    now: Millis
    by: str
    reason: str


async def _apply_batch(
    connection: AsyncConnection,
    selection: Selection,
    keys: Sequence[tuple[int, int, int]],
    ids: IdFactory,
    doing: _Doing,
) -> Change:
    action, now = selection.action, doing.now
    locks_rows = connection.dialect.name == "postgresql"
    if action is Action.CANCEL and locks_rows:
        # Two transactions may each end "another" delivery of one message and not see each other. They queue here.
        await connection.exec_driver_sql(_lock_contents(keys))
    lock = _lock(keys, action.states, rows=locks_rows)
    found = [
        (row, changed)
        for row in (await connection.exec_driver_sql(lock)).all()
        if (changed := _changed(selection, row, doing)) is not None
    ]
    if not found:
        return Change()
    rows = [row for row, _ in found]
    await connection.execute(
        update_rows(delivery)
        .where(*_KEY_MATCHES)
        .values(updated_at=now, **{name: bindparam(f"to_{name}") for name in _CHANGING}),
        [{**_key_values(row), **changed} for row, changed in found],
    )
    events = _events(selection, found, ids, doing)
    await connection.execute(insert_rows(event), events)
    notices = _notices(action, rows, events, now)
    if notices:
        await connection.execute(insert_rows(notice), notices)
    if action is Action.CANCEL:
        await _remove_contents(connection, sorted({(row.account_id, row.message_id) for row in rows}))
    still_held = sum(changed["to_state"] == State.HELD for _, changed in found) if action is Action.RELEASE else 0
    return Change(len(rows), 0, still_held)


_CHANGING: Final = ("state", "cause", "due_at", "wait", "holds", "held", "reason", "said")


def _changed(selection: Selection, row: Any, doing: _Doing) -> dict[str, Any] | None:
    """The new values of a row; ``None``: what was chosen is so no more."""
    action, holder = selection.action, selection.holder
    state = State(row.state)
    standing = holds_of(state, row.holds)
    before = next((hold for hold in SHOWN_AS if hold & standing), None)
    held = row.held if standing else ""
    said = _SAID.get((action, holder))
    reason, said_text = (doing.reason, "") if doing.reason or said is None else (said.text(), said.encode())
    cause = {Action.HOLD: Cause.OURS, Action.CANCEL: Cause.NONE}.get(action, row.cause)
    new_state, due_at, wait = state, row.due_at, wait_below(state, row.wait, row.cause)
    if action is Action.HOLD:
        if standing & holder:
            return None
        standing, held = laid(standing, held, holder, doing.by, doing.now, doing.reason)
        new_state = State.HELD
    elif action is Action.RELEASE:
        if not standing & LIFTS[holder]:
            return None
        standing, held = lifted(standing, held, LIFTS[holder])
    else:
        standing, held = Hold(0), ""
    if action is Action.CANCEL:
        new_state, due_at, wait = State.CANCELLED, doing.now, Wait.DUE
    elif not standing:
        new_state, due_at, wait = _next(action, row, wait, doing.now)
    top = next((hold for hold in SHOWN_AS if hold & standing), None)
    if top is not None and (top is before or top is not holder):
        # Another's hold is what is shown, and why.
        reason, said_text = row.reason, row.said
        if top is not before:
            first = held_by(State.HELD, standing, held)[0]
            reason, said_text = first.text("en"), encoded(first.said)
    elif not reason:
        reason, said_text = row.reason, row.said
    new = (int(new_state), int(cause), due_at, int(wait), int(standing), held, reason, said_text)
    return {f"to_{name}": value for name, value in zip(_CHANGING, new, strict=True)}


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
        "SELECT d.account_id, d.message_id, d.number, d.due_at, d.attempts, d.state, d.cause, d.wait, d.holds, "
        "d.held, d.reason, d.said, m.routes "
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


def _next(action: Action, row: Any, wait: Wait, now: Millis) -> tuple[State, Millis, Wait]:
    """The new state, the new next time and what it waits for of what nobody holds any more, or is to be retried."""
    if action is Action.RELEASE and not row.attempts and row.due_at > now:
        return State.SCHEDULED, row.due_at, wait if wait is Wait.QUOTA else Wait.SCHEDULED
    state = State.DEFERRED if row.attempts else State.QUEUED
    return state, now, wait if wait in WAITS_OF[state] else USUAL[state]


_EVENT_TYPES: Final = {
    Action.RETRY: EventType.RELEASED,
    Action.HOLD: EventType.HELD,
    Action.RELEASE: EventType.RELEASED,
    Action.CANCEL: EventType.CANCELLED,
}


def _events(
    selection: Selection, found: Sequence[tuple[Any, dict[str, Any]]], ids: IdFactory, doing: _Doing
) -> list[dict[str, Any]]:
    action, holder, now = selection.action, selection.holder, doing.now
    data: dict[str, Any] = {"action": action.value, "by": doing.by, "holder": NAMES[holder]}
    said = _SAID.get((action, holder))
    if doing.reason:
        data["reason"] = doing.reason
    elif said is not None:
        data |= {"reason": said.text(), "said": said}
    encoded_data: dict[int, str] = {}

    def told(changed: dict[str, Any]) -> str:
        left = changed["to_holds"] if action is Action.RELEASE else 0
        if left not in encoded_data:
            still = [NAMES[hold] for hold in SHOWN_AS if hold & left]
            encoded_data[left] = json.dumps({**data, "still_held_by": still} if still else data, ensure_ascii=False)
        return encoded_data[left]

    return [
        {
            "account_id": row.account_id,
            "message_id": row.message_id,
            "id": ids.next(now),
            "recipient_number": row.number,
            "type": int(_EVENT_TYPES[action]),
            "at": now,
            "data": told(changed),
        }
        for row, changed in found
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
