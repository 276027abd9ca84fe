"""Customers Mail Cloud, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.core.texts import Help
from ekiden.dialects.cmc.config import CmcConfig
from ekiden.dialects.cmc.config_help import KEYS, SECTION
from ekiden.web.curl import curl_command
from ekiden.web.dialect import DemoClient, Dialect, DoorParts, Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.intake.door import Annotator
    from ekiden.notify.formats import Format
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.cmc.annotator
    import ekiden.dialects.cmc.labels
    import ekiden.dialects.cmc.news.events
    import ekiden.dialects.cmc.news.inbound
    import ekiden.dialects.cmc.routes  # noqa: F401


def _api(services: Platform, settings: CmcConfig) -> Api:
    from ekiden.dialects.cmc.routes import cmc_api

    return cmc_api(services, settings)


def _formats(settings: CmcConfig) -> Sequence[Format]:
    from ekiden.dialects.cmc.news.events import event_formats
    from ekiden.dialects.cmc.news.inbound import InboundFormat

    return *event_formats(settings.server_composition), InboundFormat(settings.server_composition)


def _annotators(parts: DoorParts) -> Sequence[Annotator]:
    from ekiden.dialects.cmc.annotator import EventRoutes
    from ekiden.dialects.cmc.labels import ApiData

    return ApiData(), EventRoutes(parts.applied)


def _demo(client: DemoClient) -> Shown:
    told = {
        "host": client.http,
        "api_user": client.api_user,
        "api_key": client.api_user_key,
        "server_composition": client.server_composition,
    }
    rows = [
        (Help(f"Customers Mail Cloud clients: {name}", f"Customers Mail Cloud クライアント: {name}"), value)
        for name, value in told.items()
    ]
    who = f'"api_user":"{client.api_user}","api_key":"{client.api_user_key}"'
    mail = '"to":"anything@accept.lab.test","subject":"Hi","text":"Hello"'
    send = f'{{{who},"from":{{"name":"","address":"you@{client.domain}"}},{mail}}}'
    asked = f'{{{who},"server_composition":"{client.server_composition}","date":"{_today(client)}"}}'
    heading = Help(
        "Send with curl, by Customers Mail Cloud's API, and ask what became of it:",
        "curl で送り（Customers Mail Cloud の API）、結果を確認する:",
    )
    lines = (
        curl_command("POST", f"{client.http}/api/v2/emails/send.json", {}, send),
        curl_command("POST", f"{client.http}/transaction/v2/deliveries/list.json", {}, asked),
    )
    return Shown(rows, ((heading, "\n".join(f"  {line}" for line in lines)),))


def _today(client: DemoClient) -> str:
    """Where the API user of the demo is."""
    from ekiden.access.api_users import DEFAULT_ZONE
    from ekiden.core.zones import find_zone, local_day

    return str(local_day(client.now, find_zone(DEFAULT_ZONE)))


CMC: Final = Dialect(
    name="cmc",
    config=CmcConfig,
    section=SECTION,
    keys=KEYS,
    load=_load,
    api=_api,
    formats=_formats,
    annotators=_annotators,
    demo=_demo,
)
