"""Requests to mail many: kept as they came, in pieces that become messages by and by (``mailings``)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
)

from ekiden.store.tables.base import metadata, where

DUE_REQUEST_SQL = "state = 2"
UNSETTLED_SQL = "settled_at IS NULL"
RESOLVING_SQL = "resolving = 1"
PIECE_WAITING_SQL = "state = 0"
UNCOUNTED_SQL = "counts = ''"
UNSENT_SQL = "(state <> 1 OR failed <> '')"

mail_number = Table(
    "mail_number",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("next", BigInteger, nullable=False, comment="number of its next request, or of a mail of one"),
)

mail_request = Table(
    "mail_request",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids"),
    Column("day", Integer, nullable=False, comment="of its creation, such as 20261130: mailings.numbers"),
    Column("number", BigInteger, nullable=False, comment="with the day what the client calls it"),
    Column("state", SmallInteger, nullable=False, comment="mailings.values.RequestState"),
    Column("via", Text, nullable=False, comment="'API' or 'CONSOLE'"),
    Column("credential_id", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="its pieces become messages from then on"),
    Column("reserved_at", BigInteger, comment="the time that its sender asked for; NULL: at once"),
    Column("resolving", SmallInteger, nullable=False, comment="1: recipients of groups are still to be added"),
    Column("owner", BigInteger, comment="worker.id of who adds them now"),
    Column("mails", BigInteger, nullable=False),
    Column("recipients", BigInteger, nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("begun_at", BigInteger, comment="when the first of its messages were made"),
    Column("settled_at", BigInteger, comment="since when nothing of it changes any more"),
    Column("status", SmallInteger, nullable=False, comment="mailings.values.MailStatus; 0: not settled"),
    Column("counts", Text, nullable=False, comment="JSON: mails by status; empty: not settled"),
    Column("individual", Boolean, nullable=False, comment="a mail for each recipient"),
    Column("advertising", Boolean, nullable=False),
    Column("decided_by", Text, nullable=False, comment="who confirmed or rejected it; empty: nobody"),
    Column("template_id", BigInteger),
    Column("template_name", Text, nullable=False),
    Column("sender", Text, nullable=False),
    Column("sender_name", Text, nullable=False),
    Column("subject", Text, nullable=False, comment="with placeholders"),
    Column("content", Text, nullable=False, comment="JSON of mailings.values.Content"),
    PrimaryKeyConstraint("account_id", "id"),
    Index("uq_mail_request_account_id_number", "account_id", "number", unique=True),
    Index("ix_mail_request_due", "due_at", **where(DUE_REQUEST_SQL)),
    Index("ix_mail_request_unsettled", "account_id", "id", **where(UNSETTLED_SQL)),
    Index("ix_mail_request_resolving", "account_id", "id", **where(RESOLVING_SQL)),
)

mail_request_piece = Table(
    "mail_request_piece",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("request_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="counts from 0"),
    Column("first_number", BigInteger, nullable=False, comment="of its first mail; the others follow"),
    Column("mails", Integer, nullable=False),
    Column("recipients", Integer, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="mailings.values.PieceState"),
    Column("owner", BigInteger, comment="worker.id of who makes messages of it now"),
    Column("tries", Integer, nullable=False, comment="how often that was begun"),
    Column("expanded_at", BigInteger),
    Column("failed", Text, nullable=False, comment="JSON: mails that could not be made, and why; empty: none"),
    Column("counts", Text, nullable=False, comment="JSON: mails by status once none can change; empty: not yet"),
    Column("data", LargeBinary, nullable=False, comment="JSON of mailings.values.Mail, an array"),
    PrimaryKeyConstraint("account_id", "request_id", "number"),
    Index("ix_mail_request_piece_first_number", "account_id", "first_number"),
    Index("ix_mail_request_piece_waiting", "account_id", "request_id", "number", **where(PIECE_WAITING_SQL)),
    Index("ix_mail_request_piece_uncounted", "account_id", "request_id", "number", **where(UNCOUNTED_SQL)),
    Index("ix_mail_request_piece_unsent", "account_id", "request_id", "number", **where(UNSENT_SQL)),
)

BY_UNSENT = "INDEXED BY ix_mail_request_piece_unsent"
"""A hint for SQLite, which would walk through all pieces of an account."""

mail_request_tally = Table(
    "mail_request_tally",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("request_id", BigInteger, nullable=False),
    Column("version", Integer, nullable=False, comment="counts changes: nobody undoes another's"),
    Column("counts", Text, nullable=False, comment="JSON: mails by status when they were looked at last"),
    Column("pieces", LargeBinary, nullable=False, comment="JSON of mailings.tally.Entry, an array"),
    PrimaryKeyConstraint("account_id", "request_id"),
)
"""Of large requests only: who asks must not have all their mails counted."""
