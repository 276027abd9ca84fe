"""A request, and what answers it in a worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.dialects.naver.errors import NoResource, request_language
from ekiden.dialects.naver.http import Query, read_json
from ekiden.dialects.naver.proof import authenticate, refuse_replay
from ekiden.web import operation
from ekiden.web.problem import NoSuchName
from ekiden.web.query import check_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ekiden.core.clock import Millis
    from ekiden.dialects.naver.config import NaverConfig
    from ekiden.dialects.naver.translations import Language
    from ekiden.web.platform import Platform
    from ekiden.web.problem import AnyRequest, Envelope
    from ekiden.web.proof import Caller
    from ekiden.web.throttle import Throttle

T = TypeVar("T")

BASES: Final = {"kr": "/api/v1", "sgn": "/api/v1-sgn", "jpn": "/api/v1-jpn"}
"""Base paths by region (contract §1); the same operations answer below each."""
NOT_CREATING: Final = frozenset({"/config"})
"""A POST that sets something: the same again changes nothing."""


class NaverApi(operation.Api):
    """One per worker."""

    settings: NaverConfig

    def __init__(
        self,
        services: Platform,
        settings: NaverConfig,
        operations: Sequence[operation.Operation],
        envelopes: Mapping[str, Envelope[Any]],
        throttles: Mapping[str, Throttle],
    ) -> None:
        super().__init__(services, settings, operations, envelopes, Call, throttles)

    async def authenticate(self, request: AnyRequest) -> Caller:
        return await authenticate(request, self.services)


class Call(operation.Call):
    """One request. The account that it comes from is the project that the API speaks of."""

    __slots__ = ("_query",)
    api: NaverApi
    _query: Query

    @property
    def settings(self) -> NaverConfig:
        """``[naver]`` of the configuration."""
        return self.api.settings

    @property
    def language(self) -> Language:
        """Of labels."""
        return request_language(self.request)

    @property
    def region(self) -> str:
        """A key of ``BASES``, by the path."""
        base = self.operation.path.split("/", 3)[2]
        return base.partition("-")[2] or "kr"

    @property
    def now(self) -> Millis:
        return self.services.clock.now()

    @property
    def query(self) -> Query:
        """Its parameters."""
        if not hasattr(self, "_query"):
            self._query = Query(self.request.scope["query_string"])
        return self._query

    async def admit(self) -> None:
        """Raises what is wrong with the query, and the 401 of a call that creates something and is a replay."""
        check_query(self.request)
        path = self.operation.path.removeprefix(BASES[self.region])
        if self.operation.method == "POST" and path not in NOT_CREATING and self.settings.refuse_replays:
            await refuse_replay(self.request, self.caller, self.services)

    def sid(self, name: str) -> int:
        """A number that is a part of the path. Raises the 400 of what can be none: nothing has such a number."""
        text = self.parameter(name)
        if not (text.isascii() and text.isdecimal() and len(text) <= 18):
            raise NoResource("there is nothing with the number {sid}", sid=text[:100])
        return int(text)

    def name(self, name: str) -> str:
        """A text that is a part of the path. Raises the 400 of what nothing is called."""
        text = self.parameter(name)
        if not text.isprintable():
            raise NoSuchName
        return text

    async def json(self, kind: type[T]) -> T:
        """The body as ``kind`` (``http.read_json``)."""
        return await read_json(self.body, self.content_type, kind)
