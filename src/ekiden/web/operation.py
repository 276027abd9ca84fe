"""Operations: which request is answered by what, what the caller must be good for, and how much may be sent.

One handler runs them all, in the order in which whoever may not is told so first, and nothing of a body is read
before it is known that the caller may.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from litestar import Response, Router, route
from litestar.handlers import HTTPRouteHandler
from litestar.types import Method

from ekiden.access.credential_scopes import MANAGE, READ
from ekiden.web.body import Body
from ekiden.web.need import NO_BODY, SMALL, Need
from ekiden.web.problem import LONGEST_PARAMETER, AnyRequest, Envelope, NoScope, NoSuchName, Throttled
from ekiden.web.proof import Caller, client_address
from ekiden.web.throttle import Throttle, Throttles

if TYPE_CHECKING:
    from ekiden.web.platform import Platform

T = TypeVar("T")
Answer = Callable[[Any], Awaitable[Response[Any]]]
"""Of an operation: from the ``Call`` of its language."""


class Call:
    """One request. A language derives its own kind: how it reads and answers.

    ``caller`` and ``body`` are there once the operation is asked; of operations without a scope nobody is known.
    """

    __slots__ = ("api", "body", "caller", "operation", "request")
    caller: Caller
    body: Body

    def __init__(self, api: Any, request: AnyRequest, operation: Operation) -> None:
        """``api``: that of its language."""
        self.api = api
        self.request = request
        self.operation = operation

    @property
    def services(self) -> Platform:
        """What it works with."""
        services: Platform = self.api.services
        return services

    async def locate(self) -> None:
        """Find what the path is about, before the caller is told that the credential is not good for it."""

    async def admit(self) -> None:
        """What else has to be so before anything of the request is read. The credential is good for it."""

    @property
    def account_id(self) -> int:
        return self.caller.account.id

    @property
    def content_type(self) -> str:
        """What the body says that it is; empty: nothing."""
        return self.request.headers.get("content-type", "")

    def parameter(self, name: str) -> str:
        """A part of the path. Raises ``NoSuchName``."""
        found = str(self.request.path_params[name])
        if len(found) > LONGEST_PARAMETER:
            raise NoSuchName
        return found

    async def work(self, size: int, work: Callable[[], T]) -> T:
        """What ``work`` on ``size`` octets returns or raises (``Body.work``)."""
        return await self.body.work(size, work)


@dataclass(frozen=True, slots=True)
class Operation:
    """``answer`` answers ``method path``. ``scope`` (``access.credential_scopes``) is what the credential must be
    good for; empty: anybody may ask, and what proves who it is may be in the body.

    ``need``: how much of a body it can need, which may depend on the settings of the language; nothing is read
    beyond it. ``family`` names its throttle (``Api.throttles``; empty: none). ``much``: it asks the store for what
    may be much, as lists do, so it waits for its turn once its body, if it needs one, has come.
    """

    method: Method
    path: str
    answer: Answer
    scope: str = ""
    need: Need | Callable[[Any], Need] = NO_BODY
    family: str = ""
    much: bool = False


class Api:
    """A language over HTTP in one worker; a dialect derives its own, with what it remembers there."""

    def __init__(
        self,
        services: Platform,
        settings: Any,
        operations: Sequence[Operation],
        envelopes: Mapping[str, Envelope[Any]],
        call: Callable[[Any, AnyRequest, Operation], Call],
        throttles: Mapping[str, Throttle] = MappingProxyType({}),
    ) -> None:
        """``settings``: the dialect's section of the configuration. ``envelopes``: how errors are told, by the path
        below which they are so; the longest that fits counts. ``throttles``: by ``Operation.family``."""
        self.services = services
        self.settings = settings
        self.operations = operations
        self.envelopes = envelopes
        self.call = call
        self.throttles = Throttles(throttles, services.clock)

    async def authenticate(self, request: AnyRequest) -> Caller:
        """Who sends it; raises what its language says to somebody unknown."""
        raise NotImplementedError


class _OfOneApplication(Router):
    """Litestar registers a deep copy of a router, since another application may get it as well. None gets ours, and
    the copies were a third of what it costs to make the application."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> Self:
        return self


def routers(api: Api) -> list[Router]:
    """For ``listeners.http_app.make_app``: one for each path, and one below which nothing but an envelope is."""
    by_path: dict[str, list[Operation]] = {}
    for operation in api.operations:
        by_path.setdefault(operation.path, []).append(operation)
    found: list[Router] = [
        _OfOneApplication(
            path,
            route_handlers=[_handler(api, operation) for operation in operations],
            exception_handlers={Exception: _envelope(api, path)},
        )
        for path, operations in by_path.items()
    ]
    found += [
        _OfOneApplication(path, route_handlers=[], exception_handlers={Exception: envelope})
        for path, envelope in api.envelopes.items()
        if path not in by_path
    ]
    return found


def _envelope(api: Api, path: str) -> Envelope[Any]:
    return api.envelopes[max((above for above in api.envelopes if f"{path}/".startswith(f"{above}/")), key=len)]


def _handler(api: Api, operation: Operation) -> HTTPRouteHandler:
    # The answer says its own status; without a word about it Litestar takes DELETE for one that never has a body.
    # How large a body may be is its need's to say.
    @route("/", http_method=[operation.method], status_code=200, request_max_body_size=None)
    async def handle(request: AnyRequest) -> Response[Any]:
        bodies = api.services.bodies
        with bodies.counted():
            call = api.call(api, request, operation)
            key: Hashable = f"http:{client_address(request)}"
            if operation.scope:
                call.caller = await api.authenticate(request)
                key = call.account_id
                await _admit(api, call)
            need = operation.need if isinstance(operation.need, Need) else operation.need(api.settings)
            with closing(Body(request, need, bodies, key)) as call.body:
                if not operation.much:
                    return await operation.answer(call)
                async with AsyncExitStack() as places:
                    its_turn = partial(places.enter_async_context, bodies.turn(key))
                    if need is NO_BODY:
                        await its_turn()
                    else:
                        # Nobody has a place while its client takes its time.
                        call.body.once_read = its_turn
                    return await operation.answer(call)

    return handle


async def _admit(api: Api, call: Call) -> None:
    """Raises ``NoScope``, ``Throttled``, and what the language does."""
    operation = call.operation
    await call.locate()
    if operation.scope not in call.caller.scopes:
        raise NoScope(operation.scope)
    wait = api.throttles.take(call.account_id, operation.family, f"{operation.method} {operation.path}")
    if wait:
        raise Throttled(math.ceil(wait))
    await call.admit()


def reads(path: str, answer: Answer, family: str = "") -> Operation:
    """A GET for whoever may read."""
    return Operation("GET", path, answer, READ, family=family, much=True)


def changes(
    method: Method, path: str, answer: Answer, family: str = "", need: Need = SMALL, *, much: bool = False
) -> Operation:
    """For whoever may manage."""
    return Operation(method, path, answer, MANAGE, need, family, much)
