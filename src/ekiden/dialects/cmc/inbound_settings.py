"""The settings of an account's inbound webhooks (contract §3.2): their rules, and the endpoint that each makes.

Each is a route of the account to an application (``inbound.routes``), whose name the application is told.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.core.clock import DAY, SECOND
from ekiden.dialects.cmc.event_settings import DEFAULT_TIMEOUT
from ekiden.dialects.cmc.news.inbound import INBOUND
from ekiden.dialects.cmc.setting_rules import API_KEY, PASSWORD, Security
from ekiden.inbound.conditions import MAX_CONDITIONS, Condition, check_conditions
from ekiden.inbound.errors import BadCondition
from ekiden.inbound.routes import PART
from ekiden.notify.options import Kept, Options
from ekiden.notify.staged_settings import PlannedEndpoint

if TYPE_CHECKING:
    from ekiden.dialects.cmc.setting_rules import Rules

MAX_NAME: Final = 64
"""Characters of the name of a webhook."""


class InboundSettings(msgspec.Struct, frozen=True, kw_only=True, tag_field="target", tag="https"):
    """What is kept of one, without secrets. Defaults of times are ours: the contract has ranges (§3.2)."""

    url: str
    conditions: tuple[Condition, ...]
    format: str = "multipart"
    """Or ``json``."""
    basic_user: str = ""
    bearer: bool = False
    retry_interval: int = 60
    """Seconds."""
    retry_days: int = 3
    timeout: int = DEFAULT_TIMEOUT
    """Seconds."""
    paused: bool = False
    """Mail is taken, and waits."""


def check_inbound(name: str, settings: InboundSettings, security: Security, rules: Rules) -> None:
    """Tells ``rules`` what is wrong."""
    if not 1 <= len(name) <= MAX_NAME or not name.isprintable() or name != name.strip():
        rules.wrong(
            "name", "give 1 to {longest} printable characters, without blanks around them", longest=MAX_NAME
        )
    rules.url("url", settings.url)
    if not 1 <= len(settings.conditions) <= MAX_CONDITIONS:
        rules.wrong("when", "give 1 to {most} conditions, such as To=^info@", most=MAX_CONDITIONS)
    else:
        try:
            check_conditions(settings.conditions)
        except BadCondition as error:
            rules.wrong("when", "{why}", why=error)
    if settings.format not in ("multipart", "json"):
        rules.wrong("format", "give multipart or json")
    rules.security(security)
    rules.between("retry-interval", settings.retry_interval, 10, 600)
    rules.between("retry-days", settings.retry_days, 1, 10)
    rules.between("timeout", settings.timeout, 1, 60)


def plan_inbound(name: str, document: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, PlannedEndpoint]:
    """The endpoint of the application."""
    settings = msgspec.convert(document, InboundSettings)
    security = Security(settings.basic_user, secrets.get(PASSWORD, ""), secrets.get(API_KEY, ""), settings.bearer)
    kept = Kept(
        timeout=settings.timeout * SECOND,
        retry_every=settings.retry_interval * SECOND,
        retry_for=settings.retry_days * DAY,
        settings={"filter": name, "json": settings.format == "json"},
    )
    return {PART: PlannedEndpoint(INBOUND, settings.url, security.auth, Options(paused=settings.paused, kept=kept))}
