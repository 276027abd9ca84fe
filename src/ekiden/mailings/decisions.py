"""What people decide about requests: which of those that wait may go, and which never will."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ekiden.access.audit import changed
from ekiden.mailings.counting_queries import change_tally, tally_to_change
from ekiden.mailings.numbers import PublicId
from ekiden.mailings.queries import RequestRow, cancel_pieces, change_request, get_request, held_requests
from ekiden.mailings.values import NotAllowedNow, RequestState

if TYPE_CHECKING:
    from ekiden.access.audit import Actor
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store


class Waiting(NamedTuple):
    """A request that somebody decides about. ``reserved_at``: the time that its sender asked for."""

    id: str
    account_id: int
    created_at: Millis
    reserved_at: Millis | None
    sender: str
    subject: str
    mails: int
    state: RequestState


class MailDecisions:
    """For commands: workers look by themselves whether there is something to be done."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def held(self, account_id: int | None = None) -> Sequence[Waiting]:
        """Those that wait to be confirmed, the oldest first; of one account or of all."""
        return [_waiting(row) for row in await held_requests(self._store, account_id)]

    async def confirm(self, account_id: int, id: str, actor: Actor) -> Waiting:
        """Let go a request that waits for it; for its time if that has not come.

        Raises ``NoSuchRequest``, ``NotAllowedNow``.
        """
        row = await get_request(self._store, account_id, id)
        async with self._store.write() as connection:
            states, state = (RequestState.HELD,), RequestState.DUE
            values = {"state": int(state), "decided_by": actor.name}
            if not await change_request(connection, account_id, row.id, states, **values):
                raise NotAllowedNow("mail request {id} does not wait to be confirmed", id=id)
            await changed(connection, account_id, self._clock.now(), actor, "mail_request.confirm", id)
        return _waiting(row)._replace(state=state)

    async def reject(self, account_id: int, id: str, actor: Actor) -> Waiting:
        """A request that waits to be confirmed is not sent at all. Raises as ``confirm``."""
        return await self._cancel(account_id, id, actor, "mail_request.reject", (RequestState.HELD,))

    async def cancel(self, account_id: int, id: str, actor: Actor) -> Waiting:
        """What has not become a message of it never will; those that have are ``delivery.bulks``'s to cancel."""
        states = (RequestState.HELD, RequestState.DUE)
        return await self._cancel(account_id, id, actor, "mail_request.cancel", states)

    async def _cancel(
        self, account_id: int, id: str, actor: Actor, action: str, states: Sequence[RequestState]
    ) -> Waiting:
        row = await get_request(self._store, account_id, id)
        state = RequestState.CANCELLED
        values = {"state": int(state), "resolving": 0, "decided_by": actor.name}
        async with self._store.write() as connection:
            if not await change_request(connection, account_id, row.id, states, **values):
                if len(states) > 1:
                    raise NotAllowedNow("mail request {id} has been sent, or cancelled", id=id)
                raise NotAllowedNow("mail request {id} does not wait to be confirmed", id=id)
            pieces = await cancel_pieces(connection, account_id, row.id)
            tally = await tally_to_change(connection, account_id, row.id)
            if tally is not None:
                tally.cancelled(pieces)
                await change_tally(connection, account_id, row.id, tally)
            await changed(connection, account_id, self._clock.now(), actor, action, id)
        return _waiting(row)._replace(state=state)


def _waiting(row: RequestRow) -> Waiting:
    return Waiting(
        PublicId(row.day, row.number).text,
        row.account_id,
        row.created_at,
        row.reserved_at,
        row.sender,
        row.subject,
        row.mails,
        RequestState(row.state),
    )
