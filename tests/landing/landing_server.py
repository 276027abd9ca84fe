"""A server of the landing links on loopback, with a message that somebody has sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import select

from ekiden.access.vault import Vault
from ekiden.content.landing_pages import LandingPages
from ekiden.core.clock import MINUTE, Clock
from ekiden.core.events import EventType
from ekiden.landing.routes import LandingServices, landing_handlers
from ekiden.listeners.http_app import make_app
from ekiden.listeners.http_server import HttpServer
from ekiden.net.clock import SystemClock
from ekiden.net.listen import open_listener
from ekiden.recipients.recipient_events import RecipientEvents
from ekiden.recipients.suppressions import Suppressions
from ekiden.recipients.tracking_recorder import Recorder
from ekiden.recipients.tracking_tokens import TrackingTokens, TrackingUrls
from ekiden.store.api import Store
from ekiden.store.tables import event as event_table
from support.queue_rows import Rows

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
RECIPIENT = "ann@reader.example"
DOMAIN = "shop.example"


class Reply(NamedTuple):
    """``headers`` have lower-case names."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


class Told(NamedTuple):
    """An event of the message."""

    type: EventType
    number: int
    data: dict[str, Any]


@dataclass
class Landing:
    """One account with one message, five minutes old, to two recipients."""

    store: Store
    services: LandingServices
    account_id: int
    message_id: int
    urls: TrackingUrls
    port: int

    def unsubscribe_url(self, **values: Any) -> str:
        return self.urls.unsubscribe(self.account_id, self.message_id, 1, DOMAIN, RECIPIENT, **values)

    async def get(self, url: str, method: str = "GET", **headers: str) -> Reply:
        """Header names with ``_`` for ``-``."""
        return await self.send(
            method, url, None, {name.replace("_", "-"): value for name, value in headers.items()}
        )

    async def post(
        self, url: str, body: bytes | Iterator[bytes] = b"", media_type: str = "application/x-www-form-urlencoded"
    ) -> Reply:
        return await self.send("POST", url, body, {"Content-Type": media_type})

    async def send(
        self,
        method: str,
        url: str,
        body: bytes | Iterator[bytes] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        return await asyncio.to_thread(self._send, method, url, body, {"User-Agent": FIREFOX, **(headers or {})})

    def _send(
        self, method: str, url: str, body: bytes | Iterator[bytes] | None, headers: Mapping[str, str]
    ) -> Reply:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, url.removeprefix(self.urls.base), body, dict(headers))
            answered = connection.getresponse()
            found = {name.lower(): value for name, value in answered.getheaders()}
            return Reply(answered.status, found, answered.read())
        finally:
            connection.close()

    async def events(self) -> list[Told]:
        """What recipients did, oldest first."""
        query = (
            select(event_table)
            .where(event_table.c.message_id == self.message_id, event_table.c.type >= EventType.OPENED)
            .order_by(event_table.c.id)
        )
        async with self.store.read() as connection:
            rows = (await connection.execute(query)).all()
        return [Told(EventType(row.type), row.recipient_number, msgspec.json.decode(row.data)) for row in rows]


@asynccontextmanager
async def running_landing(
    store: Store, *, clock: Clock | None = None, patience: float = 20.0
) -> AsyncIterator[Landing]:
    """The server, until the end of the block."""
    clock = clock or SystemClock()
    rows = await Rows.make(store, clock.now())
    new = await rows.message(RECIPIENT, "bob@reader.example", age=5 * MINUTE)
    tokens = TrackingTokens(Vault(bytes(range(32))))
    services = LandingServices(
        tokens=tokens,
        recorder=Recorder(RecipientEvents(store, rows.worker.id), clock, patience=patience),
        suppressions=Suppressions(store, clock),
        pages=LandingPages(store, clock),
    )

    async def ready() -> list[str]:
        return []

    async def metrics() -> bytes:
        return b""

    listener = open_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = HttpServer(make_app(ready, metrics, landing_handlers(services)), [listener])
    await server.start()
    try:
        yield Landing(
            store, services, new.message.account_id, new.message.id, tokens.urls(f"http://127.0.0.1:{port}"), port
        )
    finally:
        await server.stop()
        await services.recorder.close()
        await services.suppressions.close()
