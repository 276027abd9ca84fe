"""Threads for what takes longer than an event loop may be kept: decoding, composing, checking of megabytes.

Few at a time: one process computes on one core anyway, and each thread holds what it works on. No account has all
of them. A thread that does not come back from one call of a library keeps the event loop as well (the interpreter
has one lock): what is done here is done in pieces of a few milliseconds, or is bounded.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from ekiden.limits.shares import Shares

T = TypeVar("T")

THREADS: Final = 2
PATIENCE: Final = 30.0
"""Seconds that work waits for its turn before its request is told to come again."""


class Workshop:
    """One per worker; for the thread of the event loop only."""

    def __init__(self, threads: int = THREADS, patience: float = PATIENCE) -> None:
        self._places = Shares(threads)
        self._patience = patience
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="work")

    @property
    def places(self) -> Shares:
        """Who holds them, and who waits."""
        return self._places

    async def run(self, key: Hashable, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. ``key``: the account for which it is done.

        ``TimeoutError``: its turn has not come. Work that nobody waits for any more comes to its end.
        """
        async with asyncio.timeout(self._patience):
            await self._places.wait(key)
        try:
            running = asyncio.get_running_loop().run_in_executor(self._threads, work)
        except BaseException:
            self._places.give(key)
            raise
        running.add_done_callback(lambda _: self._places.give(key))
        return await asyncio.shield(running)
