"""``/email/1/bulks``: what one request has brought, moved, paused, resumed, cancelled (contract §4.1).

Where the contract is silent: ``PENDING`` and ``PROCESSING`` resume what is paused; a time that is over means now;
``FINISHED`` and ``FAILED`` can be asked of no bulk, which is a 409. What is answered is the bulk as it stands then.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.delivery.bulks import Bulk, BulkNotFound
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import ApiError
from ekiden.dialects.infobip.http import Query, answer
from ekiden.dialects.infobip.status import bulk_status
from ekiden.dialects.infobip.times import timestamp
from ekiden.dialects.infobip.value_rules import Checks

STATUSES: Final = ("PENDING", "PAUSED", "PROCESSING", "CANCELED", "FINISHED", "FAILED")


class _Reschedule(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    sendAt: Any = None


class _Update(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    status: Any = None


async def get_schedule(call: Call) -> Response[bytes]:
    """When it is sent."""
    bulk = await _bulk(call)
    return answer(
        {
            "externalBulkId": bulk.name,
            "bulks": [{"bulkId": str(bulk.first_id), "sendAt": timestamp(bulk.send_at)}],
        }
    )


async def get_status(call: Call) -> Response[bytes]:
    """How far it is."""
    bulk = await _bulk(call)
    return answer(
        {"externalBulkId": bulk.name, "bulks": [{"bulkId": str(bulk.first_id), "status": bulk_status(bulk)}]}
    )


async def reschedule(call: Call) -> Response[bytes]:
    """Send it at another time."""
    checks = Checks()
    name = _name(call, checks)
    given = await call.json(_Reschedule, checks)
    if given.sendAt is None:
        checks.add("sendAt", "must not be null")
    now = call.services.clock.now()
    send_at = checks.take("sendAt", lambda value: fields.send_at(value, now, fields.AHEAD_V3), given.sendAt, None)
    checks.done()
    bulk = await call.services.bulks.reschedule(call.account_id, name, now if send_at is None else send_at)
    return answer({"bulkId": bulk.name, "sendAt": timestamp(bulk.send_at)})


async def update_status(call: Call) -> Response[bytes]:
    """Pause, resume or cancel it."""
    checks = Checks()
    name = _name(call, checks)
    given = await call.json(_Update, checks)
    if given.status is None:
        checks.add("status", "must not be null")
    status = checks.take("status", lambda value: fields.choice(value, STATUSES), given.status, "")
    checks.done()
    bulks, by = call.services.bulks, call.caller.actor.name
    if status == "PAUSED":
        bulk = await bulks.pause(call.account_id, name, by)
    elif status == "CANCELED":
        bulk = await bulks.cancel(call.account_id, name, by)
    elif status in ("PENDING", "PROCESSING"):
        bulk = await bulks.resume(call.account_id, name, by)
    else:
        await _found(call, name)
        raise ApiError(409, text="Update not allowed for bulk")
    return answer({"bulkId": bulk.name, "status": bulk_status(bulk)})


async def _bulk(call: Call) -> Bulk:
    checks = Checks()
    name = _name(call, checks)
    checks.done()
    return await _found(call, name)


async def _found(call: Call, name: str) -> Bulk:
    bulk = await call.services.bulks.get(call.account_id, name)
    if bulk is None:
        raise BulkNotFound(name)
    return bulk


def _name(call: Call, checks: Checks) -> str:
    return Query(call.request, checks).required("bulkId", fields.MAX_BULK_ID)
