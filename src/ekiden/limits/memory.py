"""The octets that contents and requests of one worker may take, over all rooms, shared among its accounts.

One budget and not one per room: rooms are busy at different times, and what kills a worker is their sum. What it
counts are octets that came from outside or are made for somebody (contents that are received, stored, composed,
signed or loaded for delivery, bodies of requests); the process itself, its caches and what a library needs beside
them are on top. At the end of it there is back-pressure: 452, 503, or waiting.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from ekiden.limits.shares import Holder, Shares

LEAST = 67_108_864
"""Octets of a worker's budget, however small the machine is: one largest message and its copies."""
MOST = 1_073_741_824
"""Octets of a worker's budget by default, however large the machine is: more helps nobody."""


class Memory:
    """``total`` octets. For the thread of the event loop only; nothing waits but ``wait`` and ``hold``.

    The key is an account's id most of the time; before a login, a text such as ``"smtp:192.0.2.7"``. One key alone
    gets ``share`` of it (see ``limits.shares``); who holds nothing may always have one thing that fits.
    """

    __slots__ = ("_shares", "peak", "total")

    def __init__(self, total: int, *, share: float = 0.5) -> None:
        self.total = total
        self.peak = 0
        """The most octets that were taken at once since ``restart_peak``."""
        self._shares = Shares(total, share=share)

    @property
    def used(self) -> int:
        return self.total - self._shares.free

    @property
    def free(self) -> int:
        return self._shares.free

    def held(self, key: Hashable) -> int:
        return self._shares.held(key)

    def may_take(self, key: Hashable, octets: int) -> bool:
        """Whether ``take`` would succeed; for announcements (SIZE, Content-Length) of what may never come."""
        return self._shares.may_take(key, octets)

    def take(self, key: Hashable, octets: int, *, beyond_share: bool = False) -> bool:
        """Have them at once; False: not now, and nothing was taken (answer 452 or 503). See ``Shares.take``."""
        if octets <= 0:
            return True
        if not self._shares.take(key, octets, beyond_share=beyond_share):
            return False
        self._note()
        return True

    async def wait(self, key: Hashable, octets: int) -> None:
        """Have them as soon as it is the key's turn; bound it with ``asyncio.timeout``.

        Hold nothing that others wait for meanwhile. ``ValueError``: more than there is at all.
        """
        if octets <= 0:
            return
        await self._shares.wait(key, octets)
        self._note()

    def give(self, key: Hashable, octets: int) -> None:
        """Give back what was taken, in parts if you like."""
        if octets > 0:
            self._shares.give(key, octets)

    @asynccontextmanager
    async def hold(self, key: Hashable, octets: int) -> AsyncIterator[None]:
        """``wait`` and ``give`` around a block."""
        await self.wait(key, octets)
        try:
            yield
        finally:
            self.give(key, octets)

    def holders(self, most: int = 10) -> list[Holder]:
        return self._shares.holders(most)

    def restart_peak(self) -> int:
        """The peak until now; the next one begins with what is taken at this moment."""
        peak, self.peak = self.peak, self.used
        return peak

    def _note(self) -> None:
        used = self.total - self._shares.free
        if used > self.peak:  # noqa: PLR1730 (called for every content: no function call)
            self.peak = used


def machine_memory() -> int:
    """Octets of memory of this machine or of its control group, whichever is less; 0: not known."""
    found = []
    with suppress(ValueError, OSError):
        found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for name in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(ValueError, OSError):  # "max": no limit
            found.append(int(Path(name).read_text()))
    return min((octets for octets in found if octets > 0), default=0)
