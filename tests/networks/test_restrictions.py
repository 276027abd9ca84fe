"""The table of contract §4.4 and §4.5: which requests rules let pass."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.access.accounts import create_account
from ekiden.access.audit import SYSTEM
from ekiden.networks.api_types import CONTROL_PLANE
from ekiden.networks.rule_evaluation import (
    AddressUnion,
    Decision,
    Finding,
    RuleBook,
    Why,
    load_rulebook,
    load_union,
    smtp_resource,
)
from ekiden.networks.rules import SMTP_API_TYPES, Resource, ResourceAttribute, Rule, Rules, RuleValues
from ekiden.networks.zones import Zone, Zones, ZoneValues
from ekiden.store.api import Store
from support.manual_clock import ManualClock
from support.network_values import INSTANCE, context, resource, rule_values, zone_values

ALIAS = "crn:v1:bluemix:public:event-notifications::::api-type:smtp-configuration"
VPC = "crn:v1:bluemix:public:is:us-south:a/acme::vpc:r006-x"
OTHER_INSTANCE = "99999999-2222-4333-8444-555555555555"
ACCOUNT = 1
UID = format(ACCOUNT, "032x")
GROUPS = {
    VPC: ["10.1.0.0/16"],
    "crn:instance": ["10.2.0.7"],
    "service:kube": ["10.3.0.0/24"],
    "service:kube:dal": ["10.3.1.0-10.3.1.9"],
    "service:kubernetes": ["10.4.0.0/24"],
}


def stored_zone(values: ZoneValues, account: int = ACCOUNT) -> Zone:
    return Zone(values.name, account, values.name, "", values.addresses, values.excluded, "v", 0, "test", 0, "test")


_ids = count(1)


def stored_rule(values: RuleValues, id_: str = "", account: int = ACCOUNT) -> Rule:
    return Rule(
        id_ or f"rule{next(_ids)}",
        account,
        "",
        values.contexts,
        values.resource,
        values.api_types,
        values.mode,
        "v",
        0,
        "test",
        0,
        "test",
    )


ZONES = [
    stored_zone(zone_values("office", "192.0.2.0/24", "2001:db8::/64", excluded=("192.0.2.7",))),
    stored_zone(zone_values("home", "198.51.100.1-198.51.100.9", "192.0.2.7")),
    stored_zone(zone_values("cloud", f"vpc {VPC}")),
    stored_zone(zone_values("machine", "instance crn:instance")),
    stored_zone(zone_values("kube", "service kube")),
    stored_zone(zone_values("dallas", "service kube:dal")),
    stored_zone(zone_values("unmapped", "vpc crn:unknown", "service other", "instance crn:other")),
    stored_zone(zone_values("nothing")),
]


def decide(
    *rules: RuleValues,
    address: str = "192.0.2.1",
    endpoint: str = "public",
    api_types: tuple[str, ...] = SMTP_API_TYPES,
    default: bool = False,
    asked: Mapping[str, str] | None = None,
    groups: Mapping[str, list[str]] = GROUPS,
) -> Decision:
    named = [stored_rule(values, f"r{index}") for index, values in enumerate(rules)]
    book = RuleBook.compile(ZONES, named, groups)
    question = smtp_resource(UID, INSTANCE, "us-south") if asked is None else asked
    found = book.decide(question, api_types, address, endpoint, default=default)
    # Whatever passes over SMTP is in the union that is asked at connect.
    if found.allowed and not default and api_types == SMTP_API_TYPES:
        assert (address, endpoint) in AddressUnion.compile(ZONES, named, groups)
    assert book.decide(question, api_types, address, endpoint, default=default) == found
    return found


def rule(*contexts: Any, **options: Any) -> RuleValues:
    return rule_values(UID, *contexts, **options)


OFFICE = context("office")


@pytest.mark.parametrize(
    ("rules", "options", "allowed", "refusing", "why"),
    [
        # no rule: closed for SMTP, open for whoever says so
        ([], {}, False, "", Why.NO_RULE),
        ([], {"default": True}, True, "", Why.NO_RULE),
        # one rule
        ([rule(OFFICE)], {}, True, "", Why.PASSED),
        ([rule(OFFICE)], {"address": "::ffff:192.0.2.1"}, True, "", Why.PASSED),
        ([rule(OFFICE)], {"address": "2001:db8::5"}, True, "", Why.PASSED),
        ([rule(OFFICE)], {"address": "2001:db8:1::5"}, False, "r0", Why.ADDRESS),
        ([rule(OFFICE)], {"address": "203.0.113.1"}, False, "r0", Why.ADDRESS),
        ([rule(OFFICE)], {"address": "203.0.113.1", "default": True}, False, "r0", Why.ADDRESS),
        ([rule(OFFICE)], {"address": "not an address"}, False, "r0", Why.ADDRESS),
        ([rule(OFFICE)], {"address": "192.0.2.7"}, False, "r0", Why.ADDRESS),  # excluded
        ([rule()], {}, False, "r0", Why.NO_CONTEXT),
        ([rule(context("nothing"))], {}, False, "r0", Why.ADDRESS),
        ([rule(context("missing"))], {}, False, "r0", Why.ADDRESS),
        # zones of one context are alternatives; excluded in one may be in another
        ([rule(context("office, home"))], {"address": "192.0.2.7"}, True, "", Why.PASSED),
        ([rule(context("office,home"))], {"address": "198.51.100.9"}, True, "", Why.PASSED),
        ([rule(context("office home"))], {"address": "198.51.100.10"}, False, "r0", Why.ADDRESS),
        # contexts are alternatives, attributes of a context are not
        ([rule(OFFICE, context("home"))], {"address": "198.51.100.1"}, True, "", Why.PASSED),
        ([rule(context("office", "private"))], {}, False, "r0", Why.ENDPOINT),
        ([rule(context("office", "private"))], {"endpoint": "private"}, True, "", Why.PASSED),
        ([rule(context("office", "public"))], {"endpoint": "private"}, False, "r0", Why.ENDPOINT),
        ([rule(context("office", "direct"))], {}, False, "r0", Why.ENDPOINT),
        ([rule(OFFICE)], {"endpoint": "private"}, True, "", Why.PASSED),
        ([rule(context(endpoint="public"))], {"address": "203.0.113.1"}, True, "", Why.PASSED),
        ([rule(context(endpoint="public"))], {"address": "2001:db8:9::1"}, True, "", Why.PASSED),
        ([rule(context("office", mfa="LEVEL1"))], {}, False, "r0", Why.MFA),
        ([rule(context("office", mfa="NONE"))], {}, True, "", Why.PASSED),
        # several rules: all must pass
        ([rule(OFFICE), rule(context("office home"))], {}, True, "", Why.PASSED),
        ([rule(OFFICE), rule(context("home"))], {}, False, "r1", Why.ADDRESS),
        ([rule(context("home")), rule()], {}, False, "r0", Why.ADDRESS),
        # enforcement
        ([rule(OFFICE, mode="disabled")], {}, False, "", Why.NO_RULE),
        ([rule(OFFICE), rule(context("home"), mode="disabled")], {}, True, "", Why.PASSED),
        ([rule(OFFICE, api_types=(), mode="report")], {}, False, "", Why.NO_RULE),
        # operations
        ([rule(OFFICE, api_types=())], {}, True, "", Why.PASSED),
        ([rule(OFFICE, api_types=(ALIAS,))], {}, True, "", Why.PASSED),
        ([rule(OFFICE)], {"api_types": (ALIAS,)}, True, "", Why.PASSED),
        ([rule(OFFICE, api_types=(CONTROL_PLANE,))], {}, False, "", Why.NO_RULE),
        ([rule(OFFICE, api_types=(CONTROL_PLANE, ALIAS))], {}, True, "", Why.PASSED),
        ([rule(OFFICE), rule(context("home"), api_types=(CONTROL_PLANE,))], {}, True, "", Why.PASSED),
        (
            [rule(context("home"), api_types=(CONTROL_PLANE,))],
            {"api_types": (CONTROL_PLANE,), "default": True},
            False,
            "r0",
            Why.ADDRESS,
        ),
        # resources
        ([rule(OFFICE, instance="")], {}, True, "", Why.PASSED),  # all instances of the account
        ([rule(OFFICE, instance=OTHER_INSTANCE)], {}, False, "", Why.NO_RULE),
        ([rule(OFFICE), rule(context("home"), instance=OTHER_INSTANCE)], {}, True, "", Why.PASSED),
        ([rule(OFFICE, region="us-south")], {}, True, "", Why.PASSED),
        ([rule(OFFICE, region="eu-de")], {}, False, "", Why.NO_RULE),
        ([rule(OFFICE, region="us-south")], {"asked": smtp_resource(UID, INSTANCE)}, False, "", Why.NO_RULE),
        ([rule(OFFICE, resourceGroupId="g")], {}, False, "", Why.NO_RULE),
        ([rule(OFFICE)], {"asked": smtp_resource(format(2, "032x"), INSTANCE)}, False, "", Why.NO_RULE),
        ([rule(OFFICE, tags=("prod",))], {}, False, "", Why.NO_RULE),
        (
            [rule(OFFICE, tags=("prod",))],
            {"asked": {**smtp_resource(UID, INSTANCE), "tag:prod": "yes"}},
            True,
            "",
            Why.PASSED,
        ),
        # what only the configuration knows
        ([rule(context("cloud"))], {"address": "10.1.2.3"}, True, "", Why.PASSED),
        ([rule(context("cloud"))], {"address": "10.1.2.3", "groups": {}}, False, "r0", Why.ADDRESS),
        ([rule(context("machine"))], {"address": "10.2.0.7"}, True, "", Why.PASSED),
        ([rule(context("kube"))], {"address": "10.3.0.1"}, True, "", Why.PASSED),
        ([rule(context("kube"))], {"address": "10.3.1.9"}, True, "", Why.PASSED),  # any location
        ([rule(context("kube"))], {"address": "10.4.0.1"}, False, "r0", Why.ADDRESS),  # another service
        ([rule(context("dallas"))], {"address": "10.3.1.9"}, True, "", Why.PASSED),
        ([rule(context("dallas"))], {"address": "10.3.0.1"}, False, "r0", Why.ADDRESS),
        ([rule(context("unmapped"))], {"address": "10.3.1.9"}, False, "r0", Why.ADDRESS),
    ],
)
def test_the_table(
    rules: list[RuleValues], options: dict[str, Any], allowed: bool, refusing: str, why: Why
) -> None:
    found = decide(*rules, **options)
    assert (found.allowed, found.rule, found.why) == (allowed, refusing, why)


def test_report_mode_tells_and_does_not_refuse() -> None:
    watching = rule(context("home"), api_types=(), mode="report")
    found = decide(rule(OFFICE), watching, rule(OFFICE, api_types=(), mode="report"))
    assert found == Decision(True, "", Why.PASSED, (Finding("r1", Why.ADDRESS),))
    refused = decide(rule(context("home")), watching)
    assert refused == Decision(False, "r0", Why.ADDRESS, (Finding("r1", Why.ADDRESS),))


@pytest.mark.parametrize(
    ("pattern", "value", "fits"),
    [
        ("us-*", "us-south", True),
        ("us-?outh", "us-south", True),
        ("*", "us-south", True),
        ("us", "us-south", False),
        ("[u]s-south", "us-south", False),
        ("[u]s-*", "[u]s-south", True),
        ("us.south", "us-south", False),
        ("*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*s*x", "s" * 40, False),
    ],
)
def test_patterns(pattern: str, value: str, fits: bool) -> None:
    attributes = (*resource(UID).attributes, ResourceAttribute("region", pattern, "stringMatch"))
    found = decide(
        RuleValues((OFFICE,), Resource(attributes)),
        asked={**smtp_resource(UID, INSTANCE), "region": value},
    )
    assert found.allowed == fits


def test_a_zone_of_another_account_matches_nothing() -> None:
    theirs = stored_zone(zone_values("theirs", "192.0.2.0/24"), account=2)
    mine = stored_rule(rule(context("theirs")))
    book = RuleBook.compile([theirs], [mine], {})
    assert not book.decide(
        smtp_resource(UID, INSTANCE), SMTP_API_TYPES, "192.0.2.1", "public", default=False
    ).allowed
    assert ("192.0.2.1", "public") not in AddressUnion.compile([theirs], [mine], {})


ADDRESSES = st.integers(0, 31).map(lambda low: f"192.0.2.{low}")
ZONE_LISTS = st.lists(
    st.tuples(st.lists(ADDRESSES, max_size=5), st.lists(ADDRESSES, max_size=3)), min_size=1, max_size=3
)
CONTEXTS = st.builds(
    lambda numbers, endpoint: (frozenset(numbers), endpoint),
    st.sets(st.integers(0, 2), min_size=1),
    st.sampled_from(["", "public", "private"]),
)
RULES = st.lists(
    st.tuples(st.lists(CONTEXTS, max_size=3), st.sampled_from(["enabled", "disabled", "report"])), max_size=4
)


@given(ZONE_LISTS, RULES, ADDRESSES, st.sampled_from(["public", "private"]))
def test_the_algorithm_of_the_contract(
    zones: list[tuple[list[str], list[str]]],
    rules: list[tuple[list[tuple[frozenset[int], str]], str]],
    address: str,
    endpoint: str,
) -> None:
    def holds(one: tuple[frozenset[int], str]) -> bool:
        listed = [zones[number] for number in one[0] if number < len(zones)]
        return any(address in has and address not in hasnt for has, hasnt in listed) and one[1] in ("", endpoint)

    enabled = [contexts for contexts, mode in rules if mode == "enabled"]
    expected = bool(enabled) and all(any(holds(one) for one in contexts) for contexts in enabled)
    stored_zones = [
        stored_zone(zone_values(f"z{number}", *has, excluded=tuple(hasnt)))
        for number, (has, hasnt) in enumerate(zones)
    ]
    stored = [
        stored_rule(
            rule(
                *(context(", ".join(f"z{n}" for n in one[0]), one[1]) for one in contexts), api_types=(), mode=mode
            )
        )
        for contexts, mode in rules
    ]
    book = RuleBook.compile(stored_zones, stored, {})
    found = book.decide(smtp_resource(UID, INSTANCE), SMTP_API_TYPES, address, endpoint, default=False)
    assert found.allowed == expected
    if expected:
        assert (address, endpoint) in AddressUnion.compile(stored_zones, stored, {})


def test_the_union_keeps_the_endpoints_apart() -> None:
    rules = [
        stored_rule(rule(context("office", "public"))),
        stored_rule(rule(context("home", "private"))),
        stored_rule(rule(context("cloud", mfa="LEVEL2"))),
        stored_rule(rule(context("kube"), mode="disabled")),
        stored_rule(rule(context("kube"), api_types=(), mode="report")),
        stored_rule(rule(context("kube"), api_types=(CONTROL_PLANE,))),
    ]
    union = AddressUnion.compile(ZONES, rules, GROUPS)
    assert ("192.0.2.1", "public") in union
    assert ("192.0.2.1", "private") not in union
    assert ("198.51.100.1", "private") in union
    assert ("198.51.100.1", "public") not in union
    assert ("10.1.0.1", "public") not in union
    assert ("10.3.0.1", "public") not in union
    assert ("192.0.2.1", "elsewhere") not in union
    assert ("no address", "public") not in union
    assert "192.0.2.1" not in union
    assert len(RuleBook.compile(ZONES, rules, GROUPS)) == 5


def test_many_resources_do_not_fill_the_memory() -> None:
    book = RuleBook.compile(ZONES, [stored_rule(rule(OFFICE, instance=""))], {})
    for number in range(3_000):
        asked = smtp_resource(UID, str(number))
        assert book.decide(asked, SMTP_API_TYPES, "192.0.2.1", "public", default=False).allowed
    assert len(book._applying) <= 1_024


def test_a_zone_is_compiled_once_however_many_contexts_list_it() -> None:
    contexts = [context(f"office,{name}") for name in ("home", "cloud", "kube")]
    (made,) = RuleBook.compile(ZONES, [stored_rule(rule(*contexts))], GROUPS)._rules
    assert len({id(item.zones[0][0]) for item in made.contexts}) == 1


async def test_from_the_store(store: Store) -> None:
    clock = ManualClock()
    accounts = [await create_account(store, name, clock.now()) for name in ("acme", "beta", "none")]
    for account, network in zip(accounts, ("192.0.2.0/24", "198.51.100.0/24"), strict=False):
        zone = await Zones(store, clock).create(account.id, zone_values("z", network), actor=SYSTEM)
        await Rules(store, clock).create(account.id, rule_values(account.uid, context(zone.id)), actor=SYSTEM)
    async with store.read() as connection:
        books = [await load_rulebook(connection, account.id, {}) for account in accounts]
        union = await load_union(connection, {})
    allowed = [
        [
            book.decide(
                smtp_resource(account.uid, INSTANCE), SMTP_API_TYPES, address, "public", default=False
            ).allowed
            for address in ("192.0.2.1", "198.51.100.1")
        ]
        for account, book in zip(accounts, books, strict=True)
    ]
    assert allowed == [[True, False], [False, True], [False, False]]
    found = [(address, "private") in union for address in ("192.0.2.1", "198.51.100.1", "203.0.113.1")]
    assert found == [True, True, False]
