"""The contents of mails that came in, for the requests that tell what is in them: a few large ones at a time.

A mail may have 30 MB. What is made of it takes as much again, so both are counted in the budget of the worker,
where no account has all; and however much memory there is, only some large ones are on their way at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from ekiden.core.errors import EkidenError
from ekiden.limits.shares import Shares

if TYPE_CHECKING:
    from ekiden.core.notices import Happening
    from ekiden.limits.memory import Memory
    from ekiden.limits.workshop import Workshop
    from ekiden.notify.bodies import Body
    from ekiden.notify.formats import OfContent
    from ekiden.store.api import Store

_LARGE: Final = 1_048_576
"""Octets from which a mail is one of the few."""
_MOST_LARGE: Final = 4
_PATIENCE: Final = 60.0
"""Seconds until what has no room is left for a later round."""


class ContentGone(EkidenError):
    """Nothing can be told of the mail any more: its content is not kept."""


class NoRoom(EkidenError):
    """Not now: others have the memory for it."""


class Contents:
    """One per worker."""

    def __init__(self, store: Store, memory: Memory, workshop: Workshop) -> None:
        self._store = store
        self._memory = memory
        self._workshop = workshop
        self._large = Shares(_MOST_LARGE)

    @asynccontextmanager
    async def body(self, format: OfContent, happening: Happening) -> AsyncIterator[Body]:
        """What tells of the mail; it is held until the block ends. Raises ``ContentGone``, ``NoRoom``, and what the
        store and the format raise."""
        account = happening.account_id
        size = max(0, int(happening.data.get("size", 0)))
        large = size >= _LARGE
        held = min(2 * size, self._memory.total)
        try:
            async with asyncio.timeout(_PATIENCE):
                if large:
                    await self._large.wait(account)
                try:
                    await self._memory.wait(account, held)
                except BaseException:
                    if large:
                        self._large.give(account)
                    raise
        except TimeoutError:
            raise NoRoom("no memory for a mail that came in") from None
        try:
            content = await self._store.content(account, happening.message_id)
            if content is None:
                raise ContentGone("the content of the mail is gone")
            try:
                body = await self._workshop.run(account, partial(format.body, happening, content))
            except TimeoutError:
                raise NoRoom("no thread for a mail that came in") from None
            del content
            done = max(0, held - body.size)
            self._memory.give(account, done)
            held -= done
            yield body
        finally:
            self._memory.give(account, held)
            if large:
                self._large.give(account)
