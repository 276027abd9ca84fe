"""A bounce, a complaint and a wish to leave that come in by mail: they are in the lists of each dialect, and the
next mail to that address is not sent, for a reason that is told.

All of it through the doors of one worker: HTTP in, SMTP of its reception, HTTP again.
"""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from cmc_cloud import KEY, SEND, USER
from naver_cloud import NaverClient
from real_worker import HOST, RealWorker, real_worker
from sqlalchemy import select

from ekiden.access.access_keys import create_access_key
from ekiden.access.accounts import Account, create_account, set_reporting
from ekiden.access.api_users import set_api_user
from ekiden.access.credentials import create_api_key
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event, EventType
from ekiden.core.return_path import Purpose
from ekiden.core.states import After, State
from ekiden.delivery.config import DeliveryConfig
from ekiden.delivery.explain import suppression_kind
from ekiden.delivery.trace_queries import TracedDelivery, load_trace
from ekiden.dialects.cmc.dialect import CMC
from ekiden.dialects.infobip.dialect import INFOBIP
from ekiden.dialects.naver.dialect import NAVER
from ekiden.inbound.config import InboundConfig
from ekiden.lab import Lab
from ekiden.listeners.smtp_config import SmtpConfig
from ekiden.listeners.smtp_listener import ListenerSpec, SmtpListener
from ekiden.listeners.smtp_reception import Receptions, reception_limits
from ekiden.mailings.expansion import Expander
from ekiden.net.tls import CertificateFiles, ServerTls, make_self_signed
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.records import Attempt, Outcome
from ekiden.web.dialect import Dialect
from support.cmc_client import CmcClient
from support.naver_client import send

DOMAIN = "sender.example"
SENDER = f"info@{DOMAIN}"
RETURN_PATH = f"rp.{DOMAIN}"
GONE, COMPLAINS, LEFT, FINE = (f"{name}@shop.example" for name in ("gone", "complains", "left", "fine"))
ALL = (GONE, COMPLAINS, LEFT, FINE)
KINDS = {GONE: "bounce", COMPLAINS: "complaint", LEFT: "unsubscribe"}
BOUNCE = (
    "From: MAILER-DAEMON@mx.shop.example\r\nSubject: Undelivered Mail Returned to Sender\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.shop.example\r\n\r\n"
    f"Final-Recipient: rfc822; {GONE}\r\nAction: failed\r\nStatus: 5.1.1\r\n"
    "Diagnostic-Code: smtp; 550 5.1.1 User unknown\r\n\r\n--b--\r\n"
)
COMPLAINT = (
    "From: fbl@shop.example\r\nSubject: complaint\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=feedback-report; boundary="b"\r\n\r\n'
    "--b\r\nContent-Type: text/plain\r\n\r\nThis is an email abuse report.\r\n\r\n"
    "--b\r\nContent-Type: message/feedback-report\r\n\r\n"
    f"Feedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Rcpt-To: <{COMPLAINS}>\r\n\r\n"
    f"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: {SENDER}\r\nSubject: hello\r\n\r\nx\r\n--b--\r\n"
)
LEAVING = f"From: {LEFT}\r\nSubject: unsubscribe\r\n\r\n"


class House:
    """A worker with an account ``acme``, and what other servers do: they take its mail, and report later."""

    def __init__(self, store: Store, worker: RealWorker, account: Account, reception: int) -> None:
        self.store = store
        self.worker = worker
        self.account = account
        self._reception = reception

    async def deliver(self) -> list[str]:
        """Whatever is due is accepted by its servers; to whom it went."""
        now = self.worker.platform.clock.now()
        found = await self.store.claim(self.worker.id, now, 100)
        outcomes = [
            Outcome(
                each,
                State.DELIVERED,
                Diagnosis.NONE,
                code=250,
                enhanced="2.0.0",
                reason="OK",
                due_at=now,
                attempt=Attempt(now, now, "mx.shop.example", reply="250 2.0.0 OK"),
                events=[Event(*each.key, EventType.DELIVERED, now, {})],
            )
            for each in found
        ]
        assert all(await self.store.finish(self.worker.id, outcomes))
        return sorted(each.recipient for each in found)

    async def traced(self) -> list[TracedDelivery]:
        """Of all messages, the newest last."""
        async with self.store.read() as connection:
            ids = list(await connection.scalars(select(t.message.c.id).order_by(t.message.c.id)))
        traces = [await load_trace(self.store, self.account.id, id) for id in ids]
        return [each for trace in traces if trace is not None for each in trace.deliveries]

    async def report(self) -> None:
        """What comes back for what was sent: to the envelope sender, and to the address of List-Unsubscribe."""
        async with self.store.read() as connection:
            rows = (await connection.execute(select(t.delivery))).all()
        keys = {row.recipient: (row.account_id, row.message_id, row.number) for row in rows}
        paths = self.worker.services.return_paths
        for to, purpose, content in (
            (GONE, Purpose.BOUNCE, BOUNCE),
            (COMPLAINS, Purpose.BOUNCE, COMPLAINT),
            (LEFT, Purpose.UNSUBSCRIBE, LEAVING),
        ):
            address = f"{paths.seal(*keys[to], to=purpose)}@{RETURN_PATH}"
            sender = LEFT if purpose is Purpose.UNSUBSCRIBE else ""
            await asyncio.to_thread(self._hand_in, sender, address, content)
        async with asyncio.timeout(20):
            while sum(bool(each.after) for each in await self.traced()) < 3:  # noqa: ASYNC110 (in a store)
                await asyncio.sleep(0.02)

    def _hand_in(self, sender: str, recipient: str, content: str) -> None:
        with smtplib.SMTP("127.0.0.1", self._reception, "mx.shop.example", timeout=60) as client:
            client.sendmail(sender, [recipient], content)


@asynccontextmanager
async def running_house(url: str, files: CertificateFiles, dialect: Dialect[Any]) -> AsyncIterator[House]:
    store = await open_store(url)
    delivery = DeliveryConfig(return_path=RETURN_PATH)
    async with Lab() as lab, real_worker(store, lab, dialects=(dialect,), delivery=delivery) as worker:
        account = await create_account(store, "acme", worker.platform.clock.now())
        await worker.platform.domains.add(account.id, DOMAIN, vouched=True)
        reader, reception = worker.services.reception(lambda: worker.id, lambda: None)
        listener = SmtpListener(
            ListenerSpec("mx", ("127.0.0.1:0",), "inbound", ServerTls([files])),
            Receptions(reception, worker.services.refusals),
            reception_limits(SmtpConfig(), InboundConfig()),
            HOST,
        )
        await listener.start()
        reading = asyncio.create_task(reader.run())
        try:
            yield House(store, worker, account, listener.addresses[0].port)
        finally:
            await listener.drain(1)
            await reader.drain(2)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    await store.close()


class Infobip:
    """Each of these sends, and lists who is not sent to any more, over its own API."""

    dialect: Dialect[Any] = INFOBIP

    async def begin(self, house: House) -> None:
        key = await create_api_key(house.store, house.account.id, "test", house.worker.platform.clock.now())
        self._port = house.worker.port
        self._headers = {"Authorization": f"App {key.key}"}

    async def send(self, recipients: tuple[str, ...]) -> None:
        fields = "".join(f"&to={quote(name)}" for name in recipients)
        body = f"from={quote(SENDER)}&subject=hello&text=hello{fields}".encode()
        headers = {**self._headers, "Content-Type": "application/x-www-form-urlencoded"}
        reply = await send(self._port, "POST", "/email/3/send", body, headers)
        assert reply.status == 200, reply.body

    async def listed(self) -> dict[str, str]:
        found = {}
        for kind in ("BOUNCE", "COMPLAINT", "OVER_QUOTA"):
            target = f"/email/1/suppressions?domainName={DOMAIN}&type={kind}"
            reply = await send(self._port, "GET", target, None, self._headers)
            assert reply.status == 200, reply.body
            found |= {item["emailAddress"]: kind.lower() for item in reply.json["results"]}
        return found


class Naver:
    dialect: Dialect[Any] = NAVER

    async def begin(self, house: House) -> None:
        worker, now = house.worker, house.worker.platform.clock.now()
        key = await create_access_key(house.store, worker.vault, house.account.id, "main", now)
        self._client = NaverClient(worker.port, key.id, key.secret)
        platform = worker.platform
        books = worker.services.address_books
        self._expander = Expander(house.store, platform.clock, platform.mailer, books, lambda: worker.id)

    async def send(self, recipients: tuple[str, ...]) -> None:
        mail = {
            "senderAddress": SENDER,
            "title": "t",
            "body": "b",
            "individual": True,
            "advertising": True,  # other mail is sent to whoever has unsubscribed
            "recipients": [{"address": name, "type": "R"} for name in recipients],
        }
        reply = await self._client.request("POST", "/mails", mail)
        assert reply.status == 201, reply.body
        while await self._expander.work():
            pass

    async def listed(self) -> dict[str, str]:
        found = {}
        for name in ALL:
            reply = await self._client.request("GET", f"/send-block?targetAddress={quote(name)}")
            if reply.json["registerStatus"] == "Blocked":
                found[name] = "blocked"
        reply = await self._client.request("GET", "/unsubscribers")
        return found | {item["address"]: "unsubscribe" for item in reply.json["content"]}


class Cmc:
    dialect: Dialect[Any] = CMC

    async def begin(self, house: House) -> None:
        now = house.worker.platform.clock.now()
        await set_api_user(house.store, house.account.id, USER, KEY, now)
        await set_reporting(house.store, "acme", now, reports_endpoint=None, suppress_bounces=True)
        self._client = CmcClient(house.worker.port, USER, KEY)

    async def send(self, recipients: tuple[str, ...]) -> None:
        mail = {"to": list(recipients), "from": SENDER, "subject": "s", "text": "t"}
        reply = await self._client.json(SEND, mail)
        assert reply.status == 200, reply.body

    async def listed(self) -> dict[str, str]:
        found = {}
        for list_, told in (("blocks", "status"), ("unsubscribes", "filtername")):
            asked = {"server_composition": "pro", "r": 100}
            reply = await self._client.json(f"/transaction/v2/{list_}/list.json", asked)
            assert reply.status == 200, reply.body
            found |= {item["email"]: f"{list_} {item[told]}" for item in reply.json[list_]}
        return found


@pytest.mark.parametrize(
    ("api", "lists"),
    [
        (Infobip, {GONE: "bounce", COMPLAINS: "complaint"}),
        (Naver, {GONE: "blocked", COMPLAINS: "blocked", LEFT: "unsubscribe"}),
        # 2: there is no such user; 4: refused by a policy.
        (Cmc, {GONE: "blocks 2", COMPLAINS: "blocks 4", LEFT: f"unsubscribes {DOMAIN}"}),
    ],
)
async def test_what_comes_in_is_in_the_lists(
    sqlite_url: str, tmp_path: Path, api: type[Infobip | Naver | Cmc], lists: dict[str, str]
) -> None:
    face = api()
    files = make_self_signed([HOST]).write(tmp_path / "server.crt", tmp_path / "server.key")
    async with running_house(sqlite_url, files, face.dialect) as house:
        await face.begin(house)
        await face.send(ALL)
        assert await house.deliver() == sorted(ALL)
        assert await face.listed() == {}
        await house.report()
        after = {each.recipient: each.after for each in await house.traced()}
        assert after == {GONE: After.BOUNCED, COMPLAINS: After.COMPLAINED, LEFT: After.UNSUBSCRIBED, FINE: 0}
        assert await face.listed() == lists

        await face.send(ALL)
        assert await house.deliver() == [FINE]
        again = {each.recipient: each for each in (await house.traced())[len(ALL) :]}
        assert {name: each.state for name, each in again.items()} == {
            **dict.fromkeys(KINDS, State.DROPPED),
            FINE: State.DELIVERED,
        }
        assert {name: suppression_kind(again[name].said) for name in KINDS} == KINDS
        assert all("suppress" in again[name].reason for name in KINDS)
