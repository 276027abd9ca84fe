"""The retry schedule: when a deferred delivery is tried again, and when it has run out of time.

Pure functions over values; chance comes in as a number. The peer may name the time itself ("try again in 300
seconds"); nobody standardised that, so its common wordings are looked for in the text of the reply.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ekiden.core.clock import HOUR, SECOND, Millis

MIN_WAIT: Millis = 1 * SECOND
MAX_HINT: Millis = 24 * HOUR
"""A peer that names a longer time is not believed further than this."""
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


_UNIT = r"(?P<unit>milliseconds?|msecs?|ms|seconds?|secs?|sec|s|minutes?|mins?|min|m|hours?|hrs?|hr|h)\b"
_NUMBER = r"(?P<number>\d{1,7})"
_CLOCK = re.compile(r"\b(?:in|after|for)\s+(?P<h>\d{1,2}):(?P<m>[0-5]\d):(?P<s>[0-5]\d)\b", re.IGNORECASE)
_HINTS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # try again in 300 seconds, retry after 5 minutes, wait 60s, please retry in about 5 min
        rf"\b(?:again|retry|retried|retrying|resend|resent|back|reconnect|later|wait|deferred|delay(?:ed)?|greylist\w*|"
        rf"graylist\w*|blocked|available|expires?|resum\w+)\b[^\d\n]{{0,40}}?\b{_NUMBER}\s*{_UNIT}",
        # greylisted (300), greylisted: 300 ; retry=300, retry-after: 300, delay=300
        rf"\b(?:gr[ea]ylist(?:ed|ing)?|retry(?:[ _-]?after)?|delay|wait)\s*[=:(]\s*{_NUMBER}"
        rf"(?:\s*{_UNIT})?(?![\d.])",
        # retry after 300; try again in 300 (no unit: seconds)
        rf"\b(?:retry after|again (?:in|after)|retry in)\s+{_NUMBER}(?=\s*(?:[.;,)]|$))",
        # 5 minutes remaining, 300 seconds left, for the next 5 minutes
        rf"\b{_NUMBER}\s*{_UNIT}\s+(?:remaining|left|from now)\b",
        rf"\b(?:at least|in the next|for the next)\s+{_NUMBER}\s*{_UNIT}",
    )
)


def hint_of(text: str) -> Millis | None:
    """The wait that a peer's reply names, or ``None``. ``hint_of("try again in 5 minutes") == 300_000``."""
    if not any(char.isdigit() for char in text):
        return None
    clock = _CLOCK.search(text)
    if clock is not None:
        seconds = int(clock["h"]) * 3600 + int(clock["m"]) * 60 + int(clock["s"])
        return min(seconds * SECOND, MAX_HINT) if seconds else None
    for pattern in _HINTS:
        match = pattern.search(text)
        if match is not None:
            unit = (match.groupdict().get("unit") or "s").lower()
            wait = int(int(match["number"]) * _unit_millis(unit))
            return min(wait, MAX_HINT) if wait > 0 else None
    return None


def _unit_millis(unit: str) -> Millis:
    if unit.startswith(("ms", "milli")):
        return 1
    return {"s": SECOND, "m": 60 * SECOND, "h": HOUR}[unit[0]]
