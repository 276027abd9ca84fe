"""The retry schedule: when a deferred delivery is tried again, and when it has run out of time.

Pure functions over values; chance comes in as a number. The peer may name the time itself (``smtp.retry_hint``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ekiden.core.clock import SECOND, Millis
from ekiden.smtp.retry_hint import MAX_HINT

MIN_WAIT: Millis = 1 * SECOND
TRUSTED_ATTEMPTS = 5
"""Up to which attempt a peer's hint may also *shorten* the wait; later it only lengthens it."""
_GRACE: Millis = 2 * SECOND  # one does not knock in the very second: clocks differ, and greylists round up


class Schedule(NamedTuple):
    """``waits`` after the 1st, 2nd, … attempt, the last repeating; ``jitter``: the part that chance may move."""

    waits: tuple[Millis, ...]
    jitter: float = 0.0

    @classmethod
    def of(cls, seconds: Sequence[float], jitter: float) -> Schedule:
        """From the configuration's seconds."""
        return cls(tuple(max(MIN_WAIT, round(wait * SECOND)) for wait in seconds), jitter)

    def wait(self, attempts: int, chance: float) -> Millis:
        """The wait after attempt number ``attempts`` (from 1). ``chance`` is uniform in 0 ≤ chance < 1."""
        base = self.waits[min(max(attempts, 1), len(self.waits)) - 1]
        return max(MIN_WAIT, round(base * (1 + self.jitter * (2 * chance - 1))))


def next_time(
    schedule: Schedule, attempts: int, now: Millis, expires_at: Millis, chance: float, hint: Millis | None = None
) -> Millis | None:
    """When to try again after attempt number ``attempts`` failed at ``now``; ``None``: it has expired.

    The last attempt is made when the time runs out, so that a long wait does not end a delivery early. A hint is
    waited for at least; it shortens the wait only during the first attempts, so that a peer that always says
    "in 10 seconds" is not asked every 10 seconds for days.
    """
    if now >= expires_at:
        return None
    wait = schedule.wait(attempts, chance)
    if hint is not None:
        asked = min(max(hint, MIN_WAIT), MAX_HINT) + _GRACE
        asked += round(asked * schedule.jitter * chance)
        wait = asked if attempts <= TRUSTED_ATTEMPTS else max(asked, wait)
    return min(now + wait, expires_at)
