"""Senders: domains with their keys and checks, SMTP configurations and users, zones and rules, quotas, audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create()
    _alter()
    _fill()
    if op.get_context().dialect.name == "postgresql":
        _comment()


def _create() -> None:
    op.create_table(
        "access_rule",
        sa.Column("id", sa.Text(), nullable=False, comment="32 hexadecimal digits"),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("contexts", sa.Text(), nullable=False, comment="JSON array: access.rules"),
        sa.Column("resource", sa.Text(), nullable=False, comment="JSON object: attributes and tags"),
        sa.Column("api_types", sa.Text(), nullable=False, comment="JSON array of API types; []: all"),
        sa.Column("mode", sa.Text(), nullable=False, comment="'enabled', 'disabled' or 'report'"),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_rule")),
    )
    op.create_index(op.f("ix_access_rule_account_id"), "access_rule", ["account_id"], unique=False)

    op.create_table(
        "audit",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="0: the installation as a whole"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="who: 'cli:user@host', 'api_key:7', 'worker', …"),
        sa.Column("source", sa.Text(), nullable=False, comment="IP address; empty: this machine"),
        sa.Column("action", sa.Text(), nullable=False, comment="'domain.add', 'credential.revoke', …"),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON object; never a secret"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_audit_account_id_id"), "audit", ["account_id", "id"], unique=False)

    op.create_table(
        "console_user",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False, comment="an e-mail address, lower case"),
        sa.Column("role", sa.Text(), nullable=False, comment="'owner', 'admin', 'operator' or 'viewer'"),
        sa.Column("secret_hash", sa.Text(), nullable=False, comment="argon2id"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("last_used_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_console_user")),
        sa.UniqueConstraint("login", name=op.f("uq_console_user_login")),
    )
    op.create_index(op.f("ix_console_user_account_id"), "console_user", ["account_id"], unique=False)

    op.create_table(
        "dkim_key",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("domain_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "selector", sa.Text(), nullable=False, comment="UUID: the record is {selector}._domainkey.{domain}"
        ),
        sa.Column("algorithm", sa.Text(), nullable=False, comment="'rsa-sha256' or 'ed25519-sha256'"),
        sa.Column(
            "sealed",
            sa.LargeBinary(),
            nullable=False,
            comment="private key, PKCS #8 DER, encrypted with the instance key",
        ),
        sa.Column("record", sa.Text(), nullable=False, comment="what is to be published"),
        sa.Column(
            "status",
            sa.Text(),
            nullable=False,
            comment="'pending', 'active' (signs) or 'retired' (still published)",
        ),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("active_at", sa.BigInteger(), nullable=True),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dkim_key")),
        sa.UniqueConstraint("selector", name=op.f("uq_dkim_key_selector")),
    )
    op.create_index(op.f("ix_dkim_key_domain_id"), "dkim_key", ["domain_id"], unique=False)

    op.create_table(
        "domain_check",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("domain_id", sa.BigInteger(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="'spf', 'dkim', 'ed25519', 'dmarc', 'address'"),
        sa.Column("result", sa.Text(), nullable=False, comment="'pass', 'fail', 'temporary' or 'advice'"),
        sa.Column("code", sa.Text(), nullable=False, comment="domains.reasons; empty: nothing is wrong"),
        sa.Column("asked", sa.Text(), nullable=False, comment="JSON: [name, type] of the question"),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column(
            "answered", sa.Text(), nullable=False, comment='JSON: {"answers": texts, "values": of the explanation}'
        ),
        sa.PrimaryKeyConstraint("account_id", "domain_id", "id", name=op.f("pk_domain_check")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "network_zone",
        sa.Column("id", sa.Text(), nullable=False, comment="32 hexadecimal digits"),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("addresses", sa.Text(), nullable=False, comment="JSON array of objects: access.zones"),
        sa.Column("excluded", sa.Text(), nullable=False, comment="JSON array of objects"),
        sa.Column("version", sa.Text(), nullable=False, comment="the ETag; another one after each change"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_network_zone")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_network_zone_account_id_name")),
    )
    op.create_table(
        "project",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False, comment="UUID; the instance id of the IBM dialect"),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_project")),
        sa.UniqueConstraint("account_id", "name", name=op.f("uq_project_account_id_name")),
        sa.UniqueConstraint("uid", name=op.f("uq_project_uid")),
    )
    op.create_table(
        "quota_usage",
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False, comment="length of the window: 60, 3600 or 86400"),
        sa.Column("starts_at", sa.BigInteger(), nullable=False),
        sa.Column(
            "used", sa.BigInteger(), nullable=False, comment="recipients, with those that workers have reserved"
        ),
        sa.PrimaryKeyConstraint("account_id", "seconds", "starts_at", name=op.f("pk_quota_usage")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "refusal",
        sa.Column("account_id", sa.BigInteger(), nullable=False, comment="0: not known yet"),
        sa.Column("id", sa.BigInteger(), nullable=False, comment="core.ids; the client is told"),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False, comment="'connect', 'auth', 'mail' or 'data'"),
        sa.Column("reason", sa.Text(), nullable=False, comment="code: access.refusals"),
        sa.Column("reply", sa.Text(), nullable=False, comment="what the client was told"),
        sa.Column("credential_id", sa.BigInteger(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False, comment="its IP address"),
        sa.Column("sender", sa.Text(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False, comment="JSON object: listener, domain, rule, …"),
        sa.PrimaryKeyConstraint("account_id", "id", name=op.f("pk_refusal")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "smtp_configuration",
        sa.Column("id", sa.Text(), nullable=False, comment="UUID"),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("project_id", sa.BigInteger(), nullable=False),
        sa.Column("domain_id", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("attachments", sa.Boolean(), nullable=False, comment="whether messages may have any"),
        sa.Column("max_recipients", sa.Integer(), nullable=False),
        sa.Column(
            "allowed_subnets", sa.Text(), nullable=False, comment="deprecated list, JSON array; see network rules"
        ),
        sa.Column("allowed_at", sa.BigInteger(), nullable=True, comment="when that list was last changed"),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_smtp_configuration")),
        sa.UniqueConstraint("project_id", "domain_id", name=op.f("uq_smtp_configuration_project_id_domain_id")),
        sa.UniqueConstraint("project_id", "name", name=op.f("uq_smtp_configuration_project_id_name")),
    )
    op.create_table(
        "smtp_user",
        sa.Column("id", sa.Text(), nullable=False, comment="UUID"),
        sa.Column("account_id", sa.BigInteger(), nullable=False),
        sa.Column("configuration_id", sa.Text(), nullable=False),
        sa.Column("credential_id", sa.BigInteger(), nullable=False, comment="shared with its clones"),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_smtp_user")),
        sa.UniqueConstraint(
            "configuration_id", "credential_id", name=op.f("uq_smtp_user_configuration_id_credential_id")
        ),
    )
    op.create_index(op.f("ix_smtp_user_credential_id"), "smtp_user", ["credential_id"], unique=False)


def _alter() -> None:
    """New columns. They need a value for the rows there are, which is no default for those to come."""
    serial = sa.BigInteger()
    with op.batch_alter_table("account") as batch:
        batch.add_column(_text("region", "", "a name in the table of regions; empty: none"))
        # Nothing that was accepted before the upgrade is refused after it.
        batch.add_column(_text("senders", "any", "'verified': only its verified domains; 'any': a relay's account"))
        batch.add_column(sa.Column("quota_minute", serial, comment="recipients a minute; NULL: no limit"))
        batch.add_column(sa.Column("quota_hour", serial))
        batch.add_column(sa.Column("quota_day", serial))
        batch.add_column(_text("quota_action", "delay", "'delay' to the next window, or 'reject'"))
        batch.add_column(
            sa.Column(
                "revision",
                serial,
                nullable=False,
                server_default="0",
                comment="grows with every change to what belongs to it: workers read again what they remember",
            )
        )
    with op.batch_alter_table("account") as batch:
        for name in ("region", "senders", "quota_action", "revision"):
            batch.alter_column(name, server_default=None)
    with op.batch_alter_table("credential") as batch:
        batch.add_column(
            sa.Column(
                "sealed", sa.LargeBinary(), comment="access_key: the secret, encrypted, as HMAC needs it back"
            )
        )
        batch.add_column(_text("scopes", "", "words with blanks between; empty: everything its kind may"))
        batch.add_column(_text("networks", "", "networks with blanks between; empty: from anywhere"))
    with op.batch_alter_table("credential") as batch:
        for name in ("scopes", "networks"):
            batch.alter_column(name, server_default=None)
    texts = {
        "status": ("pending", "'pending', 'verified', 'failed' or 'suspended': domains.status"),
        "spf": ("pending", "'pending', 'successful' or 'failed'"),
        "dkim": ("pending", None),
        "approval": ("none", "'none' (not needed), 'pending', 'approved' or 'refused'"),
        "approval_reason": ("", None),
        "approved_by": ("", None),
        "questionnaire": ("{}", "JSON object of answers; {}: not answered"),
        "reason": ("", "code of what is wrong, domains.reasons; empty: nothing"),
    }
    with op.batch_alter_table("domain") as batch:
        for name, (value, comment) in texts.items():
            batch.add_column(_text(name, value, comment))
        batch.add_column(
            sa.Column(
                "vouched",
                sa.Boolean(),
                nullable=False,
                server_default=sa.false(),
                comment="an operator vouches for it: no record is demanded",
            )
        )
        batch.add_column(sa.Column("approved_at", serial))
        batch.add_column(sa.Column("checked_at", serial))
        batch.add_column(sa.Column("check_at", serial, comment="next periodic check; NULL: none"))
        batch.add_column(
            sa.Column("failing_since", serial, comment="first of the failed checks in a row since it was verified")
        )
        batch.drop_index("ix_domain_account_id")
        batch.drop_constraint("uq_domain_name", type_="unique")
        batch.create_unique_constraint("uq_domain_account_id_name", ["account_id", "name"])
    with op.batch_alter_table("domain") as batch:
        for name in (*texts, "vouched"):
            batch.alter_column(name, server_default=None)
    due = sa.text("check_at IS NOT NULL")
    op.create_index("ix_domain_check_at", "domain", ["check_at"], sqlite_where=due, postgresql_where=due)


def _text(name: str, value: str, comment: str | None) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False, server_default=value, comment=comment)


def _fill() -> None:
    """Domains that an operator vouched for stay usable."""
    op.execute("UPDATE domain SET vouched = true, status = 'verified' WHERE verified_at IS NOT NULL")


def _comment() -> None:
    """Comments say what has changed; SQLite keeps none."""
    op.alter_column("credential", "kind", comment="'password', 'smtp_user', 'api_key' or 'access_key'")
    op.alter_column(
        "credential",
        "lookup",
        comment="password, smtp_user: user name; api_key: SHA-256 of the key, hex; access_key: its id",
    )
    op.alter_column(
        "credential",
        "secret_hash",
        comment="password, smtp_user: argon2id; NULL for an API key, whose lookup is its hash",
    )
    op.alter_column("domain", "verified_at", comment="when it last became usable; NULL: it never was")
    op.alter_column("content", "data", comment="the message as it will be sent, signed")
    op.alter_column("event", "message_id", comment="0: of the account, such as of a domain")
