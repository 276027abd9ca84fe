"""What is known of one site and waits for it: ready parcels, how many connections it bears, whether it is down.

Pure bookkeeping: time and chance come in as numbers, sockets are elsewhere.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain

from ekiden.core.clock import MINUTE, SECOND, Millis
from ekiden.core.diagnosis import Verdict
from ekiden.delivery.letters import Letter, Parcel
from ekiden.delivery.routing import Route
from ekiden.store.records import Delivery

MIN_READY = 50
"""So many deliveries any site may keep in memory, however slow it is."""
_MIN_OF_EACH = 10
"""Deliveries that each account may have at a site that others have filled; who has fewer there has little."""
_MOST_FRESH = 3  # takes in a row before those that wait for their next turn
_READY_SECONDS = 60.0  # a site keeps at most the work of so many seconds in memory
_FIRST_PACE = 0.01
_STALLED = 5.0
_MAX_POSTPONED: Millis = 10 * MINUTE
_FORGET_HORIZONS = 256
_BREAK_FIRST = 15.0
_BREAK_MOST = 300.0

# Which priority is asked first on each of 16 turns: HIGH on 12, STANDARD on 3, LOW on 1. Without that, a steady
# flow of HIGH mail would starve the others.
_HIGH_FIRST = (0, 1, 2)
_TURNS = tuple((2, 1, 0) if turn == 15 else (1, 0, 2) if turn % 4 == 3 else _HIGH_FIRST for turn in range(16))


class _Queue:
    """Parcels of one priority: accounts take turns, each with its own in order.

    What is fresh, of an account with little here, goes before those that wait for their next turn, at three takes
    of four at most: a single message does not wait until each of a thousand accounts had a turn, and a thousand
    single messages do not keep the others from theirs.
    """

    __slots__ = ("_by_account", "_fresh", "_fresh_taken")

    def __init__(self) -> None:
        self._by_account: dict[int, deque[Parcel]] = {}
        """In the order of their turns."""
        self._fresh: dict[int, deque[Parcel]] = {}
        """What goes before them. When one of an account's is taken, the rest of it waits with the others."""
        self._fresh_taken = 0
        """Takes in a row from there."""

    def append(self, parcel: Parcel, fresh: bool) -> None:
        account = parcel.letter.message.account_id
        queue = self._fresh if fresh else self._by_account
        waiting = queue.get(account)
        if waiting is None:
            queue[account] = deque((parcel,))
        else:
            waiting.append(parcel)

    def put_back(self, parcel: Parcel, served: bool) -> None:
        account = parcel.letter.message.account_id
        if not served:
            waiting = self._fresh.pop(account, None) or deque()
            self._fresh = {account: waiting, **self._fresh}
            self._fresh_taken = 0
        elif (found := self._by_account.get(account)) is not None:
            waiting = found
        else:
            waiting = self._by_account[account] = deque()
        waiting.appendleft(parcel)

    def take(self, may: Callable[[int], bool]) -> Parcel | None:
        fresh_first = self._fresh_taken < _MOST_FRESH or not self._by_account
        parcel = self._take_fresh(may) if fresh_first and self._fresh else None
        if parcel is None:
            parcel = self._take_waiting(may)
        if parcel is None and not fresh_first and self._fresh:
            parcel = self._take_fresh(may)
        return parcel

    def _take_waiting(self, may: Callable[[int], bool]) -> Parcel | None:
        for account, waiting in self._by_account.items():
            if may(account):
                self._fresh_taken = 0
                parcel = waiting.popleft()
                if not waiting:
                    del self._by_account[account]
                elif len(self._by_account) > 1:
                    del self._by_account[account]
                    self._by_account[account] = waiting
                return parcel
        return None

    def _take_fresh(self, may: Callable[[int], bool]) -> Parcel | None:
        for account, waiting in self._fresh.items():
            if may(account):
                self._fresh_taken += 1
                del self._fresh[account]
                parcel = waiting.popleft()
                if waiting:
                    others = self._by_account.setdefault(account, waiting)
                    if others is not waiting:
                        others.extendleft(reversed(waiting))
                return parcel
        return None

    def __iter__(self) -> Iterator[Parcel]:
        for queue in (self._fresh, self._by_account):
            for waiting in queue.values():
                yield from waiting

    @property
    def accounts(self) -> Iterator[int]:
        return chain(self._fresh, self._by_account)

    def clear(self) -> None:
        self._by_account.clear()
        self._fresh.clear()


def _anyone(_: int) -> bool:
    return True


class Site:
    """See the module. ``window`` is how many connections it may have now; the dispatcher counts those it has."""

    __slots__ = (
        "_most",
        "_open_parcels",
        "_queues",
        "_turn",
        "alive",
        "broken_until",
        "caution",
        "coming",
        "connections",
        "dialling",
        "failures",
        "horizons",
        "idle",
        "last_done",
        "last_used",
        "max_recipients",
        "pace",
        "parcels",
        "ready",
        "ready_of",
        "route",
        "trouble",
        "window",
    )

    def __init__(self, route: Route, *, initial: int, most: int, max_recipients: int) -> None:
        self.route = route
        self.max_recipients = max_recipients
        self.window = float(min(initial, most))
        self._most = most
        self._queues = (_Queue(), _Queue(), _Queue())
        self._open_parcels: dict[int, Parcel] = {}
        self._turn = -1
        self.parcels = 0
        self.ready = 0
        """Deliveries in the queues."""
        self.ready_of: dict[int, int] = {}
        """Those of each account."""
        self.connections = 0
        """Tasks that work for this site."""
        self.coming = 0
        """Those of them that were started or woken and have not taken their parcel yet."""
        self.alive = 0
        """Those of them that have an open session."""
        self.dialling = 0
        """Those of them that are opening one."""
        self.idle: list[asyncio.Future[bool]] = []
        """Connections that wait for work; True wakes one."""
        self.caution = 1.0
        """Slows the growth of the window down after the site said that it is too much."""
        self.failures = 0
        """How often in a row nobody answered."""
        self.broken_until = 0.0
        self.trouble: tuple[Verdict, str, str, str] | None = None
        """Of the last failure: verdict, dialogue, host, address."""
        self.pace = _FIRST_PACE
        """Seconds for one delivery, lately, all connections together."""
        self.last_done = 0.0
        self.last_used = 0.0
        self.horizons: dict[int, Millis] = {}
        """By account: when the last of its deliveries that found no room here comes back."""

    # the ready queue

    def put(self, letter: Letter, delivery: Delivery) -> bool:
        """Queue; True when this made a new parcel, False when it joined one of the same message."""
        account = letter.message.account_id
        fresh = letter.fresh and self.ready_of.get(account, 0) < _MIN_OF_EACH
        self._count(account, 1)
        message_id = letter.message.id
        parcel = self._open_parcels.get(message_id)
        if parcel is not None and len(parcel.deliveries) < self.max_recipients:
            parcel.deliveries.append(delivery)
            return False
        parcel = Parcel(letter, [delivery])
        self._open_parcels[message_id] = parcel
        self._queues[letter.message.priority].append(parcel, fresh)
        self.parcels += 1
        return True

    def take(self, may: Callable[[int], bool] = _anyone) -> Parcel | None:
        """The next parcel: higher priorities first, lower ones on their turns; within one, accounts take turns.

        ``may``: whether it may be one of that account, which is taken for it then; the first one that may is it.
        """
        if not self.parcels:
            return None
        self._turn = (self._turn + 1) & 15
        for priority in _TURNS[self._turn]:
            parcel = self._queues[priority].take(may)
            if parcel is not None:
                self.parcels -= 1
                self._count(parcel.letter.message.account_id, -len(parcel.deliveries))
                message_id = parcel.letter.message.id
                if self._open_parcels.get(message_id) is parcel:
                    del self._open_parcels[message_id]
                return parcel
        return None

    def accounts(self) -> list[int]:
        """Whose parcels wait here."""
        return list(dict.fromkeys(account for queue in self._queues for account in queue.accounts))

    def _count(self, account: int, more: int) -> None:
        self.ready += more
        count = self.ready_of.get(account, 0) + more
        if count:
            self.ready_of[account] = count
        else:
            del self.ready_of[account]

    def put_back(self, parcel: Parcel, *, served: bool = False) -> None:
        """It goes to the front of its priority. ``served``: its account has had its turn by another part of it, and
        it goes to the front of the account only.
        """
        self._queues[parcel.letter.message.priority].put_back(parcel, served)
        self.parcels += 1
        self._count(parcel.letter.message.account_id, len(parcel.deliveries))

    def take_all(self) -> list[Parcel]:
        """Empty the queues."""
        taken = [parcel for queue in self._queues for parcel in queue]
        for queue in self._queues:
            queue.clear()
        self._open_parcels.clear()
        self.ready_of.clear()
        self.parcels = self.ready = 0
        return taken

    # how much waits here

    def is_full(self, now: float, free: int, ready_limit: int, account: int) -> bool:
        """Whether one more delivery of ``account`` should wait in the store instead. ``free``: places left in this
        worker.

        A site may take half of what is left (so that there is always something left for others) and no more than
        it works off within a minute. Who has less of that here than would be its part still gets in when others
        fill it, and has a few at least.
        """
        if self.ready < MIN_READY:
            return False
        most = max(MIN_READY, min(ready_limit, free, _READY_SECONDS / self._pace_at(now)))
        if self.ready < most:
            return False
        part = most / (len(self.ready_of) + (account not in self.ready_of))
        return free < 1 or self.ready_of.get(account, 0) >= max(_MIN_OF_EACH, part)

    def _pace_at(self, now: float) -> float:
        # Nothing finished for seconds although connections are at work: it is slower than it was.
        if self.connections and self.last_done and now - self.last_done > _STALLED:
            return max(self.pace, (now - self.last_done) / self.connections)
        return self.pace

    def postpone(self, account: int, now: float, wall: Millis, chance: float) -> Millis:
        """When a delivery of ``account`` that found no room should come back: about when those of the account that
        were before it are done. What others have waiting only counts for their turns between.
        """
        start = wall + 2 * SECOND
        if account not in self.horizons and len(self.horizons) >= _FORGET_HORIZONS:
            self.horizons = {one: until for one, until in self.horizons.items() if until > start}
        took = self._pace_at(now) * max(1, len(self.ready_of))
        horizon = max(self.horizons.get(account, 0), start) + max(1, round(took * SECOND))
        if horizon > wall + _MAX_POSTPONED:
            horizon = wall + _MAX_POSTPONED
            self.horizons[account] = horizon
            return wall + round(_MAX_POSTPONED * (0.5 + chance / 2))
        self.horizons[account] = horizon
        return horizon

    def done(self, count: int, now: float) -> None:
        """``count`` deliveries have ended their attempt."""
        if self.last_done:
            took = (now - self.last_done) / count
            self.pace += 0.05 * (min(took, _READY_SECONDS) - self.pace)
            self.pace = max(self.pace, 1e-5)
        self.last_done = now

    def rest(self) -> None:
        """Nothing is under way: what comes next does not measure the pace."""
        self.last_done = 0.0

    # how many connections

    @property
    def may_connect(self) -> bool:
        return self.connections < int(self.window)

    def succeeded(self) -> None:
        """A message went through: room for one more connection after each round (as Postfix's feedback)."""
        self.failures = 0
        if self.window < self._most:
            self.window = min(float(self._most), self.window + 1 / (self.window * self.caution))

    def slow_down(self) -> None:
        """The site said that it is too much, or dropped a connection."""
        self.window = max(1.0, min(self.window, max(self.connections, 1)) / 2)
        self.caution = min(64.0, self.caution * 2)

    # up or down

    def failed(self, now: float, chance: float, verdict: Verdict, dialogue: str, host: str, address: str) -> None:
        """No host of the site could be talked to: leave it alone for 15 seconds, doubling up to 5 minutes."""
        self.trouble = (verdict, dialogue, host, address)
        if self.broken_until > now:
            return
        self.window = 1.0
        wait = min(_BREAK_MOST, _BREAK_FIRST * 2.0 ** min(self.failures, 10))
        self.failures += 1
        self.broken_until = now + wait * (0.75 + chance / 2)

    def recovered(self) -> None:
        """A session could be opened."""
        self.broken_until = 0.0
        self.trouble = None
        self.caution = max(1.0, self.caution / 2)

    def is_broken(self, now: float) -> bool:
        return self.broken_until > now
