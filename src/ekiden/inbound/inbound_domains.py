"""Domains that accounts receive mail for: which account, and nothing else. What becomes of it is for its routes.

A domain is received by one account. One that another account sends from is refused, since its mail is theirs.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sqlalchemy import delete, func, insert, select

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.domains.names import check_domain_name
from ekiden.inbound.errors import InboundDomainTaken, NoSuchInboundDomain, TooManyInboundDomains
from ekiden.store.api import Conflict
from ekiden.store.row_values import value_of
from ekiden.store.tables import account as account_table
from ekiden.store.tables import domain
from ekiden.store.tables import inbound_domain as table

if TYPE_CHECKING:
    from sqlalchemy import Row

    from ekiden.core.clock import Millis
    from ekiden.store.api import Store

MOST_DOMAINS: Final = 1_000
"""Of an account."""


class InboundDomain(NamedTuple):
    """``name`` is in lower-case A-labels."""

    id: int
    account_id: int
    name: str
    created_at: Millis


async def add_inbound_domain(
    store: Store, account_id: int, name: str, now: Millis, *, own: Collection[str] = (), actor: Actor = SYSTEM
) -> InboundDomain:
    """Let the account receive mail for a domain. ``own``: those of the installation, which no account receives.

    Raises ``domains.errors.BadDomain``, ``InboundDomainTaken``, ``TooManyInboundDomains``.
    """
    name = check_domain_name(name)
    if name in own:
        raise InboundDomainTaken("{name} is a domain of the installation's own", name=name)
    taken = InboundDomainTaken("mail for {name} is received already", name=name)
    sends = select(domain.c.id).where(
        domain.c.name == name, domain.c.account_id != account_id, domain.c.status.in_(("verified", "suspended"))
    )
    theirs = select(func.count()).where(table.c.account_id == account_id)
    try:
        async with store.write() as connection:
            await connection.execute(
                select(account_table.c.id).where(account_table.c.id == account_id).with_for_update()
            )
            if await connection.scalar(sends.limit(1)) is not None:
                raise InboundDomainTaken("another account sends from {name}", name=name)
            if (await connection.scalar(theirs) or 0) >= MOST_DOMAINS:
                raise TooManyInboundDomains("an account receives at most {most} domains", most=MOST_DOMAINS)
            values = {"account_id": account_id, "name": name, "created_at": now}
            row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
            await changed(connection, account_id, now, actor, "inbound_domain.add", name)
    except Conflict as error:
        raise error.instead("uq_inbound_domain_name", taken) from None
    return _domain(row)


async def list_inbound_domains(store: Store, account_id: int | None = None) -> list[InboundDomain]:
    """Those of one account or of all, by name."""
    query = select(table).order_by(table.c.name)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    async with store.read() as connection:
        return [_domain(row) for row in await connection.execute(query)]


async def remove_inbound_domain(
    store: Store, account_id: int, name: str, now: Millis, *, actor: Actor = SYSTEM
) -> InboundDomain:
    """Nothing more is received for it, on every worker within two seconds. What came is still told to its routes.

    Raises ``domains.errors.BadDomain``, ``NoSuchInboundDomain``.
    """
    name = check_domain_name(name)
    gone = delete(table).where(table.c.account_id == account_id, table.c.name == name).returning(*table.c)
    async with store.write() as connection:
        row = (await connection.execute(gone)).one_or_none()
        if row is None:
            raise NoSuchInboundDomain("the account does not receive mail for {name}", name=name)
        await changed(connection, account_id, now, actor, "inbound_domain.remove", name)
    return _domain(row)


def _domain(row: Row[Any]) -> InboundDomain:
    return value_of(InboundDomain, row)
