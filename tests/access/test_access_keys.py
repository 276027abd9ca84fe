"""Access keys: kept so that their secret can be had back, and by nobody else."""

from __future__ import annotations

import hmac
import re
from typing import cast

import pytest
from sqlalchemy import select

from ekiden.access.access_keys import AccessKey, AccessKeys, Signature, create_access_key
from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import list_credentials, revoke_credential
from ekiden.access.errors import BadName
from ekiden.access.vault import Vault, VaultError
from ekiden.store.api import Store
from ekiden.store.tables import credential as table
from support.manual_clock import ManualClock

NOW = 1_800_000_000_000
VAULT = Vault(bytes(range(32)))


async def make(store: Store, **bounds: list[str]) -> AccessKey:
    account = await create_account(store, "acme", NOW)
    return await create_access_key(store, VAULT, account.id, "batch", NOW, actor=Actor("cli:x@y"), **bounds)


async def test_the_secret_can_be_had_back(store: Store) -> None:
    made = await make(store, scopes=["send"], networks=["10.0.0.0/8"])
    assert re.fullmatch(r"EK[A-Z0-9]{18}", made.id)
    assert re.fullmatch(r"[A-Za-z0-9]{40}", made.secret)
    assert (made.credential.kind, made.credential.name) == ("access_key", "batch")
    assert (made.credential.scopes, made.credential.networks) == (("send",), ("10.0.0.0/8",))
    known = await AccessKeys(store, VAULT).find(made.id)
    assert known is not None
    assert (known.secret.decode(), known.credential_id) == (made.secret, made.credential.id)
    assert made.secret not in repr(known)
    assert await list_credentials(store) == [made.credential]
    assert made.secret not in repr(made)


async def test_it_is_nowhere_in_clear(store: Store) -> None:
    made = await make(store)
    async with store.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert made.secret not in str(row)
    assert made.secret.encode() not in row.sealed
    entries = str(await list_entries(store))
    assert "credential.create" in entries
    assert made.secret not in entries
    with pytest.raises(VaultError):
        await AccessKeys(store, Vault(bytes(32))).find(made.id)


async def test_no_other_credential_is_one(store: Store) -> None:
    made = await make(store)
    for id in ("", "EK", made.id.lower(), "EK" + "0" * 18):
        assert await AccessKeys(store, VAULT).find(id) is None
    authenticator = Authenticator(store, ManualClock())
    assert await authenticator.prove(Password(made.id, made.secret), "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    assert await authenticator.prove(Password("App", made.secret), "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    await authenticator.close()
    with pytest.raises(BadName):
        await create_access_key(store, VAULT, made.credential.account_id, "", NOW)


def signed(keys: AccessKeys, made: AccessKey, *texts: bytes, secret: str = "") -> Signature:
    digest = hmac.digest((secret or made.secret).encode(), b"what is signed", "sha256")
    return Signature(keys, made.id, digest, texts or (b"what is signed",))


async def test_it_signs_until_it_is_revoked(store: Store) -> None:
    made = await make(store, networks=["192.0.2.0/24"])
    clock = ManualClock()
    keys = AccessKeys(store, VAULT)
    authenticator = Authenticator(store, clock, AccessConfig(delay=0.0))

    async def proven(shown: Signature, address: str = "192.0.2.1") -> object:
        found = await authenticator.prove(shown, address)
        return found if isinstance(found, LoginRefusal) else found.credential.id

    assert await proven(signed(keys, made)) == made.credential.id
    assert await proven(signed(keys, made, b"another form", b"what is signed")) == made.credential.id
    assert await proven(signed(keys, made, b"something else")) is LoginRefusal.BAD_CREDENTIALS
    assert await proven(signed(keys, made, secret="x" * 40)) is LoginRefusal.BAD_CREDENTIALS
    assert await proven(signed(keys, made), "198.51.100.1") is LoginRefusal.NETWORK
    await revoke_credential(store, made.credential.id, NOW + 1)
    clock.advance(2_000)
    assert await proven(signed(keys, made)) is LoginRefusal.BAD_CREDENTIALS
    await authenticator.close()


async def test_it_costs_no_query_of_its_own(store: Store) -> None:
    made = await make(store)
    asked = 0

    class Counting:
        def read(self) -> object:
            nonlocal asked
            asked += 1
            return store.read()

    authenticator = Authenticator(store, ManualClock())
    keys = AccessKeys(cast(Store, Counting()), VAULT)
    shown = signed(keys, made)
    assert not shown.known
    for _ in range(20):
        assert not isinstance(await authenticator.prove(shown, "192.0.2.1"), LoginRefusal)
    assert (asked, shown.known) == (1, True)
    # What cannot be an id is asked for nowhere.
    assert await keys.find("EK' OR 1=1") is None
    assert asked == 1
    await authenticator.close()


async def test_wrong_signatures_slow_whoever_sends_them_and_nobody_else(store: Store) -> None:
    made = await make(store)
    keys = AccessKeys(store, VAULT)
    authenticator = Authenticator(store, ManualClock(), AccessConfig(delay=0.001, max_delay=10.0))
    wrong = signed(keys, made, b"something else")
    for _ in range(200):
        assert await authenticator.prove(wrong, "203.0.113.9") is LoginRefusal.BAD_CREDENTIALS
    # Neither elsewhere nor there: what is right is looked at, as an API key is.
    for address in ("192.0.2.1", "203.0.113.9"):
        assert not isinstance(await authenticator.prove(signed(keys, made), address), LoginRefusal)
    assert authenticator._lateness("203.0.113.9") == 0.001
    assert authenticator._lateness("192.0.2.1") == 0
    await authenticator.close()
