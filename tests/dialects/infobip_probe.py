"""Happenings to tell of, and a listener whose routes read forms and JSON and fail on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import msgspec
from litestar import Litestar, Response, get, post

from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.core.states import Cause, State
from ekiden.dialects.infobip import errors
from ekiden.dialects.infobip.errors import ApiError
from ekiden.dialects.infobip.form_reader import MAX_FIELDS, MAX_REQUEST, Form, read_form
from ekiden.dialects.infobip.http import Query, answer, read_json
from ekiden.dialects.infobip.operations.send_form import FIELDS
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.listeners.http_server import HttpServer
from ekiden.net.listen import open_listener
from ekiden.web.body import Bodies, Body
from ekiden.web.need import Need
from ekiden.web.problem import AnyRequest

AT = 1_764_590_400_000
"""2025-12-01T12:00:00Z"""
MESSAGE_ID = 260_000_000_000_000_000


def happening(type_: EventType = EventType.DELIVERED, **values: Any) -> Happening:
    """A delivery to john.doe@shop.example that took its second attempt, unless told otherwise."""
    facts: dict[str, Any] = {
        "event_id": 77,
        "type": type_,
        "at": AT + 1_628,
        "data": {},
        "account_id": 1,
        "message_id": MESSAGE_ID,
        "number": 1,
        "recipient": "john.doe@shop.example",
        "sender": "news@sender.example",
        "subject": "Hello",
        "accepted_at": AT,
        "state": State.DELIVERED,
        "cause": Cause.NONE,
        "diagnosis": Diagnosis.NONE,
        "code": 250,
        "enhanced": "2.0.0",
        "reason": "OK",
        "attempts": 2,
        "first_attempt_at": AT + 123,
        "bulk": "bulk-1",
        "reference": "mine-1",
        "application": "app",
        "entity": "unit",
        "campaign": "spring",
        "labels": {"callback_data": "something you want back"},
    }
    return Happening(**(facts | values))


_FORM = Need(MAX_REQUEST, MAX_FIELDS)
_JSON = Need(1_048_576)


class Item(msgspec.Struct, kw_only=True):
    destination: str
    placeholders: str = ""


class Wanted(msgspec.Struct, kw_only=True):
    """Something nested, to see paths."""

    to: list[Item]
    clientPriority: str = "STANDARD"


@dataclass(frozen=True)
class Probe:
    """``port`` for those who write to the socket themselves."""

    client: httpx.AsyncClient
    port: int


@asynccontextmanager
async def probing(raised: Callable[[str], Exception] | None = None) -> AsyncIterator[Probe]:
    """``/form`` and ``/json`` tell what they read; ``/{legacy,platform,content}/{name}`` raise ``raised(name)``."""

    bodies = Bodies()

    @post(
        "/form", status_code=200, exception_handlers={Exception: errors.handle_legacy}, request_max_body_size=None
    )
    async def form(request: AnyRequest) -> Response[bytes]:
        body = Body(request, _FORM, bodies, 0)
        found = await read_form(body, request.headers.get("content-type", ""), FIELDS)
        try:
            if found.problems.found:
                raise ApiError(400, found.problems.found)
            return answer(summary(found))
        finally:
            found.close()

    @post("/json", status_code=200, exception_handlers={Exception: errors.handle_platform})
    async def json(request: AnyRequest) -> Response[bytes]:
        body = Body(request, _JSON, bodies, 0)
        checks = Checks()
        found = await read_json(body, request.headers.get("content-type", ""), Wanted, checks)
        checks.done()
        return answer(found)

    @get("/query", exception_handlers={Exception: errors.handle_platform})
    async def query(request: AnyRequest) -> Response[bytes]:
        checks = Checks()
        given = Query(request, checks)
        found = {
            "messageId": given.lines("messageId"),
            "from": given.line("from"),
            "limit": given.limit(),
            "sentSince": given.time("sentSince"),
            "useCursor": given.boolean("useCursor"),
            "generalStatus": given.choice("generalStatus", ("PENDING", "DELIVERED")),
            "bulkId": given.required("bulkId"),
        }
        checks.done()
        return answer(found)

    def failing(path: str, handler: Any) -> Any:
        @get(path + "/{name:str}", exception_handlers={Exception: handler})
        async def fail(request: AnyRequest) -> None:
            assert raised is not None
            raise raised(request.path_params["name"])

        return fail

    app = Litestar(
        [
            form,
            json,
            query,
            failing("/legacy", errors.handle_legacy),
            failing("/platform", errors.handle_platform),
            failing("/content", errors.handle_content),
        ],
        openapi_config=None,
        logging_config=None,
    )
    listener = open_listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = HttpServer(app, [listener])
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Probe(client, port)
    finally:
        await server.stop()


def summary(form: Form) -> dict[str, Any]:
    """What a form was read as."""
    return {
        "texts": form.texts,
        "files": [
            {
                "field": uploaded.field,
                "filename": uploaded.filename,
                "content_type": uploaded.content_type,
                "size": uploaded.size,
                "begin": uploaded.file.read(16).decode("latin-1"),
            }
            for uploaded in form.files
        ],
    }
