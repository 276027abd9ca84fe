"""API users: a key that people bring along, a time zone, and a login of its own everywhere."""

from __future__ import annotations

import re

import pytest

from ekiden.access.accounts import create_account
from ekiden.access.api_users import generate_key, set_api_user, set_time_zone
from ekiden.access.audit import list_entries
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password
from ekiden.access.credentials import list_credentials, revoke_credential, set_password
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.access.proof import Proof
from ekiden.store.api import Store
from support.manual_clock import ManualClock

NOW = 1_800_000_000_000
KEY = "secret1key"


async def test_it_is_made_replaced_and_revoked(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    made = await set_api_user(store, account.id, " App@Example.COM", KEY, NOW, scopes=["send", "download"])
    assert (made.kind, made.name, made.time_zone, made.scopes) == (
        "api_user",
        "app@example.com",
        "Asia/Tokyo",
        ("send", "download"),
    )
    with pytest.raises(NameTaken, match="is the one of an API user"):
        await set_api_user(store, account.id, "app@example.com", "another1key", NOW)
    other = await create_account(store, "other", NOW)
    with pytest.raises(NameTaken, match="another account"):
        await set_api_user(store, other.id, "app@example.com", "another1key", NOW, replace=True)
    zoned = await set_time_zone(store, "APP@example.com", "Europe/Berlin", NOW)
    again = await set_api_user(store, account.id, "app@example.com", "another1key", NOW, replace=True)
    assert (again.id, again.time_zone, again.scopes) == (made.id, zoned.time_zone, made.scopes)
    authenticator = Authenticator(store, ManualClock())
    wrong = await authenticator.prove(Password("app@example.com", KEY), "192.0.2.1")
    assert wrong is LoginRefusal.BAD_CREDENTIALS
    proof = await authenticator.prove(Password("app@example.com", "another1key"), "192.0.2.1", "download")
    assert isinstance(proof, Proof)
    assert (proof.credential.kind, proof.credential.time_zone) == ("api_user", "Europe/Berlin")
    await authenticator.close()
    await revoke_credential(store, made.id, NOW)
    back = await set_api_user(store, account.id, "app@example.com", KEY, NOW)
    assert (back.id, back.revoked_at, back.time_zone) == (made.id, None, "Asia/Tokyo")
    assert await list_credentials(store, account.id) == [back]
    told = str(await list_entries(store))
    assert KEY not in told
    assert "argon2" not in told


async def test_logins_of_other_kinds_are_taken(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    await set_password(store, account.id, "a@example.com", "correct horse", NOW)
    with pytest.raises(NameTaken, match="has a password already"):
        await set_api_user(store, account.id, "a@example.com", KEY, NOW, replace=True)
    await set_api_user(store, account.id, "b@example.com", KEY, NOW)
    with pytest.raises(NameTaken, match="is the one of an API user"):
        await set_password(store, account.id, "b@example.com", "correct horse", NOW)


@pytest.mark.parametrize(
    ("login", "key", "zone"),
    [
        ("app", KEY, None),
        ("a@example.com", "short1", None),
        ("a@example.com", "lettersonly", None),
        ("a@example.com", "1234567890", None),
        ("a@example.com", "blank 1 key", None),
        ("a@example.com", KEY, "Tokyo"),
        ("a@example.com", KEY, "../etc/passwd"),
    ],
)
async def test_what_cannot_be(store: Store, login: str, key: str, zone: str | None) -> None:
    account = await create_account(store, "acme", NOW)
    with pytest.raises(BadName) as raised:
        await set_api_user(store, account.id, login, key, NOW, time_zone=zone)
    assert key not in str(raised.value)
    assert await list_credentials(store) == []


async def test_nobody_of_that_name(store: Store) -> None:
    with pytest.raises(NotFound):
        await set_time_zone(store, "a@example.com", "Asia/Tokyo", NOW)


def test_keys_are_letters_and_digits() -> None:
    for _ in range(50):
        key = generate_key()
        assert re.fullmatch(r"(?=.*[A-Za-z])(?=.*[0-9])[A-Za-z0-9]{24}", key)
