"""Which operation answers which request (contract §2 to §4), and in which envelope it tells of errors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any, Final

from litestar import Response, Router, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from ekiden.access.credential_scopes import MANAGE, READ, SEND
from ekiden.dialects.infobip import (
    bulks_api,
    content_api,
    domains_api,
    logs_api,
    reports_api,
    send_form,
    send_json,
    send_mime,
    session_api,
    suppressions_api,
    templates_api,
    validation_api,
)
from ekiden.dialects.infobip.call import Call, InfobipServices, Operation, open_call
from ekiden.dialects.infobip.errors import AnyRequest, handle_content, handle_legacy, handle_platform
from ekiden.dialects.infobip.form_reader import FORM
from ekiden.web.need import NO_BODY, SMALL, Need

Answer = Callable[[Call], Awaitable[Response[Any]]]


def _read(path: str, answer: Answer, family: str, *, platform: bool = False) -> Operation:
    return Operation("GET", path, answer, READ, family, platform=platform)


def _change(
    method: Method, path: str, answer: Answer, family: str, need: Need = SMALL, *, platform: bool = False
) -> Operation:
    return Operation(method, path, answer, MANAGE, family, need, platform)


def _template(method: Method, path: str, answer: Answer, need: Need = FORM) -> Operation:
    path = templates_api.PATH + path
    if method == "GET":
        return _read(path, answer, "template_reads", platform=True)
    return _change(method, path, answer, "template_writes", need, platform=True)


_DOMAIN: Final = "/email/1/domains/{domain:str}"
_SUPPRESSIONS: Final = "/email/1/suppressions"
_TEMPLATE: Final = "/{template:str}"
_ATTACHMENTS: Final = f"{_TEMPLATE}/attachments"
_ATTACHMENT: Final = f"{_ATTACHMENTS}/{{attachment:str}}"

OPERATIONS: Final = (
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
    _read("/email/1/reports", reports_api.reports, "reports"),
    _read("/email/4/reports", reports_api.reports_v4, "reports_v4", platform=True),
    _read("/email/1/logs", logs_api.logs, "logs"),
    _read("/email/4/logs", logs_api.logs_v4, "logs_v4", platform=True),
    _read("/email/1/bulks", bulks_api.get_schedule, "bulks"),
    _change("PUT", "/email/1/bulks", bulks_api.reschedule, "bulks"),
    _read("/email/1/bulks/status", bulks_api.get_status, "bulks"),
    _change("PUT", "/email/1/bulks/status", bulks_api.update_status, "bulks"),
    _change("POST", "/email/2/validation", validation_api.validate, "validations"),
    _change(
        "POST",
        "/email/2/validations",
        validation_api.validate_many,
        "bulk_validations",
        validation_api.MANY,
        platform=True,
    ),
    _read("/email/2/validations", validation_api.results, "bulk_validations", platform=True),
    _read("/email/1/domains", domains_api.list_domains, "domains"),
    _change("POST", "/email/1/domains", domains_api.add_domain, "domains"),
    _read(_DOMAIN, domains_api.get_domain, "domains"),
    _change("DELETE", _DOMAIN, domains_api.delete_domain, "domains", NO_BODY),
    _change("PUT", f"{_DOMAIN}/tracking", domains_api.update_tracking, "domains"),
    _change("PUT", f"{_DOMAIN}/return-path", domains_api.update_return_path, "domains"),
    _change("POST", f"{_DOMAIN}/verify", domains_api.verify_domain, "domains", NO_BODY),
    _read(_SUPPRESSIONS, suppressions_api.list_suppressions, "suppressions", platform=True),
    _change(
        "POST",
        _SUPPRESSIONS,
        suppressions_api.add_suppressions,
        "suppressions",
        suppressions_api.LISTS,
        platform=True,
    ),
    _change(
        "DELETE",
        _SUPPRESSIONS,
        suppressions_api.delete_suppressions,
        "suppressions",
        suppressions_api.LISTS,
        platform=True,
    ),
    _read(f"{_SUPPRESSIONS}/domains", suppressions_api.list_domains, "suppressions", platform=True),
    _template("GET", "", templates_api.list_templates),
    _template("POST", "", templates_api.create_template),
    _template("GET", _TEMPLATE, templates_api.get_template),
    _template("PUT", _TEMPLATE, templates_api.replace_template),
    _template("PATCH", _TEMPLATE, templates_api.patch_template),
    _template("DELETE", _TEMPLATE, templates_api.delete_template, NO_BODY),
    _template("POST", f"{_TEMPLATE}/preview", templates_api.preview, templates_api.PREVIEW),
    _template("GET", _ATTACHMENTS, templates_api.list_attachments),
    _template("POST", _ATTACHMENTS, templates_api.add_attachment),
    _template("DELETE", _ATTACHMENT, templates_api.delete_attachment, NO_BODY),
    _template("GET", f"{_ATTACHMENT}/download", templates_api.download_attachment),
)


def infobip_handlers(services: InfobipServices) -> list[Router]:
    """Routers for ``listeners.http_app.make_app``: one for each path, with its envelope of errors."""
    by_path: dict[str, list[Operation]] = {}
    for operation in OPERATIONS:
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
