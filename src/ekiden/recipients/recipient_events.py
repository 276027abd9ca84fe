"""Events that the recipients of a message make, long after its delivery: opens, clicks, unsubscribing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import select

from ekiden.core.notices import Route, parse_routes
from ekiden.store.records import Noted
from ekiden.store.tables import event as event_table
from ekiden.store.tables import message as message_table

if TYPE_CHECKING:
    from ekiden.core.events import Event, EventType
    from ekiden.store.api import Store


class RecipientEvents:
    """``recipients.tracking_recorder.Noting`` on the store, for the worker of that id. Raises what that raises."""

    def __init__(self, store: Store, worker_id: int) -> None:
        self._store = store
        self._worker = worker_id

    def renewed(self, worker_id: int) -> None:
        """This process has another registration in the store."""
        self._worker = worker_id

    async def routes(self, account_id: int, message_id: int) -> tuple[Route, ...] | None:
        """Who is told of events of that message; ``None``: it is gone, and nothing can be said of it any more."""
        query = select(message_table.c.routes).where(
            message_table.c.account_id == account_id, message_table.c.id == message_id
        )
        async with self._store.read() as connection:
            text = await connection.scalar(query)
        return None if text is None else parse_routes(text)

    async def noted(self, account_id: int, message_id: int, number: int, kind: EventType) -> bool:
        """Whether there is an event of that kind for the recipient."""
        query = select(event_table.c.id).where(
            event_table.c.account_id == account_id,
            event_table.c.message_id == message_id,
            event_table.c.recipient_number == number,
            event_table.c.type == kind,
        )
        async with self._store.read() as connection:
            return await connection.scalar(query.limit(1)) is not None

    async def note(self, event: Event, routes: tuple[Route, ...]) -> None:
        """Write the event, and the notices of it for ``routes``; returns once they are on stable storage."""
        await self._store.note(self._worker, [Noted(event, routes)])
