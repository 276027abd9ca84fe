"""Context-based restrictions v1 over HTTP: network zones and rules (contract §4).

Rules protect instances and their SMTP; these operations stay open to whoever has an API key that may use them, so
that nobody is locked out by a rule of their own.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar import Response, Router, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from ekiden.dialects.ibm.auth import Caller, authenticate
from ekiden.dialects.ibm.cbr_models import (
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
from ekiden.dialects.ibm.errors import AnyRequest, ApiError, handle_error
from ekiden.dialects.ibm.http import BODY, answer, no_content, path_parameter, read_json, text_parameter
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
from ekiden.web.body import Bodies, Body
from ekiden.web.need import NO_BODY
from ekiden.web.query import check_query

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.tokens import Tokens
    from ekiden.networks.config import NetworkConfig
    from ekiden.networks.rules import Rules
    from ekiden.networks.zones import Zones

T = TypeVar("T")
Operation = Callable[[AnyRequest], Awaitable[Response[Any]]]
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


@dataclass(frozen=True, slots=True)
class CbrServices:
    """What context-based restrictions are made of."""

    tokens: Tokens
    authenticator: Authenticator
    zones: Zones
    rules: Rules
    networks: NetworkConfig


def cbr_handlers(services: CbrServices, bodies: Bodies | None = None) -> list[Router]:
    """The routes, ``/v1/…``, for Litestar."""
    bodies = bodies or Bodies()
    api = _Api(services, bodies)
    handlers = [
        _route(bodies, "POST", "/zones", api.create_zone),
        _route(bodies, "GET", "/zones", api.list_zones),
        _route(bodies, "GET", "/zones/serviceref_targets", api.list_targets),
        _route(bodies, "GET", "/zones/serviceref_targets/{id:str}", api.get_target),
        _route(bodies, "GET", "/zones/{id:str}", api.get_zone),
        _route(bodies, "PUT", "/zones/{id:str}", api.replace_zone),
        _route(bodies, "DELETE", "/zones/{id:str}", api.delete_zone),
        _route(bodies, "POST", "/rules", api.create_rule),
        _route(bodies, "GET", "/rules", api.list_rules),
        _route(bodies, "GET", "/rules/{id:str}", api.get_rule),
        _route(bodies, "PUT", "/rules/{id:str}", api.replace_rule),
        _route(bodies, "DELETE", "/rules/{id:str}", api.delete_rule),
        _route(bodies, "GET", "/account_settings/{id:str}", api.get_settings),
        _route(bodies, "GET", "/operations", api.list_operations),
    ]
    return [Router("/v1", route_handlers=handlers, exception_handlers={Exception: handle_cbr_error})]


def _route(bodies: Bodies, method: Method, path: str, operation: Operation) -> HTTPRouteHandler:
    # The status that counts is that of each response; the one here only must allow a body.
    @route(path, http_method=[method], status_code=200, request_max_body_size=None)
    async def handle(request: AnyRequest) -> Response[Any]:
        with bodies.counted():
            return await operation(request)

    return handle


def handle_cbr_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """For ``exception_handlers``: the envelope, with codes of what can be wrong with zones and rules."""
    for kind, status, code in _ERRORS:
        if isinstance(error, kind):
            known = ApiError.of(status, error)
            known.code = code
            return handle_error(request, known)
    return handle_error(request, error)


class _Api:
    """Each method answers one operation. Raises ``ApiError``, ``NetworkError`` and what the store raises."""

    def __init__(self, services: CbrServices, bodies: Bodies) -> None:
        self._services = services
        self._bodies = bodies
        self._zones = services.zones
        self._rules = services.rules

    async def create_zone(self, request: AnyRequest) -> Response[Any]:
        """POST /v1/zones"""
        caller = await self._caller(request, "manage")
        body = await self._json(request, caller, ZoneBody)
        _own(caller, body.account_id)
        zone = await self._zones.create(caller.account_id, body.values(), actor=caller.actor)
        return _versioned(request, zone_shape(zone, caller.uid, _base(request)), zone.version, 201)

    async def list_zones(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/zones"""
        caller = await self._caller(request, "read")
        _own(caller, request.query_params.get("account_id"))
        name = text_parameter(request, "name", 128) or ""
        sort = text_parameter(request, "sort", _MAX_VALUE) or ""
        found = await self._zones.list(caller.account_id, name=name, sort=sort)
        zones = [zone_summary(zone, caller.uid, _base(request)) for zone in found]
        return answer(request, {"count": len(zones), "zones": zones})

    async def get_zone(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/zones/{zone_id}"""
        caller = await self._caller(request, "read")
        zone = await self._zones.get(caller.account_id, _id(request))
        return _versioned(request, zone_shape(zone, caller.uid, _base(request)), zone.version)

    async def replace_zone(self, request: AnyRequest) -> Response[Any]:
        """PUT /v1/zones/{zone_id}"""
        caller = await self._caller(request, "manage")
        body = await self._json(request, caller, ZoneBody)
        # A zone that is not there is told before anything else that may be wrong.
        await self._zones.get(caller.account_id, _id(request))
        version = _wanted_version(request)
        _own(caller, body.account_id)
        zone = await self._zones.replace(
            caller.account_id, _id(request), version, body.values(), actor=caller.actor
        )
        return _versioned(request, zone_shape(zone, caller.uid, _base(request)), zone.version)

    async def delete_zone(self, request: AnyRequest) -> Response[Any]:
        """DELETE /v1/zones/{zone_id}"""
        caller = await self._caller(request, "manage")
        await self._zones.delete(caller.account_id, _id(request), actor=caller.actor)
        return no_content(request)

    async def create_rule(self, request: AnyRequest) -> Response[Any]:
        """POST /v1/rules"""
        caller = await self._caller(request, "manage")
        body = await self._json(request, caller, RuleBody)
        values = body.values()
        _own_resource(caller, body)
        rule = await self._rules.create(caller.account_id, values, actor=caller.actor)
        return _versioned(request, rule_shape(rule, caller.uid, _base(request)), rule.version, 201)

    async def list_rules(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/rules"""
        caller = await self._caller(request, "read")
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
        found = await self._rules.list(caller.account_id, wanted, sort=sort)
        rules = [rule_shape(rule, caller.uid, _base(request)) for rule in found]
        return answer(request, {"count": len(rules), "rules": rules})

    async def get_rule(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/rules/{rule_id}"""
        caller = await self._caller(request, "read")
        rule = await self._rules.get(caller.account_id, _id(request))
        return _versioned(request, rule_shape(rule, caller.uid, _base(request)), rule.version)

    async def replace_rule(self, request: AnyRequest) -> Response[Any]:
        """PUT /v1/rules/{rule_id}"""
        caller = await self._caller(request, "manage")
        body = await self._json(request, caller, RuleBody)
        await self._rules.get(caller.account_id, _id(request))
        version = _wanted_version(request)
        values = body.values()
        _own_resource(caller, body)
        rule = await self._rules.replace(caller.account_id, _id(request), version, values, actor=caller.actor)
        return _versioned(request, rule_shape(rule, caller.uid, _base(request)), rule.version)

    async def delete_rule(self, request: AnyRequest) -> Response[Any]:
        """DELETE /v1/rules/{rule_id}"""
        caller = await self._caller(request, "manage")
        await self._rules.delete(caller.account_id, _id(request), actor=caller.actor)
        return no_content(request)

    async def get_settings(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/account_settings/{account_id}"""
        caller = await self._caller(request, "read")
        _own(caller, _id(request))
        rules = await self._rules.list(caller.account_id)
        zones = await self._zones.count(caller.account_id)
        return answer(request, settings_shape(caller.uid, rules, zones, _base(request)))

    async def list_targets(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/zones/serviceref_targets"""
        await self._caller(request, "read")
        wanted = _one_of(request, "type", _TARGET_TYPES)
        targets = service_targets(self._services.networks)
        if wanted == "platform_service":
            targets = [target for target in targets if target.get("service_type") == wanted]
        return answer(request, {"count": len(targets), "targets": targets})

    async def get_target(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/zones/serviceref_targets/{service_name}"""
        await self._caller(request, "read")
        name = _id(request)
        for target in service_targets(self._services.networks):
            if target["service_name"] == name:
                return answer(request, target)
        raise ApiError(404, "there is no service reference target {name!r}", texts=TEXTS, name=name)

    async def list_operations(self, request: AnyRequest) -> Response[Any]:
        """GET /v1/operations: of one service or of all. There are no groups of services or types of resources."""
        await self._caller(request, "read")
        service = text_parameter(request, "service_name", _MAX_VALUE)
        group = text_parameter(request, "service_group_id", _MAX_VALUE)
        resource_type = text_parameter(request, "resource_type", _MAX_VALUE)
        if service and group:
            raise ApiError(400, "service_name and service_group_id exclude each other", texts=TEXTS)
        names = () if group or resource_type else (service,) if service else tuple(SERVICES)
        return answer(request, operations_shape(tuple(item for name in names for item in SERVICES.get(name, ()))))

    async def _caller(self, request: AnyRequest, scope: str) -> Caller:
        caller = await authenticate(request, self._services.tokens, self._services.authenticator)
        caller.need(scope)
        check_query(request)
        if request.method in ("GET", "DELETE"):
            Body(request, NO_BODY, self._bodies, caller.account_id)
        return caller

    async def _json(self, request: AnyRequest, caller: Caller, kind: type[T]) -> T:
        with closing(Body(request, BODY, self._bodies, caller.account_id)) as body:
            return await read_json(request, body, kind)


def _id(request: AnyRequest) -> str:
    return path_parameter(request, "id")


def _own(caller: Caller, account_id: str | None) -> None:
    """Raises the 400 of what is no account id, and the 403 of another account's."""
    if not account_id:
        raise ApiError(400, "account_id is needed", texts=TEXTS)
    if caller.is_account(account_id):
        return
    if not _ACCOUNT_ID.fullmatch(account_id):
        raise ApiError(400, "{value!r} is no account id", texts=TEXTS, value=account_id)
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
