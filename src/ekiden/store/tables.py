"""Every table, once, for SQLite and PostgreSQL alike (SQLAlchemy Core). Migrations live in ``migrations/``.

Rules of the house: times are milliseconds since the epoch in BIGINT; enumerations are the small integers of
``ekiden.core``; keys of hot tables begin with the account, so that a distributed PostgreSQL can spread them; small
hot rows are clustered on their key (WITHOUT ROWID on SQLite). Partial indexes hold exactly the rows that a worker
looks for, so that finished deliveries cost them nothing.
"""

from __future__ import annotations

from ekiden.store.tables_access import (
    access_rule,
    account,
    audit,
    console_user,
    credential,
    dkim_key,
    domain,
    domain_check,
    domain_evidence,
    installation,
    network_zone,
    project,
    quota_usage,
    refusal,
    refused_recipient,
    smtp_configuration,
    smtp_user,
)
from ekiden.store.tables_base import (
    APPLICATION_SQL,
    BULK_SQL,
    CAMPAIGN_SQL,
    HELD_SQL,
    LIVE_SQL,
    REFERENCE_SQL,
    SENDING_SQL,
    WAITING_SQL,
    metadata,
)
from ekiden.store.tables_road import (
    SHOWN,
    attempt,
    content,
    delivery,
    event,
    lease,
    message,
    notice,
    shared_content,
    worker,
)
from ekiden.store.tables_services import (
    address_check,
    callback,
    endpoint,
    landing_page,
    suppression,
    template,
    upload,
    upload_piece,
)

__all__ = [
    "APPLICATION_SQL",
    "BULK_SQL",
    "CAMPAIGN_SQL",
    "HELD_SQL",
    "LIVE_SQL",
    "REFERENCE_SQL",
    "SENDING_SQL",
    "SHOWN",
    "WAITING_SQL",
    "access_rule",
    "account",
    "address_check",
    "attempt",
    "audit",
    "callback",
    "console_user",
    "content",
    "credential",
    "delivery",
    "dkim_key",
    "domain",
    "domain_check",
    "domain_evidence",
    "endpoint",
    "event",
    "installation",
    "landing_page",
    "lease",
    "message",
    "metadata",
    "network_zone",
    "notice",
    "project",
    "quota_usage",
    "refusal",
    "refused_recipient",
    "shared_content",
    "smtp_configuration",
    "smtp_user",
    "suppression",
    "template",
    "upload",
    "upload_piece",
    "worker",
]
