"""The history of what an account has sent: what is told of it by the outbox, to be read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from ekiden.core.clock import DAY
from ekiden.notify.history_queries import HistoryFilter, Which, find_events

if TYPE_CHECKING:
    from ekiden.core.clock import Millis
    from ekiden.core.notices import Happening
    from ekiden.store.api import Store

__all__ = ["History", "HistoryFilter", "Which"]

_PIECE: Final = 1_000


class History:
    """One per worker. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, expire_after: Millis) -> None:
        """``expire_after``: how long a delivery is tried."""
        self._store = store
        self._look_back = expire_after + DAY

    async def find(self, wanted: HistoryFilter, *, offset: int = 0, limit: int = 100) -> list[Happening]:
        """A page, the newest first."""
        return await find_events(self._store, wanted, self._look_back, offset, limit)

    async def pieces(self, wanted: HistoryFilter, most: int) -> AsyncIterator[list[Happening]]:
        """All of it, up to ``most``, some at a time."""
        for offset in range(0, most, _PIECE):
            found = await self.find(wanted, offset=offset, limit=min(_PIECE, most - offset))
            if found:
                yield found
            if len(found) < _PIECE:
                return
