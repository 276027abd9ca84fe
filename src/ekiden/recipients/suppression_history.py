"""The history of suppressions: who registered and removed what, and when; also what happened by itself.

It is written in the transaction of the change. Entries stay as long as those of the audit log.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import msgspec
from sqlalchemy import Row, func, insert, select, text

from ekiden.core.address import shown_address
from ekiden.core.diagnosis import BY_NUMBER, Diagnosis
from ekiden.core.events import EventType
from ekiden.core.ids import NODE_BITS, SEQUENCE_BITS
from ekiden.core.notices import BLOCKS
from ekiden.core.said import in_words
from ekiden.store.pages import Page
from ekiden.store.retention import RETIRED, first_id
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable
from ekiden.store.tables import SETTING_SQL, endpoint, event, notice
from ekiden.store.tables import suppression_history as table

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.core.language import Language
    from ekiden.store.api import Connection, Store

Action = Literal["registered", "removed"]
_BATCH: Final = 500
_UNSUBSCRIBE: Final = "unsubscribe"
_LOW_BITS: Final = NODE_BITS + SEQUENCE_BITS
"""Of an id, below its time."""


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
    if changes:
        await _tell(connection, changes)


async def _tell(connection: Connection, changes: Sequence[Change]) -> None:
    """Events of blocks, for accounts with an endpoint that wants them. Who has unsubscribed is not blocked."""
    blocks = [item for item in changes if item.kind != _UNSUBSCRIBE]
    wanted = select(endpoint.c.account_id, endpoint.c.id).where(
        endpoint.c.account_id.in_({item.account_id for item in blocks}),
        text(SETTING_SQL),
        endpoint.c.setting == BLOCKS,
        endpoint.c.format != RETIRED,
    )
    rows = await connection.execute(wanted) if blocks else ()
    for account_id, endpoint_id in [tuple(row) for row in rows]:
        theirs = [item for item in blocks if item.account_id == account_id]
        for start in range(0, len(theirs), _BATCH):
            await _tell_some(connection, endpoint_id, theirs[start : start + _BATCH])


async def _tell_some(connection: Connection, endpoint_id: int, changes: Sequence[Change]) -> None:
    """Of one account."""
    account_id = changes[0].account_id
    of = table.c.account_id == account_id, table.c.address.in_({item.address for item in changes})
    # The newest entry of each tells why it is blocked; one that is taken back tells nothing of it.
    last = select(table.c.address, table.c.kind, func.count().label("n"), func.max(table.c.id).label("last")).where(
        *of, table.c.action == "registered"
    )
    grouped = last.group_by(table.c.address, table.c.kind).subquery()
    why = select(grouped, table.c.diagnosis).join(table, table.c.id == grouped.c.last)
    known = {(row.address, row.kind): row for row in await connection.execute(why)}
    low = secrets.randbits(_LOW_BITS)
    events: list[dict[str, Any]] = []
    for item in changes:
        # Whoever does it may be no worker, whose number would be in the id (``core.ids``).
        low = (low + 1) & ((1 << _LOW_BITS) - 1)
        led = known.get((item.address, item.kind))
        data = {
            "address": item.address,
            "domain": item.domain,
            "kind": item.kind,
            "reason": item.reason,
            "by": item.done_by,
            "occurred": 0 if led is None else led.n,
        }
        events.append(
            {
                "account_id": account_id,
                "message_id": 0,
                "id": first_id(item.at) | low,
                "recipient_number": 0,
                "type": int(EventType.BLOCKED if item.action == "registered" else EventType.UNBLOCKED),
                "at": item.at,
                "data": msgspec.json.encode(data).decode(),
                "diagnosis": int(item.diagnosis) if led is None else led.diagnosis,
            }
        )
    await connection.execute(insert(event), events)
    same = ("account_id", "message_id", "id", "recipient_number")
    new = {"endpoint_id": endpoint_id, "attempts": 0}
    notices = [{name: each[name] for name in same} | new | {"due_at": each["at"]} for each in events]
    await connection.execute(insert(notice), notices)


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
