"""Mail that comes in.

An older worker beside a newer one leaves all of it alone: it receives nothing, and endpoints with options are not
known to it by their format.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_EMPTY = sa.text("''")
_ZERO = sa.text("0")


def upgrade() -> None:
    # Without a batch: SQLite would copy the tables.
    op.add_column(
        "delivery",
        sa.Column(
            "after",
            sa.SmallInteger(),
            server_default=_ZERO,
            nullable=False,
            comment="core.states.After: what was heard of it once it had ended",
        ),
    )
    op.add_column(
        "message",
        sa.Column(
            "forward",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="JSON of core.forward; empty: it was submitted here",
        ),
    )
    op.add_column(
        "endpoint",
        sa.Column(
            "options",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="JSON of notify.options; empty: as configured",
        ),
    )
    op.add_column(
        "domain",
        sa.Column(
            "receive_bounces",
            sa.Boolean(),
            server_default=sa.true(),
            nullable=False,
            comment="ours is the envelope sender of its mail, where bounces are received at all",
        ),
    )
    op.add_column(
        "domain",
        sa.Column(
            "rp",
            sa.Text(),
            server_default=sa.text("'pending'"),
            nullable=False,
            comment="'pending', 'successful' (used) or 'failed': its own return path, rp.{name}",
        ),
    )
    op.add_column(
        "endpoint",
        sa.Column(
            "gather",
            sa.BigInteger(),
            server_default=_ZERO,
            nullable=False,
            comment="milliseconds that notices wait for more of them; 0: not at all",
        ),
    )
    op.add_column(
        "endpoint",
        sa.Column(
            "most",
            sa.Integer(),
            server_default=_ZERO,
            nullable=False,
            comment="events of a request, and as many go at once; 0: as configured",
        ),
    )
    op.add_column(
        "endpoint",
        sa.Column(
            "paused",
            sa.Boolean(),
            server_default=sa.false(),
            nullable=False,
            comment="nothing is sent for now",
        ),
    )
    failure = sa.text("type IN (4, 5, 6, 7, 16)")
    op.create_index(
        "ix_event_failure",
        "event",
        ["account_id", "id"],
        unique=False,
        sqlite_where=failure,
        postgresql_where=failure,
    )
    op.add_column(
        "credential",
        sa.Column(
            "time_zone",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="api_user: IANA name of the zone of times that it gives and is told; empty: of another kind",
        ),
    )
    if op.get_bind().dialect.name == "postgresql":  # comments say what has changed; SQLite keeps none
        op.alter_column(
            "credential", "kind", comment="'password', 'smtp_user', 'api_key', 'access_key' or 'api_user'"
        )
        op.alter_column(
            "credential",
            "lookup",
            comment="password, smtp_user, api_user: user name; api_key: SHA-256 of it, hex; access_key: its id",
        )
        op.alter_column(
            "credential",
            "secret_hash",
            comment="password, smtp_user, api_user: argon2id; NULL for an API key, whose lookup is its hash",
        )
    op.add_column(
        "endpoint",
        sa.Column(
            "setting",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="kind/name/part of the staged_setting that it is of, also its digest; empty: requests name it",
        ),
    )
    of_settings = sa.text("setting <> ''")
    op.create_index(
        "ix_endpoint_setting",
        "endpoint",
        ["account_id", "setting"],
        unique=False,
        sqlite_where=of_settings,
        postgresql_where=of_settings,
    )
    op.create_table(
        "staged_setting",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="'event' or 'inbound'"),
        sa.Column("name", sa.Text(), nullable=False, comment="of a record; empty: there is one of the kind"),
        sa.Column(
            "saved", sa.Text(), nullable=True, comment="JSON object as it was saved last; NULL: it is to be removed"
        ),
        sa.Column(
            "saved_sealed", sa.LargeBinary(), nullable=True, comment="its secrets: JSON, encrypted; NULL: none"
        ),
        sa.Column("saved_revision", sa.BigInteger(), nullable=False, comment="counts the changes"),
        sa.Column("saved_at", sa.BigInteger(), nullable=False),
        sa.Column("saved_by", sa.Text(), nullable=False),
        sa.Column("applied", sa.Text(), nullable=True, comment="JSON object that has effect; NULL: none has"),
        sa.Column("applied_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("applied_revision", sa.BigInteger(), nullable=False, comment="0: never"),
        sa.Column("applied_at", sa.BigInteger(), nullable=True),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account_id", "kind", "name", name=op.f("pk_staged_setting")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "inbound_mail",
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="whom it concerns; 0: who runs Ekiden"),
        sa.Column(
            "id", sa.BigInteger(), nullable=False, comment="core.ids; its content is in content under the same id"
        ),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="inbound.states.Reading"),
        sa.Column(
            "kind", sa.SmallInteger(), nullable=False, comment="inbound.states.Kind: what it turned out to be"
        ),
        sa.Column("listener", sa.Text(), nullable=False),
        sa.Column("peer", sa.Text(), nullable=False, comment="the sender's IP address"),
        sa.Column("helo", sa.Text(), nullable=False),
        sa.Column("tls", sa.Text(), nullable=False, comment="version and cipher; empty: in clear"),
        sa.Column("sender", sa.Text(), nullable=False, comment="envelope sender; empty: the null sender <>"),
        sa.Column("recipients", sa.Text(), nullable=False, comment="JSON array of envelope recipients"),
        sa.Column("size", sa.Integer(), nullable=False, comment="octets of the content"),
        sa.Column("smtputf8", sa.SmallInteger(), nullable=False),
        sa.Column("accepted_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="when it is read, while it waits for that"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="begun readings"),
        sa.Column("owner", sa.BigInteger(), nullable=True, comment="worker.id of who reads it"),
        sa.Column("header_id", sa.Text(), nullable=False, comment="the Message-ID field"),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column(
            "authentication",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="JSON: what SPF, DKIM, DMARC and ARC say",
        ),
        sa.Column(
            "told",
            sa.Text(),
            server_default=_EMPTY,
            nullable=False,
            comment="JSON: what was understood, and what followed",
        ),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_inbound_mail")),
        sqlite_with_rowid=False,
    )
    unread = sa.text("state = 1")
    op.create_index(
        "ix_inbound_mail_unread",
        "inbound_mail",
        ["due_at", "account_id", "id"],
        unique=False,
        sqlite_where=unread,
        postgresql_where=unread,
    )
    owned = sa.text("owner IS NOT NULL")
    op.create_index(
        "ix_inbound_mail_owner",
        "inbound_mail",
        ["owner"],
        unique=False,
        sqlite_where=owned,
        postgresql_where=owned,
    )
    op.create_table(
        "inbound_domain",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="never used twice",
        ),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="whose routes take its mail"),
        sa.Column("name", sa.Text(), nullable=False, comment="lower-case A-labels"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inbound_domain")),
        sa.UniqueConstraint("name", name=op.f("uq_inbound_domain_name")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_inbound_domain_account_id"), "inbound_domain", ["account_id"], unique=False)
