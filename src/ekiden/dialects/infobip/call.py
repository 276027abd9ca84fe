"""A request to the API, and what answers it in a worker."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.access.credential_scopes import READ, SEND
from ekiden.dialects.infobip.form_names import FormFields
from ekiden.dialects.infobip.form_reader import Form, read_form
from ekiden.dialects.infobip.http import read_json
from ekiden.dialects.infobip.proof import authenticate
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.notify.formats import PULL
from ekiden.web import operation

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ekiden.access.directory import AccountFacts
    from ekiden.dialects.infobip.config import InfobipConfig
    from ekiden.web.platform import Platform
    from ekiden.web.problem import AnyRequest, Envelope
    from ekiden.web.proof import Caller

T = TypeVar("T")

_SEEN_WITHIN: Final = 60
_LOOK_EVERY: Final = 0.05
"""Seconds. A change to an account is seen everywhere within two; this waits for three at the most."""


class InfobipApi(operation.Api):
    """One per worker."""

    settings: InfobipConfig

    def __init__(
        self,
        services: Platform,
        settings: InfobipConfig,
        operations: Sequence[operation.Operation],
        envelopes: Mapping[str, Envelope[Any]],
    ) -> None:
        super().__init__(services, settings, operations, envelopes, Call, settings.throttles())
        self.sessions = services.sessions(settings.session_ttl, settings.session_lifetime)
        self._beginning: dict[int, asyncio.Task[None]] = {}
        # Accounts whose reports are not wanted.
        self._without_reports: set[int] = set()

    async def authenticate(self, request: AnyRequest) -> Caller:
        services = self.services
        return await authenticate(request, services.authenticator, self.sessions, services.tokens)

    async def begin_reports(self, account: AccountFacts) -> None:
        """An account whose first request this is gets what all have at Infobip: reports that can be fetched.

        Until the worker sees that they are kept nothing is sent: the report of the first message would be lost.
        """
        if account.reports_endpoint is not None or account.id in self._without_reports:
            return
        task = self._beginning.get(account.id)
        if task is None:
            task = self._beginning[account.id] = asyncio.create_task(self._begin(account))
            task.add_done_callback(lambda _: self._beginning.pop(account.id, None))
        await asyncio.shield(task)

    async def _begin(self, account: AccountFacts) -> None:
        services = self.services
        endpoint = await services.endpoints.find(account.id, PULL, "")
        if not await services.keep_reports(account.name, endpoint):
            self._without_reports.add(account.id)
            return
        for _ in range(_SEEN_WITHIN):
            seen = await services.directory.account(account.id)
            if seen is None or seen.reports_endpoint is not None:
                return
            await asyncio.sleep(_LOOK_EVERY)


class Call(operation.Call):
    """One request to the API."""

    __slots__ = ()
    api: InfobipApi

    @property
    def settings(self) -> InfobipConfig:
        """``[infobip]`` of the configuration."""
        return self.api.settings

    async def admit(self) -> None:
        """An account's first request begins its reports."""
        if self.operation.scope in (SEND, READ):
            await self.api.begin_reports(self.caller.account)

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
