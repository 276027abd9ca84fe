"""A request, and what answers it in a worker."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from litestar import Response

from ekiden.access.api_users import DEFAULT_ZONE
from ekiden.core.zones import find_zone
from ekiden.dialects.cmc.errors import TOO_OFTEN, refused
from ekiden.dialects.cmc.params import Params
from ekiden.dialects.cmc.proof import prove
from ekiden.dialects.cmc.request_body import read_request
from ekiden.web import operation
from ekiden.web.need import Need
from ekiden.web.problem import NoScope

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ekiden.core.clock import Millis
    from ekiden.dialects.cmc.config import CmcConfig
    from ekiden.web.platform import Platform
    from ekiden.web.problem import AnyRequest, Envelope

VERSIONS: Final = ("v1", "v2")
EXTENSIONS: Final = ("json", "xml")
Answer = Callable[["Call", Params], Awaitable[Response[bytes]]]


class CmcApi(operation.Api):
    """One per worker."""

    settings: CmcConfig

    def __init__(
        self,
        services: Platform,
        settings: CmcConfig,
        operations: Sequence[operation.Operation],
        envelopes: Mapping[str, Envelope[Any]],
    ) -> None:
        super().__init__(services, settings, operations, envelopes, Call)
        self.open: Counter[int] = Counter()
        """Requests that are being answered, by the number of the API user's credential."""


class Call(operation.Call):
    """One request; who sends it is known once its body says so."""

    __slots__ = ("_counted",)
    api: CmcApi

    def __init__(self, api: CmcApi, request: AnyRequest, of: operation.Operation) -> None:
        super().__init__(api, request, of)
        self._counted = False

    @property
    def settings(self) -> CmcConfig:
        """``[cmc]`` of the configuration."""
        return self.api.settings

    @property
    def now(self) -> Millis:
        return self.services.clock.now()

    @property
    def zone(self) -> ZoneInfo:
        """Of the times that the API user gives and is told."""
        return find_zone(self.caller.credential.time_zone or DEFAULT_ZONE)

    @property
    def is_xml(self) -> bool:
        return bool(self.operation.path.endswith(".xml"))

    async def prove(self, scope: str, user: Any, key: Any) -> None:
        """Raises ``ApiError`` and ``NoScope``."""
        self.caller = await prove(self.request, self.services.authenticator, user, key)
        if scope not in self.caller.scopes:
            raise NoScope(scope)
        most, id = self.settings.connections_per_user, self.caller.credential.id
        if most and self.api.open[id] >= most:
            raise refused(
                429,
                TOO_OFTEN,
                "there are {most} requests of this API user already; wait for their answers",
                headers={"Retry-After": "1"},
                most=most,
            )
        self.api.open[id] += 1
        self._counted = True

    def done(self) -> None:
        """It has been answered."""
        if self._counted:
            id = self.caller.credential.id
            self.api.open[id] -= 1
            if not self.api.open[id]:
                del self.api.open[id]


async def answered(call: Call, *, answer: Answer, scope: str, much: bool) -> Response[bytes]:
    """An operation: who sends it is found out as its body comes in."""
    try:
        given = await read_request(call.body, call.content_type, partial(call.prove, scope))
        try:
            async with AsyncExitStack() as places:
                if much:
                    await places.enter_async_context(call.services.bodies.turn(call.account_id))
                return await answer(call, Params(given, call.settings.server_composition))
        finally:
            given.close()
    finally:
        call.done()


def operations(
    path: str, answer: Answer, scope: str, need: Need, *, much: bool = False, versions: Sequence[str] = VERSIONS
) -> list[operation.Operation]:
    """``path`` has ``{version}`` in it, and gets an extension: one for each of both. ``scope``: what the API user
    must be good for."""
    handler = partial(answered, answer=answer, scope=scope, much=much)
    return [
        operation.Operation("POST", f"{path.format(version=version)}.{extension}", handler, need=need)
        for version in versions
        for extension in EXTENSIONS
    ]
