"""The error envelope of IBM's APIs (contract §2.5): ``{trace, errors: [{code, message, more_info}], status_code}``.

Every response carries ids that the caller may quote: ``X-Correlation-Id`` and its old name ``Transaction-Id``
echo what the request had (contract §4.3), ``X-Global-Transaction-ID`` is what IBM's clients put into their errors.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.access.errors import AccessError, NameTaken, NotFound
from ekiden.core.texts import Texts, TranslatedError
from ekiden.dialects.ibm.translations import TEXTS
from ekiden.domains.errors import DomainInUse, DomainsError, DomainTaken, NoSuchDomain
from ekiden.web import problem
from ekiden.web.problem import JSON, AnyRequest, Envelope, Fault, Told, language_of

_ID = re.compile(r"[a-zA-Z0-9 ,\-_]{1,1024}")
_CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    412: "precondition_failed",
    408: "request_timeout",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    429: "too_many_requests",
    431: "request_header_fields_too_large",
    503: "service_unavailable",
}


class ApiError(problem.ApiError):
    """``code`` is that of the status unless another one is given."""

    def __init__(
        self,
        status: int,
        template: str,
        *,
        code: str = "",
        more_info: str = "",
        headers: dict[str, str] | None = None,
        texts: Texts = TEXTS,
        **values: Any,
    ) -> None:
        self.code = code or _CODES.get(status, "internal_error")
        self.more_info = more_info
        self.others: tuple[ApiError, ...] = ()
        """What is wrong besides."""
        super().__init__(status, texts, template, headers, **values)

    @classmethod
    def of(cls, status: int, error: TranslatedError) -> ApiError:
        """With the text of another error."""
        made = cls(status, error.template, texts=error.texts)
        made.values = error.values
        return made


def transaction_id(request: AnyRequest) -> str:
    """The id of this request: the caller's, if it sent a usable one, else a new UUID; the same at each call."""
    known: str | None = request.scope["state"].get("transaction_id")
    if known is None:
        given = request.headers.get("x-correlation-id") or request.headers.get("transaction-id") or ""
        known = given if _ID.fullmatch(given) else str(uuid.uuid4())
        request.scope["state"]["transaction_id"] = known
    return known


def trace_headers(request: AnyRequest) -> dict[str, str]:
    """For every response."""
    known = transaction_id(request)
    return {"X-Correlation-Id": known, "Transaction-Id": known, "X-Global-Transaction-ID": known}


def error_text(request: AnyRequest, error: TranslatedError) -> str:
    """The sentence for whoever sent the request."""
    return error.text(language_of(request))


_FAULTS: Final = {
    Fault.TOO_LARGE: Told(413, "the request is too large: {most} octets are the most"),
    Fault.TOO_MANY: Told(400, "the request has more than {most} values"),
    Fault.TOO_DEEP: Told(400, "the body is nested deeper than {most}"),
    Fault.INCOMPLETE: Told(400, "the body is not complete"),
    Fault.NO_ROOM: Told(503, "there is no room for the request now; try again later", later=True),
    Fault.NO_PATH: Told(404, "there is no such resource: {path}"),
    Fault.NO_NAME: Told(404, "there is no such resource: {path}"),
    Fault.NO_METHOD: Told(405, "{method} is not possible here"),
    Fault.NO_SCOPE: Told(403, "the API key may not do this: it has no scope {scope!r}"),
    Fault.THROTTLED: Told(429, "too many requests, try again later", later=True),
    Fault.UNREADABLE: Told(400, "the request cannot be understood: {why}"),
    Fault.BUSY: Told(503, "the server is busy; try again later"),
    Fault.NO_STORE: Told(503, "the database cannot be reached; try again later", later=True),
    Fault.OURS: Told(500, "something went wrong here; the log has it under this trace"),
}


class IbmEnvelope(Envelope[ApiError]):
    """Of everything but IAM."""

    faults = _FAULTS
    statuses = (
        ((NotFound, NoSuchDomain), 404),
        ((NameTaken, DomainTaken, DomainInUse), 409),
        ((AccessError, DomainsError), 400),
    )

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        return error if isinstance(error, ApiError) else None

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> ApiError:
        return ApiError(status, template, headers=headers, **values)

    def of(self, status: int, error: TranslatedError) -> ApiError:
        return ApiError.of(status, error)

    def marks(self, request: AnyRequest) -> dict[str, Any]:
        return {"trace": transaction_id(request)}

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        items = []
        for each in (error, *error.others):
            item = {"code": each.code, "message": error_text(request, each)}
            if each.more_info:
                item["more_info"] = each.more_info
            items.append(item)
        body = {"trace": transaction_id(request), "errors": items, "status_code": error.status}
        return respond(request, error, body)


def respond(
    request: AnyRequest, error: ApiError, body: dict[str, Any], headers: Mapping[str, str] = MappingProxyType({})
) -> Response[bytes]:
    """The answer to what could not be answered."""
    return Response(
        msgspec.json.encode(body),
        status_code=error.status,
        media_type=JSON,
        headers={**trace_headers(request), **headers, **error.headers},
    )


handle_error: Final = IbmEnvelope()
as_api_error: Final = handle_error.read
