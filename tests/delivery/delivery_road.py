"""The road from the store to a lab's servers: a dispatcher with real sockets, real DNS and a real store."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import select

from ekiden.core.address import parse_address
from ekiden.core.clock import DAY, Clock
from ekiden.core.events import Event, EventType
from ekiden.core.forward import Forward
from ekiden.core.ids import IdFactory
from ekiden.core.states import Priority, State
from ekiden.core.submission import Notify
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.dispatcher import Dispatcher
from ekiden.delivery.dsn import SignReport
from ekiden.delivery.envelope_senders import EnvelopeSenders
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.net.destinations import Destinations
from ekiden.net.network import LoopbackOnlyNetwork
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.records import Delivery, Message, NewMessage, Outcome, Registration
from ekiden.store.standing import Standing

ACCOUNT = 1
CONTENT = b"From: a@src.test\r\nTo: b@dst.test\r\nSubject: Hello\r\nMessage-ID: <1@src.test>\r\n\r\nHi.\r\n.dot\r\n"


class ShiftedClock(SystemClock):
    """The real clock, moved forward by hand: for deliveries that are old."""

    def __init__(self) -> None:
        self.ahead = 0
        self.leapt = 0.0

    def now(self) -> int:
        return super().now() + self.ahead

    def monotonic(self) -> float:
        return super().monotonic() + self.leapt

    def leap(self, seconds: float) -> None:
        """Both clocks: as if that time had passed."""
        self.ahead += round(seconds * 1000)
        self.leapt += seconds


class Counts:
    """``DeliveryMetrics`` that remembers."""

    def __init__(self) -> None:
        self.attempts: list[tuple[State, Any]] = []
        self.opened = self.closed = self.failed = self.fences = self.gave_back = self.cuts = self.forbade = 0
        self.deadlines: list[str] = []

    def attempt(self, state: State, cause: Any) -> None:
        self.attempts.append((state, cause))

    def delivered(self, seconds: float) -> None:
        assert seconds >= 0

    def connection_opened(self, tls: bool) -> None:
        self.opened += 1

    def connection_failed(self) -> None:
        self.failed += 1

    def connection_closed(self) -> None:
        self.closed += 1

    def in_memory(self, deliveries: int) -> None:
        assert deliveries >= 0

    def fenced(self) -> None:
        self.fences += 1

    def released(self, count: int) -> None:
        self.gave_back += count

    def overdue(self, what: str) -> None:
        self.deadlines.append(what)

    def gave_way(self) -> None:
        self.cuts += 1

    def forbidden(self) -> None:
        self.forbade += 1

    def waiting_for_connection(self, sites: int) -> None:
        assert sites >= 0


@dataclass
class Road:
    store: Store
    lab: Lab | None
    worker: Registration
    dispatcher: Dispatcher
    ids: IdFactory
    clock: ShiftedClock
    metrics: Counts
    config: DeliveryConfig
    task: asyncio.Task[None]
    stopped: bool = field(default=False)

    async def send(
        self,
        *recipients: str,
        sender: str = "me@sender.lab.test",
        content: bytes = CONTENT,
        notify: Notify = Notify.NONE_GIVEN,
        priority: Priority = Priority.STANDARD,
        ret: str | None = None,
        envid: str | None = None,
        orcpt: str | None = None,
        hand_over: bool = True,
        lives: int = 5 * DAY,
        smtputf8: bool = False,
        attempts: int = 1,
        account: int = ACCOUNT,
        forward: Forward | None = None,
    ) -> int:
        """Accept a message as intake does; its id."""
        new = self.message(
            recipients,
            sender,
            content,
            notify,
            priority,
            ret,
            envid,
            orcpt,
            hand_over,
            lives,
            smtputf8,
            attempts,
            account,
            forward,
        )
        await self.store.accept(self.worker.id, new)
        if hand_over:
            self.dispatcher.offer(list(new.deliveries))
        else:
            self.dispatcher.wake()
        return new.message.id

    def message(
        self,
        recipients: Sequence[str],
        sender: str = "me@sender.lab.test",
        content: bytes = CONTENT,
        notify: Notify = Notify.NONE_GIVEN,
        priority: Priority = Priority.STANDARD,
        ret: str | None = None,
        envid: str | None = None,
        orcpt: str | None = None,
        hand_over: bool = True,
        lives: int = 5 * DAY,
        smtputf8: bool = False,
        attempts: int = 1,
        account: int = ACCOUNT,
        forward: Forward | None = None,
    ) -> NewMessage:
        now = self.clock.now()
        message = Message(
            account_id=account,
            id=self.ids.next(now),
            credential_id=0,
            sender=sender,
            size=len(content),
            priority=priority,
            ret=ret,
            envid=envid,
            smtputf8=smtputf8,
            eight_bit=not content.isascii(),
            accepted_at=now,
            expires_at=now + lives,
            header_id="<1@src.test>",
            forward=forward,
            content=content if hand_over else None,
        )
        deliveries = [
            Delivery(
                message,
                number,
                address,
                parse_address(address).domain,
                int(notify),
                orcpt,
                State.SENDING if hand_over else State.QUEUED,
                now,
                attempts if hand_over else attempts - 1,
            )
            for number, address in enumerate(recipients, 1)
        ]
        return NewMessage(message, content, deliveries, [Event(account, message.id, 0, EventType.ACCEPTED, now)])

    async def rows(self, table: Any, *conditions: Any) -> list[Any]:
        async with self.store.read() as connection:
            found = await connection.execute(select(table).where(*conditions).order_by(*table.primary_key.columns))
            return list(found.mappings())

    async def deliveries(self, message_id: int | None = None) -> list[Any]:
        conditions = () if message_id is None else (t.delivery.c.message_id == message_id,)
        return await self.rows(t.delivery, *conditions)

    async def settled(self, message_id: int, *, timeout: float = 20) -> list[Any]:
        """The deliveries of a message once none is queued or being sent."""
        async with asyncio.timeout(timeout):
            while True:
                found = await self.deliveries(message_id)
                if all(row["state"] not in (State.SENDING, State.QUEUED, State.SCHEDULED) for row in found):
                    return found
                await asyncio.sleep(0.01)

    async def reaches(self, message_id: int, state: State) -> Any:
        """The only delivery of a message, once it is in ``state``."""
        await until(lambda: self._is(message_id, state))
        return (await self.deliveries(message_id))[0]

    async def _is(self, message_id: int, state: State) -> bool:
        return all(row["state"] == state for row in await self.deliveries(message_id))

    async def has(self, value: object) -> bool:
        return bool(value)

    async def one(self, message_id: int) -> Any:
        (row,) = await self.settled(message_id)
        return row

    async def attempts(self, message_id: int) -> list[Any]:
        return await self.rows(t.attempt, t.attempt.c.message_id == message_id)

    async def events(self, message_id: int) -> list[tuple[EventType, dict[str, Any]]]:
        found = await self.rows(t.event, t.event.c.message_id == message_id)
        return [(EventType(row["type"]), json.loads(row["data"])) for row in found]

    async def drain(self, timeout: float = 5) -> None:
        self.stopped = True
        await self.dispatcher.drain(timeout)
        async with asyncio.timeout(10):
            await self.task


PATIENT = dict.fromkeys(
    ("connect_timeout", "greeting_timeout", "command_timeout", "data_timeout", "tls_timeout"), 20.0
)
"""Settings for tests in which nobody waits for a server in vain: a busy machine must not defer their mail."""


@asynccontextmanager
async def road(
    store: Store,
    lab: Lab | None = None,
    *,
    network: Any = None,
    resolver: Any = None,
    share: int = 1,
    destinations: Destinations | None = None,
    standing: Callable[[Registration, Clock], Standing] = Standing,
    bounced: Callable[[Outcome], None] | None = None,
    senders: Callable[[Clock], EnvelopeSenders] | None = None,
    sign: SignReport | None = None,
    **settings: Any,
) -> AsyncIterator[Road]:
    """A worker on ``store``. ``settings`` are those of ``DeliveryConfig``."""
    config = msgspec.structs.replace(
        DeliveryConfig(
            smtp_port=lab.smtp_port if lab else 25,
            connect_timeout=0.4,
            greeting_timeout=1.0,
            command_timeout=1.0,
            data_timeout=1.0,
            tls_timeout=0.5,
            idle_timeout=0.5,
        ),
        **settings,
    )
    clock = ShiftedClock()
    registration = await store.register_worker("test", 1, clock.now(), 3_600_000)
    ids = IdFactory(registration.node)
    if resolver is None:
        host, port = lab.dns_address if lab else ("127.0.0.1", 1)
        dns = DnsConfig(nameservers=(host,), port=port, timeout=0.3, lifetime=0.8, min_ttl=0.0)
        resolver = DnsResolver(dns, clock, loopback_only=True)
    metrics = Counts()
    dispatcher = Dispatcher(
        store,
        registration,
        clock,
        ids,
        network or LoopbackOnlyNetwork(),
        resolver,
        config,
        metrics,
        hostname="mx.ekiden.test",
        share=share,
        rng=random.Random(7),
        destinations=destinations or Destinations(loopback_only=True),
        standing=standing(registration, clock),
        bounced=bounced,
        senders=None if senders is None else senders(clock),
        sign=sign,
    )
    task = asyncio.create_task(dispatcher.run())
    made = Road(store, lab, registration, dispatcher, ids, clock, metrics, config, task)
    try:
        yield made
    finally:
        if not made.stopped:
            dispatcher.abandon()
            async with asyncio.timeout(10):
                await task


async def until(condition: Callable[[], Awaitable[bool]], timeout: float = 15) -> None:
    """Wait for what no event tells of."""
    async with asyncio.timeout(timeout):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
