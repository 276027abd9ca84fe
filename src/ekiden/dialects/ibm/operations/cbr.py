"""Context-based restrictions v1 over HTTP: network zones and rules (contract §4).

Rules protect instances and their SMTP; these operations stay open to whoever has an API key that may use them, so
that nobody is locked out by a rule of their own.
"""

from __future__ import annotations

import re
from typing import Any, Final

from litestar import Response

from ekiden.dialects.ibm.call import Call
from ekiden.dialects.ibm.cbr_shapes import (
    RuleBody,
    ZoneBody,
    operations_shape,
    rule_shape,
    service_targets,
    settings_shape,
    zone_shape,
    zone_summary,
)
from ekiden.dialects.ibm.cbr_translations import TEXTS
from ekiden.dialects.ibm.errors import ApiError, IbmEnvelope
from ekiden.dialects.ibm.http import BODY, answer, no_content, text_parameter
from ekiden.networks.api_types import MODES, SERVICES
from ekiden.networks.errors import (
    ModeNotSupported,
    NetworkError,
    NotProtected,
    TooMany,
    VersionMismatch,
    ZoneInUse,
)
from ekiden.networks.rules import RuleFilter
from ekiden.web.need import NO_BODY
from ekiden.web.operation import changes, reads
from ekiden.web.problem import AnyRequest
from ekiden.web.proof import Caller

_ACCOUNT_ID = re.compile(r"[a-zA-Z0-9\-]{1,128}")
_MAX_VALUE: Final = 1_000
_TARGET_TYPES: Final = ("all", "platform_service")
_RULE_FILTERS: Final = {
    # parameter of the query: attribute of the resource
    "region": "region",
    "resource": "resource",
    "resource_type": "resourceType",
    "service_instance": "serviceInstance",
    "service_name": "serviceName",
    "service_type": "serviceType",
    "service_group_id": "service_group_id",
}
_ERRORS: Final[tuple[tuple[type[NetworkError], int, str], ...]] = (
    (VersionMismatch, 412, "precondition_failed"),
    (ZoneInUse, 409, "zone_in_use"),
    (TooMany, 400, "limit_exceeded"),
    (NotProtected, 400, "service_not_cbr_enabled"),
    (ModeNotSupported, 400, "enforcement_mode_not_supported"),
)


class CbrEnvelope(IbmEnvelope):
    """With codes of what can be wrong with zones and rules."""

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        for kind, status, code in _ERRORS:
            if isinstance(error, kind):
                known = ApiError.of(status, error)
                known.code = code
                return known
        return super().own(request, error)


async def create_zone(call: Call) -> Response[Any]:
    """POST /v1/zones"""
    request, caller = call.request, call.caller
    body = await call.json(ZoneBody)
    _own(caller, body.account_id)
    zone = await call.services.zones.create(call.account_id, body.values(), actor=caller.actor)
    return _versioned(request, zone_shape(zone, caller.account.uid, _base(request)), zone.version, 201)


async def list_zones(call: Call) -> Response[Any]:
    """GET /v1/zones"""
    request, caller = call.request, call.caller
    _own(caller, request.query_params.get("account_id"))
    name = text_parameter(request, "name", 128) or ""
    sort = text_parameter(request, "sort", _MAX_VALUE) or ""
    found = await call.services.zones.list(call.account_id, name=name, sort=sort)
    zones = [zone_summary(zone, caller.account.uid, _base(request)) for zone in found]
    return answer(request, {"count": len(zones), "zones": zones})


async def get_zone(call: Call) -> Response[Any]:
    """GET /v1/zones/{zone_id}"""
    request, caller = call.request, call.caller
    zone = await call.services.zones.get(call.account_id, call.parameter("id"))
    return _versioned(request, zone_shape(zone, caller.account.uid, _base(request)), zone.version)


async def replace_zone(call: Call) -> Response[Any]:
    """PUT /v1/zones/{zone_id}"""
    request, caller = call.request, call.caller
    body = await call.json(ZoneBody)
    # A zone that is not there is told before anything else that may be wrong.
    await call.services.zones.get(call.account_id, call.parameter("id"))
    version = _wanted_version(request)
    _own(caller, body.account_id)
    zone = await call.services.zones.replace(
        call.account_id, call.parameter("id"), version, body.values(), actor=caller.actor
    )
    return _versioned(request, zone_shape(zone, caller.account.uid, _base(request)), zone.version)


async def delete_zone(call: Call) -> Response[Any]:
    """DELETE /v1/zones/{zone_id}"""
    request, caller = call.request, call.caller
    await call.services.zones.delete(call.account_id, call.parameter("id"), actor=caller.actor)
    return no_content(request)


async def create_rule(call: Call) -> Response[Any]:
    """POST /v1/rules"""
    request, caller = call.request, call.caller
    body = await call.json(RuleBody)
    values = body.values()
    _own_resource(caller, body)
    rule = await call.services.rules.create(call.account_id, values, actor=caller.actor)
    return _versioned(request, rule_shape(rule, caller.account.uid, _base(request)), rule.version, 201)


async def list_rules(call: Call) -> Response[Any]:
    """GET /v1/rules"""
    request, caller = call.request, call.caller
    _own(caller, request.query_params.get("account_id"))
    attributes = {
        attribute: text_parameter(request, parameter, _MAX_VALUE) or ""
        for parameter, attribute in _RULE_FILTERS.items()
    }
    wanted = RuleFilter(
        attributes,
        text_parameter(request, "zone_id", _MAX_VALUE) or "",
        _one_of(request, "enforcement_mode", MODES),
    )
    sort = text_parameter(request, "sort", _MAX_VALUE) or ""
    found = await call.services.rules.list(call.account_id, wanted, sort=sort)
    rules = [rule_shape(rule, caller.account.uid, _base(request)) for rule in found]
    return answer(request, {"count": len(rules), "rules": rules})


async def get_rule(call: Call) -> Response[Any]:
    """GET /v1/rules/{rule_id}"""
    request, caller = call.request, call.caller
    rule = await call.services.rules.get(call.account_id, call.parameter("id"))
    return _versioned(request, rule_shape(rule, caller.account.uid, _base(request)), rule.version)


async def replace_rule(call: Call) -> Response[Any]:
    """PUT /v1/rules/{rule_id}"""
    request, caller = call.request, call.caller
    body = await call.json(RuleBody)
    await call.services.rules.get(call.account_id, call.parameter("id"))
    version = _wanted_version(request)
    values = body.values()
    _own_resource(caller, body)
    rule = await call.services.rules.replace(
        call.account_id, call.parameter("id"), version, values, actor=caller.actor
    )
    return _versioned(request, rule_shape(rule, caller.account.uid, _base(request)), rule.version)


async def delete_rule(call: Call) -> Response[Any]:
    """DELETE /v1/rules/{rule_id}"""
    request, caller = call.request, call.caller
    await call.services.rules.delete(call.account_id, call.parameter("id"), actor=caller.actor)
    return no_content(request)


async def get_settings(call: Call) -> Response[Any]:
    """GET /v1/account_settings/{account_id}"""
    request, caller = call.request, call.caller
    _own(caller, call.parameter("id"))
    rules = await call.services.rules.list(call.account_id)
    zones = await call.services.zones.count(call.account_id)
    return answer(request, settings_shape(caller.account.uid, rules, zones, _base(request)))


async def list_targets(call: Call) -> Response[Any]:
    """GET /v1/zones/serviceref_targets"""
    wanted = _one_of(call.request, "type", _TARGET_TYPES)
    targets = service_targets(call.services.networks)
    if wanted == "platform_service":
        targets = [target for target in targets if target.get("service_type") == wanted]
    return answer(call.request, {"count": len(targets), "targets": targets})


async def get_target(call: Call) -> Response[Any]:
    """GET /v1/zones/serviceref_targets/{service_name}"""
    name = call.parameter("id")
    for target in service_targets(call.services.networks):
        if target["service_name"] == name:
            return answer(call.request, target)
    raise ApiError(404, "there is no service reference target {name!r}", texts=TEXTS, name=name)


async def list_operations(call: Call) -> Response[Any]:
    """GET /v1/operations: of one service or of all. There are no groups of services or types of resources."""
    service = text_parameter(call.request, "service_name", _MAX_VALUE)
    group = text_parameter(call.request, "service_group_id", _MAX_VALUE)
    resource_type = text_parameter(call.request, "resource_type", _MAX_VALUE)
    if service and group:
        raise ApiError(400, "service_name and service_group_id exclude each other", texts=TEXTS)
    names = () if group or resource_type else (service,) if service else tuple(SERVICES)
    return answer(call.request, operations_shape(tuple(item for name in names for item in SERVICES.get(name, ()))))


def _own(caller: Caller, account_id: str | None) -> None:
    """Raises the 400 of what is no account id, and the 403 of another account's."""
    if not account_id:
        raise ApiError(400, "account_id is needed", texts=TEXTS)
    if account_id.lower() == caller.account.uid or account_id == caller.account.name:
        return
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise ApiError(400, "{value!r} is not an account id", texts=TEXTS, value=account_id)
    raise ApiError(403, "the account {value!r} is not yours", texts=TEXTS, value=account_id)


def _own_resource(caller: Caller, body: RuleBody) -> None:
    """The same for the account that a rule's resource names; that it names one is checked with the rule."""
    account_id = body.resources[0].value("accountId")
    if account_id:
        _own(caller, account_id)


def _one_of(request: AnyRequest, name: str, allowed: tuple[str, ...]) -> str:
    value = text_parameter(request, name, _MAX_VALUE) or ""
    if value and value not in allowed:
        raise ApiError(
            400,
            "{field}: {value!r} is none of {allowed}",
            texts=TEXTS,
            field=name,
            value=value,
            allowed=", ".join(allowed),
        )
    return value


def _wanted_version(request: AnyRequest) -> str | None:
    """``If-Match`` (RFC 9110 §13.1.1), with or without quotes; ``None``: any version (``*``).

    Raises the 400 of a request without it: IBM's clients never send one.
    """
    given = request.headers.get("if-match", "").strip()
    if not given:
        raise ApiError(400, "If-Match is needed: the ETag of what is to be replaced", texts=TEXTS)
    if given == "*":
        return None
    return given.removeprefix("W/").strip('"')


def _versioned(request: AnyRequest, shape: dict[str, Any], version: str, status: int = 200) -> Response[bytes]:
    return answer(request, shape, status, {"ETag": f'"{version}"'})


def _base(request: AnyRequest) -> str:
    """Where the client reached this server, with a slash at the end."""
    return str(request.base_url)


_ZONE: Final = "/v1/zones/{id:str}"
_RULE: Final = "/v1/rules/{id:str}"
OPERATIONS: Final = (
    changes("POST", "/v1/zones", create_zone, need=BODY),
    reads("/v1/zones", list_zones),
    reads("/v1/zones/serviceref_targets", list_targets),
    reads("/v1/zones/serviceref_targets/{id:str}", get_target),
    reads(_ZONE, get_zone),
    changes("PUT", _ZONE, replace_zone, need=BODY),
    changes("DELETE", _ZONE, delete_zone, need=NO_BODY),
    changes("POST", "/v1/rules", create_rule, need=BODY),
    reads("/v1/rules", list_rules),
    reads(_RULE, get_rule),
    changes("PUT", _RULE, replace_rule, need=BODY),
    changes("DELETE", _RULE, delete_rule, need=NO_BODY),
    reads("/v1/account_settings/{id:str}", get_settings),
    reads("/v1/operations", list_operations),
)
