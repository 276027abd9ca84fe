"""Customers Mail Cloud, as a value (``web.dialect``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.dialects.cmc.config import CmcConfig
from ekiden.dialects.cmc.config_help import KEYS, SECTION
from ekiden.web.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.intake.door import Annotator
    from ekiden.intake.tracking import Tracker
    from ekiden.notify.endpoints import Endpoints
    from ekiden.web.operation import Api
    from ekiden.web.platform import Platform


def _load() -> None:
    import ekiden.dialects.cmc.labels
    import ekiden.dialects.cmc.routes  # noqa: F401


def _api(services: Platform, settings: CmcConfig) -> Api:
    from ekiden.dialects.cmc.routes import cmc_api

    return cmc_api(services, settings)


def _annotators(_endpoints: Endpoints, _tracker: Tracker) -> Sequence[Annotator]:
    from ekiden.dialects.cmc.labels import ApiData

    return (ApiData(),)


CMC: Final = Dialect(
    name="cmc",
    config=CmcConfig,
    section=SECTION,
    keys=KEYS,
    load=_load,
    api=_api,
    annotators=_annotators,
)
