"""The history of suppressions: who registered and removed what, and when; also what happened by itself.

It is written in the transaction of the change. Entries stay as long as those of the audit log.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from sqlalchemy import Row, func, insert, select

from ekiden.core.address import shown_address
from ekiden.core.diagnosis import BY_NUMBER, Diagnosis
from ekiden.core.said import in_words
from ekiden.store.pages import Page
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import suppression_history as table

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.core.language import Language
    from ekiden.store.api import Connection, Store

Action = Literal["registered", "removed"]
_BATCH: Final = 500


class Change(NamedTuple):
    """As the table has it: ``address`` is a key. ``done_by``: ``suppressions.Registrar``."""

    account_id: int
    domain: str
    address: str
    kind: str
    action: Action
    done_by: str
    reason: str
    diagnosis: Diagnosis
    at: Millis


@dataclass(frozen=True, slots=True)
class Entry:
    """``address`` as people write it. ``diagnosis`` is of the reply that led to it, ``reason`` that reply, or who
    asked for it, or what Ekiden says (``said.either``)."""

    id: int
    domain: str
    address: str
    kind: str
    action: Action
    done_by: str
    reason: str
    diagnosis: Diagnosis
    at: Millis

    def told(self, lang: Language = "en") -> str:
        """``reason`` for people."""
        return in_words(self.reason, lang)


async def note_changes(connection: Connection, changes: Sequence[Change]) -> None:
    """In the transaction that makes them."""
    for start in range(0, len(changes), _BATCH):
        values = [item._asdict() | {"diagnosis": int(item.diagnosis)} for item in changes[start : start + _BATCH]]
        await connection.execute(insert(table), values)


async def history_of(
    store: Store,
    account_id: int,
    address: str,
    kinds: Collection[str],
    *,
    oldest: bool = False,
    offset: int = 0,
    limit: int = 100,
) -> Page[Entry]:
    """What was done about an address (a key), the newest first unless ``oldest`` is to be, and how much in all."""
    wanted = (table.c.account_id == account_id, table.c.address == address, table.c.kind.in_(kinds))
    order = (table.c.at, table.c.id) if oldest else (table.c.at.desc(), table.c.id.desc())
    async with store.read() as connection:
        rows = await connection.execute(select(table).where(*wanted).order_by(*order).offset(offset).limit(limit))
        found = readable("suppression_history", _entry, rows)
        total = await connection.scalar(select(func.count()).select_from(table).where(*wanted))
    return Page(found, total or 0)


def _entry(row: Row[Any]) -> Entry:
    diagnosis = BY_NUMBER.get(row.diagnosis, Diagnosis.NONE)
    return value_of(Entry, row, address=shown_address(row.address), diagnosis=diagnosis)
