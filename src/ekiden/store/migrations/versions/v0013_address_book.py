"""The address book of an account."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "address_book",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False, comment="listed_address.list_id of its addresses"),
        sa.Column("address_count", sa.BigInteger(), nullable=False, comment="of rows of that list"),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_address_book")),
    )
    op.create_table(
        "listed_address",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False, comment="core.address.Address.key"),
        sa.Column("written", sa.Text(), nullable=False, comment="core.address.Address.text; empty: as the key"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_listed_address")),
        sa.UniqueConstraint("account_id", "list_id", "key", name=op.f("uq_listed_address_account_id_list_id_key")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "recipient_group",
        sa.Column("id", _ID, nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False, comment="composed (NFC)"),
        sa.Column("list_id", sa.BigInteger(), nullable=False, comment="group_member.list_id of its members"),
        sa.Column("address_count", sa.BigInteger(), nullable=False, comment="of rows of that list"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_recipient_group")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_recipient_group_account_id_name")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "group_member",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("list_id", sa.BigInteger(), nullable=False),
        sa.Column("address_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "list_id", "address_id", name=op.f("pk_group_member")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_group_member_address_id", "group_member", ["account_id", "address_id"], unique=False)
    op.create_table(
        "address_book_job",
        sa.Column("id", _ID, nullable=False, comment="those of an account in the order of the requests"),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "turn",
            sa.SmallInteger(),
            nullable=False,
            comment="0: one after another; 1: when none of those is left",
        ),
        sa.Column("kind", sa.SmallInteger(), nullable=False, comment="content.address_book_queries.Job"),
        sa.Column(
            "book_list", sa.BigInteger(), nullable=False, comment="address_book.list_id when it was asked for"
        ),
        sa.Column(
            "group_list",
            sa.BigInteger(),
            nullable=False,
            comment="recipient_group.list_id likewise; 0: of no group",
        ),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON array of addresses, each [key, written]"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_address_book_job")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_address_book_job_account_id", "address_book_job", ["account_id", "turn", "id"], unique=False
    )
