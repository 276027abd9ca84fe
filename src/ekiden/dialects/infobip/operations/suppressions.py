"""``/email/1/suppressions``: addresses that get no mail from a domain (contract §4.4).

Where the contract is silent: a request that is wrong anywhere changes nothing; what is written counts for the
next message already, on other workers within a second. Addresses are told in lower case. Recipients who
unsubscribed have no type here: they stay suppressed whatever a client deletes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Response

from ekiden.core.address import BadAddress, parse_address, to_ascii_domain
from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import Violation
from ekiden.dialects.infobip.http import Query, answer, empty
from ekiden.dialects.infobip.paging import read_page
from ekiden.dialects.infobip.times import timestamp_z
from ekiden.dialects.infobip.value_rules import BadField, Checks
from ekiden.domains.errors import DomainsError
from ekiden.limits.loop_slices import Turns, in_turns
from ekiden.recipients.suppressions import Suppression, SuppressionKind
from ekiden.web.need import Need

SIZE: Final = 100
MAX_SIZE: Final = 1_000
MAX_ENTRIES: Final = 10
MAX_ADDRESSES: Final = 1_000
"""Of an entry; all of contract §4.4."""
LISTS: Final = Need(4 * 1_048_576, MAX_ENTRIES * MAX_ADDRESSES + 1_000, 6)
"""Ten thousand of the longest addresses."""
_KINDS: Final[dict[str, SuppressionKind]] = {
    "BOUNCE": "bounce",
    "COMPLAINT": "complaint",
    "OVER_QUOTA": "over_quota",
}
_ADDED: Final = ("BOUNCE", "COMPLAINT")
_MAX_ADDRESS: Final = 320
_MAX_DOMAIN: Final = 255
_MAX_PROBLEMS: Final = 100


class _Given(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    domainName: Any = None
    emailAddress: Any = None
    type: Any = None


class _Body(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    suppressions: list[_Given]


class _Entry(NamedTuple):
    domain: str
    addresses: list[str]
    kind: SuppressionKind


async def list_suppressions(call: Call) -> Response[bytes]:
    """Of one domain and type, the oldest first."""
    checks = Checks()
    query = Query(call.request, checks)
    domain = checks.take("domainName", _domain, query.required("domainName", _MAX_DOMAIN) or None, "")
    if not query.line("type"):
        checks.add("type", "must not be null")
    kind = query.choice("type", tuple(_KINDS))
    address = checks.take("emailAddress", _address, query.line("emailAddress", _MAX_ADDRESS) or None, "")
    recipients = checks.take("recipientDomain", _domain, query.line("recipientDomain", _MAX_DOMAIN) or None, "")
    since, until = query.time("createdDateFrom"), query.time("createdDateTo")
    wanted = read_page(query, SIZE, MAX_SIZE)
    checks.done()
    found = await call.services.suppressions.list(
        call.account_id,
        domain=domain,
        kind=_KINDS[kind],
        address=address,
        recipient_domain=recipients,
        since=since,
        until=until,
        offset=wanted.offset,
        limit=wanted.size,
    )
    return answer({"results": await in_turns(_suppression_json, found), "paging": wanted.short()})


async def add_suppressions(call: Call) -> Response[bytes]:
    """For domains of the account."""
    for entry in await _entries(call, _ADDED, theirs=True):
        await call.services.suppressions.add(
            call.account_id, entry.domain, entry.addresses, entry.kind, actor=call.caller.actor
        )
    return empty()


async def delete_suppressions(call: Call) -> Response[bytes]:
    """Also for domains that the account no longer has."""
    for entry in await _entries(call, tuple(_KINDS), theirs=False):
        await call.services.suppressions.remove(
            call.account_id, entry.domain, entry.addresses, entry.kind, actor=call.caller.actor
        )
    return empty()


async def list_domains(call: Call) -> Response[bytes]:
    """All domains of the account, by name: it may do everything with its own."""
    checks = Checks()
    wanted = read_page(Query(call.request, checks), SIZE, MAX_SIZE)
    checks.done()
    found = await call.services.domains.page(call.account_id, offset=wanted.offset, limit=wanted.size)
    return answer({"results": [_access_json(domain.name) for domain in found.items], "paging": wanted.short()})


def _access_json(domain: str) -> dict[str, Any]:
    return {
        "domainName": domain,
        "dataAccess": "OWNER",
        "readBounces": True,
        "createBounces": True,
        "deleteBounces": True,
        "readComplaints": True,
        "createComplaints": True,
        "deleteComplaints": True,
        "readOverquotas": True,
        "deleteOverquotas": True,
    }


def _suppression_json(row: Suppression) -> dict[str, Any]:
    return {
        "domainName": row.domain,
        "emailAddress": row.address,
        "type": row.kind.upper(),
        "createdDate": timestamp_z(row.created_at),
        "reason": row.told(),
    }


async def _entries(call: Call, types: tuple[str, ...], *, theirs: bool) -> list[_Entry]:
    """What the body asks for, all of it checked. ``theirs``: the account must have the domains."""
    checks = Checks()
    given = (await call.json(_Body, checks)).suppressions
    if not 1 <= len(given) <= MAX_ENTRIES:
        checks.add("suppressions", "size must be between {lowest} and {highest}", lowest=1, highest=MAX_ENTRIES)
        checks.done()
    found = []
    for number, entry in enumerate(given):
        place = f"suppressions[{number}]"
        kind = _required(checks, f"{place}.type", lambda value: fields.choice(value, types), entry.type)
        domain = _required(checks, f"{place}.domainName", _domain, entry.domainName)
        if domain and theirs:
            await _must_be_theirs(call, checks, f"{place}.domainName", domain)
        addresses = await _addresses(checks, f"{place}.emailAddress", entry.emailAddress)
        if kind and domain:
            found.append(_Entry(domain, addresses, _KINDS[kind]))
    checks.done()
    return found


async def _must_be_theirs(call: Call, checks: Checks, place: str, domain: str) -> None:
    try:
        await call.services.domains.get(call.account_id, domain)
    except DomainsError as error:
        checks.violations.append(Violation.of(place, error))


async def _addresses(checks: Checks, place: str, given: Any) -> list[str]:
    if given is None:
        checks.add(place, "must not be null")
        return []
    if not isinstance(given, list):
        checks.add(place, "must be of another type: {why}", why=f"array, not {type(given).__name__}")
        return []
    if not 1 <= len(given) <= MAX_ADDRESSES:
        bounds = {"lowest": 1, "highest": MAX_ADDRESSES}
        checks.add(place, "size must be between {lowest} and {highest}", **bounds)
        return []
    found = []
    turns = Turns()
    for number, address in enumerate(given):
        await turns.next()
        found.append(_required(checks, f"{place}[{number}]", _address, address))
        if len(checks.violations) >= _MAX_PROBLEMS:
            break
    return found


def _required(checks: Checks, place: str, reader: Callable[[Any], str], given: Any) -> str:
    if given is None:
        checks.add(place, "must not be null")
    return checks.take(place, reader, given, "")


def _domain(value: Any) -> str:
    """In lower-case A-labels."""
    try:
        return to_ascii_domain(fields.line(value, _MAX_DOMAIN).strip())
    except BadAddress:
        raise BadField("must be a domain name") from None


def _address(value: Any) -> str:
    try:
        return parse_address(fields.line(value, _MAX_ADDRESS).strip()).text
    except BadAddress:
        raise BadField("must be a well-formed email address") from None
