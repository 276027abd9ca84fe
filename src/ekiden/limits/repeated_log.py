"""Log lines that somebody outside can cause as often as they like: one line, then one with a number.

Whoever knocks at a door ten thousand times a minute must fill neither the disk nor the eyes of the operator. The
first line of a kind is written at once; what repeats it is counted, and told as ``repeated=n`` once an interval.
The first lines of other keys (other addresses, other accounts) are written, too, up to a bound that all keys share.

Of the kinds that are promised (``limits.journal``) more is written, ``SAME`` of a key and ``log.burst`` of all: a
program that counts failures of an address (fail2ban) has to see them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Final

import structlog

from ekiden.limits.journal import Kind, burst
from ekiden.limits.lru import Lru

EVERY: Final = 10.0
"""Seconds between two lines that say the same."""
LINES: Final = 20
"""Lines of one kind in that time, whatever their keys."""
SAME: Final = 10
"""Lines of one kind that is promised and of one key in that time."""
_MAX_KEYS: Final = 2_000


class Repeats:
    """Counts: ``burst`` lines of a key are written each ``every`` seconds. Bounded: the oldest key is forgotten."""

    def __init__(self, every: float = EVERY, burst: int = 1, *, most: int = _MAX_KEYS) -> None:
        self.every = every
        self._burst = burst
        self._keys: Lru[Hashable, list[float]] = Lru(most)  # since when, written, not written

    def admit(self, key: Hashable, now: float) -> int | None:
        """``None``: count it and write nothing; else how many were not written since the last line."""
        entry = self._keys.get(key)
        if entry is None:
            self._keys.put(key, [now, 1, 0])
            return 0
        if now - entry[0] >= self.every:
            missing = int(entry[2])
            entry[:] = [now, 1, 0]
            self._keys.move_to_end(key)
            return missing
        if entry[1] < self._burst:
            entry[1] += 1
            return 0
        entry[2] += 1
        return None


class RepeatedLog:
    """``structlog`` with that bound. One for each room; its methods may be called from threads without a loop, too.

    Counts that nobody repeats any more are told when the interval ends, if there is a running loop.
    """

    def __init__(
        self, name: str, *, every: float = EVERY, lines: int = LINES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = structlog.get_logger(name)
        self._clock = clock
        self._every = every
        self._same = Repeats(every)
        self._all = Repeats(every, lines)
        self._same_told = Repeats(every, SAME)
        self._all_told = Repeats(every, burst())
        self._untold: dict[str, list[Any]] = {}  # by event: who writes it, how many, what the last one said
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def info(self, event: str, *, key: Hashable = (), **facts: Any) -> None:
        """``key``: lines with another one are told apart; ``facts`` as everywhere in the log."""
        self._write("info", event, key, facts)

    def warning(self, event: str, *, key: Hashable = (), **facts: Any) -> None:
        """As ``info``."""
        self._write("warning", event, key, facts)

    def error(self, event: str, *, key: Hashable = (), **facts: Any) -> None:
        """As ``info``."""
        self._write("error", event, key, facts)

    def tell(self, kind: Kind, *, key: Hashable = (), **facts: Any) -> None:
        """A line that is promised, of a kind that strangers can cause."""
        if not kind.level:
            return
        now = self._clock()
        if self._same_told.admit((kind, key), now) is not None and self._all_told.admit(kind, now) is not None:
            kind.write(**facts)
        else:
            self._count(kind.event, kind.write, facts)

    def _write(self, method: str, event: str, key: Hashable, facts: dict[str, Any]) -> None:
        now = self._clock()
        if self._same.admit((event, key), now) is not None and self._all.admit(event, now) is not None:
            getattr(self._log, method)(event, **facts)
        else:
            self._count(event, partial(getattr(self._log, method), event), facts)

    def _count(self, event: str, write: Callable[..., object], facts: dict[str, Any]) -> None:
        """It is not written."""
        untold = self._untold.get(event)
        if untold is None:
            self._untold[event] = [write, 1, facts]
        else:
            untold[1] += 1
            untold[2] = facts
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._timer is None or self._loop is not loop:
            self._loop = loop
            self._timer = loop.call_later(self._every, self.flush)

    def flush(self) -> None:
        """Tell what was counted and not told yet: one line for each event, with the facts of the last."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()
        untold, self._untold = self._untold, {}
        for write, count, facts in untold.values():
            write(**facts, repeated=count)
