"""Users of SMTP configurations: generated names and passwords that log in and send for that configuration only.

A clone is the same user name and password in another configuration of the same project: one credential, shared. It
is revoked when the last configuration gives it up.

What changes users locks the configuration first, then credentials in the order of their ids, then the account
(``audit.changed``): so what is checked stays true, and two changes never wait for each other.
"""

from __future__ import annotations

import asyncio
import secrets
import string
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row, Select, delete, func, insert, select, update

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.access.credentials import SMTP_USER
from ekiden.access.passwords import generate_password, hasher
from ekiden.senders.errors import InUse, NoSuch, TooManyUsers, check_text
from ekiden.senders.projects import canonical_uid
from ekiden.store.api import Conflict
from ekiden.store.pages import Page, contains
from ekiden.store.row_values import value_of
from ekiden.store.tables import credential, smtp_configuration
from ekiden.store.tables import smtp_user as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock, Millis
    from ekiden.senders.smtp_configurations import SmtpConfiguration
    from ekiden.store.api import Store

MAX_DESCRIPTION: Final = 250
DEFAULT_LIMIT: Final = 5
"""Users of one configuration (contract ibm.md §3)."""
_LETTERS = string.ascii_lowercase + string.digits


@dataclass(frozen=True, slots=True)
class SmtpUser:
    """``username`` is 18 lower-case letters and digits and 2 digits, the same for a user and its clones."""

    id: str
    configuration_id: str
    credential_id: int
    username: str
    description: str
    created_at: Millis
    updated_at: Millis


@dataclass(frozen=True, slots=True)
class NewSmtpUser:
    """``password`` cannot be had again."""

    user: SmtpUser
    password: str = field(repr=False)


def generate_username() -> str:
    """One that nobody has: 93 random bits and two digits (contract ibm.md §2.2)."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(18))
    return f"{letters}{secrets.randbelow(100):02d}"


class SmtpUsers:
    """Each method is about one configuration: what belongs to another one is not there (``NoSuch``)."""

    def __init__(self, store: Store, clock: Clock, *, limit: int = DEFAULT_LIMIT) -> None:
        self._store = store
        self._clock = clock
        self._limit = limit

    async def create(
        self, configuration: SmtpConfiguration, description: str = "", *, actor: Actor = SYSTEM
    ) -> NewSmtpUser:
        """A user with a password, which is kept as argon2id only. Raises ``BadValue``, ``TooManyUsers``."""
        check_text("description", description, 0, MAX_DESCRIPTION)
        username, password = generate_username(), generate_password()
        secret_hash = await asyncio.to_thread(hasher.hash, password)
        now = self._clock.now()
        values = {
            "account_id": configuration.account_id,
            "kind": SMTP_USER,
            "name": username,
            "lookup": username,
            "secret_hash": secret_hash,
            "scopes": "",
            "networks": "",
            "created_at": now,
        }
        async with self._store.write() as connection:
            await self._make_room(connection, configuration)
            made = insert(credential).values(values).returning(credential.c.id)
            credential_id = (await connection.execute(made)).scalar_one()
            user = await self._add(connection, configuration, credential_id, username, description, now, actor)
        return NewSmtpUser(user, password)

    async def clone(
        self, configuration: SmtpConfiguration, username: str, description: str = "", *, actor: Actor = SYSTEM
    ) -> SmtpUser:
        """The user of another configuration of the same project, in this one too: same name, same password.

        Raises ``BadValue``, ``NoSuch``, ``InUse``, ``TooManyUsers``.
        """
        check_text("description", description, 0, MAX_DESCRIPTION)
        now = self._clock.now()
        source = (
            select(credential.c.id)
            .join(table, table.c.credential_id == credential.c.id)
            .join(smtp_configuration, smtp_configuration.c.id == table.c.configuration_id)
            .where(
                credential.c.lookup == username.replace("\0", ""),
                credential.c.kind == SMTP_USER,
                credential.c.revoked_at.is_(None),
                smtp_configuration.c.project_id == configuration.project_id,
            )
            .limit(1)
            .with_for_update(of=credential)
        )
        try:
            async with self._store.write() as connection:
                await self._make_room(connection, configuration)
                credential_id = await connection.scalar(source)
                if credential_id is None:
                    raise NoSuch("there is no SMTP user with the name {name!r} in this instance", name=username)
                return await self._add(connection, configuration, credential_id, username, description, now, actor)
        except Conflict as error:
            taken = InUse("the SMTP configuration has the user {name!r} already", name=username)
            raise error.instead("uq_smtp_user_configuration_id_credential_id", taken) from None

    async def get(self, configuration_id: str, id_: str) -> SmtpUser:
        """Raises ``NoSuch``."""
        async with self._store.read() as connection:
            return await _one(connection, configuration_id, id_)

    async def list(self, configuration_id: str, *, offset: int, limit: int, search: str = "") -> Page[SmtpUser]:
        """The oldest first; ``search`` in user names and descriptions."""
        condition = table.c.configuration_id == configuration_id
        if search:
            condition &= contains(search, credential.c.name, table.c.description)
        joined = table.join(credential, credential.c.id == table.c.credential_id)
        async with self._store.read() as connection:
            total = await connection.scalar(select(func.count()).select_from(joined).where(condition))
            query = _query().where(condition).order_by(table.c.created_at, table.c.id)
            rows = (await connection.execute(query.offset(offset).limit(limit))).all()
        return Page([_user(row) for row in rows], total or 0)

    async def update(
        self, configuration_id: str, id_: str, *, description: str | None = None, actor: Actor = SYSTEM
    ) -> SmtpUser:
        """Another description; ``None`` leaves it. Raises ``BadValue``, ``NoSuch``."""
        values: dict[str, str] = {}
        if description is not None:
            values["description"] = check_text("description", description, 0, MAX_DESCRIPTION)
        now = self._clock.now()
        async with self._store.write() as connection:
            await _lock(connection, configuration_id)
            found = await _one(connection, configuration_id, id_)
            change = update(table).where(table.c.id == found.id).values(**values, updated_at=now)
            account_id = (await connection.execute(change.returning(table.c.account_id))).scalar_one()
            await changed(
                connection, account_id, now, actor, "smtp_user.update", found.username, id=found.id, **values
            )
            return await _one(connection, configuration_id, id_)

    async def delete(self, configuration_id: str, id_: str, *, actor: Actor = SYSTEM) -> None:
        """Nobody can log in with it for this configuration any more, within two seconds. Raises ``NoSuch``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            await _lock(connection, configuration_id)
            found = await _one(connection, configuration_id, id_)
            gone = delete(table).where(table.c.id == found.id).returning(table.c.account_id)
            account_id = (await connection.execute(gone)).scalar_one()
            await _revoke_unused(connection, [found.credential_id], now)
            facts = {"id": found.id, "configuration": configuration_id}
            await changed(connection, account_id, now, actor, "smtp_user.delete", found.username, **facts)

    async def _make_room(self, connection: AsyncConnection, configuration: SmtpConfiguration) -> None:
        """Raises ``TooManyUsers``, and ``NoSuch`` for a configuration that is gone; one caller at a time."""
        if not await _lock(connection, configuration.id):
            raise NoSuch("there is no SMTP configuration {id!r}", id=configuration.id)
        counted = select(func.count()).select_from(table).where(table.c.configuration_id == configuration.id)
        if (await connection.scalar(counted) or 0) >= self._limit:
            raise TooManyUsers("an SMTP configuration has at most {limit} users", limit=self._limit)

    async def _add(
        self,
        connection: AsyncConnection,
        configuration: SmtpConfiguration,
        credential_id: int,
        username: str,
        description: str,
        now: Millis,
        actor: Actor,
    ) -> SmtpUser:
        id_ = str(uuid.uuid4())
        values = {
            "id": id_,
            "account_id": configuration.account_id,
            "configuration_id": configuration.id,
            "credential_id": credential_id,
            "description": description,
            "created_at": now,
            "updated_at": now,
        }
        await connection.execute(insert(table).values(values))
        facts = {"id": id_, "configuration": configuration.id}
        await changed(connection, configuration.account_id, now, actor, "smtp_user.create", username, **facts)
        return SmtpUser(id_, configuration.id, credential_id, username, description, now, now)


async def remove_users(
    connection: AsyncConnection, account_id: int, configuration_id: str, now: Millis, actor: Actor
) -> None:
    """All of a configuration that is being deleted, in its transaction."""
    rows = (await connection.execute(_query().where(table.c.configuration_id == configuration_id))).all()
    await connection.execute(delete(table).where(table.c.configuration_id == configuration_id))
    await _revoke_unused(connection, [row.credential_id for row in rows], now)
    for row in rows:
        facts = {"id": row.id, "configuration": configuration_id}
        await changed(connection, account_id, now, actor, "smtp_user.delete", row.username, **facts)


async def _lock(connection: AsyncConnection, configuration_id: str) -> bool:
    """Whether there is that configuration; until the transaction ends nobody else changes its users."""
    query = select(smtp_configuration.c.id).where(smtp_configuration.c.id == configuration_id)
    return (await connection.execute(query.with_for_update())).one_or_none() is not None


async def _revoke_unused(connection: AsyncConnection, ids: list[int], now: Millis) -> None:
    """Whoever else gives them up, or clones them, waits here, and then sees what was done in this transaction."""
    order = select(credential.c.id).where(credential.c.id.in_(ids)).order_by(credential.c.id)
    await connection.execute(order.with_for_update())
    used = select(table.c.credential_id)
    change = update(credential).where(
        credential.c.id.in_(ids), credential.c.id.not_in(used), credential.c.revoked_at.is_(None)
    )
    await connection.execute(change.values(revoked_at=now))


async def _one(connection: AsyncConnection, configuration_id: str, id_: str) -> SmtpUser:
    query = _query().where(table.c.configuration_id == configuration_id, table.c.id == canonical_uid(id_))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuch("there is no SMTP user {id!r}", id=id_)
    return _user(row)


def _query() -> Select[Any]:
    return select(table, credential.c.name.label("username")).join(
        credential, credential.c.id == table.c.credential_id
    )


def _user(row: Row[Any]) -> SmtpUser:
    return value_of(SmtpUser, row)
