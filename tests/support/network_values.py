"""Zones and rules as tests write them."""

from __future__ import annotations

from ekiden.networks.api_types import Mode
from ekiden.networks.rules import (
    ACCOUNT,
    ENDPOINT,
    MFA,
    SERVICE_INSTANCE,
    SERVICE_NAME,
    SMTP_API_TYPES,
    ZONE,
    Attribute,
    Context,
    Resource,
    ResourceAttribute,
    RuleValues,
)
from ekiden.networks.zones import Address, ServiceRef, ZoneValues

INSTANCE = "11111111-2222-4333-8444-555555555555"


def address(text: str) -> Address:
    """Any network by its form; ``vpc …``, ``instance …`` and ``service NAME[:LOCATION]`` are what they say."""
    kind, _, rest = text.partition(" ")
    if kind == "service":
        name, _, location = rest.partition(":")
        return Address("serviceRef", ref=ServiceRef("acme", service_name=name, location=location))
    if kind == "vpc":
        return Address("vpc", rest)
    if kind == "instance":
        return Address("instance", rest)
    return Address("subnet" if "/" in text else "ipRange" if "-" in text else "ipAddress", text)


def zone_values(name: str, *addresses: str, excluded: tuple[str, ...] = (), description: str = "") -> ZoneValues:
    return ZoneValues(name, tuple(map(address, addresses)), tuple(map(address, excluded)), description)


def context(zones: str = "", endpoint: str = "", mfa: str = "") -> Context:
    pairs = ((ZONE, zones), (ENDPOINT, endpoint), (MFA, mfa))
    return Context(tuple(Attribute(name, value) for name, value in pairs if value))


def resource(account: str, instance: str = INSTANCE, *, tags: tuple[str, ...] = (), **others: str) -> Resource:
    pairs = {ACCOUNT: account, SERVICE_NAME: "event-notifications", SERVICE_INSTANCE: instance, **others}
    attributes = tuple(ResourceAttribute(name, value) for name, value in pairs.items() if value)
    return Resource(attributes, tuple(ResourceAttribute(tag, "yes") for tag in tags))


def rule_values(
    account: str,
    *contexts: Context,
    api_types: tuple[str, ...] = SMTP_API_TYPES,
    mode: Mode = "enabled",
    description: str = "",
    instance: str = INSTANCE,
    tags: tuple[str, ...] = (),
    **others: str,
) -> RuleValues:
    made = resource(account, instance, tags=tags, **others)
    return RuleValues(contexts, made, description, api_types, mode)
