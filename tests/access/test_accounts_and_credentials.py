"""Accounts, credentials and domains: what operators change."""

from __future__ import annotations

import string
from base64 import b64encode

import pytest
from sqlalchemy import insert, select

from ekiden.access import passwords
from ekiden.access.accounts import (
    create_account,
    get_account,
    list_accounts,
    resume_account,
    set_priority,
    suspend_account,
)
from ekiden.access.audit import Actor, list_entries
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password, Principal, Proof
from ekiden.access.credential_scopes import allows, networks_text, scopes_text
from ekiden.access.credentials import (
    bound_credential,
    create_api_key,
    list_credentials,
    revoke_credential,
    set_password,
)
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.access.passwords import generate_password, hasher
from ekiden.core.states import Priority
from ekiden.store.api import Store
from ekiden.store.tables import credential as table
from support.cheap_hashes import SHIPPED
from support.manual_clock import ManualClock

NOW = 1_800_000_000_000


def smtp_user(account_id: int, username: str, secret_hash: str) -> dict[str, object]:
    """The row of an SMTP user's credential."""
    return {
        "account_id": account_id,
        "kind": "smtp_user",
        "name": username,
        "lookup": username,
        "secret_hash": secret_hash,
        "scopes": "",
        "networks": "",
        "created_at": NOW,
    }


async def test_accounts(store: Store) -> None:
    made = await create_account(store, "acme", NOW, priority=Priority.HIGH)
    assert (made.name, made.priority, made.created_at, made.suspended_at) == ("acme", Priority.HIGH, NOW, None)
    assert await get_account(store, "acme") == made
    other = await create_account(store, "Ähnlich & Söhne", NOW)
    assert await list_accounts(store) == [made, other]

    assert (await suspend_account(store, "acme", NOW + 1)).suspended_at == NOW + 1
    assert (await resume_account(store, "acme", NOW)).suspended_at is None
    assert (await set_priority(store, "acme", Priority.LOW, NOW)).priority is Priority.LOW


async def test_accounts_that_cannot_be(store: Store) -> None:
    await create_account(store, "acme", NOW)
    with pytest.raises(NameTaken, match="acme"):
        await create_account(store, "acme", NOW)
    for name in ("", " acme", "acme\n", "a" * 65, "a\0b"):
        with pytest.raises(BadName):
            await create_account(store, name, NOW)
    for change in (
        get_account(store, "none"),
        suspend_account(store, "none", NOW),
        resume_account(store, "none", NOW),
    ):
        with pytest.raises(NotFound):
            await change


async def test_passwords(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "hasher", SHIPPED)
    account = await create_account(store, "acme", NOW)
    made = await set_password(store, account.id, "mailer", "correct horse", NOW)
    assert (made.account_id, made.kind, made.name, made.revoked_at) == (account.id, "password", "mailer", None)

    again = await set_password(store, account.id, "mailer", "battery staple", NOW + 1)
    assert again.id == made.id
    async with store.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert row.secret_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert SHIPPED.verify(row.secret_hash, "battery staple")

    await revoke_credential(store, made.id, NOW + 2)
    assert (await set_password(store, account.id, "mailer", "battery staple", NOW + 3)).revoked_at is None


async def test_passwords_that_cannot_be(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    other = await create_account(store, "other", NOW)
    await set_password(store, account.id, "mailer", "correct horse", NOW)
    with pytest.raises(NameTaken, match="mailer"):
        await set_password(store, other.id, "mailer", "correct horse", NOW)
    for username in ("App", "app", "", "a\n", "x" * 255):
        with pytest.raises(BadName):
            await set_password(store, account.id, username, "correct horse", NOW)
    for password in ("short", "x" * 513, "with\0nul in it"):
        with pytest.raises(BadName):
            await set_password(store, account.id, "another", password, NOW)
    assert len(await list_credentials(store)) == 1


async def test_api_keys(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    made = await create_api_key(store, account.id, "billing", NOW)
    other = await create_api_key(store, account.id, "billing", NOW)
    assert made.key.startswith("ek_")
    assert len(made.key) == len("ek_") + 43
    assert set(made.key[3:]) <= set(string.ascii_letters + string.digits)
    assert made.key != other.key
    assert made.key not in repr(made)
    async with store.read() as connection:
        rows = (await connection.execute(select(table))).all()
    assert all(made.key not in str(row) for row in rows)


async def test_revoking_and_listing(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    other = await create_account(store, "other", NOW)
    password = await set_password(store, account.id, "mailer", "correct horse", NOW)
    key = (await create_api_key(store, account.id, "billing", NOW)).credential
    theirs = (await create_api_key(store, other.id, "theirs", NOW)).credential

    revoked = await revoke_credential(store, key.id, NOW + 5)
    assert revoked.revoked_at == NOW + 5
    assert await revoke_credential(store, key.id, NOW + 9) == revoked
    with pytest.raises(NotFound):
        await revoke_credential(store, 999_999, NOW)

    assert await list_credentials(store) == [password, revoked, theirs]
    assert await list_credentials(store, account.id) == [password, revoked]
    assert await list_credentials(store, account.id, revoked=False) == [password]


async def test_bounds_of_credentials(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    password = await set_password(
        store, account.id, "mailer", "correct horse", NOW, scopes=["read", "send", "send"], networks=["10.0.0.0/8"]
    )
    assert (password.scopes, password.networks) == (("send", "read"), ("10.0.0.0/8",))
    again = await set_password(store, account.id, "mailer", "battery staple", NOW)
    assert (again.scopes, again.networks) == (password.scopes, password.networks), "they stay"
    again = await set_password(store, account.id, "mailer", "battery staple", NOW, scopes=(), networks=["::1/128"])
    assert (again.scopes, again.networks) == ((), ("::1",))
    key = (await create_api_key(store, account.id, "k", NOW, scopes=["manage"], networks=["192.0.2.1"])).credential
    assert (key.scopes, key.networks) == (("manage",), ("192.0.2.1",))
    assert await list_credentials(store) == [again, key]

    bound = await bound_credential(store, key.id, NOW, scopes=["read"], networks=[])
    assert (bound.scopes, bound.networks) == (("read",), ())
    with pytest.raises(NotFound):
        await bound_credential(store, 999_999, NOW, scopes=[], networks=[])
    for wrong in ({"scopes": ["everything"]}, {"networks": ["10.0.0.1/8"]}, {"networks": ["host.example"]}):
        with pytest.raises(BadName):
            await create_api_key(store, account.id, "k", NOW, **wrong)
    assert len(await list_credentials(store)) == 2


def test_texts_of_bounds() -> None:
    assert networks_text(["10.0.0.0/8", "10.0.0.0/255.0.0.0", "2001:DB8::/32", "192.0.2.7/32"]) == (
        "10.0.0.0/8 2001:db8::/32 192.0.2.7"
    )
    assert (networks_text([]), scopes_text([])) == ("", "")
    assert scopes_text(["manage", "send"]) == "send manage"
    for wrong in ("", "10.0.0.0/8 ::1", "10.0.0.0/33", "10.0.0.1/8", "fe80::1%eth0/64", "localhost"):
        with pytest.raises(BadName):
            networks_text([wrong])
    assert allows((), "send")
    assert allows(("send",), "send")
    assert not allows(("send",), "manage")


async def test_every_change_is_in_the_audit_log(store: Store) -> None:
    actor = Actor("cli:root@host", "192.0.2.1")
    account = await create_account(store, "acme", NOW, actor=actor)
    await set_password(store, account.id, "mailer", "correct horse", NOW + 1, networks=["::1"], actor=actor)
    await set_password(store, account.id, "mailer", "battery staple", NOW + 2, actor=actor)
    made = await create_api_key(store, account.id, "billing", NOW + 3, actor=actor)
    await bound_credential(store, made.credential.id, NOW + 4, scopes=["send"], networks=[], actor=actor)
    await revoke_credential(store, made.credential.id, NOW + 5, actor=actor)
    await revoke_credential(store, made.credential.id, NOW + 6, actor=actor)
    entries = await list_entries(store, account.id)
    assert {(entry.actor, entry.source) for entry in entries} == {("cli:root@host", "192.0.2.1")}
    assert [(entry.at - NOW, entry.action, entry.target) for entry in reversed(entries)] == [
        (0, "account.create", "acme"),
        (1, "credential.create", "mailer"),
        (2, "credential.password", "mailer"),
        (3, "credential.create", "billing"),
        (4, "credential.bound", "billing"),
        (5, "credential.revoke", "billing"),
    ]
    assert entries[1].data == {"id": made.credential.id, "kind": "api_key", "scopes": ["send"]}
    assert entries[-2].data["networks"] == ["::1"]
    written = str(entries)
    assert not [secret for secret in ("correct horse", "argon2", made.key) if secret in written]


async def test_a_user_name_of_an_smtp_user_is_taken(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    async with store.write() as connection:
        await connection.execute(insert(table).values(smtp_user(account.id, "abcdef", "-")))
    with pytest.raises(NameTaken, match="SMTP user"):
        await set_password(store, account.id, "abcdef", "correct horse", NOW)


async def test_logging_in_on_either_engine(store: Store) -> None:
    clock = ManualClock()
    account = await create_account(store, "acme", NOW)
    password = await set_password(store, account.id, "mailer", "correct horse", NOW)
    key = await create_api_key(store, account.id, "billing", NOW)
    authenticator = Authenticator(store, clock)
    proof = await authenticator.prove(Password("mailer", "correct horse"), "192.0.2.1")
    assert isinstance(proof, Proof)
    principal = proof.principal
    assert principal == Principal(account.id, password.id, "acme", kind="password")
    proof = await authenticator.prove(Password("App", key.key), "192.0.2.1")
    assert isinstance(proof, Proof)
    assert proof.principal == Principal(account.id, key.credential.id, "acme", kind="api_key")
    async with store.write() as connection:
        await connection.execute(insert(table).values(smtp_user(account.id, "abcdef", hasher.hash("staple"))))
    found = await authenticator.prove(Password("abcdef", "staple"), "192.0.2.1", "send")
    assert isinstance(found, Proof)
    assert (found.account.id, found.credential.kind) == (account.id, "smtp_user")
    assert await authenticator.prove(Password("mailer", "\0"), "192.0.2.1") is LoginRefusal.BAD_CREDENTIALS
    clock.advance(5_000)
    assert await authenticator.still_valid(principal)
    await authenticator.close()
    assert [made.last_used_at for made in await list_credentials(store)] == [clock.now() - 5_000] * 3


def test_generated_passwords_are_long_and_differ() -> None:
    made = {generate_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(password) == 24 and password.isalnum() for password in made)
    assert not {b64encode(password.encode())[:1] for password in made} & {b"Q", b"R"}, "of openssl s_client"
