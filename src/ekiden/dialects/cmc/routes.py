"""Which operation answers which request (contract §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.dialects.cmc.errors import handle_error
from ekiden.web.operation import Api, Call, Operation

if TYPE_CHECKING:
    from ekiden.dialects.cmc.config import CmcConfig
    from ekiden.web.platform import Platform

OPERATIONS: Final[tuple[Operation, ...]] = ()

ENVELOPES: Final = dict.fromkeys(
    ("/api/v1/emails", "/api/v2/emails", "/transaction/v1", "/transaction/v2"), handle_error
)


def cmc_api(services: Platform, settings: CmcConfig) -> Api:
    """``web.dialect.Dialect.api``."""
    return Api(services, settings, OPERATIONS, ENVELOPES, Call)
