"""Which operation answers which request (contract §4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.dialects.cmc.call import CmcApi
from ekiden.dialects.cmc.errors import handle_error
from ekiden.dialects.cmc.operations import audit_logs, blocks, history, send, statistics
from ekiden.web.operation import Operation

if TYPE_CHECKING:
    from ekiden.dialects.cmc.config import CmcConfig
    from ekiden.web.platform import Platform

OPERATIONS: Final[tuple[Operation, ...]] = (
    *send.OPERATIONS,
    *history.OPERATIONS,
    *blocks.OPERATIONS,
    *statistics.OPERATIONS,
    *audit_logs.OPERATIONS,
)
"""``*module.OPERATIONS`` of each module in ``operations``."""

ENVELOPES: Final = dict.fromkeys(
    ("/api/v1/emails", "/api/v2/emails", "/transaction/v1", "/transaction/v2"), handle_error
)


def cmc_api(services: Platform, settings: CmcConfig) -> CmcApi:
    """``web.dialect.Dialect.api``."""
    return CmcApi(services, settings, OPERATIONS, ENVELOPES)
