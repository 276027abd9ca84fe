"""Which operation answers which request (contract §3), below the base path of each region."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from ekiden.dialects.naver.call import BASES, NaverApi
from ekiden.dialects.naver.errors import handle_error
from ekiden.dialects.naver.operations import (
    address_book,
    categories,
    files,
    mail_reading,
    mails,
    project_settings,
    send_block,
    template_exports,
    templates,
    unsubscribers,
)
from ekiden.web.operation import Operation
from ekiden.web.throttle import Throttle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ekiden.dialects.naver.config import NaverConfig
    from ekiden.web.platform import Platform

OPERATIONS: Final[tuple[Operation, ...]] = (
    *mails.OPERATIONS,
    *mail_reading.OPERATIONS,
    *files.OPERATIONS,
    *address_book.OPERATIONS,
    *templates.OPERATIONS,
    *template_exports.OPERATIONS,
    *categories.OPERATIONS,
    *project_settings.OPERATIONS,
    *send_block.OPERATIONS,
    *unsubscribers.OPERATIONS,
)
"""``*module.OPERATIONS`` of each module in ``operations``. Only what works is here."""

_THROTTLE: Final = "requests"
ENVELOPES: Final = dict.fromkeys(BASES.values(), handle_error)


def naver_api(services: Platform, settings: NaverConfig, operations: Sequence[Operation] = OPERATIONS) -> NaverApi:
    """``web.dialect.Dialect.api``."""
    everywhere = [
        replace(item, path=base + item.path, family=item.family or _THROTTLE)
        for base in BASES.values()
        for item in operations
    ]
    rate = settings.requests_per_second
    return NaverApi(services, settings, everywhere, ENVELOPES, {_THROTTLE: Throttle(rate, 1, rate)})
