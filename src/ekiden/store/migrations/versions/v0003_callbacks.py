"""Callbacks, reports, tracking, suppressions, templates: what the Infobip dialect brings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create()
    _alter()
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("content", "data", comment="the message as it will be sent, signed; see shared_id")


def _create() -> None:
    op.create_table(
        "address_check",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids"),
        sa.Column("request", sa.Text(), nullable=False, comment="id of the request it came with"),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True, comment="NULL: it waits"),
        sa.Column("owner", sa.BigInteger(), nullable=True, comment="worker.id of who checks it now"),
        sa.Column("result", sa.Text(), nullable=False, comment="JSON object: delivery.address_check"),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_address_check")),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_address_check_request", "address_check", ["account_id", "request", "id"], unique=False)
    op.create_index(
        "ix_address_check_waiting",
        "address_check",
        ["id"],
        unique=False,
        sqlite_where=sa.text("checked_at IS NULL"),
        postgresql_where=sa.text("checked_at IS NULL"),
    )
    op.create_table(
        "callback",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("millis", sa.Integer(), nullable=False, comment="until the answer, or until it was given up"),
        sa.Column("status", sa.SmallInteger(), nullable=False, comment="of HTTP; 0: there was no answer"),
        sa.Column("answer", sa.Text(), nullable=False, comment="its first characters, or what went wrong"),
        sa.Column("notices", sa.Text(), nullable=False, comment="JSON array of the ids that it carried"),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "id", name=op.f("pk_callback")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "endpoint",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "format",
            sa.Text(),
            nullable=False,
            comment="what is sent there, and how: notify.formats; 'pull': it is fetched",
        ),
        sa.Column("url", sa.Text(), nullable=False, comment="empty for 'pull'"),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=True,
            comment="how to authenticate there: JSON, encrypted; NULL: not at all",
        ),
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of format, URL and authentication, hex"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False, comment="in a row; 0: the last request went well"),
        sa.Column("failing_since", sa.BigInteger(), nullable=True),
        sa.Column("retry_at", sa.BigInteger(), nullable=False, comment="the breaker: nothing is sent before"),
        sa.Column("owner", sa.BigInteger(), nullable=True, comment="worker.id of who sends to it now"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_endpoint")),
        sa.UniqueConstraint("account_id", "digest", name=op.f("uq_endpoint_account_id_digest")),
    )
    op.create_table(
        "landing_page",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False, comment="what requests call it, such as 1_23456"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column(
            "html", sa.Text(), nullable=False, comment="with placeholders; {{unsubscribe}} stands for the button"
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_landing_page")),
        sa.UniqueConstraint("account_id", "uid", name=op.f("uq_landing_page_account_id_uid")),
    )
    op.create_table(
        "notice",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("endpoint_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="of the event"),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.Column("recipient_number", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="requests that failed for its own sake"),
        sa.Column("dead_at", sa.BigInteger(), nullable=True, comment="given up: the dead letters of the endpoint"),
        sa.PrimaryKeyConstraint("account_id", "endpoint_id", "id", name=op.f("pk_notice")),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_notice_live",
        "notice",
        ["endpoint_id", "id", "due_at"],
        unique=False,
        sqlite_where=sa.text("dead_at IS NULL"),
        postgresql_where=sa.text("dead_at IS NULL"),
    )
    op.create_table(
        "shared_content",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids"),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts the pieces from 0"),
        sa.Column(
            "data",
            sa.LargeBinary(),
            nullable=False,
            comment="a piece of what the messages of one request have in common",
        ),
        sa.PrimaryKeyConstraint("account_id", "id", "number", name=op.f("pk_shared_content")),
    )
    op.create_table(
        "suppression",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            nullable=False,
            comment="grows: workers read what is new",
        ),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=False, comment="sending domain, lower-case A-labels"),
        sa.Column("address", sa.Text(), nullable=False, comment="as core.address writes it, lower case"),
        sa.Column(
            "kind", sa.Text(), nullable=False, comment="'bounce', 'complaint', 'over_quota' or 'unsubscribe'"
        ),
        sa.Column("reason", sa.Text(), nullable=False, comment="the reply that led to it, or who asked for it"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suppression")),
        sa.UniqueConstraint(
            "account_id", "domain", "address", "kind", name=op.f("uq_suppression_account_id_domain_address_kind")
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_suppression_account_id", "suppression", ["account_id", "id"], unique=False)
    op.create_table(
        "template",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False, comment="From, as it is written in a header"),
        sa.Column("reply_to", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("preheader", sa.Text(), nullable=False),
        sa.Column("html", sa.Text(), nullable=False),
        sa.Column("landing_page", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_template")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_template_account_id"), "template", ["account_id"], unique=False)
    op.create_table(
        "upload",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False, comment="what the client calls it"),
        sa.Column("template_id", sa.BigInteger(), nullable=True, comment="it is an attachment of that template"),
        sa.Column("name", sa.Text(), nullable=False, comment="file name"),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True, comment="NULL: with its template"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload")),
        sa.UniqueConstraint("account_id", "uid", name=op.f("uq_upload_account_id_uid")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "upload_piece",
        sa.Column("upload_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("upload_id", "number", name=op.f("pk_upload_piece")),
    )


def _alter() -> None:
    """New columns. Those of hot tables keep their defaults, so that no long table is written anew."""
    with op.batch_alter_table("account") as batch:
        batch.add_column(
            sa.Column(
                "reports_endpoint",
                sa.BigInteger(),
                comment="keeps its delivery reports to be fetched; NULL: none are kept",
            )
        )
        batch.add_column(_flag("suppress_bounces", False, "addresses that bounce hard are not mailed again"))
    with op.batch_alter_table("account") as batch:
        batch.alter_column("suppress_bounces", server_default=None)
    with op.batch_alter_table("domain") as batch:
        batch.add_column(_flag("track_opens", True, "unless a request says otherwise, as the next two"))
        batch.add_column(_flag("track_clicks", True, None))
        batch.add_column(_flag("track_unsubscribes", False, "offer List-Unsubscribe with a page of ours"))
        batch.add_column(_text("tracking_host", "host of its links; empty: that of the installation"))
        batch.add_column(_text("return_path", "envelope sender of what we compose; empty: the author"))
    with op.batch_alter_table("domain") as batch:
        for name in ("track_opens", "track_clicks", "track_unsubscribes", "tracking_host", "return_path"):
            batch.alter_column(name, server_default=None)
    op.add_column(
        "content",
        sa.Column(
            "shared_id",
            sa.BigInteger(),
            nullable=True,
            comment="shared_content whose data follow; NULL: data are the whole message",
        ),
    )
    op.create_index("ix_delivery_recipient", "delivery", ["account_id", "recipient", "message_id"], unique=False)
    op.add_column(
        "message",
        sa.Column(
            "bulk",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="id of the request it came with; empty: none was given or made",
        ),
    )
    op.add_column(
        "message",
        sa.Column(
            "reference",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="its id as its sender gave it; empty: the queue id",
        ),
    )
    op.add_column(
        "message",
        sa.Column(
            "application",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="application, entity and campaign are the sender's words",
        ),
    )
    op.add_column("message", sa.Column("entity", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column("message", sa.Column("campaign", sa.Text(), server_default=sa.text("''"), nullable=False))
    op.add_column(
        "message",
        sa.Column(
            "routes",
            sa.Text(),
            server_default=sa.text("''"),
            nullable=False,
            comment="JSON array of [endpoint id, core.notices mask]; empty: nobody is told",
        ),
    )
    op.create_index(
        "ix_message_bulk",
        "message",
        ["account_id", "bulk", "id"],
        unique=False,
        sqlite_where=sa.text("bulk <> ''"),
        postgresql_where=sa.text("bulk <> ''"),
    )
    op.create_index(
        "ix_message_reference",
        "message",
        ["account_id", "reference", "id"],
        unique=False,
        sqlite_where=sa.text("reference <> ''"),
        postgresql_where=sa.text("reference <> ''"),
    )
    shared = sa.text("shared_id IS NOT NULL")
    op.create_index("ix_content_shared_id", "content", ["shared_id"], sqlite_where=shared, postgresql_where=shared)
    for column in ("campaign", "application"):
        given = sa.text(f"{column} <> ''")
        columns = ["account_id", column, "id"]
        op.create_index(f"ix_message_{column}", "message", columns, sqlite_where=given, postgresql_where=given)


def _flag(name: str, value: bool, comment: str | None) -> sa.Column[bool]:
    default = sa.true() if value else sa.false()
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=default, comment=comment)


def _text(name: str, comment: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=sa.text("''"), comment=comment)
