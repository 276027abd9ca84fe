"""Puts messages in every state into a store, through its own interface."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, Millis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import EPOCH, NODE_BITS, SEQUENCE_BITS, IdFactory
from ekiden.core.notices import Route
from ekiden.core.states import Priority, State
from ekiden.core.submission import NO_MARKS, Marks
from ekiden.delivery.verdict import classify
from ekiden.store.api import Store
from ekiden.store.records import Attempt, Delivery, Message, NewMessage, Outcome, Registration
from ekiden.store.tables import account

NOW: Millis = 1_800_000_000_000
"""For tests to which it does not matter when they are."""
CONTENT = b"Subject: hello\r\n\r\nbody\r\n"
_EVENTS = {
    State.DELIVERED: EventType.DELIVERED,
    State.DEFERRED: EventType.DEFERRED,
    State.BOUNCED: EventType.BOUNCED,
    State.EXPIRED: EventType.EXPIRED,
}


class Rows:
    """``now`` is the time of the tests; ages count back from it."""

    def __init__(self, store: Store, worker: Registration, operator: Registration, now: Millis) -> None:
        self.store = store
        self.worker = worker
        self.ids = IdFactory(operator.node)
        self.now = now
        self._number = itertools.count(1)

    @classmethod
    async def make(cls, store: Store, now: Millis) -> Rows:
        worker = await store.register_worker("test.example", 1, now, DAY)
        return cls(store, worker, await store.register_worker("test.example", 2, now, DAY), now)

    def _id(self, accepted: Millis) -> int:
        # A factory never goes back in time, but these messages come in any order of age.
        node_and_sequence = self.worker.node << SEQUENCE_BITS | next(self._number)
        return (accepted - EPOCH) << (NODE_BITS + SEQUENCE_BITS) | node_and_sequence

    async def account(self, name: str = "acme") -> int:
        async with self.store.read() as connection:
            row = (await connection.execute(select(account.c.id).where(account.c.name == name))).one_or_none()
        return row.id if row is not None else (await create_account(self.store, name, self.now)).id

    async def message(
        self,
        *recipients: str,
        state: State = State.QUEUED,
        age: Millis = 0,
        due_in: Millis = 0,
        sender: str = "sender@example.com",
        account: str = "acme",
        priority: Priority = Priority.STANDARD,
        header_id: str = "",
        origin: dict[str, str] | None = None,
        reason: str = "",
        subject: str = "hello",
        credential_id: int = 0,
        marks: Marks = NO_MARKS,
        routes: tuple[Route, ...] = (),
    ) -> NewMessage:
        """A message whose deliveries are all in the same state, not final."""
        account_id = await self.account(account)
        accepted = self.now - age
        message = Message(
            account_id,
            self._id(accepted),
            credential_id,
            sender,
            len(CONTENT),
            priority,
            None,
            None,
            False,
            False,
            accepted,
            accepted + 5 * DAY,
            header_id or f"<{next(self._number)}@example.com>",
            subject,
            json.dumps(origin or {"via": "ESMTPSA", "client": "192.0.2.7"}),
            marks=marks,
            routes=routes,
        )
        deliveries = [
            Delivery(
                message,
                number,
                recipient,
                parse_address(recipient).domain,
                0,
                None,
                state,
                self.now + due_in,
                attempts=1 if state is State.SENDING else 0,
                reason=reason,
            )
            for number, recipient in enumerate(recipients, 1)
        ]
        accepted_event = Event(account_id, message.id, 0, EventType.ACCEPTED, accepted)
        new = NewMessage(message, CONTENT, deliveries, [accepted_event])
        await self.store.accept(self.worker.id, new)
        return new

    async def attempted(
        self,
        *recipients: str,
        state: State,
        reply: str = "450 4.2.0 later",
        due_in: Millis = 0,
        age: Millis = 0,
        account: str = "acme",
        sender: str = "sender@example.com",
        only: Sequence[int] = (),
        credential_id: int = 0,
        routes: tuple[Route, ...] = (),
        tls: str = "TLSv1.3 TLS_AES_256_GCM_SHA384",
        dialogue: str | None = None,
    ) -> NewMessage:
        """A message whose deliveries (or only those numbers) were attempted once, with this outcome."""
        new = await self.message(
            *recipients,
            state=State.SENDING,
            age=age,
            account=account,
            sender=sender,
            credential_id=credential_id,
            routes=routes,
        )
        code, enhanced = int(reply[:3]), reply.split()[1]
        diagnosis = classify(code, enhanced, reply.partition(enhanced)[2]).diagnosis
        outcomes = [
            Outcome(
                delivery,
                state,
                diagnosis,
                code,
                enhanced,
                reply,
                self.now + due_in,
                Attempt(
                    self.now - 1500,
                    self.now - 1000,
                    "mx.example.net",
                    "127.0.0.9:25",
                    tls,
                    reply,
                    dialogue or f"S: 220 mx.example.net ESMTP\nC: EHLO test.example\nS: {reply}",
                ),
                [Event(*delivery.key, _EVENTS[state], self.now - 1000, {}, diagnosis)],
            )
            for delivery in new.deliveries
            if not only or delivery.number in only
        ]
        assert all(await self.store.finish(self.worker.id, outcomes))
        return new
