"""Whether a worker's registration counts: who has one may deliver in its name until its time is over.

While the store is away nobody can renew. A worker whose time is over begins nothing new, since others may take its
deliveries from then on, but stays where it is: what is under way it finishes, and remembers what came of it. When
the store is back it goes on, or, if it was taken for dead meanwhile, is registered anew under another id, and
whatever it still reports under the old one is fenced.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.records import Registration


class Standing:
    """Of one registration; everybody who dials in its name has the same one."""

    __slots__ = ("_clock", "_renewed", "registration", "until")

    def __init__(self, registration: Registration, clock: Clock, until: float = math.inf) -> None:
        self.registration = registration
        self.until = until
        """By the monotonic clock. Without end for those who have nobody that renews."""
        self._clock = clock
        self._renewed = asyncio.Event()

    @property
    def holds(self) -> bool:
        return self._clock.monotonic() < self.until

    def renew(self, until: float) -> None:
        self.until = until
        self._renewed.set()

    def end(self) -> None:
        """For good."""
        self.until = -math.inf

    async def wait(self, timeout: float) -> bool:
        """Wait until it holds, so many seconds at most; whether it does."""
        if self.holds:
            return True
        self._renewed.clear()
        try:
            async with asyncio.timeout(timeout):
                await self._renewed.wait()
        except TimeoutError:
            pass
        return self.holds
