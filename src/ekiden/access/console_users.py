"""Console users: people of an account, who log in with their e-mail address and have a role.

The table ``ALLOWED`` says what a role may do; whatever shows or changes something for a user asks ``allows``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import Row, func, insert, select, update

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.access.errors import AccessError, BadName, NameTaken, NotFound
from ekiden.access.passwords import MAX_PASSWORD, hash_password, hasher, no_hash
from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import Millis
from ekiden.store.api import Conflict
from ekiden.store.row_values import value_of
from ekiden.store.tables import account as account_table
from ekiden.store.tables import console_user as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.store.api import Store

Role = Literal["owner", "admin", "operator", "viewer"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)
Action = Literal["view", "operate", "configure", "credentials", "users"]

ALLOWED: Final[dict[Action, frozenset[Role]]] = {
    # See messages, traces, reports and configuration.
    "view": frozenset(ROLES),
    # Hold, release, retry and cancel messages; have a domain checked again.
    "operate": frozenset(("owner", "admin", "operator")),
    # Change domains, SMTP configurations, network zones and rules.
    "configure": frozenset(("owner", "admin")),
    # Make and revoke credentials.
    "credentials": frozenset(("owner", "admin")),
    # Add and remove console users, change their roles.
    "users": frozenset(("owner",)),
}


def allows(role: Role, action: Action) -> bool:
    """Whether somebody with this role may do that."""
    return role in ALLOWED[action]


class NeedsOwner(AccessError):
    """The change would leave console users without an owner."""


@dataclass(frozen=True, slots=True)
class ConsoleUser:
    """``login`` is an e-mail address in lower case, unique in the installation."""

    id: int
    account_id: int
    login: str
    role: Role
    created_at: Millis
    revoked_at: Millis | None
    last_used_at: Millis | None


def check_role(role: str) -> Role:
    """``role`` if it is one. Raises ``BadName``."""
    if role not in ROLES:
        raise BadName("{role!r} is not a role; choose one of {known}", role=role, known=", ".join(ROLES))
    return role


def _login(text: str) -> str:
    try:
        address = parse_address(text.strip())
    except (BadAddress, UnicodeEncodeError) as error:
        raise BadName("a login is an e-mail address: {why}", why=str(error)) from None
    return address.key


async def add_console_user(
    store: Store, account_id: int, login: str, password: str, role: str, now: Millis, *, actor: Actor = SYSTEM
) -> ConsoleUser:
    """A new user of the account; somebody who was removed from it comes back, with this role and password.

    Raises ``BadName``, ``NameTaken``, and ``NeedsOwner`` when the first one is not an owner.
    """
    login, role = _login(login), check_role(role)
    secret_hash = await hash_password(password)
    taken = NameTaken("there is a console user {login!r} already", login=login)
    try:
        async with store.write() as connection:
            await _lock(connection, account_id)
            if role != "owner" and not await _owners(connection, account_id):
                raise NeedsOwner("the first console user of an account is its owner: role owner")
            again = (
                update(table)
                .where(table.c.login == login, table.c.account_id == account_id, table.c.revoked_at.is_not(None))
                .values(role=role, secret_hash=secret_hash, revoked_at=None)
                .returning(*table.c)
            )
            row = (await connection.execute(again)).one_or_none()
            if row is None:
                values = {
                    "account_id": account_id,
                    "login": login,
                    "role": role,
                    "secret_hash": secret_hash,
                    "created_at": now,
                }
                row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "user.add", login, role=role)
    except Conflict as error:
        raise error.instead("uq_console_user_login", taken) from None
    return _user(row)


async def list_console_users(
    store: Store, account_id: int | None = None, *, revoked: bool = False
) -> list[ConsoleUser]:
    """Users of one account or of all, by login; ``revoked``: those who were removed, too."""
    query = select(table).order_by(table.c.login)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    if not revoked:
        query = query.where(table.c.revoked_at.is_(None))
    async with store.read() as connection:
        return [_user(row) for row in await connection.execute(query)]


async def set_console_role(
    store: Store, login: str, role: str, now: Millis, *, actor: Actor = SYSTEM
) -> ConsoleUser:
    """Raises ``BadName``, ``NotFound``, and ``NeedsOwner`` for the last owner."""
    return await _change(store, login, now, actor, "user.role", {"role": check_role(role)})


async def set_console_password(
    store: Store, login: str, password: str, now: Millis, *, actor: Actor = SYSTEM
) -> ConsoleUser:
    """Raises ``BadName``, ``NotFound``."""
    return await _change(store, login, now, actor, "user.password", {"secret_hash": await hash_password(password)})


async def remove_console_user(store: Store, login: str, now: Millis, *, actor: Actor = SYSTEM) -> ConsoleUser:
    """Nobody can log in as that user any more. Raises ``NotFound``, and ``NeedsOwner`` for the last owner."""
    return await _change(store, login, now, actor, "user.remove", {"revoked_at": now})


async def verify_console_user(store: Store, login: str, password: str, now: Millis) -> ConsoleUser | None:
    """The user, if that is the password; notes the use. It does not slow guessing: that is the caller's part."""
    try:
        login = _login(login)
    except BadName:
        login = ""
    query = select(table).where(table.c.login == login, table.c.revoked_at.is_(None))
    async with store.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if not await asyncio.to_thread(_matches, None if row is None else row.secret_hash, password):
        return None
    assert row is not None
    async with store.write() as connection:
        used = (
            update(table)
            .where(table.c.id == row.id, table.c.revoked_at.is_(None), table.c.secret_hash == row.secret_hash)
            .values(last_used_at=now)
        )
        row = (await connection.execute(used.returning(*table.c))).one_or_none()
    return None if row is None else _user(row)


def _matches(secret_hash: str | None, password: str) -> bool:
    try:
        right = len(password) <= MAX_PASSWORD and hasher.verify(secret_hash or no_hash(), password)
    except (Argon2Error, InvalidHashError, UnicodeEncodeError):
        return False
    return right and secret_hash is not None


async def _change(
    store: Store, login: str, now: Millis, actor: Actor, action: str, values: dict[str, Any]
) -> ConsoleUser:
    login = _login(login)
    none = NotFound("there is no console user {login!r}", login=login)
    async with store.write() as connection:
        found = select(table).where(table.c.login == login, table.c.revoked_at.is_(None))
        row = (await connection.execute(found)).one_or_none()
        if row is None:
            raise none
        await _lock(connection, row.account_id)
        change = update(table).where(table.c.id == row.id, table.c.revoked_at.is_(None)).values(values)
        row = (await connection.execute(change.returning(*table.c))).one_or_none()
        if row is None:
            raise none
        if not await _owners(connection, row.account_id):
            raise NeedsOwner(
                "{login!r} is the last owner of the account; make somebody else an owner first", login=login
            )
        data = {"role": row.role} if "role" in values else {}
        await changed(connection, row.account_id, now, actor, action, login, **data)
    return _user(row)


async def _lock(connection: AsyncConnection, account_id: int) -> None:
    """Two changes to the users of an account take turns, so that two owners cannot remove each other."""
    await connection.execute(
        select(account_table.c.id).where(account_table.c.id == account_id).with_for_update(key_share=True)
    )


async def _owners(connection: AsyncConnection, account_id: int) -> int:
    query = select(func.count()).where(
        table.c.account_id == account_id, table.c.role == "owner", table.c.revoked_at.is_(None)
    )
    return int(await connection.scalar(query) or 0)


def _user(row: Row[Any]) -> ConsoleUser:
    return value_of(ConsoleUser, row)
