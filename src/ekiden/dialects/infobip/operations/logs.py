"""``GET /email/{1,4}/logs``: what was sent within two days, as it stands now (contract §3.3, §3.4).

Where the contract is silent: the newest come first; ``from`` and ``sender`` are the envelope's; ``text`` is the
subject, as in Infobip's own example, and the body is told to nobody. A delivery that is not done has no
``doneAt`` in version 4; in version 1, whose older client throws the whole answer away without it, ``doneAt`` is
then since when it has been as it is told. The cursor of the next page is always told; a ``cursor`` that is
given counts without ``useCursor``, too.
"""

from __future__ import annotations

import msgspec
from litestar import Response

from ekiden.delivery.explain import suppression_kind
from ekiden.delivery.logs import LogEntry, LogFilter, LogPage
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.codes import Error, Status
from ekiden.dialects.infobip.http import Query, answer
from ekiden.dialects.infobip.news.reports import PRICE, Platform, platform
from ekiden.dialects.infobip.status import GENERAL_STATUSES, error_json, states_of, status_json, verdict
from ekiden.dialects.infobip.times import timestamp
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.limits.loop_slices import in_turns
from ekiden.mime.header import decode_words


class _LogV1(msgspec.Struct, omit_defaults=True, kw_only=True):
    applicationId: str = ""
    entityId: str = ""
    bulkId: str = ""
    messageId: str
    to: str
    sender: str = msgspec.field(name="from")
    text: str
    sentAt: str
    doneAt: str
    messageCount: int
    price: msgspec.Raw
    status: msgspec.Raw
    error: msgspec.Raw


class _LogV4(msgspec.Struct, omit_defaults=True, kw_only=True):
    text: str
    sender: str
    destination: str
    bulkId: str = ""
    messageId: str
    sentAt: str
    doneAt: str = ""
    messageCount: int
    price: msgspec.Raw
    status: msgspec.Raw
    error: msgspec.Raw
    platform: Platform | None = None
    campaignReferenceId: str = ""


async def logs(call: Call) -> Response[bytes]:
    """``/email/1/logs``."""
    _, page = await _page(call, "from", "to", cursors=False)
    return answer({"results": await in_turns(_log_v1, page.entries)})


async def logs_v4(call: Call) -> Response[bytes]:
    """``/email/4/logs``."""
    limit, page = await _page(call, "sender", "destination", cursors=True)
    return answer(
        {
            "results": await in_turns(_log_v4, page.entries),
            "cursor": {"limit": limit, "nextCursor": page.cursor},
        }
    )


async def _page(call: Call, sender: str, recipient: str, *, cursors: bool) -> tuple[int, LogPage]:
    """The limit that counts, and the page."""
    checks = Checks()
    query = Query(call.request, checks)
    general_status = query.choice("generalStatus", GENERAL_STATUSES)
    limit = query.limit()
    cursor = ""
    if cursors:
        query.boolean("useCursor")
        cursor = query.line("cursor")
    wanted = LogFilter(
        call.account_id,
        ids=query.lines("messageId"),
        bulks=query.lines("bulkId", fields.MAX_BULK_ID),
        sender=query.line(sender, fields.MAX_SUBJECT) or None,
        recipient=query.line(recipient, fields.MAX_SUBJECT) or None,
        campaigns=query.lines("campaignReferenceId", fields.MAX_CAMPAIGN),
        application=query.line("applicationId", fields.MAX_PLATFORM_ID) or None,
        entity=query.line("entityId", fields.MAX_PLATFORM_ID) or None,
        states=states_of(general_status) if general_status else None,
        since=query.time("sentSince"),
        until=query.time("sentUntil"),
        limit=limit,
        cursor=cursor or None,
    )
    checks.done()
    return limit, await call.services.logs.find(wanted)


def _verdict(entry: LogEntry) -> tuple[Status, Error]:
    return verdict(entry.state, entry.cause, entry.diagnosis, suppression_kind(entry.said))


def _log_v1(entry: LogEntry) -> _LogV1:
    status, error = _verdict(entry)
    return _LogV1(
        applicationId=entry.application,
        entityId=entry.entity,
        bulkId=entry.bulk,
        messageId=entry.external_id,
        to=entry.recipient,
        sender=entry.sender,
        text=decode_words(entry.subject),
        sentAt=timestamp(entry.accepted_at),
        doneAt=timestamp(entry.updated_at),
        messageCount=1,
        price=PRICE,
        status=status_json(status),
        error=error_json(error),
    )


def _log_v4(entry: LogEntry) -> _LogV4:
    status, error = _verdict(entry)
    return _LogV4(
        text=decode_words(entry.subject),
        sender=entry.sender,
        destination=entry.recipient,
        bulkId=entry.bulk,
        messageId=entry.external_id,
        sentAt=timestamp(entry.accepted_at),
        doneAt="" if entry.done_at is None else timestamp(entry.done_at),
        messageCount=1,
        price=PRICE,
        status=status_json(status),
        error=error_json(error),
        platform=platform(entry.entity, entry.application),
        campaignReferenceId=entry.campaign,
    )
