"""The deliveries of one bulk, which one request of a sender has brought: counted, chosen, moved in time.

Everything goes through ix_message_bulk, which has nothing but messages with a bulk.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    func,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.said import say
from ekiden.core.states import Hold, State, Wait
from ekiden.delivery.queue_changes import Action, Selection, suited
from ekiden.store.api import Store
from ekiden.store.holds import has_hold, waits_for
from ekiden.store.set_aside import readable
from ekiden.store.tables import BULK_SQL, delivery, message

# SQLite uses a partial index only when the statement repeats its condition word for word.
_HAS_BULK = text(BULK_SQL)


@dataclass(frozen=True, slots=True)
class BulkFacts:
    """What there is of a bulk. ``first_id`` is its smallest message id.

    ``send_at`` is the next time of those that were never tried (scheduled or paused); ``None``: there are none.
    ``movable`` were never tried and wait for a time or are paused; ``begun`` are due, or were tried already.
    """

    first_id: int
    counts: dict[State, int]
    paused: int
    movable: int
    begun: int
    send_at: Millis | None


def _of(account_id: int, bulk: str) -> FromClause:
    """The deliveries of the bulk."""
    # Without the LIMIT, SQLite would read every delivery of the account and look each up in the index.
    messages = (
        select(message.c.id)
        .where(message.c.account_id == account_id, message.c.bulk == bulk, _HAS_BULK)
        .limit(_ALL)
        .subquery("messages")
    )
    return messages.join(
        delivery, and_(delivery.c.account_id == account_id, delivery.c.message_id == messages.c.id)
    )


_ALL: Final = (1 << 63) - 1
_IS_PAUSED: Final = and_(delivery.c.state == int(State.HELD), has_hold(Hold.SENDER))
_IS_MOVABLE: Final = and_(delivery.c.attempts == 0, or_(delivery.c.state == int(State.SCHEDULED), _IS_PAUSED))
_NEVER_BEGAN: Final = frozenset({State.SCHEDULED, State.HELD, State.DROPPED, State.CANCELLED})
_IS_OVER_QUOTA: Final = or_(
    waits_for(Wait.QUOTA), and_(delivery.c.state == int(State.HELD), delivery.c.wait == int(Wait.QUOTA))
)


def facts_statement(account_id: int, bulk: str) -> Select[Any]:
    """The deliveries of the bulk by state, and what the sender may still change of them."""
    began = or_(delivery.c.attempts > 0, delivery.c.state.not_in(sorted(map(int, _NEVER_BEGAN))))
    return (
        select(
            delivery.c.state,
            func.count().label("all"),
            func.sum(case((_IS_PAUSED, 1), else_=0)).label("paused"),
            func.sum(case((_IS_MOVABLE, 1), else_=0)).label("movable"),
            func.sum(case((began, 1), else_=0)).label("begun"),
            func.min(case((_IS_MOVABLE, delivery.c.due_at))).label("send_at"),
            func.min(delivery.c.message_id).label("first_id"),
        )
        .select_from(_of(account_id, bulk))
        .group_by(delivery.c.state)
    )


async def bulk_facts(store: Store, account_id: int, bulk: str) -> BulkFacts | None:
    """``None``: the account has sent nothing with that bulk, or nothing of it is kept any more."""
    async with store.read() as connection:
        rows = (await connection.execute(facts_statement(account_id, bulk))).all()
    if not rows:
        return None
    times = [row.send_at for row in rows if row.send_at is not None]
    return BulkFacts(
        min(row.first_id for row in rows),
        dict(readable("delivery", lambda row: (State(row.state), row.all), rows)),
        sum(row.paused for row in rows),
        sum(row.movable for row in rows),
        sum(row.begun for row in rows),
        min(times, default=None),
    )


def chosen_statement(account_id: int, bulk: str, action: Action) -> Select[Any]:
    """The keys that the action would change."""
    wanted: ColumnElement[bool] = delivery.c.state.in_(sorted(map(int, action.states)))
    held_so = suited(action, Hold.SENDER)
    if held_so is not None:
        wanted = and_(wanted, or_(delivery.c.state != int(State.HELD), held_so))
    return (
        select(delivery.c.account_id, delivery.c.message_id, delivery.c.number)
        .select_from(_of(account_id, bulk))
        .where(wanted)
        # Those that a worker would take next come first.
        .order_by(delivery.c.due_at, delivery.c.message_id, delivery.c.number)
    )


async def select_bulk(store: Store, account_id: int, bulk: str, action: Action) -> Selection:
    """What ``queue_changes.apply_action`` is to change for the sender."""
    chosen = Selection(action, array("q"), holder=Hold.SENDER)
    async with (
        store.read() as connection,
        connection.stream(chosen_statement(account_id, bulk, action)) as result,
    ):
        async for rows in result.partitions(5000):
            for row in rows:
                chosen.keys.extend(row)
    return chosen


# ---- another time

_RESCHEDULED: Final = say("rescheduled_by_sender")
_MESSAGES: Final = 250
"""Messages that one transaction moves."""


async def movable_messages(store: Store, account_id: int, bulk: str) -> list[int]:
    """Ids of the messages that have deliveries to move, those first that a worker would take next."""
    async with store.read() as connection:
        return list(await connection.scalars(movable_statement(account_id, bulk)))


def movable_statement(account_id: int, bulk: str) -> Select[Any]:
    return (
        select(delivery.c.message_id)
        .select_from(_of(account_id, bulk))
        .where(_IS_MOVABLE)
        .group_by(delivery.c.message_id)
        .order_by(func.min(delivery.c.due_at), delivery.c.message_id)
    )


async def move_messages(
    store: Store, account_id: int, ids: Sequence[int], send_at: Millis, now: Callable[[], Millis]
) -> int:
    """Give another time to the deliveries of the messages that can be moved; returns how many they were.

    A time that is over means now. What waits for the quota is never moved forward, and the time to deliver in moves
    along. Each batch is a transaction; a delivery that a worker has taken meanwhile, or somebody has changed, is
    left alone.
    """
    moved = 0
    for start in range(0, len(ids), _MESSAGES):
        async with store.write() as connection:
            part = ids[start : start + _MESSAGES]
            moved += await _move_batch(connection, account_id, part, send_at, now())
    return moved


def lock_statement(account_id: int, ids: Sequence[int]) -> Select[Any]:
    """What can be moved of the messages; locked, where the engine locks rows."""
    return (
        select(
            delivery.c.message_id,
            delivery.c.number,
            delivery.c.state,
            delivery.c.reason,
            delivery.c.said,
            delivery.c.wait,
            delivery.c.due_at,
            _IS_OVER_QUOTA.label("over_quota"),
        )
        .where(delivery.c.account_id == account_id, delivery.c.message_id.in_(ids), _IS_MOVABLE)
        .order_by(delivery.c.message_id, delivery.c.number)
        .with_for_update()
    )


async def _move_batch(
    connection: AsyncConnection, account_id: int, ids: Sequence[int], send_at: Millis, now: Millis
) -> int:
    deliveries: list[dict[str, Any]] = []
    messages: dict[int, Millis] = {}
    for row in await connection.execute(lock_statement(account_id, ids)):
        due_at = max(send_at, now, row.due_at if row.over_quota else now)
        state = State(row.state)
        keeps = row.over_quota or state is State.HELD
        wait = Wait(row.wait) if state is State.HELD else Wait.QUOTA if row.over_quota else Wait.SCHEDULED
        if state is State.SCHEDULED and due_at <= now:
            state, wait = State.QUEUED, Wait.DUE
        deliveries.append(
            {
                "of_message": row.message_id,
                "of_number": row.number,
                "to_state": int(state),
                "to_due": due_at,
                "to_wait": int(wait),
                "to_reason": row.reason if keeps else _RESCHEDULED.text(),
                "to_said": row.said if keeps else _RESCHEDULED.encode(),
            }
        )
        messages[row.message_id] = due_at - row.due_at
    if not deliveries:
        return 0
    theirs = delivery.c.account_id == account_id, delivery.c.message_id == bindparam("of_message")
    await connection.execute(
        update(delivery)
        .where(*theirs, delivery.c.number == bindparam("of_number"))
        .values(
            state=bindparam("to_state"),
            due_at=bindparam("to_due"),
            wait=bindparam("to_wait"),
            reason=bindparam("to_reason"),
            said=bindparam("to_said"),
            updated_at=now,
        ),
        deliveries,
    )
    await connection.execute(
        update(message)
        .where(message.c.account_id == account_id, message.c.id == bindparam("of_message"))
        .values(expires_at=message.c.expires_at + bindparam("later")),
        [{"of_message": message_id, "later": later} for message_id, later in messages.items()],
    )
    return len(deliveries)
