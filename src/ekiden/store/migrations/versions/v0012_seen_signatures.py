"""Signatures of calls that create something, each of which is good for one call."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "seen_signature",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False, comment="the time that is signed"),
        sa.Column("digest", sa.LargeBinary(), nullable=False, comment="the beginning of the HMAC"),
        sa.PrimaryKeyConstraint("account_id", "at", "digest", name=op.f("pk_seen_signature")),
        sqlite_with_rowid=False,
    )
