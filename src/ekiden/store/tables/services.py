"""What accounts keep here: endpoints, suppressions, templates, files, pages."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from ekiden.store.tables.base import BATCH_SQL, EMPTY, EXPIRING_SQL, SETTING_SQL, ZERO, Serial, metadata, where

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column(
        "format", Text, nullable=False, comment="what is sent there, and how: notify.formats; 'pull': it is fetched"
    ),
    Column("url", Text, nullable=False, comment="empty for 'pull'"),
    Column("sealed", LargeBinary, comment="how to authenticate there: JSON, encrypted; NULL: not at all"),
    Column("digest", Text, nullable=False, comment="SHA-256 of format, URL and authentication, hex"),
    Column("created_at", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False, comment="in a row; 0: the last request went well"),
    Column("failing_since", BigInteger),
    Column("retry_at", BigInteger, nullable=False, comment="the breaker: nothing is sent before"),
    Column("owner", BigInteger, comment="worker.id of who sends to it now"),
    Column("used_at", BigInteger, nullable=False, comment="when a message last named it, to the hour"),
    Column(
        "options",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="JSON of notify.options; empty: as configured",
    ),
    Column(
        "gather",
        BigInteger,
        nullable=False,
        server_default=ZERO,
        comment="milliseconds that notices wait for more of them; 0: not at all",
    ),
    Column(
        "most",
        Integer,
        nullable=False,
        server_default=ZERO,
        comment="events of a request, and as many go at once; 0: as configured",
    ),
    Column("paused", Boolean, nullable=False, server_default=false(), comment="nothing is sent for now"),
    Column(
        "setting",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="kind/name/part of the staged_setting that it is of, also its digest; empty: requests name it",
    ),
    UniqueConstraint("account_id", "digest"),
    Index("ix_endpoint_setting", "account_id", "setting", **where(SETTING_SQL)),
)

staged_setting = Table(
    "staged_setting",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="'event' or 'inbound'"),
    Column("name", Text, nullable=False, comment="of a record; empty: there is one of the kind"),
    Column("saved", Text, comment="JSON object as it was saved last; NULL: it is to be removed"),
    Column("saved_sealed", LargeBinary, comment="its secrets: JSON, encrypted; NULL: none"),
    Column("saved_revision", BigInteger, nullable=False, comment="counts the changes"),
    Column("saved_at", BigInteger, nullable=False),
    Column("saved_by", Text, nullable=False),
    Column("applied", Text, comment="JSON object that has effect; NULL: none has"),
    Column("applied_sealed", LargeBinary),
    Column("applied_revision", BigInteger, nullable=False, comment="0: never"),
    Column("applied_at", BigInteger),
    Column("applied_by", Text, nullable=False),
    PrimaryKeyConstraint("account_id", "kind", "name"),
    sqlite_with_rowid=False,
)

callback = Table(
    "callback",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("endpoint_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids"),
    Column("at", BigInteger, nullable=False),
    Column("millis", Integer, nullable=False, comment="until the answer, or until it was given up"),
    Column("status", SmallInteger, nullable=False, comment="of HTTP; 0: there was no answer"),
    Column("answer", Text, nullable=False, comment="its first characters, or what went wrong"),
    Column("notices", Text, nullable=False, comment="JSON array of the ids that it carried"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "id"),
    sqlite_with_rowid=False,
)

suppression = Table(
    "suppression",
    metadata,
    Column("id", Serial, primary_key=True, comment="grows: workers read what is new"),
    Column("account_id", BigInteger, nullable=False),
    Column(
        "domain", Text, nullable=False, comment="sending domain, lower-case A-labels; empty: any of the account's"
    ),
    Column("address", Text, nullable=False, comment="as core.address writes it, lower case"),
    Column("kind", Text, nullable=False, comment="'bounce', 'complaint', 'over_quota' or 'unsubscribe'"),
    Column("reason", Text, nullable=False, comment="the reply that led to it, or who asked for it"),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="it stops nothing any more from then on; NULL: until it is removed"),
    Column(
        "registered_by",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="'recipient', 'account', 'platform' or 'operator'; empty: an older Ekiden did not say",
    ),
    UniqueConstraint("account_id", "domain", "address", "kind"),
    Index("ix_suppression_account_id", "account_id", "id"),
    Index("ix_suppression_kind", "account_id", "domain", "kind", "created_at"),
    Index("ix_suppression_expires_at", "expires_at", **where(EXPIRING_SQL)),
    sqlite_autoincrement=True,
)

suppression_history = Table(
    "suppression_history",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("domain", Text, nullable=False, comment="this and the next two as of the suppression"),
    Column("address", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("action", Text, nullable=False, comment="'registered' or 'removed'"),
    Column("done_by", Text, nullable=False, comment="as suppression.registered_by"),
    Column("reason", Text, nullable=False, comment="the reply that led to it, or who asked for it"),
    Column("diagnosis", SmallInteger, nullable=False, comment="core.diagnosis of that reply; 0: there is none"),
    Column("at", BigInteger, nullable=False),
    Index("ix_suppression_history_address", "account_id", "address", "at"),
    sqlite_autoincrement=True,
)

template = Table(
    "template",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("sender", Text, nullable=False, comment="From, as it is written in a header"),
    Column("reply_to", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("preheader", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("landing_page", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column(
        "category_id", BigInteger, nullable=False, server_default=ZERO, comment="template_category.id; 0: in none"
    ),
    Column("position", BigInteger, nullable=False, server_default=ZERO, comment="among its siblings, then by id"),
    Column("description", Text, nullable=False, server_default=EMPTY),
    Column("unused_since", BigInteger, comment="NULL: it is in use"),
    # All that a tree shows: on SQLite what stands behind a large text is read through all of its pages.
    Index(
        "ix_template_tree",
        "account_id",
        "category_id",
        "position",
        "id",
        "unused_since",
        "created_at",
        "name",
    ),
    Index("ix_template_unused", "account_id", "unused_since", "id"),
    sqlite_autoincrement=True,
)

template_category = Table(
    "template_category",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="of the numbers of templates"),
    Column("parent_id", BigInteger, nullable=False, comment="0: at the top"),
    Column("position", BigInteger, nullable=False, comment="among its siblings, templates too; then by id"),
    Column("name", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "id"),
    sqlite_with_rowid=False,
)

template_export = Table(
    "template_export",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("owner", BigInteger, comment="worker.id of who writes it now"),
    Column("completed_at", BigInteger, comment="NULL: it waits, or is being written"),
    Column("upload_uid", Text, nullable=False, comment="its file; empty: there is none"),
    Column("expires_at", BigInteger, comment="from when on there is no file any more; NULL: there is none yet"),
    Index("ix_template_export_account_id", "account_id", "id"),
    Index("ix_template_export_waiting", "id", **where("completed_at IS NULL")),
    sqlite_autoincrement=True,
)

upload = Table(
    "upload",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("uid", Text, nullable=False, comment="what the client calls it"),
    Column("template_id", BigInteger, comment="it is an attachment of that template"),
    Column("name", Text, nullable=False, comment="file name"),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="NULL: with its template"),
    Column(
        "batch", Text, nullable=False, server_default=EMPTY, comment="what the client calls those of one request"
    ),
    UniqueConstraint("account_id", "uid"),
    Index("ix_upload_batch", "account_id", "batch", **where(BATCH_SQL)),
    sqlite_autoincrement=True,
)

upload_piece = Table(
    "upload_piece",
    metadata,
    Column("upload_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("upload_id", "number"),
)

landing_page = Table(
    "landing_page",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("uid", Text, nullable=False, comment="what requests call it, such as 1_23456"),
    Column("name", Text, nullable=False),
    Column("html", Text, nullable=False, comment="with placeholders; {{unsubscribe}} stands for the button"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "uid"),
)

address_check = Table(
    "address_check",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids"),
    Column("request", Text, nullable=False, comment="id of the request it came with"),
    Column("address", Text, nullable=False),
    Column("requested_at", BigInteger, nullable=False),
    Column("checked_at", BigInteger, comment="NULL: it waits"),
    Column("owner", BigInteger, comment="worker.id of who checks it now"),
    Column("result", Text, nullable=False, comment="JSON object: delivery.address_check"),
    PrimaryKeyConstraint("account_id", "id"),
    Index("ix_address_check_waiting", "id", **where("checked_at IS NULL")),
    Index("ix_address_check_request", "account_id", "request", "id"),
    sqlite_with_rowid=False,
)
