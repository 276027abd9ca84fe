"""What programs write wrongly, from the door to the octets that a recipient's server gets and dkimpy verifies."""

from __future__ import annotations

import email
import email.policy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import dkim
import pytest
from delivery_road import PATIENT, Road, road
from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.directory import Directory
from ekiden.access.vault import Vault
from ekiden.core.address import parse_address
from ekiden.core.clock import DAY
from ekiden.core.events import EventType
from ekiden.core.states import State
from ekiden.core.submission import Origin, Recipient, Submission
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.intake.config import IntakeConfig
from ekiden.intake.door import Door
from ekiden.intake.errors import SenderRefused
from ekiden.lab import Lab
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.door_parts import door_parts

FIELDS = (
    b"From: A <a@shop.example>\r\nTo: b@e.example\r\nSubject: x\r\nDate: Sun, 29 Nov 2026 12:00:00 +0900\r\n"
    b"Message-ID: <1@shop.example>\r\nMIME-Version: 1.0\r\n"
)
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
LONG = b"word " * 400 + b"\r\n"
JAPANESE = "予約を受け付けました。\r\n".encode()


class Nobody:
    """All is queued, for the road to claim."""

    def capacity(self, account_id: int, count: int, size: int) -> bool:
        return False

    def offer(self, deliveries: Any) -> None:
        raise AssertionError


@dataclass
class Post:
    road: Road
    lab: Lab
    doors: dict[tuple[bool, bool], Door]
    account_id: int
    keys: dict[bytes, bytes]

    async def send(
        self,
        content: bytes,
        to: str = "b@accept.lab.test",
        *,
        short_lines: bool = True,
        seven_bit: bool = True,
        **rest: Any,
    ) -> int:
        values: dict[str, Any] = {
            "account_id": self.account_id,
            "credential_id": 0,
            "sender": parse_address("bounce@shop.example"),
            "recipients": [Recipient(parse_address(to))],
            "content": content,
            "origin": Origin("ESMTPSA"),
        }
        receipt = await self.doors[short_lines, seven_bit].submit(Submission(**(values | rest)))
        self.road.dispatcher.wake()
        return receipt.message_id

    async def arrives(self, content: bytes, to: str = "b@accept.lab.test", **rest: Any) -> bytes:
        """The octets that the recipient's server got with right signatures; without what we put on top."""
        row = await self.road.one(await self.send(content, to, **rest))
        assert (row["state"], row["attempts"]) == (State.DELIVERED, 1)
        [mail] = self.lab.mail(to)
        assert self.verifies(mail.data)
        signatures, received, rest_ = mail.data.partition(b"Received: ")
        assert received
        assert signatures.count(b"DKIM-Signature:") == 2
        return rest_[rest_.index(b"+0000\r\n") + 7 :]

    def verifies(self, content: bytes) -> bool:
        count = content.count(b"DKIM-Signature:")
        found = dkim.DKIM(content)
        return count > 0 and all(
            found.verify(idx=number, dnsfunc=lambda name, timeout=5: self.keys.get(name)) for number in range(count)
        )


@pytest.fixture
async def post(sqlite_store: Store, lab: Lab) -> AsyncIterator[Post]:
    async with road(sqlite_store, lab, **PATIENT) as r:
        account = await create_account(sqlite_store, "acme", r.clock.now())
        directory, vault = Directory(sqlite_store, r.clock), Vault(bytes(range(32)))
        parts = door_parts(sqlite_store, r.clock, r.ids, directory, vault)
        resolver = DnsResolver(DnsConfig(nameservers=("127.0.0.1",)), r.clock, loopback_only=True)
        domains = Domains(sqlite_store, r.clock, vault, DnsLookup(resolver), DomainsConfig(), "mail.example.com")
        domain = await domains.add(account.id, "shop.example", vouched=True)
        keys = [record for record in await domains.records(domain) if record.kind in ("dkim", "ed25519")]
        doors = {
            (short_lines, seven_bit): Door(
                sqlite_store,
                r.clock,
                r.ids,
                r.worker.id,
                IntakeConfig(hostname="mail.example.com", short_lines=short_lines, seven_bit=seven_bit),
                Nobody(),
                directory=directory,
                policy=parts.policy,
                signer=parts.signer,
            )
            for short_lines in (True, False)
            for seven_bit in (True, False)
        }
        yield Post(r, lab, doors, account.id, {f"{key.name}.".encode(): key.value.encode() for key in keys})
        await r.drain()
        await parts.close()
        await directory.close()


def parsed(content: bytes) -> Any:
    return email.message_from_bytes(content, policy=email.policy.default)


def payload(content: bytes) -> bytes:
    octets = email.message_from_bytes(content).get_payload(decode=True)
    assert isinstance(octets, bytes)
    return octets


async def test_what_needs_nothing_keeps_its_octets(post: Post) -> None:
    content = FIELDS + TEXT + b"X-Odd:   a \t b\r\n\r\n" + b"y" * 998 + b"\r\n  \t\r\n..\r\n"
    assert await post.arrives(content) == content


@pytest.mark.parametrize("to", ["b@accept.lab.test", "b@old.lab.test"])
async def test_bodies_on_any_way(post: Post, to: str) -> None:
    """``old`` knows no 8BITMIME: before, what had 8-bit text bounced there."""
    await post.lab.set_behaviour("old.lab.test", {"extensions": ["PIPELINING", "SIZE"]})
    body = LONG + JAPANESE + b"short\r\n"
    arrived = await post.arrives(FIELDS + TEXT + b"\r\n" + body, to)
    assert payload(arrived) == body
    assert arrived.isascii()
    assert max(map(len, arrived.split(b"\r\n"))) <= 998
    assert arrived.startswith(FIELDS + TEXT + b"Content-Transfer-Encoding: ")
    [mail] = post.lab.mail(to)
    assert "8BITMIME" not in mail.mail_parameters


async def test_long_fields_and_raw_8_bit_fields(post: Post) -> None:
    to = ", ".join(f"Person {n} <p{n}@e.example>" for n in range(200))
    fields = FIELDS.replace(b"b@e.example", to.encode()).replace(b"Subject: x", "Subject: 予約の件".encode())
    arrived = await post.arrives(fields + TEXT + b"\r\nHello\r\n")
    message = parsed(arrived)
    assert [item.addr_spec for item in message["To"].addresses] == [f"p{n}@e.example" for n in range(200)]
    assert message["Subject"] == "予約の件"
    assert max(map(len, arrived.split(b"\r\n"))) <= 998
    assert arrived.isascii()
    async with post.road.store.read() as connection:
        row = (await connection.execute(select(t.message))).one_or_none()
    assert row is None or row.eight_bit is False


async def test_large_contents_are_encoded_in_a_thread_and_signed_after(post: Post) -> None:
    body = b"x" * 300_000 + b"\r\n" + JAPANESE * 2000
    assert payload(await post.arrives(FIELDS + TEXT + b"\r\n" + body)) == body


async def test_signed_parts_arrive_as_they_were(post: Post) -> None:
    signed = (
        b"Content-Type: multipart/signed; boundary=s; protocol=application/pgp-signature\r\n\r\n--s\r\n"
        + (TEXT + b"\r\n" + JAPANESE)
        + b"\r\n--s\r\nContent-Type: application/pgp-signature\r\n\r\nsig\r\n--s--\r\n"
    )
    assert await post.arrives(FIELDS + signed) == FIELDS + signed


async def test_each_part_has_a_setting(post: Post) -> None:
    eight = FIELDS + TEXT + b"\r\n" + JAPANESE
    assert await post.arrives(eight, "one@accept.lab.test", seven_bit=False) == eight
    long = FIELDS + TEXT + b"\r\n" + LONG
    message_id = await post.send(long, short_lines=False, send_at=post.road.clock.now() + DAY)
    kept = await post.road.store.content(post.account_id, message_id)
    assert kept is not None
    assert kept.endswith(long)


async def test_what_needs_smtputf8_stays_in_8_bits(post: Post) -> None:
    content = FIELDS.replace(b"A <a@", "予約 <a@".encode()) + TEXT + b"\r\n" + JAPANESE
    assert await post.arrives(content, smtputf8=True) == content
    assert "SMTPUTF8" in post.lab.mail("b@accept.lab.test")[0].mail_parameters


async def test_identifiers_that_are_none(post: Post) -> None:
    content = FIELDS.replace(b"<1@shop.example>", b"17").replace(b"Sun, 29 Nov 2026 12:00:00 +0900", b"yesterday")
    message_id = await post.send(b"From a@b Sun Nov 29 12:00:00 2026\r\n" + content + b"\r\nHi\r\n")
    await post.road.one(message_id)
    [mail] = post.lab.mail("b@accept.lab.test")
    assert post.verifies(mail.data)
    message = parsed(mail.data)
    assert (message["X-Original-Message-ID"], message["X-Original-Date"]) == ("17", "yesterday")
    assert message.get_all("Message-ID") != ["17"]
    assert message["Message-ID"].endswith("@mail.example.com>")
    assert message["Date"].datetime is not None
    assert b"\r\nFrom a@b" not in mail.data
    assert (message.get_all("From"), message.get_content()) == (["A <a@shop.example>"], "Hi\r\n")
    [accepted, _] = await post.road.events(message_id)
    assert accepted == (EventType.ACCEPTED, {"repaired": ["Message-ID", "Date", "From "]})


@pytest.mark.parametrize(
    ("author", "shown"),
    [
        (b"[Shop] <a@shop.example>", "[Shop] <a@shop.example>"),
        (b"a@shop.example <a@shop.example>", "a@shop.example"),
        ("予約係".encode("iso2022_jp") + b" <a@shop.example>", "予約係 <a@shop.example>"),
        (b"Shop", "Shop <bounce@shop.example>"),
        (b"", "bounce@shop.example"),
    ],
)
async def test_authors_of_legacy_programs(post: Post, author: bytes, shown: str) -> None:
    arrived = await post.arrives(FIELDS.replace(b"A <a@shop.example>", author) + b"\r\nHi\r\n")
    assert str(parsed(arrived)["From"]).replace('"', "") == shown
    assert arrived.count(b"From:") == 2 - (not author)
    kept = [line for line in arrived.split(b"\r\n") if line.startswith(b"X-Original-From: ")]
    assert kept == ([b"X-Original-From: " + author] if author else [])


@pytest.mark.parametrize(
    "author",
    [
        b"[Shop] ceo@bank.example <a@shop.example>",
        b"ceo@bank.example <a@shop.example",
        b"[Shop] <a@shop.example>, [Bank] <ceo@bank.example>",
        b"[Shop] <ceo@bank.example>",
        "[Shop] ceo＠bank.example <a@shop.example>".encode(),
    ],
)
async def test_every_domain_in_them_has_to_be_the_accounts(post: Post, author: bytes) -> None:
    with pytest.raises(SenderRefused):
        await post.send(FIELDS.replace(b"A <a@shop.example>", author) + b"\r\nHi\r\n")
