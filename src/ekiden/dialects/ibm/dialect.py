"""IBM Cloud, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.core.texts import Help
from ekiden.dialects.ibm.config import IbmConfig
from ekiden.dialects.ibm.config_help import KEYS, SECTION
from ekiden.dialects.ibm.example_regions import EXAMPLE_REGIONS
from ekiden.web.dialect import DemoClient, Dialect, Shown

if TYPE_CHECKING:
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.ibm.routes  # noqa: F401


def _api(services: Platform, settings: IbmConfig) -> Api:
    from ekiden.dialects.ibm.routes import ibm_api

    return ibm_api(services, settings)


def _demo(client: DemoClient) -> Shown:
    return Shown(
        (
            (
                Help("IBM clients: base URL", "IBM クライアント: ベース URL"),
                f"{client.http}/event-notifications",
            ),
            (Help("IBM clients: instance id", "IBM クライアント: インスタンス ID"), client.instance_id),
            (Help("IBM clients: IAM API key", "IBM クライアント: IAM API キー"), client.iam_apikey),
        )
    )


IBM: Final = Dialect(
    name="ibm",
    config=IbmConfig,
    section=SECTION,
    keys=KEYS,
    load=_load,
    api=_api,
    regions=EXAMPLE_REGIONS,
    legacy_allowlist=lambda settings: settings.legacy_allowlist,
    demo=_demo,
)
