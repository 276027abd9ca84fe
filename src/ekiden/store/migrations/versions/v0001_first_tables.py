"""The first tables: accounts and credentials, messages with their deliveries, attempts and events, workers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "priority", sa.SmallInteger(), nullable=False, comment="default of its messages, core.states.Priority"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("suspended_at", sa.BigInteger(), nullable=True, comment="no submission is accepted while set"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_account")),
        sa.UniqueConstraint("name", name=op.f("uq_account_name")),
    )
    op.create_table(
        "attempt",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient_number", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="as delivery.attempts when it began"),
        sa.Column("worker", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="what it led to"),
        sa.Column("cause", sa.SmallInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False, comment="the MX tried last; empty: none was reached"),
        sa.Column("address", sa.Text(), nullable=False, comment="its address and port"),
        sa.Column("tls", sa.Text(), nullable=False, comment="version and cipher; empty: in clear"),
        sa.Column("code", sa.SmallInteger(), nullable=False),
        sa.Column("enhanced", sa.Text(), nullable=False),
        sa.Column("reply", sa.Text(), nullable=False),
        sa.Column(
            "dialogue",
            sa.Text(),
            nullable=False,
            comment="lines 'S: …', 'C: …' and '# …' (remarks); never the content",
        ),
        sa.PrimaryKeyConstraint("account_id", "message_id", "recipient_number", "number", name=op.f("pk_attempt")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "content",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "data", sa.LargeBinary(), nullable=False, comment="the message as it will be sent, before signing"
        ),
        sa.PrimaryKeyConstraint("account_id", "message_id", name=op.f("pk_content")),
    )
    if op.get_bind().dialect.name == "postgresql":
        # Stored as it is: compressing a content that lives for seconds costs more than all the rest of its way.
        op.execute("ALTER TABLE content ALTER COLUMN data SET STORAGE EXTERNAL")
    op.create_table(
        "credential",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="'password' or 'api_key'"),
        sa.Column("name", sa.Text(), nullable=False, comment="the user name, or a label of the API key"),
        sa.Column(
            "lookup", sa.Text(), nullable=False, comment="password: user name; api_key: SHA-256 of the key, hex"
        ),
        sa.Column(
            "secret_hash",
            sa.Text(),
            nullable=True,
            comment="password: argon2id; NULL for an API key, whose lookup is its hash",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_credential")),
        sa.UniqueConstraint("lookup", name=op.f("uq_credential_lookup")),
    )
    op.create_index(op.f("ix_credential_account_id"), "credential", ["account_id"], unique=False)
    op.create_table(
        "delivery",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts the recipients of the message from 1"),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False),
        sa.Column("notify", sa.SmallInteger(), nullable=False),
        sa.Column("orcpt", sa.Text(), nullable=True),
        sa.Column("state", sa.SmallInteger(), nullable=False),
        sa.Column("cause", sa.SmallInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False, comment="why it waits or how it ended, for people"),
        sa.Column("code", sa.SmallInteger(), nullable=False, comment="last SMTP reply code, 0: none yet"),
        sa.Column("enhanced", sa.Text(), nullable=False),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column(
            "due_at", sa.BigInteger(), nullable=False, comment="next time; for SENDING, when the attempt began"
        ),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="begun ones"),
        sa.Column(
            "owner",
            sa.BigInteger(),
            nullable=True,
            comment="worker.id while SENDING: lease and fencing token in one",
        ),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "message_id", "number", name=op.f("pk_delivery")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_delivery_due",
        "delivery",
        ["priority", "due_at", "state"],
        unique=False,
        sqlite_where=sa.text("state IN (2, 3, 5)"),
        postgresql_where=sa.text("state IN (2, 3, 5)"),
    )
    op.create_index(
        "ix_delivery_held",
        "delivery",
        ["account_id"],
        unique=False,
        sqlite_where=sa.text("state = 1"),
        postgresql_where=sa.text("state = 1"),
    )
    op.create_index(
        "ix_delivery_owner",
        "delivery",
        ["owner"],
        unique=False,
        sqlite_where=sa.text("state = 4"),
        postgresql_where=sa.text("state = 4"),
    )
    op.create_table(
        "domain",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="lower-case A-labels"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "verified_at", sa.BigInteger(), nullable=True, comment="set by an operator until verification is built"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_domain")),
        sa.UniqueConstraint("name", name=op.f("uq_domain_name")),
    )
    op.create_index(op.f("ix_domain_account_id"), "domain", ["account_id"], unique=False)
    op.create_table(
        "event",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids, made by the writer"),
        sa.Column("recipient_number", sa.Integer(), nullable=False, comment="0: the message as a whole"),
        sa.Column("type", sa.SmallInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON object"),
        sa.PrimaryKeyConstraint("account_id", "message_id", "id", name=op.f("pk_event")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.Text(), nullable=False, comment="a single duty: 'prune', 'reap', …"),
        sa.Column("owner", sa.BigInteger(), nullable=False, comment="worker.id"),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_lease")),
    )
    op.create_table(
        "message",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="the queue id, core.ids"),
        sa.Column(
            "credential_id", sa.BigInteger(), nullable=False, comment="0: none (trusted network, our own DSN)"
        ),
        sa.Column("sender", sa.Text(), nullable=False, comment="envelope sender; empty: the null sender <>"),
        sa.Column("size", sa.Integer(), nullable=False, comment="octets of the content"),
        sa.Column("priority", sa.SmallInteger(), nullable=False),
        sa.Column("ret", sa.Text(), nullable=True),
        sa.Column("envid", sa.Text(), nullable=True),
        sa.Column("smtputf8", sa.Boolean(), nullable=False),
        sa.Column("eight_bit", sa.Boolean(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("header_id", sa.Text(), nullable=False, comment="the Message-ID field"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("origin", sa.Text(), nullable=False, comment="JSON of core.submission.Origin"),
        sa.Column("labels", sa.Text(), nullable=False, comment="JSON object"),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_message")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "worker",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="never used twice: the fencing token",
        ),
        sa.Column(
            "node", sa.SmallInteger(), nullable=False, comment="0 to 1023, unique among the living: core.ids"
        ),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True, comment="left by itself, or was found expired"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_worker")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "uq_worker_node_alive",
        "worker",
        ["node"],
        unique=True,
        sqlite_where=sa.text("ended_at IS NULL"),
        postgresql_where=sa.text("ended_at IS NULL"),
    )
