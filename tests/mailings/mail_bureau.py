"""An office that mails many: an account with a domain, its door, and whoever works on its requests."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from ekiden.content.address_book import AddressBooks
from ekiden.content.uploads import Uploads
from ekiden.core.submission import Origin
from ekiden.mailings.decisions import MailDecisions
from ekiden.mailings.expansion import Expander
from ekiden.mailings.reading import MailReading
from ekiden.mailings.requests import MailRequests
from ekiden.mailings.values import Accepted, NewRequest, Person
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.records import Delivery
from support.mail_office import MailOffice, open_office

SENDER = "news@shop.example"
HTML = "<p>Dear ${name}, your grade is ${grade}.</p>"


class NoRoom:
    """Everything stays in the queue."""

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return False

    def offer(self, deliveries: list[Delivery]) -> None:
        raise AssertionError("nothing is offered")


@dataclass(kw_only=True)
class Bureau(MailOffice):
    uploads: Uploads
    books: AddressBooks
    decisions: MailDecisions
    requests: MailRequests
    expander: Expander
    reading: MailReading
    woken: list[bool]

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
    async with open_office(store, NoRoom()) as office:
        clock, mailer, gate, directory = office.clock, office.mailer, office.parts.policy.gate, office.directory
        uploads, books = Uploads(store, clock), AddressBooks(store, clock)
        woken: list[bool] = []
        yield Bureau(
            **vars(office),
            uploads=uploads,
            books=books,
            decisions=MailDecisions(store, clock),
            requests=MailRequests(
                store, clock, mailer, gate, directory, uploads, books, lambda: woken.append(True)
            ),
            expander=Expander(store, clock, mailer, books, lambda: office.worker),
            reading=MailReading(store, clock),
            woken=woken,
        )
        await books.close()
