"""The arithmetic of quotas: which windows have room, over values.

Windows of a minute, an hour and a day begin at multiples of their length since the epoch, so each lies within one
of the next size. An account may limit any of them; a *slot* is a window of the smallest size that it limits. What
is sent in a slot counts in the slot and in each limited window around it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from ekiden.core.clock import SECOND, Millis

Window = tuple[int, Millis]
"""Length in seconds, and when it begins."""


def window_start(at: Millis, seconds: int) -> Millis:
    """When the window of this length that holds ``at`` begins."""
    return at - at % (seconds * SECOND)


@dataclass(slots=True)
class Ledger:
    """``used`` recipients by window, of an account with these ``limits``: (seconds, limit), smallest window first.

    ``added`` collects what ``put`` counts. A message to more recipients than a window may have takes a whole empty
    one: it counts for as many as the limit, or it could never be sent.
    """

    limits: tuple[tuple[int, int], ...]
    used: Mapping[Window, int]
    added: dict[Window, int] = field(default_factory=dict)

    @property
    def slot(self) -> Millis:
        """The length of a slot."""
        return self.limits[0][0] * SECOND

    def room(self, at: Millis) -> int:
        """How many more may be sent in the slot that holds ``at``."""
        return max(0, min(limit - self._count(at, seconds) for seconds, limit in self.limits))

    def find(self, count: int, after: Millis, before: Millis) -> Millis | None:
        """When the first slot begins that has room for ``count``, from the one that holds ``after``.

        ``None``: none that begins before ``before`` has.
        """
        start = window_start(after, self.limits[0][0])
        while start < before:
            full = 0
            for seconds, limit in self.limits:
                if min(count, limit) > limit - self._count(start, seconds):
                    full = seconds
            if not full:
                return start
            # The largest window without room decides how far there is none.
            start = window_start(start, full) + full * SECOND
        return None

    def put(self, count: int, at: Millis) -> None:
        """Count ``count`` recipients in the slot that holds ``at`` and in the windows around it."""
        for seconds, limit in self.limits:
            window = (seconds, window_start(at, seconds))
            self.added[window] = self.added.get(window, 0) + min(count, limit)

    def give_back(self, count: int, at: Millis, since: Millis, lengths: Collection[int]) -> None:
        """Take back ``count`` from the windows of these lengths around ``at`` that are not over at ``since``."""
        for seconds, _ in self.limits:
            start = window_start(at, seconds)
            if seconds in lengths and start >= window_start(since, seconds):
                self.added[seconds, start] = self.added.get((seconds, start), 0) - count

    def _count(self, at: Millis, seconds: int) -> int:
        window = (seconds, window_start(at, seconds))
        return self.used.get(window, 0) + self.added.get(window, 0)
