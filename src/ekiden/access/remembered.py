"""What a worker has derived from rows of an account, until something of the account changes.

``AccountFacts.revision`` says when that is: the directory reads it again every second while the account is in use,
so nothing remembered here is believed for longer, and nothing is read again while nothing changes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import TYPE_CHECKING, Generic, TypeVar

from ekiden.access.unavailable import looking_up
from ekiden.limits.lru import Lru

if TYPE_CHECKING:
    from ekiden.access.directory import AccountFacts
    from ekiden.store.api import Connection, Store

_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")
_MAX_ENTRIES = 20_000


class Remembered(Generic[_Key, _Value]):
    """Values by account and key. ``load`` reads one; a value is never ``None``."""

    def __init__(
        self,
        store: Store,
        load: Callable[[Connection, int, _Key], Awaitable[_Value]],
        max_entries: int = _MAX_ENTRIES,
    ) -> None:
        self._store = store
        self._load = load
        self._values: Lru[tuple[int, _Key], tuple[int, _Value]] = Lru(max_entries)
        self._loading: dict[tuple[int, _Key, int], asyncio.Task[_Value]] = {}

    def get(self, account: AccountFacts, key: _Key) -> _Value | None:
        """What is known; ``None``: ask ``load``."""
        entry = self._values.get((account.id, key))
        return entry[1] if entry is not None and entry[0] == account.revision else None

    async def load(self, account: AccountFacts, key: _Key) -> _Value:
        """The value, read if need be; callers at the same time share one query. Raises what the store raises."""
        value = self.get(account, key)
        if value is not None:
            return value
        wanted = (account.id, key, account.revision)
        task = self._loading.get(wanted)
        if task is None:
            task = self._loading[wanted] = asyncio.create_task(self._read(wanted))
            task.add_done_callback(lambda _: self._loading.pop(wanted, None))
        return await asyncio.shield(task)

    async def _read(self, wanted: tuple[int, _Key, int]) -> _Value:
        account_id, key, revision = wanted
        async with looking_up(self._store) as connection:
            value = await self._load(connection, account_id, key)
        # Rows may be newer than the revision: then they are read once more when the new revision is seen.
        self._values.put((account_id, key), (revision, value))
        return value
