"""How long the rows of every table are kept, and how they go: in small transactions, oldest first.

A message that still has a delivery which is not final keeps everything: content, attempts, events. Ids of messages
are ordered by time (``core.ids``), so "older than" is a range of the primary key; what is too young is never read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, func, or_, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND, Millis
from ekiden.core.duration import Duration
from ekiden.core.events import EventType
from ekiden.core.ids import EPOCH, NODE_BITS, SEQUENCE_BITS, id_time
from ekiden.core.states import FIRST_FINAL, Reading
from ekiden.store import tables as t
from ekiden.store.api import Store

FETCHED: Final = "pull"
"""The format of endpoints whose notices are fetched, never sent: ``notify.formats.PULL``, of a floor above."""

RETIRED: Final = "retired"
"""The format of endpoints that nobody wants any more: ``notify.formats`` has no words for them."""

SIGNED: Final[Millis] = 15 * MINUTE
"""After that nobody takes a signature any more: one may be five minutes early or late, and so may a clock."""

READING: Final[Millis] = HOUR
"""Who has begun to read a file before its time was over comes to its end."""


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[retention]``: how long what is finished stays visible. Seconds, or texts such as ``30d``."""

    messages: Duration = 30 * 86_400.0
    """Messages with their deliveries, since acceptance and since the last change of any delivery."""
    attempts: Duration = 30 * 86_400.0
    """Attempts with their SMTP dialogues, since acceptance; at most as long as the message."""
    events: Duration = 30 * 86_400.0
    """Events, since acceptance; at most as long as the message."""
    workers: Duration = 7 * 86_400.0
    """Workers that have ended, and duties that nobody renews."""
    callbacks: Duration = 30 * 86_400.0
    """The log of requests to the endpoints of accounts, and what had to be given up."""
    reports: Duration = 2 * 86_400.0
    """Delivery reports that nobody has fetched."""
    checks: Duration = 30 * 86_400.0
    """Checks of domains; the last ones of each domain stay."""
    inbound: Duration = 7 * 86_400.0
    """Contents of mail that came in, since it was accepted, and as long as somebody is to be told of it; what is
    known of it stays as long as a message."""
    audit: Duration = 400 * 86_400.0
    """The audit log: who changed what, and from where; and the history of suppressions."""


_PIECES: Final = 20
"""Pieces of a mail request that go in one transaction: each has some hundred recipients."""
ENDPOINT_USED: Final[Millis] = HOUR
"""A message may name an endpoint so long after its ``used_at``: that is not written for every message."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What holds for one table. ``setting`` names the field of ``RetentionConfig``; empty: ``why`` it is kept."""

    setting: str
    why: str


PLAN: Final[dict[str, Rule]] = {
    "message": Rule("messages", "once all its deliveries are final and that old"),
    "delivery": Rule("messages", "with its message"),
    "content": Rule("messages", "already when the last delivery becomes final, and at the latest with its message"),
    "attempt": Rule("attempts", "once all deliveries of its message are final; at the latest with its message"),
    "event": Rule("events", "once all deliveries of its message are final; at the latest with its message"),
    "worker": Rule("workers", "once it has ended and owns nothing"),
    "shared_content": Rule("messages", "already when no content needs it any more"),
    "notice": Rule(
        "reports", "those that are fetched; those that are sent go when they were, the dead as the callbacks do"
    ),
    "callback": Rule("callbacks", "since the request"),
    "address_check": Rule("events", "since it was asked for"),
    "upload": Rule("", "until it expires; an attachment, until its template goes; a part of one, for a day"),
    "upload_piece": Rule("", "with its upload"),
    "lease": Rule("workers", "once it has expired"),
    "refusal": Rule("events", "since the refusal"),
    "refused_recipient": Rule("events", "since the refusal"),
    "domain_check": Rule("checks", "since the check, but never the last one of its kind for a domain"),
    "audit": Rule("audit", "since the change"),
    "quota_usage": Rule("workers", "once its window is over"),
    "seen_signature": Rule("", "until a request that is signed so would be too old: a quarter of an hour"),
    "mail_request": Rule(
        "messages", "once nothing of it changes any more and that old; one that was not taken, for a day"
    ),
    "mail_request_piece": Rule("messages", "with its request"),
    "mail_request_tally": Rule("messages", "with its request"),
    "inbound_mail": Rule(
        "messages",
        "once it was read, nobody is to be told of it, and it is that old; its content goes earlier (`inbound`)",
    ),
    "inbound_domain": Rule("", "until its account removes it"),
    "mail_number": Rule("", "as long as the account: no number is used twice"),
    "installation": Rule("", "as long as there is the database"),
    "account": Rule("", "until an operator removes it"),
    "project": Rule("", "until an operator removes it"),
    "credential": Rule("", "until an operator removes it; a revoked one shows who could log in when"),
    "console_user": Rule("", "until an operator removes it; a revoked one shows who could log in when"),
    "domain": Rule("", "until its account removes it"),
    "domain_evidence": Rule("", "with its domain, or until others take its place"),
    "dkim_key": Rule("", "with its domain; a retired one goes when nothing that it signed can be in the queue"),
    "smtp_configuration": Rule("", "until its account removes it"),
    "smtp_user": Rule("", "until its account removes it"),
    "endpoint": Rule("", "until no message, notice or line of the log is left that could name it"),
    "staged_setting": Rule("", "until its account removes it"),
    "suppression": Rule("", "until its account removes it, or it expires"),
    "suppression_history": Rule("audit", "since it happened"),
    "address_book": Rule("", "until an operator removes its account"),
    "address_book_job": Rule("", "until it is done, which takes minutes"),
    "group_member": Rule("", "until its account removes it; of a group that is gone, by and by"),
    "listed_address": Rule("", "until its account removes it; of a book that was reset, by and by"),
    "recipient_group": Rule("", "until its account removes it"),
    "template": Rule("", "until its account removes it, or has too many that are not in use"),
    "template_category": Rule("", "until its account removes it"),
    "template_export": Rule("events", "since it was asked for; its file goes earlier"),
    "landing_page": Rule("", "until its account removes it"),
    "network_zone": Rule("", "until its account removes it"),
    "access_rule": Rule("", "until its account removes it"),
}
"""Every table there is, in the order in which rows go. A new table must be named here."""


async def prune(store: Store, now: Millis, config: RetentionConfig, batch: int = 500) -> dict[str, int]:
    """Remove what is older than ``config`` says; returns the number of rows by table.

    Each transaction removes about ``batch`` deliveries with what belongs to them, so the writers of mail hardly
    notice. Several at once do no harm; one (``take_lease``) is enough.
    """
    removed: Counter[str] = Counter()
    messages = now - round(config.messages * SECOND)
    for table, age in ((t.attempt, config.attempts), (t.event, config.events)):
        before = now - round(age * SECOND)
        if before > messages:
            await _prune_range(store, table, (table,), before, None, batch, removed)
    await _prune_range(store, t.delivery, _OF_A_MESSAGE, messages, messages, batch, removed)
    await _prune_workers(store, now - round(config.workers * SECOND), removed)
    await _prune_records(store, now, config, batch, removed)
    await _prune_inbound(store, now - round(config.inbound * SECOND), messages, batch, removed)
    await _prune_requests(store, now, messages, batch, removed)
    await _prune_shared(store, now, batch, removed)
    await _prune_uploads(store, now, batch, removed)
    await _prune_endpoints(store, now, batch, removed)
    return dict(removed)


_OF_A_MESSAGE: Final = (t.event, t.attempt, t.content, t.delivery, t.message)


def first_id(at: Millis) -> int:
    """The smallest id of a message accepted at or after ``at``."""
    return max(0, at - EPOCH) << (NODE_BITS + SEQUENCE_BITS)


async def _prune_range(
    store: Store,
    walked: Table,
    pruned: Sequence[Table],
    accepted_before: Millis,
    unchanged_since: Millis | None,
    batch: int,
    removed: Counter[str],
) -> None:
    """Walk the keys of ``walked`` and remove the rows in ``pruned`` of those messages that are finished."""
    account_id, message_id = walked.c.account_id, walked.c.message_id
    for account in await _accounts(store, walked):
        after = 0
        while True:
            page = (
                select(message_id)
                .where(account_id == account, message_id > after, message_id < first_id(accepted_before))
                .order_by(message_id)
                .limit(batch)
            )
            async with store.read() as connection:
                ids = sorted(set(await connection.scalars(page)))
                if not ids:
                    break
                unfinished = await _unfinished(connection, account, ids, unchanged_since)
                if walked is t.event:
                    unfinished |= await _told_of(connection, account, ids)
            # What is final stays final, so nothing can have changed since it was read.
            gone = [message for message in ids if message not in unfinished]
            if gone:
                async with store.write() as connection:
                    for table in pruned:
                        key = table.c.id if table is t.message else table.c.message_id
                        theirs = and_(table.c.account_id == account, key.in_(gone))
                        await _delete(connection, table, theirs, removed)
            after = ids[-1]


async def _unfinished(
    connection: AsyncConnection, account: int, ids: list[int], unchanged_since: Millis | None
) -> set[int]:
    """Those of the messages that have a delivery which is not final, or which changed too lately."""
    busy = t.delivery.c.state < int(FIRST_FINAL)
    if unchanged_since is not None:
        busy = or_(busy, t.delivery.c.updated_at >= unchanged_since)
    found = await connection.scalars(
        select(t.delivery.c.message_id)
        .where(t.delivery.c.account_id == account, t.delivery.c.message_id.in_(ids), busy)
        .distinct()
    )
    return set(found)


async def _prune_workers(store: Store, before: Millis, removed: Counter[str]) -> None:
    owns = exists().where(text(t.SENDING_SQL), t.delivery.c.owner == t.worker.c.id)
    async with store.write() as connection:
        await _delete(connection, t.worker, and_(t.worker.c.ended_at < before, ~owns), removed)
        await _delete(connection, t.lease, t.lease.c.expires_at < before, removed)


async def _prune_records(
    store: Store, now: Millis, config: RetentionConfig, batch: int, removed: Counter[str]
) -> None:
    """What belongs to no message: found without holding up a writer, removed by its key, ``batch`` rows at once."""
    checks, newer = t.domain_check, t.domain_check.alias()
    superseded = exists().where(
        newer.c.account_id == checks.c.account_id,
        newer.c.domain_id == checks.c.domain_id,
        newer.c.kind == checks.c.kind,
        newer.c.id > checks.c.id,
    )
    events = now - round(config.events * SECOND)
    usage = now - round(config.workers * SECOND)
    callbacks = now - round(config.callbacks * SECOND)
    reports = now - round(config.reports * SECOND)
    notices = t.notice
    fetched = _endpoints(notices).where(t.endpoint.c.format == FETCHED)
    for table, old in (
        (t.refusal, t.refusal.c.id < first_id(events)),
        (t.refused_recipient, t.refused_recipient.c.refusal_id < first_id(events)),
        (t.event, and_(t.event.c.message_id == 0, t.event.c.id < first_id(events))),
        (checks, and_(checks.c.at < now - round(config.checks * SECOND), superseded)),
        (t.audit, t.audit.c.at < now - round(config.audit * SECOND)),
        (t.suppression_history, t.suppression_history.c.at < now - round(config.audit * SECOND)),
        (t.quota_usage, t.quota_usage.c.starts_at + t.quota_usage.c.seconds * SECOND < usage),
        (notices, and_(notices.c.endpoint_id.in_(fetched), notices.c.id < first_id(reports))),
        (
            notices,
            and_(
                notices.c.endpoint_id.in_(_endpoints(notices)),
                notices.c.id < first_id(callbacks),
                notices.c.dead_at < callbacks,
            ),
        ),
        (
            t.callback,
            and_(t.callback.c.endpoint_id.in_(_endpoints(t.callback)), t.callback.c.id < first_id(callbacks)),
        ),
        (t.address_check, t.address_check.c.id < first_id(events)),
        (t.seen_signature, t.seen_signature.c.at < now - SIGNED),
        (t.template_export, and_(t.template_export.c.requested_at < events, t.template_export.c.expires_at < now)),
    ):
        key = tuple_(*table.primary_key)
        for account in await _accounts(store, table):
            some = select(*table.primary_key).where(table.c.account_id == account, old).limit(batch)
            while True:
                async with store.read() as connection:
                    keys = [tuple(row) for row in await connection.execute(some)]
                if keys:
                    async with store.write() as connection:
                        await _delete(connection, table, key.in_(keys), removed)
                if len(keys) < batch:
                    break


def _endpoints(table: Table) -> Select[tuple[int]]:
    """Those of the account of a row in ``table``: endpoint by endpoint its key leads past all that is not old."""
    return select(t.endpoint.c.id).where(t.endpoint.c.account_id == table.c.account_id)


async def _prune_inbound(store: Store, contents: Millis, rows: Millis, batch: int, removed: Counter[str]) -> None:
    """Mails that came in and were read: contents accepted before ``contents``, then all that is known of them; but
    nothing of what is still told, or was given up and can be told again."""
    mail, content = t.inbound_mail.c, t.content.c
    read = mail.state == int(Reading.READ)
    known = exists().where(mail.account_id == content.account_id, mail.id == content.message_id, read)
    for account in await _accounts(store, t.inbound_mail):
        for key, old, pruned in (
            (content.message_id, and_(content.message_id < first_id(max(contents, rows)), known), (t.content,)),
            (mail.id, and_(mail.id < first_id(rows), read), (t.event, t.inbound_mail)),
        ):
            after = 0
            while True:
                theirs = key.table.c.account_id == account
                page = select(key).where(theirs, key > after, old).order_by(key).limit(batch)
                async with store.read() as connection:
                    ids = list(await connection.scalars(page))
                    needed = await _told_of(connection, account, ids) if ids else set()
                gone = [id for id in ids if id not in needed]
                if gone:
                    async with store.write() as connection:
                        for table in pruned:
                            its = table.c.id if table is t.inbound_mail else table.c.message_id
                            await _delete(
                                connection, table, and_(table.c.account_id == account, its.in_(gone)), removed
                            )
                if len(ids) < batch:
                    break
                after = ids[-1]


class _Received(msgspec.Struct):
    """What is read of the data of ``EventType.RECEIVED``."""

    endpoints: list[int] = []


_received: Final = msgspec.json.Decoder(_Received).decode


async def _told_of(connection: AsyncConnection, account: int, ids: Sequence[int]) -> set[int]:
    """Those of the mails that came in of which some endpoint still has a notice, be it a dead letter."""
    event, note = t.event.c, t.notice.c
    of = event.account_id == account, event.message_id.in_(ids), event.type == int(EventType.RECEIVED)
    events = (await connection.execute(select(event.id, event.data).where(*of))).all()
    endpoints = {endpoint for row in events for endpoint in _received(row.data).endpoints}
    found: set[int] = set()
    for endpoint in endpoints:
        # A step of the key for each mail of the page: their events happened one after the other.
        between = note.id.between(min(row.id for row in events), max(row.id for row in events))
        theirs = select(note.message_id).where(
            note.account_id == account, note.endpoint_id == endpoint, between, note.message_id.in_(ids)
        )
        found.update(await connection.scalars(theirs))
    return found


async def _prune_requests(store: Store, now: Millis, before: Millis, batch: int, removed: Counter[str]) -> None:
    """Requests to mail many, and what did not become one; each with its pieces, some of them at a time."""
    request, piece = t.mail_request.c, t.mail_request_piece.c
    old = and_(request.id < first_id(before), request.settled_at < before)
    staged = and_(request.state == 0, text(t.UNSETTLED_SQL), request.id < first_id(now - DAY))
    for account in await _accounts(store, t.mail_request):
        query = select(request.id).where(request.account_id == account, or_(old, staged)).order_by(request.id)
        async with store.read() as connection:
            ids = list(await connection.scalars(query.limit(batch)))
        for gone in ids:
            some = (
                select(piece.number)
                .where(piece.account_id == account, piece.request_id == gone)
                .order_by(piece.number)
                .limit(_PIECES)
            )
            while True:
                async with store.write() as connection:
                    numbers = list(await connection.scalars(some))
                    theirs = and_(piece.account_id == account, piece.request_id == gone, piece.number.in_(numbers))
                    await _delete(connection, t.mail_request_piece, theirs, removed)
                    if len(numbers) < _PIECES:
                        tally = t.mail_request_tally.c
                        its = and_(tally.account_id == account, tally.request_id == gone)
                        await _delete(connection, t.mail_request_tally, its, removed)
                        itself = and_(request.account_id == account, request.id == gone)
                        await _delete(connection, t.mail_request, itself, removed)
                        break


async def _prune_shared(store: Store, now: Millis, batch: int, removed: Counter[str]) -> None:
    """What messages have shared and none of them needs any more, one at a time: each may have many megabytes.

    Contents come in the same commit as what they share, so what has none here had them and lost them. The last
    hour is left alone all the same: a request may still be adding to what it began with.
    """
    shared = t.shared_content.c
    for account in await _accounts(store, t.shared_content):
        after = 0
        while True:
            page = (
                select(shared.id)
                .where(shared.account_id == account, shared.id > after, shared.id < first_id(now - HOUR))
                .group_by(shared.id)
                .order_by(shared.id)
                .limit(batch)
            )
            async with store.read() as connection:
                ids = list(await connection.scalars(page))
                needed = set(
                    await connection.scalars(
                        select(t.content.c.shared_id).where(t.content.c.shared_id.in_(ids)).distinct()
                    )
                )
                # What the messages of a request will share has its id, and is there before them.
                request = t.mail_request.c
                coming = request.account_id == account, request.id.in_(ids), text(t.UNSETTLED_SQL)
                needed.update(await connection.scalars(select(request.id).where(*coming)))
            for unneeded in (shared_id for shared_id in ids if shared_id not in needed):
                async with store.write() as connection:
                    pieces = and_(shared.account_id == account, shared.id == unneeded)
                    await _delete(connection, t.shared_content, pieces, removed)
            if len(ids) < batch:
                break
            after = ids[-1]


async def _prune_uploads(store: Store, now: Millis, batch: int, removed: Counter[str]) -> None:
    """Files whose time has been over for ``READING``, one at a time; a part of a file has a time, too."""
    upload = t.upload.c
    before = now - READING
    after = 0
    while True:
        page = (
            select(upload.id).where(upload.id > after, upload.expires_at <= before).order_by(upload.id).limit(batch)
        )
        async with store.read() as connection:
            ids = list(await connection.scalars(page))
        for expired in ids:
            async with store.write() as connection:
                # Asked again: it may just have become complete.
                still = and_(upload.id == expired, upload.expires_at <= before)
                if (await connection.execute(delete(t.upload).where(still))).rowcount:
                    removed["upload"] += 1
                    await _delete(connection, t.upload_piece, t.upload_piece.c.upload_id == expired, removed)
        if len(ids) < batch:
            break
        after = ids[-1]


async def _prune_endpoints(store: Store, now: Millis, batch: int, removed: Counter[str]) -> None:
    """Those that were last used before the oldest message of their account came, and that nothing is left of.

    Clients that put an id into every URL would else leave a row behind with every message. A message that is being
    written names endpoints that were used within the last hour, so nobody can be about to name one that goes.
    """
    end, note, log, message = t.endpoint.c, t.notice, t.callback, t.message
    for account in await _accounts(store, t.endpoint):
        async with store.read() as connection:
            kept = await connection.scalar(select(t.account.c.reports_endpoint).where(t.account.c.id == account))
            oldest = await connection.scalar(select(func.min(message.c.id)).where(message.c.account_id == account))
        before = min(now, now if oldest is None else id_time(oldest)) - 2 * ENDPOINT_USED
        unneeded = and_(
            end.account_id == account,
            end.used_at < before,
            end.owner.is_(None),
            end.setting == "",
            end.id != (kept or 0),
            ~exists().where(note.c.account_id == account, note.c.endpoint_id == end.id),
            ~exists().where(log.c.account_id == account, log.c.endpoint_id == end.id),
        )
        after = 0
        while True:
            page = select(end.id).where(end.id > after, unneeded).order_by(end.id).limit(batch)
            async with store.read() as connection:
                ids = list(await connection.scalars(page))
            if ids:
                async with store.write() as connection:
                    await _delete(connection, t.endpoint, and_(end.id.in_(ids), unneeded), removed)
            if len(ids) < batch:
                break
            after = ids[-1]


async def _delete(
    connection: AsyncConnection, table: Table, condition: ColumnElement[bool], removed: Counter[str]
) -> None:
    done = await connection.execute(delete(table).where(condition))
    if done.rowcount:
        removed[table.name] += done.rowcount


async def _accounts(store: Store, table: Table) -> list[int]:
    """The accounts that have rows in ``table``: one search of its key for each, however many rows there are."""
    found: list[int] = []
    async with store.read() as connection:
        while True:
            query: Select[Any] = select(func.min(table.c.account_id))
            if found:
                query = query.where(table.c.account_id > found[-1])
            account = await connection.scalar(query)
            if account is None:
                return found
            found.append(account)
