"""Requests to mail many, which become messages by and by; files that were uploaded together."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "mail_number",
        sa.Column("account_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column(
            "next", sa.BigInteger(), nullable=False, comment="number of its next request, or of a mail of one"
        ),
        sa.PrimaryKeyConstraint("account_id", name=op.f("pk_mail_number")),
    )
    op.create_table(
        "mail_request",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids"),
        sa.Column(
            "day", sa.Integer(), nullable=False, comment="of its creation, such as 20261130: mailings.numbers"
        ),
        sa.Column("number", sa.BigInteger(), nullable=False, comment="with the day what the client calls it"),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="mailings.values.RequestState"),
        sa.Column("via", sa.Text(), nullable=False, comment="'API' or 'CONSOLE'"),
        sa.Column("credential_id", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False, comment="its pieces become messages from then on"),
        sa.Column("reserved_at", sa.BigInteger(), comment="the time that its sender asked for; NULL: at once"),
        sa.Column(
            "resolving", sa.SmallInteger(), nullable=False, comment="1: recipients of groups are still to be added"
        ),
        sa.Column("owner", sa.BigInteger(), comment="worker.id of who adds them now"),
        sa.Column("mails", sa.BigInteger(), nullable=False),
        sa.Column("recipients", sa.BigInteger(), nullable=False),
        sa.Column("pieces", sa.Integer(), nullable=False),
        sa.Column("begun_at", sa.BigInteger(), comment="when the first of its messages were made"),
        sa.Column("settled_at", sa.BigInteger(), comment="since when nothing of it changes any more"),
        sa.Column(
            "status", sa.SmallInteger(), nullable=False, comment="mailings.values.MailStatus; 0: not settled"
        ),
        sa.Column("counts", sa.Text(), nullable=False, comment="JSON: mails by status; empty: not settled"),
        sa.Column("individual", sa.Boolean(), nullable=False, comment="a mail for each recipient"),
        sa.Column("advertising", sa.Boolean(), nullable=False),
        sa.Column("decided_by", sa.Text(), nullable=False, comment="who confirmed or rejected it; empty: nobody"),
        sa.Column("template_id", sa.BigInteger()),
        sa.Column("template_name", sa.Text(), nullable=False),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("sender_name", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False, comment="with placeholders"),
        sa.Column("content", sa.Text(), nullable=False, comment="JSON of mailings.values.Content"),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_mail_request")),
    )
    op.create_index("uq_mail_request_account_id_number", "mail_request", ["account_id", "number"], unique=True)
    _partial("ix_mail_request_due", "mail_request", ["due_at"], "state = 2")
    _partial("ix_mail_request_unsettled", "mail_request", ["account_id", "id"], "settled_at IS NULL")
    _partial("ix_mail_request_resolving", "mail_request", ["account_id", "id"], "resolving = 1")
    op.create_table(
        "mail_request_piece",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="counts from 0"),
        sa.Column("first_number", sa.BigInteger(), nullable=False, comment="of its first mail; the others follow"),
        sa.Column("mails", sa.Integer(), nullable=False),
        sa.Column("recipients", sa.Integer(), nullable=False),
        sa.Column("state", sa.SmallInteger(), nullable=False, comment="mailings.values.PieceState"),
        sa.Column("owner", sa.BigInteger(), comment="worker.id of who makes messages of it now"),
        sa.Column("tries", sa.Integer(), nullable=False, comment="how often that was begun"),
        sa.Column("expanded_at", sa.BigInteger()),
        sa.Column(
            "failed",
            sa.Text(),
            nullable=False,
            comment="JSON: mails that could not be made, and why; empty: none",
        ),
        sa.Column(
            "counts",
            sa.Text(),
            nullable=False,
            comment="JSON: mails by status once none can change; empty: not yet",
        ),
        sa.Column("data", sa.LargeBinary(), nullable=False, comment="JSON of mailings.values.Mail, an array"),
        sa.PrimaryKeyConstraint("account_id", "request_id", "number", name=op.f("pk_mail_request_piece")),
    )
    piece = "mail_request_piece"
    op.create_index("ix_mail_request_piece_first_number", piece, ["account_id", "first_number"], unique=False)
    key = ["account_id", "request_id", "number"]
    _partial("ix_mail_request_piece_waiting", piece, key, "state = 0")
    _partial("ix_mail_request_piece_uncounted", piece, key, "counts = ''")
    comment = "what the client calls those of one request"
    column = sa.Column("batch", sa.Text(), server_default=sa.text("''"), nullable=False, comment=comment)
    op.add_column("upload", column)
    _partial("ix_upload_batch", "upload", ["account_id", "batch"], "batch <> ''")


def _partial(name: str, table: str, columns: list[str], condition: str) -> None:
    where = sa.text(condition)
    op.create_index(name, table, columns, unique=False, sqlite_where=where, postgresql_where=where)
