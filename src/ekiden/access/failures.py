"""Failed logins, counted in sliding windows in bounded memory: by address, by user name, and by both together.

The bounds differ. Of one user name from one address (``guess_limit``) it takes few to be sure that somebody
guesses. An address (``address_limit``) may stand for a whole office, so it takes more, and it never shuts out who
was right from there before. A user name (``account_limit``) is guessed at from anywhere, and its owner may come
from anywhere: beyond the limit an address that has not failed has one try.

Addresses of proxies that are configured are no clients: nothing is counted under them.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

from ekiden.limits.lru import Lru
from ekiden.net.listen import Networks

if TYPE_CHECKING:
    from ekiden.access.config import AccessConfig
    from ekiden.core.clock import Clock

MAX_KEYS = 20_000
PROXY: Final = "proxy"
_LAST_CHANCES: Final = 10
"""So many times ``account_limit``, and a user name is open only to who was right before."""


def throttle_key(address: str) -> str:
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
        self._counts: Lru[str, _Count] = Lru(max_keys)

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
        count = self._counts.get(key) or _Count(index)
        self._counts.put(key, count)
        count.move(index)
        count.current += 1
        return self.get(key, now)


def delay_for(failures: float, after: int, first: float, longest: float) -> float:
    """Seconds to wait before the reply to another failure: ``first``, doubled with each one beyond ``after``."""
    beyond = failures - after
    if beyond < 0 or first <= 0:
        return 0.0
    return float(min(longest, first * 2 ** min(beyond, 30)))


class Failures:
    """Those of one worker. ``address`` is a ``key``; ``login`` a user name, or the one of all API keys."""

    def __init__(self, config: AccessConfig, clock: Clock, proxies: Networks) -> None:
        self._config = config
        self._clock = clock
        self._proxies = proxies
        self._by_address = SlidingCounter(config.window)
        self._by_login = SlidingCounter(config.window)
        self._by_both = SlidingCounter(config.window)

    def key(self, client_ip: str) -> str:
        """What a client's address is counted under."""
        return PROXY if client_ip in self._proxies else throttle_key(client_ip)

    def count(self, address: str, login: str, *, api_key: bool, checked: bool) -> None:
        """One more. ``checked``: the password was looked at; a guess at an API key says nothing of passwords."""
        now = self._clock.monotonic()
        if checked and not api_key:
            self._by_login.add(login, now)
        if address != PROXY:
            self._by_both.add(_both(address, login), now)
            if not api_key:
                self._by_address.add(address, now)

    def of(self, address: str, login: str, *, api_key: bool) -> float:
        """What puts a login behind others."""
        now = self._clock.monotonic()
        if api_key:
            return self._by_both.get(_both(address, login), now)
        return self._by_address.get(address, now)

    def of_both(self, address: str, login: str) -> float:
        """From the address, for the login."""
        return self._by_both.get(_both(address, login), self._clock.monotonic())

    def shuts(self, address: str, login: str, *, known: bool, running: int = 0, running_here: int = 0) -> bool:
        """Whether a password is refused unchecked. ``known``: one of this login was right from there lately.

        ``running``: checks of the same login from the same address under way, which may be failures;
        ``running_here``: all from the address.
        """
        config = self._config
        now = self._clock.monotonic()
        if address == PROXY:
            return not known and self._by_login.get(login, now) >= config.account_limit * _LAST_CHANCES
        if self._by_both.get(_both(address, login), now) + running >= config.guess_limit:
            return True
        if known:
            return False
        here = self._by_address.get(address, now) + running_here
        if here >= config.address_limit:
            return True
        of_login = self._by_login.get(login, now)
        return of_login >= config.account_limit and (here > 0 or of_login >= config.account_limit * _LAST_CHANCES)

    def delay(self, address: str, login: str, *, api_key: bool) -> float:
        """Seconds to wait before the answer to a failure."""
        config = self._config
        now = self._clock.monotonic()
        failures = self._by_both.get(_both(address, login), now)
        if not api_key:
            failures = max(failures, self._by_address.get(address, now))
        delay = delay_for(failures, config.address_delay_after, config.delay, config.max_delay)
        if api_key:
            return delay
        failures = self._by_login.get(login, now)
        return max(delay, delay_for(failures, config.account_delay_after, config.delay, config.max_delay))


def _both(address: str, login: str) -> str:
    return f"{address} {login}"
