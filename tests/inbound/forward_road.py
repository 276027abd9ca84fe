"""A reception whose mail is sent on, a worker that delivers it, and a lab that is the rest of the world."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import dkim
from reception_world import HOST, Dialogue, World, eventually
from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.directory import Directory
from ekiden.access.quotas import Quotas
from ekiden.access.remembered import Remembered
from ekiden.core.states import State
from ekiden.delivery.config import DeliveryConfig, RouteConfig
from ekiden.delivery.dispatcher import Dispatcher
from ekiden.delivery.envelope_senders import EnvelopeSenders
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.queries import bounces_to
from ekiden.inbound.forwarding import Forwarding, Wanted
from ekiden.inbound.mailboxes import Use
from ekiden.inbound.reader import Found, Opened
from ekiden.inbound.report_mail import ReportMail
from ekiden.inbound.returned_mail import ReturnedMail
from ekiden.inbound.targets import ForwardTarget, ToAddress
from ekiden.lab import Lab, Route
from ekiden.lab.mailbox import Mail
from ekiden.net.destinations import Destinations
from ekiden.net.network import LoopbackOnlyNetwork
from ekiden.recipients.suppressing import Suppressing
from ekiden.recipients.suppressions import Suppressions
from ekiden.sender_auth.dkim_key import generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey, sign
from ekiden.store import tables as t

RP = "rp.example.com"
DAYS = 5 * 86_400.0
SENDER = "ann@sender.lab.test"
MESSAGE = (
    b"From: Ann <ann@sender.lab.test>\r\nTo: <in@in.test>\r\nSubject: hello\r\n"
    b"Date: Mon, 1 Dec 2025 10:00:00 +0900\r\nMessage-ID: <1@sender.lab.test>\r\n\r\n..body \t\r\n\xe3\x81\x82\r\n"
)


def key(domain: str, selector: str) -> SigningKey:
    return SigningKey(domain, selector, "rsa-sha256", generate("rsa-sha256"))


class ForwardRoad:
    """``start`` it: what comes for an address of ``takes`` is sent on to its targets."""

    def __init__(self, world: World, lab: Lab) -> None:
        self.world = world
        self.lab = lab
        self.author = key("sender.lab.test", "a")
        self.ours = key(HOST, "p")
        self.seals: Sequence[SigningKey] = (self.ours,)
        self.client: Dialogue
        self.last: Opened
        """The mail that was read last."""
        self.account = 0

    async def start(self, *domains: str, delivering: bool = True) -> None:
        """Mail for ``domains``, and for our return path, comes to us."""
        world, lab, clock = self.world, self.lab, self.world.clock
        store = world.store
        self.account = (await create_account(store, "acme", clock.now())).id
        self.directory = Directory(store, clock)
        self.quotas = Quotas(store, clock)
        self.suppressions = Suppressions(store, clock)
        await world.register()
        self.forwarding = Forwarding(
            clock,
            world.ids,
            self.directory,
            self.quotas,
            self.suppressions,
            self._keys,
            world.workshop,
            HOST,
            DAYS,
        )
        suppressing = Suppressing(self.directory, self.suppressions)
        world.readers = {
            Use.ROUTE: self,
            Use.FORWARDED: ReturnedMail(store, clock, world.ids, DAYS),
            Use.BOUNCE: ReportMail(store, clock, world.paths, suppressing, world.workshop),
        }
        await world.start()
        for domain in (*domains, RP):
            lab.set_route(domain, Route(world.port, host=HOST))
        for item in (self.author, self.ours):
            name = f"{item.selector}._domainkey.{item.domain}"
            world.zone[name, "TXT"] = [public_record(item.private).encode()]
        self.client = await world.client()
        await self.client.ask("EHLO mail.sender.lab.test")
        if delivering:
            self.deliver(*domains)

    def deliver(self, *domains: str) -> None:
        world, lab, clock = self.world, self.lab, self.world.clock
        host, port = lab.dns_address
        own = tuple(RouteConfig(domain=name, hosts=(f"127.0.0.1:{world.port}",)) for name in (*domains, RP))
        dns = DnsConfig(nameservers=(host,), port=port, timeout=2.0, min_ttl=0.0)
        senders = EnvelopeSenders(world.paths, RP, self.directory, Remembered(world.store, bounces_to), world.srs)
        self.dispatcher = Dispatcher(
            world.store,
            world.me,
            clock,
            world.ids,
            LoopbackOnlyNetwork(),
            DnsResolver(dns, clock, loopback_only=True),
            DeliveryConfig(smtp_port=lab.smtp_port, routes=own),
            hostname=HOST,
            destinations=Destinations(loopback_only=True),
            receives=(),
            senders=senders,
        )
        world.queued = self.dispatcher.wake
        world.run(self.dispatcher.run())

    async def _keys(self) -> Sequence[SigningKey]:
        return self.seals

    def takes(self, address: str, *targets: ForwardTarget | str) -> None:
        """What comes for it is sent on: to servers and addresses."""
        self.world.routes.accounts[address] = self.account
        found = [ToAddress(each) if isinstance(each, str) else each for each in targets]
        self.world.routes.targets[address] = [(f"r{at}", each) for at, each in enumerate(found)]

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        """As ``inbound.reader.MailReader``."""
        found: list[Found | Exception] = []
        for mail in mails:
            self.last = mail
            done = await self.forwarding.forward(mail, self.wanted(mail))
            found.append(Found(told={"forwards": done.told}, messages=done.messages))
        return found

    def wanted(self, mail: Opened) -> list[Wanted]:
        return [
            Wanted(mail.mail.recipients.index(address) + 1, address, route, target)
            for address, _ in mail.boxes
            for route, target in self.world.routes.targets[address]
        ]

    def confirm(self, *domains: str) -> None:
        """SPF passes for mail of these domains from here."""
        for domain in domains:
            self.world.zone[domain, "TXT"] = [b"v=spf1 ip4:127.0.0.1 -all"]

    def signed(self, content: bytes = MESSAGE) -> bytes:
        return sign(content, (self.author,), self.world.clock.now()) + content

    async def come(self, *recipients: str, sender: str = SENDER, content: bytes = MESSAGE) -> str:
        """The answer to a mail; to RCPT, if that is none of 250."""
        answer = await self.client.ask(f"MAIL FROM:<{sender}> BODY=8BITMIME")
        assert answer.startswith("250"), answer
        for recipient in recipients:
            answer = await self.client.ask(f"RCPT TO:<{recipient}>")
            if not answer.startswith("250"):
                await self.client.ask("RSET")
                return answer
        return await self.client.send(content.replace(b"\r\n.", b"\r\n.."))

    async def mail_for(self, address: str, count: int = 1) -> list[Mail]:
        await eventually(lambda: len(self.lab.mail(address)) >= count)
        return self.lab.mail(address)

    async def rows(self, table: Any, *conditions: Any) -> list[Any]:
        async with self.world.store.read() as connection:
            return list(await connection.execute(select(table).where(*conditions).order_by(*table.primary_key)))

    async def settled(self, count: int) -> list[Any]:
        """The deliveries, once there are so many and all of them have ended or are waiting."""
        found: list[Any] = []

        async def ended() -> bool:
            nonlocal found
            found = await self.rows(t.delivery)
            return len(found) >= count and all(
                State(row.state).final or row.state in (State.DEFERRED, State.SCHEDULED) for row in found
            )

        await eventually_async(ended)
        return found

    async def told(self) -> list[dict[str, Any]]:
        """Of each mail that came in."""
        await eventually(lambda: not self.world.memory.held("inbound"))
        return [json.loads(row.told or "{}") for row in await self.rows(t.inbound_mail)]

    def judges(self, content: bytes) -> tuple[bool, str]:
        """What dkimpy says of the author's signature, and of the chain."""

        def txt(name: bytes, timeout: int = 5) -> bytes:
            for item in (self.author, self.ours):
                if name.decode().rstrip(".") == f"{item.selector}._domainkey.{item.domain}":
                    return public_record(item.private).encode()
            return b""

        chain, _, _ = dkim.ARC(content).verify(dnsfunc=txt)
        return dkim.verify(content, dnsfunc=txt), chain.decode() if chain else ""

    async def close(self) -> None:
        if hasattr(self, "dispatcher"):
            await self.dispatcher.drain(2)
        await self.suppressions.close()
        await self.quotas.close()


async def eventually_async(done: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await done():  # noqa: ASYNC110 (it happens in a database)
            await asyncio.sleep(0.01)
