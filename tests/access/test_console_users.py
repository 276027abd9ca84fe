"""Console users, their roles, and that an owner always stays."""

from __future__ import annotations

import asyncio
from typing import get_args

import pytest
from sqlalchemy import select

from ekiden.access.accounts import create_account
from ekiden.access.audit import list_entries
from ekiden.access.console_users import (
    ALLOWED,
    ROLES,
    Action,
    NeedsOwner,
    Role,
    add_console_user,
    allows,
    list_console_users,
    remove_console_user,
    set_console_password,
    set_console_role,
    verify_console_user,
)
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.store.api import Store
from ekiden.store.tables import console_user as table

NOW = 1_800_000_000_000
PASSWORD = "correct horse"


async def an_account(store: Store, name: str = "acme") -> int:
    """With its owner ``owner@NAME.example``."""
    account = await create_account(store, name, NOW)
    await add_console_user(store, account.id, f"owner@{name}.example", PASSWORD, "owner", NOW)
    return account.id


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        ("owner", "view operate configure credentials users"),
        ("admin", "view operate configure credentials"),
        ("operator", "view operate"),
        ("viewer", "view"),
    ],
)
def test_what_roles_may_do(role: Role, actions: str) -> None:
    assert {action for action in ALLOWED if allows(role, action)} == set(actions.split())


def test_every_action_is_somebodys() -> None:
    assert set(ALLOWED) == set(get_args(Action))
    assert all(allows("owner", action) for action in ALLOWED)
    assert {role for roles in ALLOWED.values() for role in roles} == set(ROLES)


async def test_the_life_of_a_user(store: Store) -> None:
    account_id = await an_account(store)
    made = await add_console_user(store, account_id, " Ann@Acme.EXAMPLE", PASSWORD, "viewer", NOW + 1)
    assert (made.login, made.role, made.last_used_at) == ("ann@acme.example", "viewer", None)
    assert (await set_console_role(store, "ANN@acme.example", "admin", NOW + 2)).role == "admin"
    await set_console_password(store, "ann@acme.example", "battery staple", NOW + 3)
    assert await verify_console_user(store, "ann@acme.example", PASSWORD, NOW) is None
    used = await verify_console_user(store, "Ann@acme.example", "battery staple", NOW + 4)
    assert used is not None
    assert (used.id, used.last_used_at) == (made.id, NOW + 4)

    removed = await remove_console_user(store, "ann@acme.example", NOW + 5)
    assert removed.revoked_at == NOW + 5
    assert await verify_console_user(store, "ann@acme.example", "battery staple", NOW) is None
    assert [user.login for user in await list_console_users(store, account_id)] == ["owner@acme.example"]
    assert [user.login for user in await list_console_users(store, revoked=True)] == [
        "ann@acme.example",
        "owner@acme.example",
    ]
    with pytest.raises(NotFound):
        await remove_console_user(store, "ann@acme.example", NOW)
    back = await add_console_user(store, account_id, "ann@acme.example", PASSWORD, "operator", NOW + 6)
    assert (back.id, back.role, back.revoked_at) == (made.id, "operator", None)

    entries = list(reversed(await list_entries(store, account_id)))
    assert [(entry.action, entry.data) for entry in entries[2:]] == [
        ("user.add", {"role": "viewer"}),
        ("user.role", {"role": "admin"}),
        ("user.password", {}),
        ("user.remove", {}),
        ("user.add", {"role": "operator"}),
    ]


@pytest.mark.parametrize(
    ("login", "password"),
    [
        ("nobody@acme.example", PASSWORD),
        ("owner@acme.example", "wrong"),
        ("owner@acme.example", ""),
        ("owner@acme.example", "x" * 100_000),
        ("owner@acme.example", "\udcff"),
        ("no address", PASSWORD),
        ("\udcff@acme.example", PASSWORD),
        ("nul\0@acme.example", PASSWORD),
    ],
)
async def test_wrong_logins(store: Store, login: str, password: str) -> None:
    await an_account(store)
    assert await verify_console_user(store, login, password, NOW) is None


async def test_an_owner_stays(store: Store) -> None:
    account = await create_account(store, "acme", NOW)
    with pytest.raises(NeedsOwner, match="first"):
        await add_console_user(store, account.id, "ann@acme.example", PASSWORD, "admin", NOW)
    await add_console_user(store, account.id, "ann@acme.example", PASSWORD, "owner", NOW)
    await an_account(store, "other")
    for change in (
        set_console_role(store, "ann@acme.example", "admin", NOW),
        remove_console_user(store, "ann@acme.example", NOW),
    ):
        with pytest.raises(NeedsOwner, match="last owner"):
            await change
    await add_console_user(store, account.id, "bob@acme.example", PASSWORD, "owner", NOW)
    answers = await asyncio.gather(
        remove_console_user(store, "ann@acme.example", NOW),
        set_console_role(store, "bob@acme.example", "viewer", NOW),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, NeedsOwner) for answer in answers) == 1
    assert [user.role for user in await list_console_users(store, account.id)].count("owner") == 1


async def test_users_that_cannot_be(store: Store) -> None:
    account_id = await an_account(store)
    other = await an_account(store, "other")
    for taken in (account_id, other):
        with pytest.raises(NameTaken):
            await add_console_user(store, taken, "OWNER@acme.example", PASSWORD, "viewer", NOW)
    for login, password, role in (
        ("ann", PASSWORD, "viewer"),
        ("ann@acme.example", "short", "viewer"),
        ("ann@acme.example", PASSWORD, "root"),
    ):
        with pytest.raises(BadName):
            await add_console_user(store, account_id, login, password, role, NOW)
    for change in (
        set_console_role(store, "ann@acme.example", "owner", NOW),
        set_console_password(store, "ann@acme.example", PASSWORD, NOW),
    ):
        with pytest.raises(NotFound):
            await change
    assert len(await list_console_users(store)) == 2


async def test_passwords_are_kept_as_argon2id(store: Store) -> None:
    await an_account(store)
    async with store.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert row.secret_hash.startswith("$argon2id$")
    assert PASSWORD not in str(await list_entries(store))
