"""Which operation answers which request (contract §2 to §4), and in which envelope it tells of errors."""

from __future__ import annotations

from contextlib import closing
from typing import Any, Final

from litestar import Response, Router, route
from litestar.handlers import HTTPRouteHandler

from ekiden.access.credential_scopes import SEND
from ekiden.dialects.infobip import content_api, routes_more, send_form, send_json, send_mime, session_api
from ekiden.dialects.infobip.call import InfobipServices, Operation, open_call
from ekiden.dialects.infobip.errors import AnyRequest, handle_content, handle_legacy, handle_platform

SENDING: Final = (
    Operation("POST", "/email/1/send", send_form.send, SEND, "sends", send_form.need),
    Operation("POST", "/email/2/send", send_form.send_v2, SEND, "sends", send_form.need),
    Operation("POST", "/email/3/send", send_form.send, SEND, "sends", send_form.need),
    Operation("POST", "/email/4/messages", send_json.send, SEND, "sends", send_json.need, platform=True),
    Operation("POST", "/email/4/mime", send_mime.send, SEND, "sends", send_mime.need),
    Operation(
        "POST",
        "/email/1/content",
        content_api.upload,
        SEND,
        "uploads",
        content_api.FILE,
        error_handler=handle_content,
    ),
)


def infobip_handlers(services: InfobipServices) -> list[Router]:
    """Routers for ``listeners.http.make_app``: one for each path, which brings the envelope of errors below it."""
    by_path: dict[str, list[Operation]] = {}
    for operation in (*SENDING, *routes_more.OPERATIONS):
        by_path.setdefault(operation.path, []).append(operation)
    routers = [
        Router(
            path,
            route_handlers=[_handler(services, operation) for operation in rows],
            exception_handlers={Exception: _envelope(rows[0])},
        )
        for path, rows in by_path.items()
    ]
    # For paths that nothing answers; nobody has addresses of his own to manage here (contract §4.5).
    for path in ("/email/4", "/email/1/ip-management"):
        routers.append(Router(path, route_handlers=[], exception_handlers={Exception: handle_platform}))
    routers.append(Router("/email", route_handlers=[], exception_handlers={Exception: handle_legacy}))
    routers.append(session_api.session_router(services))
    return routers


def _envelope(operation: Operation) -> Any:
    if operation.error_handler is not None:
        return operation.error_handler
    return handle_platform if operation.platform else handle_legacy


def _handler(services: InfobipServices, operation: Operation) -> HTTPRouteHandler:
    # The answer says its own status; without a word about it Litestar takes DELETE for one that never has a body.
    # How large a body may be is for whoever reads it.
    @route("/", http_method=[operation.method], status_code=200, request_max_body_size=None)
    async def handle(request: AnyRequest) -> Response[Any]:
        with services.bodies.counted():
            call = await open_call(request, services, operation)
            with closing(call.body):
                if not operation.asks_much:
                    return await operation.answer(call)
                async with services.bodies.turn(call.account_id):
                    return await operation.answer(call)

    return handle
