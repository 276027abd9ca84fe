"""Long work on an event loop, cut into turns: others are served in between."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

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
