"""Access keys: kept so that their secret can be had back, and by nobody else."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from ekiden.access.access_keys import AccessKey, create_access_key, secret_of
from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password
from ekiden.access.credentials import list_credentials, revoke_credential
from ekiden.access.errors import BadName, NotFound
from ekiden.access.vault import Vault, VaultError
from ekiden.core.clock import ManualClock
from ekiden.store.api import Store
from ekiden.store.tables import credential as table

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
    assert await secret_of(store, VAULT, made.id) == made
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
        await secret_of(store, Vault(bytes(32)), made.id)


async def test_no_other_credential_is_one(store: Store) -> None:
    made = await make(store)
    for id in ("", "EK", made.id.lower(), "EK" + "0" * 18):
        with pytest.raises(NotFound):
            await secret_of(store, VAULT, id)
    authenticator = Authenticator(store, ManualClock())
    assert await authenticator.prove(Password(made.id, made.secret), "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    assert await authenticator.prove(Password("App", made.secret), "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    await authenticator.close()
    with pytest.raises(BadName):
        await create_access_key(store, VAULT, made.credential.account_id, "", NOW)


async def test_revoking(store: Store) -> None:
    made = await make(store)
    await revoke_credential(store, made.credential.id, NOW + 1)
    with pytest.raises(NotFound):
        await secret_of(store, VAULT, made.id)
