"""SMTP configurations: what a project needs to send from one domain (contract ibm.md §2, §3)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from sqlalchemy import Row, Select, delete, func, insert, select, update

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.access.credential_scopes import networks_text
from ekiden.senders.errors import BadValue, InUse, NoSuch, check_text
from ekiden.senders.projects import canonical_uid
from ekiden.senders.smtp_users import remove_users
from ekiden.store.api import Conflict
from ekiden.store.pages import Page, contains
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import domain as domain_table
from ekiden.store.tables import smtp_configuration as table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock, Millis
    from ekiden.senders.projects import Project
    from ekiden.store.api import Store

MAX_NAME: Final = 250
MAX_DESCRIPTION: Final = 250
MAX_SUBNETS: Final = 100


_ONE_OF_NAME: Final = "uq_smtp_configuration_project_id_name"
_ONE_OF_DOMAIN: Final = "uq_smtp_configuration_project_id_domain_id"


@dataclass(frozen=True, slots=True)
class SmtpConfiguration:
    """``domain``: lower-case A-labels. ``allowed_subnets``: the deprecated list, changed at ``allowed_at``."""

    id: str
    account_id: int
    project_id: int
    domain_id: int
    domain: str
    name: str
    description: str
    attachments: bool
    max_recipients: int
    allowed_subnets: tuple[str, ...]
    allowed_at: Millis | None
    created_at: Millis
    updated_at: Millis


class SmtpConfigurations:
    """Each method is about one project: what belongs to another one is not there (``NoSuch``)."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(
        self,
        project: Project,
        domain_id: int,
        name: str,
        description: str = "",
        *,
        attachments: bool,
        max_recipients: int,
        actor: Actor = SYSTEM,
    ) -> SmtpConfiguration:
        """A new configuration for a domain of the project's account.

        Raises ``BadValue``, ``NoSuch`` when the account does not have that domain, and ``InUse`` when the project
        has one of that name, or for that domain.
        """
        now = self._clock.now()
        id_ = str(uuid.uuid4())
        values = {
            "id": id_,
            "account_id": project.account_id,
            "project_id": project.id,
            "domain_id": domain_id,
            "name": check_text("name", name, 1, MAX_NAME),
            "description": check_text("description", description, 0, MAX_DESCRIPTION),
            "attachments": attachments,
            "max_recipients": max_recipients,
            "allowed_subnets": "[]",
            "created_at": now,
            "updated_at": now,
        }
        try:
            async with self._store.write() as connection:
                await _keep_domain(connection, project.account_id, domain_id)
                await connection.execute(insert(table).values(values))
                made = await _one(connection, project.id, id_)
                await changed(
                    connection,
                    project.account_id,
                    now,
                    actor,
                    "smtp_configuration.create",
                    name,
                    id=id_,
                    project=project.uid,
                    domain=made.domain,
                )
        except Conflict as error:
            if error.constraint == _ONE_OF_DOMAIN:
                raise await self._domain_in_use(domain_id) from None
            raise error.instead(_ONE_OF_NAME, _name_in_use(name)) from None
        return made

    async def _domain_in_use(self, domain_id: int) -> InUse:
        async with self._store.read() as connection:
            domain = await connection.scalar(select(domain_table.c.name).where(domain_table.c.id == domain_id))
        return InUse("the domain {domain} has an SMTP configuration in this instance already", domain=domain)

    async def get(self, project_id: int, id_: str) -> SmtpConfiguration:
        """Raises ``NoSuch``."""
        async with self._store.read() as connection:
            return await _one(connection, project_id, id_)

    async def list(self, project_id: int, *, offset: int, limit: int, search: str = "") -> Page[SmtpConfiguration]:
        """The oldest first; ``search`` in their names."""
        condition = table.c.project_id == project_id
        if search:
            condition &= contains(search, table.c.name)
        async with self._store.read() as connection:
            total = await connection.scalar(select(func.count()).select_from(table).where(condition))
            query = _query().where(condition).order_by(table.c.created_at, table.c.id)
            rows = (await connection.execute(query.offset(offset).limit(limit))).all()
        return Page(readable("smtp_configuration", _configuration, rows), total or 0)

    async def update(
        self,
        project_id: int,
        id_: str,
        *,
        name: str | None = None,
        description: str | None = None,
        actor: Actor = SYSTEM,
    ) -> SmtpConfiguration:
        """Another name or description; ``None`` leaves it. Raises ``BadValue``, ``InUse``, ``NoSuch``."""
        values: dict[str, str] = {}
        if name is not None:
            values["name"] = check_text("name", name, 1, MAX_NAME)
        if description is not None:
            values["description"] = check_text("description", description, 0, MAX_DESCRIPTION)
        try:
            return await self._change(project_id, id_, values, actor, "smtp_configuration.update")
        except Conflict as error:
            raise error.instead(_ONE_OF_NAME, _name_in_use(name or "")) from None

    async def set_allowed_subnets(
        self, project_id: int, id_: str, subnets: Sequence[str], *, actor: Actor = SYSTEM
    ) -> SmtpConfiguration:
        """Replace the deprecated list: 1 to 100 IP addresses or networks. Raises ``BadName``, ``NoSuch``."""
        if not 1 <= len(subnets) <= MAX_SUBNETS:
            raise BadValue("subnets: 1 to {most} of them are needed", most=MAX_SUBNETS)
        values = {
            "allowed_subnets": msgspec.json.encode(networks_text(subnets).split()).decode(),
            "allowed_at": self._clock.now(),
        }
        return await self._change(project_id, id_, values, actor, "smtp_configuration.allowed_subnets")

    async def _change(
        self, project_id: int, id_: str, values: dict[str, Any], actor: Actor, action: str
    ) -> SmtpConfiguration:
        now = self._clock.now()
        async with self._store.write() as connection:
            found = await _one(connection, project_id, id_, lock=True)
            await connection.execute(update(table).where(table.c.id == found.id).values(**values, updated_at=now))
            await changed(connection, found.account_id, now, actor, action, found.name, id=found.id, **values)
            return await _one(connection, project_id, id_)

    async def delete(self, project_id: int, id_: str, *, actor: Actor = SYSTEM) -> None:
        """It goes with its users; the domain stays the account's. Raises ``NoSuch``."""
        now = self._clock.now()
        async with self._store.write() as connection:
            found = await _one(connection, project_id, id_, lock=True)
            await remove_users(connection, found.account_id, found.id, now, actor)
            await connection.execute(delete(table).where(table.c.id == found.id))
            await changed(
                connection,
                found.account_id,
                now,
                actor,
                "smtp_configuration.delete",
                found.name,
                id=found.id,
                domain=found.domain,
            )


async def _keep_domain(connection: AsyncConnection, account_id: int, domain_id: int) -> None:
    """The domain stays until the transaction ends. Raises ``NoSuch`` when the account does not have it."""
    query = select(domain_table.c.id).where(domain_table.c.id == domain_id, domain_table.c.account_id == account_id)
    if (await connection.execute(query.with_for_update())).one_or_none() is None:
        raise NoSuch("the account has no such domain")


async def _one(connection: AsyncConnection, project_id: int, id_: str, *, lock: bool = False) -> SmtpConfiguration:
    """``lock``: until the transaction ends nobody else changes it or its users."""
    query = _query().where(table.c.project_id == project_id, table.c.id == canonical_uid(id_))
    row = (await connection.execute(query.with_for_update(of=table) if lock else query)).one_or_none()
    if row is None:
        raise NoSuch("there is no SMTP configuration {id!r}", id=id_)
    return _configuration(row)


def _name_in_use(name: str) -> InUse:
    return InUse("there is an SMTP configuration {name!r} in this instance already", name=name)


def _query() -> Select[Any]:
    return select(table, domain_table.c.name.label("domain_name")).join(
        domain_table, domain_table.c.id == table.c.domain_id
    )


def _configuration(row: Row[Any]) -> SmtpConfiguration:
    return value_of(
        SmtpConfiguration,
        row,
        domain=row.domain_name,
        allowed_subnets=tuple(msgspec.json.decode(row.allowed_subnets, type=list[str])),
    )
