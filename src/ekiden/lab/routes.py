"""Where mail for a domain goes that no server of the lab takes: to a server beside it, such as the platform's
reception."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Annotated

import msgspec

from ekiden.lab.addresses import loopback
from ekiden.lab.behaviour import LabError
from ekiden.lab.records import parse_name

SPF = "v=spf1 ip4:127.0.0.0/8 ip6:::1 -all"
"""Everybody on this machine may send in the domain's name."""


class Route(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A server at ``address`` and ``port`` takes the domain's mail. ``host`` is the name that the MX record has
    (empty: ``mx.`` and the domain). ``spf`` becomes the domain's SPF record; empty: the domain keeps the one it
    has, or none."""

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    address: str = "127.0.0.1"
    host: str = ""
    spf: Annotated[str, msgspec.Meta(pattern="^(v=spf1( .*)?)?$")] = SPF

    def named(self, domain: str) -> Route:
        """With the name of a host. ``LabError`` when name or address cannot be used."""
        loopback(self.address)
        host = parse_name(self.host or f"mx.{domain}").to_text(omit_final_dot=True)
        if host == ".":
            raise LabError("host: the name of a mail server is expected")
        return msgspec.structs.replace(self, host=host)

    def records(self, domain: str, existing: Mapping[str, list[str]]) -> list[tuple[str, str, list[str]]]:
        """(name, type, values) to be set; ``existing`` are the record sets of the domain. What stands beside an
        SPF record stays."""
        kind = "A" if ipaddress.ip_address(self.address).version == 4 else "AAAA"
        found = [(self.host, kind, [self.address]), (domain, "MX", [f"10 {self.host}."])]
        if self.spf:
            others = [text for text in existing.get("TXT", []) if not text.lower().startswith('"v=spf1')]
            found.append((domain, "TXT", [*others, self.spf]))
        return found
