"""What a worker has so much of (connections, look-ups, octets of memory), shared so that nobody has all.

A key (an account, most of the time) may hold up to ``share`` of what the others leave: one alone gets half, a
second one a quarter, and so on. Whoever comes new therefore finds something free, however greedy the others are;
and because the rule looks at what is held now, what a greedy key gives back goes to those who hold less.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import NamedTuple


class Holder(NamedTuple):
    """For metrics and ``doctor``: what ``key`` holds, and how many of its requests wait."""

    key: Hashable
    held: int
    waiting: int


class _Waiter(NamedTuple):
    amount: int
    turn: asyncio.Future[None]


class Shares:
    """``total`` of something. What is taken must be given back, by the same key and amount."""

    __slots__ = ("_held", "_share", "_waiting", "free", "total")

    def __init__(self, total: int, *, share: float = 0.5) -> None:
        """``share``: the part that one key may hold of what the others leave; 1: all of it."""
        if total < 1 or not 0 < share <= 1:
            raise ValueError("a total of at least 1, and a share above 0 up to 1")
        self.total = total
        self.free = total
        self._share = share
        self._held: dict[Hashable, int] = {}
        self._waiting: dict[Hashable, deque[_Waiter]] = {}

    def held(self, key: Hashable) -> int:
        """What ``key`` holds now."""
        return self._held.get(key, 0)

    def may_take(self, key: Hashable, amount: int = 1) -> bool:
        """Whether ``take`` would succeed.

        Who holds nothing may take more than its share, as long as it is there: one large thing must be possible.
        """
        if amount > self.free:
            return False
        held = self._held.get(key, 0)
        return not held or held + amount <= (self.free + held) * self._share

    def room(self, key: Hashable) -> int:
        """How much more ``key`` may hold by the rule, without the exception for who holds nothing."""
        held = self._held.get(key, 0)
        return max(0, min(self.free, int((self.free + held) * self._share) - held))

    def least_room(self) -> int:
        """How much every key may take more, whoever it is: the room of the greediest one, or of a new one."""
        held = max(self._held.values(), default=0)
        return max(0, min(self.free, int((self.free + held) * self._share) - held))

    def take(self, key: Hashable, amount: int = 1, *, beyond_share: bool = False) -> bool:
        """Have it at once; False: it would be more than the key may hold now, and nothing was taken.

        ``beyond_share``: as if the key held nothing. For one large thing whose size shows bit by bit.
        """
        if amount > self.free if beyond_share else not self.may_take(key, amount):
            return False
        self.free -= amount
        self._held[key] = self._held.get(key, 0) + amount
        return True

    async def wait(self, key: Hashable, amount: int = 1) -> None:
        """Have it as soon as it is the key's turn; bound it with ``asyncio.timeout``.

        ``ValueError``: more than there is at all.
        """
        if amount > self.total:
            raise ValueError(f"{amount} of {self.total}")
        waiting = self._waiting.get(key)
        if not waiting and self.take(key, amount):
            return
        turn = asyncio.get_running_loop().create_future()
        waiter = _Waiter(amount, turn)
        if waiting is None:
            waiting = self._waiting[key] = deque()
        waiting.append(waiter)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give(key, amount)  # it was ours already
            else:
                waiting.remove(waiter)
                if not waiting and self._waiting.get(key) is waiting:
                    del self._waiting[key]
                self._serve()  # a smaller one may have stood behind it
            raise

    def move(self, key: Hashable, to: Hashable, amount: int = 1) -> bool:
        """What ``key`` took belongs to ``to`` from now on; False: that would be more than ``to`` may hold."""
        if key == to:
            return True
        left = self._held[key] - amount
        self.free += amount
        if not self.may_take(to, amount):
            self.free -= amount
            return False
        self.free -= amount
        self._held[to] = self._held.get(to, 0) + amount
        if left:
            self._held[key] = left
        else:
            del self._held[key]
        return True

    def give(self, key: Hashable, amount: int = 1) -> None:
        """Give back what was taken."""
        held = self._held.pop(key) - amount
        if held < 0:
            raise AssertionError(f"{key!r} gives back more than it took")
        if held:
            self._held[key] = held
        self.free += amount
        if self._waiting:
            self._serve()

    @asynccontextmanager
    async def hold(self, key: Hashable, amount: int = 1) -> AsyncIterator[None]:
        """``wait`` and ``give`` around a block."""
        await self.wait(key, amount)
        try:
            yield
        finally:
            self.give(key, amount)

    @property
    def wanted(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    def holders(self, most: int = 10) -> list[Holder]:
        """Who holds or waits for something, the greediest first."""
        keys = sorted({**self._held, **self._waiting}, key=self.held, reverse=True)[:most]
        return [Holder(key, self.held(key), len(self._waiting.get(key, ()))) for key in keys]

    def _serve(self) -> None:
        """Whoever holds least goes first; among equals, whoever has waited longest for a turn of its key."""
        while self._waiting and self.free:
            for key in sorted(self._waiting, key=self.held):
                waiting = self._waiting[key]
                if self.take(key, waiting[0].amount):
                    waiting.popleft().turn.set_result(None)
                    del self._waiting[key]
                    if waiting:
                        self._waiting[key] = waiting  # behind the other keys
                    break
            else:
                return
