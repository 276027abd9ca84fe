"""Evaluation of network rules (contract ``ibm.md`` §4.4 and §4.5), over values that are compiled once per change.

A rule applies to a resource when all its attributes and tags fit, and to an operation when it names that one or
none. Every rule that applies must let the request pass, and one lets it pass when any of its contexts holds. What
happens when none applies the caller says: HTTP APIs are open then, SMTP of an SMTP configuration is closed.
"""

from __future__ import annotations

import asyncio
import fnmatch
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, NamedTuple

from ekiden.networks.addresses import EVERYWHERE, NOWHERE, AddressSet, Interval, ip_key, parse_network
from ekiden.networks.api_types import EVENT_NOTIFICATIONS, SMTP, canonical
from ekiden.networks.config import SERVICE
from ekiden.networks.rules import (
    ACCOUNT,
    ENDPOINT,
    MFA,
    REGION,
    SERVICE_INSTANCE,
    SERVICE_NAME,
    ZONE,
    Context,
    ResourceAttribute,
    Rule,
    load_rules,
)
from ekiden.networks.zones import Address, ServiceRef, Zone, load_zones
from ekiden.store.api import Connection

Groups = Mapping[str, Sequence[str]]
"""``NetworkConfig.groups``."""
TAG: Final = "tag:"
"""Tags of a resource stand beside its attributes, with this before their names."""
_MAX_REMEMBERED: Final = 1_024


class Why(Enum):
    """Why a request may pass or not; the value is a word for logs and clients of our own."""

    PASSED = "passed"
    """Every rule that applies has a context that holds."""
    NO_RULE = "no_rule"
    """No enabled rule applies; the default holds."""
    NO_CONTEXT = "no_context"
    """The rule has no context: it lets nobody pass."""
    ADDRESS = "address"
    """The address is in none of the zones that the rule lists."""
    ENDPOINT = "endpoint"
    """The address is in a zone of the rule, but came to the other endpoint."""
    MFA = "mfa"
    """The rule demands several factors, which nobody proves here."""


class Finding(NamedTuple):
    """What one rule says against a request."""

    rule: str
    why: Why


@dataclass(frozen=True, slots=True)
class Decision:
    """``rule`` is the id of the first rule that refused; empty: none did, and ``allowed`` may be the default.

    ``reports``: what rules in report mode would have refused.
    """

    allowed: bool
    rule: str
    why: Why
    reports: tuple[Finding, ...] = ()


def smtp_resource(account_uid: str, instance: str, region: str = "") -> dict[str, str]:
    """The resource that SMTP submission to an instance uses; ``instance`` is its UUID."""
    resource = {ACCOUNT: account_uid, SERVICE_NAME: EVENT_NOTIFICATIONS, SERVICE_INSTANCE: instance}
    if region:
        resource[REGION] = region
    return resource


class _Context(NamedTuple):
    """All must hold; ``mfa``: several factors are demanded.

    ``zones``: an address must be in one set of each tuple. They are not merged: many contexts may list many zones.
    """

    zones: tuple[tuple[AddressSet, ...], ...]
    endpoints: frozenset[str]
    mfa: bool

    def holds(self, key: int | None) -> bool:
        return all(any(key in zone for zone in listed) for listed in self.zones)


class _Rule(NamedTuple):
    id: str
    reports: bool
    contexts: tuple[_Context, ...]
    attributes: tuple[tuple[str, re.Pattern[str] | str], ...]
    api_types: frozenset[str]

    def applies(self, resource: Mapping[str, str], api_types: frozenset[str]) -> bool:
        """``api_types`` are the canonical ones of the request."""
        if self.api_types and self.api_types.isdisjoint(api_types):
            return False
        for name, wanted in self.attributes:
            value = resource.get(name)
            if value is None:
                return False
            if isinstance(wanted, str):
                if wanted != value:
                    return False
            elif not wanted.fullmatch(value):
                return False
        return True

    def against(self, key: int | None, endpoint: str) -> Why | None:
        """Why it refuses; ``None``: it does not."""
        if not self.contexts:
            return Why.NO_CONTEXT
        why = Why.ADDRESS
        for context in self.contexts:
            if key is None or not context.holds(key):
                continue
            if endpoint not in context.endpoints:
                why = Why.ENDPOINT
            elif context.mfa:
                why = Why.MFA
            else:
                return None
        return why


class RuleBook:
    """The enabled and reporting rules of one account, ready to be asked. Unchangeable."""

    def __init__(self, rules: Iterable[_Rule]) -> None:
        self._rules = tuple(rules)
        self._applying: dict[tuple[object, ...], tuple[_Rule, ...]] = {}

    @classmethod
    def compile(cls, zones: Iterable[Zone], rules: Iterable[Rule], groups: Groups) -> RuleBook:
        """From what is stored. A zone that is not there, or a group without networks, matches nothing."""
        compiler = _Compiler(zones, groups)
        return cls(compiler.rule(rule) for rule in rules if rule.mode != "disabled")

    def __len__(self) -> int:
        """The number of rules that are not disabled."""
        return len(self._rules)

    def decide(
        self,
        resource: Mapping[str, str],
        api_types: Collection[str],
        address: str,
        endpoint: str,
        *,
        default: bool,
    ) -> Decision:
        """Whether a request for these operations on ``resource`` may pass.

        ``address`` is where it comes from, ``endpoint`` (``public`` or ``private``) where it came to.

        ``resource`` maps attribute names (``accountId``, ``serviceName``, ``serviceInstance``, ``region``,
        ``resourceGroupId``) and, after ``tag:``, names of tags to values; a rule that asks for one that is not
        there does not apply. Text that is no address is in no zone.
        """
        key = ip_key(address)
        reports: list[Finding] = []
        enforced = False
        refused: Finding | None = None
        for rule in self._applicable(resource, api_types):
            if rule.reports:
                why = rule.against(key, endpoint)
                if why is not None:
                    reports.append(Finding(rule.id, why))
                continue
            enforced = True
            if refused is None:
                why = rule.against(key, endpoint)
                if why is not None:
                    refused = Finding(rule.id, why)
        if refused is not None:
            return Decision(False, refused.rule, refused.why, tuple(reports))
        if not enforced:
            return Decision(default, "", Why.NO_RULE, tuple(reports))
        return Decision(True, "", Why.PASSED, tuple(reports))

    def enforced(self, resource: Mapping[str, str], api_types: Collection[str]) -> tuple[str, ...]:
        """The ids of the enabled rules that such a request has to pass."""
        return tuple(rule.id for rule in self._applicable(resource, api_types) if not rule.reports)

    def _applicable(self, resource: Mapping[str, str], api_types: Collection[str]) -> tuple[_Rule, ...]:
        """Few resources are asked for again and again, so what applies to them is remembered."""
        question = (*resource.items(), *api_types)
        found = self._applying.get(question)
        if found is None:
            if len(self._applying) >= _MAX_REMEMBERED:
                self._applying.clear()
            wanted = frozenset(canonical(item) for item in api_types)
            found = tuple(rule for rule in self._rules if rule.applies(resource, wanted))
            self._applying[question] = found
        return found


class AddressUnion:
    """Addresses that any account's rules could let submit over SMTP, by endpoint: the coarse check at connect.

    ``(address, endpoint) in union`` is true for everything that ``RuleBook.decide`` may allow, and for more.
    """

    __slots__ = ("_by_endpoint",)

    def __init__(self, by_endpoint: Mapping[str, AddressSet]) -> None:
        self._by_endpoint = dict(by_endpoint)

    @classmethod
    def compile(cls, zones: Iterable[Zone], rules: Iterable[Rule], groups: Groups) -> AddressUnion:
        """From the zones and rules of all accounts."""
        compiler = _Compiler(zones, groups)
        found: dict[str, dict[int, AddressSet]] = {"public": {}, "private": {}}  # each set once
        for stored in rules:
            if stored.mode != "enabled" or stored.resource.value(SERVICE_NAME) != EVENT_NOTIFICATIONS:
                continue
            rule = compiler.rule(stored)
            if rule.api_types and SMTP not in rule.api_types:
                continue
            for context in rule.contexts:
                for endpoint, sets in found.items():
                    if endpoint in context.endpoints and not context.mfa:
                        # What else the context demands would only take some away again.
                        listed = context.zones[0] if context.zones else (EVERYWHERE,)
                        sets.update((id(item), item) for item in listed)
        return cls(
            {
                endpoint: AddressSet(interval for item in sets.values() for interval in item)
                for endpoint, sets in found.items()
            }
        )

    def __contains__(self, where: object) -> bool:
        if not isinstance(where, tuple) or len(where) != 2:
            return False
        address, endpoint = where
        return ip_key(address) in self._by_endpoint.get(endpoint, NOWHERE)


class _Compiler:
    """Compiles zones once, however many contexts name them."""

    def __init__(self, zones: Iterable[Zone], groups: Groups) -> None:
        self._zones = {(zone.account_id, zone.id): zone for zone in zones}
        self._groups = groups
        self._sets: dict[tuple[int, str], AddressSet] = {}

    def rule(self, rule: Rule) -> _Rule:
        attributes = [(item.name, _wanted(item)) for item in rule.resource.attributes]
        attributes += [(TAG + item.name, _wanted(item)) for item in rule.resource.tags]
        contexts = tuple(self._context(context, rule.account_id) for context in rule.contexts)
        api_types = frozenset(canonical(item) for item in rule.api_types)
        return _Rule(rule.id, rule.mode == "report", contexts, tuple(attributes), api_types)

    def _context(self, context: Context, account_id: int) -> _Context:
        zones: list[tuple[AddressSet, ...]] = []
        endpoints, mfa = frozenset({"public", "private"}), False
        for attribute in context.attributes:
            if attribute.name == ZONE:
                listed = dict.fromkeys(attribute.zone_ids())
                zones.append(tuple(self._set(account_id, zone_id) for zone_id in listed))
            elif attribute.name == ENDPOINT:
                endpoints &= {attribute.value}
            elif attribute.name == MFA:
                mfa = mfa or attribute.value != "NONE"
        return _Context(tuple(zones), endpoints, mfa)

    def _set(self, account_id: int, zone_id: str) -> AddressSet:
        key = (account_id, zone_id)
        found = self._sets.get(key)
        if found is None:
            zone = self._zones.get(key)
            found = self._sets[key] = NOWHERE if zone is None else self._zone(zone)
        return found

    def _zone(self, zone: Zone) -> AddressSet:
        found = AddressSet(interval for address in zone.addresses for interval in self._intervals(address))
        if zone.excluded:
            found -= AddressSet(interval for address in zone.excluded for interval in self._intervals(address))
        return found

    def _intervals(self, address: Address) -> list[Interval]:
        interval = address.interval()
        if interval is not None:
            return [interval]
        keys = [address.value] if address.ref is None else self._service_groups(address.ref)
        return [parse_network(network) for key in keys for network in self._groups.get(key, ())]

    def _service_groups(self, ref: ServiceRef) -> list[str]:
        """One instance of a service is less than its group, and a kind of services is no service: nothing fits."""
        if ref.service_instance or not ref.service_name:
            return []
        name = SERVICE + ref.service_name
        if ref.location:
            return [f"{name}:{ref.location}"]
        return [key for key in self._groups if key == name or key.startswith(f"{name}:")]


def _wanted(attribute: ResourceAttribute) -> re.Pattern[str] | str:
    if attribute.operator != "stringMatch":
        return attribute.value
    # Character classes are no wildcards here; the pattern cannot backtrack out of hand.
    return re.compile(fnmatch.translate(attribute.value.replace("[", "[[]")))


async def load_rulebook(connection: Connection, account_id: int, groups: Groups) -> RuleBook:
    """The rules of one account, in two queries."""
    rules = await load_rules(connection, account_id)
    if not rules:
        return RuleBook(())
    zones = await load_zones(connection, account_id)
    # In a thread: thousands of addresses would keep everybody else waiting.
    return await asyncio.to_thread(RuleBook.compile, zones, rules, groups)


async def load_union(connection: Connection, groups: Groups) -> AddressUnion:
    """What the rules of all accounts together could let in, in two queries."""
    rules = await load_rules(connection)
    zones = await load_zones(connection) if rules else []
    return await asyncio.to_thread(AddressUnion.compile, zones, rules, groups)
