"""What is known of an address: by itself, by real DNS, and by what our own mail has shown; on either engine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert, text

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor
from ekiden.core.clock import DAY
from ekiden.core.states import State
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.lab import Lab
from ekiden.lab.records import Trouble
from ekiden.recipients.suppressions import Suppressions
from ekiden.recipients.validation.address_check import AddressCheck, AddressChecks
from ekiden.recipients.validation.address_check_rules import edit_distance, is_disposable, is_role, suggestion
from ekiden.recipients.validation.queries import sent_to
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock
from support.queue_rows import Rows

PERSON = "ann@good.example"


@pytest.fixture
def checks(store: Store, lab: Lab, clock: ManualClock) -> AddressChecks:
    host, port = lab.dns_address
    lab.set_dns("good.example", "MX", ["10 mx.good.example."])
    lab.set_dns("mx.good.example", "A", ["127.0.0.1"])
    config = DnsConfig(nameservers=(host,), port=port, timeout=2.0, lifetime=4.0)
    return AddressChecks(store, clock, DnsResolver(config, clock, loopback_only=True))


@pytest.fixture
async def rows(store: Store, clock: ManualClock) -> Rows:
    return await Rows.make(store, clock.now())


# --- what the address tells by itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "local", ["info", "Postmaster", "sales+spring", "no-reply", "ietf-request", "MAILER-DAEMON"]
)
def test_roles(local: str) -> None:
    assert is_role(local)


@pytest.mark.parametrize("local", ["ann", "infos", "bob.sales", "information", "+info"])
def test_persons(local: str) -> None:
    assert not is_role(local)


def test_disposable_domains() -> None:
    assert is_disposable("mailinator.com")
    assert is_disposable("anything.mailinator.com")
    for domain in ("gmail.com", "example.com", "com", "notmailinator.com.example"):
        assert not is_disposable(domain)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("gmial.com", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("gmail.con", "gmail.com"),
        ("gmaill.com", "gmail.com"),
        ("hotmal.com", "hotmail.com"),
        ("yahoo.co.j", "yahoo.co.jp"),
        ("yahooo.co.jp", "yahoo.co.jp"),
        ("docomo.ne.jq", "docomo.ne.jp"),
        ("outlok.com", "outlook.com"),
        # Those who write these mean them.
        ("gmail.com", ""),
        ("ymail.com", ""),
        ("mail.com", ""),
        ("yahoo.es", ""),
        ("yahoo.com.br", ""),
        ("hotmail.co.za", ""),
        ("example.com", ""),
        ("ekiden.example", ""),
    ],
)
def test_what_was_perhaps_meant(written: str, meant: str) -> None:
    assert suggestion(written, takes_mail=True) == meant


def test_two_mistakes_are_believed_only_where_nobody_takes_mail() -> None:
    assert suggestion("hotmali.con", takes_mail=True) == ""
    assert suggestion("hotmali.con", takes_mail=False) == "hotmail.com"


@given(st.text("abc", max_size=7), st.text("abc", max_size=7))
def test_distances(first: str, second: str) -> None:
    distance = edit_distance(first, second)
    assert distance == edit_distance(second, first)
    assert (distance == 0) == (first == second)
    assert abs(len(first) - len(second)) <= distance <= max(len(first), len(second))


# --- DNS ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "ann", "ann@", "@good.example", "a b@good.example", "ann@good..example"])
async def test_no_addresses(checks: AddressChecks, text: str) -> None:
    found = await checks.check_one(1, text)
    assert found == AddressCheck(text, False, "false", "high", details=("invalid_syntax",))


async def test_nothing_is_known_of_an_address_that_nobody_has_written_to(checks: AddressChecks) -> None:
    assert await checks.check_one(1, PERSON) == AddressCheck(PERSON, True, "unknown", "unknown")


async def test_domains_that_take_no_mail(checks: AddressChecks, lab: Lab) -> None:
    lab.set_dns("null.example", "MX", ["0 ."])
    lab.set_dns("text.example", "TXT", ["v=spf1 -all"])
    lab.set_dns("lost.example", "MX", ["10 nowhere.lost.example.", "20 gone.lost.example."])
    lab.set_dns("implicit.example", "A", ["127.0.0.1"])
    lab.records.set_trouble("slow.example", Trouble("servfail"))
    found = {}
    for domain in ("null", "text", "lost", "implicit", "slow"):
        check = await checks.check_one(1, f"ann@{domain}.example")
        found[domain] = (check.mailbox, check.risk, check.reason, check.details)
    assert found == {
        "null": ("false", "high", "", ("null_mx",)),
        "text": ("false", "high", "", ("no_mail_host",)),
        "lost": ("false", "high", "", ("no_mail_host",)),
        "implicit": ("unknown", "unknown", "", ()),
        "slow": ("unknown", "unknown", "timed_out", ()),
    }
    missing = await checks.check_one(1, "ann@gmail.con")
    assert (missing.mailbox, missing.did_you_mean) == ("false", "ann@gmail.com")
    assert missing.details == ("no_such_domain", "domain_typo")


async def test_marks(checks: AddressChecks, lab: Lab) -> None:
    for domain in ("mailinator.com", "comcast.nt"):
        lab.set_dns(domain, "MX", ["10 mx.good.example."])
    found = await checks.check_one(1, "info@mailinator.com")
    assert (found.disposable, found.role_based, found.risk) == (True, True, "high")
    assert found.details == ("disposable_address", "role_address")
    typo = await checks.check_one(1, "ann@comcast.nt")
    assert (typo.did_you_mean, typo.risk, typo.mailbox) == ("ann@comcast.net", "medium", "unknown")


# --- what our own mail has shown ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "reply", "expected"),
    [
        (State.DELIVERED, "250 2.0.0 ok", ("true", "low", "", ())),
        (
            State.BOUNCED,
            "550 5.1.1 user unknown",
            ("false", "high", "", ("known_hardbounce",)),
        ),
        (
            State.BOUNCED,
            "552 5.2.2 mailbox full",
            ("unknown", "medium", "inbox_full", ("mailbox_full",)),
        ),
        (
            State.DEFERRED,
            "452 4.2.2 over quota",
            ("unknown", "medium", "inbox_full", ("mailbox_full",)),
        ),
        (State.DEFERRED, "421 4.7.28 slow down", ("unknown", "unknown", "throttled", ())),
        (State.DEFERRED, "451 4.4.1 no answer", ("unknown", "unknown", "unable_to_connect", ())),
        (State.EXPIRED, "451 4.7.1 greylisted", ("unknown", "unknown", "temp_rejection", ())),
        # It says nothing of the mailbox.
        (State.BOUNCED, "554 5.7.1 spam", ("unknown", "unknown", "", ())),
    ],
)
async def test_a_delivery(
    checks: AddressChecks, rows: Rows, state: State, reply: str, expected: tuple[object, ...]
) -> None:
    await rows.attempted(PERSON, state=state, reply=reply)
    account = await rows.account()
    for written in (PERSON, "ann@GOOD.Example"):
        found = await checks.check_one(account, written)
        assert (found.mailbox, found.risk, found.reason, found.details) == expected
    assert (await checks.check_one(account + 1, PERSON)).mailbox == "unknown"


async def test_the_last_delivery_that_tells_anything_counts(checks: AddressChecks, rows: Rows) -> None:
    account = await rows.account()
    bounced = {"state": State.BOUNCED, "reply": "550 5.1.1 no such user"}
    await rows.attempted(PERSON, age=3 * DAY, **bounced)
    await rows.attempted(PERSON, state=State.DELIVERED, reply="250 2.0.0 ok", age=2 * DAY)
    await rows.attempted(PERSON, state=State.BOUNCED, reply="554 5.7.1 spam", age=DAY)
    await rows.message(PERSON)
    assert (await checks.check_one(account, PERSON)).mailbox == "true"
    await rows.attempted(PERSON, **bounced)
    assert (await checks.check_one(account, PERSON)).mailbox == "false"


async def test_no_look_at_an_address_reads_all_that_was_sent(sqlite_store: Store) -> None:
    async with sqlite_store.read() as connection:
        compiled = sent_to(1, PERSON, 5, 20).compile(connection.sync_engine, compile_kwargs={"literal_binds": True})
        plan = [row[3] for row in await connection.execute(text(f"EXPLAIN QUERY PLAN {compiled}"))]
    assert plan == [
        "SEARCH delivery USING INDEX ix_delivery_recipient (account_id=? AND recipient=? AND message_id>?)"
    ]


async def test_what_is_long_ago_counts_no_more(checks: AddressChecks, rows: Rows) -> None:
    await rows.attempted(PERSON, state=State.DELIVERED, reply="250 2.0.0 ok", age=31 * DAY)
    assert (await checks.check_one(await rows.account(), PERSON)).mailbox == "unknown"


async def test_a_domain_that_is_gone_outranks_old_deliveries(checks: AddressChecks, rows: Rows) -> None:
    await rows.attempted("ann@gone.example", state=State.DELIVERED, reply="250 2.0.0 ok")
    assert (await checks.check_one(await rows.account(), "ann@gone.example")).mailbox == "false"


async def test_who_gets_our_mail_has_made_no_typing_mistake(checks: AddressChecks, rows: Rows, lab: Lab) -> None:
    lab.set_dns("comcast.nt", "MX", ["10 mx.good.example."])
    await rows.attempted("ann@comcast.nt", state=State.DELIVERED, reply="250 2.0.0 ok")
    found = await checks.check_one(await rows.account(), "ann@comcast.nt")
    assert (found.mailbox, found.did_you_mean, found.details) == ("true", "", ())


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("bounce", ("false", "high", "", ("known_hardbounce",))),
        ("over_quota", ("unknown", "medium", "inbox_full", ("mailbox_full",))),
        ("complaint", ("unknown", "high", "", ("known_complaint",))),
        ("unsubscribe", ("unknown", "unknown", "", ())),
    ],
)
async def test_suppressions(
    checks: AddressChecks, store: Store, clock: ManualClock, kind: str, expected: tuple[object, ...]
) -> None:
    account = (await create_account(store, "acme", clock.now())).id
    domain = {"name": "shop.example", "account_id": account, "created_at": 0, "status": "verified", "vouched": True}
    texts = ("spf", "dkim", "approval", "approval_reason", "approved_by", "questionnaire", "reason")
    flags = ("track_opens", "track_clicks", "track_unsubscribes")
    empty = {**dict.fromkeys((*texts, "tracking_host", "return_path"), ""), **dict.fromkeys(flags, False)}
    async with store.write() as connection:
        await connection.execute(insert(t.domain).values(**domain, **empty))
    suppressions = Suppressions(store, clock)
    try:
        await suppressions.add(account, "shop.example", ["Ann@good.example"], kind, actor=Actor("test"))
    finally:
        await suppressions.close()
    found = await checks.check_one(account, "ANN@good.example")
    assert (found.mailbox, found.risk, found.reason, found.details) == expected
    assert (await checks.check_one(account + 1, PERSON)).details == ()


async def test_carriers_old_addresses(
    store: Store, lab: Lab, clock: ManualClock, checks: AddressChecks, rows: Rows
) -> None:
    lab.set_dns("docomo.ne.jp", "MX", ["10 mx.good.example."])
    account = await rows.account()
    found = await checks.check_one(account, "a..b@docomo.ne.jp")
    assert (found.address, found.valid_syntax, found.mailbox) == ("a..b@docomo.ne.jp", True, "unknown")
    assert not (await checks.check_one(account, "a..b@good.example")).valid_syntax
    host, port = lab.dns_address
    resolver = DnsResolver(DnsConfig(nameservers=(host,), port=port), clock, loopback_only=True)
    strict = AddressChecks(store, clock, resolver, carriers=False)
    assert not (await strict.check_one(account, "a..b@docomo.ne.jp")).valid_syntax
    assert (await strict.check_one(account, '"a..b"@docomo.ne.jp')).valid_syntax
