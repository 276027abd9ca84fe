"""The error envelope of IBM's APIs (contract §2.5): ``{trace, errors: [{code, message, more_info}], status_code}``.

Every response carries ids that the caller may quote: ``X-Correlation-Id`` and its old name ``Transaction-Id``
echo what the request had (contract §4.3), ``X-Global-Transaction-ID`` is what IBM's clients put into their errors.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ServiceUnavailableException,
)

from ekiden.access.errors import AccessError, NameTaken, NotFound
from ekiden.access.unavailable import StoreUnavailable
from ekiden.access.vault import VaultError
from ekiden.core.errors import EkidenError
from ekiden.core.texts import Language, Texts, TranslatedError
from ekiden.dialects.ibm.translations import TEXTS
from ekiden.domains.errors import DomainInUse, DomainsError, DomainTaken, NoSuchDomain
from ekiden.web.errors import NoRoom, RequestRefused, TooDeep, TooLarge, TooMany

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]
JSON = "application/json"
RETRY_AFTER = "5"
"""Seconds, in the answers that say "later" without knowing when; IBM's clients wait for them (contract §1.4)."""
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
_STATUSES: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
    ((NotFound, NoSuchDomain), 404),
    ((NameTaken, DomainTaken, DomainInUse), 409),
    ((AccessError, DomainsError), 400),
)


class ApiError(TranslatedError):
    """A request that cannot be answered as asked. ``code`` is that of the status unless another one is given."""

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
        self.status = status
        self.code = code or _CODES.get(status, "internal_error")
        self.more_info = more_info
        self.headers = headers or {}
        self.others: tuple[ApiError, ...] = ()
        """What is wrong besides."""
        super().__init__(texts, template, **values)

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


def reader_language(request: AnyRequest) -> Language:
    """Japanese for those who ask for it first (``Accept-Language``), English for everybody else."""
    return "ja" if request.headers.get("accept-language", "").strip().lower().startswith("ja") else "en"


def error_text(request: AnyRequest, error: EkidenError) -> str:
    """The sentence for whoever sent the request."""
    return error.text(reader_language(request)) if isinstance(error, TranslatedError) else str(error)


def error_response(request: AnyRequest, error: ApiError) -> Response[bytes]:
    """The envelope."""
    items = []
    for each in (error, *error.others):
        item = {"code": each.code, "message": error_text(request, each)}
        if each.more_info:
            item["more_info"] = each.more_info
        items.append(item)
    body = {"trace": transaction_id(request), "errors": items, "status_code": error.status}
    return Response(
        msgspec.json.encode(body),
        status_code=error.status,
        media_type=JSON,
        headers={**trace_headers(request), **error.headers},
    )


def as_api_error(request: AnyRequest, error: Exception) -> ApiError:
    """What any exception is for the caller: nothing of ours shows but what was meant for people."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, RequestRefused):
        return _of_request(error)
    if isinstance(error, NotFoundException):
        return ApiError(404, "there is no such resource: {path}", path=request.scope["path"])
    if isinstance(error, MethodNotAllowedException):
        allow = {"Allow": (error.headers or {}).get("allow", "")}
        return ApiError(405, "{method} is not possible here", method=request.method, headers=allow)
    if isinstance(error, TranslatedError) and (status := _status_of(error)):
        return ApiError.of(status, error)
    if isinstance(error, HTTPException) and error.status_code < 500:
        return ApiError(error.status_code, "the request cannot be understood: {why}", why=error.detail)
    if isinstance(error, ServiceUnavailableException):
        return ApiError(503, "the server is busy; try again later")
    if isinstance(error, StoreUnavailable):
        log.warning(
            "the store is not available for a request", trace=transaction_id(request), error=type(error).__name__
        )
        return ApiError(
            503, "the database cannot be reached; try again later", headers={"Retry-After": RETRY_AFTER}
        )
    log.error("a request failed", trace=transaction_id(request), exc_info=error)
    return ApiError(500, "something went wrong here; the log has it under this trace")


def _of_request(error: RequestRefused) -> ApiError:
    """What is wrong with a body or a query before anybody has looked into it."""
    if isinstance(error, TooLarge):
        return ApiError(413, "the request is too large: {limit} octets are the most", limit=error.most)
    if isinstance(error, TooMany):
        return ApiError(400, "the request has more than {limit} values", limit=error.most)
    if isinstance(error, TooDeep):
        return ApiError(400, "the body is nested deeper than {limit}", limit=error.most)
    if isinstance(error, NoRoom):
        return ApiError(
            503, "there is no room for the request now; try again later", headers={"Retry-After": RETRY_AFTER}
        )
    return ApiError(400, "the body is not complete")


def _status_of(error: TranslatedError) -> int:
    """For errors of the services; 0: not the caller's fault."""
    if isinstance(error, VaultError):
        return 0
    for kinds, status in _STATUSES:
        if isinstance(error, kinds):
            return status
    return 0


def handle_error(request: AnyRequest, error: Exception) -> Response[bytes]:
    """For ``exception_handlers`` of Litestar: any exception to its envelope."""
    return error_response(request, as_api_error(request, error))
