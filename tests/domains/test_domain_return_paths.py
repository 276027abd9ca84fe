"""The return path of a domain: what is to be published, what a look at it finds, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from domain_owner import ADMIN, INCLUDE, OURS, Owner

from ekiden.access.audit import list_entries
from ekiden.access.vault import Vault
from ekiden.core.clock import HOUR
from ekiden.domains.config import DomainsConfig
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.model import PLATFORM, Domain
from ekiden.domains.outgoing import outgoing, own_spf
from ekiden.domains.queries import bounces_to
from ekiden.domains.records import alias_line, zone_line
from ekiden.domains.return_paths import Incoming, ReturnPathLook
from ekiden.domains.service import Domains
from ekiden.domains.signing_keys import KeyRing, OwnKeys
from ekiden.lab import Lab
from ekiden.sender_auth.dns import TemporaryDnsError
from ekiden.store.api import Store
from support.manual_clock import ManualClock

HOST = "rp.mail.sender.example"
MX = "mail.sender.example"
RP = "rp.shop.example"


@pytest.fixture
def domains(
    store: Store, clock: ManualClock, vault: Vault, lookup: DnsLookup, config: DomainsConfig, lab: Lab
) -> Domains:
    lab.set_dns(MX, "A", ["192.0.2.10"])
    lab.set_dns(HOST, "MX", [f"10 {MX}."])
    lab.set_dns(HOST, "TXT", [f"v=spf1 {' '.join(f'ip4:{address}' for address in OURS)} -all"])
    return Domains(store, clock, vault, lookup, config, MX, incoming=Incoming(HOST, MX))


async def looked(owner: Owner, domain: Domain) -> dict[str, tuple[str, str]]:
    """Result and code of the last checks of the return path, and what the domain says of it."""
    checks = {kind: await owner.check(domain, kind) for kind in ("rp_mx", "rp_spf")}
    now = await owner.domains.by_id(domain.id)
    return {"rp": (now.rp, now.status)} | {kind: (item.result, item.code) for kind, item in checks.items()}


async def test_what_is_to_be_published(owner: Owner) -> None:
    domain = await owner.add()
    *_, mx, spf = await owner.domains.records(domain)
    assert (mx.kind, mx.name, mx.type, mx.required, mx.status) == ("rp_mx", RP, "MX", False, "pending")
    assert zone_line(mx) == f"{RP}. 3600 IN MX 10 {MX}."
    assert alias_line(mx) == f"{RP}. 3600 IN CNAME {HOST}."
    assert zone_line(spf) == f'{RP}. 3600 IN TXT "v=spf1 include:{INCLUDE} -all"'
    assert (spf.kind, spf.required, alias_line(spf)) == ("rp_spf", False, "")
    domain = await owner.domains.settings.set_receive_bounces(domain.id, False, actor=ADMIN)
    assert [record.kind for record in await owner.domains.records(domain)][-1] == "address"


async def test_published_it_is_used(owner: Owner, store: Store) -> None:
    """On both engines."""
    domain = await owner.verified()
    assert await looked(owner, domain) == {
        "rp": ("successful", "verified"),
        "rp_mx": ("pass", ""),
        "rp_spf": ("pass", ""),
    }
    async with store.read() as connection:
        for name in ("shop.example", "news.shop.example", "a.b.shop.example"):
            assert await bounces_to(connection, owner.account_id, name) == (False, RP)
        for account, name in ((owner.account_id, "example"), (owner.account_id + 1, "shop.example")):
            assert (await bounces_to(connection, account, name)).off
    before = await owner.revision()
    await owner.domains.settings.set_receive_bounces(domain.id, False, actor=ADMIN)
    assert await owner.revision() == before + 1
    async with store.read() as connection:
        assert (await bounces_to(connection, owner.account_id, "shop.example")).off
    assert (await list_entries(store, owner.account_id))[0].action == "domain.bounces"


async def test_one_cname_does_as_well(owner: Owner, lab: Lab) -> None:
    domain = await owner.verified()
    lab.remove_dns(RP, "MX")
    lab.remove_dns(RP, "TXT")
    lab.set_dns(RP, "CNAME", [f"{HOST}."])
    await owner.domains.verify(domain.id)
    assert await looked(owner, domain) == {
        "rp": ("successful", "verified"),
        "rp_mx": ("pass", ""),
        "rp_spf": ("pass", ""),
    }


ZONE: dict[tuple[str, str], list[Any]] = {
    (MX, "A"): ["192.0.2.10"],
    (HOST, "MX"): [(10, MX), (20, "backup.sender.example")],
    (HOST, "TXT"): [f"v=spf1 include:{INCLUDE} -all".encode()],
    ("backup.sender.example", "A"): ["198.51.100.7"],
    (INCLUDE, "TXT"): [f"v=spf1 {' '.join(f'ip4:{address}' for address in OURS)} -all".encode()],
    ("mx.elsewhere.example", "A"): ["203.0.113.9"],
    ("also-ours.example", "A"): ["192.0.2.10"],
}
LOST = "lost"


def look(zone: dict[tuple[str, str], list[Any]], host: str = RP) -> ReturnPathLook:
    async def lookup(name: str, rdtype: str, /) -> Sequence[Any]:
        found = (ZONE | zone).get((name, rdtype), [])
        if LOST in found:
            raise TemporaryDnsError("no answer")
        return found

    ours = outgoing(DomainsConfig(spf_include=INCLUDE, addresses=OURS), MX)
    return ReturnPathLook(host, lookup, ours, Incoming(HOST, MX))


@pytest.mark.parametrize(
    ("records", "result", "code"),
    [
        ([], "advice", "missing"),
        ([(10, MX)], "pass", ""),
        ([(10, MX.upper() + ".")], "pass", ""),
        ([(10, "mx.elsewhere.example")], "advice", "mx_elsewhere"),
        # Somebody else's backup would have it only if ours were away.
        ([(10, MX), (20, "mx.elsewhere.example")], "pass", ""),
        ([(10, MX), (5, "mx.elsewhere.example")], "advice", "mx_elsewhere"),
        ([(10, MX), (10, "mx.elsewhere.example")], "advice", "mx_elsewhere"),
        ([(0, ".")], "advice", "mx_elsewhere"),
        ([(10, "backup.sender.example")], "pass", ""),
        ([(10, "also-ours.example")], "pass", ""),
        ([LOST], "temporary", "dns_failure"),
    ],
)
async def test_where_bounces_would_go(records: list[Any], result: str, code: str) -> None:
    check = await look({(RP, "MX"): records}).mx()
    assert (check.kind, check.result, check.code, check.asked) == ("rp_mx", result, code, (RP, "MX"))
    assert check.expected == f"10 {MX}"
    for lang in ("en", "ja"):
        assert "{" not in check.text(lang) + check.advice(lang)


async def test_an_address_does_for_a_name_without_mx() -> None:
    assert (await look({(RP, "A"): ["192.0.2.10"]}).mx()).code == ""
    assert (await look({(RP, "A"): ["203.0.113.9"]}).mx()).code == "mx_elsewhere"


@pytest.mark.parametrize(
    ("record", "result", "code"),
    [
        ("", "advice", "missing"),
        (f"v=spf1 include:{INCLUDE} -all", "pass", ""),
        ("v=spf1 -all", "advice", "not_included"),
        (f"v=spf1 ip4:{OURS[0]} -all", "advice", "not_included"),
        (f"v=spf1 ip4:{OURS[0]} ip4:{OURS[1]} -all", "pass", "without_include"),
    ],
)
async def test_who_may_send_with_it(record: str, result: str, code: str) -> None:
    check = await look({(RP, "TXT"): [record.encode()] if record else []}).spf()
    assert (check.kind, check.result, check.code) == ("rp_spf", result, code)
    assert check.expected == f"v=spf1 include:{INCLUDE} -all"


async def test_the_record_of_the_installation_itself_needs_no_include() -> None:
    """A CNAME leads to it, and it changes with our addresses."""
    own = [f"v=spf1 ip4:{OURS[0]} ip4:{OURS[1]} -all".encode()]
    assert (await look({(HOST, "TXT"): own, (RP, "TXT"): own}).spf()).code == ""


async def test_where_we_are_is_not_known() -> None:
    nowhere: dict[tuple[str, str], list[Any]] = {(MX, "A"): [], ("backup.sender.example", "A"): []}
    check = await look(nowhere | {(RP, "MX"): [(10, MX)]}).mx()
    assert (check.result, check.code) == ("temporary", "our_mx")
    assert MX in check.text("ja")
    check = await look(nowhere | {(HOST, "MX"): [LOST], (RP, "MX"): [(10, MX)]}).mx()
    assert (check.result, check.code) == ("temporary", "dns_failure")


async def test_one_of_its_records_is_not_enough(owner: Owner) -> None:
    domain = await owner.add()
    await owner.publish(domain)
    domain = await owner.domains.verify(domain.id, kinds={"rp_mx"})
    assert domain.rp == "pending"
    assert (await owner.domains.verify(domain.id, kinds={"rp_mx", "rp_spf"})).rp == "successful"


async def test_it_never_suspends_a_domain(owner: Owner, lab: Lab) -> None:
    """Nor is a domain looked at more often for it."""
    domain = await owner.verified()
    lab.remove_dns(RP, "MX")
    lab.remove_dns(RP, "TXT")
    owner.clock.advance(6 * HOUR)
    await owner.domains.recheck_due(owner.clock.now())
    domain = await owner.domains.by_id(domain.id)
    assert (domain.status, domain.reason, domain.failing_since, domain.rp) == ("verified", "", None, "failed")
    assert domain.check_at == owner.clock.now() + 6 * HOUR
    assert await owner.told() == ["VERIFIED"]


async def test_where_nobody_receives_nothing_is_asked_for(
    owner: Owner, store: Store, clock: ManualClock, vault: Vault, lookup: DnsLookup, config: DomainsConfig
) -> None:
    owner.domains = Domains(store, clock, vault, lookup, config, MX)
    domain = await owner.verified()
    assert {check.kind for check in await owner.domains.checks(domain.id)}.isdisjoint({"rp_mx", "rp_spf"})
    assert "rp_mx" not in [record.kind for record in await owner.domains.records(domain)]
    assert domain.rp == "pending"


async def test_the_installation_has_a_domain_of_its_own(owner: Owner, lab: Lab, store: Store, vault: Vault) -> None:
    """Its return path is the installation's, whatever that is called, and its keys are for reports."""
    domain = await owner.domains.add(PLATFORM, MX, actor=ADMIN)
    await owner.publish(domain, "dkim", "ed25519")
    lab.set_dns(MX, "TXT", [f"v=spf1 include:{INCLUDE} -all"])
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.rp) == ("verified", "successful")
    ring = KeyRing(store, vault)
    keys = await OwnKeys(store, owner.clock, ring, MX).keys()
    assert [(key.domain, key.algorithm) for key in keys] == [(MX, "rsa-sha256"), (MX, "ed25519-sha256")]
    assert await OwnKeys(store, owner.clock, ring, "shop.example").keys() == ()
    records = await owner.domains.records(domain)
    assert [(record.name, record.alias) for record in records if record.type == "MX"] == [(HOST, "")]


def test_the_record_that_others_include() -> None:
    assert own_spf(["192.0.2.0/28", "2001:db8::/64"]) == "v=spf1 ip4:192.0.2.0/28 ip6:2001:db8::/64 -all"
    assert own_spf([]) == "v=spf1 a -all"
