"""Reports that a client fetches: each is handed out once, whoever asks at the same time.

They are notices of an endpoint of the format ``pull``. What was chosen is removed in one short transaction, and
only what that transaction removed is returned: two callers never get the same. When the process dies between the
commit and the last octet of the answer, those reports are not handed out again; they stay in the logs.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ekiden.core.clock import DAY, Millis
from ekiden.core.ids import parse_id
from ekiden.notify.queries import DueNotice, ReportFilter, find_reports, take_notices
from ekiden.store.retention import first_id

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.core.notices import Happening
    from ekiden.store.api import Store

__all__ = ["MAX_AGE", "ReportFilter", "Reports"]

MAX_AGE: Millis = 2 * DAY
"""Older reports are not handed out any more."""
_ID_LENGTH = 13
_NUMBER = re.compile(r"-[1-9][0-9]{0,8}", re.ASCII)
_TRIES = 5


class Reports:
    """Stateless; shared by all requests."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def fetch(self, account_id: int, endpoint_id: int, wanted: ReportFilter, limit: int) -> list[Happening]:
        """Up to ``limit`` of the oldest reports of the account's ``pull`` endpoint that fit, and no more after."""
        found: list[Happening] = []
        for _ in range(_TRIES):
            missing = limit - len(found)
            candidates = await self._candidates(account_id, endpoint_id, wanted, missing)
            if not candidates:
                break
            async with self._store.write() as connection:
                taken = await take_notices(
                    connection, account_id, endpoint_id, [notice.id for notice in candidates]
                )
            # An event that retention has removed is taken off, and nobody hears of it.
            found += [
                notice.happening for notice in candidates if notice.id in taken and notice.happening is not None
            ]
            # Fewer than looked for: others were faster with some, and there may be more behind them.
            if len(found) >= limit or len(candidates) < missing:
                break
        found.sort(key=lambda happening: happening.event_id)
        return found

    async def _candidates(
        self, account_id: int, endpoint_id: int, wanted: ReportFilter, limit: int
    ) -> list[DueNotice]:
        since = first_id(self._clock.now() - MAX_AGE)
        async with self._store.read() as connection:
            found = await find_reports(connection, account_id, endpoint_id, wanted, None, since, limit)
            named = _delivery_of(wanted.message)
            if named is not None and len(found) < limit:
                # What looks like a queue id may be one; a sender may have chosen such a reference, too.
                found += await find_reports(
                    connection, account_id, endpoint_id, wanted, named, since, limit - len(found)
                )
        return found


def _delivery_of(text: str | None) -> tuple[int, int] | None:
    """Message id and number, when the text is one that ``core.ids.external_id`` makes of a queue id."""
    if text is None:
        return None
    name, number = text[:_ID_LENGTH], text[_ID_LENGTH:]
    if number and not _NUMBER.fullmatch(number):
        return None
    try:
        return parse_id(name), int(number[1:]) if number else 1
    except ValueError:
        return None
