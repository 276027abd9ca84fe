"""The return path on the wire, against a lab: whose it is, what it names, and what a peer is asked to report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from delivery_road import Road, road, until
from sqlalchemy import update

from ekiden.access.accounts import create_account
from ekiden.access.directory import Directory
from ekiden.access.remembered import Remembered
from ekiden.core.clock import Clock
from ekiden.core.forward import Forward
from ekiden.core.return_path import Purpose, ReturnPath, ReturnPaths
from ekiden.core.srs import Rewritten, Srs
from ekiden.core.states import State
from ekiden.core.submission import Notify, Ret
from ekiden.delivery.envelope_senders import EnvelopeSenders, HostWatch
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.queries import add_domain, bounces_to
from ekiden.lab import Lab
from ekiden.lab.mailbox import Mail
from ekiden.lab.records import Trouble
from ekiden.store import tables as t
from ekiden.store.api import Store

HOST = "rp.ekiden.test"
PATHS = ReturnPaths([bytes(32)])
SRS = Srs([bytes(32)])


def ours(store: Store, **options: Any) -> Callable[[Clock], EnvelopeSenders]:
    return lambda clock: EnvelopeSenders(
        PATHS, HOST, Directory(store, clock), Remembered(store, bounces_to), SRS, **options
    )


async def account_of(store: Store, *domains: str, **values: Any) -> int:
    """An account with these domains, verified unless ``values`` say otherwise."""
    account = await create_account(store, "sender", 1)
    for name in domains:
        await add(store, account.id, name, **values)
    return account.id


async def add(store: Store, account: int, name: str, **values: Any) -> None:
    domain = {
        "account_id": account,
        "name": name,
        "created_at": 1,
        "verified_at": 1,
        "status": "verified",
        "vouched": False,
        "spf": "successful",
        "dkim": "successful",
        "approval": "none",
        "approval_reason": "",
        "approved_by": "",
        "questionnaire": "{}",
        "reason": "",
        "track_opens": False,
        "track_clicks": False,
        "track_unsubscribes": False,
        "tracking_host": "",
        "return_path": "",
    }
    async with store.write() as connection:
        await add_domain(connection, domain | values)


def said(r: Road, mail: Mail) -> tuple[ReturnPath | None, str]:
    local, _, host = mail.sender.rpartition("@")
    return PATHS.unseal(local, r.clock.now()), host


def number(r: Road, mail: Mail) -> int:
    found, _ = said(r, mail)
    assert found is not None
    return found.number


async def sent_from(r: Road, lab: Lab, account: int, sender: str) -> str:
    """With which envelope sender a message went out: its host, or the whole of it when it is none of ours."""
    message = await r.send("joe@accept.lab.test", sender=sender, account=account)
    await r.one(message)
    mail = lab.mail()[-1]
    found, host = said(r, mail)
    return host if found is not None and found.message_id == message else mail.sender


async def test_it_names_the_delivery_that_travels_alone(store: Store, lab: Lab) -> None:
    """On both engines."""
    account = await account_of(store, "src.test")
    async with road(store, lab, senders=ours(store)) as r:
        message = await r.send("joe@accept.lab.test", sender="me@src.test", account=account)
        assert (await r.one(message))["state"] == State.DELIVERED
        (mail,) = lab.mail()
        assert said(r, mail) == (ReturnPath(Purpose.BOUNCE, account, message, 1), HOST)
        (attempt,) = await r.attempts(message)
        assert f"C: MAIL FROM:<{mail.sender}>" in attempt["dialogue"]
        (row,) = await r.rows(t.message)
        assert row["sender"] == "me@src.test"
        await r.drain()


async def test_it_names_the_message_of_recipients_who_share_a_transaction(sqlite_store: Store, lab: Lab) -> None:
    account = await account_of(sqlite_store, "src.test")
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        people = [f"{name}@accept.lab.test" for name in "abc"]
        message = await r.send(*people, "d@ipv6.lab.test", sender="me@src.test", account=account)
        await r.settled(message)
        named = {mail.to: number(r, mail) for mail in lab.mail()}
        assert named == {tuple(people): 0, ("d@ipv6.lab.test",): 4}
        shared = next(mail for mail in lab.mail() if len(mail.to) == 3)
        assert shared.rcpt_parameters == tuple(f"ORCPT=rfc822;{address}" for address in people)
        await r.drain()


async def test_each_recipient_alone(sqlite_store: Store, lab: Lab) -> None:
    account = await account_of(sqlite_store, "src.test")
    async with road(sqlite_store, lab, senders=ours(sqlite_store, alone=True)) as r:
        people = [f"u{number}@accept.lab.test" for number in range(1, 8)]
        message = await r.send(*people, sender="me@src.test", account=account)
        assert {row["state"] for row in await r.settled(message)} == {State.DELIVERED}
        named = sorted((mail.to, number(r, mail)) for mail in lab.mail())
        assert named == [((address,), at) for at, address in enumerate(people, 1)]
        await r.drain()


@pytest.mark.parametrize(
    ("sender", "expected"),
    [
        ("me@shop.test", "rp.shop.test"),
        ("me@Below.Shop.Test", "rp.shop.test"),
        ("me@waits.test", HOST),
        ("me@own.waits.test", "rp.own.waits.test"),
        ("me@off.test", "me@off.test"),
        ("me@below.off.test", "me@below.off.test"),
        # Nobody signs it, so it must keep what SPF says of it.
        ("me@never.test", "me@never.test"),
        ("me@strangers.test", "me@strangers.test"),
        ("me@suspended.test", HOST),
        ("", ""),
    ],
)
async def test_whose_it_is(sqlite_store: Store, lab: Lab, sender: str, expected: str) -> None:
    account = await account_of(sqlite_store, "shop.test", "own.waits.test", rp="successful")
    await add(sqlite_store, account, "waits.test", rp="failed")
    await add(sqlite_store, account, "off.test", rp="successful", receive_bounces=False)
    await add(sqlite_store, account, "never.test", status="failed", verified_at=None)
    await add(sqlite_store, account, "suspended.test", status="suspended")
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        assert await sent_from(r, lab, account, sender) == expected
        await r.drain()


async def test_a_change_is_seen(sqlite_store: Store, lab: Lab) -> None:
    """With the account's revision, as every setting."""
    account = await account_of(sqlite_store, "shop.test")
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        assert await sent_from(r, lab, account, "me@shop.test") == HOST
        async with sqlite_store.write() as connection:
            await connection.execute(update(t.domain).values(receive_bounces=False))
            await connection.execute(update(t.account).values(revision=t.account.c.revision + 1))
        r.clock.leap(2)
        assert await sent_from(r, lab, account, "me@shop.test") == "me@shop.test"
        await r.drain()


@pytest.mark.parametrize(
    ("notify", "asked", "told"),
    [
        (Notify.NONE_GIVEN, "", []),
        (Notify.NEVER, "NOTIFY=FAILURE", []),
        (Notify.SUCCESS | Notify.DELAY, "NOTIFY=FAILURE,DELAY", ["relayed"]),
        (Notify.FAILURE, "NOTIFY=FAILURE", []),
    ],
)
async def test_a_peer_reports_to_us_and_we_to_the_client(
    sqlite_store: Store, lab: Lab, notify: Notify, asked: str, told: list[str]
) -> None:
    account = await account_of(sqlite_store, "sender.lab.test")
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        client = "me@sender.lab.test"
        options = {"notify": notify, "ret": Ret.FULL.value, "envid": "E1", "account": account}
        message = await r.send("joe@accept.lab.test", sender=client, **options)
        await r.one(message)
        (mail,) = lab.mail("joe@accept.lab.test")
        assert mail.rcpt_parameters == (asked,)
        assert mail.mail_parameters.split()[-2:] == ["RET=HDRS", "ENVID=E1"]
        await r.drain()
        reports = await r.rows(t.message, t.message.c.sender == "")
        assert [row["subject"] for row in reports] == ["Message relayed" for _ in told]
        to = await r.rows(t.delivery, t.delivery.c.message_id.in_([row["id"] for row in reports]))
        assert {row["recipient"] for row in to} == ({client} if told else set())


async def test_an_international_sender_needs_no_smtputf8_for_its_own_sake(sqlite_store: Store, lab: Lab) -> None:
    account = await account_of(sqlite_store, "src.test")
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        message = await r.send("joe@nosmtputf8.lab.test", sender="jörg@src.test", account=account)
        assert (await r.one(message))["state"] == State.DELIVERED
        assert "SMTPUTF8" not in lab.mail()[-1].mail_parameters
        await r.drain()


async def test_a_host_that_takes_no_mail_is_not_used_unless_it_was_named(sqlite_store: Store, lab: Lab) -> None:
    """Servers would refuse every message from it."""
    account = await account_of(sqlite_store, "waits.test")
    await add(sqlite_store, account, "shop.test", rp="successful")
    dns = DnsConfig(nameservers=(lab.dns_address[0],), port=lab.dns_address[1], timeout=1.0, min_ttl=0.0)
    failing = Trouble("servfail")

    def watched(clock: Clock) -> EnvelopeSenders:
        watch = HostWatch(HOST, DnsResolver(dns, clock, loopback_only=True), clock)
        return ours(sqlite_store, watch=watch)(clock)

    async with road(sqlite_store, lab, senders=watched) as r:
        assert await sent_from(r, lab, account, "me@waits.test") == "me@waits.test"
        assert await sent_from(r, lab, account, "me@shop.test") == "rp.shop.test"
        lab.set_dns(HOST, "MX", ["10 mx.ekiden.test."])
        r.clock.leap(600)
        assert await sent_from(r, lab, account, "me@waits.test") == HOST
        # Nothing is known: it was right a minute ago.
        lab.records.set_trouble(HOST, failing)
        r.clock.leap(600)
        assert await sent_from(r, lab, account, "me@waits.test") == HOST
        lab.records.set_trouble(HOST, None)
        lab.remove_dns(HOST, "MX")
        r.clock.leap(600)
        assert await sent_from(r, lab, account, "me@waits.test") == "me@waits.test"
        await r.drain()


LONG = f"{'n' * 40}@{'d' * 20}.lab.test"


@pytest.mark.parametrize("sender", ["ann@sender.lab.test", LONG, '"a b"@sender.lab.test'])
async def test_what_is_sent_on_has_its_sender_inside(store: Store, lab: Lab, sender: str) -> None:
    """Or a token that names it, where that has no room. On both engines; nothing is asked of the account."""
    async with road(store, lab, senders=ours(store, verp=False)) as r:
        for hand_over in (True, False):
            message = await r.send(
                "joe@accept.lab.test", sender=sender, hand_over=hand_over, forward=Forward(sender="srs")
            )
            assert (await r.one(message))["state"] == State.DELIVERED
            mail = lab.mail()[-1]
            local, _, host = mail.sender.rpartition("@")
            assert host == HOST
            if sender == "ann@sender.lab.test":
                assert SRS.unseal(local, r.clock.now()) == Rewritten(1, sender)
            else:
                assert said(r, mail)[0] == ReturnPath(Purpose.FORWARD, 1, message, 1)
        await r.drain()


@pytest.mark.parametrize(
    ("forward", "sender", "expected"),
    [
        ("token", "ann@sender.lab.test", Purpose.BOUNCE),
        ("own", "ann@sender.lab.test", "ann@sender.lab.test"),
        ("srs", f"b-whatever@{HOST}", f"b-whatever@{HOST}"),
        ("srs", "", ""),
        ("token", "", ""),
    ],
)
async def test_whose_bounces_end_elsewhere(
    sqlite_store: Store, lab: Lab, forward: Any, sender: str, expected: Purpose | str
) -> None:
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        message = await r.send("joe@accept.lab.test", sender=sender, forward=Forward(sender=forward))
        assert (await r.one(message))["state"] == State.DELIVERED
        mail = lab.mail()[-1]
        if isinstance(expected, Purpose):
            assert said(r, mail) == (ReturnPath(expected, 1, message, 1), HOST)
        else:
            assert mail.sender == expected
        await r.drain()


async def test_the_sender_inside_hears_of_a_refusal(sqlite_store: Store, lab: Lab) -> None:
    """From us, directly: its address is not written anew for that."""
    async with road(sqlite_store, lab, senders=ours(sqlite_store)) as r:
        sender = "ann@sender.lab.test"
        message = await r.send("joe@reject.lab.test", sender=sender, forward=Forward(sender="srs"))
        assert (await r.one(message))["state"] == State.BOUNCED
        await until(lambda: r.has(lab.mail(sender)))
        (report,) = lab.mail(sender)
        assert report.sender == ""
        await r.drain()
