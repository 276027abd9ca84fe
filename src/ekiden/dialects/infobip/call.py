"""A request to the API: who sends it, what may refuse it, and the services that answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.access.credential_scopes import READ, SEND
from ekiden.dialects.infobip.auth import Logins
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.form_reader import Form, read_form
from ekiden.dialects.infobip.http import read_json
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.notify.formats import PULL
from ekiden.web import operation
from ekiden.web.body import Bodies

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts, Directory
    from ekiden.content.landing_pages import LandingPages
    from ekiden.content.templates import Templates
    from ekiden.content.uploads import Uploads
    from ekiden.core.clock import Clock
    from ekiden.delivery.bulks import Bulks
    from ekiden.delivery.logs import Logs
    from ekiden.dialects.infobip.config import InfobipConfig
    from ekiden.domains.service import Domains
    from ekiden.intake.mailer import Mailer
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.reports import Reports
    from ekiden.recipients.suppressions import Suppressions
    from ekiden.recipients.validation.address_check import AddressChecks
    from ekiden.recipients.validation.address_check_requests import AddressCheckRequests
    from ekiden.web.throttle import Throttles

T = TypeVar("T")

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


class Call(operation.Call):
    """One request to the API."""

    __slots__ = ()
    services: InfobipServices

    async def admit(self) -> None:
        """An account's first request begins its reports."""
        services, account = self.services, self.caller.account
        begins = account.reports_endpoint is None and account.id not in services.without_reports
        if begins and self.operation.scope in (SEND, READ):
            await _keep_reports(services, account)

    async def json(self, kind: type[T], checks: Checks) -> T:
        """The body as ``kind`` (``http.read_json``); what is wrong with its shape is noted."""
        return await read_json(self.body, self.content_type, kind, checks)

    async def form(self, fields: FormFields, checks: Checks) -> Form:
        """The body as a form (``form_reader.read_form``); what is wrong with its parts is noted."""
        form = await read_form(self.body, self.content_type, fields)
        checks.violations += form.problems.found
        return form

    async def reports_endpoint(self) -> int:
        """Where the account's reports wait to be fetched: its endpoint of the format ``pull``."""
        return await self.services.endpoints.find(self.account_id, PULL, "")


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
