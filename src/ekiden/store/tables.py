"""Every table, once, for SQLite and PostgreSQL alike (SQLAlchemy Core). Migrations live in ``migrations/``.

Rules of the house: times are milliseconds since the epoch in BIGINT; enumerations are the small integers of
``ekiden.core``; keys of hot tables begin with the account, so that a distributed PostgreSQL can spread them; small
hot rows are clustered on their key (WITHOUT ROWID on SQLite). Partial indexes hold exactly the rows that a worker
looks for, so that finished deliveries cost them nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    text,
)

from ekiden.core.states import State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Ids made by the database: BIGINT, except that only INTEGER counts upwards by itself on SQLite.
_Serial = BigInteger().with_variant(Integer, "sqlite")
# Word for word what a query must say for SQLite to see that a partial index fits (sqlite.org/partialindex.html).
WAITING_SQL = f"state IN ({int(State.SCHEDULED)}, {int(State.QUEUED)}, {int(State.DEFERRED)})"
SENDING_SQL = f"state = {int(State.SENDING)}"
HELD_SQL = f"state = {int(State.HELD)}"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


account = Table(
    "account",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("priority", SmallInteger, nullable=False, comment="default of its messages, core.states.Priority"),
    Column("created_at", BigInteger, nullable=False),
    Column("suspended_at", BigInteger, comment="no submission is accepted while set"),
)

credential = Table(
    "credential",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False, comment="'password' or 'api_key'"),
    Column("name", Text, nullable=False, comment="the user name, or a label of the API key"),
    Column(
        "lookup",
        Text,
        nullable=False,
        unique=True,
        comment="password: user name; api_key: SHA-256 of the key, hex",
    ),
    Column("secret_hash", Text, comment="password: argon2id; NULL for an API key, whose lookup is its hash"),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

domain = Table(
    "domain",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("name", Text, nullable=False, unique=True, comment="lower-case A-labels"),
    Column("created_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger, comment="set by an operator until verification is built"),
)

message = Table(
    "message",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="the queue id, core.ids"),
    Column("credential_id", BigInteger, nullable=False, comment="0: none (trusted network, our own DSN)"),
    Column("sender", Text, nullable=False, comment="envelope sender; empty: the null sender <>"),
    Column("size", Integer, nullable=False, comment="octets of the content"),
    Column("priority", SmallInteger, nullable=False),
    Column("ret", Text),
    Column("envid", Text),
    Column("smtputf8", Boolean, nullable=False),
    Column("eight_bit", Boolean, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("header_id", Text, nullable=False, comment="the Message-ID field"),
    Column("subject", Text, nullable=False),
    Column("origin", Text, nullable=False, comment="JSON of core.submission.Origin"),
    Column("labels", Text, nullable=False, comment="JSON object"),
    PrimaryKeyConstraint("account_id", "id"),
    sqlite_with_rowid=False,
)

content = Table(
    "content",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False, comment="the message as it will be sent, before signing"),
    PrimaryKeyConstraint("account_id", "message_id"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="counts the recipients of the message from 1"),
    Column("recipient", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("notify", SmallInteger, nullable=False),
    Column("orcpt", Text),
    Column("state", SmallInteger, nullable=False),
    Column("cause", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False, comment="why it waits or how it ended, for people"),
    Column("code", SmallInteger, nullable=False, comment="last SMTP reply code, 0: none yet"),
    Column("enhanced", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="next time; for SENDING, when the attempt began"),
    Column("attempts", Integer, nullable=False, comment="begun ones"),
    Column("owner", BigInteger, comment="worker.id while SENDING: lease and fencing token in one"),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "message_id", "number"),
    # The state is there only so that counting a long queue by state reads the index alone.
    Index("ix_delivery_due", "priority", "due_at", "state", **_where(WAITING_SQL)),
    Index("ix_delivery_owner", "owner", **_where(SENDING_SQL)),
    Index("ix_delivery_held", "account_id", **_where(HELD_SQL)),
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("recipient_number", Integer, nullable=False),
    Column("number", Integer, nullable=False, comment="as delivery.attempts when it began"),
    Column("worker", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="what it led to"),
    Column("cause", SmallInteger, nullable=False),
    Column("host", Text, nullable=False, comment="the MX tried last; empty: none was reached"),
    Column("address", Text, nullable=False, comment="its address and port"),
    Column("tls", Text, nullable=False, comment="version and cipher; empty: in clear"),
    Column("code", SmallInteger, nullable=False),
    Column("enhanced", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column(
        "dialogue",
        Text,
        nullable=False,
        comment="lines 'S: …', 'C: …' and '# …' (remarks); never the content",
    ),
    PrimaryKeyConstraint("account_id", "message_id", "recipient_number", "number"),
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids, made by the writer"),
    Column("recipient_number", Integer, nullable=False, comment="0: the message as a whole"),
    Column("type", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", Text, nullable=False, comment="JSON object"),
    PrimaryKeyConstraint("account_id", "message_id", "id"),
    sqlite_with_rowid=False,
)

worker = Table(
    "worker",
    metadata,
    Column("id", _Serial, primary_key=True, comment="never used twice: the fencing token"),
    Column("node", SmallInteger, nullable=False, comment="0 to 1023, unique among the living: core.ids"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, comment="left by itself, or was found expired"),
    Index("uq_worker_node_alive", "node", unique=True, **_where("ended_at IS NULL")),
    sqlite_autoincrement=True,
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True, comment="a single duty: 'prune', 'reap', …"),
    Column("owner", BigInteger, nullable=False, comment="worker.id"),
    Column("expires_at", BigInteger, nullable=False),
)
