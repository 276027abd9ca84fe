"""Credentials of accounts: passwords and API keys are made here, every kind is listed, bounded and revoked here.
Access keys are made in ``access_keys``, API users in ``api_users``.

A password is kept as ``passwords`` hashes it. An API key has 256 random bits, so SHA-256 of it is as good a lock
and needs no stretching; the key itself is shown once, when it is made.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, bindparam, insert, select, update

from ekiden.access.accounts import check_name
from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.access.credential_scopes import networks_text, scopes_text
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.access.passwords import BASE62, hash_password
from ekiden.core.clock import Millis
from ekiden.store.api import Conflict
from ekiden.store.row_values import value_of
from ekiden.store.tables import credential as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.store.api import Store

PASSWORD = "password"  # noqa: S105
SMTP_USER = "smtp_user"
"""A user of an SMTP configuration: logs in as a password does, and sends for its configurations only."""
API_KEY = "api_key"
ACCESS_KEY = "access_key"
API_USER = "api_user"
"""An e-mail address with a key, for APIs that take both in the body of a request; also a login as a password is."""
KINDS = (PASSWORD, SMTP_USER, API_KEY, ACCESS_KEY, API_USER)
SESSION = "session"
"""Not a credential by itself, but kept among them: see ``access.sessions``."""
API_KEY_USERNAME = "app"
"""Whoever logs in as ``App``, in any case, gives an API key as password, as mail clients of other services do."""
API_KEY_PREFIX = "ek_"
MAX_USERNAME = 254

_KEY_LENGTH = 43  # of 32 octets in base 62


@dataclass(frozen=True, slots=True)
class Credential:
    """``name`` is the user name of a password, SMTP user or API user, the label of an API key or access key.

    ``access_key`` is the public id of an access key, ``time_zone`` the one in which an API user gives and is told
    times; both are empty for the other kinds. ``scopes`` empty: everything its kind may. ``networks`` empty: from
    anywhere.
    """

    id: int
    account_id: int
    kind: str
    name: str
    created_at: Millis
    revoked_at: Millis | None
    last_used_at: Millis | None
    scopes: tuple[str, ...] = ()
    networks: tuple[str, ...] = ()
    access_key: str = ""
    time_zone: str = ""


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """``key`` cannot be had again."""

    credential: Credential
    key: str = field(repr=False)


def api_key_lookup(key: str) -> str:
    """What the store keeps of an API key: SHA-256, hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _generate_api_key() -> str:
    number = int.from_bytes(secrets.token_bytes(32), "big")
    digits = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(BASE62[digit])
    return API_KEY_PREFIX + "".join(digits)


def check_username(username: str) -> str:
    """``username`` if somebody can log in with it. Raises ``BadName``."""
    check_name(username, "a user name", MAX_USERNAME)
    if username.lower() == API_KEY_USERNAME:
        raise BadName("the user name {name!r} stands for API keys", name=username)
    return username


async def set_password(
    store: Store,
    account_id: int,
    username: str,
    password: str,
    now: Millis,
    *,
    scopes: Iterable[str] | None = None,
    networks: Iterable[str] | None = None,
    replace: bool = True,
    actor: Actor = SYSTEM,
) -> Credential:
    """Give the account this user name and password, or with ``replace`` the user name another password.

    A revoked user name of the same account comes back to life. Bounds that are ``None`` stay as they are. Raises
    ``BadName``, and ``NameTaken`` when the user name belongs to another account or to an SMTP user, or without
    ``replace`` when it has a password.
    """
    check_username(username)
    values = {"secret_hash": await hash_password(password), **bounds_values(scopes, networks)}
    return await set_login(store, account_id, PASSWORD, username, values, now, replace=replace, actor=actor)


async def set_login(
    store: Store,
    account_id: int,
    kind: str,
    username: str,
    values: Mapping[str, Any],
    now: Millis,
    *,
    replace: bool,
    actor: Actor,
) -> Credential:
    """``set_password`` for any ``kind`` with a user name; ``values``: what is set, of whatever there is or will be.

    Raises ``NameTaken``.
    """
    try:
        async with store.write() as connection:
            change = (
                update(table)
                .where(table.c.lookup == username, table.c.account_id == account_id, table.c.kind == kind)
                .values(revoked_at=None, **values)
                .returning(*table.c)
            )
            if not replace:
                change = change.where(table.c.revoked_at.is_not(None))
            row = (await connection.execute(change)).one_or_none()
            action = "credential.password"
            if row is None:
                new = {
                    "account_id": account_id,
                    "kind": kind,
                    "name": username,
                    "lookup": username,
                    "scopes": "",
                    "networks": "",
                    "created_at": now,
                    **values,
                }
                row = (await connection.execute(insert(table).values(new).returning(*table.c))).one()
                action = "credential.create"
            await credential_changed(connection, row, now, actor, action)
    except Conflict as error:
        if error.constraint != "uq_credential_lookup":
            raise
        raise await _taken(store, account_id, username) from None
    return credential_of(row)


async def change_login(
    store: Store,
    kind: str,
    username: str,
    values: Mapping[str, Any],
    now: Millis,
    action: str,
    *,
    actor: Actor,
) -> Credential | None:
    """Set ``values`` of a user name of that kind; ``None``: there is none. ``action``: for the audit log."""
    async with store.write() as connection:
        change = update(table).where(table.c.lookup == username, table.c.kind == kind).values(dict(values))
        row = (await connection.execute(change.returning(*table.c))).one_or_none()
        if row is None:
            return None
        await credential_changed(connection, row, now, actor, action)
    return credential_of(row)


async def _taken(store: Store, account_id: int, username: str) -> NameTaken:
    async with store.read() as connection:
        query = select(table.c.kind).where(table.c.lookup == username, table.c.account_id == account_id)
        kind = await connection.scalar(query)
    if kind == PASSWORD:
        return NameTaken("the user name {name!r} has a password already", name=username)
    if kind == API_USER:
        return NameTaken("the user name {name!r} is the one of an API user", name=username)
    if kind is not None:
        return NameTaken("the user name {name!r} is the one of an SMTP user", name=username)
    return NameTaken("the user name {name!r} belongs to another account", name=username)


async def create_api_key(
    store: Store,
    account_id: int,
    name: str,
    now: Millis,
    *,
    scopes: Iterable[str] = (),
    networks: Iterable[str] = (),
    actor: Actor = SYSTEM,
) -> NewApiKey:
    """A new API key; ``name`` is its label for people. Raises ``BadName``."""
    check_name(name, "an API key's label")
    bounds = bounds_values(scopes, networks)
    key = _generate_api_key()
    values = {
        "account_id": account_id,
        "kind": API_KEY,
        "name": name,
        "lookup": api_key_lookup(key),
        "created_at": now,
        **bounds,
    }
    async with store.write() as connection:
        row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
        await credential_changed(connection, row, now, actor, "credential.create")
    return NewApiKey(credential_of(row), key)


async def bound_credential(
    store: Store,
    credential_id: int,
    now: Millis,
    *,
    scopes: Iterable[str],
    networks: Iterable[str],
    actor: Actor = SYSTEM,
) -> Credential:
    """Change what it is good for and from where; the next login goes by it within two seconds on every worker.

    Raises ``BadName``, ``NotFound``.
    """
    bounds = bounds_values(scopes, networks)
    async with store.write() as connection:
        change = update(table).where(table.c.id == credential_id).values(bounds).returning(*table.c)
        row = (await connection.execute(change)).one_or_none()
        if row is None:
            raise NotFound("there is no credential {id}", id=credential_id)
        await credential_changed(connection, row, now, actor, "credential.bound")
    return credential_of(row)


async def revoke_credential(store: Store, credential_id: int, now: Millis, *, actor: Actor = SYSTEM) -> Credential:
    """Nobody can use it any more, within two seconds on every worker. Revoking twice is no error."""
    async with store.write() as connection:
        change = update(table).where(table.c.id == credential_id, table.c.revoked_at.is_(None))
        row = (await connection.execute(change.values(revoked_at=now).returning(*table.c))).one_or_none()
        if row is not None:
            await credential_changed(connection, row, now, actor, "credential.revoke")
        else:
            row = (await connection.execute(select(table).where(table.c.id == credential_id))).one_or_none()
        if row is None:
            raise NotFound("there is no credential {id}", id=credential_id)
    return credential_of(row)


async def list_credentials(
    store: Store, account_id: int | None = None, *, revoked: bool = True
) -> list[Credential]:
    """Credentials of one account or of all, oldest first; ``revoked=False`` leaves the revoked ones out."""
    query = select(table).where(table.c.kind != SESSION).order_by(table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    if not revoked:
        query = query.where(table.c.revoked_at.is_(None))
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return [credential_of(row) for row in rows]


async def find_login(connection: AsyncConnection, username: str, password: str) -> Row[Any] | None:
    """The row of whoever logs in so, when nobody has revoked it; a password is yet to be compared."""
    if username.lower() == API_KEY_USERNAME:
        kinds, lookup = [API_KEY], api_key_lookup(password)
    else:
        kinds, lookup = [PASSWORD, SMTP_USER, API_USER], username
    query = select(table).where(table.c.lookup == lookup, table.c.kind.in_(kinds), table.c.revoked_at.is_(None))
    return (await connection.execute(query)).one_or_none()


async def credential_rows(connection: AsyncConnection, ids: Collection[int]) -> Sequence[Row[Any]]:
    """Those that there are."""
    return (await connection.execute(select(table).where(table.c.id.in_(ids)))).all()


async def note_used(connection: AsyncConnection, used: Mapping[int, Millis]) -> None:
    """When credentials, by id, were last used."""
    statement = update(table).where(table.c.id == bindparam("credential")).values(last_used_at=bindparam("at"))
    await connection.execute(statement, [{"credential": key, "at": at} for key, at in sorted(used.items())])


def bounds_values(scopes: Iterable[str] | None, networks: Iterable[str] | None) -> dict[str, str]:
    """As columns; what is ``None`` is left out. Raises ``BadName``."""
    bounds = {}
    if scopes is not None:
        bounds["scopes"] = scopes_text(scopes)
    if networks is not None:
        bounds["networks"] = networks_text(networks)
    return bounds


async def credential_changed(
    connection: AsyncConnection, row: Row[Any], now: Millis, actor: Actor, action: str
) -> None:
    """``audit.changed`` for a row of the table ``credential``, as it is after the change."""
    bounds = {name: text.split() for name in ("scopes", "networks") if (text := getattr(row, name))}
    await changed(connection, row.account_id, now, actor, action, row.name, id=row.id, kind=row.kind, **bounds)


def credential_of(row: Row[Any]) -> Credential:
    """From a row of the table ``credential``."""
    return value_of(
        Credential,
        row,
        scopes=tuple(row.scopes.split()),
        networks=tuple(row.networks.split()),
        access_key=row.lookup if row.kind == ACCESS_KEY else "",
    )
