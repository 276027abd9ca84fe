"""Messages with routes, receivers that are watched, and outboxes on a clock of the tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from sqlalchemy import func, select, update

from ekiden.access.accounts import create_account
from ekiden.access.vault import Vault
from ekiden.core.clock import DAY
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory
from ekiden.core.notices import Happening, News, Route
from ekiden.core.said import say
from ekiden.core.states import Priority, State
from ekiden.core.submission import NO_MARKS, Marks
from ekiden.dns.resolver import NoSuchDomain
from ekiden.lab.http import Callback, HttpServer, Receiver
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.endpoints import Endpoints
from ekiden.notify.formats import by_name
from ekiden.notify.options import MOST_EVENTS, Options
from ekiden.notify.outbox import Outbox
from ekiden.notify.queries import due_endpoints
from ekiden.notify.ssrf import Destinations
from ekiden.store.api import Store
from ekiden.store.records import Attempt, Delivery, Message, NewMessage, Noted, Outcome, Registration
from ekiden.store.tables import callback, endpoint, notice
from support.manual_clock import ManualClock

VAULT = Vault(b"k" * 32)
LAB = Destinations(loopback_only=True)
ALL = int(News.FINAL | News.INTERMEDIATE | News.TRACKING)


class Batched:
    """Many events in a request, as JSON."""

    name = "batched"
    content_type = "application/json"

    def __init__(self, batch: int = 100) -> None:
        self.batch = batch

    def wants(self, happening: Happening) -> bool:
        return happening.type is not EventType.RELEASED

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        for happening in happenings:
            if happening.subject == "unspeakable":
                raise ValueError("no words for it")
        return json.dumps({"results": [fact(happening) for happening in happenings]}).encode()


class Single(Batched):
    """One event in a request."""

    name = "single"
    batch = 1

    def __init__(self) -> None:
        super().__init__(1)


def fact(happening: Happening) -> dict[str, Any]:
    return {
        "id": happening.event_id,
        "type": happening.type.name,
        "message": happening.message_id,
        "to": happening.recipient,
        "subject": happening.subject,
    }


class Adjusted(Batched):
    """One whose endpoints say what is told."""

    name = "adjusted"

    def __init__(self, batch: int = MOST_EVENTS, prefix: str = "") -> None:
        super().__init__(batch)
        self.prefix = prefix

    def settled(self, settings: Mapping[str, Any]) -> Adjusted:
        if settings.keys() - {"prefix"}:
            raise ValueError(f"unknown: {sorted(settings)}")
        return Adjusted(self.batch, settings.get("prefix", ""))

    def encode(self, happenings: Sequence[Happening]) -> bytes:
        return json.dumps({"prefix": self.prefix, "results": [fact(item) for item in happenings]}).encode()


class Names:
    """A resolver that knows the names it is told."""

    def __init__(self, **addresses: list[str]) -> None:
        self.known = {name.replace("_", "."): found for name, found in addresses.items()}

    async def addresses(self, name: str) -> list[str]:
        try:
            return self.known[name]
        except KeyError:
            raise NoSuchDomain(name, say("no_such_domain", name=name)) from None


class World:
    """A store with an account, and a receiver."""

    def __init__(
        self,
        store: Store,
        clock: ManualClock,
        worker: Registration,
        account: int,
        receiver: Receiver,
        server: HttpServer,
        url: str,
    ) -> None:
        self.store = store
        self.clock = clock
        self.worker = worker
        self.account = account
        self.receiver = receiver
        self.server = server
        self.url = url
        self.ids = IdFactory(worker.node)
        self.endpoints = Endpoints(store, clock, VAULT)

    async def outbox(
        self,
        *,
        worker: Registration | None = None,
        config: CallbacksConfig | None = None,
        destinations: Destinations = LAB,
        names: Names | None = None,
        batch: int = 100,
    ) -> Outbox:
        worker = worker or self.worker
        return Outbox(
            self.store,
            self.clock,
            IdFactory(worker.node),
            worker.id,
            config or CallbacksConfig(timeout=5.0),
            by_name([Batched(batch), Single(), Adjusted()]),
            VAULT,
            names or Names(),  # type: ignore[arg-type]
            destinations,
        )

    async def route(self, path: str = "/hook", format: str = "batched", news: int = ALL) -> Route:
        return Route(await self.endpoints.find(self.account, format, self.url + path), news)

    async def set_options(self, route: Route, options: Options) -> None:
        async with self.store.write() as connection:
            changed = update(endpoint).where(endpoint.c.id == route.endpoint_id).values(options.columns())
            await connection.execute(changed)

    async def accept(
        self,
        *routes: Route,
        to: Sequence[str] = ("a@x.example",),
        marks: Marks = NO_MARKS,
        subject: str = "hello",
        labels: dict[str, str] | None = None,
    ) -> NewMessage:
        """A message that this worker is sending."""
        now = self.clock.now()
        message = Message(
            self.account,
            self.ids.next(now),
            0,
            "s@src.example",
            100,
            Priority.STANDARD,
            None,
            None,
            False,
            False,
            now,
            now + 5 * DAY,
            subject=subject,
            labels=json.dumps(labels or {}),
            marks=marks,
            routes=routes,
        )
        deliveries = [
            Delivery(message, number, address, "x.example", 0, None, State.SENDING, now)
            for number, address in enumerate(to, 1)
        ]
        new = NewMessage(
            message, b"x\r\n", deliveries, [Event(self.account, message.id, 0, EventType.ACCEPTED, now)]
        )
        await self.store.accept(self.worker.id, new)
        return new

    async def delivered(self, new: NewMessage) -> None:
        """All its recipients have it."""
        now = self.clock.now()
        outcomes = [
            Outcome(
                delivery,
                State.DELIVERED,
                Diagnosis.NONE,
                250,
                "2.0.0",
                "250 2.0.0 Ok",
                now,
                Attempt(now - 40, now, "mx.x.example", reply="250 2.0.0 Ok"),
                [
                    Event(
                        self.account,
                        new.message.id,
                        delivery.number,
                        EventType.DELIVERED,
                        now,
                        {"code": 250, "enhanced": "2.0.0", "text": "250 2.0.0 Ok", "host": "mx.x.example"},
                    )
                ],
            )
            for delivery in new.deliveries
        ]
        assert all(await self.store.finish(self.worker.id, outcomes))

    async def note(self, new: NewMessage, type: EventType = EventType.OPENED, **data: Any) -> None:
        event = Event(self.account, new.message.id, 1, type, self.clock.now(), data)
        await self.store.note(self.worker.id, [Noted(event, new.message.routes)])

    async def notices(self, *, dead: bool | None = None) -> list[Any]:
        query = select(notice).order_by(notice.c.endpoint_id, notice.c.id)
        if dead is not None:
            query = query.where(notice.c.dead_at.is_not(None) if dead else notice.c.dead_at.is_(None))
        async with self.store.read() as connection:
            return list((await connection.execute(query)).all())

    async def log(self) -> list[Any]:
        async with self.store.read() as connection:
            return list((await connection.execute(select(callback).order_by(callback.c.id))).all())

    async def endpoint(self, id: int) -> Any:
        async with self.store.read() as connection:
            return (await connection.execute(select(endpoint).where(endpoint.c.id == id))).one()

    def told(self, path: str = "/hook") -> list[dict[str, Any]]:
        """Events in the order of their coming, those that were answered with 2xx."""
        return [
            item
            for request in self.receiver.find(path)
            if 200 <= request.status < 300
            for item in events_of(request)
        ]

    async def count_live(self) -> int:
        async with self.store.read() as connection:
            query = select(func.count()).select_from(notice).where(notice.c.dead_at.is_(None))
            return int(await connection.scalar(query) or 0)


def events_of(request: Callback) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = json.loads(request.body)["results"]
    return results


@asynccontextmanager
async def running(outbox: Outbox) -> AsyncIterator[Outbox]:
    """Works meanwhile, and ends as a worker that is told to."""
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until(condition: Callable[[], Any], outbox: Outbox | None = None, *, seconds: float = 30.0) -> None:
    """Wait for what will come; fails when it does not."""
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if asyncio.iscoroutine(found):
                found = await found
            if found:
                return
            if outbox is not None:
                outbox.wake()
            await asyncio.sleep(0.01)


async def settled(world: World, outbox: Outbox) -> None:
    """Wait until the outbox has tried everything whose time has come."""

    async def nothing_is_due() -> bool:
        async with world.store.read() as connection:
            due = await due_endpoints(connection, world.worker.id, world.clock.now(), (), 0, 1)
        return not due and not outbox._rounds

    await until(nothing_is_due, outbox)


@asynccontextmanager
async def make_world(store: Store) -> AsyncIterator[World]:
    clock = ManualClock()
    worker = await store.register_worker("test.example", 1, clock.now(), 30 * DAY)
    account = (await create_account(store, "acme", clock.now())).id
    receiver = Receiver(100_000)
    server = HttpServer(receiver.handle)
    port = await server.start("127.0.0.1")
    try:
        yield World(store, clock, worker, account, receiver, server, f"http://127.0.0.1:{port}")
    finally:
        await server.close()
