"""Workers, their leases and what becomes of the deliveries of those that died. Rare, hence SQLAlchemy, for both
engines; each function runs inside the caller's transaction."""
# ruff: noqa: S608 (SQL is put together from our own names; values are always parameters)

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, select, text, tuple_, union_all, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import MINUTE, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.ids import MAX_NODE
from ekiden.core.said import Said
from ekiden.core.states import Cause, Hold, Priority, State, Wait
from ekiden.store.api import StoreError
from ekiden.store.lost_rows import LOST, lost_rows, lost_wait
from ekiden.store.records import DeliveryKey, DueAccounts, Outcome, QueueStats, Registration
from ekiden.store.tables import HELD_SQL, SENDING_SQL, WAITING_SQL, attempt, delivery, event, lease, worker

NextId = Callable[[Millis], int]


_REST: Millis = MINUTE
"""How long the node of a worker that has ended is left alone."""


async def register(
    connection: AsyncConnection, host: str, pid: int, now: Millis, ttl: Millis, roles: Sequence[str]
) -> Registration:
    """A new worker on the lowest free node. Two at once may draw the same: uq_worker_node_alive refuses one.

    A node rests for a minute after its worker: ids have the time of whoever makes them, and the next one may be on
    a machine whose clock is behind. Only when all others are taken is it used at once.
    """
    last = await connection.execute(
        select(worker.c.node, worker.c.ended_at).where(
            worker.c.ended_at.is_(None) | (worker.c.ended_at > now - _REST)
        )
    )
    ended: dict[int, Millis | None] = {}
    for number, at in last:
        before = ended.get(number, 0)
        ended[number] = None if at is None or before is None else max(at, before)
    node = next((n for n in range(MAX_NODE + 1) if n not in ended), None)
    if node is None:
        rested = [(at, number) for number, at in ended.items() if at is not None]
        node = min(rested)[1] if rested else None
    if node is None:
        raise StoreError(f"there are {MAX_NODE + 1} live workers already; ids have no room for more")
    values = {
        "node": node,
        "host": host,
        "pid": pid,
        "started_at": now,
        "expires_at": now + ttl,
        "roles": ",".join(roles),
    }
    created = await connection.execute(insert(worker).values(values).returning(worker.c.id))
    return Registration(created.scalar_one(), node)


async def roles_alive(connection: AsyncConnection, roles: Sequence[str], now: Millis) -> dict[str, int]:
    """How many living workers do each of ``roles``. Those of whom it is not known count for all."""
    query = select(worker.c.roles).where(worker.c.ended_at.is_(None), worker.c.expires_at > now)
    alive = [set(text.split(",")) if text else set(roles) for text in await connection.scalars(query)]
    return {role: sum(role in one for one in alive) for role in roles}


async def heartbeat(connection: AsyncConnection, worker_id: int, now: Millis, ttl: Millis) -> bool:
    renewed = await connection.execute(
        update(worker).where(worker.c.id == worker_id, worker.c.ended_at.is_(None)).values(expires_at=now + ttl)
    )
    return renewed.rowcount == 1


async def end(connection: AsyncConnection, worker_id: int, now: Millis) -> None:
    """Mark ``worker_id`` as ended and give up its leases."""
    await connection.execute(
        update(worker).where(worker.c.id == worker_id, worker.c.ended_at.is_(None)).values(ended_at=now)
    )
    await connection.execute(delete(lease).where(lease.c.owner == worker_id))


async def end_expired(connection: AsyncConnection, now: Millis) -> list[int]:
    """End every worker whose time has run out; returns their ids."""
    ended = await connection.execute(
        update(worker)
        .where(worker.c.ended_at.is_(None), worker.c.expires_at <= now)
        .values(ended_at=now)
        .returning(worker.c.id)
    )
    ids = list(ended.scalars())
    if ids:
        await connection.execute(delete(lease).where(lease.c.owner.in_(ids)))
    return ids


async def has_lost(connection: AsyncConnection, now: Millis, *, expired: bool) -> bool:
    """Whether ``reap`` has anything to do: a look without a write, for the many times when all is well."""
    late = select(worker.c.id).where(worker.c.ended_at.is_(None), worker.c.expires_at <= now).limit(1)
    if expired and (await connection.execute(late)).first() is not None:
        return True
    return bool(await lost_owners(connection))


async def lost_owners(connection: AsyncConnection) -> list[int]:
    """Owners of deliveries in SENDING that are not alive, whether their row in ``worker`` still exists or not.

    Steps from owner to owner through ix_delivery_owner, so the cost is in the number of owners.
    """
    rows = await connection.execute(text(_LOST_OWNERS))
    return [row[0] for row in rows]


_LOST_OWNERS = f"""
    WITH RECURSIVE o(owner) AS (
        SELECT (SELECT owner FROM delivery WHERE {SENDING_SQL} ORDER BY owner LIMIT 1)
        UNION ALL
        SELECT (SELECT owner FROM delivery WHERE {SENDING_SQL} AND owner > o.owner ORDER BY owner LIMIT 1)
        FROM o WHERE o.owner IS NOT NULL
    )
    SELECT owner FROM o WHERE owner IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM worker WHERE worker.id = o.owner AND worker.ended_at IS NULL)
"""


_KEYS = (delivery.c.account_id, delivery.c.message_id, delivery.c.number)


async def owned(connection: AsyncConnection, owner: int, before: Millis) -> list[DeliveryKey]:
    found = select(*_KEYS).where(text(SENDING_SQL), delivery.c.owner == owner, delivery.c.due_at < before)
    return [DeliveryKey(*row) for row in await connection.execute(found)]


async def free(
    connection: AsyncConnection,
    owner: int,
    now: Millis,
    limit: int,
    next_id: NextId,
    *,
    wait: bool,
    keys: Sequence[DeliveryKey] | None = None,
) -> int:
    """Make up to ``limit`` deliveries of ``owner`` (of ``keys``, if given) due again: at once, or after a wait that
    grows with attempts."""
    chosen = select(*_KEYS, delivery.c.attempts, delivery.c.due_at).where(
        text(SENDING_SQL), delivery.c.owner == owner
    )
    if keys is not None:
        chosen = chosen.where(tuple_(*_KEYS).in_(keys))
    found = (await connection.execute(chosen.limit(limit).with_for_update(skip_locked=True))).all()
    if not found:
        return 0
    lost = [
        lost_rows(account, message, number, attempts, owner, began, now, next_id(now))
        for account, message, number, attempts, began in found
    ]
    changes: list[dict[str, Any]] = [
        {"a": account, "m": message, "n": number, "due": now + (lost_wait(attempts) if wait else 0)}
        for account, message, number, attempts, _ in found
    ]
    await connection.execute(insert(attempt), [_named(attempt, row) for row, _ in lost])
    await connection.execute(insert(event), [_named(event, row) for _, row in lost])
    await connection.execute(
        update(delivery)
        .where(_KEYS[0] == bindparam("a"), _KEYS[1] == bindparam("m"), _KEYS[2] == bindparam("n"))
        .values(
            state=int(State.DEFERRED),
            cause=int(Cause.OURS),
            reason=LOST.text(),
            said=LOST.encode(),
            wait=int(Wait.WORKER_LOST),
            diagnosis=int(Diagnosis.UNREPORTED),
            owner=None,
            due_at=bindparam("due"),
            updated_at=now,
        ),
        changes,
    )
    return len(found)


async def settle(connection: AsyncConnection, owner: int, outcomes: Sequence[Outcome], why: Said) -> None:
    """See ``store.api.Store.settle``."""
    for outcome in outcomes:
        d = outcome.delivery
        final = outcome.state.final
        await connection.execute(
            update(delivery)
            .where(
                _KEYS[0] == d.message.account_id,
                _KEYS[1] == d.message.id,
                _KEYS[2] == d.number,
                delivery.c.state == int(State.SENDING),
                delivery.c.owner == owner,
                delivery.c.attempts == d.attempts,
            )
            .values(
                state=int(outcome.state if final else State.HELD),
                cause=int(outcome.diagnosis.cause if final else Cause.OURS),
                reason=why.text(),
                said=why.encode(),
                holds=0 if final else int(Hold.UNREADABLE),
                held="",
                diagnosis=int(outcome.diagnosis),
                owner=None,
                updated_at=outcome.attempt.finished_at,
            )
        )


def _named(table: Any, row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(table.c.keys(), row, strict=True))


async def lease_held(
    connection: AsyncConnection, name: str, worker_id: int, now: Millis, ttl: Millis
) -> bool | None:
    """Whether the duty is this worker's for half of ``ttl`` at least; ``None``: it has to be taken or renewed."""
    found = (
        await connection.execute(select(lease.c.owner, lease.c.expires_at).where(lease.c.name == name))
    ).first()
    if found is None:
        return None
    if found.owner == worker_id:
        return True if found.expires_at - now > ttl / 2 else None
    return False if found.expires_at > now else None


async def take_lease(connection: AsyncConnection, name: str, worker_id: int, now: Millis, ttl: Millis) -> bool:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    new = dialect.insert(lease).values(name=name, owner=worker_id, expires_at=now + ttl)
    taken = await connection.execute(
        new.on_conflict_do_update(
            index_elements=[lease.c.name],
            set_={"owner": new.excluded.owner, "expires_at": new.excluded.expires_at},
            where=(lease.c.owner == worker_id) | (lease.c.expires_at <= now),
        ).returning(lease.c.name)
    )
    return taken.first() is not None


LOOKED_AT = 2_000
"""Accounts that one look for due ones passes at most: some milliseconds, however many have mail for later."""

# From account to account through ix_delivery_turn, and for each one whether its first in a priority is due: the
# cost is in the number of accounts that are passed. The last of them is told in any case.
_NEXT_ACCOUNT = f"FROM delivery AS d WHERE d.{WAITING_SQL} AND d.account_id > "
# With an order and a limit: PostgreSQL would read the whole table for any one that is due.
_HAS_DUE = " OR ".join(
    f"(SELECT d.due_at FROM delivery AS d WHERE d.{WAITING_SQL} AND d.account_id = turn.account_id "
    f"AND d.priority = {int(priority)} ORDER BY d.due_at LIMIT 1) <= :now"
    for priority in Priority
)
DUE_ACCOUNTS_SQL = (
    f"WITH RECURSIVE turn(account_id, n) AS (SELECT (SELECT d.account_id {_NEXT_ACCOUNT} :after "
    "ORDER BY d.account_id LIMIT 1), 1 "
    f"UNION ALL SELECT (SELECT d.account_id {_NEXT_ACCOUNT} turn.account_id ORDER BY d.account_id LIMIT 1), n + 1 "
    f"FROM turn WHERE turn.account_id IS NOT NULL AND n < {LOOKED_AT}"
    f") SELECT account_id, n, ({_HAS_DUE}) AS due FROM turn "
    f"WHERE account_id IS NOT NULL AND (n = {LOOKED_AT} OR {_HAS_DUE}) LIMIT :limit"
)
_DUE_ACCOUNTS = text(DUE_ACCOUNTS_SQL)


async def due_accounts(connection: AsyncConnection, now: Millis, after: int, limit: int) -> DueAccounts:
    """See ``store.api.Store``."""
    found = (await connection.execute(_DUE_ACCOUNTS, {"now": now, "after": after, "limit": limit})).all()
    last = found[-1] if found else None
    more = last is not None and (len(found) == limit or last.n == LOOKED_AT)
    return DueAccounts([row.account_id for row in found if row.due], last.account_id if last and more else 0)


# Built once: it is asked before every claim. The first entry of ix_delivery_due for each priority.
_NEXT_DUE = union_all(
    *(
        select(
            select(delivery.c.due_at)
            .where(text(WAITING_SQL), delivery.c.priority == int(priority))
            .order_by(delivery.c.due_at)
            .limit(1)
            .scalar_subquery()
            .label("due_at")
        )
        for priority in Priority
    )
)


async def next_due(connection: AsyncConnection) -> Millis | None:
    """The earliest due time of what waits."""
    due = [row[0] for row in await connection.execute(_NEXT_DUE) if type(row[0]) is int]
    return min(due, default=None)


async def stats(connection: AsyncConnection) -> QueueStats:
    """Counts over the partial indexes alone: finished deliveries cost nothing."""
    by_state: dict[State, int] = {}
    waiting = select(delivery.c.state, func.count()).where(text(WAITING_SQL)).group_by(delivery.c.state)
    for state, count in await connection.execute(waiting):
        by_state[State(state)] = count
    for state, condition in ((State.SENDING, SENDING_SQL), (State.HELD, HELD_SQL)):
        count = await connection.scalar(select(func.count()).select_from(delivery).where(text(condition)))
        by_state[state] = count or 0
    for state in (State.SCHEDULED, State.QUEUED, State.DEFERRED):
        by_state.setdefault(state, 0)
    alive = await connection.scalar(select(func.count()).select_from(worker).where(worker.c.ended_at.is_(None)))
    held = await connection.scalar(select(func.count()).select_from(lease))
    return QueueStats(by_state, await next_due(connection), alive or 0, held or 0)
