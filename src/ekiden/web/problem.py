"""What is wrong with a request, found out once; how it is written is each language's own: its envelope."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum, auto
from typing import Any, Generic, NamedTuple, TypeVar

import structlog
from litestar import Request, Response
from litestar.exceptions import (
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ServiceUnavailableException,
)

from ekiden.access.unavailable import StoreUnavailable
from ekiden.access.vault import VaultError
from ekiden.core.errors import EkidenError
from ekiden.core.language import Language, reader_language
from ekiden.core.texts import Texts, TranslatedError
from ekiden.web.errors import Incomplete, NoRoom, RequestRefused, TooDeep, TooLarge, TooMany

log = structlog.get_logger()

AnyRequest = Request[Any, Any, Any]
JSON = "application/json"
RETRY_AFTER = "5"
"""Seconds, in the answers that say "later" without knowing when."""
LONGEST_PARAMETER = 512
"""Characters of a part of a path that may be the id or the name of something."""


class ApiError(TranslatedError):
    """A request that cannot be answered as asked. Each language has its own kind, with what its envelope tells."""

    def __init__(
        self, status: int, texts: Texts, template: str, headers: Mapping[str, str] | None = None, **values: Any
    ) -> None:
        self.status = status
        self.headers = dict(headers or {})
        super().__init__(texts, template, **values)


class NoScope(EkidenError):
    """The credential is not good for ``scope`` (``access.credential_scopes``)."""

    def __init__(self, scope: str) -> None:
        self.scope = scope
        super().__init__(f"no scope {scope}")


class Throttled(EkidenError):
    """The account has asked too often; it may ask again after ``wait`` seconds."""

    def __init__(self, wait: int) -> None:
        self.wait = wait
        super().__init__(f"again after {wait} s")


class NoSuchName(EkidenError):
    """A part of the path is longer than anything is called."""


class Fault(Enum):
    """What can be wrong with any request in any language; in brackets the values of its sentence."""

    TOO_LARGE = auto()  # most: octets
    TOO_MANY = auto()  # most: values
    TOO_DEEP = auto()  # most: levels
    INCOMPLETE = auto()
    NO_ROOM = auto()
    NO_PATH = auto()  # path
    NO_NAME = auto()  # path: its beginning
    NO_METHOD = auto()  # method
    NO_SCOPE = auto()  # scope
    THROTTLED = auto()
    UNREADABLE = auto()  # why; the status is the exception's
    BUSY = auto()
    NO_STORE = auto()
    OURS = auto()


class Told(NamedTuple):
    """How a language tells of a fault: status, sentence (empty: the status says it all), and whether its answer has
    ``Retry-After``."""

    status: int
    template: str = ""
    later: bool = False


_REFUSED: Mapping[type[RequestRefused], Fault] = {
    TooLarge: Fault.TOO_LARGE,
    TooMany: Fault.TOO_MANY,
    TooDeep: Fault.TOO_DEEP,
    Incomplete: Fault.INCOMPLETE,
    NoRoom: Fault.NO_ROOM,
}

E = TypeVar("E", bound=ApiError)


class Envelope(Generic[E]):
    """An exception handler of Litestar: any exception becomes an ``ApiError`` of a language, and that a response.

    Nothing of ours shows but what was meant for people.
    """

    faults: Mapping[Fault, Told]
    """How each is told."""
    statuses: Sequence[tuple[tuple[type[TranslatedError], ...], int]] = ()
    """Errors of services that are the caller's fault; the first that fits counts."""

    def __call__(self, request: AnyRequest, error: Exception) -> Response[bytes]:
        return self.write(request, self.read(request, error))

    def make(self, status: int, template: str, headers: dict[str, str], values: dict[str, Any]) -> E:
        """The error of a fault."""
        raise NotImplementedError

    def of(self, status: int, error: TranslatedError) -> E:
        """The error of a service's, with its text."""
        raise NotImplementedError

    def write(self, request: AnyRequest, error: E) -> Response[bytes]:
        """The answer."""
        raise NotImplementedError

    def own(self, request: AnyRequest, error: Exception) -> E | None:
        """What the language tells in a way of its own; it goes before everything else."""
        return None

    def marks(self, request: AnyRequest) -> dict[str, Any]:
        """What a line of the log says of the request."""
        return {"method": str(request.method), "path": request.scope["path"]}

    def read(self, request: AnyRequest, error: Exception) -> E:
        """What an exception is for the caller."""
        own = self.own(request, error)
        if own is not None:
            return own
        if isinstance(error, TranslatedError) and not isinstance(error, VaultError):
            for kinds, status in self.statuses:
                if isinstance(error, kinds):
                    return self.of(status, error)
        fault, values = _fault(request, error)
        told = self.faults[fault]
        status, headers = told.status, {}
        if told.later:
            headers["Retry-After"] = str(values.pop("wait", RETRY_AFTER))
        if fault is Fault.NO_METHOD:
            headers["Allow"] = (getattr(error, "headers", None) or {}).get("allow", "")
        elif fault is Fault.UNREADABLE:
            status = values.pop("status")
        elif fault is Fault.NO_STORE:
            log.warning(
                "the store is not available for a request", error=type(error).__name__, **self.marks(request)
            )
        elif fault is Fault.OURS:
            log.error("a request failed", exc_info=error, **self.marks(request))
        return self.make(status, told.template, headers, values)


def _fault(request: AnyRequest, error: Exception) -> tuple[Fault, dict[str, Any]]:
    if isinstance(error, RequestRefused):
        most = getattr(error, "most", None)
        return _REFUSED[type(error)], {} if most is None else {"most": most}
    if isinstance(error, NoSuchName):
        return Fault.NO_NAME, {"path": request.scope["path"][:LONGEST_PARAMETER]}
    if isinstance(error, NoScope):
        return Fault.NO_SCOPE, {"scope": error.scope}
    if isinstance(error, Throttled):
        return Fault.THROTTLED, {"wait": error.wait}
    if isinstance(error, NotFoundException):
        return Fault.NO_PATH, {"path": request.scope["path"]}
    if isinstance(error, MethodNotAllowedException):
        return Fault.NO_METHOD, {"method": str(request.method)}
    if isinstance(error, HTTPException) and error.status_code < 500:
        return Fault.UNREADABLE, {"why": error.detail, "status": error.status_code}
    if isinstance(error, ServiceUnavailableException):
        return Fault.BUSY, {}
    return (Fault.NO_STORE if isinstance(error, StoreUnavailable) else Fault.OURS), {}


def language_of(request: AnyRequest) -> Language:
    """The reader's, as ``Accept-Language`` says."""
    return reader_language(request.headers.get("accept-language", ""))
