"""What network rules can protect: services, and the operations of each (API types, contract ``ibm.md`` §4.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Mode = Literal["enabled", "disabled", "report"]
"""``report``: evaluated and told, not enforced."""
MODES: Final[tuple[Mode, ...]] = ("enabled", "disabled", "report")

EVENT_NOTIFICATIONS: Final = "event-notifications"
SMTP: Final = "crn:v1:bluemix:public:event-notifications-dev::::api-type:smtp-configuration"
"""Submission over SMTP. Contract ibm.md §4.5 has the service with ``-dev``; both spellings mean the same."""
CONTROL_PLANE: Final = "crn:v1:bluemix:public:context-based-restrictions::::api-type:control-plane"
"""The HTTP API that manages an instance. It does not concern SMTP."""

_ALIASES: Final = {SMTP.replace("event-notifications-dev", "event-notifications"): SMTP}


@dataclass(frozen=True, slots=True)
class ApiType:
    """``modes``: how a rule that names it can be enforced. ``actions``: (id, description) of what it covers."""

    id: str
    display_name: str
    description: str
    type: str
    actions: tuple[tuple[str, str], ...]
    modes: tuple[Mode, ...]


_SMTP = ApiType(
    SMTP,
    "SMTP Configuration",
    "Submission of mail over SMTP by the users of SMTP configurations",
    "smtp-configuration",
    (("event-notifications.smtp-configuration.send", "Submit mail over SMTP"),),
    ("enabled", "disabled"),
)
_CONTROL_PLANE = ApiType(
    CONTROL_PLANE,
    "Control plane",
    "Management of the service over its HTTP API",
    "control-plane",
    (
        ("event-notifications.control-plane.read", "Read configurations, status and metrics"),
        ("event-notifications.control-plane.manage", "Change configurations"),
    ),
    MODES,
)

SERVICES: Final[dict[str, tuple[ApiType, ...]]] = {EVENT_NOTIFICATIONS: (_SMTP, _CONTROL_PLANE)}
"""The API types of each service that rules protect, by the name of the service."""


def canonical(api_type: str) -> str:
    """The one spelling of an API type."""
    return _ALIASES.get(api_type, api_type)


def find_api_type(service: str, api_type: str) -> ApiType | None:
    """The API type of that service in any of its spellings."""
    wanted = canonical(api_type)
    return next((item for item in SERVICES.get(service, ()) if item.id == wanted), None)
