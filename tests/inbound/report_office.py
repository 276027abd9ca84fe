"""An account whose messages have gone out, and what is kept of what comes back for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from reception_world import Dialogue, World, eventually
from sqlalchemy import select

from ekiden.access.accounts import create_account, set_reporting
from ekiden.access.directory import Directory
from ekiden.core.events import EventType
from ekiden.core.notices import News, Route
from ekiden.core.return_path import Purpose
from ekiden.core.states import State
from ekiden.inbound.mailboxes import Use
from ekiden.inbound.report_mail import ReportMail
from ekiden.inbound.unsubscribe_mail import UnsubscribeMail
from ekiden.limits.workshop import Workshop
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import Suppressions
from ekiden.store import tables as t
from support.store_rows import Maker


class Office:
    """A world with an account whose messages are told of, and whose bounces suppress."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.maker = Maker()
        self.client: Dialogue

    async def start(self) -> None:
        world = self.world
        account = await create_account(world.store, "acme", world.clock.now())
        await set_reporting(world.store, "acme", world.clock.now(), reports_endpoint=None, suppress_bounces=True)
        self.maker.account = account.id
        self.suppressions = Suppressions(world.store, world.clock)
        suppressing = Suppressing(Directory(world.store, world.clock), self.suppressions)
        self.workshop = Workshop(1)
        reports = ReportMail(world.store, world.clock, world.paths, suppressing, self.workshop)
        world.readers = {
            Use.BOUNCE: reports,
            Use.OPERATOR: reports,
            Use.UNSUBSCRIBE: UnsubscribeMail(world.store, world.clock, suppressing),
        }
        await world.start()
        self.client = await world.client()
        await self.client.ask("EHLO mx.example.org")

    async def sent(
        self, recipients: int | Sequence[str] = 1, state: State = State.DELIVERED, header_id: str = ""
    ) -> int:
        """A message whose deliveries have ended, to so many or to these; its id."""
        count = recipients if isinstance(recipients, int) else len(recipients)
        new = self.maker.message(count, state=state, at=self.world.clock.now())
        if not isinstance(recipients, int):
            for delivery, name in zip(new.deliveries, recipients, strict=True):
                delivery.recipient = name
        new.message.routes = (Route(7, News.TRACKING),)
        new.message.header_id = header_id or new.message.header_id
        await self.world.store.accept(self.world.me.id, new)
        return new.message.id

    def path(self, message: int, number: int = 1, to: Purpose = Purpose.BOUNCE) -> str:
        local = self.world.paths.seal(self.maker.account, message, number, to=to)
        return f"{local}@rp.example.com"

    async def come(self, address: str, content: bytes, sender: str = "") -> None:
        """It comes in, and is read."""
        client = self.client
        await client.ask(f"MAIL FROM:<{sender}>", f"RCPT TO:<{address}>")
        assert (await client.send(content)).startswith("250")
        await eventually(lambda: not self.world.memory.held("inbound"))

    async def events(self, message: int) -> list[Any]:
        query = select(t.event).where(t.event.c.message_id == message, t.event.c.type != EventType.ACCEPTED)
        async with self.world.store.read() as connection:
            return list(await connection.execute(query.order_by(t.event.c.id)))

    async def after(self, message: int) -> dict[int, int]:
        query = select(t.delivery.c.number, t.delivery.c.after).where(t.delivery.c.message_id == message)
        async with self.world.store.read() as connection:
            return {row.number: row.after for row in await connection.execute(query)}

    async def suppressed(self) -> list[tuple[str, str, str]]:
        found = await self.suppressions.list(self.maker.account)
        return [(each.domain, each.address, each.kind) for each in found]

    async def notices(self) -> int:
        async with self.world.store.read() as connection:
            return len(list(await connection.scalars(select(t.notice.c.id))))
