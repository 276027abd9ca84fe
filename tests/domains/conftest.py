"""A lab whose DNS is edited, and domains that are checked against it, on either engine."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from domain_owner import INCLUDE, OURS, Owner

from ekiden.access.accounts import create_account
from ekiden.access.vault import Vault
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.lab import Lab
from ekiden.store.api import Store
from support.manual_clock import ManualClock


@pytest.fixture
async def lab() -> AsyncIterator[Lab]:
    async with Lab(catalogue={}) as running:
        running.set_dns(INCLUDE, "TXT", [f"v=spf1 {' '.join(f'ip4:{address}' for address in OURS)} -all"])
        yield running


@pytest.fixture
def lookup(lab: Lab, clock: ManualClock) -> DnsLookup:
    host, port = lab.dns_address
    config = DnsConfig(nameservers=(host,), port=port, timeout=2.0, lifetime=4.0)
    return DnsLookup(DnsResolver(config, clock, loopback_only=True))


@pytest.fixture(scope="session")
def vault() -> Vault:
    return Vault(bytes(range(32)))


@pytest.fixture
def config() -> DomainsConfig:
    return DomainsConfig(spf_include=INCLUDE, addresses=OURS)


@pytest.fixture
def domains(store: Store, clock: ManualClock, vault: Vault, lookup: DnsLookup, config: DomainsConfig) -> Domains:
    return Domains(store, clock, vault, lookup, config, "mail.sender.example")


@pytest.fixture
async def owner(store: Store, lab: Lab, clock: ManualClock, domains: Domains) -> Owner:
    account = await create_account(store, "acme", clock.now())
    return Owner(store, lab, clock, domains, account.id)
