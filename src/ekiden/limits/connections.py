"""Accepted connections of one kind (SMTP, HTTP) of one worker: how many, from whom, and who goes when it is full.

Whoever has proven nothing yet (no login, no complete request) holds a place on sufferance: when all places are
taken, the one that has proven nothing for longest goes, and the newcomer is served. A flood of silent connections
therefore pushes out its own; it must open as many connections as there are places, from as many addresses, within
the time that an honest client needs to log in. Who has logged in keeps its place, as long as its account has no
more than its share of them (``limits.shares``); what it has beyond that is on sufferance, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

from ekiden.limits.shares import Shares

SHED: Final = 8
"""Connections that make room at once when descriptors run out."""


class ConnectionCounts:
    """What subclasses count; additions only."""

    def refused(self) -> None:
        """A newcomer found no place."""

    def pushed_out(self) -> None:
        """One that had proven nothing gave its place to a newcomer."""


class Place:
    """What a connection holds from being accepted until ``leave``. Made by ``Connections.enter``."""

    __slots__ = ("_cut", "_of", "_open", "_owner", "key", "trusted")

    def __init__(self, of: Connections, key: str, cut: Callable[[], None], trusted: bool) -> None:
        self.key = key
        self.trusted = trusted
        self._of = of
        self._cut = cut
        self._open = True
        self._owner: Hashable = None

    def settle(self, owner: Hashable = None) -> None:
        """It has proven itself (login, complete request): nobody takes its place any more.

        ``owner`` is the account that it belongs to: what that has beyond its share stays on sufferance.
        """
        of = self._of
        if self._open and owner is not None and not self.trusted:
            self._disown()
            if not of._owned.take(owner):
                of._waiting.setdefault(self)
                return
            self._owner = owner
        of._waiting.pop(self, None)

    def unsettle(self) -> None:
        """It has to prove itself again (a request was answered); now it is the youngest of its kind."""
        if self._open and not self.trusted:
            self._disown()
            self._of._waiting.pop(self, None)
            self._of._waiting[self] = None

    def move(self, key: str, *, trusted: bool = False) -> bool:
        """Its client is another than the socket said (PROXY, X-Forwarded-For): counted there from now on.

        False: that one has as many as it may; the connection is to be ended.
        """
        of = self._of
        if not self._open or (not trusted and not of._may_have(key)):
            return False
        of._uncount(self.key)
        of._count(key)
        self.key = key
        self.trusted = trusted
        if trusted:
            self.settle()
        else:
            of._waiting.setdefault(self)
        return True

    def _disown(self) -> None:
        if self._owner is not None:
            self._of._owned.give(self._owner)
            self._owner = None

    def cut_with(self, cut: Callable[[], None]) -> None:
        """From now on, this is how the connection is ended when it is pushed out."""
        self._cut = cut

    def leave(self) -> None:
        """The connection has ended. May be called more than once."""
        if self._open:
            self._open = False
            self._disown()
            self._of._waiting.pop(self, None)
            self._of._uncount(self.key)


class Connections:
    """At most ``most`` in all; from one address at most ``per_address``, and at most half of the places that others
    leave. Integers and dictionaries only: one ``enter`` costs about a microsecond."""

    __slots__ = ("_addresses", "_counts", "_owned", "_waiting", "most", "open", "per_address")

    def __init__(self, most: int, per_address: int, counts: ConnectionCounts | None = None) -> None:
        self.most = most
        self.per_address = per_address
        self.open = 0
        self._counts = counts or ConnectionCounts()
        self._addresses: dict[str, int] = {}
        self._owned = Shares(most)
        self._waiting: dict[Place, None] = {}
        """Those that have proven nothing, the oldest first."""

    def enter(self, key: str, cut: Callable[[], None], *, trusted: bool = False) -> Place | None:
        """A place for a connection from ``key`` (``access.failures.throttle_key``: an IPv4 address, an IPv6 /64).

        ``cut`` is called, later and at most once, when another takes its place: end the connection at once. Proxies
        and trusted networks are ``trusted``: no bound per address, and never pushed out.
        ``None``: no place; say so if that is cheap, and close.
        """
        if self.open >= self.most and not self._make_room(key, trusted):
            self._counts.refused()
            return None
        if not trusted and not self._may_have(key):
            self._counts.refused()
            return None
        place = Place(self, key, cut, trusted)
        self._count(key)
        if not trusted:
            self._waiting[place] = None
        return place

    def held(self, key: str) -> int:
        return self._addresses.get(key, 0)

    @property
    def unproven(self) -> int:
        """How many hold their place on sufferance."""
        return len(self._waiting)

    def _may_have(self, key: str) -> bool:
        held = self._addresses.get(key, 0)
        # Who has none may have one; else half of what the others leave, the place of a pushed-out one included.
        return held < self.per_address and (not held or (held + 1) * 2 <= self.most - self.open + held)

    def _make_room(self, key: str, trusted: bool) -> bool:
        """Push out the oldest that has proven nothing. Who has connections already makes nobody go."""
        if not trusted and self._addresses.get(key):
            return False
        return self._push_out()

    def shed(self, most: int = SHED) -> int:
        """Push out up to ``most`` that have proven nothing, the oldest first: the system has no descriptor left for
        newcomers, however many places there are. How many they were."""
        shed = 0
        while shed < most and self._push_out():
            shed += 1
        return shed

    def _push_out(self) -> bool:
        place = next(iter(self._waiting), None)
        if place is None:
            return False
        cut = place._cut
        place.leave()
        self._counts.pushed_out()
        cut()
        return True

    def _count(self, key: str) -> None:
        self.open += 1
        self._addresses[key] = self._addresses.get(key, 0) + 1

    def _uncount(self, key: str) -> None:
        self.open -= 1
        count = self._addresses.pop(key) - 1
        if count:
            self._addresses[key] = count
