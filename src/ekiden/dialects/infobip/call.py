"""A request to the API: who sends it, what may refuse it, and the services that answer it."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from litestar import Response
from litestar.types import Method

from ekiden.access.credential_scopes import READ, SEND
from ekiden.dialects.infobip.auth import Caller, Logins, authenticate
from ekiden.dialects.infobip.errors import AnyRequest, ApiError
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.form_reader import Form, read_form
from ekiden.dialects.infobip.http import read_json
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.notify.formats import PULL
from ekiden.web.body import Bodies, Body
from ekiden.web.need import NO_BODY, Need

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.content.landing_pages import LandingPages
    from ekiden.content.templates import Templates
    from ekiden.content.uploads import Uploads
    from ekiden.core.clock import Clock
    from ekiden.delivery.bulks import Bulks
    from ekiden.delivery.logs import Logs
    from ekiden.dialects.infobip.config import InfobipConfig
    from ekiden.dialects.infobip.throttle import Throttles
    from ekiden.domains.service import Domains
    from ekiden.intake.mailer import Mailer
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.reports import Reports
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.recipients.validation.address_check import AddressChecks
    from ekiden.recipients.validation.address_check_requests import AddressCheckRequests

T = TypeVar("T")

_LONGEST_PARAMETER: Final = 512
_MANY_ROWS: Final = frozenset({"bulks", "suppressions"})
_SEEN_WITHIN: Final = 60
_LOOK_EVERY: Final = 0.05
"""Seconds. A change to an account is seen everywhere within two; this waits for three at the most."""


@dataclass(frozen=True, slots=True)
class InfobipServices:
    """What the dialect is made of; one per worker.

    ``keep_reports(account's name, endpoint)`` has the reports of an account kept to be fetched, and addresses that
    bounce suppressed, unless somebody has said how it is to be; it tells whether reports are kept.
    """

    clock: Clock
    config: InfobipConfig
    logins: Logins
    throttles: Throttles
    keep_reports: Callable[[str, int], Awaitable[bool]]
    mailer: Mailer
    endpoints: Endpoints
    templates: Templates
    uploads: Uploads
    landing_pages: LandingPages
    reports: Reports
    logs: Logs
    bulks: Bulks
    domains: Domains
    suppressions: Suppressions
    checks: AddressChecks
    check_requests: AddressCheckRequests
    carriers: bool = True
    """``core.address.parse_address``'s, for recipients."""
    bodies: Bodies = field(default_factory=Bodies)
    beginning: dict[int, asyncio.Task[None]] = field(default_factory=dict)
    """Accounts whose first requests wait until their reports are kept."""
    without_reports: set[int] = field(default_factory=set)
    """Accounts whose reports are not wanted."""

    @property
    def directory(self) -> Directory:
        """Facts of accounts and credentials."""
        return self.logins.authenticator.directory


@dataclass(frozen=True, slots=True)
class Operation:
    """``answer`` answers ``method path``. ``scope`` (``access.credential_scopes``) is what the credential must be
    good for.

    ``need``: how much of a body it can need, which may depend on the configuration; nothing is read beyond it, and
    nothing at all before it is known that the caller may.
    ``family`` names its throttle (``InfobipConfig.throttles``); ``platform``: errors have the newer envelope;
    ``error_handler``: they have another one.
    """

    method: Method
    path: str
    answer: Callable[[Call], Awaitable[Response[Any]]]
    scope: str
    family: str
    need: Need | Callable[[InfobipConfig], Need] = NO_BODY
    platform: bool = False
    error_handler: Callable[[AnyRequest, Exception], Response[bytes]] | None = None

    @property
    def asks_much(self) -> bool:
        """Whether it asks the store for what may be much: lists, and changes of very many rows."""
        return self.scope == READ or self.family in _MANY_ROWS


@dataclass(frozen=True, slots=True)
class Call:
    """One request that may be answered."""

    request: AnyRequest
    services: InfobipServices
    caller: Caller
    operation: Operation
    body: Body

    @property
    def account_id(self) -> int:
        return self.caller.account.id

    def parameter(self, name: str) -> str:
        """A part of the path. Raises the 404 of one that nothing is called."""
        found = str(self.request.path_params[name])
        if len(found) > _LONGEST_PARAMETER:
            raise ApiError(404)
        return found

    @property
    def content_type(self) -> str:
        """What the body says that it is; empty: nothing."""
        return self.request.headers.get("content-type", "")

    async def json(self, kind: type[T], checks: Checks) -> T:
        """The body as ``kind`` (``http.read_json``); what is wrong with its shape is noted."""
        return await read_json(self.body, self.content_type, kind, checks)

    async def form(self, fields: FormFields, checks: Checks) -> Form:
        """The body as a form (``form_reader.read_form``); what is wrong with its parts is noted."""
        form = await read_form(self.body, self.content_type, fields)
        checks.violations += form.problems.found
        return form

    async def work(self, size: int, work: Callable[[], T]) -> T:
        """What ``work`` on ``size`` octets returns or raises (``Body.work``)."""
        return await self.body.work(size, work)

    async def reports_endpoint(self) -> int:
        """Where the account's reports wait to be fetched: its endpoint of the format ``pull``."""
        return await self.services.endpoints.find(self.account_id, PULL, "")


async def open_call(request: AnyRequest, services: InfobipServices, operation: Operation) -> Call:
    """Raises ``ApiError``: 401 for a stranger, 403 for what the credential must not, 429 for too many.

    ``web.errors`` for a body that is announced as larger than it can be. Nothing of it has been read then.
    """
    caller = await authenticate(request, services.logins)
    caller.need(operation.scope)
    endpoint = f"{operation.method} {operation.path}"
    wait = services.throttles.take(caller.account.id, operation.family, endpoint)
    if wait:
        raise ApiError(429, headers={"Retry-After": str(math.ceil(wait))})
    account = caller.account
    begins = account.reports_endpoint is None and account.id not in services.without_reports
    if begins and operation.scope in (SEND, READ):
        await _keep_reports(services, account)
    need = operation.need if isinstance(operation.need, Need) else operation.need(services.config)
    body = Body(request, need, services.bodies, account.id)
    return Call(request, services, caller, operation, body)


async def _keep_reports(services: InfobipServices, account: AccountFacts) -> None:
    """An account whose first request this is gets what all accounts of Infobip have: reports that can be fetched.

    Until the worker sees that they are kept nothing is sent: the report of the first message would be lost.
    """
    task = services.beginning.get(account.id)
    if task is None:
        task = services.beginning[account.id] = asyncio.create_task(_begin(services, account))
        task.add_done_callback(lambda _: services.beginning.pop(account.id, None))
    await asyncio.shield(task)


async def _begin(services: InfobipServices, account: AccountFacts) -> None:
    endpoint = await services.endpoints.find(account.id, PULL, "")
    if not await services.keep_reports(account.name, endpoint):
        services.without_reports.add(account.id)
        return
    for _ in range(_SEEN_WITHIN):
        seen = await services.directory.account(account.id)
        if seen is None or seen.reports_endpoint is not None:
            return
        await asyncio.sleep(_LOOK_EVERY)
