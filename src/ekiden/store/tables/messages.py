"""The way of a message: what is queued, tried, and told."""

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
    func,
)

from ekiden.store.tables.base import (
    APPLICATION_SQL,
    BULK_SQL,
    CAMPAIGN_SQL,
    EMPTY,
    FAILURE_SQL,
    HELD_SQL,
    LATER,
    LIVE_SQL,
    REFERENCE_SQL,
    SENDING_SQL,
    WAITING_SQL,
    ZERO,
    Serial,
    metadata,
    where,
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
        server_default=EMPTY,
        comment="id of the request it came with; empty: none was given or made",
    ),
    Column(
        "reference",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="its id as its sender gave it; empty: the queue id",
    ),
    Column(
        "application",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="application, entity and campaign are the sender's words",
    ),
    Column("entity", Text, nullable=False, server_default=EMPTY),
    Column("campaign", Text, nullable=False, server_default=EMPTY),
    Column(
        "routes",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="JSON array of [endpoint id, core.notices mask]; empty: nobody is told",
    ),
    Column(
        "forward",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="JSON of core.forward; empty: it was submitted here",
    ),
    PrimaryKeyConstraint("account_id", "id"),
    Index("ix_message_bulk", "account_id", "bulk", "id", **where(BULK_SQL)),
    Index("ix_message_reference", "account_id", "reference", "id", **where(REFERENCE_SQL)),
    Index("ix_message_campaign", "account_id", "campaign", "id", **where(CAMPAIGN_SQL)),
    Index("ix_message_application", "account_id", "application", "id", **where(APPLICATION_SQL)),
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
    Index("ix_content_shared_id", "shared_id", **where("shared_id IS NOT NULL")),
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
    Column("written", Text, comment="the recipient as its sender wrote it, where that is not its one form"),
    Column("wait", SmallInteger, nullable=False, server_default=ZERO, comment="core.states.Wait, below any holds"),
    Column("holds", SmallInteger, nullable=False, server_default=ZERO, comment="core.states.Hold; 0 unless HELD"),
    Column(
        "held",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="JSON object: of each hold who, when and why (store.holds); empty: nothing is known",
    ),
    Column(
        "said",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="core.said: reason as code and facts; empty: others' words",
    ),
    Column(
        "diagnosis",
        SmallInteger,
        nullable=False,
        server_default=ZERO,
        comment="core.diagnosis",
    ),
    Column(
        "after",
        SmallInteger,
        nullable=False,
        server_default=ZERO,
        comment="core.states.After: what was heard of it once it had ended",
        info=LATER,
    ),
    PrimaryKeyConstraint("account_id", "message_id", "number"),
    # The state is there only so that counting a long queue by state reads the index alone (and SQLite claims).
    Index("ix_delivery_due", "priority", "due_at", "state", **where(WAITING_SQL)),
    # For claims in turn: an account's million of due deliveries is stepped over, not read.
    Index("ix_delivery_turn", "account_id", "priority", "due_at", "state", **where(WAITING_SQL)),
    Index("ix_delivery_owner", "owner", **where(SENDING_SQL)),
    Index("ix_delivery_held", "account_id", **where(HELD_SQL)),
    Index("ix_delivery_recipient", "account_id", "recipient", "message_id"),
    sqlite_with_rowid=False,
)

SHOWN = func.coalesce(delivery.c.written, delivery.c.recipient).label("shown")
"""A recipient as its sender wrote it."""

BY_RECIPIENT = "INDEXED BY ix_delivery_recipient"
"""A hint for SQLite. It knows no numbers of rows: whether it takes this index or the primary key to find one
recipient's deliveries depends on no more than how many columns the table has."""
BY_REFERENCE = "INDEXED BY ix_message_reference"
"""As ``BY_RECIPIENT``: with the bulk known, too, it would look at all of that bulk's messages."""

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
    Column(
        "said",
        Text,
        nullable=False,
        server_default=EMPTY,
        comment="core.said: reply as code and facts; empty: the peer's",
    ),
    Column("diagnosis", SmallInteger, nullable=False, server_default=ZERO, comment="core.diagnosis"),
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
    Column(
        "diagnosis",
        SmallInteger,
        nullable=False,
        server_default=ZERO,
        comment="core.diagnosis",
    ),
    PrimaryKeyConstraint("account_id", "message_id", "id"),
    Index("ix_event_failure", "account_id", "id", **where(FAILURE_SQL)),
    sqlite_with_rowid=False,
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
    Index("ix_notice_live", "endpoint_id", "id", "due_at", **where(LIVE_SQL)),
    sqlite_with_rowid=False,
)

worker = Table(
    "worker",
    metadata,
    Column("id", Serial, primary_key=True, comment="never used twice: the fencing token"),
    Column("node", SmallInteger, nullable=False, comment="0 to 1023, unique among the living: core.ids"),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger, comment="left by itself, or was found expired"),
    Column(
        "roles", Text, nullable=False, server_default=EMPTY, comment="what it does, with commas; empty: not known"
    ),
    Index("uq_worker_node_alive", "node", unique=True, **where("ended_at IS NULL")),
    sqlite_autoincrement=True,
)

lease = Table(
    "lease",
    metadata,
    Column("name", Text, primary_key=True, comment="a single duty: 'prune', 'reap', …"),
    Column("owner", BigInteger, nullable=False, comment="worker.id"),
    Column("expires_at", BigInteger, nullable=False),
)
