"""What the checks of ``ekiden doctor`` ask of the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, func, insert, select, text

from ekiden.core.states import Hold
from ekiden.store.holds import has_hold
from ekiden.store.tables import HELD_SQL, SENDING_SQL, account, delivery, lease, worker

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.store.api import Connection

_UNDER_WAY = text(SENDING_SQL)
_LIMITS = text(
    "SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, "
    "(SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend')"
)


async def busiest_accounts(connection: Connection, most: int) -> Sequence[Any]:
    """``account_id``, ``name``, ``number`` of deliveries under way and ``since`` when the oldest of them is."""
    counted = (
        select(delivery.c.account_id, func.count().label("number"), func.min(delivery.c.due_at).label("since"))
        .where(_UNDER_WAY)
        .group_by(delivery.c.account_id)
        .subquery()
    )
    query = (
        select(counted, account.c.name)
        .join_from(counted, account, account.c.id == counted.c.account_id, isouter=True)
        .order_by(counted.c.number.desc())
        .limit(most)
    )
    return (await connection.execute(query)).all()


async def oldest_domain(connection: Connection, account_id: int) -> str | None:
    """That of the account's delivery that has been under way for longest."""
    query = select(delivery.c.domain).where(_UNDER_WAY, delivery.c.account_id == account_id)
    found: str | None = await connection.scalar(query.order_by(delivery.c.due_at).limit(1))
    return found


async def unreadable(connection: Connection) -> tuple[int, int | None]:
    """How many deliveries are held because of rows that cannot be read or written, and the first one's message."""
    query = select(func.count(), func.min(delivery.c.message_id)).where(text(HELD_SQL), has_hold(Hold.UNREADABLE))
    count, first = (await connection.execute(query)).one()
    return count, first


async def write_and_remove(connection: Connection, name: str, now: Millis) -> None:
    """A row, as accepting a message needs it."""
    await connection.execute(insert(lease).values(name=name, owner=0, expires_at=now))
    await connection.execute(delete(lease).where(lease.c.name == name))


async def workers(connection: Connection) -> Sequence[Any]:
    """Rows of those that have not ended; their lease may have."""
    return (await connection.execute(select(worker).where(worker.c.ended_at.is_(None)))).all()


async def last_start(connection: Connection) -> Millis | None:
    """When the youngest worker, alive or not, says that it was started."""
    found: Millis | None = await connection.scalar(select(func.max(worker.c.started_at)))
    return found


async def server_connections(connection: Connection) -> tuple[int, int]:
    """Of PostgreSQL: how many clients may have, and how many are open."""
    limit, used = (await connection.execute(_LIMITS)).one()
    return limit, used
