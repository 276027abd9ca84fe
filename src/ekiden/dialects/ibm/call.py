"""A request to an instance: who sends it, which instance it is about, and what may refuse it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from ekiden.dialects.ibm.auth import Caller, authenticate
from ekiden.dialects.ibm.errors import AnyRequest, ApiError
from ekiden.dialects.ibm.http import path_parameter, read_json
from ekiden.networks.api_types import CONTROL_PLANE
from ekiden.networks.rule_evaluation import smtp_resource
from ekiden.web.body import Bodies, Body
from ekiden.web.need import Need
from ekiden.web.query import check_query

if TYPE_CHECKING:
    from ekiden.access.authenticate import Authenticator
    from ekiden.access.tokens import Tokens
    from ekiden.core.clock import Clock
    from ekiden.delivery.statistics import Statistics
    from ekiden.dialects.ibm.cbr import CbrServices
    from ekiden.dialects.ibm.config import IbmConfig, RegionConfig
    from ekiden.domains.service import Domains
    from ekiden.intake.sender_rights import Gate
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
    cbr: CbrServices
    config: IbmConfig
    regions: tuple[RegionConfig, ...] = ()
    bodies: Bodies = field(default_factory=Bodies)


@dataclass(frozen=True, slots=True)
class Call:
    """One request that may be answered."""

    request: AnyRequest
    services: IbmServices
    caller: Caller
    project: Project
    body: Body

    def parameter(self, name: str) -> str:
        """A part of the path."""
        return path_parameter(self.request, name)

    async def json(self, kind: type[T]) -> T:
        """The body as ``kind`` (``http.read_json``)."""
        return await read_json(self.request, self.body, kind)


async def open_call(request: AnyRequest, services: IbmServices, scope: str, need: Need) -> Call:
    """``scope``: what the API key must be good for; ``need``: how much of a body the operation can need.

    Nothing of the body has been read when it returns. Raises ``web.errors`` for what is announced as too large.

    Raises ``ApiError``: 401 for a stranger, 404 for an instance that is not the caller's, 403 for what is refused.
    """
    caller = await authenticate(request, services.tokens, services.authenticator)
    uid = path_parameter(request, "instance_id")
    project = await services.projects.find(uid)
    if project is None or project.account_id != caller.account_id:
        raise ApiError(404, "there is no instance {id!r}", id=uid)
    caller.need(scope)
    resource = smtp_resource(caller.uid, project.uid, project.region or caller.region)
    decision = await services.gate.decide(
        caller.account_id, resource, (CONTROL_PLANE,), caller.address, ENDPOINT, default=True
    )
    if not decision.allowed:
        raise ApiError(403, "an access rule refuses requests from this address")
    check_query(request)
    return Call(request, services, caller, project, Body(request, need, services.bodies, caller.account_id))
