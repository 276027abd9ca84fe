"""Infobip, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.core.texts import Help
from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.config_help import KEYS, SECTION
from ekiden.dialects.infobip.example_regions import EXAMPLE_REGIONS
from ekiden.web.dialect import DemoClient, Dialect, DoorParts, Shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.intake.door import Annotator
    from ekiden.notify.formats import Format
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.infobip.annotator
    import ekiden.dialects.infobip.news.reports
    import ekiden.dialects.infobip.news.tracking
    import ekiden.dialects.infobip.routes  # noqa: F401


def _api(services: Platform, settings: InfobipConfig) -> Api:
    from ekiden.dialects.infobip.routes import infobip_api

    return infobip_api(services, settings)


def _formats(_: InfobipConfig) -> Sequence[Format]:
    from ekiden.dialects.infobip.news.reports import ReportJson, ReportXml
    from ekiden.dialects.infobip.news.tracking import Tracking

    return ReportJson(), ReportXml(), Tracking()


def _annotators(parts: DoorParts) -> Sequence[Annotator]:
    from ekiden.dialects.infobip.annotator import HeaderAnnotator

    return (HeaderAnnotator(parts.endpoints, parts.tracker),)


def _demo(client: DemoClient) -> Shown:
    label = Help(
        "Infobip clients: base URL (and the API key)", "Infobip クライアント: ベース URL（API キーは上記）"
    )
    heading = Help("Send with curl, by HTTP, with a callback:", "curl で送る（HTTP、コールバック付き）:")
    commands = f"""  curl {client.http}/email/3/send -H 'Authorization: App {client.api_key}' \\
    -F from=you@{client.domain} -F to=anything@accept.lab.test -F subject=Hi -F text=Hello \\
    -F notifyUrl={client.lab_http}/reports
  curl {client.lab}/http"""
    return Shown(((label, client.http),), ((heading, commands),))


INFOBIP: Final = Dialect(
    name="infobip",
    config=InfobipConfig,
    section=SECTION,
    keys=KEYS,
    load=_load,
    api=_api,
    formats=_formats,
    annotators=_annotators,
    regions=EXAMPLE_REGIONS,
    demo=_demo,
)
