"""``/email/1/domains``: sending domains, their records, what is counted, the return path (contract §4.3).

Where the contract is silent: ``active`` is a domain that may be sent from, ``blocked`` one that was and may not any
more. ``dnsRecords`` has what the account has to publish, not what is merely advised. Keys always have 2,048 bits:
RFC 8301 §3.2 advises against less, so ``dkimKeyLength`` 1024 is taken and makes one of 2,048. The daily traffic and
the platform's ids are taken and change nothing.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import ApiError, Violation
from ekiden.dialects.infobip.http import Query, answer, empty
from ekiden.dialects.infobip.paging import read_page
from ekiden.dialects.infobip.times import timestamp
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.domains.errors import BadDomain, BadSetting
from ekiden.domains.model import Domain, Record

SIZE: Final = 10
MAX_SIZE: Final = 20
MAX_NAME: Final = 100
"""Characters (contract §4.3)."""
KEY_LENGTHS: Final = (1024, 2048)
_MAX_ADDRESS: Final = 320


class _NewDomain(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    domainName: Any = None
    dkimKeyLength: Any = None
    targetedDailyTraffic: Any = None
    applicationId: Any = None
    entityId: Any = None
    returnPathAddress: Any = None


class _Tracking(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    open: Any = None
    clicks: Any = None
    unsubscribe: Any = None


class _ReturnPath(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    returnPathAddress: Any = None


async def list_domains(call: Call) -> Response[bytes]:
    """By name."""
    checks = Checks()
    wanted = read_page(Query(call.request, checks), SIZE, MAX_SIZE)
    checks.done()
    found = await call.services.domains.page(call.account_id, offset=wanted.offset, limit=wanted.size)
    return answer(
        {
            "paging": wanted.full(found.total),
            "results": [await _domain_json(call, domain) for domain in found.items],
        }
    )


async def add_domain(call: Call) -> Response[bytes]:
    """With its return path, or not at all."""
    checks = Checks()
    given = await call.json(_NewDomain, checks)
    if given.domainName is None:
        checks.add("domainName", "must not be null")
    name = checks.take("domainName", lambda value: fields.line(value, MAX_NAME).strip(), given.domainName, "")
    checks.take("dkimKeyLength", _key_length, given.dkimKeyLength, 0)
    checks.take("targetedDailyTraffic", lambda value: fields.whole(value, 1, 10**18), given.targetedDailyTraffic, 0)
    for member in ("applicationId", "entityId"):
        checks.take(
            member,
            lambda value: fields.identifier(value, fields.MAX_PLATFORM_ID),
            getattr(given, member) or None,
            "",
        )
    return_path = checks.take(
        "returnPathAddress",
        lambda value: fields.line(value, _MAX_ADDRESS).strip(),
        given.returnPathAddress or None,
        "",
    )
    checks.done()
    domains, actor = call.services.domains, call.caller.actor
    try:
        domain = await domains.add(call.account_id, name, actor=actor)
    except BadDomain as error:
        raise ApiError(400, (Violation.of("domainName", error),)) from None
    if return_path:
        try:
            domain = await domains.settings.set_return_path(domain.id, return_path, actor=actor)
        except BadSetting as error:
            await domains.remove(domain.id, actor)
            raise ApiError(400, (Violation.of("returnPathAddress", error),)) from None
    return answer(await _domain_json(call, domain))


def _key_length(value: Any) -> int:
    length = fields.whole(value, 0, 1 << 16)
    if length not in KEY_LENGTHS:
        raise BadField("must be one of {known}", known=", ".join(map(str, KEY_LENGTHS)))
    return length


async def get_domain(call: Call) -> Response[bytes]:
    return answer(await _domain_json(call, await _domain(call)))


async def delete_domain(call: Call) -> Response[bytes]:
    await call.services.domains.remove((await _domain(call)).id, call.caller.actor)
    return empty()


async def update_tracking(call: Call) -> Response[bytes]:
    """What is not given stays as it is."""
    domain = await _domain(call)
    checks = Checks()
    given = await call.json(_Tracking, checks)
    opens = checks.take("open", fields.boolean, given.open, None)
    clicks = checks.take("clicks", fields.boolean, given.clicks, None)
    unsubscribes = checks.take("unsubscribe", fields.boolean, given.unsubscribe, None)
    checks.done()
    changed = await call.services.domains.settings.set_tracking(
        domain.id, opens=opens, clicks=clicks, unsubscribes=unsubscribes, actor=call.caller.actor
    )
    return answer(await _domain_json(call, changed))


async def update_return_path(call: Call) -> Response[bytes]:
    """An empty one is the author's address again."""
    domain = await _domain(call)
    checks = Checks()
    given = await call.json(_ReturnPath, checks)
    if given.returnPathAddress is None:
        checks.add("returnPathAddress", "must not be null")
    address = checks.take(
        "returnPathAddress",
        lambda value: fields.line(value, _MAX_ADDRESS).strip(),
        given.returnPathAddress or None,
        "",
    )
    checks.done()
    try:
        changed = await call.services.domains.settings.set_return_path(domain.id, address, actor=call.caller.actor)
    except BadSetting as error:
        raise ApiError(400, (Violation.of("returnPathAddress", error),)) from None
    return answer(await _domain_json(call, changed))


async def verify_domain(call: Call) -> Response[bytes]:
    """Look at its records. That is done when the answer comes, so a GET right after it tells what was found."""
    await call.services.domains.verify((await _domain(call)).id, call.caller.actor)
    return empty(202)


async def _domain(call: Call) -> Domain:
    """That of the path. What cannot be a domain's name nobody has, either."""
    try:
        return await call.services.domains.get(call.account_id, call.parameter("domain"))
    except BadDomain as error:
        raise ApiError(404, (Violation.of("domainName", error),)) from None


async def _domain_json(call: Call, domain: Domain) -> dict[str, Any]:
    records = await call.services.domains.records(domain)
    found = {
        "domainId": domain.id,
        "domainName": domain.name,
        "active": domain.usable,
        "tracking": {
            "clicks": domain.tracking.clicks,
            "opens": domain.tracking.opens,
            "unsubscribe": domain.tracking.unsubscribes,
        },
        "dnsRecords": [
            _record_json(record) for record in records if record.required and record.status != "retired"
        ],
        "blocked": domain.status == "suspended",
        "createdAt": timestamp(domain.created_at),
    }
    if domain.return_path:
        found["returnPathAddress"] = domain.return_path
    return found


def _record_json(record: Record) -> dict[str, Any]:
    return {
        "recordType": record.type,
        "name": record.name,
        "expectedValue": record.value,
        "verified": record.status == "successful",
    }
