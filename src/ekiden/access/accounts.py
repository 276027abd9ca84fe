"""Accounts, the tenants: rare changes, made by operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.core.clock import Millis
from ekiden.core.states import Priority
from ekiden.store.tables import account as table

if TYPE_CHECKING:
    from ekiden.store.api import Store

MAX_NAME = 64


@dataclass(frozen=True, slots=True)
class Account:
    """``priority`` is the default of its messages. While ``suspended_at`` is set nothing it submits is accepted."""

    id: int
    name: str
    priority: Priority
    created_at: Millis
    suspended_at: Millis | None


def check_name(name: str, what: str, longest: int = MAX_NAME) -> str:
    """``name``, or ``BadName``: 1 to ``longest`` printable characters, no blanks around them."""
    if not 1 <= len(name) <= longest or not name.isprintable() or name != name.strip():
        raise BadName(f"{what} has 1 to {longest} printable characters, and none of them is a blank at an end")
    return name


async def create_account(
    store: Store, name: str, now: Millis, *, priority: Priority = Priority.STANDARD
) -> Account:
    """A new account. Raises ``BadName``, ``NameTaken``."""
    values = {"name": check_name(name, "an account's name"), "priority": int(priority), "created_at": now}
    try:
        async with store.write() as connection:
            row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
    except IntegrityError:
        raise NameTaken(f"there is an account {name!r} already") from None
    return _account(row)


async def get_account(store: Store, name: str) -> Account:
    """The account of that name. Raises ``NotFound``."""
    async with store.read() as connection:
        row = (await connection.execute(select(table).where(table.c.name == name))).one_or_none()
    if row is None:
        raise NotFound(f"there is no account {name!r}")
    return _account(row)


async def list_accounts(store: Store) -> list[Account]:
    """Every account, by name."""
    async with store.read() as connection:
        rows = (await connection.execute(select(table).order_by(table.c.name))).all()
    return [_account(row) for row in rows]


async def suspend_account(store: Store, name: str, now: Millis) -> Account:
    """Accept nothing more from it, within two seconds on every worker. What is queued is still delivered."""
    return await _change(store, name, {"suspended_at": now})


async def resume_account(store: Store, name: str) -> Account:
    """End a suspension."""
    return await _change(store, name, {"suspended_at": None})


async def set_priority(store: Store, name: str, priority: Priority) -> Account:
    """Change the default priority of its coming messages."""
    return await _change(store, name, {"priority": int(priority)})


async def _change(store: Store, name: str, values: dict[str, int | None]) -> Account:
    async with store.write() as connection:
        statement = update(table).where(table.c.name == name).values(values).returning(*table.c)
        row = (await connection.execute(statement)).one_or_none()
    if row is None:
        raise NotFound(f"there is no account {name!r}")
    return _account(row)


def _account(row: Row[Any]) -> Account:
    return Account(row.id, row.name, Priority(row.priority), row.created_at, row.suspended_at)
