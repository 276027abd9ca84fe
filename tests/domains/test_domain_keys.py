"""Keys: what signs, rotation with overlap, and that the private half is nowhere to be read."""

from __future__ import annotations

import pytest
from domain_owner import ADMIN, Owner
from sqlalchemy import select

from ekiden.access.vault import Vault, VaultError
from ekiden.core.clock import DAY, HOUR
from ekiden.domains.model import Domain, Key
from ekiden.domains.signing_keys import KeyRing
from ekiden.sender_auth.dkim_key import dump_private, public_record
from ekiden.store.api import Store
from ekiden.store.tables import dkim_key


async def states(owner: Owner, domain: Domain) -> list[tuple[str, str]]:
    return [(key.kind, key.status) for key in await owner.domains.keys(domain)]


async def test_a_domain_signs_once_its_record_was_seen(owner: Owner, store: Store, vault: Vault) -> None:
    ring = KeyRing(store, vault)
    domain = await owner.add()
    assert await ring.keys(domain.id) == ()
    await owner.publish(domain, "dkim")
    await owner.domains.verify(domain.id)
    (rsa,) = await ring.keys(domain.id)
    await owner.publish(domain)
    await owner.domains.verify(domain.id)
    both = await ring.keys(domain.id)
    assert [key.algorithm for key in both] == ["rsa-sha256", "ed25519-sha256"]
    assert both[0] is rsa
    published = [key.record for key in await owner.domains.keys(domain)]
    assert [public_record(key.private) for key in both] == published
    assert {(key.domain, key.selector) for key in both} == {
        ("shop.example", key.selector) for key in await owner.domains.keys(domain)
    }
    async with store.read() as connection:
        assert await ring.load(connection, domain.id) == both


async def test_rotation(owner: Owner, store: Store, vault: Vault) -> None:
    ring = KeyRing(store, vault, size=3)
    domain = await owner.verified()
    old = await ring.keys(domain.id)
    revision = await owner.revision()
    await owner.domains.rotate(domain.id, ADMIN)
    assert await owner.revision() > revision
    assert await states(owner, domain) == [
        ("dkim", "active"),
        ("ed25519", "active"),
        ("dkim", "pending"),
        ("ed25519", "pending"),
    ]
    owner.clock.advance(HOUR)
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.dkim) == ("verified", "successful")
    assert await ring.keys(domain.id) == old  # the new records are not there yet
    await owner.publish(domain)
    owner.clock.advance(HOUR)
    await owner.domains.recheck_due(owner.clock.now())
    retired_at = owner.clock.now()
    new = await ring.keys(domain.id)
    assert {key.selector for key in new}.isdisjoint(key.selector for key in old)
    assert [key.algorithm for key in new] == ["rsa-sha256", "ed25519-sha256"]
    assert await states(owner, domain) == [
        ("dkim", "retired"),
        ("ed25519", "retired"),
        ("dkim", "active"),
        ("ed25519", "active"),
    ]
    listed = [record for record in await owner.domains.records(domain) if record.status == "retired"]
    assert [record.name.split(".")[0] for record in listed] == [key.selector for key in old]
    assert {record.until for record in listed} == {retired_at + 7 * DAY}
    # Before the overlap has passed they stay, after it they go, and so may their records.
    owner.clock.advance(7 * DAY - HOUR)
    await owner.domains.verify(domain.id)
    assert len(await owner.domains.keys(domain)) == 4
    owner.clock.advance(HOUR)
    revision = await owner.revision()
    await owner.domains.recheck_due(owner.clock.now())
    await owner.domains.verify(domain.id)
    assert await states(owner, domain) == [("dkim", "active"), ("ed25519", "active")]
    assert await owner.revision() == revision + 1
    for key in old:
        owner.lab.remove_dns(f"{key.selector}._domainkey.shop.example", "TXT")
    domain = await owner.domains.verify(domain.id)
    assert (domain.status, domain.reason) == ("verified", "")
    assert await owner.told() == ["VERIFIED"]


async def test_an_old_key_that_breaks_during_a_rotation(owner: Owner) -> None:
    domain = await owner.verified()
    old = await owner.record(domain, "dkim")
    await owner.domains.rotate(domain.id)
    owner.lab.remove_dns(old.name, "TXT")
    domain = await owner.domains.verify(domain.id)
    assert (domain.dkim, domain.reason) == ("failed", "missing")
    await owner.publish(domain)
    owner.lab.remove_dns(old.name, "TXT")
    domain = await owner.domains.verify(domain.id)
    assert (domain.dkim, domain.reason) == ("successful", "")


async def test_a_key_that_has_signed_and_waits_again_is_kept_by_a_rotation(owner: Owner) -> None:
    """Its record was lost for a while: what it signed is still on its way, and it must not sign any more."""
    domain = await owner.verified()
    lost = await owner.record(domain, "ed25519")
    owner.lab.remove_dns(lost.name, "TXT")
    await owner.domains.verify(domain.id)
    assert await states(owner, domain) == [("dkim", "active"), ("ed25519", "pending")]
    before = await owner.domains.keys(domain)
    await owner.domains.rotate(domain.id)
    after = {key.selector: key.status for key in await owner.domains.keys(domain)}
    assert [after.pop(key.selector) for key in before] == ["active", "retired"]
    assert list(after.values()) == ["pending", "pending"]


async def test_rotating_again_replaces_what_never_signed(owner: Owner) -> None:
    domain = await owner.verified()
    await owner.domains.rotate(domain.id)
    first = await owner.domains.keys(domain)
    await owner.domains.rotate(domain.id)
    second = await owner.domains.keys(domain)
    assert [key.status for key in second] == ["active", "active", "pending", "pending"]
    assert {key.selector for key in first[2:]}.isdisjoint(key.selector for key in second)


async def test_rotating_before_the_first_check(owner: Owner) -> None:
    domain = await owner.add()
    before = await owner.domains.keys(domain)
    await owner.domains.rotate(domain.id)
    after = await owner.domains.keys(domain)
    assert [key.status for key in after] == ["pending", "pending"]
    assert {key.selector for key in before}.isdisjoint(key.selector for key in after)
    await owner.publish(domain)
    assert (await owner.domains.verify(domain.id)).status == "verified"


async def test_only_the_rsa_key_rotates(owner: Owner) -> None:
    domain = await owner.verified()
    await owner.domains.rotate(domain.id)
    await owner.publish(domain, "dkim")
    await owner.domains.verify(domain.id)
    assert await states(owner, domain) == [
        ("dkim", "retired"),
        ("ed25519", "active"),
        ("dkim", "active"),
        ("ed25519", "pending"),
    ]


async def test_private_keys_are_sealed(owner: Owner, store: Store, vault: Vault) -> None:
    domain = await owner.verified()
    keys = await KeyRing(store, vault).keys(domain.id)
    async with store.read() as connection:
        rows = (await connection.execute(select(dkim_key))).all()
    for key in keys:
        der = dump_private(key.private)
        assert all(der[-32:] not in bytes(row.sealed) for row in rows)
        assert repr(key.private) not in repr(key)
    assert "sealed" not in Key.__dataclass_fields__
    with pytest.raises(VaultError):
        await KeyRing(store, Vault(bytes(32))).keys(domain.id)
