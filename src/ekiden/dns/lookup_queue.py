"""Who may ask the name servers now: look-ups are shared by those on whose behalf they are made.

There are two kinds of places. Every question begins on a fast one. One that has waited for its answer longer than a
moment moves to a slow one, so that names whose servers never answer do not keep others from asking; where no slow
place is free for its account and others wait, it is given up. What is slow yields to what is young.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from contextvars import ContextVar

from ekiden.limits.shares import Holder, Shares

_behalf: ContextVar[Hashable] = ContextVar("behalf", default="")


def on_behalf_of(key: Hashable) -> None:
    """The look-ups of this task, from now on, are those of ``key``: a room and an account, most of the time."""
    _behalf.set(key)


def behalf() -> Hashable:
    """For whom this task asks."""
    return _behalf.get()


class Turn:
    """The place of one question. Made by ``Turns.begin``; ``end`` gives it back."""

    __slots__ = ("_key", "_of", "_slow", "_task", "_timer", "given_up")

    def __init__(self, of: Turns, key: Hashable) -> None:
        self._of = of
        self._key = key
        self._slow = False
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.given_up = False
        """``task`` was cancelled, because its place is needed."""

    def watch(self, task: asyncio.Task[object] | None) -> None:
        """``task`` asks from now on."""
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(self._of.moment, self._is_slow)

    def _is_slow(self) -> None:
        of = self._of
        if of.slow.take(self._key):
            self._slow = True
            self._timer = None
            of.fast.give(self._key)
        elif of.fast.wanted and self._task is not None:
            self.given_up = True
            of.given_up += 1
            self._task.cancel()
        else:
            self._timer = asyncio.get_running_loop().call_later(of.moment, self._is_slow)

    def end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        (self._of.slow if self._slow else self._of.fast).give(self._key)


class Turns:
    """Places for questions, ``fast`` and ``slow`` ones."""

    def __init__(self, fast: int, slow: int, moment: float) -> None:
        """``moment``: seconds after which a question counts as slow."""
        self.fast = Shares(fast)
        self.slow = Shares(slow)
        self.moment = moment
        self.given_up = 0

    async def begin(self, key: Hashable) -> Turn:
        """As soon as it is the turn of ``key``."""
        await self.fast.wait(key)
        return Turn(self, key)

    def holders(self, most: int = 10) -> list[Holder]:
        """Who has questions under way or waiting, the slow ones counted as well."""
        held: dict[Hashable, list[int]] = {}
        for shares in (self.fast, self.slow):
            for holder in shares.holders(1 << 30):
                both = held.setdefault(holder.key, [0, 0])
                both[0] += holder.held
                both[1] += holder.waiting
        found = [Holder(key, *both) for key, both in held.items()]
        return sorted(found, key=lambda holder: holder.held + holder.waiting, reverse=True)[:most]
