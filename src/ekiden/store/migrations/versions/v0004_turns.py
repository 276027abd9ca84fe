"""Due deliveries by account: claims take turns."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ekiden.store.tables import WAITING_SQL

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    waiting = sa.text(WAITING_SQL)
    op.create_index(
        "ix_delivery_turn",
        "delivery",
        ["account_id", "priority", "due_at", "state"],
        unique=False,
        sqlite_where=waiting,
        postgresql_where=waiting,
    )
