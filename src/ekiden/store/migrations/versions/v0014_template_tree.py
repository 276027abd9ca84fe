"""Templates are filed in categories, have a place among their siblings, and can be out of use; exports of them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _alter()
    op.create_table(
        "template_category",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="of the numbers of templates"),
        sa.Column("parent_id", sa.BigInteger(), nullable=False, comment="0: at the top"),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            comment="among its siblings, templates too; then by id",
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_template_category")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "template_export",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.BigInteger(), nullable=True, comment="worker.id of who writes it now"),
        sa.Column("completed_at", sa.BigInteger(), nullable=True, comment="NULL: it waits, or is being written"),
        sa.Column("upload_uid", sa.Text(), nullable=False, comment="its file; empty: there is none"),
        sa.Column(
            "expires_at",
            sa.BigInteger(),
            nullable=True,
            comment="from when on there is no file any more; NULL: there is none yet",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template_export")),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_template_export_account_id", "template_export", ["account_id", "id"], unique=False)
    op.create_index(
        "ix_template_export_waiting",
        "template_export",
        ["id"],
        unique=False,
        sqlite_where=sa.text("completed_at IS NULL"),
        postgresql_where=sa.text("completed_at IS NULL"),
    )


def _alter() -> None:
    # Without a batch: SQLite would copy all templates. Those that are there stay in use, by id.
    zero, empty = sa.text("0"), sa.text("''")
    for column in (
        sa.Column(
            "category_id",
            sa.BigInteger(),
            nullable=False,
            server_default=zero,
            comment="template_category.id; 0: in none",
        ),
        sa.Column(
            "position",
            sa.BigInteger(),
            nullable=False,
            server_default=zero,
            comment="among its siblings, then by id",
        ),
        sa.Column("description", sa.Text(), nullable=False, server_default=empty),
        sa.Column("unused_since", sa.BigInteger(), nullable=True, comment="NULL: it is in use"),
    ):
        op.add_column("template", column)
    tree = ["account_id", "category_id", "position", "id", "unused_since", "created_at", "name"]
    op.create_index("ix_template_tree", "template", tree, unique=False)
    op.create_index("ix_template_unused", "template", ["account_id", "unused_since", "id"], unique=False)
    op.drop_index("ix_template_account_id", table_name="template")
