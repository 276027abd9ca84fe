"""The audit log: every change to accounts and what belongs to them, written in the transaction of the change."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import Millis
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import account, audit, credential

if TYPE_CHECKING:
    from ekiden.store.api import Store


@dataclass(frozen=True, slots=True)
class Actor:
    """Who makes a change: ``cli:root@host``, ``api_key:7``, ``worker``; ``source`` is its IP address."""

    name: str
    source: str = ""


SYSTEM = Actor("worker")
"""What the platform does by itself."""


def local_actor() -> Actor:
    """The person at this machine's command line."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return Actor(f"cli:{user}@{socket.gethostname()}")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change. ``account_id`` 0: the installation as a whole."""

    id: int
    account_id: int
    at: Millis
    actor: str
    source: str
    action: str
    target: str
    data: dict[str, Any]


async def changed(
    connection: AsyncConnection,
    account_id: int,
    now: Millis,
    actor: Actor,
    action: str,
    target: str,
    **data: Any,
) -> None:
    """To be called in the transaction of every change to what belongs to an account.

    It writes the entry and counts ``account.revision`` up, so that every worker reads again what it
    remembers of the account. ``action`` is ``thing.verb``; ``data`` is JSON-ready and holds no secret.
    """
    await connection.execute(
        insert(audit).values(
            account_id=account_id,
            at=now,
            actor=actor.name,
            source=actor.source,
            action=action,
            target=target,
            data=msgspec.json.encode(data).decode(),
        )
    )
    await connection.execute(
        update(account).where(account.c.id == account_id).values(revision=account.c.revision + 1)
    )


class AuditLog:
    """What was changed, for those whom it concerns."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(
        self,
        account_id: int,
        *,
        actors: Collection[str] | None = None,
        since: Millis | None = None,
        until: Millis | None = None,
        offset: int = 0,
        limit: int = 100,
    ) -> list[Entry]:
        """Entries of an account, the newest first, from ``since`` until just before ``until``. ``actors``: made by
        any of these; ``None``: by anybody."""
        query = select(audit).where(audit.c.account_id == account_id)
        if actors is not None:
            query = query.where(audit.c.actor.in_(actors))
        if since is not None:
            query = query.where(audit.c.at >= since)
        if until is not None:
            query = query.where(audit.c.at < until)
        async with self._store.read() as connection:
            rows = (await connection.execute(query.order_by(audit.c.id.desc()).offset(offset).limit(limit))).all()
        return readable("audit", _entry, rows)

    async def actors(self, account_id: int) -> Mapping[str, str]:
        """Those of an account's credentials (``Entry.actor``), with their names."""
        columns = (credential.c.kind, credential.c.id, credential.c.name)
        async with self._store.read() as connection:
            rows = await connection.execute(select(*columns).where(credential.c.account_id == account_id))
            return {f"{kind}:{id}": name for kind, id, name in rows}


async def list_entries(store: Store, account_id: int | None = None, limit: int = 100) -> list[Entry]:
    """The latest entries of one account or of all, newest first."""
    query = select(audit).order_by(audit.c.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(audit.c.account_id == account_id)
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return readable("audit", _entry, rows)


def _entry(row: Any) -> Entry:
    return value_of(Entry, row, data=msgspec.json.decode(row.data))
