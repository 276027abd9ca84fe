"""The gate: answers with a directory that believes nothing twice, many authors, and what rules say to the log."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import pytest

from ekiden.access.accounts import Account, create_account, set_senders, suspend_account
from ekiden.access.audit import SYSTEM
from ekiden.access.authenticate import Principal
from ekiden.access.directory import AccountFacts, Directory
from ekiden.access.vault import Vault
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.intake.sender_rights import SUSPENDED, Allowed, Gate, Refused
from ekiden.net.clock import SystemClock
from ekiden.networks.api_types import CONTROL_PLANE, Mode
from ekiden.networks.rule_evaluation import Decision, Why, smtp_resource
from ekiden.networks.rules import Rules
from ekiden.networks.zones import Zones
from ekiden.senders.projects import Project, Projects
from ekiden.senders.smtp_configurations import SmtpConfigurations
from ekiden.senders.smtp_users import SmtpUsers
from ekiden.store.api import Store
from support.network_values import context, rule_values, zone_values

INSIDE, OUTSIDE = "192.0.2.1", "198.51.100.1"
CLOCK = SystemClock()
MANY = tuple(f"d{number}.example" for number in range(60))


@dataclass
class World:
    store: Store
    account: Account
    project: Project
    max_age: float
    directory: Directory
    gate: Gate
    user: Principal
    whole: Principal

    async def facts(self) -> AccountFacts:
        found = await self.directory.account(self.account.id)
        assert found is not None
        return found

    async def rule(self, network: str, mode: Mode = "enabled", *, api_types: tuple[str, ...] = ()) -> str:
        zone = await Zones(self.store, CLOCK).create(
            self.account.id, zone_values(re.sub("[^0-9a-z]", "-", f"{network} {mode}"), network), actor=SYSTEM
        )
        values = rule_values(
            self.account.uid, context(zone.id), instance=self.project.uid, mode=mode, api_types=api_types
        )
        return (await Rules(self.store, CLOCK).create(self.account.id, values, actor=SYSTEM)).id

    async def over_http(self, address: str) -> Decision:
        asked = smtp_resource(self.account.uid, self.project.uid)
        return await self.gate.decide(self.account.id, asked, (CONTROL_PLANE,), address, "public", default=True)


async def renewed(world: World) -> World:
    """As a worker that begins now: whatever the age, it knows nothing that is old."""
    directory = Directory(world.store, CLOCK, max_age=world.max_age)
    return replace(world, directory=directory, gate=Gate(world.store, CLOCK, directory))


async def add_domain(store: Store, account: Account, name: str) -> int:
    lookup = DnsLookup(DnsResolver(DnsConfig(nameservers=("127.0.0.1",), port=9), CLOCK))
    config = DomainsConfig(ed25519=False)
    domains = Domains(store, CLOCK, Vault(bytes(32)), lookup, config, "mail.example.com")
    return (await domains.add(account.id, name, vouched=True)).id


@pytest.fixture(params=[0.0, 1.0], ids=["recheck 0s", "recheck 1s"])
async def world(store: Store, request: pytest.FixtureRequest) -> World:
    """With the real clock: with ``access.recheck = 0s`` what was read is old at once."""
    account = await create_account(store, "acme", CLOCK.now())
    project = await Projects(store, CLOCK).create(account.id, "shop")
    domain_id = await add_domain(store, account, "own.example")
    configuration = await SmtpConfigurations(store, CLOCK).create(
        project, domain_id, "mail", attachments=False, max_recipients=5
    )
    made = await SmtpUsers(store, CLOCK).create(configuration)
    directory = Directory(store, CLOCK, max_age=request.param)
    return World(
        store,
        account,
        project,
        request.param,
        directory,
        Gate(store, CLOCK, directory),
        Principal(account.id, made.user.credential_id, "user"),
        Principal(account.id, 0, "acme"),
    )


async def test_every_question_has_an_answer_however_fresh_it_must_be(world: World) -> None:
    gate = world.gate
    assert await gate.enter(world.whole, INSIDE, "public") == Allowed()
    refused = await gate.enter(world.user, INSIDE, "public")
    assert isinstance(refused, Refused)
    assert refused.facts["why"] == "no_rule"
    rule = await world.rule("192.0.2.0/24")
    world = await renewed(world)
    gate = world.gate
    entered = await gate.enter(world.user, INSIDE, "public")
    assert isinstance(entered, Allowed)
    assert entered.max_recipients == 5, "of its configuration, however old what is known of the account"
    outside = await gate.enter(world.user, OUTSIDE, "public")
    assert isinstance(outside, Refused)
    assert outside.facts["rule"] == rule
    for principal in (world.user, world.whole):
        assert isinstance(await gate.mail(principal, INSIDE, "public", "own.example"), Allowed)
        assert isinstance(await gate.mail(principal, INSIDE, "public", "other.example"), Refused)
        allowed = await gate.message(await world.facts(), principal.credential_id, "own.example", ["own.example"])
        assert isinstance(allowed, Allowed)
        assert allowed.signing is not None
    assert (await world.over_http(OUTSIDE)).why is Why.ADDRESS
    assert (await world.over_http(INSIDE)).allowed


async def test_nobody_and_the_suspended(world: World) -> None:
    nobody = Principal(999_999, 5, "nobody")
    assert await world.gate.enter(nobody, INSIDE, "public") is SUSPENDED
    assert await world.gate.mail(nobody, INSIDE, "public", "own.example") is SUSPENDED
    refused = await world.gate.decide(999_999, {}, (CONTROL_PLANE,), INSIDE, "public", default=True)
    assert not refused.allowed
    await suspend_account(world.store, "acme", CLOCK.now())
    assert await (await renewed(world)).gate.mail(world.whole, INSIDE, "public", "own.example") is SUSPENDED


async def test_an_author_field_of_many_domains(world: World) -> None:
    """Each is read once; an account that is checked is refused for the first that is not its own."""
    refused = await world.gate.message(await world.facts(), 0, "own.example", ["own.example", *MANY])
    assert isinstance(refused, Refused)
    assert refused.facts["domain"] == MANY[0]
    await set_senders(world.store, "acme", "any", CLOCK.now())
    world = await renewed(world)
    for authors in (MANY, (*MANY, "own.example"), ("own.example", *MANY)):
        allowed = await world.gate.message(await world.facts(), 0, "elsewhere.example", authors)
        assert isinstance(allowed, Allowed)
        assert (allowed.signing is not None) is ("own.example" in authors)


async def test_an_account_that_owns_many_domains_may_name_them_all(world: World) -> None:
    own = MANY[:25]
    for name in own:
        await add_domain(world.store, world.account, name)
    world = await renewed(world)
    allowed = await world.gate.message(await world.facts(), 0, own[3], own)
    assert isinstance(allowed, Allowed)
    assert allowed.signing is not None
    assert allowed.signing.name == own[0]


async def test_what_a_rule_in_report_mode_would_have_refused_is_logged(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "ekiden")
    rule = await world.rule("192.0.2.0/24", "report", api_types=(CONTROL_PLANE,))
    world = await renewed(world)
    assert (await world.over_http(INSIDE)).allowed
    assert caplog.messages == []
    assert (await world.over_http(OUTSIDE)).allowed
    facts = f"account={world.account.id} client={OUTSIDE} endpoint=public why=address"
    would = f"a rule would refuse rule={rule} {facts}"
    assert caplog.messages == [would]
    # Beside a rule that does refuse, both are told.
    enforced = await world.rule("203.0.113.0/24", api_types=(CONTROL_PLANE,))
    world = await renewed(world)
    assert not (await world.over_http(OUTSIDE)).allowed
    refuses = f"a rule refuses rule={enforced} {facts}"
    assert caplog.messages[1:] == [would, refuses]


async def test_a_report_over_smtp_is_logged_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A rule without operations may report and holds for SMTP, too; the answer is remembered."""
    caplog.set_level("INFO", "ekiden")
    await world.rule("0.0.0.0/0")
    report = await world.rule("192.0.2.0/24", "report")
    world = await renewed(world)
    for _ in range(3):
        assert isinstance(await world.gate.enter(world.user, OUTSIDE, "public"), Allowed)
    assert caplog.messages == [
        f"a rule would refuse rule={report} account={world.account.id} client={OUTSIDE} endpoint=public why=address"
    ]
