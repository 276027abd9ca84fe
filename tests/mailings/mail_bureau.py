"""An office that mails many: an account with a domain, its door, and whoever works on its requests."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.directory import Directory
from ekiden.access.remembered import Remembered
from ekiden.access.vault import Vault
from ekiden.content.address_book import AddressBooks
from ekiden.content.uploads import Uploads
from ekiden.core.clock import DAY
from ekiden.core.ids import IdFactory
from ekiden.core.submission import Origin
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.queries import sending_settings
from ekiden.domains.service import Domains
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door
from ekiden.intake.mailer import Mailer
from ekiden.intake.tracking import Tracker
from ekiden.mailings.decisions import MailDecisions
from ekiden.mailings.expansion import Expander
from ekiden.mailings.reading import MailReading
from ekiden.mailings.requests import MailRequests
from ekiden.mailings.values import Accepted, NewRequest, Person
from ekiden.recipients.tracking_tokens import TrackingTokens
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.records import Delivery
from support.door_parts import DoorParts, door_parts
from support.manual_clock import ManualClock

SENDER = "news@shop.example"
HTML = "<p>Dear ${name}, your grade is ${grade}.</p>"


class NoRoom:
    """Everything stays in the queue."""

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return False

    def offer(self, deliveries: list[Delivery]) -> None:
        raise AssertionError("nothing is offered")


@dataclass
class Bureau:
    store: Store
    clock: ManualClock
    parts: DoorParts
    door: Door
    mailer: Mailer
    uploads: Uploads
    books: AddressBooks
    decisions: MailDecisions
    requests: MailRequests
    expander: Expander
    reading: MailReading
    account_id: int
    worker: int
    woken: list[bool] = field(default_factory=list)

    def new(self, **rest: Any) -> NewRequest:
        values: dict[str, Any] = {
            "account_id": self.account_id,
            "credential_id": 0,
            "origin": Origin("HTTP", client="192.0.2.73"),
            "sender": SENDER,
            "sender_name": "Shop",
            "subject": "Hello ${name}",
            "html": HTML,
        }
        return NewRequest(**(values | rest))

    async def ask(self, *people: Person | str, **rest: Any) -> Accepted:
        async with await self.requests.begin(self.new(**rest)) as draft:
            await draft.add([Person(item) if isinstance(item, str) else item for item in people])
            return await draft.commit()

    async def expand(self) -> None:
        while await self.expander.work():
            pass

    async def rows(self, table: Any) -> list[Any]:
        async with self.store.read() as connection:
            return list((await connection.execute(select(table).order_by(*table.primary_key.columns))).all())

    async def letters(self) -> list[Any]:
        """Every message that is kept, parsed, in the order of ids."""
        found = []
        for row in await self.rows(t.message):
            content = await self.store.content(self.account_id, row.id)
            if content is not None:
                found.append(email.message_from_bytes(content, policy=email.policy.default))
        return found


def people(count: int, **values: str) -> Sequence[Person]:
    return [
        Person(f"p{number}@x.example", f"P {number}", "R", {"name": f"P{number}", "grade": "GOLD", **values})
        for number in range(count)
    ]


@asynccontextmanager
async def open_bureau(store: Store) -> AsyncIterator[Bureau]:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now())
    me = await store.register_worker("here", 1, clock.now(), DAY)
    ids, directory, vault = IdFactory(me.node), Directory(store, clock), Vault(bytes(range(32)))
    parts = door_parts(store, clock, ids, directory, vault)
    resolver = DnsResolver(DnsConfig(nameservers=("127.0.0.1",)), clock, loopback_only=True)
    domains = Domains(store, clock, vault, DnsLookup(resolver), DomainsConfig(), "mail.example.com")
    await domains.add(account.id, "shop.example", vouched=True)
    door = Door(
        store,
        clock,
        ids,
        me.id,
        IntakeConfig(hostname="mail.example.com"),
        NoRoom(),
        directory=directory,
        policy=parts.policy,
        signer=parts.signer,
    )
    base_url = "https://links.example.com"
    tracker = Tracker(
        clock, ids, directory, Remembered(store, sending_settings), TrackingTokens(vault), base_url, door.max_size
    )
    mailer = Mailer(door, tracker)
    uploads, books = Uploads(store, clock), AddressBooks(store, clock)
    woken: list[bool] = []
    gate = parts.policy.gate
    requests = MailRequests(store, clock, mailer, gate, directory, uploads, books, lambda: woken.append(True))
    expander = Expander(store, clock, mailer, books, lambda: me.id)
    reading = MailReading(store, clock)
    services = store, clock, parts, door, mailer, uploads, books, MailDecisions(store, clock)
    yield Bureau(*services, requests, expander, reading, account.id, me.id, woken)
    await books.close()
    await parts.close()
    await directory.close()
