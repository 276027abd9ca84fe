"""Whether ``instance.key`` is the key that the secrets of this database are sealed with.

The first worker that starts on a database leaves the key's fingerprint in it (table ``installation``); whoever
comes with another key is told so, and does not begin. A database from before has no fingerprint: its first worker
proves its key by what it can open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access import access_keys
from ekiden.access.vault import Vault, VaultError
from ekiden.core.texts import TranslatedError
from ekiden.domains import signing_keys
from ekiden.notify import auth
from ekiden.process.translations import TEXTS
from ekiden.store.api import Conflict
from ekiden.store.tables import credential, dkim_key, endpoint, installation

if TYPE_CHECKING:
    from ekiden.config.model import Config
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

_OTHER: Final = (
    "the instance key {path} is not the one of this database: what is sealed in it (keys that sign mail, secrets "
    "of access keys and callbacks) cannot be opened. Put the instance.key there that belongs to the database, from "
    "its backup or from another machine of the installation. If that key is lost for good, see: "
    "ekiden db key --help"
)
_WHY: Final = (
    "{why}. Put the copy of this installation's key there (64 hexadecimal digits, readable by Ekiden's user); "
    "a new key would not open what the database has sealed. Without any copy see: ekiden db key --help"
)
KEY_NAME: Final = "instance.key"
_ROW: Final = 1
MOST: Final = 1000
"""Secrets of a kind that are tried, the newest first: a few milliseconds."""
State = Literal["fits", "unbound", "other", "unreadable"]

SEALED: Final = {
    # What stands sealed in the database: its column, what it was sealed for, and those that are out of use.
    "dkim_keys": (dkim_key.c.sealed, signing_keys.PURPOSE, dkim_key.c.status != "retired"),
    "access_keys": (credential.c.sealed, access_keys.PURPOSE, credential.c.revoked_at.is_(None)),
    "endpoints": (endpoint.c.sealed, auth.PURPOSE, endpoint.c.sealed.is_not(None)),
}


class InstanceKeyError(TranslatedError):
    """The instance key is missing or another one; the text says what to do. Nothing was changed."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class Census(NamedTuple):
    """Secrets by kind (keys of ``SEALED``): those that the key opens, and those that it does not."""

    opened: Mapping[str, int]
    closed: Mapping[str, int]

    @property
    def proves(self) -> bool:
        """The key is the one of this database: there is nothing sealed, or it opens most of it."""
        return sum(self.opened.values()) >= sum(self.closed.values())


@dataclass(frozen=True, slots=True)
class KeyLook:
    """What was found. ``unbound``: the database has no fingerprint yet. ``why``: of ``unreadable``."""

    path: Path
    state: State
    bound_at: Millis | None = None
    census: Census | None = None
    fingerprint: str = ""
    wanted: str = ""
    why: VaultError | None = None

    @property
    def usable(self) -> bool:
        return self.state in ("fits", "unbound")

    def trouble(self) -> InstanceKeyError:
        """What to do when it is not."""
        return (
            InstanceKeyError(_OTHER, path=self.path) if self.why is None else InstanceKeyError(_WHY, why=self.why)
        )


def key_path(config: Config) -> Path:
    return Path(config.data_dir) / KEY_NAME


def read_vault(config: Config) -> Vault:
    """With the instance key of the installation. Raises ``InstanceKeyError``, which says what to do."""
    try:
        return Vault.from_file(key_path(config))
    except VaultError as error:
        raise InstanceKeyError(_WHY, why=error) from None


async def checked_vault(config: Config, store: Store) -> Vault:
    """``read_vault``, for whoever seals or opens something of ``store``. Raises ``InstanceKeyError``."""
    return (await _checked(config, store))[0]


async def _checked(config: Config, store: Store) -> tuple[Vault, bool]:
    """``checked_vault``; whether the database has its fingerprint."""
    vault = read_vault(config)
    async with store.read() as connection:
        bound = await _bound(connection)
        if not await _fits(connection, vault, bound):
            raise InstanceKeyError(_OTHER, path=key_path(config))
    return vault, bound is not None


async def fits(store: Store, vault: Vault) -> bool:
    """Whether the secrets of ``store`` may be those of this key: by its fingerprint, else by what it opens."""
    async with store.read() as connection:
        return await _fits(connection, vault, await _bound(connection))


async def _fits(connection: AsyncConnection, vault: Vault, bound: tuple[str, int] | None) -> bool:
    return bound[0] == vault.fingerprint if bound is not None else (await _census(connection, vault)).proves


async def has_owner(store: Store) -> bool:
    """Whether a key belongs to ``store``: another one would be wrong."""
    async with store.read() as connection:
        found = await _bound(connection)
        for column, _, in_use in SEALED.values():
            if found is None:
                query = select(column).where(column.is_not(None), in_use).limit(1)
                found = (await connection.execute(query)).first()
    return found is not None


async def confirm(config: Config, store: Store, clock: Clock) -> Vault:
    """``checked_vault`` of who begins to work: a database without a fingerprint gets this key's."""
    vault, bound = await _checked(config, store)
    if bound:
        return vault
    row = {"id": _ROW, "fingerprint": vault.fingerprint, "bound_at": clock.now()}
    try:
        async with store.write() as connection:
            await connection.execute(insert(installation).values(row))
    except Conflict:  # another worker, or another machine, was first
        return await checked_vault(config, store)
    return vault


async def look(config: Config, store: Store) -> KeyLook:
    """For people: everything there is to say; changes nothing, and raises nothing about the key."""
    path = key_path(config)
    async with store.read() as connection:
        bound = await _bound(connection)
        wanted, bound_at = bound or ("", None)
        try:
            vault = Vault.from_file(path)
        except VaultError as error:
            return KeyLook(path, "unreadable", bound_at, wanted=wanted, why=error)
        census = await _census(connection, vault)
    if bound is None:
        state: State = "unbound" if census.proves else "other"
    else:
        state = "fits" if wanted == vault.fingerprint else "other"
    return KeyLook(path, state, bound_at, census, vault.fingerprint, wanted)


async def adopt(config: Config, store: Store, clock: Clock) -> Vault:
    """From now on the key of this machine is the one of the database, whatever it was before.

    What the other key sealed stays as it is, and closed. Raises ``InstanceKeyError`` when there is none to read.
    """
    vault = read_vault(config)
    values = {"fingerprint": vault.fingerprint, "bound_at": clock.now()}
    async with store.write() as connection:
        changed = await connection.execute(update(installation).values(values))
        if not changed.rowcount:
            await connection.execute(insert(installation).values(id=_ROW, **values))
    return vault


async def identity(store: Store) -> tuple[str, str]:
    """The revision of the tables, and the fingerprint of the key that the database belongs to (empty: of none)."""
    async with store.read() as connection:
        revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        bound = await _bound(connection)
    return str(revision), "" if bound is None else bound[0]


async def _bound(connection: AsyncConnection) -> tuple[str, int] | None:
    query = select(installation.c.fingerprint, installation.c.bound_at).where(installation.c.id == _ROW)
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else (row.fingerprint, row.bound_at)


async def _census(connection: AsyncConnection, vault: Vault) -> Census:
    opened: dict[str, int] = {}
    closed: dict[str, int] = {}
    for kind, (column, purpose, in_use) in SEALED.items():
        newest = column.table.c.id.desc()
        query = select(column).where(column.is_not(None), in_use).order_by(newest).limit(MOST)
        sealed = list(await connection.scalars(query))
        good = sum(vault.opens(item, purpose) for item in sealed)
        opened[kind], closed[kind] = good, len(sealed) - good
    return Census(opened, closed)
