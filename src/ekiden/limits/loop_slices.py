"""Long work on an event loop, cut into turns: others are served in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

TURN: Final = 0.01
"""Seconds of one turn."""


class Turns:
    """``await turns.next()`` between small pieces of work: it lets others go when this turn was long enough."""

    __slots__ = ("_ends",)

    def __init__(self) -> None:
        self._ends = monotonic() + TURN

    async def next(self) -> None:
        if monotonic() >= self._ends:
            await asyncio.sleep(0)
            self._ends = monotonic() + TURN


class SharedTurn:
    """One turn of the loop for many that are called by it, not awaited: together they have ``seconds`` of it."""

    __slots__ = ("_ends", "_seconds")

    def __init__(self, seconds: float = TURN) -> None:
        self._seconds = seconds
        self._ends = 0.0

    def over(self) -> bool:
        """Whether the rest should wait for the next turn (``call_soon``). Ask between small pieces of work."""
        now = monotonic()
        if not self._ends:
            self._ends = now + self._seconds
            asyncio.get_running_loop().call_soon(self._next)
        return now >= self._ends

    def _next(self) -> None:
        self._ends = 0.0


async def in_turns(make: Callable[[R], T], items: Iterable[R]) -> list[T]:
    """``make`` of each item, with turns for others in between: a page of a list may have a thousand."""
    turns = Turns()
    found: list[T] = []
    for item in items:
        found.append(make(item))
        await turns.next()
    return found
