"""Mail that came in."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from ekiden.store.tables.base import EMPTY, UNREAD_SQL, Serial, metadata, where

inbound_mail = Table(
    "inbound_mail",
    metadata,
    Column("account_id", BigInteger, nullable=False, comment="whom it concerns; 0: who runs Ekiden"),
    Column("id", BigInteger, nullable=False, comment="core.ids; its content is in content under the same id"),
    Column("state", SmallInteger, nullable=False, comment="inbound.states.Reading"),
    Column("kind", SmallInteger, nullable=False, comment="inbound.states.Kind: what it turned out to be"),
    Column("listener", Text, nullable=False),
    Column("peer", Text, nullable=False, comment="the sender's IP address"),
    Column("helo", Text, nullable=False),
    Column("tls", Text, nullable=False, comment="version and cipher; empty: in clear"),
    Column("sender", Text, nullable=False, comment="envelope sender; empty: the null sender <>"),
    Column("recipients", Text, nullable=False, comment="JSON array of envelope recipients"),
    Column("size", Integer, nullable=False, comment="octets of the content"),
    Column("smtputf8", SmallInteger, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="when it is read, while it waits for that"),
    Column("attempts", Integer, nullable=False, comment="begun readings"),
    Column("owner", BigInteger, comment="worker.id of who reads it"),
    Column("header_id", Text, nullable=False, comment="the Message-ID field"),
    Column("subject", Text, nullable=False),
    Column(
        "authentication",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="JSON: what SPF, DKIM, DMARC and ARC say",
    ),
    Column(
        "told", Text, nullable=False, server_default=EMPTY, comment="JSON: what was understood, and what followed"
    ),
    PrimaryKeyConstraint("account_id", "id"),
    Index("ix_inbound_mail_unread", "due_at", "account_id", "id", **where(UNREAD_SQL)),
    Index("ix_inbound_mail_owner", "owner", **where("owner IS NOT NULL")),
    sqlite_with_rowid=False,
)

inbound_domain = Table(
    "inbound_domain",
    metadata,
    Column("id", Serial, primary_key=True, comment="never used twice"),
    Column("account_id", BigInteger, nullable=False, index=True, comment="whose routes take its mail"),
    Column("name", Text, nullable=False, unique=True, comment="lower-case A-labels"),
    Column("created_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)
