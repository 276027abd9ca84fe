"""Rules as they are kept: checks, filters, versions."""

from __future__ import annotations

import asyncio
import re

import pytest
from sqlalchemy import insert, select

from ekiden.access.accounts import Account, create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.core.clock import MINUTE
from ekiden.networks import rules as module
from ekiden.networks.api_types import CONTROL_PLANE, MODES, SMTP, find_api_type
from ekiden.networks.errors import (
    BadValue,
    ModeNotSupported,
    NotProtected,
    RuleNotFound,
    TooMany,
    VersionMismatch,
)
from ekiden.networks.rules import (
    MAX_CONTEXTS,
    Attribute,
    Context,
    Resource,
    ResourceAttribute,
    RuleFilter,
    Rules,
    RuleValues,
    check_rule,
)
from ekiden.networks.zones import Zones, lock_account
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.tables import access_rule as table
from support.lock_waits import until_waiting
from support.manual_clock import ManualClock
from support.network_values import INSTANCE, context, resource, rule_values, zone_values

ANN = Actor("cli:ann@host")
UID = format(1, "032x")
ZONE = "f" * 32


@pytest.fixture
def rules(store: Store, clock: ManualClock) -> Rules:
    return Rules(store, clock)


@pytest.fixture
async def acme(store: Store, clock: ManualClock) -> Account:
    return await create_account(store, "acme", clock.now())


@pytest.fixture
async def zone(store: Store, clock: ManualClock, acme: Account) -> str:
    return (await Zones(store, clock).create(acme.id, zone_values("z", "192.0.2.1"), actor=ANN)).id


async def test_the_life_of_a_rule(store: Store, rules: Rules, clock: ManualClock, acme: Account, zone: str) -> None:
    values = rule_values(acme.uid, context(zone, "public"), context(f"{zone},{zone}"), description="d", tags=("t",))
    made = await rules.create(acme.id, values, actor=ANN)
    assert re.fullmatch("[0-9a-f]{32}", made.id)
    assert made.values() == values
    assert made.zone_ids() == {zone}
    assert await rules.get(acme.id, made.id) == made
    clock.advance(MINUTE)
    with pytest.raises(VersionMismatch):
        await rules.replace(acme.id, made.id, "old", values, actor=ANN)
    plain = RuleValues((), resource(acme.uid, ""))
    changed = await rules.replace(acme.id, made.id, made.version, plain, actor=ANN)
    assert changed.values() == plain
    assert changed.version != made.version
    assert (changed.created_at, changed.updated_at) == (made.created_at, clock.now())
    await rules.delete(acme.id, made.id, actor=ANN)
    for ask in (
        rules.get(acme.id, made.id),
        rules.delete(acme.id, made.id, actor=ANN),
        rules.replace(acme.id, made.id, "old", values, actor=ANN),
    ):
        with pytest.raises(RuleNotFound):
            await ask
    entries = await list_entries(store, acme.id)
    assert [entry.action for entry in entries[:3]] == ["rule.delete", "rule.replace", "rule.create"]
    assert entries[2].data["zones"] == [zone]


async def test_the_account_may_be_named_but_its_id_is_kept(rules: Rules, acme: Account, zone: str) -> None:
    for given in ("acme", acme.uid.upper(), acme.uid):
        made = await rules.create(acme.id, rule_values(given, context(zone)), actor=ANN)
        assert made.resource.value("accountId") == acme.uid
    for given in ("beta", format(99, "032x")):
        with pytest.raises(BadValue, match="another account"):
            await rules.create(acme.id, rule_values(given, context(zone)), actor=ANN)


async def test_zones_must_be_the_accounts(
    store: Store, rules: Rules, clock: ManualClock, acme: Account, zone: str
) -> None:
    beta = await create_account(store, "beta", clock.now())
    with pytest.raises(BadValue, match=zone):
        await rules.create(beta.id, rule_values(beta.uid, context(zone)), actor=ANN)
    with pytest.raises(BadValue, match=ZONE):
        await rules.create(acme.id, rule_values(acme.uid, context(f"{zone}, {ZONE}")), actor=ANN)
    made = await rules.create(acme.id, rule_values(acme.uid, context(zone)), actor=ANN)
    with pytest.raises(BadValue, match=ZONE):
        await rules.replace(acme.id, made.id, made.version, rule_values(acme.uid, context(ZONE)), actor=ANN)
    with pytest.raises(RuleNotFound):
        await rules.get(beta.id, made.id)


async def test_lists(store: Store, rules: Rules, clock: ManualClock, acme: Account, zone: str) -> None:
    other = (await Zones(store, clock).create(acme.id, zone_values("other"), actor=ANN)).id
    for values in (
        rule_values(acme.uid, context(zone), description="a"),
        rule_values(acme.uid, context(f"{other}, {zone}"), description="b", mode="disabled", region="us-south"),
        rule_values(acme.uid, context(other), description="c", instance=""),
    ):
        await rules.create(acme.id, values, actor=ANN)
        clock.advance(MINUTE)

    async def found(zone_id: str = "", mode: str = "", sort: str = "", **attributes: str) -> str:
        wanted = RuleFilter(attributes, zone_id, mode)
        return "".join(rule.description for rule in await rules.list(acme.id, wanted, sort=sort))

    assert "".join(rule.description for rule in await rules.list(acme.id)) == "abc"
    assert await found() == "abc"
    assert await found(sort="-created_at") == "cba"
    assert await found(sort="-description") == "cba"
    assert await found(zone_id=zone) == "ab"
    assert await found(zone_id=other, mode="disabled") == "b"
    assert await found(mode="report") == ""
    assert await found(serviceInstance=INSTANCE, region="") == "ab"
    assert await found(region="us-south") == "b"
    assert await found(serviceName="event-notifications") == "abc"
    assert await found(serviceType="x") == ""
    with pytest.raises(BadValue, match="sort: 'name'"):
        await found(sort="name")


async def test_there_is_an_end(rules: Rules, acme: Account, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_RULES", 2)
    monkeypatch.setattr(module, "MAX_TAGGED_RULES", 1)
    tagged = RuleValues((), resource(acme.uid, tags=("t",)))
    made = await rules.create(acme.id, tagged, actor=ANN)
    with pytest.raises(TooMany, match="tags"):
        await rules.create(acme.id, tagged, actor=ANN)
    await rules.replace(acme.id, made.id, None, tagged, actor=ANN)
    await rules.create(acme.id, rule_values(acme.uid), actor=ANN)
    with pytest.raises(TooMany, match="2 rules"):
        await rules.create(acme.id, rule_values(acme.uid), actor=ANN)


async def test_a_rule_waits_for_who_changes_the_account(
    store: Store, store_url: str, rules: Rules, acme: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that come at once must not both be the last one there is room for."""
    monkeypatch.setattr(module, "MAX_RULES", 2)
    await rules.create(acme.id, rule_values(acme.uid), actor=ANN)
    elsewhere = await open_store(store_url)
    async with elsewhere.write() as connection:
        await lock_account(connection, acme.id)
        another = asyncio.create_task(rules.create(acme.id, rule_values(acme.uid), actor=ANN))
        await until_waiting(store_url, 1, another)
        first = (await connection.execute(select(table))).mappings().one()
        await connection.execute(insert(table).values({**first, "id": "0" * 32}))
    with pytest.raises(TooMany, match="2 rules"):
        await another
    assert len(await rules.list(acme.id)) == 2
    await elsewhere.close()


async def test_rules_are_of_one_account(store: Store, rules: Rules, acme: Account, clock: ManualClock) -> None:
    other = await create_account(store, "other", clock.now())
    made = await rules.create(acme.id, rule_values(acme.uid), actor=ANN)
    values = rule_values(other.uid)
    for question in (
        rules.get(other.id, made.id),
        rules.replace(other.id, made.id, None, values, actor=ANN),
        rules.delete(other.id, made.id, actor=ANN),
    ):
        with pytest.raises(RuleNotFound):
            await question
    assert await rules.list(other.id) == []
    assert await rules.get(acme.id, made.id) == made


async def test_conditions_are_bounded_over_all_rules(
    rules: Rules, acme: Account, zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONDITIONS", 6)
    # An attribute and each zone that it lists.
    made = await rules.create(acme.id, rule_values(acme.uid, context(f"{zone},{zone}", "public")), actor=ANN)
    with pytest.raises(TooMany, match="6 conditions together"):
        await rules.create(acme.id, rule_values(acme.uid, context(zone), context("", "public")), actor=ANN)
    await rules.create(acme.id, rule_values(acme.uid, context(zone)), actor=ANN)
    await rules.replace(acme.id, made.id, None, made.values(), actor=ANN)
    with pytest.raises(TooMany):
        await rules.replace(acme.id, made.id, None, rule_values(acme.uid, *[context(zone)] * 3), actor=ANN)


def attributes(*pairs: tuple[str, str] | tuple[str, str, str]) -> Resource:
    return Resource(tuple(ResourceAttribute(*pair) for pair in pairs))


OWN = (("accountId", UID), ("serviceName", "event-notifications"))
CONTEXT = "contexts[0].attributes"
RESOURCE = "resources[0].attributes"
API_TYPE = "operations.api_types[0].api_type_id"


@pytest.mark.parametrize(
    ("values", "error", "field"),
    [
        (rule_values(UID, description="x" * 301), BadValue, "description"),
        (rule_values(UID, *[context(ZONE)] * (MAX_CONTEXTS + 1)), BadValue, "contexts"),
        (rule_values(UID, Context(())), BadValue, CONTEXT),
        (rule_values(UID, Context((Attribute("ip", "x"),))), BadValue, f"{CONTEXT}[0].name"),
        (rule_values(UID, Context((Attribute("networkZoneId", " , "),))), BadValue, f"{CONTEXT}[0].value"),
        (rule_values(UID, context(ZONE, "somewhere")), BadValue, f"{CONTEXT}[1].value"),
        (rule_values(UID, context(ZONE, mfa="LEVEL9")), BadValue, f"{CONTEXT}[1].value"),
        (RuleValues((), attributes(*OWN, ("zone", "x"))), BadValue, f"{RESOURCE}[2].name"),
        (RuleValues((), attributes(*OWN, OWN[0])), BadValue, f"{RESOURCE}[2].name"),
        (RuleValues((), attributes(*OWN, ("region", ""))), BadValue, f"{RESOURCE}[2].value"),
        (RuleValues((), attributes(*OWN, ("region", "x" * 1001))), BadValue, f"{RESOURCE}[2].value"),
        (RuleValues((), attributes(*OWN, ("region", "x", "numericEquals"))), BadValue, f"{RESOURCE}[2].operator"),
        (RuleValues((), attributes(OWN[0], (*OWN[1], "stringMatch"))), BadValue, f"{RESOURCE}[1].operator"),
        (RuleValues((), attributes(OWN[0])), BadValue, RESOURCE),
        (RuleValues((), attributes(OWN[1])), BadValue, RESOURCE),
        (RuleValues((), attributes(OWN[0], ("serviceName", "cos"))), NotProtected, RESOURCE),
        (RuleValues((), resource(UID, tags=("t",) * 11)), BadValue, "resources[0].tags"),
        (RuleValues((), resource(UID, tags=("a b",))), BadValue, "resources[0].tags[0].name"),
        (rule_values(UID, api_types=(SMTP,) * 101), BadValue, "operations.api_types"),
        (rule_values(UID, api_types=("crn:other",)), NotProtected, API_TYPE),
        (rule_values(UID, mode="report"), ModeNotSupported, "enforcement_mode"),
        (
            rule_values(UID, mode="report", api_types=(SMTP.replace("-dev", ""),)),
            ModeNotSupported,
            "enforcement_mode",
        ),
        (rule_values(UID, mode="report", api_types=(CONTROL_PLANE, SMTP)), ModeNotSupported, "enforcement_mode"),
        (rule_values(UID, mode="maybe"), BadValue, "enforcement_mode"),
    ],
)
def test_what_is_no_rule(values: RuleValues, error: type[BadValue], field: str) -> None:
    with pytest.raises(BadValue) as refused:
        check_rule(values)
    assert type(refused.value) is error
    assert refused.value.field == field
    assert refused.value.text("ja") != str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        rule_values(UID),
        rule_values(UID, context(f"{ZONE}, {ZONE}", "direct", "LEVEL3")),
        rule_values(UID, context(endpoint="private"), mode="report", api_types=(CONTROL_PLANE,)),
        rule_values(UID, mode="report", api_types=()),
        RuleValues((), attributes(*OWN, ("region", "us-*", "stringMatch"))),
        RuleValues((), attributes((*OWN[0], "stringEquals"), OWN[1])),
    ],
)
def test_what_is_one(values: RuleValues) -> None:
    check_rule(values)


def test_api_types() -> None:
    smtp, control = find_api_type("event-notifications", SMTP), find_api_type("event-notifications", CONTROL_PLANE)
    assert smtp is not None
    assert control is not None
    assert find_api_type("event-notifications", SMTP.replace("-dev", "")) is smtp
    assert find_api_type("cos", SMTP) is None
    assert control.modes == MODES
    assert smtp.modes == ("enabled", "disabled")
