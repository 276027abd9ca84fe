"""The address book of an account: its addresses, its groups, who is in which, and changes still to be made.

Addresses belong to a list, and so do the members of a group. To empty a list of a million rows its owner is given
another one; what is left of the old one is nobody's, and goes by and by (``content.address_book``).
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, PrimaryKeyConstraint, SmallInteger, Table, Text, UniqueConstraint

from ekiden.store.tables.base import Serial, metadata

address_book = Table(
    "address_book",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("list_id", BigInteger, nullable=False, comment="listed_address.list_id of its addresses"),
    Column("address_count", BigInteger, nullable=False, comment="of rows of that list"),
)

listed_address = Table(
    "listed_address",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("list_id", BigInteger, nullable=False),
    Column("key", Text, nullable=False, comment="core.address.Address.key"),
    Column("written", Text, nullable=False, comment="core.address.Address.text; empty: as the key"),
    UniqueConstraint("account_id", "list_id", "key"),
    sqlite_autoincrement=True,
)

recipient_group = Table(
    "recipient_group",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False, comment="composed (NFC)"),
    Column("list_id", BigInteger, nullable=False, comment="group_member.list_id of its members"),
    Column("address_count", BigInteger, nullable=False, comment="of rows of that list"),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "name"),
    sqlite_autoincrement=True,
)

group_member = Table(
    "group_member",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("list_id", BigInteger, nullable=False),
    Column("address_id", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "list_id", "address_id"),
    Index("ix_group_member_address_id", "account_id", "address_id"),
    sqlite_with_rowid=False,
)

address_book_job = Table(
    "address_book_job",
    metadata,
    Column("id", Serial, primary_key=True, comment="those of an account in the order of the requests"),
    Column("account_id", BigInteger, nullable=False),
    Column("turn", SmallInteger, nullable=False, comment="0: one after another; 1: when none of those is left"),
    Column("kind", SmallInteger, nullable=False, comment="content.address_book_queries.Job"),
    Column("book_list", BigInteger, nullable=False, comment="address_book.list_id when it was asked for"),
    Column("group_list", BigInteger, nullable=False, comment="recipient_group.list_id likewise; 0: of no group"),
    Column("data", Text, nullable=False, comment="JSON array of addresses, each [key, written]"),
    Column("created_at", BigInteger, nullable=False),
    Index("ix_address_book_job_account_id", "account_id", "turn", "id"),
    sqlite_autoincrement=True,
)
