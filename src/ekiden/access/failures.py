"""Failed logins, counted in sliding windows per address and per user name, in bounded memory."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict

MAX_KEYS = 20_000


def address_key(address: str) -> str:
    """What counts as one address: an IPv4 address, or the /64 that an IPv6 host usually has for itself."""
    if ":" not in address:
        return address
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return f"{int(parsed) >> 64:x}::/64"


class _Count:
    __slots__ = ("current", "index", "previous")

    def __init__(self, index: int) -> None:
        self.index = index
        self.current = 0
        self.previous = 0

    def move(self, index: int) -> None:
        if index == self.index:
            return
        self.previous = self.current if index == self.index + 1 else 0
        self.current = 0
        self.index = index


class SlidingCounter:
    """How often each key was counted within the last ``window`` seconds, to within a few per cent.

    Two numbers per key: the last window counts for the part of it that still overlaps. The key that was counted
    longest ago is forgotten when there are too many.
    """

    def __init__(self, window: float, max_keys: int = MAX_KEYS) -> None:
        self._window = window
        self._max_keys = max_keys
        self._counts: OrderedDict[str, _Count] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def get(self, key: str, now: float) -> float:
        """The count of ``key`` at the monotonic time ``now``."""
        count = self._counts.get(key)
        if count is None:
            return 0
        index, part = divmod(now, self._window)
        count.move(int(index))
        return count.current + count.previous * (1 - part / self._window)

    def add(self, key: str, now: float) -> float:
        """Count one; returns the count with it."""
        index = int(now // self._window)
        count = self._counts.get(key)
        if count is None:
            count = self._counts[key] = _Count(index)
            if len(self._counts) > self._max_keys:
                self._counts.popitem(last=False)
        else:
            self._counts.move_to_end(key)
        count.move(index)
        count.current += 1
        return self.get(key, now)


def delay_for(failures: float, after: int, first: float, longest: float) -> float:
    """Seconds to wait before the reply to another failure: ``first``, doubled with each one beyond ``after``."""
    beyond = failures - after
    if beyond < 0 or first <= 0:
        return 0.0
    return float(min(longest, first * 2 ** min(beyond, 30)))
