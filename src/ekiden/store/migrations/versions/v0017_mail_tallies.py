"""How many mails of a large request stood where when they were looked at last; pieces with mails not sent by index.

An older worker beside a newer one counts all of them whenever somebody asks, as before.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_request_tally",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False, comment="counts changes: nobody undoes another's"),
        sa.Column(
            "counts", sa.Text(), nullable=False, comment="JSON: mails by status when they were looked at last"
        ),
        sa.Column("pieces", sa.LargeBinary(), nullable=False, comment="JSON of mailings.tally.Entry, an array"),
        sa.PrimaryKeyConstraint("account_id", "request_id", name=op.f("pk_mail_request_tally")),
    )
    unsent = sa.text("(state <> 1 OR failed <> '')")
    op.create_index(
        "ix_mail_request_piece_unsent",
        "mail_request_piece",
        ["account_id", "request_id", "number"],
        unique=False,
        sqlite_where=unsent,
        postgresql_where=unsent,
    )
