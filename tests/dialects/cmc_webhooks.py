"""An account with event webhooks: door, outbox and settings upon a store, the lab's receiver, a clock of the tests.

What becomes of messages is said by the tests, as a road would report it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import parse_qsl

from cmc_outbox_process import KEY
from sqlalchemy import func, select

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor
from ekiden.access.vault import Vault
from ekiden.config.model import LabConfig, config_type
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, MINUTE, SECOND
from ekiden.core.diagnosis import Stage
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory
from ekiden.core.submission import Origin, Recipient, Submission
from ekiden.delivery.outcome import make_outcome
from ekiden.delivery.retry import Schedule
from ekiden.delivery.verdict import classify
from ekiden.dns.config import DnsConfig
from ekiden.lab.http import Callback, HttpServer, Receiver
from ekiden.notify.metrics import OutboxMetrics
from ekiden.notify.outbox import Outbox
from ekiden.store.api import Store
from ekiden.store.records import Attempt, Delivery, Noted, Registration
from ekiden.store.tables import notice
from ekiden.wiring.dialects import DIALECTS
from ekiden.wiring.services import Services
from ekiden.wiring.webhook_settings import WebhookSettings, make_webhook_settings
from support.manual_clock import ManualClock

ME = Actor("test")
HEADER = "From: =?UTF-8?B?5beu5Ye65Lq6?= <info@example.com>\r\nMessage-ID: <{number}@client.example>\r\n"
SUBJECT = "Subject: =?UTF-8?B?5Lu25ZCN?=\r\n"


CONFIG: Any = config_type(DIALECTS)(
    hostname="mail.example.org", lab=LabConfig(enabled=True), dns=DnsConfig(nameservers=("127.0.0.1",))
)


class Collector:
    """Who delivers: the tests do."""

    def __init__(self) -> None:
        self.offered: list[Delivery] = []

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return True

    def offer(self, deliveries: list[Delivery]) -> None:
        self.offered += deliveries


class Webhooks:
    """``url`` is that of the receiver."""

    def __init__(self, store: Store, receiver: Receiver, url: str, worker: Registration, account: int) -> None:
        self.store = store
        self.receiver = receiver
        self.url = url
        self.worker = worker
        self.account = account
        self.clock = ManualClock()
        self.vault = Vault(KEY)
        self.config = CONFIG
        ids = IdFactory(worker.node)
        self.services = Services(self.config, store, self.clock, ids, worker.id, self.vault)
        self.collector = Collector()
        self.door = self.services.door(self.collector)
        self.settings: WebhookSettings = make_webhook_settings(self.config, store, self.clock, self.vault)
        self._sent = 0

    async def save(self, *, password: str = "", api_key: str = "", path: str = "/hook", **fields: Any) -> None:
        given = {"url": self.url + path, "deliveries": True, "bounces": True, "format": "json", **fields}
        await self.settings.save_event(self.account, given, password=password, api_key=api_key, actor=ME)

    async def settle(self, **fields: Any) -> None:
        """Save and apply; every worker knows of it."""
        await self.save(**fields)
        await self.apply()

    async def apply(self) -> None:
        await self.settings.apply(self.account, actor=ME)
        self.clock.advance(2 * SECOND)

    async def send(
        self, *to: str, header: str = "", sender: str | None = "info@return.pro.example"
    ) -> list[Delivery]:
        """A message by SMTP, the deliveries of it that are to be made."""
        self._sent += 1
        content = HEADER.format(number=self._sent) + SUBJECT + header + "\r\nbody\r\n"
        submission = Submission(
            self.account,
            7,
            None if sender is None else parse_address(sender),
            [Recipient(parse_address(address)) for address in to or ("user@example.jp",)],
            content.encode(),
            Origin(via="ESMTPSA", client="192.0.2.1"),
        )
        await self.door.submit(submission)
        offered, self.collector.offered = self.collector.offered, []
        return offered

    async def finish(
        self, deliveries: Sequence[Delivery], reply: str = "250 2.0.0 Ok", stage: Stage = Stage.END
    ) -> None:
        """All of them ended so."""
        code, enhanced, text = reply.split(" ", 2)
        now = self.clock.now()
        attempt = Attempt(now - 40, now, "mx.example.jp", "192.0.2.99:25", reply=text, source="198.51.100.7")
        schedule = Schedule((MINUTE,))
        outcomes = [
            make_outcome(item, classify(int(code), enhanced, text, stage), attempt, schedule, 0.5)
            for item in deliveries
        ]
        assert all(await self.store.finish(self.worker.id, outcomes))

    async def note(self, delivery: Delivery, type_: EventType, **data: Any) -> None:
        """Something is heard of it later."""
        message = delivery.message
        event = Event(self.account, message.id, delivery.number, type_, self.clock.now(), data)
        await self.store.note(self.worker.id, [Noted(event, message.routes)])

    def outbox(self) -> Outbox:
        return self.services.outbox(OutboxMetrics())

    async def waiting(self) -> int:
        async with self.store.read() as connection:
            query = select(func.count()).select_from(notice).where(notice.c.dead_at.is_(None))
            return int(await connection.scalar(query) or 0)

    async def told(self, outbox: Outbox) -> None:
        """Everything that is due now, or will be as soon as it has gathered."""
        self.clock.advance(600 * SECOND)

        async def nothing_waits() -> bool:
            return not await self.waiting()

        await until(nothing_waits, outbox)

    def events(self, kind: str = "deliveries", path: str = "/hook") -> list[dict[str, Any]]:
        """Those that were taken, in the order of their coming."""
        return [
            item
            for request in self.receiver.find(path)
            if request.status == 200 and event_type(request) == kind
            for item in body_of(request)["event"][kind]
        ]


def body_of(request: Callback) -> dict[str, Any]:
    """Of a form or of JSON, with the events read."""
    if request.headers["Content-Type"] == "application/json":
        found: dict[str, Any] = json.loads(request.body)
        return found
    fields: dict[str, Any] = dict(parse_qsl(request.body.decode(), strict_parsing=True, keep_blank_values=True))
    return fields | {"event": json.loads(fields["event"])}


def event_type(request: Callback) -> str:
    return str(body_of(request)["event_type"])


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[Outbox]:
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Any], outbox: Outbox | None = None) -> None:
    """Wait for what will come; fails when it does not."""
    async with asyncio.timeout(30):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            if outbox is not None:
                outbox.wake()
            await asyncio.sleep(0.01)


@asynccontextmanager
async def make_webhooks(store: Store) -> AsyncIterator[Webhooks]:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now(), senders="any")
    worker = await store.register_worker("here", 1, clock.now(), 30 * DAY)
    receiver = Receiver(100_000)
    server = HttpServer(receiver.handle)
    port = await server.start("127.0.0.1")
    made = Webhooks(store, receiver, f"http://127.0.0.1:{port}", worker, account.id)
    try:
        yield made
    finally:
        await made.services.close()
        await server.close()
