"""Zones and rules as IBM's clients write and read them (contract §4.2): ours to theirs and back."""

from __future__ import annotations

from typing import Any, Final, cast

import msgspec

from ekiden.dialects.ibm.cbr_translations import TEXTS
from ekiden.dialects.ibm.errors import ApiError
from ekiden.dialects.ibm.http import timestamp
from ekiden.networks.api_types import ApiType, Mode
from ekiden.networks.config import NetworkConfig
from ekiden.networks.rules import (
    MAX_RULES,
    MAX_TAGGED_RULES,
    Context,
    Resource,
    Rule,
    RuleValues,
)
from ekiden.networks.zones import MAX_ZONES, Address, Zone, ZoneValues

PREVIEW: Final = 3
"""Addresses of a zone that a list shows."""


class ZoneBody(msgspec.Struct, frozen=True):
    """``POST /v1/zones`` and ``PUT /v1/zones/{id}``; what is not there resets to its default."""

    name: str | None = None
    account_id: str | None = None
    addresses: tuple[Address, ...] | None = None
    excluded: tuple[Address, ...] | None = None
    description: str | None = None

    def values(self) -> ZoneValues:
        """Raises ``ApiError``: 400."""
        if self.name is None or self.addresses is None:
            field = "name" if self.name is None else "addresses"
            raise ApiError(400, "{field}: this is needed", texts=TEXTS, field=field)
        return ZoneValues(self.name, self.addresses, self.excluded or (), self.description or "")


class ApiTypeItem(msgspec.Struct, frozen=True):
    """NewRuleOperationsApiTypesItem."""

    api_type_id: str


class Operations(msgspec.Struct, frozen=True):
    """NewRuleOperations."""

    api_types: tuple[ApiTypeItem, ...]


class RuleBody(msgspec.Struct, frozen=True):
    """``POST /v1/rules`` and ``PUT /v1/rules/{id}``; what is not there resets to its default."""

    resources: tuple[Resource, ...] = ()
    contexts: tuple[Context, ...] | None = None
    description: str | None = None
    operations: Operations | None = None
    enforcement_mode: str | None = None

    def values(self) -> RuleValues:
        """Raises ``ApiError``: 400."""
        if len(self.resources) != 1:
            raise ApiError(400, "resources: exactly one is needed", texts=TEXTS)
        api_types: tuple[str, ...] = ()
        if self.operations is not None:
            api_types = tuple(item.api_type_id for item in self.operations.api_types)
            if not api_types:
                raise ApiError(400, "operations.api_types: at least one is needed", texts=TEXTS)
        # Any other word is refused where the rule is checked.
        mode = cast(Mode, self.enforcement_mode or "enabled")
        return RuleValues(self.contexts or (), self.resources[0], self.description or "", api_types, mode)


def crn(account: str, kind: str, id_: str) -> str:
    """The Cloud Resource Name of a zone or a rule."""
    return f"crn:v1:bluemix:public:context-based-restrictions:global:a/{account}::{kind}:{id_}"


def _history(item: Zone | Rule) -> dict[str, Any]:
    return {
        "created_at": timestamp(item.created_at),
        "created_by_id": item.created_by,
        "last_modified_at": timestamp(item.updated_at),
        "last_modified_by_id": item.updated_by,
    }


def _zone_head(zone: Zone, account: str, base: str) -> dict[str, Any]:
    return {
        "id": zone.id,
        "crn": crn(account, "zone", zone.id),
        "name": zone.name,
        "description": zone.description,
        "address_count": len(zone.addresses),
        "excluded_count": len(zone.excluded),
        "href": f"{base}v1/zones/{zone.id}",
        **_history(zone),
    }


def zone_shape(zone: Zone, account: str, base: str) -> dict[str, Any]:
    """Zone. ``account`` is the id of its account, ``base`` the URL of this server with a slash at its end."""
    return {
        **_zone_head(zone, account, base),
        "account_id": account,
        "addresses": zone.addresses,
        "excluded": zone.excluded,
    }


def zone_summary(zone: Zone, account: str, base: str) -> dict[str, Any]:
    """ZoneSummary."""
    return {**_zone_head(zone, account, base), "addresses_preview": zone.addresses[:PREVIEW]}


def rule_shape(rule: Rule, account: str, base: str) -> dict[str, Any]:
    """Rule. A rule for all operations has no ``operations``."""
    shape = {
        "id": rule.id,
        "crn": crn(account, "rule", rule.id),
        "description": rule.description,
        "contexts": rule.contexts,
        "resources": [rule.resource],
        "enforcement_mode": rule.mode,
        "href": f"{base}v1/rules/{rule.id}",
        **_history(rule),
    }
    if rule.api_types:
        shape["operations"] = {"api_types": [{"api_type_id": item} for item in rule.api_types]}
    return shape


def settings_shape(account: str, rules: list[Rule], zones: int, base: str) -> dict[str, Any]:
    """AccountSettings."""
    return {
        "id": account,
        "crn": crn(account, "account-settings", account),
        "rule_count_limit": MAX_RULES,
        "zone_count_limit": MAX_ZONES,
        "tags_rule_count_limit": MAX_TAGGED_RULES,
        "current_rule_count": len(rules),
        "current_zone_count": zones,
        "current_tags_rule_count": sum(bool(rule.resource.tags) for rule in rules),
        "href": f"{base}v1/account_settings/{account}",
    }


def operations_shape(api_types: tuple[ApiType, ...]) -> dict[str, Any]:
    """OperationsList."""
    return {
        "api_types": [
            {
                "api_type_id": item.id,
                "display_name": item.display_name,
                "description": item.description,
                "type": item.type,
                "actions": [{"action_id": id_, "description": text} for id_, text in item.actions],
                "enforcement_modes": item.modes,
            }
            for item in api_types
        ]
    }


def service_targets(networks: NetworkConfig) -> list[dict[str, Any]]:
    """ServiceRefTarget of each service that has networks, by name."""
    locations: dict[str, list[str]] = {}
    for name, location in networks.service_locations():
        found = locations.setdefault(name, [])
        if location:
            found.append(location)
    targets = []
    for name, found in locations.items():
        target: dict[str, Any] = {"service_name": name}
        known = networks.services.get(name)
        if known is not None and known.display_name:
            target["display_name"] = known.display_name
        if known is not None and known.type:
            target["service_type"] = known.type
        if found:
            target["locations"] = [{"name": location} for location in found]
        targets.append(target)
    return targets
