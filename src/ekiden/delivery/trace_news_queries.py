"""Who is told what becomes of a message, and how far that has come, for the trace."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.core.language import Language
from ekiden.core.notices import News
from ekiden.core.said import in_words
from ekiden.delivery.trace_queries import MessageTrace
from ekiden.store.api import Store
from ekiden.store.row_values import value_of
from ekiden.store.tables import callback, endpoint, event, notice


@dataclass(frozen=True, slots=True)
class TracedRoute:
    """One endpoint of a message. ``waiting`` and ``dead`` count what of this message is not told, or given up.

    ``failures`` are of the endpoint, whatever the message; with them ``status`` and ``answer`` are those of the
    last request (``status`` 0: there was no answer), and nothing is sent before ``retry_at``.
    """

    endpoint_id: int
    format: str
    url: str
    news: News
    waiting: int
    dead: int
    failures: int
    retry_at: Millis
    status: int
    answer: str

    def told(self, lang: Language = "en") -> str:
        """``answer``, or why there is none."""
        return self.answer if self.status else in_words(self.answer, lang)


async def load_routes(store: Store, trace: MessageTrace) -> list[TracedRoute]:
    """In the order of the message's routes; endpoints that are gone are left out."""
    if not trace.routes:
        return []
    async with store.read() as connection:
        rows = await connection.execute(
            select(endpoint).where(endpoint.c.id.in_([route.endpoint_id for route in trace.routes]))
        )
        endpoints = {row.id: row for row in rows}
        counts = await _counts(connection, trace)
        found = []
        for route in trace.routes:
            row = endpoints.get(route.endpoint_id)
            if row is None:
                continue
            waiting, dead = counts.get(row.id, (0, 0))
            status, answer = await _last(connection, trace.account_id, row.id) if row.failures else (0, "")
            found.append(
                value_of(
                    TracedRoute,
                    row,
                    endpoint_id=row.id,
                    news=News(route.news),
                    waiting=waiting,
                    dead=dead,
                    status=status,
                    answer=answer,
                )
            )
    return found


async def _counts(connection: AsyncConnection, trace: MessageTrace) -> dict[int, tuple[int, int]]:
    """What waits and what was given up, by endpoint."""
    # By the ids of the message's events: each is a search of the primary key, however much waits in all.
    events = select(event.c.id).where(event.c.account_id == trace.account_id, event.c.message_id == trace.id)
    rows = await connection.execute(
        select(notice.c.endpoint_id, func.count().label("n"), func.count(notice.c.dead_at).label("dead"))
        .where(
            notice.c.account_id == trace.account_id,
            notice.c.endpoint_id.in_([route.endpoint_id for route in trace.routes]),
            notice.c.id.in_(events),
        )
        .group_by(notice.c.endpoint_id)
    )
    return {row.endpoint_id: (row.n - row.dead, row.dead) for row in rows}


async def _last(connection: AsyncConnection, account_id: int, endpoint_id: int) -> tuple[int, str]:
    rows = await connection.execute(
        select(callback.c.status, callback.c.answer)
        .where(callback.c.account_id == account_id, callback.c.endpoint_id == endpoint_id)
        .order_by(callback.c.id.desc())
        .limit(1)
    )
    row = rows.one_or_none()
    return (0, "") if row is None else (row.status, row.answer)
