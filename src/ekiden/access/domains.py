"""Sending domains of accounts. An operator vouches for them until verification by DNS is built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, insert, select
from sqlalchemy.exc import IntegrityError

from ekiden.access.errors import BadName, NameTaken
from ekiden.core.address import to_ascii_domain
from ekiden.core.clock import Millis
from ekiden.core.errors import BadAddress
from ekiden.store.tables import domain as table

if TYPE_CHECKING:
    from ekiden.store.api import Store


@dataclass(frozen=True, slots=True)
class Domain:
    """``name`` is in lower-case A-labels."""

    id: int
    account_id: int
    name: str
    created_at: Millis
    verified_at: Millis | None


async def add_domain(store: Store, account_id: int, name: str, now: Millis, *, verified: bool = False) -> Domain:
    """Give the account a domain; ``verified``: the operator vouches for it. Raises ``BadName``, ``NameTaken``."""
    try:
        ascii_name = to_ascii_domain(name)
    except BadAddress as error:
        raise BadName(str(error)) from None
    if ascii_name.startswith("["):
        raise BadName("an address literal is no domain")
    values = {
        "account_id": account_id,
        "name": ascii_name,
        "created_at": now,
        "verified_at": now if verified else None,
        "status": "verified" if verified else "pending",
        "vouched": verified,
        "spf": "pending",
        "dkim": "pending",
        "approval": "none",
        "approval_reason": "",
        "approved_by": "",
        "questionnaire": "{}",
        "reason": "",
    }
    try:
        async with store.write() as connection:
            row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
    except IntegrityError:
        raise NameTaken(f"the domain {ascii_name} has an account already") from None
    return _domain(row)


async def list_domains(store: Store, account_id: int | None = None) -> list[Domain]:
    """Domains of one account or of all, by name."""
    query = select(table).order_by(table.c.name)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return [_domain(row) for row in rows]


def _domain(row: Row[Any]) -> Domain:
    return Domain(row.id, row.account_id, row.name, row.created_at, row.verified_at)
