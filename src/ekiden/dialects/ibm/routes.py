"""Which operation answers which request, under both base paths that clients use (contract §1.2, §2.1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Final, NamedTuple

from litestar import Response, Router, get, post, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from ekiden.access.credential_scopes import MANAGE, READ
from ekiden.dialects.ibm import smtp_api, status_api
from ekiden.dialects.ibm.call import Call, IbmServices, open_call
from ekiden.dialects.ibm.cbr import cbr_handlers
from ekiden.dialects.ibm.errors import AnyRequest, handle_error
from ekiden.dialects.ibm.http import answer
from ekiden.dialects.ibm.iam import give_token, handle_iam_error
from ekiden.dialects.ibm.regions import regions_json
from ekiden.web.need import NO_BODY, SMALL, Need

BASES: Final = ("/v1/instances", "/event-notifications/v1/instances")
"""The second is what IBM's own host has before ``/v1``; clients may be given either."""


class Operation(NamedTuple):
    """GET needs the scope ``read``, everything else ``manage``. ``need``: how much of a body."""

    method: Method
    path: str
    answer: Callable[[Call], Awaitable[Response[Any]]]
    need: Need = NO_BODY

    @property
    def scope(self) -> str:
        return READ if self.method == "GET" else MANAGE


_CONFIG = "/smtp/config/{id:str}"
_USER = _CONFIG + "/users/{user_id:str}"
OPERATIONS: Final = (
    Operation("POST", "/smtp/config", smtp_api.create_configuration, SMALL),
    Operation("GET", "/smtp/config", smtp_api.list_configurations),
    Operation("GET", _CONFIG, smtp_api.get_configuration),
    Operation("PATCH", _CONFIG, smtp_api.update_configuration, SMALL),
    Operation("DELETE", _CONFIG, smtp_api.delete_configuration),
    Operation("PATCH", _CONFIG + "/verify", smtp_api.verify),
    Operation("POST", _CONFIG + "/users", smtp_api.create_user, SMALL),
    Operation("GET", _CONFIG + "/users", smtp_api.list_users),
    Operation("GET", _USER, smtp_api.get_user),
    Operation("PATCH", _USER, smtp_api.update_user, SMALL),
    Operation("DELETE", _USER, smtp_api.delete_user),
    Operation("GET", _CONFIG + "/allowed_ips", smtp_api.get_allowed_ips),
    Operation("PATCH", _CONFIG + "/allowed_ips", smtp_api.update_allowed_ips, SMALL),
    Operation("GET", _CONFIG + "/records", smtp_api.get_records),
    Operation("GET", _CONFIG + "/questionnaire", smtp_api.get_questionnaire),
    Operation("PUT", _CONFIG + "/questionnaire", smtp_api.put_questionnaire, SMALL),
    Operation("GET", "/metrics", status_api.get_metrics),
    Operation("GET", "/metrics/bounce", status_api.get_bounces),
    Operation("GET", "/notifications/{id:str}", status_api.get_status),
)


def ibm_handlers(services: IbmServices) -> list[Router]:
    """Event Notifications, IAM, context-based restrictions and regions, for ``listeners.http_app.make_app``.

    Each brings the error shape of everything below its path.
    """

    @post("/token", request_max_body_size=None)
    async def token(request: AnyRequest) -> Response[bytes]:
        with services.bodies.counted():
            return await give_token(request, services)

    @get("/")
    async def regions(request: AnyRequest) -> Response[bytes]:
        return answer(request, regions_json(services.regions))

    instances = [
        Router(
            base,
            route_handlers=[_handler(services, operation) for operation in OPERATIONS],
            exception_handlers={Exception: handle_error},
        )
        for base in BASES
    ]
    return [
        Router("/identity", route_handlers=[token], exception_handlers={Exception: handle_iam_error}),
        Router("/regions", route_handlers=[regions], exception_handlers={Exception: handle_error}),
        *instances,
        *cbr_handlers(services.cbr, services.bodies),
    ]


def _handler(services: IbmServices, operation: Operation) -> HTTPRouteHandler:
    # The answer says its own status; without a word about it Litestar takes DELETE for one that never has a body.
    # How large a body may be is its need's to say.
    @route(
        "/{instance_id:str}" + operation.path,
        http_method=[operation.method],
        status_code=200,
        request_max_body_size=None,
    )
    async def handle(request: AnyRequest) -> Response[Any]:
        with services.bodies.counted():
            call = await open_call(request, services, operation.scope, operation.need)
            with closing(call.body):
                if operation.scope != READ:
                    return await operation.answer(call)
                async with services.bodies.turn(call.caller.account_id):
                    return await operation.answer(call)

    return handle
