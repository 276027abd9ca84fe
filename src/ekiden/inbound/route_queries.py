"""The SQL of routes: who receives mail, for which domains, and which routes of theirs have effect."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import func, select, text

from ekiden.inbound.conditions import compiled
from ekiden.inbound.routes import KIND, PART, Https, Route, read_record
from ekiden.store.set_aside import readable
from ekiden.store.tables import SETTING_SQL, account, endpoint, inbound_domain, staged_setting

if TYPE_CHECKING:
    from ekiden.store.api import Connection


class Mark(NamedTuple):
    """Equal: nothing has changed of what accounts receive."""

    domains: int
    ids: int
    revisions: int


class Receiver(NamedTuple):
    """An account that has a domain to receive mail for."""

    account_id: int
    revision: int
    suspended: bool


async def mark(connection: Connection) -> Mark:
    """What is looked at each second: a sum over domains, and not over routes.

    An id is never used twice. Where as many domains have ids of the same sum, they are the same; and of the same
    accounts each change makes the sum of revisions larger.
    """
    theirs = select(inbound_domain.c.account_id)
    revisions = select(func.sum(account.c.revision)).where(account.c.id.in_(theirs)).scalar_subquery()
    query = select(func.count(), func.sum(inbound_domain.c.id), revisions).select_from(inbound_domain)
    return Mark(*(int(value or 0) for value in (await connection.execute(query)).one()))


async def receivers(connection: Connection) -> list[Receiver]:
    """All of them."""
    theirs = select(inbound_domain.c.account_id)
    query = select(account.c.id, account.c.revision, account.c.suspended_at).where(account.c.id.in_(theirs))
    rows = await connection.execute(query)
    return [Receiver(row.id, row.revision, row.suspended_at is not None) for row in rows]


async def domains_of(connection: Connection, accounts: Collection[int]) -> dict[int, list[str]]:
    """Names of the domains that each of the accounts receives mail for."""
    found: dict[int, list[str]] = {}
    query = select(inbound_domain.c.account_id, inbound_domain.c.name)
    for row in await connection.execute(query.where(inbound_domain.c.account_id.in_(accounts))):
        found.setdefault(row.account_id, []).append(row.name)
    return found


async def routes_of(connection: Connection, accounts: Collection[int]) -> dict[int, list[Route]]:
    """The routes of each of the accounts that have effect, by name. One that cannot be read is set aside."""
    made = select(endpoint.c.account_id, endpoint.c.id, endpoint.c.setting).where(
        endpoint.c.account_id.in_(accounts), text(SETTING_SQL), endpoint.c.setting.like(f"{KIND}/%")
    )
    endpoints = {(row.account_id, row.setting): row.id for row in await connection.execute(made)}
    applied = select(staged_setting.c.account_id, staged_setting.c.name, staged_setting.c.applied).where(
        staged_setting.c.account_id.in_(accounts),
        staged_setting.c.kind == KIND,
        staged_setting.c.applied.is_not(None),
    )
    rows = (await connection.execute(applied.order_by(staged_setting.c.account_id, staged_setting.c.name))).all()

    def route(row: Any) -> tuple[int, Route]:
        record = read_record(row.applied)
        for condition in record.conditions:
            compiled(condition.pattern)
        target = Https(endpoints[row.account_id, f"{KIND}/{row.name}/{PART}"])
        return row.account_id, Route(row.name, record.conditions, target)

    found: dict[int, list[Route]] = {}
    # In a thread: each pattern takes a tenth of a millisecond, and an account may have 2,000.
    for account_id, item in await asyncio.to_thread(readable, "staged_setting", route, rows):
        found.setdefault(account_id, []).append(item)
    return found
