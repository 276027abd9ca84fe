"""What is found of a message that comes in: the DNS is a function, keys and signatures are real."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import pytest

from ekiden.access.failures import throttle_key
from ekiden.dns.lookup_queue import behalf
from ekiden.inbound.authentication import (
    MAX_AUTHORS,
    MAX_DMARC_LOOKUPS,
    MAX_KEY_LOOKUPS,
    MAX_SPF_LOOKUPS,
    Arrival,
    Authenticated,
    MailAuthentication,
)
from ekiden.inbound.verdicts import ArcFound, Authentication, DkimFound, DmarcFound, SpfFound
from ekiden.limits.workshop import Workshop
from ekiden.sender_auth.arc import seal
from ekiden.sender_auth.authentication_results import MethodResult, Property
from ekiden.sender_auth.dkim_key import generate, public_record
from ekiden.sender_auth.dkim_sign import SigningKey, sign
from ekiden.sender_auth.dns import Lookup, RecordType, TemporaryDnsError

NOW = 1_763_000_000_000
HOST = "mx.ekiden.example"
MESSAGE = (
    b"From: Hanako <hanako@example.com>\r\nTo: taro@example.net\r\nSubject: hello\r\n"
    b"Message-ID: <1@example.com>\r\n\r\nHello.\r\n"
)
ARRIVAL = Arrival("192.0.2.1", "mail.example.com", "hanako@example.com", NOW)
Zone = Mapping[tuple[str, str], Sequence[Any] | None]


@cache
def key(domain: str) -> SigningKey:
    return SigningKey(domain, "s", "ed25519-sha256", generate("ed25519-sha256"))


def published(*domains: str) -> dict[tuple[str, str], Sequence[Any] | None]:
    return {(f"s._domainkey.{domain}", "TXT"): [public_record(key(domain).private).encode()] for domain in domains}


ZONE: Zone = {
    ("example.com", "TXT"): [b"v=spf1 ip4:192.0.2.0/24 -all"],
    ("mail.example.com", "TXT"): [b"v=spf1 a -all"],
    ("mail.example.com", "A"): ["192.0.2.1"],
    ("_dmarc.example.com", "TXT"): [b"v=DMARC1; p=reject; sp=quarantine"],
    ("_dmarc.careful.example", "TXT"): [b"v=DMARC1; p=reject; t=y"],
    ("_dmarc.strict.example", "TXT"): [b"v=DMARC1; p=quarantine"],
    ("slow.example", "TXT"): None,
    ("_dmarc.slow.example", "TXT"): None,
    ("s._domainkey.slow.example", "TXT"): None,
    **published("example.com", "esp.example", "list.example", "strict.example"),
}


def asking(zone: Zone = ZONE) -> Lookup:
    """``None``: a server that does not answer."""

    async def lookup(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        answers = zone.get((name, rdtype), ())
        if answers is None:
            raise TemporaryDnsError(name)
        return answers

    return lookup


@pytest.fixture(scope="module")
def workshop() -> Workshop:
    return Workshop()


async def found_of(
    content: bytes, workshop: Workshop, arrival: Arrival = ARRIVAL, zone: Zone = ZONE, **options: Any
) -> Authenticated:
    return await MailAuthentication(asking(zone), workshop, HOST, **options).authenticate(arrival, content)


def signed(content: bytes, *domains: str) -> bytes:
    return sign(content, [key(domain) for domain in domains], NOW) + content


async def test_a_message_that_is_right(workshop: Workshop) -> None:
    answer = await found_of(signed(MESSAGE, "example.com"), workshop)
    (dkim,) = answer.found.dkim
    assert answer.found == Authentication(
        spf=SpfFound(
            result="pass",
            reason="mechanism",
            identity="mailfrom",
            domain="example.com",
            mechanism="ip4:192.0.2.0/24",
        ),
        dkim=(
            DkimFound(
                result="pass",
                reason="ok",
                domain="example.com",
                selector="s",
                algorithm="ed25519-sha256",
                identity="@example.com",
                beginning=dkim.beginning,
                key_bits=256,
            ),
        ),
        dmarc=DmarcFound(
            result="pass",
            reason="aligned",
            domain="example.com",
            policy_domain="example.com",
            policy="reject",
            aligned=("spf", "dkim"),
        ),
        arc=ArcFound(result="none", reason="no_chain"),
    )
    assert answer.found.asked_for == "none"
    assert not answer.found.vouched_for
    assert Authentication.decode(answer.found.encode()) == answer.found
    assert len(dkim.beginning) == 8
    written = answer.field.replace(dkim.beginning.encode(), b"BEGINNIN").replace(b'"BEGINNIN"', b"BEGINNIN")
    assert written == (
        b"Authentication-Results: mx.ekiden.example;\r\n"
        b" spf=pass smtp.mailfrom=hanako@example.com;\r\n"
        b" dkim=pass header.d=example.com header.i=@example.com header.s=s\r\n"
        b" header.a=ed25519-sha256 header.b=BEGINNIN;\r\n"
        b" dmarc=pass header.from=example.com policy.dmarc=none;\r\n"
        b" arc=none\r\n"
    )


def said(found: Authentication) -> tuple[str, str, str]:
    return (
        f"{found.spf.identity} {found.spf.result}",
        " ".join(f"{item.domain} {item.result}" for item in found.dkim),
        f"{found.dmarc.result} {found.dmarc.reason} {found.dmarc.domain} {found.asked_for}",
    )


def by(author: bytes) -> bytes:
    return MESSAGE.replace(b"Hanako <hanako@example.com>", author)


STRANGER = ARRIVAL._replace(address="203.0.113.9")


@pytest.mark.parametrize(
    ("content", "arrival", "expected"),
    [
        # SPF: of MAIL FROM, of HELO when there is none
        (MESSAGE, STRANGER, ("mailfrom fail", "", "fail not_aligned example.com reject")),
        (MESSAGE, ARRIVAL._replace(sender=""), ("helo pass", "", "pass aligned example.com none")),
        (
            MESSAGE,
            ARRIVAL._replace(sender="", helo="[192.0.2.1]"),
            ("helo none", "", "fail not_aligned example.com reject"),
        ),
        (
            MESSAGE,
            ARRIVAL._replace(sender="a@esp.example"),
            ("mailfrom none", "", "fail not_aligned example.com reject"),
        ),
        (
            MESSAGE,
            ARRIVAL._replace(sender="花子@example.com"),
            ("mailfrom pass", "", "pass aligned example.com none"),
        ),
        # DKIM: any signature may be the aligned one
        (
            signed(MESSAGE, "example.com", "esp.example"),
            STRANGER,
            ("mailfrom fail", "example.com pass esp.example pass", "pass aligned example.com none"),
        ),
        (
            signed(MESSAGE, "esp.example"),
            STRANGER,
            ("mailfrom fail", "esp.example pass", "fail not_aligned example.com reject"),
        ),
        (
            signed(MESSAGE, "example.com").replace(b"Hello", b"Jello"),
            STRANGER,
            ("mailfrom fail", "example.com fail", "fail not_aligned example.com reject"),
        ),
        (
            signed(MESSAGE, "slow.example"),
            STRANGER,
            ("mailfrom fail", "slow.example temperror", "fail not_aligned example.com reject"),
        ),
        # DMARC
        (by(b"a@sub.example.com"), STRANGER, ("mailfrom fail", "", "fail not_aligned sub.example.com quarantine")),
        (by(b"a@careful.example"), STRANGER, ("mailfrom fail", "", "fail not_aligned careful.example quarantine")),
        (by(b"a@strict.example"), STRANGER, ("mailfrom fail", "", "fail not_aligned strict.example quarantine")),
        (by(b"a@nobody.example"), STRANGER, ("mailfrom fail", "", "none no_record nobody.example none")),
        (by(b"a@slow.example"), STRANGER, ("mailfrom fail", "", "temperror dns slow.example none")),
        # authors: the worst of several counts, and it does not help to write more of them
        (
            by(b"a@nobody.example, b@example.com"),
            STRANGER,
            ("mailfrom fail", "", "fail not_aligned example.com reject"),
        ),
        (
            by(b"a@nobody.example\r\nFrom: b@example.com"),
            STRANGER,
            ("mailfrom fail", "", "fail not_aligned example.com reject"),
        ),
        (
            by(b"a@strict.example, b@example.com"),
            ARRIVAL,
            ("mailfrom pass", "", "fail not_aligned strict.example quarantine"),
        ),
        (
            by(b"a@nobody.example, b@example.com"),
            ARRIVAL,
            ("mailfrom pass", "", "none no_record nobody.example none"),
        ),
        (by(b"a@example.com, b@example.com"), ARRIVAL, ("mailfrom pass", "", "pass aligned example.com none")),
        (
            by(b", ".join(b"a@%d.example" % number for number in range(MAX_AUTHORS + 1))),
            ARRIVAL,
            ("mailfrom pass", "", "permerror several_authors  none"),
        ),
        (by(b"nobody"), ARRIVAL, ("mailfrom pass", "", "permerror no_author  none")),
        (by(b"a@b@example.com"), ARRIVAL, ("mailfrom pass", "", "permerror no_author  none")),
        (by(b"a@example.com" + b"," * 9000), ARRIVAL, ("mailfrom pass", "", "permerror no_author  none")),
        (MESSAGE.replace(b"From:", b"X-From:"), ARRIVAL, ("mailfrom pass", "", "permerror no_author  none")),
        (by(b"a@[192.0.2.1]"), ARRIVAL, ("mailfrom pass", "", "permerror bad_domain [192.0.2.1] none")),
        (b"", ARRIVAL, ("mailfrom pass", "", "permerror no_author  none")),
    ],
)
async def test_what_is_found(
    content: bytes, arrival: Arrival, expected: tuple[str, str, str], workshop: Workshop
) -> None:
    answer = await found_of(content, workshop, arrival)
    assert said(answer.found) == expected
    assert Authentication.decode(answer.found.encode()) == answer.found
    assert answer.field.isascii()
    assert answer.content is content


async def test_eight_signatures_are_looked_at(workshop: Workshop) -> None:
    content = sign(MESSAGE, [key("esp.example")] * 8, NOW) + signed(MESSAGE, "example.com")
    answer = await found_of(content, workshop, STRANGER)
    assert [item.result for item in answer.found.dkim] == ["pass"] * 8
    assert answer.found.asked_for == "reject"  # the ninth is not looked at
    assert answer.field.count(b"dkim=") == 8


async def test_claims_of_others_are_removed(workshop: Workshop) -> None:
    claim = b"Authentication-Results: MX.ekiden.example; dmarc=pass header.from=example.com\r\n"
    other = b"Authentication-Results: mx.example.org; spf=pass smtp.mailfrom=x\r\n"
    content = signed(MESSAGE, "example.com")
    answer = await found_of(other + claim + content, workshop)
    assert answer.content == other + content
    assert answer.found.dkim[0].result == "pass"


async def test_a_signature_of_what_is_removed_is_checked_before(workshop: Workshop) -> None:
    """Removing a field that was signed would break the signature for us, too."""
    private = key("example.com")
    claim = b"Authentication-Results: mx.ekiden.example; none\r\n"
    content = sign(b"List-Id: x\r\n" + MESSAGE, [private], NOW) + b"List-Id: x\r\n" + claim + MESSAGE
    answer = await found_of(content, workshop)
    assert answer.found.dkim[0].result == "pass"
    assert claim not in answer.content


# the time and the questions that a message may cost


class Counting:
    """A DNS that answers any question with something that leads to more, and counts; ``keys``: whose they were."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.keys: set[Any] = set()

    async def __call__(self, name: str, rdtype: RecordType, /) -> Sequence[Any]:
        self.asked.append((name, rdtype))
        self.keys.add(behalf())
        if rdtype == "MX":
            return [(number, f"{number}.{name}") for number in range(10)]
        if rdtype != "TXT":
            return ["2001:db9::1" if rdtype == "AAAA" else "198.51.100.1"]
        if name.startswith("_dmarc."):
            return [b"v=DMARC1; np=reject"]
        return [b"v=spf1 " + b" ".join(b"mx:%d.more.example" % number for number in range(10)) + b" -all"]


async def test_questions_are_bounded_and_asked_in_the_name_of_the_peer(workshop: Workshop) -> None:
    dns = Counting()
    fields = b"".join(
        sign(
            MESSAGE,
            [SigningKey(f"{n}.a.b.c.d.e.f.g.h.example", "s", "ed25519-sha256", key("x.example").private)],
            NOW,
        )
        for n in range(8)
    )
    content = fields + by(b"a@1.2.3.4.5.6.7.8.9.example, b@1.2.3.4.5.6.7.8.8.example, c@1.2.3.4.5.6.7.8.7.example")
    arrival = ARRIVAL._replace(address="2001:db8::7", sender="a@x.example")
    answer = await MailAuthentication(dns, workshop, HOST).authenticate(arrival, content)
    assert answer.found.spf.result == "temperror"
    assert len([name for name, _ in dns.asked if "more.example" in name or name == "x.example"]) == MAX_SPF_LOOKUPS
    assert len([name for name, _ in dns.asked if "_domainkey" in name]) <= MAX_KEY_LOOKUPS
    assert len([name for name, _ in dns.asked if name.startswith("_dmarc.")]) <= MAX_DMARC_LOOKUPS
    assert dns.keys == {("inbound", throttle_key("2001:db8::8"))}


async def test_a_dns_that_never_answers_costs_a_bounded_time(workshop: Workshop) -> None:
    asked: list[str] = []

    async def never(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        asked.append(name)
        await asyncio.Event().wait()
        raise AssertionError

    service = MailAuthentication(never, workshop, HOST, patience=0.05)
    answer = await service.authenticate(ARRIVAL, signed(MESSAGE, "example.com", "esp.example"))
    assert said(answer.found) == (
        "mailfrom temperror",
        "example.com temperror esp.example temperror",
        "temperror dns example.com none",
    )
    # All at once, and nothing after the time was over.
    assert sorted(asked) == ["example.com", "s._domainkey.esp.example", "s._domainkey.example.com"]


async def test_keys_are_asked_for_at_the_same_time_as_spf(workshop: Workshop) -> None:
    names = {"example.com", "s._domainkey.example.com", "s._domainkey.esp.example"}
    asked: set[str] = set()
    all_asked = asyncio.Event()
    answers = asking()

    async def together(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        asked.add(name)
        if asked >= names:
            all_asked.set()
        if name in names:
            await all_asked.wait()
        return await answers(name, rdtype)

    service = MailAuthentication(together, workshop, HOST, patience=60)
    answer = await service.authenticate(ARRIVAL, signed(MESSAGE, "example.com", "esp.example"))
    assert said(answer.found)[1] == "example.com pass esp.example pass"


async def test_a_slow_message_does_not_hold_another(workshop: Workshop) -> None:
    answers = asking()
    begun = asyncio.Event()

    async def slow(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        if name == "slow.example":
            begun.set()
            await asyncio.Event().wait()
        return await answers(name, rdtype)

    service = MailAuthentication(slow, workshop, HOST, patience=60)
    waits = asyncio.create_task(service.authenticate(ARRIVAL._replace(sender="a@slow.example"), MESSAGE))
    await begun.wait()
    assert (await service.authenticate(ARRIVAL, MESSAGE)).found.dmarc.result == "pass"
    assert not waits.done()
    waits.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waits


async def test_no_more_is_asked_for_a_message_that_nobody_waits_for(workshop: Workshop) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def never(name: str, rdtype: RecordType, /) -> Sequence[Any]:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    task = asyncio.create_task(MailAuthentication(never, workshop, HOST).authenticate(ARRIVAL, MESSAGE))
    await begun.wait()
    task.cancel()
    await ended.wait()


# threads


LARGE = MESSAGE + b"A line of a large message.  \r\n" * 40_000


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(LARGE, id="a large body"),
        pytest.param(
            MESSAGE.replace(b"\r\n\r\n", b"\r\n" + b"X-Field: y\r\n" * 2_000 + b"\r\n"), id="a large header"
        ),
    ],
)
async def test_large_messages_are_hashed_in_a_thread(content: bytes) -> None:
    """While both threads are taken a large message waits, and a small one does not."""
    workshop = Workshop(2)
    over = threading.Event()
    work = [asyncio.create_task(workshop.run(number, lambda: over.wait(60))) for number in (1, 2)]
    await asyncio.sleep(0)
    assert workshop.places.free == 0
    service = MailAuthentication(asking(), workshop, HOST)
    large = asyncio.create_task(service.authenticate(ARRIVAL, signed(content, "example.com")))
    assert (
        said((await service.authenticate(ARRIVAL, signed(MESSAGE, "example.com"))).found)[1] == "example.com pass"
    )
    assert not large.done()
    assert [holder.key for holder in workshop.places.holders() if holder.waiting] == [("inbound", "192.0.2.1")]
    over.set()
    assert said((await large).found)[1] == "example.com pass"
    await asyncio.gather(*work)


async def test_whoever_finds_no_thread_is_told() -> None:
    workshop = Workshop(1, patience=0.02)
    over = threading.Event()
    work = asyncio.create_task(workshop.run(1, lambda: over.wait(60)))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await found_of(LARGE, workshop)
    over.set()
    await work


# ARC


async def sealed(
    content: bytes, domain: str, workshop: Workshop, *, dmarc: str = "pass", author: str = "example.com"
) -> bytes:
    chain = (await found_of(content, workshop)).chain
    seen = [MethodResult("dmarc", dmarc, "", (Property("header", "from", author),))]
    return seal(content, key(domain), NOW, authserv_id=f"mx.{domain}", results=seen, chain=chain) + content


@pytest.mark.parametrize(
    ("hops", "trusted", "expected"),
    [
        ([("list.example", {})], {"list.example"}, "list.example"),
        ([("list.example", {})], {"other.example", "list.example"}, "list.example"),
        ([("list.example", {"author": "Hanako@Example.com"})], {"list.example"}, "list.example"),
        ([("list.example", {})], set(), ""),
        ([("list.example", {})], {"example"}, ""),
        ([("list.example", {"dmarc": "fail"})], {"list.example"}, ""),
        ([("list.example", {"author": "example.org"})], {"list.example"}, ""),
        ([("list.example", {"author": "sub.example.com"})], {"list.example"}, ""),
        # whoever came after it could have written anything
        ([("list.example", {}), ("esp.example", {"dmarc": "fail"})], {"list.example"}, ""),
        ([("list.example", {}), ("esp.example", {})], {"list.example"}, ""),
        (
            [("list.example", {}), ("esp.example", {"dmarc": "fail"})],
            {"list.example", "esp.example"},
            "list.example",
        ),
        ([("list.example", {}), ("esp.example", {"dmarc": "fail"})], {"esp.example"}, ""),
        ([("list.example", {"dmarc": "fail"}), ("esp.example", {})], {"esp.example"}, "esp.example"),
    ],
)
async def test_who_is_believed(
    hops: list[tuple[str, dict[str, str]]], trusted: set[str], expected: str, workshop: Workshop
) -> None:
    content = MESSAGE
    for domain, options in hops:
        content = await sealed(content, domain, workshop, **options)
    answer = await found_of(content, workshop, STRANGER, arc_trusted=trusted)
    assert answer.found.arc.result == "pass"
    assert answer.found.arc.sealers == tuple(domain for domain, _ in hops)
    assert answer.found.arc.trusted == expected
    assert answer.found.vouched_for is bool(expected)
    assert answer.found.asked_for == "reject"  # what DMARC says is told all the same
    assert b" arc=pass smtp.remote-ip=203.0.113.9\r\n" in answer.field
    assert Authentication.decode(answer.found.encode()) == answer.found


async def test_a_chain_that_is_wrong_vouches_for_nothing(workshop: Workshop) -> None:
    content = (await sealed(MESSAGE, "list.example", workshop)).replace(b"Hello", b"Jello")
    answer = await found_of(content, workshop, STRANGER, arc_trusted={"list.example"})
    assert answer.found.arc == ArcFound(
        result="fail", reason="body", instance=1, part="message", sealers=("list.example",)
    )
    assert not answer.found.vouched_for
    assert b" arc=fail reason=body smtp.remote-ip=203.0.113.9\r\n" in answer.field


async def test_a_chain_vouches_for_one_author(workshop: Workshop) -> None:
    content = await sealed(by(b"a@example.com, b@strict.example"), "list.example", workshop)
    answer = await found_of(content, workshop, STRANGER, arc_trusted={"list.example"})
    assert answer.found.arc.result == "pass"
    assert not answer.found.vouched_for


async def test_a_long_chain_is_checked_in_a_thread(workshop: Workshop) -> None:
    content = MESSAGE
    for _ in range(6):
        content = await sealed(content, "list.example", workshop)
    busy = Workshop(1, patience=0.02)
    over = threading.Event()
    work = asyncio.create_task(busy.run(1, lambda: over.wait(60)))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await found_of(content, busy)
    over.set()
    await work
    assert (await found_of(content, busy)).found.arc.result == "pass"
