"""Endpoints that nobody names any more end: when each was last used."""

from __future__ import annotations

import time

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Nobody knows of those there are; any of them may have been used just now.
    now = sa.text(str(time.time_ns() // 1_000_000))
    comment = "when a message last named it, to the hour"
    with op.batch_alter_table("endpoint") as batch:
        batch.add_column(sa.Column("used_at", sa.BigInteger(), nullable=False, server_default=now, comment=comment))
    with op.batch_alter_table("endpoint") as batch:
        batch.alter_column("used_at", server_default=None)
