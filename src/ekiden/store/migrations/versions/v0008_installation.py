"""Which instance key the secrets of a database are sealed with, empty until a worker with the right key starts; and
what each worker does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger(), nullable=False, autoincrement=False, comment="1: there is one row"),
        sa.Column("fingerprint", sa.Text(), nullable=False, comment="of the instance key: access.vault"),
        sa.Column("bound_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_installation"),
    )
    comment = "what it does, with commas; empty: not known"
    op.add_column(
        "worker", sa.Column("roles", sa.Text(), server_default=sa.text("''"), nullable=False, comment=comment)
    )
