"""What the definitions of tables have in common (``store.tables``)."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import BigInteger, Integer, MetaData, text

from ekiden.core.events import EventType
from ekiden.core.states import State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Columns that hot tables got later keep their default: so no long table had to be written anew.
EMPTY = text("''")
ZERO = text("0")
# Ids made by the database: BIGINT, except that only INTEGER counts upwards by itself on SQLite.
Serial = BigInteger().with_variant(Integer, "sqlite")
# Word for word what a query must say for SQLite to see that a partial index fits (sqlite.org/partialindex.html).
WAITING_SQL = f"state IN ({int(State.SCHEDULED)}, {int(State.QUEUED)}, {int(State.DEFERRED)})"
SENDING_SQL = f"state = {int(State.SENDING)}"
HELD_SQL = f"state = {int(State.HELD)}"
BULK_SQL = "bulk <> ''"
REFERENCE_SQL = "reference <> ''"
CAMPAIGN_SQL = "campaign <> ''"
APPLICATION_SQL = "application <> ''"
BATCH_SQL = "batch <> ''"
LIVE_SQL = "dead_at IS NULL"
EXPIRING_SQL = "expires_at IS NOT NULL"
SETTING_SQL = "setting <> ''"
FAILURES: Final = frozenset(
    {EventType.BOUNCED, EventType.EXPIRED, EventType.DROPPED, EventType.CANCELLED, EventType.LATE_BOUNCE}
)
"""Events that say that somebody does not have a message."""
FAILURE_SQL = f"type IN ({', '.join(str(int(of)) for of in sorted(FAILURES))})"
UNREAD_SQL = "state = 1"
"""Of ``inbound_mail``: it waits for being read."""


LATER: dict[str, Any] = {"later": True}
"""``info`` of a column of a hot table that nothing is known of when a row is inserted: it has its default then."""


def where(condition: str) -> dict[str, Any]:
    """The condition of a partial index."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}
