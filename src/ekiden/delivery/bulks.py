"""Bulks: what one request of a sender has brought, to be seen, moved to another time, paused, resumed, cancelled.

A bulk has no state of its own. What it is follows from its deliveries, and a change of it is a change of each of
them, with an event of its own. So a bulk can be changed while workers send it: what a worker has taken is left to
the worker, and the rest changes.

What a sender may do is less than what an operator may: what waits for the quota of the account is never moved
forward, and what an operator holds stays held when its sender resumes it. So does what its sender paused when an
operator releases it: each has a hold of their own (``core.states.Hold``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ekiden.core.clock import Clock, Millis
from ekiden.core.ids import IdFactory, id_time
from ekiden.core.states import WAITING, State
from ekiden.core.texts import Texts, TranslatedError
from ekiden.delivery.bulk_queries import (
    bulk_facts,
    movable_messages,
    move_messages,
    select_bulk,
)
from ekiden.delivery.log_queries import can_be_kept
from ekiden.delivery.queue_changes import Action, apply_action

if TYPE_CHECKING:
    from ekiden.store.api import Store

TEXTS: Final = Texts("delivery/bulks")

_ROUNDS: Final = 3
"""How often what is left is looked for: workers give back what they had taken meanwhile."""


class BulkError(TranslatedError):
    """Nothing of the bulk was changed."""

    def __init__(self, template: str, bulk: str) -> None:
        super().__init__(TEXTS, template, bulk=bulk)


class BulkNotFound(BulkError, LookupError):
    """The account has sent nothing with that bulk, or it is not kept any more."""

    def __init__(self, bulk: str) -> None:
        super().__init__("there is no bulk {bulk}", bulk)


class BulkNotAllowed(BulkError):
    """What was asked for cannot be done to a bulk that stands where this one does."""


@dataclass(frozen=True, slots=True)
class Bulk:
    """A bulk as it stands.

    ``counts``: deliveries by state. ``paused``: how many of those that are ``HELD`` their sender has paused.
    ``begun``: those that were tried, or are due. ``send_at``: the next time of those that wait for one or are
    paused and were never tried; once there are none, when the first was accepted.
    """

    name: str
    first_id: int
    """The smallest of its message ids: what names it among all bulks."""
    counts: Mapping[State, int]
    paused: int
    movable: int
    """Those that wait for a time, or are paused, and were never tried."""
    begun: int
    send_at: Millis

    @property
    def waiting(self) -> int:
        """Deliveries that a worker will take."""
        return sum(count for state, count in self.counts.items() if state in WAITING)

    @property
    def unfinished(self) -> int:
        """Deliveries that are not final."""
        return sum(count for state, count in self.counts.items() if not state.final)


class Bulks:
    """The bulks of every account. ``ids`` must have a node of its own (``store.register_worker``)."""

    def __init__(self, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._store = store
        self._clock = clock
        self._ids = ids

    async def get(self, account_id: int, bulk: str) -> Bulk | None:
        """The bulk of that name; ``None``: there is none."""
        if not can_be_kept(bulk):
            return None
        facts = await bulk_facts(self._store, account_id, bulk)
        if facts is None:
            return None
        return Bulk(
            bulk,
            facts.first_id,
            facts.counts,
            facts.paused,
            facts.movable,
            facts.begun,
            id_time(facts.first_id) if facts.send_at is None else facts.send_at,
        )

    async def reschedule(self, account_id: int, bulk: str, send_at: Millis) -> Bulk:
        """Send it at another time; a time that is over means now, and what is paused stays paused.

        Returns the bulk as it stands then. Raises ``BulkNotFound``, and ``BulkNotAllowed`` once anything of it was
        tried or is due.
        """
        found = await self._found(account_id, bulk)
        moved = 0
        if found.movable and not found.begun:
            ids = await movable_messages(self._store, account_id, bulk)
            moved = await move_messages(self._store, account_id, ids, send_at, self._clock.now)
        if not moved:
            raise BulkNotAllowed(
                "bulk {bulk}: its sending has begun, or there is nothing that waits for a time", bulk
            )
        return await self._found(account_id, bulk)

    async def pause(self, account_id: int, bulk: str, by: str) -> Bulk:
        """Hold everything that waits, or that others hold; each keeps its time. Nothing changes when all of it is
        paused already.

        ``by`` goes into the events, here and below. What a worker sends just now is not stopped, but held should it
        be deferred before this returns. Raises ``BulkNotFound`` and ``BulkNotAllowed``, as all do.
        """
        found = await self._found(account_id, bulk)
        if not found.waiting and not found.counts.get(State.HELD):
            raise BulkNotAllowed("bulk {bulk}: there is nothing to pause", bulk)
        await self._apply(account_id, bulk, Action.HOLD, by)
        return await self._found(account_id, bulk)

    async def resume(self, account_id: int, bulk: str, by: str) -> Bulk:
        """Let go what its sender paused: for its time, or now if that is over; what others hold stays held. Nothing
        changes when nothing is paused and something is still to be sent."""
        found = await self._found(account_id, bulk)
        if not found.paused and not found.waiting and not found.counts.get(State.SENDING):
            raise BulkNotAllowed("bulk {bulk}: there is nothing to resume", bulk)
        await self._apply(account_id, bulk, Action.RELEASE, by)
        return await self._found(account_id, bulk)

    async def cancel(self, account_id: int, bulk: str, by: str) -> Bulk:
        """Take back whatever waits or is held, by whomever. Nothing changes when all of the rest was before.

        What a worker sends just now goes out; if it is deferred, cancelling again ends it.
        """
        found = await self._found(account_id, bulk)
        done_before = not found.unfinished and found.counts.get(State.CANCELLED)
        if not found.waiting and not found.counts.get(State.HELD) and not done_before:
            raise BulkNotAllowed("bulk {bulk}: there is nothing to cancel", bulk)
        await self._apply(account_id, bulk, Action.CANCEL, by)
        return await self._found(account_id, bulk)

    async def _found(self, account_id: int, bulk: str) -> Bulk:
        found = await self.get(account_id, bulk)
        if found is None:
            raise BulkNotFound(bulk)
        return found

    async def _apply(self, account_id: int, bulk: str, action: Action, by: str) -> None:
        for _ in range(_ROUNDS):
            missed = 0
            chosen = await select_bulk(self._store, account_id, bulk, action)
            async for change in apply_action(self._store, chosen, self._ids, self._clock.now, by):
                missed += change.missed
            if not missed:
                return
