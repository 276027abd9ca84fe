"""A reception with routes to a receiver: everything from RCPT to the request is real."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from reception_world import World
from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor
from ekiden.access.vault import Vault
from ekiden.core.said import say
from ekiden.dialects.cmc.news.events import event_formats
from ekiden.dialects.cmc.news.inbound import InboundFormat
from ekiden.dialects.cmc.webhook_settings import WebhookSettings
from ekiden.dns.resolver import NoSuchDomain
from ekiden.inbound.inbound_domains import add_inbound_domain
from ekiden.inbound.mailboxes import Routed, Use
from ekiden.inbound.route_directory import RouteDirectory
from ekiden.inbound.route_mail import RouteMail
from ekiden.lab.forms import Part, parts
from ekiden.lab.http import Callback, HttpServer, Receiver
from ekiden.limits.workshop import Workshop
from ekiden.net.tls import CertificateFiles
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.contents import Contents
from ekiden.notify.formats import by_name
from ekiden.notify.outbox import Outbox
from ekiden.notify.ssrf import Destinations
from ekiden.notify.staged_settings import StagedSettings
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock

ANN = Actor("ann")
LAB = Destinations(loopback_only=True)


class Nobody:
    """A resolver that knows no name."""

    async def addresses(self, name: str) -> list[str]:
        raise NoSuchDomain(name, say("no_such_domain", name=name))


async def no_user(_: str, __: str) -> None:
    return None


class RouteWorld(World):
    """``open`` it; its outbox goes by the clock of the tests."""

    def __init__(self, store: Store, files: CertificateFiles) -> None:
        self.directory = RouteDirectory(store)
        super().__init__(store, files)
        self.clock = ManualClock()
        self.readers = {Use.ROUTE: RouteMail(self.clock, self.directory, self.workshop)}
        self.threads = Workshop(1)
        self.vault = Vault(os.urandom(32))
        self.settings = WebhookSettings(StagedSettings(store, self.clock, self.vault), LAB, no_user, lab=True)
        self.receiver = Receiver(10_000)
        self._server = HttpServer(self.receiver.handle)

    def routed(self) -> Routed:
        return self.directory

    async def open(self) -> None:
        """With an account that receives shop.example."""
        self.account = (await create_account(self.store, "acme", self.clock.now())).id
        await add_inbound_domain(self.store, self.account, "shop.example", self.clock.now())
        self.http_port = await self._server.start("127.0.0.1")
        self.url = f"http://127.0.0.1:{self.http_port}"
        await self.start()
        await self.directory.look()

    async def route(
        self, name: str, *when: str, path: str = "", account: int = 0, apply: bool = True, **fields: Any
    ) -> None:
        """Save and apply one. ``when``: as ``To=^info@``."""
        conditions = [tuple(each.split("=", 1)) for each in when]
        secrets = {"password": fields.pop("password", ""), "api_key": fields.pop("api_key", "")}
        fields = {"url": self.url + (path or f"/{name}"), **fields}
        await self.settings.save_inbound(account or self.account, name, fields, conditions, **secrets, actor=ANN)  # type: ignore[arg-type]
        if apply:
            await self.apply(account)

    async def apply(self, account: int = 0) -> None:
        await self.settings.apply(account or self.account, actor=ANN)
        await self.directory.look()

    async def send(self, content: bytes, *to: str, sender: str = "a@example.net") -> str:
        """Bring a mail; returns its id."""
        client = await self.client()
        await client.ask("EHLO mail.example.net", f"MAIL FROM:<{sender}>")
        for recipient in to or ("info@shop.example",):
            answer = await client.ask(f"RCPT TO:<{recipient}>")
            assert answer.startswith("250"), answer
        answer = await client.send(content)
        assert answer.startswith("250"), answer
        return answer.split()[-1]

    def make_outbox(self) -> Outbox:
        return Outbox(
            self.store,
            self.clock,
            self.ids,
            self.me.id,
            CallbacksConfig(timeout=5.0),
            by_name([*event_formats("pro"), InboundFormat("pro")]),
            self.vault,
            Nobody(),  # type: ignore[arg-type]
            LAB,
            contents=Contents(self.store, self.memory, self.threads),
        )

    @asynccontextmanager
    async def telling(self) -> AsyncIterator[Outbox]:
        """An outbox works meanwhile."""
        outbox = self.make_outbox()
        task = asyncio.create_task(outbox.run())
        try:
            yield outbox
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def told(self, path: str, count: int = 1) -> list[Callback]:
        """The requests to the path, once there are so many."""
        assert await self.receiver.wait(path, count, 20), f"{len(self.receiver.find(path))} requests to {path}"
        return self.receiver.find(path)

    async def notices(self) -> Sequence[Any]:
        async with self.store.read() as connection:
            return (await connection.execute(select(t.notice).order_by(t.notice.c.id))).all()

    async def read_mails(self) -> Sequence[Any]:
        """Rows of the mails that came in, once all are read."""
        while True:
            async with self.store.read() as connection:
                rows = (await connection.execute(select(t.inbound_mail).order_by(t.inbound_mail.c.id))).all()
            if rows and all(row.state == 2 for row in rows):
                return rows
            await asyncio.sleep(0.01)

    async def close(self) -> None:
        await super().close()
        await self._server.close()


def form_of(request: Callback) -> list[Part]:
    return parts(request.field("content-type"), request.body)
