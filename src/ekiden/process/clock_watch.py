"""Whether this machine's clock is right, as far as the machines that share a database can agree on that.

Leases go by the database's clock and do not care. Everything else that a worker says of time is by its own: when
deliveries are due, in which minute a quota counts, how old a signature is, when something happened. Machines whose
clocks are apart would disagree about it, so that a node whose clock is off does not start; what runs goes on when
its clock is set wrong, and says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ekiden.core.clock import SECOND, Clock, Millis
from ekiden.core.texts import TranslatedError
from ekiden.process.logging import get_logger
from ekiden.process.translations import TEXTS

if TYPE_CHECKING:
    from ekiden.store.api import Store

MOST_OFFSET: Final = 5.0
"""Seconds between the clocks of a machine and of its database."""
_LOOKS: Final = 3
_JUMP: Final = 0.5  # seconds between two looks; what a query takes is less
_REMIND: Final = 600.0  # seconds between two lines in the log


class ClockWrong(TranslatedError):
    """This machine's clock and the database's are too far apart."""

    def __init__(self, offset: float) -> None:
        self.offset = offset
        template = (
            "the clock of this machine is {seconds} s ahead of the database's"
            if offset > 0
            else "the clock of this machine is {seconds} s behind the database's"
        ) + (
            " ({most} s are allowed): let both machines set theirs by NTP "
            "(timedatectl set-ntp true; chronyc makestep), then start again"
        )
        super().__init__(TEXTS, template, seconds=f"{abs(offset):.1f}", most=f"{MOST_OFFSET:.0f}")


def offset_of(before: Millis, theirs: Millis, after: Millis) -> float:
    """Seconds that our clock is ahead for certain (negative: behind), when it read ``before`` and ``after`` around
    the moment at which the other one read ``theirs``."""
    if before > theirs:
        return (before - theirs) / SECOND
    return min(0, after - theirs) / SECOND


async def clock_offset(store: Store, clock: Clock) -> float:
    """Seconds that this machine's clock is ahead of the database's; negative: behind."""
    least: float | None = None
    for _ in range(_LOOKS):
        before = clock.now()
        theirs = await store.now()
        found = offset_of(before, theirs, clock.now())
        least = found if least is None or abs(found) < abs(least) else least
    return least or 0.0


class Steady:
    """Since when the clock of leases has run as fast as ours: who renewed before it was set on is not late."""

    def __init__(self, now: float) -> None:
        self.since = now
        self._ahead: float | None = None

    def saw(self, theirs: Millis, now: float) -> None:
        """``now`` by our monotonic clock."""
        ahead = theirs / SECOND - now
        if self._ahead is not None and ahead - self._ahead > _JUMP:
            self.since = now
            get_logger().warning("the clock that leases go by was set on", seconds=round(ahead - self._ahead, 1))
        self._ahead = ahead


class ClockWatch:
    """What a running worker sees of it with each heartbeat."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: float | None = None

    def saw(self, before: Millis, theirs: Millis, after: Millis) -> None:
        offset = offset_of(before, theirs, after)
        now = self._clock.monotonic()
        log = get_logger()
        if abs(offset) <= MOST_OFFSET:
            if self._told is not None:
                self._told = None
                log.warning("the clock of this machine is right again", offset=round(offset, 1))
        elif self._told is None or now - self._told >= _REMIND:
            self._told = now
            log.error(
                "the clock of this machine is wrong: work goes on, times are off; set it by NTP",
                offset=round(offset, 1),
            )
