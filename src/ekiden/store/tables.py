"""Every table, once, for SQLite and PostgreSQL alike (SQLAlchemy Core). Migrations live in ``migrations/``.

Rules of the house: times are milliseconds since the epoch in BIGINT; enumerations are the small integers of
``ekiden.core``; keys of hot tables begin with the account, so that a distributed PostgreSQL can spread them; small
hot rows are clustered on their key (WITHOUT ROWID on SQLite). Partial indexes hold exactly the rows that a worker
looks for, so that finished deliveries cost them nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from ekiden.core.states import State

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Columns that hot tables got later keep their default: so no long table had to be written anew.
_EMPTY = text("''")
# Ids made by the database: BIGINT, except that only INTEGER counts upwards by itself on SQLite.
_Serial = BigInteger().with_variant(Integer, "sqlite")
# Word for word what a query must say for SQLite to see that a partial index fits (sqlite.org/partialindex.html).
WAITING_SQL = f"state IN ({int(State.SCHEDULED)}, {int(State.QUEUED)}, {int(State.DEFERRED)})"
SENDING_SQL = f"state = {int(State.SENDING)}"
HELD_SQL = f"state = {int(State.HELD)}"
BULK_SQL = "bulk <> ''"
REFERENCE_SQL = "reference <> ''"
CAMPAIGN_SQL = "campaign <> ''"
APPLICATION_SQL = "application <> ''"
LIVE_SQL = "dead_at IS NULL"


def _where(condition: str) -> dict[str, Any]:
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


account = Table(
    "account",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("priority", SmallInteger, nullable=False, comment="default of its messages, core.states.Priority"),
    Column("created_at", BigInteger, nullable=False),
    Column("suspended_at", BigInteger, comment="no submission is accepted while set"),
    Column("region", Text, nullable=False, comment="a name in the table of regions; empty: none"),
    Column(
        "senders", Text, nullable=False, comment="'verified': only its verified domains; 'any': a relay's account"
    ),
    Column("quota_minute", BigInteger, comment="recipients a minute; NULL: no limit"),
    Column("quota_hour", BigInteger),
    Column("quota_day", BigInteger),
    Column("quota_action", Text, nullable=False, comment="'delay' to the next window, or 'reject'"),
    Column("reports_endpoint", BigInteger, comment="keeps its delivery reports to be fetched; NULL: none are kept"),
    Column("suppress_bounces", Boolean, nullable=False, comment="addresses that bounce hard are not mailed again"),
    Column(
        "revision",
        BigInteger,
        nullable=False,
        comment="grows with every change to what belongs to it: workers read again what they remember",
    ),
)

project = Table(
    "project",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("uid", Text, nullable=False, unique=True, comment="UUID; the instance id of the IBM dialect"),
    Column("name", Text, nullable=False),
    Column("region", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "name"),
)

credential = Table(
    "credential",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False, comment="'password', 'smtp_user', 'api_key' or 'access_key'"),
    Column("name", Text, nullable=False, comment="the user name, or a label of the API key"),
    Column(
        "lookup",
        Text,
        nullable=False,
        unique=True,
        comment="password, smtp_user: user name; api_key: SHA-256 of the key, hex; access_key: its id",
    ),
    Column(
        "secret_hash", Text, comment="password, smtp_user: argon2id; NULL for an API key, whose lookup is its hash"
    ),
    Column("sealed", LargeBinary, comment="access_key: the secret, encrypted, as HMAC needs it back"),
    Column("scopes", Text, nullable=False, comment="words with blanks between; empty: everything its kind may"),
    Column("networks", Text, nullable=False, comment="networks with blanks between; empty: from anywhere"),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

console_user = Table(
    "console_user",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("login", Text, nullable=False, unique=True, comment="an e-mail address, lower case"),
    Column("role", Text, nullable=False, comment="'owner', 'admin', 'operator' or 'viewer'"),
    Column("secret_hash", Text, nullable=False, comment="argon2id"),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
)

domain = Table(
    "domain",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False, comment="lower-case A-labels"),
    Column("created_at", BigInteger, nullable=False),
    Column("verified_at", BigInteger, comment="when it last became usable; NULL: it never was"),
    Column(
        "status", Text, nullable=False, comment="'pending', 'verified', 'failed' or 'suspended': domains.status"
    ),
    Column("vouched", Boolean, nullable=False, comment="an operator vouches for it: no record is demanded"),
    Column("spf", Text, nullable=False, comment="'pending', 'successful' or 'failed'"),
    Column("dkim", Text, nullable=False),
    Column("approval", Text, nullable=False, comment="'none' (not needed), 'pending', 'approved' or 'refused'"),
    Column("approval_reason", Text, nullable=False),
    Column("approved_by", Text, nullable=False),
    Column("approved_at", BigInteger),
    Column("questionnaire", Text, nullable=False, comment="JSON object of answers; {}: not answered"),
    Column("reason", Text, nullable=False, comment="code of what is wrong, domains.reasons; empty: nothing"),
    Column("checked_at", BigInteger),
    Column("check_at", BigInteger, comment="next periodic check; NULL: none"),
    Column("failing_since", BigInteger, comment="first of the failed checks in a row since it was verified"),
    Column("track_opens", Boolean, nullable=False, comment="unless a request says otherwise, as the next two"),
    Column("track_clicks", Boolean, nullable=False),
    Column("track_unsubscribes", Boolean, nullable=False, comment="offer List-Unsubscribe with a page of ours"),
    Column("tracking_host", Text, nullable=False, comment="host of its links; empty: that of the installation"),
    Column("return_path", Text, nullable=False, comment="envelope sender of what we compose; empty: the author"),
    UniqueConstraint("account_id", "name"),
    Index("ix_domain_check_at", "check_at", **_where("check_at IS NOT NULL")),
)

dkim_key = Table(
    "dkim_key",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("domain_id", BigInteger, nullable=False, index=True),
    Column("selector", Text, nullable=False, comment="UUID: the record is {selector}._domainkey.{domain}"),
    Column("algorithm", Text, nullable=False, comment="'rsa-sha256' or 'ed25519-sha256'"),
    Column(
        "sealed", LargeBinary, nullable=False, comment="private key, PKCS #8 DER, encrypted with the instance key"
    ),
    Column("record", Text, nullable=False, comment="what is to be published"),
    Column("status", Text, nullable=False, comment="'pending', 'active' (signs) or 'retired' (still published)"),
    Column("created_at", BigInteger, nullable=False),
    Column("active_at", BigInteger),
    Column("retired_at", BigInteger),
    UniqueConstraint("selector"),
)

domain_check = Table(
    "domain_check",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("domain_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids"),
    Column("at", BigInteger, nullable=False),
    Column("kind", Text, nullable=False, comment="'spf', 'dkim', 'ed25519', 'dmarc', 'address'"),
    Column("result", Text, nullable=False, comment="'pass', 'fail', 'temporary' or 'advice'"),
    Column("code", Text, nullable=False, comment="domains.reasons; empty: nothing is wrong"),
    Column("asked", Text, nullable=False, comment="JSON: [name, type] of the question"),
    Column("expected", Text, nullable=False),
    Column("answered", Text, nullable=False, comment='JSON: {"answers": texts, "values": of the explanation}'),
    PrimaryKeyConstraint("account_id", "domain_id", "id"),
    sqlite_with_rowid=False,
)

smtp_configuration = Table(
    "smtp_configuration",
    metadata,
    Column("id", Text, primary_key=True, comment="UUID"),
    Column("account_id", BigInteger, nullable=False),
    Column("project_id", BigInteger, nullable=False),
    Column("domain_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("attachments", Boolean, nullable=False, comment="whether messages may have any"),
    Column("max_recipients", Integer, nullable=False),
    Column("allowed_subnets", Text, nullable=False, comment="deprecated list, JSON array; see network rules"),
    Column("allowed_at", BigInteger, comment="when that list was last changed"),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("project_id", "name"),
    UniqueConstraint("project_id", "domain_id"),
)

smtp_user = Table(
    "smtp_user",
    metadata,
    Column("id", Text, primary_key=True, comment="UUID"),
    Column("account_id", BigInteger, nullable=False),
    Column("configuration_id", Text, nullable=False),
    Column("credential_id", BigInteger, nullable=False, index=True, comment="shared with its clones"),
    Column("description", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    UniqueConstraint("configuration_id", "credential_id"),
)

network_zone = Table(
    "network_zone",
    metadata,
    Column("id", Text, primary_key=True, comment="32 hexadecimal digits"),
    Column("account_id", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("addresses", Text, nullable=False, comment="JSON array of objects: access.zones"),
    Column("excluded", Text, nullable=False, comment="JSON array of objects"),
    Column("version", Text, nullable=False, comment="the ETag; another one after each change"),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
    UniqueConstraint("account_id", "name"),
)

access_rule = Table(
    "access_rule",
    metadata,
    Column("id", Text, primary_key=True, comment="32 hexadecimal digits"),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("description", Text, nullable=False),
    Column("contexts", Text, nullable=False, comment="JSON array: access.rules"),
    Column("resource", Text, nullable=False, comment="JSON object: attributes and tags"),
    Column("api_types", Text, nullable=False, comment="JSON array of API types; []: all"),
    Column("mode", Text, nullable=False, comment="'enabled', 'disabled' or 'report'"),
    Column("version", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Text, nullable=False),
)

quota_usage = Table(
    "quota_usage",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("seconds", Integer, nullable=False, comment="length of the window: 60, 3600 or 86400"),
    Column("starts_at", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False, comment="recipients, with those that workers have reserved"),
    PrimaryKeyConstraint("account_id", "seconds", "starts_at"),
    sqlite_with_rowid=False,
)

audit = Table(
    "audit",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, comment="0: the installation as a whole"),
    Column("at", BigInteger, nullable=False),
    Column("actor", Text, nullable=False, comment="who: 'cli:user@host', 'api_key:7', 'worker', …"),
    Column("source", Text, nullable=False, comment="IP address; empty: this machine"),
    Column("action", Text, nullable=False, comment="'domain.add', 'credential.revoke', …"),
    Column("target", Text, nullable=False),
    Column("data", Text, nullable=False, comment="JSON object; never a secret"),
    Index("ix_audit_account_id_id", "account_id", "id"),
    sqlite_autoincrement=True,
)

refusal = Table(
    "refusal",
    metadata,
    Column("account_id", BigInteger, nullable=False, comment="0: not known yet"),
    Column("id", BigInteger, nullable=False, comment="core.ids; the client is told"),
    Column("at", BigInteger, nullable=False),
    Column("stage", Text, nullable=False, comment="'connect', 'auth', 'mail' or 'data'"),
    Column("reason", Text, nullable=False, comment="code: access.refusals"),
    Column("reply", Text, nullable=False, comment="what the client was told"),
    Column("credential_id", BigInteger, nullable=False),
    Column("client", Text, nullable=False, comment="its IP address"),
    Column("sender", Text, nullable=False),
    Column("data", Text, nullable=False, comment="JSON object: listener, domain, rule, …"),
    PrimaryKeyConstraint("account_id", "id"),
    sqlite_with_rowid=False,
)

message = Table(
    "message",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="the queue id, core.ids"),
    Column("credential_id", BigInteger, nullable=False, comment="0: none (trusted network, our own DSN)"),
    Column("sender", Text, nullable=False, comment="envelope sender; empty: the null sender <>"),
    Column("size", Integer, nullable=False, comment="octets of the content"),
    Column("priority", SmallInteger, nullable=False),
    Column("ret", Text),
    Column("envid", Text),
    Column("smtputf8", Boolean, nullable=False),
    Column("eight_bit", Boolean, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("header_id", Text, nullable=False, comment="the Message-ID field"),
    Column("subject", Text, nullable=False),
    Column("origin", Text, nullable=False, comment="JSON of core.submission.Origin"),
    Column("labels", Text, nullable=False, comment="JSON object"),
    Column(
        "bulk",
        Text,
        nullable=False,
        server_default=_EMPTY,
        comment="id of the request it came with; empty: none was given or made",
    ),
    Column(
        "reference",
        Text,
        nullable=False,
        server_default=_EMPTY,
        comment="its id as its sender gave it; empty: the queue id",
    ),
    Column(
        "application",
        Text,
        nullable=False,
        server_default=_EMPTY,
        comment="application, entity and campaign are the sender's words",
    ),
    Column("entity", Text, nullable=False, server_default=_EMPTY),
    Column("campaign", Text, nullable=False, server_default=_EMPTY),
    Column(
        "routes",
        Text,
        nullable=False,
        server_default=_EMPTY,
        comment="JSON array of [endpoint id, core.notices mask]; empty: nobody is told",
    ),
    PrimaryKeyConstraint("account_id", "id"),
    Index("ix_message_bulk", "account_id", "bulk", "id", **_where(BULK_SQL)),
    Index("ix_message_reference", "account_id", "reference", "id", **_where(REFERENCE_SQL)),
    Index("ix_message_campaign", "account_id", "campaign", "id", **_where(CAMPAIGN_SQL)),
    Index("ix_message_application", "account_id", "application", "id", **_where(APPLICATION_SQL)),
    sqlite_with_rowid=False,
)

content = Table(
    "content",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False, comment="the message as it will be sent, signed; see shared_id"),
    Column("shared_id", BigInteger, comment="shared_content whose data follow; NULL: data are the whole message"),
    PrimaryKeyConstraint("account_id", "message_id"),
    Index("ix_content_shared_id", "shared_id", **_where("shared_id IS NOT NULL")),
)

shared_content = Table(
    "shared_content",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="core.ids"),
    Column("number", Integer, nullable=False, comment="counts the pieces from 0"),
    Column(
        "data", LargeBinary, nullable=False, comment="a piece of what the messages of one request have in common"
    ),
    PrimaryKeyConstraint("account_id", "id", "number"),
)

delivery = Table(
    "delivery",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="counts the recipients of the message from 1"),
    Column("recipient", Text, nullable=False),
    Column("domain", Text, nullable=False),
    Column("notify", SmallInteger, nullable=False),
    Column("orcpt", Text),
    Column("state", SmallInteger, nullable=False),
    Column("cause", SmallInteger, nullable=False),
    Column("reason", Text, nullable=False, comment="why it waits or how it ended, for people"),
    Column("code", SmallInteger, nullable=False, comment="last SMTP reply code, 0: none yet"),
    Column("enhanced", Text, nullable=False),
    Column("priority", SmallInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, comment="next time; for SENDING, when the attempt began"),
    Column("attempts", Integer, nullable=False, comment="begun ones"),
    Column("owner", BigInteger, comment="worker.id while SENDING: lease and fencing token in one"),
    Column("updated_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("account_id", "message_id", "number"),
    # The state is there only so that counting a long queue by state reads the index alone.
    Index("ix_delivery_due", "priority", "due_at", "state", **_where(WAITING_SQL)),
    Index("ix_delivery_owner", "owner", **_where(SENDING_SQL)),
    Index("ix_delivery_held", "account_id", **_where(HELD_SQL)),
    Index("ix_delivery_recipient", "account_id", "recipient", "message_id"),
    sqlite_with_rowid=False,
)

attempt = Table(
    "attempt",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False),
    Column("recipient_number", Integer, nullable=False),
    Column("number", Integer, nullable=False, comment="as delivery.attempts when it began"),
    Column("worker", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False, comment="what it led to"),
    Column("cause", SmallInteger, nullable=False),
    Column("host", Text, nullable=False, comment="the MX tried last; empty: none was reached"),
    Column("address", Text, nullable=False, comment="its address and port"),
    Column("tls", Text, nullable=False, comment="version and cipher; empty: in clear"),
    Column("code", SmallInteger, nullable=False),
    Column("enhanced", Text, nullable=False),
    Column("reply", Text, nullable=False),
    Column(
        "dialogue",
        Text,
        nullable=False,
        comment="lines 'S: …', 'C: …' and '# …' (remarks); never the content",
    ),
    PrimaryKeyConstraint("account_id", "message_id", "recipient_number", "number"),
    sqlite_with_rowid=False,
)

event = Table(
    "event",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("message_id", BigInteger, nullable=False, comment="0: of the account, such as of a domain"),
    Column("id", BigInteger, nullable=False, comment="core.ids, made by the writer"),
    Column("recipient_number", Integer, nullable=False, comment="0: the message as a whole"),
    Column("type", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("data", Text, nullable=False, comment="JSON object"),
    PrimaryKeyConstraint("account_id", "message_id", "id"),
    sqlite_with_rowid=False,
)

endpoint = Table(
    "endpoint",
    metadata,
    Column("id", _Serial, primary_key=True),
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
    UniqueConstraint("account_id", "digest"),
)

notice = Table(
    "notice",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("endpoint_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False, comment="of the event"),
    Column("message_id", BigInteger, nullable=False),
    Column("recipient_number", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, comment="requests that failed for its own sake"),
    Column("dead_at", BigInteger, comment="given up: the dead letters of the endpoint"),
    PrimaryKeyConstraint("account_id", "endpoint_id", "id"),
    Index("ix_notice_live", "endpoint_id", "id", "due_at", **_where(LIVE_SQL)),
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
    Column("id", _Serial, primary_key=True, comment="grows: workers read what is new"),
    Column("account_id", BigInteger, nullable=False),
    Column("domain", Text, nullable=False, comment="sending domain, lower-case A-labels"),
    Column("address", Text, nullable=False, comment="as core.address writes it, lower case"),
    Column("kind", Text, nullable=False, comment="'bounce', 'complaint', 'over_quota' or 'unsubscribe'"),
    Column("reason", Text, nullable=False, comment="the reply that led to it, or who asked for it"),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("account_id", "domain", "address", "kind"),
    Index("ix_suppression_account_id", "account_id", "id"),
    sqlite_autoincrement=True,
)

template = Table(
    "template",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("sender", Text, nullable=False, comment="From, as it is written in a header"),
    Column("reply_to", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("preheader", Text, nullable=False),
    Column("html", Text, nullable=False),
    Column("landing_page", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

upload = Table(
    "upload",
    metadata,
    Column("id", _Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False),
    Column("uid", Text, nullable=False, comment="what the client calls it"),
    Column("template_id", BigInteger, comment="it is an attachment of that template"),
    Column("name", Text, nullable=False, comment="file name"),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, comment="NULL: with its template"),
    UniqueConstraint("account_id", "uid"),
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
    Column("id", _Serial, primary_key=True),
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
    Index("ix_address_check_waiting", "id", **_where("checked_at IS NULL")),
    Index("ix_address_check_request", "account_id", "request", "id"),
    sqlite_with_rowid=False,
)

worker = Table(
    "worker",
    metadata,
    Column("id", _Serial, primary_key=True, comment="never used twice: the fencing token"),
    Column("node", SmallInteger, nullable=False, comment="0 to 1023, unique among the living: core.ids"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, comment="left by itself, or was found expired"),
    Index("uq_worker_node_alive", "node", unique=True, **_where("ended_at IS NULL")),
    sqlite_autoincrement=True,
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True, comment="a single duty: 'prune', 'reap', …"),
    Column("owner", BigInteger, nullable=False, comment="worker.id"),
    Column("expires_at", BigInteger, nullable=False),
)
