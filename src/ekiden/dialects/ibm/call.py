"""A request to an instance: who sends it, which instance it is about, and what may refuse it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.dialects.ibm.errors import ApiError
from ekiden.dialects.ibm.http import read_json
from ekiden.dialects.ibm.proof import authenticate
from ekiden.networks.api_types import CONTROL_PLANE
from ekiden.networks.rule_evaluation import smtp_resource
from ekiden.web import operation
from ekiden.web.query import check_query

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from ekiden.dialects.ibm.config import IbmConfig
    from ekiden.senders.projects import Project
    from ekiden.web.platform import Platform
    from ekiden.web.problem import AnyRequest, Envelope
    from ekiden.web.proof import Caller

T = TypeVar("T")
ENDPOINT: Final = "public"
"""What the HTTP listener counts as for access rules."""


class IbmApi(operation.Api):
    """One per worker."""

    settings: IbmConfig

    def __init__(
        self,
        services: Platform,
        settings: IbmConfig,
        operations: Sequence[operation.Operation],
        envelopes: Mapping[str, Envelope[Any]],
    ) -> None:
        super().__init__(services, settings, operations, envelopes, Call)
        self.users = services.smtp_users(settings.users_per_configuration)

    async def authenticate(self, request: AnyRequest) -> Caller:
        return await authenticate(request, self.services.tokens, self.services.authenticator)


class Call(operation.Call):
    """One request. ``project`` is the instance that it is about, if it is about one."""

    __slots__ = ("project",)
    api: IbmApi
    project: Project

    @property
    def settings(self) -> IbmConfig:
        """``[ibm]`` of the configuration."""
        return self.api.settings

    async def locate(self) -> None:
        """Raises the 404 of an instance that is not the caller's."""
        if "instance_id" not in self.request.path_params:
            return
        uid = self.parameter("instance_id")
        project = await self.services.projects.find(uid)
        if project is None or project.account_id != self.account_id:
            raise ApiError(404, "there is no instance {id!r}", id=uid)
        self.project = project

    async def admit(self) -> None:
        """Raises the 403 of an access rule; these protect instances only, so nobody is locked out by his own."""
        if "instance_id" in self.request.path_params:
            account, project = self.caller.account, self.project
            resource = smtp_resource(account.uid, project.uid, project.region or account.region)
            decision = await self.services.gate.decide(
                account.id, resource, (CONTROL_PLANE,), self.caller.address, ENDPOINT, default=True
            )
            if not decision.allowed:
                raise ApiError(403, "an access rule refuses requests from this address")
        check_query(self.request)

    async def json(self, kind: type[T]) -> T:
        """The body as ``kind`` (``http.read_json``)."""
        return await read_json(self.request, self.body, kind)
