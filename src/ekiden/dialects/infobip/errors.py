"""The error envelopes of Infobip's two API generations, and the third shape of uploads (contract §1.2).

What a request did wrong is one ``ApiError``, whatever the generation; the router that answers chooses how it is
written: ``handle_legacy``, ``handle_platform`` or ``handle_content``. Fixed texts are Infobip's, in English; what
is wrong with a field is said in the reader's language.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from litestar import Response

from ekiden.access.errors import AccessError, NameTaken, NotFound
from ekiden.content.errors import ContentError, ContentTaken, NoSuchContent
from ekiden.core.clock import SECOND
from ekiden.core.language import Language
from ekiden.core.texts import Texts, TranslatedError
from ekiden.delivery.bulks import BulkNotAllowed, BulkNotFound
from ekiden.delivery.logs import BadCursor
from ekiden.dialects.infobip.times import timestamp_z
from ekiden.dialects.infobip.translations import TEXTS
from ekiden.domains.errors import DomainInUse, DomainsError, DomainTaken, NoSuchDomain
from ekiden.intake.errors import (
    AccountSuspended,
    AlreadyExpired,
    AttachmentRefused,
    CredentialRevoked,
    HeaderTooLarge,
    IntakeError,
    MailLoop,
    MessageTooLarge,
    NoRecipients,
    QuotaReached,
    RequestTooLarge,
    SenderRefused,
    TemporarilyUnavailable,
    TooManyLinks,
    TooManyPlaceholders,
    TooManyRecipients,
)
from ekiden.mime.errors import MimeError
from ekiden.notify.errors import NotifyError
from ekiden.recipients.validation.address_check_requests import BadCheckRequest
from ekiden.web import problem
from ekiden.web.problem import JSON, RETRY_AFTER, AnyRequest, Envelope, Fault, Told, language_of
from ekiden.web.xml import XML, xml_document, xml_text

REQUEST: Final = "request"
"""Where a violation that belongs to no field is put."""


@dataclass(frozen=True, slots=True)
class _Fixed:
    """The words of a status: legacy ``messageId`` and ``text``, platform ``description`` and ``action``."""

    message_id: str
    text: str
    description: str
    action: str


_RESOURCES: Final = ({"name": "API documentation", "url": "https://www.infobip.com/docs/api/channels/email"},)
_FIXED: Final[dict[int, _Fixed]] = {
    400: _Fixed(
        "BAD_REQUEST",
        "Bad request",
        "Request cannot be processed.",
        "Check the syntax, violations and adjust the request.",
    ),
    401: _Fixed(
        "UNAUTHORIZED",
        "Unauthorized",
        "The request lacks valid authentication credentials for the requested resource.",
        "Check the resources and adjust authentication credentials.",
    ),
    403: _Fixed(
        "FORBIDDEN",
        "Forbidden",
        "Insufficient permissions to access the requested resource.",
        "Repeat the request with new or different credentials.",
    ),
    404: _Fixed(
        "NOT_FOUND",
        "Not found",
        "Not found - request URL doesn't exist on the API server or resource is not found.",
        "Check the resources and adjust your request.",
    ),
    405: _Fixed(
        "METHOD_NOT_ALLOWED",
        "Method not allowed",
        "The request method is not supported by the requested resource.",
        "Check the resources and adjust your request.",
    ),
    409: _Fixed(
        "CONFLICT",
        "Conflict",
        "Request conflicts with the current state of the resource.",
        "Check the violations and adjust the request.",
    ),
    429: _Fixed(
        "TOO_MANY_REQUESTS",
        "Too many requests",
        "Too many requests sent.",
        "Check request rate limit specified in the API endpoint documentation resource.",
    ),
    500: _Fixed(
        "GENERAL_ERROR",
        "Something went wrong. Please contact support.",
        "Something went wrong.",
        "Contact the support.",
    ),
    503: _Fixed(
        "SERVICE_UNAVAILABLE",
        "Service unavailable",
        "The service is temporarily unavailable.",
        "Repeat the request later.",
    ),
}


@dataclass(frozen=True, slots=True)
class Violation:
    """What is wrong with a field. ``property`` is its path: ``to``, ``messages[0].destinations[0].to[1]``."""

    property: str
    template: str
    values: dict[str, Any] = field(default_factory=dict)
    texts: Texts = TEXTS

    @classmethod
    def of(cls, property_: str, error: TranslatedError) -> Violation:
        """With the text of an error."""
        return cls(property_, error.template, error.values, error.texts)

    def text(self, lang: Language) -> str:
        """The sentence for a person who reads ``lang``."""
        return self.texts(self.template, lang, **self.values)


class ApiError(problem.ApiError):
    """``text`` replaces the legacy envelope's text, where the contract knows a better one (``Bulk not found``)."""

    def __init__(
        self,
        status: int,
        violations: Sequence[Violation] = (),
        *,
        text: str = "",
        headers: dict[str, str] | None = None,
    ) -> None:
        status = status if status in _FIXED else 400 if status < 500 else 500
        self.violations = tuple(violations)
        self.fixed_text = text or _FIXED[status].text
        super().__init__(status, TEXTS, self.fixed_text, headers)

    @classmethod
    def because(
        cls, status: int, template: str, *, headers: dict[str, str] | None = None, **values: Any
    ) -> ApiError:
        """Of the request as a whole; the template is one of ``texts``."""
        return cls(status, (Violation(REQUEST, template, values),), headers=headers)

    @classmethod
    def field(cls, property_: str, template: str, **values: Any) -> ApiError:
        """400 for one field; the template is one of ``texts``."""
        return cls(400, (Violation(property_, template, values),))


def wants_xml(request: AnyRequest) -> bool:
    """Whether the client asks for XML rather than JSON."""
    accept = request.headers.get("accept", "").lower()
    return XML in accept and JSON not in accept


def legacy_response(request: AnyRequest, error: ApiError) -> Response[bytes]:
    """``requestError.serviceException``, in JSON or XML. ``validationErrors`` is there when there are any."""
    message_id = _FIXED[error.status].message_id
    problems: dict[str, list[str]] = {}
    lang = language_of(request)
    for violation in error.violations:
        problems.setdefault(violation.property, []).append(violation.text(lang))
    if wants_xml(request):
        body = xml_document(
            "<ApiException><requestError><serviceException>"
            f"<messageId>{message_id}</messageId><text>{xml_text(error.fixed_text)}</text>"
            f"{_problems_xml(problems)}</serviceException></requestError></ApiException>"
        )
        return _response(error, body, XML)
    exception: dict[str, Any] = {"messageId": message_id, "text": error.fixed_text}
    if problems:
        exception["validationErrors"] = problems
    return _response(error, msgspec.json.encode({"requestError": {"serviceException": exception}}), JSON)


def _problems_xml(problems: dict[str, list[str]]) -> str:
    # Property paths are no names of elements, so they are written as texts.
    if not problems:
        return ""
    entries = "".join(
        f"<entry><key>{xml_text(name)}</key>{''.join(f'<value>{xml_text(text)}</value>' for text in texts)}</entry>"
        for name, texts in problems.items()
    )
    return f"<validationErrors>{entries}</validationErrors>"


def platform_response(request: AnyRequest, error: ApiError) -> Response[bytes]:
    """``errorCode`` and the four others, always all."""
    fixed = _FIXED[error.status]
    lang = language_of(request)
    body = {
        "errorCode": f"E{error.status}",
        "description": fixed.description,
        "action": fixed.action,
        "violations": [
            {"property": violation.property, "violation": violation.text(lang)} for violation in error.violations
        ],
        "resources": _RESOURCES,
    }
    return _response(error, msgspec.json.encode(body), JSON)


def content_response(request: AnyRequest, error: ApiError) -> Response[bytes]:
    """The 400 of ``/email/1/content`` has a shape of its own; everything else is legacy."""
    if error.status != 400:
        return legacy_response(request, error)
    lang = language_of(request)
    problems = [f"{violation.property}: {violation.text(lang)}" for violation in error.violations]
    body = {"bulkId": "", "messages": [], "errorMessage": "; ".join(problems) or error.fixed_text}
    return _response(error, msgspec.json.encode(body), JSON)


def _response(error: ApiError, body: bytes, media_type: str) -> Response[bytes]:
    return Response(body, status_code=error.status, media_type=media_type, headers=dict(error.headers))


# What the door says in SMTP, said here: status, field (legacy and platform), sentence.
_DOOR: Final[tuple[tuple[type[IntakeError], int, str, str], ...]] = (
    (AccountSuspended, 403, REQUEST, "the account is suspended"),
    (CredentialRevoked, 401, REQUEST, "the credential is not valid any more"),
    (NoRecipients, 400, "to", "must have at least one recipient"),
    (TooManyRecipients, 400, "to", "there are more recipients than one message may have"),
    (MessageTooLarge, 400, REQUEST, "the message has {size} octets, more than the {most} that are allowed"),
    (RequestTooLarge, 400, REQUEST, "the messages of the request are too large together"),
    (TooManyLinks, 400, "html", "must not have more links than can be tracked"),
    (TooManyPlaceholders, 400, "html", "must not have more placeholders than can be filled"),
    (AttachmentRefused, 400, "attachment", "attachments are not accepted from this account"),
    (SenderRefused, 400, "from", "must be an address that the account may send from: {why}"),
    (QuotaReached, 429, REQUEST, "the account has sent as much as it may for now; try again after {time}"),
    (AlreadyExpired, 400, "sendAt", "the time to deliver the message in is over already"),
    (MailLoop, 400, REQUEST, "the message has passed too many servers"),
    (TemporarilyUnavailable, 503, REQUEST, "the message could not be stored, try again later"),
)


_HEADERS: Final = {
    "octets": "the header must not have more than {most} octets",
    "fields": "the header must not have more than {most} fields",
    "field": "a field of the header must not have more than {most} octets",
}


def from_door(error: IntakeError, properties: dict[str, str] | None = None) -> ApiError:
    """What the door's refusal is for the caller. Nothing was kept.

    ``properties``: paths of the request instead of the names of form fields, ``{"from": "messages[0].sender"}``.
    """
    status, name, template = (503, REQUEST, "the message could not be stored, try again later")
    if error.reply.permanent:
        status, name, template = (400, getattr(error, "field", REQUEST), "the message is refused: {why}")
    for entry in _DOOR:
        if isinstance(error, entry[0]):
            _, status, name, template = entry
            break
    values: dict[str, Any] = {"why": str(error)} if "{why}" in template else {}
    if isinstance(error, MessageTooLarge):
        values = {"size": error.size, "most": error.limit}
    if isinstance(error, HeaderTooLarge):
        template, values = header_too_large(error)
    headers = {"Retry-After": RETRY_AFTER} if status == 503 else {}
    if isinstance(error, QuotaReached):
        values["time"] = timestamp_z(error.until)
        headers = {"Retry-After": str(max(1, math.ceil(error.until / SECOND - time.time())))}
    return ApiError(status, (Violation((properties or {}).get(name, name), template, values),), headers=headers)


def header_too_large(error: HeaderTooLarge) -> tuple[str, dict[str, Any]]:
    """The sentence and its values."""
    return _HEADERS[error.what], {"most": error.most}


_FAULTS: Final = {
    Fault.TOO_LARGE: Told(400, "the body is larger than {most} octets"),
    Fault.TOO_MANY: Told(400, "the request has more than {most} values"),
    Fault.TOO_DEEP: Told(400, "the body is nested deeper than {most}"),
    Fault.INCOMPLETE: Told(400, "the body is not complete"),
    Fault.NO_ROOM: Told(429, "there is no room for the request now; try again later", later=True),
    Fault.NO_PATH: Told(404, "there is no such resource: {path}"),
    Fault.NO_NAME: Told(404),
    Fault.NO_METHOD: Told(405, "{method} is not possible here"),
    Fault.NO_SCOPE: Told(403, "the credential has no scope {scope}"),
    Fault.THROTTLED: Told(429, later=True),
    Fault.UNREADABLE: Told(400, "the request cannot be understood: {why}"),
    Fault.BUSY: Told(503, "the server is busy; try again later", later=True),
    Fault.NO_STORE: Told(503, "the database cannot be reached; try again later", later=True),
    Fault.OURS: Told(500),
}


class InfobipEnvelope(Envelope[ApiError]):
    """``respond`` writes it."""

    faults = _FAULTS
    statuses = (
        ((NotFound, NoSuchDomain, NoSuchContent), 404),
        ((NameTaken, DomainTaken, DomainInUse, ContentTaken), 409),
        ((AccessError, DomainsError, ContentError, NotifyError, MimeError, BadCheckRequest), 400),
    )

    def __init__(self, respond: Callable[[AnyRequest, ApiError], Response[bytes]]) -> None:
        self._respond = respond

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        if isinstance(error, ApiError):
            return error
        if isinstance(error, IntakeError):
            return from_door(error)
        if isinstance(error, BulkNotFound):
            return ApiError(404, text="Bulk not found")  # contract §4.1
        if isinstance(error, BulkNotAllowed):
            return ApiError(409, (Violation.of("bulkId", error),), text="Update not allowed for bulk")
        if isinstance(error, BadCursor):
            return ApiError(400, (Violation.of("cursor", error),))
        return None

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> ApiError:
        if not template:
            return ApiError(status, headers=headers)
        return ApiError.because(status, template, headers=headers, **values)

    def of(self, status: int, error: TranslatedError) -> ApiError:
        return ApiError(status, (Violation.of(getattr(error, "field", REQUEST), error),))

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        return self._respond(request, error)


handle_legacy: Final = InfobipEnvelope(legacy_response)
"""The envelope of the first three generations."""
handle_platform: Final = InfobipEnvelope(platform_response)
"""That of the ``/email/4`` generation and what shares it."""
handle_content: Final = InfobipEnvelope(content_response)
"""That of ``/email/1/content``."""
