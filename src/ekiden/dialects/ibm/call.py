"""A request to an instance: who sends it, which instance it is about, and what may refuse it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.dialects.ibm.errors import ApiError
from ekiden.dialects.ibm.http import read_json
from ekiden.networks.api_types import CONTROL_PLANE
from ekiden.networks.rule_evaluation import smtp_resource
from ekiden.web import operation
from ekiden.web.body import Bodies
from ekiden.web.query import check_query

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.tokens import Tokens
    from ekiden.core.clock import Clock
    from ekiden.delivery.statistics import Statistics
    from ekiden.dialects.ibm.config import IbmConfig, RegionConfig
    from ekiden.domains.service import Domains
    from ekiden.intake.sender_rights import Gate
    from ekiden.networks.config import NetworkConfig
    from ekiden.networks.rules import Rules
    from ekiden.networks.zones import Zones
    from ekiden.senders.projects import Project, Projects
    from ekiden.senders.smtp_configurations import SmtpConfigurations
    from ekiden.senders.smtp_users import SmtpUsers

T = TypeVar("T")
ENDPOINT: Final = "public"
"""What the HTTP listener counts as for access rules."""


@dataclass(frozen=True, slots=True)
class IbmServices:
    """What the dialect is made of."""

    clock: Clock
    authenticator: Authenticator
    tokens: Tokens
    gate: Gate
    projects: Projects
    configurations: SmtpConfigurations
    users: SmtpUsers
    domains: Domains
    statistics: Statistics
    zones: Zones
    rules: Rules
    networks: NetworkConfig
    config: IbmConfig
    regions: tuple[RegionConfig, ...] = ()
    bodies: Bodies = field(default_factory=Bodies)


class Call(operation.Call):
    """One request. ``project`` is the instance that it is about, if it is about one."""

    __slots__ = ("project",)
    services: IbmServices
    project: Project

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
