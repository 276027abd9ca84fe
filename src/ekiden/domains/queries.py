"""Reading domains, their keys and their checks. Nothing here needs a secret or the DNS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.pages import Page
from ekiden.domains.errors import NoSuchDomain
from ekiden.domains.model import Check, Domain, Key, Kind, Status, Tracking, check_of, domain_of, key_of
from ekiden.domains.names import check_domain_name
from ekiden.domains.reasons import Fault
from ekiden.store.set_aside import read, readable
from ekiden.store.tables import dkim_key, domain, domain_check

if TYPE_CHECKING:
    from ekiden.store.api import Store


async def list_domains(
    store: Store, account_id: int | None = None, *, status: Status | None = None
) -> list[Domain]:
    """Domains of one account or of all, by name; ``status``: only those."""
    query = select(domain).order_by(domain.c.name, domain.c.id)
    if account_id is not None:
        query = query.where(domain.c.account_id == account_id)
    if status is not None:
        query = query.where(domain.c.status == status)
    async with store.read() as connection:
        return readable("domain", domain_of, await connection.execute(query))


async def page_domains(store: Store, account_id: int, *, offset: int, limit: int) -> Page[Domain]:
    """A part of the account's domains, by name, and how many it has."""
    theirs = domain.c.account_id == account_id
    query = select(domain).where(theirs).order_by(domain.c.name).offset(offset).limit(limit)
    async with store.read() as connection:
        found = readable("domain", domain_of, await connection.execute(query))
        total = await connection.scalar(select(func.count()).select_from(domain).where(theirs))
    return Page(found, total or 0)


async def get_domain(store: Store, account_id: int, name: str) -> Domain:
    """The account's domain of that name. Raises ``NoSuchDomain``, ``BadDomain``."""
    ascii_name = check_domain_name(name)
    query = select(domain).where(domain.c.account_id == account_id, domain.c.name == ascii_name)
    async with store.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NoSuchDomain("there is no domain {name}", name=ascii_name)
    return read("domain", domain_of, row)


async def find_domain(connection: AsyncConnection, domain_id: int, *, lock: bool = False) -> Domain:
    """The domain of that id; ``lock``: until the transaction ends nobody else changes it. ``NoSuchDomain``."""
    query = select(domain).where(domain.c.id == domain_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise NoSuchDomain("there is no domain {name}", name=domain_id)
    return read("domain", domain_of, row)


async def list_keys(connection: AsyncConnection, of: Domain) -> list[Key]:
    """Its keys, the oldest first."""
    columns = [column for column in dkim_key.c if column.name != "sealed"]
    query = select(*columns).where(dkim_key.c.domain_id == of.id).order_by(dkim_key.c.id)
    return readable("dkim_key", lambda row: key_of(row, of.name), await connection.execute(query))


async def list_checks(connection: AsyncConnection, of: Domain, limit: int = 50) -> list[Check]:
    """The last checks, the newest first."""
    query = select(domain_check).where(_belongs(of)).order_by(domain_check.c.id.desc()).limit(limit)
    return readable("domain_check", check_of, await connection.execute(query))


async def last_checks(connection: AsyncConnection, of: Domain) -> dict[tuple[Kind, str], Check]:
    """The last check of each kind and name that was asked for."""
    newest = (
        select(func.max(domain_check.c.id))
        .where(_belongs(of))
        .group_by(domain_check.c.kind, domain_check.c.asked)
        .scalar_subquery()
    )
    query = select(domain_check).where(_belongs(of), domain_check.c.id.in_(newest)).order_by(domain_check.c.id)
    found = readable("domain_check", check_of, await connection.execute(query))
    return {(check.kind, check.asked[0]): check for check in found}


async def last_faults(connection: AsyncConnection, of: Domain) -> Mapping[Kind, Fault]:
    """For each kind that decides, the code of the last check that passed (empty) or failed."""
    faults: dict[Kind, Fault] = {}
    kinds: tuple[Kind, ...] = ("spf", "dkim", "address")
    for kind in kinds:
        query = (
            select(domain_check)
            .where(_belongs(of), domain_check.c.kind == kind, domain_check.c.result.in_(("pass", "fail")))
            .order_by(domain_check.c.id.desc())
            .limit(1)
        )
        row = (await connection.execute(query)).one_or_none()
        if row is not None:
            faults[kind] = row.code if row.result == "fail" else ""
    return faults


def _belongs(of: Domain) -> ColumnElement[bool]:
    return and_(domain_check.c.account_id == of.account_id, domain_check.c.domain_id == of.id)


@dataclass(frozen=True, slots=True)
class SendingSettings:
    """What a domain's owner has set for the messages that are composed here; without a domain, the defaults."""

    tracking: Tracking = field(default_factory=Tracking)
    return_path: str = ""


async def sending_settings(connection: AsyncConnection, account_id: int, name: str) -> SendingSettings:
    """Of the account's domain ``name``, in A-labels; those of a new one when there is none."""
    query = select(domain).where(domain.c.account_id == account_id, domain.c.name == name)
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return SendingSettings()
    found = domain_of(row)
    return SendingSettings(found.tracking, found.return_path)
