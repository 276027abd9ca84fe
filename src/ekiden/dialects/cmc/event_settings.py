"""The settings of an account's event webhook (contract §3.1): their rules, and the endpoints that they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ekiden.core.clock import SECOND
from ekiden.core.zones import NoSuchZone, find_zone
from ekiden.dialects.cmc.news.events import BLOCKS, BOUNCES, DEFAULT_ZONE, DELIVERIES
from ekiden.dialects.cmc.setting_rules import API_KEY, PASSWORD, Security
from ekiden.notify.options import MOST_EVENTS, Kept, Options
from ekiden.notify.staged_settings import PlannedEndpoint

if TYPE_CHECKING:
    from ekiden.dialects.cmc.setting_rules import Rules

EVENT: Final = "event"
"""The kind of the record; an account has one."""
DEFAULT_TIMEOUT: Final = 30
"""Seconds. The contract has a range and no default (§3.1)."""


class EventSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of them, without secrets. Seconds."""

    url: str
    bounces: bool = False
    deliveries: bool = False
    blocks: bool = False
    version: int = 2
    timezone: str = DEFAULT_ZONE
    format: str = "form"
    """Or ``json``."""
    basic_user: str = ""
    bearer: bool = False
    interval: int = 1
    max: int = 100
    timeout: int = DEFAULT_TIMEOUT

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of events that are told; none: nothing is."""
        ticked = {DELIVERIES: self.deliveries, BOUNCES: self.bounces, BLOCKS: self.blocks}
        return tuple(kind for kind, wanted in ticked.items() if wanted)


def check_event(settings: EventSettings, security: Security, rules: Rules) -> None:
    """Tells ``rules`` what is wrong."""
    rules.url("url", settings.url)
    if settings.version not in (1, 2):
        rules.wrong("version", "give version 1 or 2")
    try:
        find_zone(settings.timezone)
    except NoSuchZone:
        rules.wrong("timezone", "give a time zone such as Asia/Tokyo")
    if settings.format not in ("form", "json"):
        rules.wrong("format", "give form or json")
    elif settings.format == "json" and settings.version == 1:
        rules.wrong("format", "give form, or version 2: version 1 has no JSON")
    rules.security(security)
    rules.between("interval", settings.interval, 1, 600)
    rules.between("max", settings.max, 100, MOST_EVENTS)
    rules.between("timeout", settings.timeout, 1, 60)


def plan_event(document: Mapping[str, Any], secrets: Mapping[str, str]) -> dict[str, PlannedEndpoint]:
    """An endpoint for each kind of events, since no two kinds share a request (§1.4)."""
    settings = msgspec.convert(document, EventSettings)
    security = Security(settings.basic_user, secrets.get(PASSWORD, ""), secrets.get(API_KEY, ""), settings.bearer)
    shape = {"version": settings.version, "zone": settings.timezone, "json": settings.format == "json"}
    options = Options(
        gather=settings.interval * SECOND,
        most=settings.max,
        kept=Kept(timeout=settings.timeout * SECOND, settings=shape),
    )
    return {kind: PlannedEndpoint(f"cmc-{kind}", settings.url, security.auth, options) for kind in settings.kinds}
