"""Who may send as whom over SMTP: domains of accounts, SMTP users behind network rules, quotas, what is refused."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import dkim
import pytest
from listener_harness import PASSWORD, Client, Harness, Lag, Make, plain
from sqlalchemy import update

from ekiden.access.accounts import OverQuota as WhenOver
from ekiden.access.accounts import Quota, set_quota, set_senders
from ekiden.access.audit import SYSTEM, changed
from ekiden.access.credentials import create_api_key, revoke_credential
from ekiden.access.refusals import KeptRefusal, list_refusals, refusals_to
from ekiden.core.ids import parse_id
from ekiden.core.states import Cause, State
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.model import Domain
from ekiden.domains.service import Domains
from ekiden.net.clock import SystemClock
from ekiden.networks.rules import Attribute, Context, Resource, ResourceAttribute, Rules, RuleValues
from ekiden.networks.zones import Address, Zones, ZoneValues
from ekiden.senders.projects import Project, Projects
from ekiden.senders.smtp_configurations import SmtpConfiguration, SmtpConfigurations
from ekiden.senders.smtp_users import NewSmtpUser, SmtpUsers
from ekiden.store import tables

CLOCK = SystemClock()
TO = "rcpt@elsewhere.example"


@pytest.fixture
def make(make: Make) -> Make:
    """Those whose account may send from its verified domains only."""

    def one(**options: Any) -> Harness:
        harness = make(**options)
        harness.call(set_senders(harness.store, "acme", "verified", CLOCK.now()))
        return harness

    return one


def login(client: Client, harness: Harness, username: str = "mailer", password: str = PASSWORD) -> Client:
    client.secure(harness.context())
    assert client.ask(plain(username, password)).startswith("235 ")
    return client


def send(client: Client, sender: str, content: str, to: str = TO) -> str:
    """The reply that decides."""
    reply = client.ask(f"MAIL FROM:<{sender}>")
    if not reply.startswith("250 "):
        return reply
    reply = client.ask(f"RCPT TO:<{to}>")
    if not reply.startswith("250 "):
        return reply
    assert client.ask("DATA").startswith("354 ")
    return client.ask(content + "\r\n.")


def mail(author: str, more: str = "") -> str:
    return f"From: {author}\r\nTo: {TO}\r\nSubject: hello\r\n{more}\r\nHi."


def soon(reply: Callable[[], str], start: str) -> str:
    """Ask again until the reply begins so: a change has two seconds to be seen."""
    deadline = time.monotonic() + 10
    while not (got := reply()).startswith(start):
        assert time.monotonic() < deadline, got
        time.sleep(0.05)
    return got


def domains(harness: Harness) -> Domains:
    nowhere = DnsLookup(DnsResolver(DnsConfig(nameservers=("127.0.0.1",), port=9), CLOCK))
    return Domains(harness.store, CLOCK, harness.parts.vault, nowhere, DomainsConfig(), "mail.example.com")


async def give(harness: Harness, name: str) -> Domain:
    return await domains(harness).add(harness.account_id, name, vouched=True)


async def set_status(harness: Harness, domain: Domain, status: str, reason: str) -> None:
    async with harness.store.write() as connection:
        table = tables.domain
        await connection.execute(update(table).where(table.c.id == domain.id).values(status=status, reason=reason))
        await changed(connection, harness.account_id, CLOCK.now(), SYSTEM, "domain.check", domain.name)


def refusals(harness: Harness) -> list[KeptRefusal]:
    """What was kept, once it is written."""
    deadline = time.monotonic() + 10
    while not (found := harness.call(list_refusals(harness.store))):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


# --- accounts ----------------------------------------------------------------------------------------------------


def test_envelope_and_author_must_be_of_a_verified_domain(make: Make) -> None:
    harness = make()
    harness.call(give(harness, "own.example"))
    pending = harness.call(domains(harness).add(harness.account_id, "pending.example"))
    assert pending.status == "pending"
    with Client(harness.port) as client:
        login(client, harness)
        assert send(client, "a@own.example", mail("A <a@own.example>")).startswith("250 ")
        assert send(client, "a@OWN.example", mail("A <a@Own.Example>")).startswith("250 ")
        for sender in ("a@foreign.example", "a@sub.own.example"):
            reply = send(client, sender, mail("a@own.example"))
            assert reply.startswith("553 5.7.1 ")
            assert sender.partition("@")[2] in reply
        reply = send(client, "a@own.example", mail("ceo@bank.example"))
        assert reply.startswith("553 5.7.1 ")
        assert "bank.example" in reply
        # What is refused for its content is found by its recipient.
        kept: list[KeptRefusal] = []
        while not kept:
            kept = harness.call(refusals_to(harness.store, TO.upper(), [harness.account_id]))
        assert kept[0].id == parse_id(reply.rpartition("[")[2].rstrip("]"))
        assert send(client, "a@own.example", mail("a@own.example, b@bank.example")).startswith("553 ")
        # Without an author it is the envelope sender; the null sender is nobody.
        assert send(client, "a@own.example", "Subject: x\r\n\r\n", "x@made.example").startswith("250 ")
        assert send(client, "", "Subject: no author\r\n\r\n").startswith("554 5.6.0 ")
        twice = "From: a@own.example\r\nFrom: b@bank.example\r\n\r\n"
        assert send(client, "a@own.example", twice).startswith("554 5.6.0 ")
        reply = send(client, "a@pending.example", mail("a@pending.example"))
        assert reply.startswith("554 5.7.1 The domain pending.example is not verified")
        # The null sender is nobody's, its author is somebody's.
        assert send(client, "", mail("a@own.example")).startswith("250 ")
        assert send(client, "", mail("a@bank.example")).startswith("553 ")
    assert len(harness.mailbox.deliveries) == 4
    assert b"\r\nFrom: a@own.example\r\n" in harness.mailbox.contents["x@made.example"][0]


def test_a_suspended_domain_is_refused_on_an_open_connection_and_comes_back(make: Make) -> None:
    harness = make()
    own = harness.call(give(harness, "own.example"))
    with Client(harness.port) as client:
        login(client, harness)
        assert send(client, "a@own.example", mail("a@own.example")).startswith("250 ")
        harness.call(set_status(harness, own, "suspended", "key_differs"))
        reply = soon(lambda: send(client, "a@own.example", mail("a@own.example")), "554 ")
        assert "own.example is suspended" in reply
        assert "key_differs" in reply
        [kept, *_] = refusals(harness)
        assert kept.id == parse_id(reply.rpartition("[")[2].rstrip("]"))
        assert (kept.reason, kept.facts["domain"], kept.sender) == (
            "domain_suspended",
            "own.example",
            "a@own.example",
        )
        harness.call(set_status(harness, own, "verified", ""))
        soon(lambda: send(client, "a@own.example", mail("a@own.example")), "250 ")


def test_a_relay_account_may_send_as_anybody_and_signs_what_it_can(make: Make) -> None:
    harness = make()
    harness.call(give(harness, "own.example"))
    harness.call(set_senders(harness.store, "acme", "any", CLOCK.now()))
    with Client(harness.port) as client:
        login(client, harness)
        soon(lambda: send(client, "a@foreign.example", mail("a@foreign.example"), "x@foreign.example"), "250 ")
        assert send(client, "a@foreign.example", mail("a@own.example"), "x@own.example").startswith("250 ")
        assert send(client, "a@foreign.example", "no header at all", "x@bare.example").startswith("250 ")
    assert [
        b"DKIM-Signature" in harness.mailbox.contents[f"x@{name}.example"][0] for name in ("foreign", "own")
    ] == [
        False,
        True,
    ]


def test_every_message_of_a_verified_domain_is_signed_by_both_keys(make: Make) -> None:
    harness = make()
    own = harness.call(give(harness, "own.example"))
    records = {
        f"{record.name}.".encode(): record.value.encode()
        for record in harness.call(domains(harness).records(own))
        if record.type == "TXT"
    }
    with Client(harness.port) as client:
        login(client, harness)
        assert send(client, "a@own.example", mail("a@own.example")).startswith("250 ")
    [content] = harness.mailbox.contents[TO]
    assert content.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
    verifier = dkim.DKIM(content)
    for index in (0, 1):
        assert verifier.verify(idx=index, dnsfunc=lambda name, timeout=5: records.get(name))
    assert content.count(b"DKIM-Signature:") == 2


def test_an_author_field_may_name_many_domains(make: Make) -> None:
    """More than anybody remembers, each read for this one message."""
    harness = make()
    harness.call(give(harness, "own.example"))
    others = ",\r\n ".join(f"x@d{number}.example" for number in range(40))
    with Client(harness.port) as client:
        login(client, harness)
        reply = send(client, "a@own.example", mail(f"a@own.example,\r\n {others}"))
        assert reply.startswith("553 5.7.1 Sender address rejected: d0.example ")
        harness.call(set_senders(harness.store, "acme", "any", CLOCK.now()))
        soon(lambda: send(client, "a@own.example", mail(f"{others},\r\n a@own.example")), "250 ")
    [content] = harness.mailbox.contents[TO]
    assert b" d=own.example;" in content


def test_with_a_recheck_of_nothing_every_change_is_seen_at_once(make: Make) -> None:
    """``access.recheck = 0s``: nothing is believed twice, and everything still has an answer."""
    harness = make(recheck=0)
    tenant = harness.call(make_tenant(harness))

    def attempt(client: Client) -> str:
        client.secure(harness.context())
        return client.ask(plain(tenant.user.user.username, tenant.user.password))

    def one() -> str:
        return send(client, "a@own.example", mail("a@own.example"))

    with Client(harness.port) as client:
        assert attempt(client).startswith("535 ")
    rule = harness.call(allow(harness, tenant, "127.0.0.0/8"))
    with Client(harness.port) as client:
        assert attempt(client).startswith("235 ")
        assert one().startswith("250 ")
        harness.call(set_quota(harness.store, "acme", Quota(day=1, action="reject"), CLOCK.now()))
        assert [one()[:3], one()[:3]] == ["250", "452"]
        harness.call(Rules(harness.store, CLOCK).delete(harness.account_id, rule, actor=SYSTEM))
        assert one().startswith("554 5.7.1 Access from your network")
    with Client(harness.port) as client:
        login(client, harness)
        assert client.ask("MAIL FROM:<a@own.example>").startswith("250 ")


# --- quotas ------------------------------------------------------------------------------------------------------


def test_over_quota_is_delayed_or_refused_and_takes_effect_on_open_connections(make: Make) -> None:
    harness = make()
    harness.call(give(harness, "own.example"))

    def one() -> str:
        return send(client, "a@own.example", mail("a@own.example"))

    with Client(harness.port) as client:
        login(client, harness)
        assert one().startswith("250 ")
        harness.call(set_quota(harness.store, "acme", Quota(day=3, action="reject"), CLOCK.now()))
        time.sleep(0.2)
        replies = [one() for _ in range(5)]
        assert [reply[:3] for reply in replies] == ["250", "250", "250", "452", "452"]
        assert replies[-1].startswith("452 4.7.1 Quota reached, try again after ")
        harness.call(set_quota(harness.store, "acme", Quota(day=3), CLOCK.now()))
        time.sleep(0.2)
        before = len(harness.mailbox.deliveries)
        reply = one()
        assert reply.startswith("250 ")
        assert len(harness.mailbox.deliveries) == before
    row = harness.call(_delivery(harness, parse_id(reply.split()[-1])))
    assert (State(row.state), Cause(row.cause)) == (State.SCHEDULED, Cause.RATE)
    assert row.due_at % 86_400_000 == 0
    assert row.due_at > CLOCK.now()


@pytest.mark.parametrize("action", ["delay", "reject"])
def test_within_the_quota_messages_are_handed_over_at_once(make: Make, action: WhenOver) -> None:
    """However the clock goes on between a message's time and the answer of the quota."""
    harness = make()
    harness.call(give(harness, "own.example"))
    # A small quota has small blocks: most messages ask the store.
    harness.call(set_quota(harness.store, "acme", Quota(day=100, action=action), CLOCK.now()))
    today = time.time() // 86_400
    with Client(harness.port) as client:
        login(client, harness)
        soon(lambda: send(client, "a@own.example", mail("a@own.example")), "250 ")
        for _ in range(60):
            assert send(client, "a@own.example", mail("a@own.example")).startswith("250 ")
        # But for one that a new day began for.
        assert len(harness.mailbox.deliveries) >= 61 - (time.time() // 86_400 > today)


async def _delivery(harness: Harness, message_id: int) -> Any:
    async with harness.store.read() as connection:
        found = await connection.execute(tables.delivery.select())
        return next(row for row in found if row.message_id == message_id)


# --- SMTP users --------------------------------------------------------------------------------------------------


class Tenant(NamedTuple):
    project: Project
    configuration: SmtpConfiguration
    user: NewSmtpUser


async def make_tenant(harness: Harness, name: str = "own.example", **settings: Any) -> Tenant:
    project = await Projects(harness.store, CLOCK).create(harness.account_id, f"instance of {name}")
    domain = await give(harness, name)
    limits = {"attachments": False, "max_recipients": 3} | settings
    configuration = await SmtpConfigurations(harness.store, CLOCK).create(project, domain.id, "mail", **limits)
    user = await SmtpUsers(harness.store, CLOCK).create(configuration)
    return Tenant(project, configuration, user)


async def allow(harness: Harness, tenant: Tenant, network: str, endpoint: str = "public") -> str:
    zones, rules = Zones(harness.store, CLOCK), Rules(harness.store, CLOCK)
    zone = await zones.create(
        harness.account_id, ZoneValues(f"zone {endpoint}", (Address("subnet", network),)), actor=SYSTEM
    )
    contexts = (Context((Attribute("networkZoneId", zone.id), Attribute("endpointType", endpoint))),)
    resource = Resource(
        (
            ResourceAttribute("accountId", format(harness.account_id, "032x")),
            ResourceAttribute("serviceName", "event-notifications"),
            ResourceAttribute("serviceInstance", tenant.project.uid),
        )
    )
    rule = await rules.create(harness.account_id, RuleValues(contexts, resource), actor=SYSTEM)
    return rule.id


def test_an_smtp_user_is_refused_until_a_rule_allows_it_and_again_when_the_rule_goes(make: Make) -> None:
    harness = make()
    tenant = harness.call(make_tenant(harness))
    secret = tenant.user.password

    def attempt(source: str = "127.0.0.1") -> str:
        with Client(harness.port, source=source) as client:
            client.secure(harness.context())
            return client.ask(plain(tenant.user.user.username, secret))

    assert attempt() == "535 5.7.8 Error: authentication failed"
    [kept] = refusals(harness)
    assert (kept.stage, kept.reason, kept.facts["rule"], kept.facts["why"]) == (
        "auth",
        "network_rule",
        "",
        "no_rule",
    )
    rule = harness.call(allow(harness, tenant, "127.0.0.1/32"))
    soon(attempt, "235 ")
    assert attempt("127.0.0.7").startswith("535 ")
    assert harness.call(list_refusals(harness.store)) is not None
    computed = harness.authenticator.computed
    assert attempt("127.0.0.7").startswith("535 ")
    assert harness.authenticator.computed == computed + 1, "as for a wrong password"
    with Client(harness.port) as client:
        login(client, harness, tenant.user.user.username, secret)
        assert send(client, "a@own.example", mail("a@own.example")).startswith("250 ")
        harness.call(Rules(harness.store, CLOCK).delete(harness.account_id, rule, actor=SYSTEM))
        reply = soon(lambda: send(client, "a@own.example", mail("a@own.example")), "554 5.7.1 Access from your net")
        assert reply.endswith("]")
    assert attempt().startswith("535 ")


def test_the_endpoint_counts(make: Make) -> None:
    harness = make(endpoint="private")
    tenant = harness.call(make_tenant(harness))
    harness.call(allow(harness, tenant, "127.0.0.0/8", "public"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        time.sleep(0.2)
        assert client.ask(plain(tenant.user.user.username, tenant.user.password)).startswith("535 ")


def test_the_deprecated_list_still_admits(make: Make) -> None:
    harness = make()
    tenant = harness.call(make_tenant(harness))
    configurations = SmtpConfigurations(harness.store, CLOCK)
    harness.call(configurations.set_allowed_subnets(tenant.project.id, tenant.configuration.id, ["127.0.0.0/30"]))

    def attempt(source: str) -> str:
        with Client(harness.port, source=source) as client:
            client.secure(harness.context())
            return client.ask(plain(tenant.user.user.username, tenant.user.password))

    soon(lambda: attempt("127.0.0.1"), "235 ")
    assert attempt("127.0.0.9").startswith("535 ")


def announced(client: Client) -> dict[str, str]:
    """What EHLO offers, by its first word."""
    client.send("EHLO c.example\r\n")
    lines = [client.line()]
    while lines[-1][3] == "-":
        lines.append(client.line())
    return {line[4:].partition(" ")[0]: line[4:].partition(" ")[2].strip() for line in lines}


def test_a_listener_has_limits_of_its_own_and_a_user_those_of_its_configuration(make: Make) -> None:
    """What is announced is what is enforced (RFC 1870, RFC 9422), at IBM 30 MiB and 100 recipients."""
    harness = make(max_size=31_457_280, max_recipients=100)
    tenant = harness.call(make_tenant(harness))
    harness.call(give(harness, "whole.example"))
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        offer = announced(client)
        assert (offer["SIZE"], offer["LIMITS"]) == ("31457280", "RCPTMAX=100")
        soon(lambda: client.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        offer = announced(client)
        assert (offer["SIZE"], offer["LIMITS"]) == ("31457280", "RCPTMAX=3")
        too_large = "552 5.3.4 Message size 31457281 exceeds the limit of 31457280 octets"
        assert client.ask("MAIL FROM:<a@own.example> SIZE=31457281") == too_large
        assert client.ask("MAIL FROM:<a@own.example> SIZE=31457280").startswith("250 ")
        replies = [client.ask(f"RCPT TO:<r{n}@elsewhere.example>")[:9] for n in range(4)]
        assert replies == ["250 2.1.5"] * 3 + ["452 4.5.3"]
    with Client(harness.port) as client:
        # Whoever sends for the whole account has what the listener says.
        login(client, harness)
        assert announced(client)["LIMITS"] == "RCPTMAX=100"
        assert client.ask("MAIL FROM:<a@whole.example>").startswith("250 ")
        replies = [client.ask(f"RCPT TO:<r{n}@elsewhere.example>")[:9] for n in range(101)]
        assert replies == ["250 2.1.5"] * 100 + ["452 4.5.3"]


BOUNCE = (
    "From: {author}\r\nTo: them@elsewhere.example\r\nSubject: Undelivered Mail Returned to Sender\r\n"
    "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n"
    'Content-Type: multipart/report; report-type=delivery-status; boundary="8A1.17/mx1"\r\n\r\n'
    "--8A1.17/mx1\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\nI'm sorry.\r\n\r\n"
    "--8A1.17/mx1\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx1.own.example\r\n\r\n"
    "--8A1.17/mx1\r\nContent-Type: message/rfc822\r\n\r\nFrom: them@elsewhere.example\r\n"
    "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=a.pdf\r\n\r\nx\r\n"
    "--8A1.17/mx1--"
)


@pytest.mark.parametrize("user", [False, True])
def test_a_customers_own_mail_server_sends_its_bounces(make: Make, user: bool) -> None:
    """The null sender, and Postfix's author: MAILER-DAEMON at the name of its host."""
    harness = make()
    tenant = harness.call(make_tenant(harness))
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    harness.call(domains(harness).add(harness.account_id, "below.own.example"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        if user:
            soon(lambda: client.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        else:
            assert client.ask(plain("mailer", PASSWORD)).startswith("235 ")
        for author in (
            "MAILER-DAEMON@mx1.own.example (Mail Delivery System)",
            "Mail Delivery System <Mailer-Daemon@a.b.mx1.own.example>",
            "<postmaster@mx1.own.example>",
            "MAILER-DAEMON@own.example",
        ):
            assert send(client, "", BOUNCE.format(author=author)).startswith("250 "), author
        # Its key signs them: d= is the verified domain above the host.
        content = harness.mailbox.contents[TO][-1]
        assert b" d=own.example;" in content.partition(b"\r\nFrom:")[0].replace(b"\r\n", b"")
        for author in (
            "news@mx1.own.example",
            "MAILER-DAEMON@mx1.elsewhere.example",
            "MAILER-DAEMON@own.example.elsewhere.example",
            "MAILER-DAEMON@notown.example",
            "MAILER-DAEMON@mx1.own.example, news@mx2.own.example",
            # The nearest domain decides, and this one is not verified.
            "MAILER-DAEMON@mx1.below.own.example",
        ):
            reply = send(client, "", BOUNCE.format(author=author))
            assert reply.startswith(("553 5.7.1 ", "554 5.7.1 ")), (author, reply)
            assert "; it stands in the From field" in reply
        # With a sender it is mail as any other.
        reply = send(client, "a@own.example", mail("MAILER-DAEMON@mx1.own.example"))
        assert reply.startswith("553 5.7.1 ")


def test_a_refusal_says_where_the_domain_stands(make: Make) -> None:
    harness = make()
    harness.call(give(harness, "own.example"))
    with Client(harness.port) as client:
        login(client, harness)
        envelope = send(client, "a@other.example", mail("a@own.example"))
        assert (
            "other.example is not a verified domain of your account; it stands in the envelope sender" in envelope
        )
        author = send(client, "a@own.example", mail("a@other.example"))
        assert "other.example is not a verified domain of your account; it stands in the From field" in author


def test_limits_of_a_configuration(make: Make) -> None:
    harness = make()
    tenant = harness.call(make_tenant(harness))
    harness.call(give(harness, "other.example"))
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        soon(lambda: client.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        # Another verified domain of the same account is not this user's.
        reply = send(client, "a@other.example", mail("a@other.example"))
        assert reply.startswith("553 5.7.1 ")
        assert "own.example" in reply
        assert send(client, "a@own.example", mail("a@other.example")).startswith("553 5.7.1 ")
        assert client.ask("MAIL FROM:<a@own.example>").startswith("250 ")
        replies = [client.ask(f"RCPT TO:<r{n}@elsewhere.example>")[:9] for n in range(5)]
        assert replies == ["250 2.1.5", "250 2.1.5", "250 2.1.5", "452 4.5.3", "452 4.5.3"]
        # Exactly so many are taken, too, when it comes to the message.
        assert client.ask("DATA").startswith("354 ")
        assert client.ask(mail("a@own.example") + "\r\n.").startswith("250 ")
        attached = (
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\ntext\r\n--b\r\n"
            "Content-Type: application/pdf\r\nContent-Disposition: attachment; filename=bill.pdf\r\n\r\n"
            "x\r\n--b--\r\n"
        )
        reply = send(client, "a@own.example", f"From: a@own.example\r\n{attached}")
        assert reply.startswith("554 5.6.1 Attachments are not accepted by your SMTP configuration: bill.pdf")
        html = "Content-Type: text/html\r\n"
        assert send(client, "a@own.example", mail("a@own.example", html)).startswith("250 ")


def test_looking_for_attachments_in_megabytes_keeps_nobody_waiting(make: Make) -> None:
    """Each part has as many fields as it may have: 20 MB of them take seconds."""
    harness = make()
    tenant = harness.call(make_tenant(harness))
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    part = "--b\r\n" + "content-type:text/plain\r\n" * 800 + "\r\n\r\n"
    content = "From: a@own.example\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + part * 900
    with Client(harness.port) as hostile, Client(harness.port) as victim:
        victim.secure(harness.context())
        hostile.secure(harness.context())
        soon(lambda: hostile.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        hostile.send("MAIL FROM:<a@own.example>\r\n")
        hostile.send(f"RCPT TO:<{TO}>\r\n")
        hostile.send("DATA\r\n")
        assert [hostile.reply()[:3] for _ in range(3)] == ["250", "250", "354"]
        with Lag(harness) as lag:
            hostile.send(content + ".\r\n")
            assert victim.ask("NOOP").startswith("250 ")
            assert hostile.reply().startswith("250 ")
    assert lag.worst < 1, lag.worst


def test_a_clone_sends_for_the_configuration_of_its_sender(make: Make) -> None:
    harness = make()
    tenant = harness.call(make_tenant(harness))

    async def clone() -> None:
        other = await give(harness, "other.example")
        configurations = SmtpConfigurations(harness.store, CLOCK)
        second = await configurations.create(tenant.project, other.id, "more", attachments=True, max_recipients=9)
        await SmtpUsers(harness.store, CLOCK).clone(second, tenant.user.user.username)

    harness.call(clone())
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        soon(lambda: client.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        for name in ("own.example", "other.example"):
            assert send(client, f"a@{name}", mail(f"a@{name}")).startswith("250 ")


def test_deleting_a_user_ends_its_open_sessions(make: Make) -> None:
    harness = make()
    tenant = harness.call(make_tenant(harness))
    harness.call(allow(harness, tenant, "127.0.0.0/8"))
    with Client(harness.port) as client:
        client.secure(harness.context())
        soon(lambda: client.ask(plain(tenant.user.user.username, tenant.user.password)), "235 ")
        assert send(client, "a@own.example", mail("a@own.example")).startswith("250 ")
        users = SmtpUsers(harness.store, CLOCK)
        harness.call(users.delete(tenant.configuration.id, tenant.user.user.id))
        time.sleep(0.3)
        assert client.ask("MAIL FROM:<a@own.example>") == "421 4.7.0 Your credential is not valid any more"


def test_a_credential_revoked_between_mail_and_the_end_of_the_message(make: Make) -> None:
    harness = make()
    harness.call(give(harness, "own.example"))
    made = harness.call(create_api_key(harness.store, harness.account_id, "key", CLOCK.now()))
    with Client(harness.port) as client:
        login(client, harness, "App", made.key)
        assert client.ask("MAIL FROM:<a@own.example>").startswith("250 ")
        assert client.ask(f"RCPT TO:<{TO}>").startswith("250 ")
        assert client.ask("DATA").startswith("354 ")
        harness.call(revoke_credential(harness.store, made.credential.id, CLOCK.now()))
        time.sleep(0.2)
        assert client.ask(mail("a@own.example") + "\r\n.").startswith("550 5.7.1 Your credential is not valid")
    assert harness.mailbox.deliveries == []


def test_a_restricted_listener_turns_strangers_away_at_once(make: Make) -> None:
    harness = make(restricted=True)
    tenant = harness.call(make_tenant(harness))
    harness.call(allow(harness, tenant, "127.0.0.8/29"))

    def greeting(source: str) -> str:
        with Client(harness.port, source=source) as client:
            return client.reply()

    soon(lambda: greeting("127.0.0.7"), "554 5.7.1 No service for your network")
    assert greeting("127.0.0.9").startswith("220 ")
