"""Suppressions of a whole account, that expire, and their history.

An older worker beside a newer one takes what expires for lasting, and does not know those of a whole account; rows
that it writes do not say who registered them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    # Without a batch: SQLite would copy the tables.
    op.add_column(
        "account",
        sa.Column(
            "block_hours",
            sa.BigInteger(),
            nullable=True,
            comment="hours for which a hard bounce blocks its address for all domains; NULL: nobody has said",
        ),
    )
    op.add_column(
        "suppression",
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=True,
            comment="it stops nothing any more from then on; NULL: until it is removed",
        ),
    )
    op.add_column(
        "suppression",
        sa.Column(
            "registered_by",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="'recipient', 'account', 'platform' or 'operator'; empty: an older Ekiden did not say",
        ),
    )
    op.create_index(
        "ix_suppression_kind", "suppression", ["account_id", "domain", "kind", "created_at"], unique=False
    )
    expiring = sa.text("expires_at IS NOT NULL")
    op.create_index(
        "ix_suppression_expires_at",
        "suppression",
        ["expires_at"],
        unique=False,
        sqlite_where=expiring,
        postgresql_where=expiring,
    )
    op.create_table(
        "suppression_history",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False, comment="this and the next two as of the suppression"),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False, comment="'registered' or 'removed'"),
        sa.Column("done_by", sa.Text(), nullable=False, comment="as suppression.registered_by"),
        sa.Column("reason", sa.Text(), nullable=False, comment="the reply that led to it, or who asked for it"),
        sa.Column(
            "diagnosis",
            sa.SmallInteger(),
            nullable=False,
            comment="core.diagnosis of that reply; 0: there is none",
        ),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression_history")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_suppression_history_address", "suppression_history", ["account_id", "address", "at"], unique=False
    )
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(
            "suppression",
            "domain",
            comment="sending domain, lower-case A-labels; empty: any of the account's",
        )
