"""The one shape of an error (contract §4.2): a list of code, field and message, as JSON or as XML.

Of the codes the contract knows two, 01-001 and 13-006. The others are ours, in groups: 01 the service, 02 the
request as a whole, 10 who sends it, 11 its parameters, 13 mail that is not accepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import msgspec
from litestar import Response

from ekiden.core.texts import Texts, TranslatedError
from ekiden.dialects.cmc.translations import TEXTS
from ekiden.web import problem
from ekiden.web.problem import JSON, AnyRequest, Envelope, Fault, Told, language_of
from ekiden.web.xml import XML, element, xml_document

# The service's.
SYSTEM: Final = "01-001"
UNAVAILABLE: Final = "01-002"

# Of the request as a whole.
UNREADABLE: Final = "02-001"
MEDIA_TYPE: Final = "02-002"
TOO_MUCH: Final = "02-003"
NO_PATH: Final = "02-004"
NO_METHOD: Final = "02-005"

# Of who sends it.
UNAUTHENTICATED: Final = "10-001"
NO_PERMISSION: Final = "10-002"
SUSPENDED: Final = "10-003"
TOO_OFTEN: Final = "10-004"

# Of its parameters.
MISSING: Final = "11-001"
INVALID: Final = "11-002"
TOO_LONG: Final = "11-003"
TOO_MANY: Final = "11-004"
UNKNOWN: Final = "11-005"

# Of mail that is not accepted.
REFUSED: Final = "13-001"
SENDER: Final = "13-002"
QUOTA: Final = "13-003"
NO_DKIM: Final = "13-006"

SYSTEM_ERROR: Final = "System error was occurred. Please contact system administrator."
NO_DKIM_ERROR: Final = "Can not send email with specified from address. Please set up DKIM."


class Entry(NamedTuple):
    """An element of the list. ``field`` is the parameter's name; empty: none is to blame."""

    code: str
    field: str
    error: TranslatedError


class ApiError(problem.ApiError):
    """One or several things that are wrong; the first is its text."""

    def __init__(self, status: int, entries: Iterable[Entry], headers: dict[str, str] | None = None) -> None:
        self.entries = tuple(entries)
        first = self.entries[0].error
        super().__init__(status, first.texts, first.template, headers, **first.values)


def entry(code: str, template: str, field: str = "", *, texts: Texts = TEXTS, **values: Any) -> Entry:
    """With a sentence of ours, in which ``{field}`` stands for its name."""
    return Entry(code, field, TranslatedError(texts, template, field=field, **values))


def refused(
    status: int, code: str, template: str, field: str = "", headers: dict[str, str] | None = None, **values: Any
) -> ApiError:
    """An error of one entry."""
    return ApiError(status, (entry(code, template, field, **values),), headers)


_TELLS: Final[dict[Fault, tuple[Told, str]]] = {
    Fault.TOO_LARGE: (Told(500, SYSTEM_ERROR), SYSTEM),
    Fault.TOO_MANY: (Told(400, "the request has more than {most} values"), TOO_MUCH),
    Fault.TOO_DEEP: (Told(400, "the request body is nested deeper than {most} levels"), TOO_MUCH),
    Fault.INCOMPLETE: (Told(400, "the request body is not complete"), UNREADABLE),
    Fault.NO_ROOM: (Told(503, "there is no room for the request now; try again later", True), UNAVAILABLE),
    Fault.NO_PATH: (Told(404, "there is no API at {path}"), NO_PATH),
    Fault.NO_NAME: (Told(404, "there is no API at {path}"), NO_PATH),
    Fault.NO_METHOD: (Told(405, "{method} is not possible here; use POST"), NO_METHOD),
    Fault.NO_SCOPE: (Told(403, "the API user may not do this: it does not have the scope {scope}"), NO_PERMISSION),
    Fault.THROTTLED: (Told(429, "too many requests; try again later", True), TOO_OFTEN),
    Fault.UNREADABLE: (Told(400, "the request cannot be understood: {why}"), UNREADABLE),
    Fault.BUSY: (Told(503, "the server is busy; try again later"), UNAVAILABLE),
    Fault.NO_STORE: (Told(503, "the database cannot be reached; try again later", True), UNAVAILABLE),
    Fault.OURS: (Told(500, SYSTEM_ERROR), SYSTEM),
}
_FAULTS: Final = {fault: tells for fault, (tells, _) in _TELLS.items()}
_CODES: Final = {tells.template: code for tells, code in _TELLS.values()}


class CmcEnvelope(Envelope[ApiError]):
    """Of all operations; the extension of the path says whether it is JSON or XML."""

    faults = _FAULTS

    def own(self, request: AnyRequest, error: Exception) -> ApiError | None:
        return error if isinstance(error, ApiError) else None

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> ApiError:
        told = {} if template == SYSTEM_ERROR else values
        return refused(status, _CODES[template], template, headers=headers, **told)

    def of(self, status: int, error: TranslatedError) -> ApiError:
        return ApiError(status, (Entry(INVALID, "", error),))

    def write(self, request: AnyRequest, error: ApiError) -> Response[bytes]:
        language = language_of(request)
        entries = [{"code": of.code, "field": of.field, "message": of.error.text(language)} for of in error.entries]
        if request.scope["path"].endswith(".xml"):
            items = "".join(element("error", item) for item in entries)
            text, media_type = xml_document(element("errors", items)), XML
        else:
            text, media_type = msgspec.json.encode({"errors": entries}), JSON
        return Response(text, status_code=error.status, media_type=media_type, headers=error.headers)


handle_error: Final = CmcEnvelope()
