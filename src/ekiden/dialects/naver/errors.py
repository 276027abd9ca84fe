"""The two shapes of an error (contract §2), both below ``error``.

The gateway has ``errorCode`` (three digits), ``message`` (fixed, by the code) and ``details``; the service behind
it has ``code`` (five digits) and ``message``. Which of them it is, the code says.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.access.errors import AccessError, NotFound
from ekiden.content.errors import ContentError, NoSuchContent
from ekiden.core.texts import Texts, TranslatedError
from ekiden.dialects.naver.translations import LANGUAGE_HEADER, TEXTS, Language, knows, language_of, sentence, told
from ekiden.domains.errors import DomainsError, NoSuchDomain
from ekiden.mailings.values import MailingError, NoSuchFile, NoSuchRequest
from ekiden.web import problem
from ekiden.web.problem import JSON, AnyRequest, Envelope, Fault, Told

# The gateway's.
MALFORMED: Final = "100"
UNAUTHENTICATED: Final = "200"
NO_PERMISSION: Final = "210"
NO_PATH: Final = "300"
QUOTA: Final = "400"
THROTTLED: Final = "410"
RATE: Final = "420"
TOO_LARGE: Final = "430"
UNAVAILABLE: Final = "500"

# The service's.
BAD_REQUEST: Final = "77102"
NO_RESOURCE: Final = "77103"
FORBIDDEN: Final = "77201"
SUSPENDED: Final = "77202"
NO_METHOD: Final = "77001"
MEDIA_TYPE: Final = "77002"
INTERNAL: Final = "77303"

MESSAGES: Final = {
    MALFORMED: "Bad Request Exception",
    UNAUTHENTICATED: "Authentication Failed",
    NO_PERMISSION: "Permission Denied",
    NO_PATH: "Not Found Exception",
    QUOTA: "Quota Exceeded",
    THROTTLED: "Throttle Limited",
    RATE: "Rate Limited",
    TOO_LARGE: "Request Entity Too Large",
    UNAVAILABLE: "Endpoint Error",
}
"""What the gateway calls its codes."""
_GENERAL: Final = {
    BAD_REQUEST: "the request is not valid",
    NO_RESOURCE: "the resource does not exist",
}
"""What a code means, before a sentence that is not known in the reader's language."""


class ApiError(problem.ApiError):
    """``code`` is the service's, or one of the gateway's, whose ``details`` the sentence then is."""

    def __init__(
        self,
        status: int,
        template: str,
        *,
        code: str = BAD_REQUEST,
        headers: dict[str, str] | None = None,
        texts: Texts = TEXTS,
        **values: Any,
    ) -> None:
        self.code = code
        super().__init__(status, texts, template, headers, **values)

    @classmethod
    def of(cls, status: int, error: TranslatedError, code: str = BAD_REQUEST) -> ApiError:
        """With the text of another error."""
        made = cls(status, error.template, code=code, texts=error.texts)
        made.values = error.values
        return made


class BadRequest(ApiError):
    """400 with 77102: any value that cannot be."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(400, template, **values)


class NoResource(ApiError):
    """400 with 77103: there is nothing of that id or name (contract §2.2: never a 404)."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(400, template, code=NO_RESOURCE, **values)


_TELLS: Final[dict[Fault, tuple[Told, str]]] = {
    Fault.TOO_LARGE: (Told(413, "the request is too large: {most} octets are the most"), TOO_LARGE),
    Fault.TOO_MANY: (Told(400, "the request has more than {most} values"), BAD_REQUEST),
    Fault.TOO_DEEP: (Told(400, "the request body is nested deeper than {most} levels"), BAD_REQUEST),
    Fault.INCOMPLETE: (Told(400, "the request body is not complete"), MALFORMED),
    Fault.NO_ROOM: (Told(503, "there is no room for the request now; try again later", True), UNAVAILABLE),
    Fault.NO_PATH: (Told(404, "URL not found."), NO_PATH),
    Fault.NO_NAME: (Told(400, "the path names nothing that exists"), NO_RESOURCE),
    Fault.NO_METHOD: (Told(405, "{method} is not possible here"), NO_METHOD),
    Fault.NO_SCOPE: (
        Told(401, "the access key may not do this: it does not have the scope {scope}"),
        NO_PERMISSION,
    ),
    Fault.THROTTLED: (Told(429, "too many requests; try again later", True), THROTTLED),
    Fault.UNREADABLE: (Told(400, "the request cannot be understood: {why}"), MALFORMED),
    Fault.BUSY: (Told(503, "the server is busy; try again later"), UNAVAILABLE),
    Fault.NO_STORE: (Told(503, "the database cannot be reached; try again later", True), UNAVAILABLE),
    Fault.OURS: (Told(500, "an internal error occurred"), INTERNAL),
}
_FAULTS: Final = {fault: tells for fault, (tells, _) in _TELLS.items()}
_CODES: Final = {tells.template: code for tells, code in _TELLS.values()}
NOTHING_FOUND: Final = (NotFound, NoSuchDomain, NoSuchContent, NoSuchRequest, NoSuchFile)
"""Errors of services that mean 77103."""


class NaverEnvelope(Envelope[ApiError]):
    """Of all operations."""

    faults = _FAULTS
    statuses = (((AccessError, DomainsError, ContentError, MailingError), 400),)

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        return error if isinstance(error, ApiError) else None

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> ApiError:
        return ApiError(status, template, code=_CODES[template], headers=headers, **values)

    def of(self, status: int, error: TranslatedError) -> ApiError:
        return ApiError.of(status, error, NO_RESOURCE if isinstance(error, NOTHING_FOUND) else BAD_REQUEST)

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        language = request_language(request)
        if error.code in MESSAGES:
            shape = {
                "errorCode": error.code,
                "message": sentence(MESSAGES[error.code], language),
                "details": told(error, language),
            }
        else:
            shape = {"code": error.code, "message": message(error, language)}
        return Response(
            msgspec.json.encode({"error": shape}),
            status_code=error.status,
            media_type=JSON,
            headers=error.headers,
        )


def request_language(request: AnyRequest) -> Language:
    """The reader's."""
    return language_of(request.headers.get(LANGUAGE_HEADER, ""))


def message(error: ApiError, language: Language) -> str:
    """The sentence; where a service's is not known in ``language``, what its code means, and the English."""
    text = told(error, language)
    if knows(error.template, language) or error.code not in _GENERAL:
        return text
    return f"{sentence(_GENERAL[error.code], language)} ({text})"


handle_error: Final = NaverEnvelope()
