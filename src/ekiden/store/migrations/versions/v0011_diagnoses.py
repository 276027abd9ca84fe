"""What is wrong, with each attempt, delivery and event that tells of a failure; old ones are read once, here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.smtp.diagnose import diagnose

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_BATCH = 2_000
_FAILED = "(5, 11, 12)"  # deferred, bounced, expired
_EVENTS = "(3, 4, 5)"
_OURS = 7  # the cause
_KEYS = {
    "attempt": ("account_id", "message_id", "recipient_number", "number"),
    "delivery": ("account_id", "message_id", "number"),
    "event": ("account_id", "message_id", "id"),
}


def upgrade() -> None:
    for table in _KEYS:
        # Without a batch: SQLite would copy the whole table.
        op.add_column(
            table,
            sa.Column(
                "diagnosis",
                sa.SmallInteger(),
                server_default=sa.text("0"),
                nullable=False,
                comment="core.diagnosis",
            ),
        )
    _fill("attempt", f"state IN {_FAILED}", "state, cause, code, enhanced, reply", _of_row)
    _fill("delivery", f"state IN {_FAILED} OR code >= 400", "state, cause, code, enhanced, reason", _of_row)
    _fill("event", f"type IN {_EVENTS}", "data", lambda row: _of_event(row[0]))


def _fill(table: str, wanted: str, columns: str, read: Callable[[Sequence[Any]], int]) -> None:
    """In steps along the primary key, so that no more than a step of it is in memory."""
    keys = _KEYS[table]
    which = " AND ".join(f"{key} = :{key}" for key in keys)
    change = sa.text(f"UPDATE {table} SET diagnosis = :diagnosis WHERE {which}")  # noqa: S608
    connection = op.get_bind()
    for rows in _steps(connection, table, keys, wanted, columns):
        found = [
            {**dict(zip(keys, row, strict=False)), "diagnosis": diagnosis}
            for row in rows
            if (diagnosis := read(row[len(keys) :]))
        ]
        if found:
            connection.execute(change, found)


def _steps(
    connection: sa.Connection, table: str, keys: Sequence[str], wanted: str, columns: str
) -> Iterator[Sequence[sa.Row[Any]]]:
    named = ", ".join(keys)
    query = f"SELECT {named}, {columns} FROM {table} WHERE ({wanted})"  # noqa: S608
    end = f" ORDER BY {named} LIMIT {_BATCH}"
    rows = connection.execute(sa.text(query + end)).all()
    further = sa.text(f"{query} AND ({named}) > ({', '.join(':' + key for key in keys)}){end}")
    while rows:
        yield rows
        rows = connection.execute(further, dict(zip(keys, rows[-1], strict=False))).all()


def _of_event(data: str) -> int:
    try:
        told = json.loads(data)
        cause = _OURS if told.get("cause") == "ours" else 0
        return _of(cause, int(told.get("code") or 0), str(told.get("enhanced") or ""), str(told.get("text") or ""))
    except (ValueError, TypeError, AttributeError):
        return 0  # nobody else can read it either


def _of_row(row: Sequence[Any]) -> int:
    state, cause, code, enhanced, text = row
    if cause == _OURS and (not code or text == _LOST):
        return int(Diagnosis.UNREPORTED) if state == 5 else 0
    try:
        return _of(cause, code, enhanced, text)
    except (TypeError, AttributeError):
        return 0  # SQLite keeps anything in any column


# What Ekiden itself said until now, by its codes and how it began.
_LOST = "the worker that had it ended before it reported; the outcome of that attempt is unknown"
_EXPIRED = "; last: "
_OWN = {
    (451, "4.4.1"): Diagnosis.NO_ANSWER,
    (451, "4.4.2"): Diagnosis.LOST,
    (421, "4.4.2"): Diagnosis.LOST,
    (451, "4.4.3"): Diagnosis.DNS,
    (451, "4.5.0"): Diagnosis.NOT_SMTP,
    (550, "5.1.2"): Diagnosis.NO_DOMAIN,
    (556, "5.1.10"): Diagnosis.NULL_MX,
    (550, "5.4.4"): Diagnosis.NO_ROUTE,
    (554, "5.4.6"): Diagnosis.LOOP,
}


def _of(cause: int, code: int, enhanced: str, text: str) -> int:
    if not 400 <= code < 600:
        return 0
    if text.startswith("given up after "):
        text = text.partition(_EXPIRED)[2]
    if cause == _OURS and enhanced in ("4.3.0", "5.3.0"):
        return int(Diagnosis.OURS)
    own = _OWN.get((code, enhanced))
    # Where in the dialogue it was said is not kept: most refusals are about recipients.
    return int(diagnose(Stage.RCPT, code, enhanced, text) if own is None else own)
