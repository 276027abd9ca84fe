"""How often an account may ask: token buckets by account and endpoint, in each worker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from ekiden.limits.lru import Lru

if TYPE_CHECKING:
    from ekiden.core.clock import Clock

_MAX_BUCKETS: Final = 50_000


class Throttle(NamedTuple):
    """At most ``requests`` in ``seconds``; ``burst`` of them at once. ``requests`` 0: no limit."""

    requests: int
    seconds: int
    burst: int


class Throttles:
    """Workers do not tell each other what they let pass: the bound of an installation is that of its workers."""

    def __init__(self, throttles: Mapping[str, Throttle], clock: Clock) -> None:
        """``throttles``: by family of operations (``web.operation.Operation.family``)."""
        self._throttles = dict(throttles)
        self._clock = clock
        # Tokens left, and the monotonic time of that. Full ones that nobody asks for are forgotten first.
        self._buckets: Lru[tuple[int, str], tuple[float, float]] = Lru(_MAX_BUCKETS)

    def take(self, account_id: int, family: str, endpoint: str) -> float:
        """0: go on. Else the seconds until it may be tried again; nothing is taken then.

        Each ``endpoint`` has a bucket of its own; those of a family are alike.
        """
        throttle = self._throttles.get(family)
        if throttle is None or not throttle.requests:
            return 0.0
        now = self._clock.monotonic()
        rate = throttle.requests / throttle.seconds
        key = (account_id, endpoint)
        left, at = self._buckets.get(key, (float(throttle.burst), now))
        left = min(float(throttle.burst), left + (now - at) * rate)
        wait = 0.0 if left >= 1.0 else (1.0 - left) / rate
        self._buckets.put(key, (left if wait else left - 1.0, now))
        return wait
