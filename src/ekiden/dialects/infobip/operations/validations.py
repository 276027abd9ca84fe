"""``/email/2/validation`` and ``/email/2/validations``: whether addresses are worth sending to (contract §4.2).

What is known and what is not: ``recipients.validation.address_check``. ``detailedReasons`` are words with commas
between, told unless the mailbox is known to be good. ``validMailbox`` is a string in every answer, as it is
documented.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any, Final, cast

import msgspec
from litestar import Response

from ekiden.dialects.infobip import value_rules as fields
from ekiden.dialects.infobip.call import Call
from ekiden.dialects.infobip.errors import wants_xml
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.http import Query, answer
from ekiden.dialects.infobip.times import timestamp_z
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.limits.loop_slices import in_turns
from ekiden.recipients.validation.address_check import AddressCheck, Mailbox, Risk
from ekiden.recipients.validation.address_check_requests import (
    MAX_DESTINATION,
    MAX_DESTINATIONS,
    MAX_REQUEST,
    MAX_SIZE,
    Checked,
    CheckFilter,
)
from ekiden.web.need import Need
from ekiden.web.problem import JSON
from ekiden.web.xml import XML, xml_document, xml_text

MANY: Final = Need(16 * 1_048_576, 2 * MAX_DESTINATIONS + 1_000, 4)
"""100,000 addresses of up to a hundred and fifty octets on average, with what JSON needs around them."""
MAX_ASKED: Final = 100
"""Addresses in a query."""
_SIZE: Final = 100
_FIELDS: Final = FormFields.of(("to",))
_MAX_PROBLEMS: Final = 100
_AT_ONCE: Final = 1_000
"""Addresses that are read before others get their turn."""
_MAILBOXES: Final = ("true", "false", "unknown")
_RISKS: Final = ("LOW", "MEDIUM", "HIGH", "UNKNOWN")


class _One(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    to: Any = None


class _Destination(msgspec.Struct, kw_only=True, gc=False, forbid_unknown_fields=True):
    destination: Any = None


class _Many(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    destinations: list[_Destination]
    validationRequestId: Any = None


class _Findings(msgspec.Struct, omit_defaults=True, kw_only=True):
    validMailbox: str
    validSyntax: bool
    catchAll: bool
    didYouMean: str = ""
    disposable: bool
    roleBased: bool
    reason: str = ""
    risk: str
    detailedReasons: str = ""


async def validate(call: Call) -> Response[bytes]:
    """One address, from JSON or a form, answered at once in JSON or XML."""
    checks = Checks()
    to = checks.take("to", _destination, await _to(call, checks), "")
    checks.done()
    found = _findings(await call.services.checks.check_one(call.account_id, to))
    pairs = {"to": to, **msgspec.to_builtins(found)}
    if not wants_xml(call.request):
        return answer(pairs)
    body = f"<ValidationResponse>{_elements(pairs.items())}</ValidationResponse>"
    return Response(xml_document(body), media_type=XML)


async def _to(call: Call, checks: Checks) -> Any:
    media_type = call.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    given: Any
    if media_type in ("", JSON) or media_type.endswith("+json"):
        given = (await call.json(_One, checks)).to
    else:
        form = await call.form(_FIELDS, checks)
        given = form.one("to", checks)
        form.close()
    if given is None:
        checks.add("to", "must not be null")
    return given


def _elements(pairs: Iterable[tuple[str, Any]]) -> str:
    texts = ((name, str(value).lower() if isinstance(value, bool) else value) for name, value in pairs)
    return "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in texts)


async def validate_many(call: Call) -> Response[bytes]:
    """Many addresses, checked by and by."""
    checks = Checks()
    given = await call.json(_Many, checks)
    request = checks.take(
        "validationRequestId", lambda value: fields.identifier(value, MAX_REQUEST), given.validationRequestId, None
    )
    if not 1 <= len(given.destinations) <= MAX_DESTINATIONS:
        bounds = {"lowest": 1, "highest": MAX_DESTINATIONS}
        checks.add("destinations", "size must be between {lowest} and {highest}", **bounds)
        checks.done()
    addresses = []
    for number, item in enumerate(given.destinations):
        place = f"destinations[{number}].destination"
        if item.destination is None:
            checks.add(place, "must not be null")
        addresses.append(checks.take(place, _destination, item.destination, ""))
        if len(checks.violations) >= _MAX_PROBLEMS:
            break
        if number % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
    checks.done()
    made = await call.services.check_requests.request(call.account_id, request, addresses)
    return answer({"validationRequestId": made}, 202)


def _destination(value: Any) -> str:
    return fields.line(value, MAX_DESTINATION).strip()


async def results(call: Call) -> Response[bytes]:
    """What was found."""
    checks = Checks()
    query = Query(call.request, checks)
    addresses = query.lines("destination", MAX_DESTINATION)
    if len(addresses) > MAX_ASKED:
        checks.add("destination", "must not have more than {most} entries", most=MAX_ASKED)
    size = query.number("size", _SIZE, 1, MAX_SIZE)
    cursor = query.line("cursor")
    wanted = CheckFilter(
        call.account_id,
        request=query.line("validationRequestId", MAX_REQUEST) or None,
        addresses=addresses,
        mailbox=cast(Mailbox | None, query.choice("validMailbox", _MAILBOXES) or None),
        valid_syntax=_switch(query, checks, "validSyntax"),
        catch_all=_switch(query, checks, "catchAll"),
        disposable=_switch(query, checks, "disposable"),
        role_based=_switch(query, checks, "roleBased"),
        risk=cast(Risk | None, query.choice("risk", _RISKS).lower() or None),
        since=query.time("validatedDateFrom"),
        until=query.time("validatedDateTo"),
    )
    checks.done()
    page = await call.services.check_requests.results(wanted, cursor, size)
    return answer(
        {
            "results": await in_turns(_result, page.items),
            "paging": {"size": size, "previousCursor": page.previous, "nextCursor": page.next},
        }
    )


def _switch(query: Query, checks: Checks, name: str) -> bool | None:
    """A boolean that may be asked for; ``None``: either."""
    given = query.line(name)
    if not given:
        return None
    return checks.take(name, fields.boolean, given, None)


def _result(item: Checked) -> dict[str, Any]:
    return {
        "destination": item.check.address,
        **msgspec.to_builtins(_findings(item.check)),
        "bulkValidationDate": timestamp_z(item.checked_at),
        "validationRequestId": item.request,
    }


def _findings(check: AddressCheck) -> _Findings:
    return _Findings(
        validMailbox=check.mailbox,
        validSyntax=check.valid_syntax,
        catchAll=check.catch_all,
        didYouMean=check.did_you_mean,
        disposable=check.disposable,
        roleBased=check.role_based,
        reason=check.reason.upper(),
        risk=check.risk.upper(),
        detailedReasons="" if check.mailbox == "true" else ",".join(check.details),
    )
