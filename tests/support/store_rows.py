"""Messages, deliveries and outcomes for the tests of the store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ekiden.core.clock import Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory
from ekiden.core.states import Priority, State
from ekiden.store.records import Attempt, Delivery, Message, NewMessage, Outcome

NOW: Millis = 1_767_225_600_000
TTL: Millis = 60_000


@dataclass
class Maker:
    """Makes what a door and a dispatcher would make. ``ids`` is shared by nothing else in a test."""

    account: int = 1
    ids: IdFactory = field(default_factory=lambda: IdFactory(1000))

    def message(
        self,
        recipients: int = 1,
        *,
        state: State = State.QUEUED,
        due_at: Millis = NOW,
        priority: Priority = Priority.STANDARD,
        content: bytes = b"Subject: hello\r\n\r\nbody\r\n",
        at: Millis = NOW,
        subject: str = "hello",
        account: int | None = None,
    ) -> NewMessage:
        message = Message(
            account_id=account or self.account,
            id=self.ids.next(at),
            credential_id=7,
            sender="sender@example.com",
            size=len(content),
            priority=priority,
            ret="HDRS",
            envid="QQ314159",
            smtputf8=False,
            eight_bit=True,
            accepted_at=at,
            expires_at=at + 5 * 86_400_000,
            header_id="<1@example.com>",
            subject=subject,
            origin='{"via":"ESMTPSA"}',
            labels='{"campaign":"spring"}',
        )
        deliveries = [
            Delivery(
                message=message,
                number=number,
                recipient=f"r{number}@example.org",
                domain="example.org",
                notify=2,
                orcpt=f"rfc822;r{number}@example.org",
                state=state,
                due_at=due_at,
                attempts=1 if state is State.SENDING else 0,
            )
            for number in range(1, recipients + 1)
        ]
        accepted = Event(message.account_id, message.id, 0, EventType.ACCEPTED, at, {"via": "ESMTPSA"})
        return NewMessage(message, content, deliveries, [accepted])


_EVENTS = {
    State.DELIVERED: EventType.DELIVERED,
    State.DEFERRED: EventType.DEFERRED,
    State.BOUNCED: EventType.BOUNCED,
    State.EXPIRED: EventType.EXPIRED,
    State.HELD: EventType.HELD,
}


def outcome(
    delivery: Delivery,
    state: State = State.DELIVERED,
    *,
    at: Millis = NOW + 1000,
    due_at: Millis | None = None,
    events: Sequence[Event] | None = None,
) -> Outcome:
    m = delivery.message
    code = 250 if state is State.DELIVERED else 451
    happened = Event(m.account_id, m.id, delivery.number, _EVENTS[state], at, {"host": "mx1.example.org"})
    return Outcome(
        delivery=delivery,
        state=state,
        diagnosis=Diagnosis.NONE if state is State.DELIVERED else Diagnosis.RATE_IP,
        code=code,
        enhanced=f"{code // 100}.0.0",
        reason=f"{code} said the peer",
        due_at=at if due_at is None else due_at,
        attempt=Attempt(
            started_at=delivery.due_at,
            finished_at=at,
            host="mx1.example.org",
            address="127.0.0.1:25",
            tls="TLSv1.3 TLS_AES_256_GCM_SHA384",
            reply=f"{code} {code // 100}.0.0 said the peer",
            dialogue="S: 220 mx1.example.org\nC: EHLO mail.example.com",
        ),
        events=[happened] if events is None else events,
    )
