"""An account that mails from a domain of its own: its door, and what composes its messages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.directory import Directory
from ekiden.access.remembered import Remembered
from ekiden.access.vault import Vault
from ekiden.core.clock import DAY
from ekiden.core.ids import IdFactory
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.queries import sending_settings
from ekiden.domains.service import Domains
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door, Handover
from ekiden.intake.mailer import Mailer
from ekiden.intake.tracking import Tracker
from ekiden.recipients.tracking_tokens import TrackingTokens
from ekiden.store.api import Store
from support.door_parts import DoorParts, door_parts
from support.manual_clock import ManualClock

LINKS = "https://links.example.com:8443"


@dataclass
class MailOffice:
    """The account ``acme`` with the domain shop.example. ``dns`` has its keys, as ``dkim`` asks for them."""

    store: Store
    clock: ManualClock
    directory: Directory
    parts: DoorParts
    door: Door
    mailer: Mailer
    tokens: TrackingTokens
    dns: dict[bytes, bytes]
    account_id: int
    worker: int

    async def rows(self, table: Any) -> list[Any]:
        async with self.store.read() as connection:
            return list((await connection.execute(select(table).order_by(*table.primary_key.columns))).all())


@asynccontextmanager
async def open_office(store: Store, handover: Handover) -> AsyncIterator[MailOffice]:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now())
    me = await store.register_worker("here", 1, clock.now(), DAY)
    ids, directory, vault = IdFactory(me.node), Directory(store, clock), Vault(bytes(range(32)))
    parts = door_parts(store, clock, ids, directory, vault)
    resolver = DnsResolver(DnsConfig(nameservers=("127.0.0.1",)), clock, loopback_only=True)
    domains = Domains(store, clock, vault, DnsLookup(resolver), DomainsConfig(), "mail.example.com")
    domain = await domains.add(account.id, "shop.example", vouched=True)
    keys = [record for record in await domains.records(domain) if record.kind in ("dkim", "ed25519")]
    dns = {f"{key.name}.".encode(): key.value.encode() for key in keys}
    config = IntakeConfig(hostname="mail.example.com")
    own = {"directory": directory, "policy": parts.policy, "signer": parts.signer}
    door = Door(store, clock, ids, me.id, config, handover, **own)
    tokens, settings = TrackingTokens(vault), Remembered(store, sending_settings)
    tracker = Tracker(clock, ids, directory, settings, tokens, LINKS, door.max_size)
    mailer = Mailer(door, tracker)
    yield MailOffice(store, clock, directory, parts, door, mailer, tokens, dns, account.id, me.id)
    await parts.close()
    await directory.close()
