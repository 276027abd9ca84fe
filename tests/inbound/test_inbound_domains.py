"""Whose mail a domain's is: one account's, and nobody's who does not own it."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.access.vault import Vault
from ekiden.domains.config import DomainsConfig
from ekiden.domains.errors import BadDomain
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.inbound.errors import InboundDomainTaken, NoSuchInboundDomain, TooManyInboundDomains
from ekiden.inbound.inbound_domains import (
    MOST_DOMAINS,
    add_inbound_domain,
    list_inbound_domains,
    remove_inbound_domain,
)
from ekiden.store import tables as t
from ekiden.store.api import Store
from support.manual_clock import ManualClock

NOW = 1_800_000_000_000
ANN = Actor("cli:ann")


async def revision(store: Store, account_id: int) -> int:
    async with store.read() as connection:
        found = t.account.select().where(t.account.c.id == account_id)
        return int((await connection.execute(found)).one().revision)


async def test_a_domain_is_one_accounts(store: Store) -> None:
    acme, other = [(await create_account(store, name, NOW)).id for name in ("acme", "other")]
    before = await revision(store, acme)
    made = await add_inbound_domain(store, acme, "Büro.Example.", NOW, actor=ANN)
    assert (made.name, made.account_id) == ("xn--bro-hoa.example", acme)
    assert await revision(store, acme) == before + 1
    for account in (acme, other):
        with pytest.raises(InboundDomainTaken, match="received already"):
            await add_inbound_domain(store, account, "büro.example", NOW)
    with pytest.raises(InboundDomainTaken, match="installation's own"):
        await add_inbound_domain(store, acme, "mx.example.com", NOW, own={"mx.example.com"})
    with pytest.raises(BadDomain):
        await add_inbound_domain(store, acme, "[192.0.2.1]", NOW)
    await add_inbound_domain(store, other, "b.example", NOW)
    assert [item.name for item in await list_inbound_domains(store)] == ["b.example", "xn--bro-hoa.example"]
    assert await list_inbound_domains(store, acme) == [made]
    with pytest.raises(NoSuchInboundDomain):
        await remove_inbound_domain(store, acme, "b.example", NOW)
    assert await remove_inbound_domain(store, acme, "BÜRO.example", NOW, actor=ANN) == made
    assert await list_inbound_domains(store, acme) == []
    again = await add_inbound_domain(store, acme, "büro.example", NOW)
    assert again.id > made.id  # never used twice: that is how a worker sees that something has changed
    log = [(entry.actor, entry.action, entry.target) for entry in await list_entries(store, acme)]
    assert log[1:3] == [
        ("cli:ann", "inbound_domain.remove", "xn--bro-hoa.example"),
        ("cli:ann", "inbound_domain.add", "xn--bro-hoa.example"),
    ]


@pytest.mark.parametrize(
    ("status", "taken"), [("verified", True), ("suspended", True), ("pending", False), ("failed", False)]
)
async def test_who_sends_from_a_domain_receives_it(store: Store, status: str, taken: bool) -> None:
    acme, other = [(await create_account(store, name, NOW)).id for name in ("acme", "other")]
    domains = Domains(store, ManualClock(), Vault(b"k" * 32), DnsLookup(None), DomainsConfig(), "mx.example.com")  # type: ignore[arg-type]
    await domains.add(other, "shop.example")
    async with store.write() as connection:
        await connection.execute(update(t.domain).values(status=status))
    if taken:
        with pytest.raises(InboundDomainTaken, match="another account sends from"):
            await add_inbound_domain(store, acme, "shop.example", NOW)
    else:
        await add_inbound_domain(store, acme, "shop.example", NOW)
        await remove_inbound_domain(store, acme, "shop.example", NOW)
    await add_inbound_domain(store, other, "shop.example", NOW)


async def test_an_account_has_a_bounded_number(store: Store) -> None:
    acme = (await create_account(store, "acme", NOW)).id
    rows = [{"account_id": acme, "name": f"d{n}.example", "created_at": NOW} for n in range(MOST_DOMAINS)]
    async with store.write() as connection:
        await connection.execute(t.inbound_domain.insert(), rows)
    with pytest.raises(TooManyInboundDomains):
        await add_inbound_domain(store, acme, "one-more.example", NOW)
