"""Accounts and what belongs to them: credentials, domains, rules, quotas, the audit log."""

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
    text,
    true,
)

from ekiden.store.tables.base import EMPTY, Serial, metadata, where

account = Table(
    "account",
    metadata,
    Column("id", Serial, primary_key=True),
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
        "block_hours",
        BigInteger,
        comment="hours for which a hard bounce blocks its address for all domains; NULL: nobody has said",
    ),
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
    Column("id", Serial, primary_key=True),
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
    Column("id", Serial, primary_key=True),
    Column("account_id", BigInteger, nullable=False, index=True),
    Column("kind", Text, nullable=False, comment="'password', 'smtp_user', 'api_key', 'access_key' or 'api_user'"),
    Column("name", Text, nullable=False, comment="the user name, or a label of the API key"),
    Column(
        "lookup",
        Text,
        nullable=False,
        unique=True,
        comment="password, smtp_user, api_user: user name; api_key: SHA-256 of it, hex; access_key: its id",
    ),
    Column(
        "secret_hash",
        Text,
        comment="password, smtp_user, api_user: argon2id; NULL for an API key, whose lookup is its hash",
    ),
    Column("sealed", LargeBinary, comment="access_key: the secret, encrypted, as HMAC needs it back"),
    Column("scopes", Text, nullable=False, comment="words with blanks between; empty: everything its kind may"),
    Column("networks", Text, nullable=False, comment="networks with blanks between; empty: from anywhere"),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column(
        "time_zone",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="api_user: IANA name of the zone of times that it gives and is told; empty: of another kind",
    ),
)

console_user = Table(
    "console_user",
    metadata,
    Column("id", Serial, primary_key=True),
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
    Column("id", Serial, primary_key=True),
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
    Column(
        "receive_bounces",
        Boolean,
        nullable=False,
        server_default=true(),
        comment="ours is the envelope sender of its mail, where bounces are received at all",
    ),
    Column(
        "rp",
        Text,
        nullable=False,
        server_default=text("'pending'"),
        comment="'pending', 'successful' (used) or 'failed': its own return path, rp.{name}",
    ),
    UniqueConstraint("account_id", "name"),
    Index("ix_domain_check_at", "check_at", **where("check_at IS NOT NULL")),
)

dkim_key = Table(
    "dkim_key",
    metadata,
    Column("id", Serial, primary_key=True),
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

domain_evidence = Table(
    "domain_evidence",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("domain_id", BigInteger, nullable=False),
    Column("number", Integer, nullable=False, comment="from 1, in their order"),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False, comment="octets"),
    Column("added_at", BigInteger, nullable=False),
    Column("data", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account_id", "domain_id", "number"),
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
    Column("id", Serial, primary_key=True),
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

installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False, comment="1: there is one row"),
    Column("fingerprint", Text, nullable=False, comment="of the instance key: access.vault"),
    Column("bound_at", BigInteger, nullable=False),
)

seen_signature = Table(
    "seen_signature",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("at", BigInteger, nullable=False, comment="the time that is signed"),
    Column("digest", LargeBinary, nullable=False, comment="the beginning of the HMAC"),
    PrimaryKeyConstraint("account_id", "at", "digest"),
    sqlite_with_rowid=False,
)

refused_recipient = Table(
    "refused_recipient",
    metadata,
    Column("account_id", BigInteger, nullable=False),
    Column("refusal_id", BigInteger, nullable=False),
    Column("recipient", Text, nullable=False, comment="as access.suppressions.address_key has it"),
    PrimaryKeyConstraint("account_id", "refusal_id", "recipient"),
    Index("ix_refused_recipient_recipient", "account_id", "recipient", "refusal_id"),
    sqlite_with_rowid=False,
)
