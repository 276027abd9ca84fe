"""Projects of accounts: what clients call an instance. Each is served by a region, and has SMTP configurations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Row, insert, select

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.senders.errors import InUse, check_text
from ekiden.store.api import Conflict
from ekiden.store.row_values import value_of
from ekiden.store.tables import project as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class Project:
    """``uid`` is a UUID in lower case: what clients give as the instance id. ``region`` empty: the account's."""

    id: int
    account_id: int
    uid: str
    name: str
    region: str
    created_at: Millis


def canonical_uid(text: str) -> str | None:
    """A UUID as the store has it; ``None`` when ``text`` is none."""
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return None


class Projects:
    """Rare changes and look-ups."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, account_id: int, name: str, *, region: str = "", actor: Actor = SYSTEM) -> Project:
        """A new project; its name is unique within the account. Raises ``BadValue``, ``InUse``."""
        now = self._clock.now()
        values = {
            "account_id": account_id,
            "uid": str(uuid.uuid4()),
            "name": check_text("name", name, 1, MAX_NAME),
            "region": check_text("region", region, 0, MAX_NAME),
            "created_at": now,
        }
        try:
            async with self._store.write() as connection:
                row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
                await changed(
                    connection, account_id, now, actor, "project.create", name, uid=row.uid, region=region
                )
        except Conflict as error:
            taken = InUse("the account has a project {name!r} already", name=name)
            raise error.instead("uq_project_account_id_name", taken) from None
        return _project(row)

    async def find(self, uid: str) -> Project | None:
        """The project of that UUID (with or without hyphens, in any case), if there is one."""
        canonical = canonical_uid(uid)
        if canonical is None:
            return None
        async with self._store.read() as connection:
            row = (await connection.execute(select(table).where(table.c.uid == canonical))).one_or_none()
        return None if row is None else _project(row)

    async def list(self, account_id: int | None = None) -> list[Project]:
        """Projects of one account or of all, by account and name."""
        query = select(table).order_by(table.c.account_id, table.c.name)
        if account_id is not None:
            query = query.where(table.c.account_id == account_id)
        async with self._store.read() as connection:
            rows = (await connection.execute(query)).all()
        return [_project(row) for row in rows]


def _project(row: Row[Any]) -> Project:
    return value_of(Project, row)
