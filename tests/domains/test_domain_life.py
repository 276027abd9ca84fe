"""A domain from its first day: published, verified, failing, suspended, back; with real DNS, on both engines."""

from __future__ import annotations

import asyncio

import pytest
from domain_owner import ADMIN, INCLUDE, Owner
from sqlalchemy import update

from ekiden.access.audit import list_entries
from ekiden.access.vault import Vault
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.domains.config import DomainsConfig
from ekiden.domains.errors import DomainTaken, NoSuchDomain
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.lab.records import Trouble
from ekiden.store.api import Store
from ekiden.store.tables import dkim_key


async def test_what_is_to_be_published(owner: Owner) -> None:
    domain = await owner.add("Shop.Example.")
    assert (domain.name, domain.status, domain.reason) == ("shop.example", "pending", "not_checked")
    records = await owner.domains.records(domain)
    rsa, ed25519 = await owner.domains.keys(domain)
    assert [(item.kind, item.name, item.type, item.required, item.status) for item in records] == [
        ("spf", "shop.example", "TXT", True, "pending"),
        ("dkim", f"{rsa.selector}._domainkey.shop.example", "TXT", True, "pending"),
        ("ed25519", f"{ed25519.selector}._domainkey.shop.example", "TXT", False, "pending"),
        ("dmarc", "_dmarc.shop.example", "TXT", False, "pending"),
        ("address", "shop.example", "A", True, "pending"),
    ]
    assert records[0].value == f"v=spf1 include:{INCLUDE} ~all"
    assert records[1].value == rsa.record
    assert records[1].value.startswith("v=DKIM1; k=rsa; p=")
    assert records[2].value.startswith("v=DKIM1; k=ed25519; p=")


async def test_published_records_verify_a_domain(owner: Owner, store: Store) -> None:
    domain = await owner.verified()
    assert (domain.status, domain.spf, domain.dkim, domain.reason) == ("verified", "successful", "successful", "")
    assert (domain.verified_at, domain.checked_at) == (owner.clock.now(), owner.clock.now())
    assert await owner.domains.get(owner.account_id, "shop.example") == domain
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "active"]
    records = await owner.domains.records(domain)
    assert {record.status for record in records if record.required} == {"successful"}
    ((name, data),) = await owner.events()
    assert (name, data["domain"], data["reason"]) == ("VERIFIED", "shop.example", "")
    entries = await list_entries(store, owner.account_id)
    assert [entry.action for entry in entries] == ["domain.verified", "domain.add", "account.create"]


async def test_checks_keep_what_was_asked_answered_and_expected(owner: Owner) -> None:
    domain = await owner.verified()
    for check in await owner.domains.checks(domain.id):
        record = next(item for item in await owner.domains.records(domain) if item.name == check.asked[0])
        assert check.answered
        assert check.at == owner.clock.now()
        assert check.expected in (record.value, "")
    spf = await owner.check(domain, "spf")
    assert (spf.asked, spf.answered) == (("shop.example", "TXT"), (f"v=spf1 include:{INCLUDE} ~all",))


async def test_a_check_that_changes_nothing_disturbs_nobody(owner: Owner) -> None:
    domain = await owner.verified()
    revision = await owner.revision()
    owner.clock.advance(6 * HOUR)
    again = await owner.domains.recheck_due(owner.clock.now())
    assert (again.done, again.failed) == (1, {})
    assert await owner.revision() == revision
    assert await owner.told() == ["VERIFIED"]
    assert (await owner.domains.by_id(domain.id)).checked_at == owner.clock.now()


async def test_only_what_was_asked_for_is_checked(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain)
    domain = await owner.domains.verify(domain.id, kinds={"spf"})
    assert (domain.spf, domain.dkim, domain.status) == ("successful", "pending", "pending")
    domain = await owner.domains.verify(domain.id, kinds={"dkim"})
    assert (domain.spf, domain.dkim, domain.status) == ("successful", "successful", "verified")


async def test_reasons_of_both_proofs_are_remembered(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain, "address")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.spf, domain.dkim, domain.reason) == ("failed", "failed", "failed", "missing")
    owner.lab.set_dns("shop.example", "TXT", ["v=spf1 -all"])
    domain = await owner.domains.verify(domain.id, kinds={"spf"})
    assert domain.reason == "not_included"
    domain = await owner.domains.verify(domain.id, kinds={"dkim"})
    assert domain.reason == "not_included"
    assert [data["reason"] for _, data in await owner.events()] == ["missing", "not_included"]


async def test_grace_suspension_and_return(owner: Owner) -> None:
    domain = await owner.verified()
    spf = await owner.record(domain, "spf")
    owner.lab.set_dns("shop.example", "TXT", ["v=spf1 -all"])
    owner.clock.advance(6 * HOUR)
    assert (await owner.domains.recheck_due(owner.clock.now())).done == 1
    domain = await owner.domains.by_id(domain.id)
    since = owner.clock.now()
    assert (domain.status, domain.spf, domain.failing_since) == ("verified", "failed", since)
    assert domain.reason == "not_included"
    # Nobody touches anything any more: the periodic duty does it all.
    checks = 0
    while domain.status == "verified":
        assert domain.check_at is not None
        owner.clock.advance(domain.check_at - owner.clock.now())
        checks += (await owner.domains.recheck_due(owner.clock.now())).done
        domain = await owner.domains.by_id(domain.id)
    assert DAY <= owner.clock.now() - since <= DAY + 6 * HOUR
    assert (domain.status, domain.reason) == ("suspended", "not_included")
    assert checks < 60
    owner.put(spf)
    assert domain.check_at is not None
    assert domain.check_at - owner.clock.now() <= HOUR
    owner.clock.advance(HOUR)
    await owner.domains.recheck_due(owner.clock.now())
    domain = await owner.domains.by_id(domain.id)
    assert (domain.status, domain.reason, domain.failing_since) == ("verified", "", None)
    assert domain.verified_at == owner.clock.now()
    events = await owner.events()
    assert [name for name, _ in events] == ["VERIFIED", "FAILED", "SUSPENDED", "RESUMED"]
    assert "192.0.2.10" in events[2][1]["text"]


async def test_records_that_return_within_the_grace(owner: Owner) -> None:
    domain = await owner.verified()
    dkim = await owner.record(domain, "dkim")
    owner.lab.remove_dns(dkim.name, "TXT")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.dkim, domain.reason) == ("verified", "failed", "missing")
    owner.clock.advance(23 * HOUR)
    assert (await owner.domains.verify(domain.id)).status == "verified"
    owner.put(dkim)
    domain = await owner.domains.verify(domain.id)
    assert (domain.failing_since, domain.reason) == (None, "")
    owner.lab.remove_dns(dkim.name, "TXT")
    owner.clock.advance(2 * HOUR)
    assert (await owner.domains.verify(domain.id)).status == "verified"  # the grace begins again
    assert await owner.told() == ["VERIFIED", "FAILED", "VERIFIED", "FAILED"]


@pytest.mark.parametrize("fault", ["servfail", "refused"])
async def test_dns_failures_never_suspend(owner: Owner, fault: str) -> None:
    domain = await owner.verified()
    for record in await owner.domains.records(domain):
        owner.lab.records.set_trouble(record.name, Trouble(fault))  # type: ignore[arg-type]
    for _ in range(4):
        owner.clock.advance(DAY)
        domain = await owner.domains.verify(domain.id)
        assert (domain.status, domain.spf, domain.dkim, domain.failing_since) == (
            "verified",
            "successful",
            "successful",
            None,
        )
    assert (await owner.check(domain, "spf")).code == "dns_failure"
    assert domain.check_at == owner.clock.now() + 10 * MINUTE
    assert await owner.told() == ["VERIFIED"]


async def test_a_dns_failure_does_not_end_the_grace(owner: Owner) -> None:
    domain = await owner.verified()
    owner.lab.set_dns("shop.example", "TXT", ["v=spf1 -all"])
    await owner.domains.verify(domain.id)
    for record in await owner.domains.records(domain):
        owner.lab.records.set_trouble(record.name, Trouble("servfail"))
    owner.clock.advance(2 * DAY)
    assert (await owner.domains.verify(domain.id)).status == "verified"
    for record in await owner.domains.records(domain):
        owner.lab.records.set_trouble(record.name, None)
    assert (await owner.domains.verify(domain.id)).status == "suspended"


async def test_an_address_is_demanded_once(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain, "spf", "dkim")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.spf, domain.reason) == ("failed", "failed", "no_address")
    await owner.publish(domain, "address")
    assert (await owner.domains.verify(domain.id)).status == "verified"
    owner.lab.remove_dns("shop.example", "A")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.spf, domain.failing_since) == ("verified", "successful", None)
    assert (await owner.record(domain, "address")).why == "no_address"


async def test_ed25519_may_be_left_out(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain, "spf", "dkim", "address")
    domain = await owner.domains.verify(domain.id)
    assert domain.status == "verified"
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "pending"]
    revision = await owner.revision()
    await owner.publish(domain, "ed25519")
    await owner.domains.verify(domain.id)
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "active"]
    assert await owner.revision() > revision
    owner.lab.remove_dns((await owner.record(domain, "ed25519")).name, "TXT")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.reason) == ("verified", "")
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "pending"]


async def test_a_domain_of_two_accounts_is_proved_by_each(owner: Owner, store: Store) -> None:
    first = await owner.verified()
    second = await owner.domains.add(owner.account_id + 1, "shop.example")
    assert (await owner.domains.verify(second.id)).dkim == "failed"
    await owner.publish(second, "dkim")
    assert (await owner.domains.verify(second.id)).status == "verified"
    assert (await owner.domains.verify(first.id)).status == "verified"
    assert len(await owner.domains.list_domains()) == 2
    assert [item.id for item in await owner.domains.list_domains(owner.account_id)] == [first.id]
    assert await owner.domains.list_domains(status="suspended") == []


async def test_a_domain_that_is_vouched_for(owner: Owner) -> None:
    domain = await owner.add(vouched=True)
    assert domain.usable
    assert {key.status for key in await owner.domains.keys(domain)} == {"active"}
    owner.clock.advance(10 * DAY)
    domain = await owner.domains.verify(domain.id)
    owner.clock.advance(10 * DAY)
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.reason, domain.spf) == ("verified", "missing", "failed")
    assert {key.status for key in await owner.domains.keys(domain)} == {"active"}
    assert await owner.told() == ["VERIFIED"]


async def test_taken_and_removed(owner: Owner, store: Store) -> None:
    domain = await owner.verified()
    with pytest.raises(DomainTaken, match=r"has the domain shop\.example already"):
        await owner.add("SHOP.example")
    await owner.domains.remove(domain.id, ADMIN)
    with pytest.raises(NoSuchDomain):
        await owner.domains.by_id(domain.id)
    with pytest.raises(NoSuchDomain):
        await owner.domains.get(owner.account_id, "shop.example")
    with pytest.raises(NoSuchDomain):
        await owner.domains.verify(domain.id)
    assert (await list_entries(store, owner.account_id))[0].action == "domain.remove"
    fresh = await owner.add()
    assert await owner.domains.checks(fresh.id) == []
    assert len(await owner.domains.keys(fresh)) == 2


async def test_a_domain_that_goes_while_it_is_looked_at(owner: Owner, domains: Domains) -> None:
    domain = await owner.add()
    looking = asyncio.create_task(domains.verify(domain.id))
    await asyncio.sleep(0)
    await domains.remove(domain.id)
    with pytest.raises(NoSuchDomain):
        await looking


async def test_checks_at_the_same_time(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain)
    await asyncio.gather(*(owner.domains.verify(domain.id) for _ in range(5)))
    assert await owner.told() == ["VERIFIED"]
    assert [key.status for key in await owner.domains.keys(domain)] == ["active", "active"]


async def test_those_that_are_due(owner: Owner) -> None:
    for number in range(12):
        await owner.add(f"d{number}.example")
        owner.clock.advance(1000)
    owner.clock.advance(MINUTE)
    assert (await owner.domains.recheck_due(owner.clock.now(), limit=5)).done == 5
    looked = {item.name for item in await owner.domains.list_domains() if item.checked_at}
    assert looked == {f"d{number}.example" for number in range(5)}
    assert (await owner.domains.recheck_due(owner.clock.now())).done == 7
    assert (await owner.domains.recheck_due(owner.clock.now())).done == 0


async def test_waits_grow_while_nothing_is_published(owner: Owner) -> None:
    domain = await owner.add()
    waits = []
    while owner.clock.now() - domain.created_at < 4 * DAY:
        assert domain.check_at is not None
        waits.append(domain.check_at - owner.clock.now())
        owner.clock.advance(waits[-1])
        assert (await owner.domains.recheck_due(owner.clock.now())).done == 1
        domain = await owner.domains.by_id(domain.id)
    assert waits == sorted(waits)
    assert waits[0] == MINUTE
    assert waits[-1] == 6 * HOUR
    assert len(waits) < 80
    assert await owner.told() == ["FAILED"]


async def test_one_that_cannot_be_looked_at_does_not_keep_the_others(owner: Owner, store: Store) -> None:
    broken = await owner.add("broken.example")
    fine = await owner.add("fine.example")
    async with store.write() as connection:
        await connection.execute(
            update(dkim_key).where(dkim_key.c.domain_id == broken.id).values(record="not a record")
        )
    owner.clock.advance(MINUTE)
    rechecked = await owner.domains.recheck_due(owner.clock.now())
    assert (rechecked.done, list(rechecked.failed)) == (1, [broken.id])
    assert (await owner.domains.by_id(fine.id)).checked_at == owner.clock.now()
    assert (await owner.domains.by_id(broken.id)).check_at == owner.clock.now() + 6 * HOUR


async def test_our_addresses_are_those_of_the_hostname_unless_configured(
    owner: Owner, store: Store, vault: Vault, lookup: DnsLookup
) -> None:
    plain = Domains(store, owner.clock, vault, lookup, DomainsConfig(), "mail.sender.example")
    owner.domains = plain
    domain = await owner.add()
    await owner.publish(domain)
    assert (await owner.record(domain, "spf")).value == "v=spf1 include:mail.sender.example ~all"
    assert (await plain.verify(domain.id)).reason == "our_record"
    owner.lab.set_dns("mail.sender.example", "A", ["192.0.2.99"])
    assert (await plain.verify(domain.id)).reason == "our_record"
    owner.lab.set_dns("mail.sender.example", "TXT", ["v=spf1 a -all"])
    assert (await plain.verify(domain.id)).status == "verified"
