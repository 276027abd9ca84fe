"""Recipients in one form, and as their senders wrote them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Without a batch: SQLite would copy the whole queue.
    comment = "the recipient as its sender wrote it, where that is not its one form"
    op.add_column("delivery", sa.Column("written", sa.Text(), nullable=True, comment=comment))
