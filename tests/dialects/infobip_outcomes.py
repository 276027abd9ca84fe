"""What becomes of messages sent over HTTP, without a road: a worker of the tests claims and finishes them."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from infobip_cloud import SENDER, Cloud

from ekiden.core.clock import DAY
from ekiden.core.events import Event, EventType
from ekiden.core.states import State
from ekiden.delivery.verdict import classify
from ekiden.store.records import Attempt, Delivery, Outcome, Registration

_EVENTS = {
    State.DELIVERED: EventType.DELIVERED,
    State.DEFERRED: EventType.DEFERRED,
    State.BOUNCED: EventType.BOUNCED,
    State.EXPIRED: EventType.EXPIRED,
}


class Outcomes:
    """``clock`` is the cloud's."""

    def __init__(self, cloud: Cloud, worker: Registration) -> None:
        self.cloud = cloud
        self._worker = worker

    @classmethod
    async def make(cls, cloud: Cloud) -> Outcomes:
        return cls(cloud, await cloud.store.register_worker("there", 1, cloud.services.clock.now(), DAY))

    async def send(self, *recipients: str, path: str = "/email/3/send", **fields: str) -> list[str]:
        """The ids of what the form API made of it."""
        given = {"from": SENDER, "subject": "Hello", "text": "Dear John", **fields}
        pairs = [("to", recipient) for recipient in recipients] + list(given.items())
        reply = await self.cloud.form(pairs, path=path)
        assert reply.status == 200, reply.body
        return [message["messageId"] for message in reply.json["messages"]]

    async def claim(self) -> list[Delivery]:
        """All that is due; it is being sent from now on."""
        return await self.cloud.store.claim(self._worker.id, self.cloud.services.clock.now(), 10_000)

    async def finish(
        self,
        state: State = State.DELIVERED,
        reply: str = "250 2.0.0 OK",
        deliveries: list[Delivery] | None = None,
        **facts: str,
    ) -> int:
        """How many of those that are due ended so. ``facts`` of the event besides."""
        found = await self.claim() if deliveries is None else deliveries
        now = self.cloud.services.clock.now()
        code, enhanced, text = reply.split(" ", 2)
        data = {"code": int(code), "enhanced": enhanced, "text": text, **facts}
        diagnosis = classify(int(code), enhanced, text).diagnosis
        outcomes = [
            Outcome(
                delivery,
                state,
                diagnosis,
                int(code),
                enhanced,
                text,
                now,
                Attempt(now - 20, now, "mx.shop.example", reply=reply),
                [Event(*delivery.key, _EVENTS[state], now, data, diagnosis)],
            )
            for delivery in found
        ]
        assert all(await self.cloud.store.finish(self._worker.id, outcomes))
        return len(outcomes)

    async def get(self, path: str, status: int = 200, **query: Any) -> Any:
        """A GET's JSON. A list in ``query`` repeats its parameter; ``from_`` is ``from``."""
        pairs = {name.rstrip("_"): value for name, value in query.items()}
        text = urlencode(pairs, doseq=True)
        reply = await self.cloud.request("GET", f"{path}?{text}" if text else path)
        assert reply.status == status, reply.body
        assert reply.headers["content-type"] == "application/json"
        return reply.json
