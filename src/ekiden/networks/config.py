"""The table ``[networks]`` of the configuration: what stands for virtual private clouds and services of others.

A network zone may name a VPC, an instance or a service. What addresses these have only an operator knows.
"""

from __future__ import annotations

import msgspec

from ekiden.networks.addresses import parse_network

SERVICE = "service:"
"""Keys of groups that stand for a service begin with it: ``service:NAME`` or ``service:NAME:LOCATION``."""


class ServiceConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[networks.services.NAME]``: what users read about a service that has a group."""

    display_name: str = ""
    type: str = ""
    """Such as ``platform_service``."""


class NetworkConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[networks]``. Raises ``ValueError`` for a network that is none, and for a service without a group."""

    groups: dict[str, tuple[str, ...]] = {}
    """Networks by VPC CRN, by instance CRN, by ``service:NAME`` or by ``service:NAME:LOCATION``.

    A network is an address, ``first-last`` or ``address/length``.
    """
    services: dict[str, ServiceConfig] = {}
    """By the names that groups have after ``service:``."""

    def __post_init__(self) -> None:
        for group, networks in self.groups.items():
            for network in networks:
                try:
                    parse_network(network)
                except ValueError:
                    raise ValueError(
                        f"groups: {network!r} in {group!r} is not an address, range or subnet"
                    ) from None
        known = {name for name, _ in self.service_locations()}
        for service in self.services:
            if service not in known:
                raise ValueError(f"services: there is no group {SERVICE}{service}")

    def service_locations(self) -> list[tuple[str, str]]:
        """(service, location) of each group that stands for a service; location empty: wherever it is."""
        found = []
        for group in self.groups:
            if group.startswith(SERVICE):
                name, _, location = group.removeprefix(SERVICE).partition(":")
                found.append((name, location))
        return sorted(found)
