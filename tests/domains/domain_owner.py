"""The owner of a domain: publishes records, breaks and repairs them, and reads what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import select

from ekiden.access.audit import Actor
from ekiden.core.events import EventType
from ekiden.domains.model import Check, Domain, Kind, Record
from ekiden.domains.service import Domains
from ekiden.lab import Lab
from ekiden.store.api import Store
from ekiden.store.tables import account, event
from support.manual_clock import ManualClock

INCLUDE = "spf.sender.example"
OURS = ("192.0.2.10", "198.51.100.7")
ADMIN = Actor("cli:root@test")


@dataclass
class Owner:
    store: Store
    lab: Lab
    clock: ManualClock
    domains: Domains
    account_id: int

    async def add(self, name: str = "shop.example", **options: Any) -> Domain:
        return await self.domains.add(self.account_id, name, actor=ADMIN, **options)

    async def publish(self, domain: Domain, *kinds: Kind) -> None:
        """Put the records that are asked for into the DNS, all or those of some kinds."""
        for record in await self.domains.records(domain):
            if (not kinds or record.kind in kinds) and record.status != "retired":
                self.put(record)

    def put(self, record: Record) -> None:
        self.lab.set_dns(record.name, record.type, [record.value or "127.0.0.1"])

    async def verified(self, name: str = "shop.example", **options: Any) -> Domain:
        """A domain with all its records, as it is after its first check."""
        domain = await self.add(name, **options)
        await self.publish(domain)
        return await self.domains.verify(domain.id)

    async def record(self, domain: Domain, kind: Kind) -> Record:
        """The first record of that kind."""
        return next(record for record in await self.domains.records(domain) if record.kind == kind)

    async def check(self, domain: Domain, kind: Kind) -> Check:
        """The last check of that kind."""
        return next(check for check in await self.domains.checks(domain.id) if check.kind == kind)

    async def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What the account was told, the oldest first: name of the type, data."""
        query = select(event).where(event.c.account_id == self.account_id, event.c.message_id == 0)
        async with self.store.read() as connection:
            rows = (await connection.execute(query.order_by(event.c.id))).all()
        return [(EventType(row.type).name.removeprefix("DOMAIN_"), msgspec.json.decode(row.data)) for row in rows]

    async def told(self) -> list[str]:
        """The names of the events, in their order."""
        return [name for name, _ in await self.events()]

    async def revision(self) -> int:
        """The number that tells workers that something of the account has changed."""
        async with self.store.read() as connection:
            found = await connection.scalar(select(account.c.revision).where(account.c.id == self.account_id))
        return int(found or 0)
