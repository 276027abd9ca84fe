"""Zones as they are kept: checks, versions, names, and what the audit log tells."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ekiden.access.accounts import Account, create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.core.clock import MINUTE
from ekiden.networks import zones as module
from ekiden.networks.errors import (
    BadValue,
    RuleNotFound,
    TooMany,
    VersionMismatch,
    ZoneInUse,
    ZoneNameTaken,
    ZoneNotFound,
)
from ekiden.networks.rules import Rules
from ekiden.networks.translations import TEXTS
from ekiden.networks.zones import MAX_ADDRESSES, Address, ServiceRef, Zones, ZoneValues, check_zone, parse_sort
from ekiden.store.api import Store
from support.manual_clock import ManualClock
from support.network_values import address, context, rule_values, zone_values

ANN, BOB = Actor("cli:ann@host"), Actor("api_key:7", "192.0.2.1")
HOME = address("192.0.2.1")


@pytest.fixture
def zones(store: Store, clock: ManualClock) -> Zones:
    return Zones(store, clock)


@pytest.fixture
def rules(store: Store, clock: ManualClock) -> Rules:
    return Rules(store, clock)


@pytest.fixture
async def acme(store: Store, clock: ManualClock) -> Account:
    return await create_account(store, "acme", clock.now())


async def revision(store: Store, account: Account) -> int:
    from sqlalchemy import select

    from ekiden.store.tables import account as table

    async with store.read() as connection:
        found = await connection.scalar(select(table.c.revision).where(table.c.id == account.id))
    assert found is not None
    return found


async def test_the_life_of_a_zone(store: Store, zones: Zones, clock: ManualClock, acme: Account) -> None:
    values = zone_values(
        "office",
        "192.0.2.1",
        "192.0.2.0-192.0.2.9",
        "2001:db8::/32",
        "vpc crn:v1:vpc",
        "instance crn:v1:x",
        "service kube:dal",
        excluded=("192.0.2.7",),
        description="d",
    )
    before = await revision(store, acme)
    made = await zones.create(acme.id, values, actor=ANN)
    assert re.fullmatch("[0-9a-f]{32}", made.id)
    assert ZoneValues(made.name, made.addresses, made.excluded, made.description) == values
    assert (made.created_by, made.updated_by, made.created_at) == (ANN.name, ANN.name, clock.now())
    assert await zones.get(acme.id, made.id) == made
    clock.advance(MINUTE)
    changed = await zones.replace(acme.id, made.id, made.version, zone_values("home", "192.0.2.1"), actor=BOB)
    assert (changed.name, changed.excluded, changed.description) == ("home", (), "")
    assert (changed.created_by, changed.updated_by) == (ANN.name, BOB.name)
    assert (changed.created_at, changed.updated_at) == (made.created_at, clock.now())
    assert changed.version != made.version
    await zones.delete(acme.id, made.id, actor=BOB)
    for ask in (zones.get(acme.id, made.id), zones.delete(acme.id, made.id, actor=BOB)):
        with pytest.raises(ZoneNotFound):
            await ask
    entries = await list_entries(store, acme.id)
    assert [(entry.action, entry.actor) for entry in entries[:3]] == [
        ("zone.delete", BOB.name),
        ("zone.replace", BOB.name),
        ("zone.create", ANN.name),
    ]
    assert {entry.target for entry in entries[:3]} == {made.id}
    assert await revision(store, acme) == before + 3


@pytest.mark.parametrize("id_", ["", "\0", "f" * 32, "F" * 33, "\ud800", "%"])
async def test_what_cannot_be_an_id_is_nowhere(zones: Zones, rules: Rules, acme: Account, id_: str) -> None:
    for ask in (zones.get(acme.id, id_), zones.delete(acme.id, id_, actor=ANN)):
        with pytest.raises(ZoneNotFound):
            await ask
    for change in (rules.get(acme.id, id_), rules.delete(acme.id, id_, actor=ANN)):
        with pytest.raises(RuleNotFound):
            await change


async def test_only_the_version_that_was_read_is_replaced(zones: Zones, acme: Account) -> None:
    first = await zones.create(acme.id, zone_values("z"), actor=ANN)
    second = await zones.replace(acme.id, first.id, first.version, zone_values("z"), actor=ANN)
    with pytest.raises(VersionMismatch):
        await zones.replace(acme.id, first.id, first.version, zone_values("z"), actor=ANN)
    with pytest.raises(ZoneNotFound):
        await zones.replace(acme.id, "0" * 32, "wrong", ZoneValues("?", ()), actor=ANN)
    assert await zones.get(acme.id, first.id) == second
    assert (await zones.replace(acme.id, first.id, None, zone_values("z"), actor=ANN)).version != second.version


async def test_names_belong_to_one_zone_of_an_account(
    store: Store, zones: Zones, clock: ManualClock, acme: Account
) -> None:
    beta = await create_account(store, "beta", clock.now())
    one = await zones.create(acme.id, zone_values("one"), actor=ANN)
    two = await zones.create(acme.id, zone_values("two"), actor=ANN)
    with pytest.raises(ZoneNameTaken):
        await zones.create(acme.id, zone_values("one"), actor=ANN)
    with pytest.raises(ZoneNameTaken):
        await zones.replace(acme.id, two.id, None, zone_values("one"), actor=ANN)
    theirs = await zones.create(beta.id, zone_values("one"), actor=ANN)
    with pytest.raises(ZoneNotFound):
        await zones.get(beta.id, one.id)
    with pytest.raises(ZoneNotFound):
        await zones.replace(acme.id, theirs.id, None, zone_values("x"), actor=ANN)
    assert await zones.count(acme.id) == 2
    assert [zone.id for zone in await zones.list(beta.id)] == [theirs.id]


async def test_lists(zones: Zones, clock: ManualClock, acme: Account) -> None:
    for name in ("b", "c", "a"):
        await zones.create(acme.id, zone_values(name), actor=ANN)
        clock.advance(MINUTE)

    async def names(**how: str) -> str:
        return "".join(zone.name for zone in await zones.list(acme.id, **how))

    assert await names() == "bca"
    assert await names(sort="name") == "abc"
    assert await names(sort="-name") == "cba"
    assert await names(sort="created_by_id,-created_at") == "acb"
    assert await names(name="c") == "c"
    assert await names(name="C") == ""
    with pytest.raises(BadValue, match="sort: 'size'"):
        await zones.list(acme.id, sort="size")
    assert parse_sort("") == []


async def test_a_zone_stays_while_rules_name_it(
    store: Store, zones: Zones, clock: ManualClock, acme: Account
) -> None:
    rules = Rules(store, clock)
    zone = await zones.create(acme.id, zone_values("z"), actor=ANN)
    other = await zones.create(acme.id, zone_values("other"), actor=ANN)
    rule = await rules.create(acme.id, rule_values(acme.uid, context(f"{other.id}, {zone.id}")), actor=ANN)
    with pytest.raises(ZoneInUse, match=rule.id) as refused:
        await zones.delete(acme.id, zone.id, actor=ANN)
    assert refused.value.rules == (rule.id,)
    await rules.delete(acme.id, rule.id, actor=ANN)
    await zones.delete(acme.id, zone.id, actor=ANN)


async def test_there_is_an_end(zones: Zones, acme: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ZONES", 1)
    await zones.create(acme.id, zone_values("one"), actor=ANN)
    with pytest.raises(TooMany):
        await zones.create(acme.id, zone_values("two"), actor=ANN)


async def test_addresses_are_bounded_over_all_zones(
    zones: Zones, acme: Account, clock: ManualClock, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_ALL_ADDRESSES", 3)
    two = zone_values("two", "192.0.2.1", "192.0.2.0/24", excluded=())
    made = await zones.create(acme.id, two, actor=ANN)
    with pytest.raises(TooMany, match="3 addresses together"):
        await zones.create(acme.id, zone_values("more", "192.0.2.1", excluded=("192.0.2.1",)), actor=ANN)
    other = await create_account(store, "other", clock.now())
    await zones.create(other.id, two, actor=ANN)
    small = await zones.create(acme.id, zone_values("small", "192.0.2.1"), actor=ANN)
    await zones.replace(acme.id, made.id, None, two, actor=ANN)
    with pytest.raises(TooMany):
        await zones.replace(acme.id, small.id, None, zone_values("small", "::1", "::2"), actor=ANN)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        (ZoneValues("", ()), "name"),
        (ZoneValues("x" * 129, ()), "name"),
        (ZoneValues("a.b", ()), "name"),
        (ZoneValues("ゾーン", ()), "name"),
        (ZoneValues("a\n", ()), "name"),
        (ZoneValues("z", (), (), "x" * 301), "description"),
        (ZoneValues("z", (), (), "two\nlines"), "description"),
        (ZoneValues("z", (HOME,) * (MAX_ADDRESSES + 1)), "addresses"),
        (ZoneValues("z", (), (HOME,) * (MAX_ADDRESSES + 1)), "excluded"),
        (ZoneValues("z", (HOME, Address("ipAddress", "169.23.56.2345"))), "addresses[1].value"),
        (ZoneValues("z", (Address("ipAddress", "192.0.2.0/24"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("ipAddress"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("ipRange", "192.0.2.9-192.0.2.1"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("ipRange", "192.0.2.9"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("subnet", "192.0.2.9/33"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("subnet", "192.0.2.9"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("vpc", "r006-x"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("vpc", "crn:v1: x"),)), "addresses[0].value"),
        (ZoneValues("z", (Address("instance", ""),)), "addresses[0].value"),
        (ZoneValues("z", (Address("serviceRef"),)), "addresses[0].ref"),
        (ZoneValues("z", (Address("serviceRef", "x", ServiceRef("a", service_name="s")),)), "addresses[0].value"),
        (ZoneValues("z", (Address("serviceRef", ref=ServiceRef("a")),)), "addresses[0].ref.service_name"),
        (
            ZoneValues("z", (Address("serviceRef", ref=ServiceRef("", service_name="s")),)),
            "addresses[0].ref.account_id",
        ),
        (
            ZoneValues("z", (Address("serviceRef", ref=ServiceRef("a", service_name="s", location="a b")),)),
            "addresses[0].ref.location",
        ),
        (ZoneValues("z", (Address("ipAddress", "192.0.2.1", ServiceRef("a")),)), "addresses[0].ref"),
        (ZoneValues("z", (), (HOME, Address("vpc", "crn:v1:x"))), "excluded[1].type"),
        (ZoneValues("z", (), (Address("subnet", "x"),)), "excluded[0].value"),
    ],
)
async def test_what_is_no_zone(values: ZoneValues, field: str) -> None:
    with pytest.raises(BadValue) as refused:
        check_zone(values)
    assert refused.value.field == field
    assert str(refused.value).startswith(f"{field}: ")
    assert refused.value.text("ja") != str(refused.value)


@pytest.mark.parametrize(
    "values",
    [
        ZoneValues("A-b_c 9", (), (), "déjà vu"),
        ZoneValues("x" * 128, (HOME,) * MAX_ADDRESSES, (HOME,) * MAX_ADDRESSES, "x" * 300),
        ZoneValues("z", (Address("serviceRef", ref=ServiceRef("a", service_type="platform_service")),)),
    ],
)
def test_what_is_one(values: ZoneValues) -> None:
    check_zone(values)


def test_every_sentence_is_translated_and_no_other() -> None:
    import ast
    import inspect

    from ekiden.networks import errors, rules, zones

    found: set[str] = set()
    for source in (errors, rules, zones):
        for node in ast.walk(ast.parse(inspect.getsource(source))):
            if isinstance(node, ast.Constant) and node.value in TEXTS.japanese:
                found.add(str(node.value))
    assert found == set(TEXTS.japanese)


@pytest.mark.parametrize("english", sorted(TEXTS.japanese))
def test_translations_name_the_same_values(english: str) -> None:
    def fields(text: str) -> list[Any]:
        return sorted(re.findall(r"{[^}]*}", text))

    assert fields(TEXTS.japanese[english]) == fields(english)
