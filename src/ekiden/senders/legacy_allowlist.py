"""What a credential may send as, read from its rows: SMTP configurations for SMTP users, else domains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
from sqlalchemy import select

from ekiden.access.credentials import SMTP_USER
from ekiden.core.clock import DAY, Millis
from ekiden.net.listen import Networks
from ekiden.store import tables
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

LEGACY_PERIOD: Millis = 180 * DAY
"""How long the deprecated list of allowed subnets is honoured by default: six months (contract ibm.md §4.5)."""


class SenderFacts(NamedTuple):
    """A domain as the door sees it. ``id`` 0: the account has no such domain."""

    name: str
    id: int = 0
    status: str = ""
    reason: str = ""

    @property
    def usable(self) -> bool:
        return self.status == "verified"


class ConfigurationFacts(NamedTuple):
    """An SMTP configuration as the door sees it. ``subnets``: the deprecated list, as of ``subnets_at``."""

    id: str
    project: str
    region: str
    domain: str
    attachments: bool
    max_recipients: int
    subnets: Networks
    subnets_at: Millis

    def lists(self, client: str, now: Millis, period: Millis) -> bool:
        """Whether the deprecated list still admits the client: ``period`` long after it was last changed."""
        return client in self.subnets and now < self.subnets_at + period


class Grant(NamedTuple):
    """``restricted``: an SMTP user, who sends for ``configurations`` only; others send for the whole account."""

    restricted: bool
    configurations: tuple[ConfigurationFacts, ...] = ()

    def of(self, domain: str) -> ConfigurationFacts | None:
        """The configuration that sends for the domain."""
        return next((item for item in self.configurations if item.domain == domain), None)


WHOLE_ACCOUNT = Grant(restricted=False)


async def load_sender(connection: AsyncConnection, account_id: int, name: str) -> SenderFacts:
    """For ``Remembered``: the account's domain ``name``, in lower-case A-labels."""
    table = tables.domain
    query = select(table.c.id, table.c.status, table.c.reason)
    row = (
        await connection.execute(query.where(table.c.account_id == account_id, table.c.name == name))
    ).one_or_none()
    return SenderFacts(name) if row is None else SenderFacts(name, row.id, row.status, row.reason)


async def load_grant(connection: AsyncConnection, account_id: int, credential_id: int) -> Grant:
    """For ``Remembered``: what the credential is good for."""
    credential, user = tables.credential, tables.smtp_user
    configuration, project, domain = tables.smtp_configuration, tables.project, tables.domain
    kind = await connection.scalar(
        select(credential.c.kind).where(credential.c.id == credential_id, credential.c.account_id == account_id)
    )
    if kind != SMTP_USER:
        return WHOLE_ACCOUNT
    query = (
        select(configuration, project.c.uid, project.c.region, domain.c.name.label("domain_name"))
        .select_from(user)
        .join(configuration, configuration.c.id == user.c.configuration_id)
        .join(project, project.c.id == configuration.c.project_id)
        .join(domain, domain.c.id == configuration.c.domain_id)
        .where(user.c.credential_id == credential_id, configuration.c.account_id == account_id)
        .order_by(configuration.c.created_at, configuration.c.id)
    )
    return Grant(
        restricted=True,
        configurations=tuple(readable("smtp_configuration", _configuration, await connection.execute(query))),
    )


def _configuration(row: Any) -> ConfigurationFacts:
    return value_of(
        ConfigurationFacts,
        row,
        project=row.uid,
        domain=row.domain_name,
        subnets=Networks(msgspec.json.decode(row.allowed_subnets)),
        subnets_at=row.allowed_at or 0,
    )


async def load_lists(connection: AsyncConnection, since: Millis) -> Networks:
    """What is in the deprecated lists of all accounts that were changed after ``since``."""
    table = tables.smtp_configuration
    lists = await connection.scalars(select(table.c.allowed_subnets).where(table.c.allowed_at > since))

    def networks(text: str) -> list[str]:
        found: list[str] = msgspec.json.decode(text, type=list[str])
        Networks(found)  # are they?
        return found

    return Networks(network for each in readable("smtp_configuration", networks, lists) for network in each)
