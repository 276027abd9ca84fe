"""Our outgoing addresses, as SPF has to permit them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any, Final

from ekiden.domains.reason_translations import TEXTS
from ekiden.sender_auth.spf import check_host, leads_to

if TYPE_CHECKING:
    from ekiden.domains.config import DomainsConfig
    from ekiden.sender_auth.dns import Lookup
    from ekiden.sender_auth.spf_result import SpfResult

ANY_VERSION: Final = frozenset({4, 6})
SAMPLE: Final = 16
"""Of a larger network so many addresses are looked at, its first and its last among them."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """``include``: the host whose SPF record lists our addresses; ``helo``: the name in our EHLO."""

    include: str
    helo: str
    addresses: tuple[str, ...]
    """Those of the configuration, networks spread out; empty: those of ``helo`` in DNS."""
    versions: frozenset[int] = ANY_VERSION
    """The families that mail goes out in: of ``helo`` other addresses are not looked at."""

    async def resolve(self, lookup: Lookup) -> tuple[str, ...]:
        """The addresses to check. Raises ``TemporaryDnsError``."""
        if self.addresses:
            return self.addresses
        four = await lookup(self.helo, "A") if 4 in self.versions else ()
        six = await lookup(self.helo, "AAAA") if 6 in self.versions else ()
        return (*four, *six)

    async def evaluate(self, address: str, domain: str, lookup: Lookup) -> SpfResult:
        """SPF for mail of ``domain`` from one of our addresses."""
        return await check_host(address, domain, f"postmaster@{domain}", self.helo, lookup)

    async def is_included(self, domain: str, lookup: Lookup, *, permitting: bool) -> bool:
        """Whether the SPF record of ``domain`` leads to ours. Raises ``TemporaryDnsError``."""
        address = (*await self.resolve(lookup), "192.0.2.1")[0]  # for macros only
        sender = f"postmaster@{domain}"
        return await leads_to(self.include, address, domain, sender, self.helo, lookup, permitting=permitting)

    async def fault(self, addresses: Sequence[str], lookup: Lookup) -> dict[str, Any] | None:
        """What is wrong with our own record, in both languages; ``None``: it passes for all our addresses."""
        for address in addresses:
            result = await self.evaluate(address, self.include, lookup)
            if result.word != "pass":
                return {"en": result.text("en"), "ja": result.text("ja")}
        if not addresses:
            template = "no outgoing address is known"
            return {"en": template, "ja": TEXTS(template, "ja")}
        return None


def outgoing(config: DomainsConfig, hostname: str, versions: frozenset[int] = ANY_VERSION) -> Outgoing:
    """From the configuration; ``versions`` are those of ``net.families``.

    ``ValueError`` when an address in it is none; the configuration is checked before.
    """
    addresses = tuple(address for network in config.addresses for address in spread(network))
    return Outgoing((config.spf_include or hostname).lower().rstrip("."), hostname, addresses, versions)


def spread(network: str) -> list[str]:
    """Every address of a network; of a large one ``SAMPLE`` at even distances."""
    found = ip_network(network, strict=False)
    count = found.num_addresses
    if count <= SAMPLE:
        return [str(address) for address in found]
    return [str(found[position * (count - 1) // (SAMPLE - 1)]) for position in range(SAMPLE)]


def own_spf(networks: Sequence[str]) -> str:
    """The SPF record that lists our addresses; without any, those of the host that has it."""
    terms = [f"ip{6 if ':' in network else 4}:{network}" for network in networks] or ["a"]
    return " ".join(["v=spf1", *terms, "-all"])
