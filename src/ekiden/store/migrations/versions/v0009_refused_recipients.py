"""Whom a refused message was for: what was refused is found by its recipients."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "refused_recipient",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("refusal_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False, comment="as access.suppressions.address_key has it"),
        sa.PrimaryKeyConstraint("account_id", "refusal_id", "recipient", name=op.f("pk_refused_recipient")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_refused_recipient_recipient",
        "refused_recipient",
        ["account_id", "recipient", "refusal_id"],
        unique=False,
    )
