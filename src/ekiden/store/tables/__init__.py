"""Every table, once, for SQLite and PostgreSQL alike (SQLAlchemy Core). Migrations live in ``migrations/``.

Rules of the house: times are milliseconds since the epoch in BIGINT; enumerations are the small integers of
``ekiden.core``; keys of hot tables begin with the account, so that a distributed PostgreSQL can spread them; small
hot rows are clustered on their key (WITHOUT ROWID on SQLite). Partial indexes hold exactly the rows that a worker
looks for, so that finished deliveries cost them nothing.
"""

from __future__ import annotations

from ekiden.store.tables.access import (
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
    seen_signature,
    smtp_configuration,
    smtp_user,
)
from ekiden.store.tables.address_book import (
    address_book,
    address_book_job,
    group_member,
    listed_address,
    recipient_group,
)
from ekiden.store.tables.base import (
    APPLICATION_SQL,
    BATCH_SQL,
    BULK_SQL,
    CAMPAIGN_SQL,
    EXPIRING_SQL,
    FAILURE_SQL,
    FAILURES,
    HELD_SQL,
    LIVE_SQL,
    REFERENCE_SQL,
    SENDING_SQL,
    SETTING_SQL,
    UNREAD_SQL,
    WAITING_SQL,
    metadata,
)
from ekiden.store.tables.inbound import inbound_domain, inbound_mail
from ekiden.store.tables.mail_requests import (
    BY_UNSENT,
    DUE_REQUEST_SQL,
    PIECE_WAITING_SQL,
    RESOLVING_SQL,
    UNCOUNTED_SQL,
    UNSENT_SQL,
    UNSETTLED_SQL,
    mail_number,
    mail_request,
    mail_request_piece,
    mail_request_tally,
)
from ekiden.store.tables.messages import (
    BY_RECIPIENT,
    BY_REFERENCE,
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
from ekiden.store.tables.services import (
    address_check,
    callback,
    endpoint,
    landing_page,
    staged_setting,
    suppression,
    suppression_history,
    template,
    template_category,
    template_export,
    upload,
    upload_piece,
)
