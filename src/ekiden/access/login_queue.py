"""Whose login is checked next, when more come than can be checked.

A password costs 30 ms of a core whether it is right or wrong, so guesses can fill all the time there is. Therefore:

1. Logins that were right before go first, but for every fourth turn.
2. Among strangers goes first who has failed least lately: those who guess wait for one another, however many
   addresses they have. Among equals the turns go to who came last and to who came first, by turns: somebody who has
   only just come is served at once although six hundred came a moment before, and nobody waits for ever.
3. An address has one place; what else it asks waits behind its own.
4. The queue is bounded. Who comes when it is full takes the place of somebody who has failed more, or is told so.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

MAX_WAITING: Final = 1_000
"""Logins that wait, in all."""
MAX_OF_ADDRESS: Final = 50
"""Logins of one address that wait."""
_STRANGERS_EVERY: Final = 4


class Busy(Exception):
    """Too many wait, or it has waited too long."""


@dataclass(slots=True, eq=False)
class _Waiter:
    turn: asyncio.Future[None]
    known: bool
    number: int


@dataclass(slots=True)
class _Line:
    """Who waits of one address; ``busy``: one of them has its turn. ``failures`` as they are now."""

    failures: Callable[[], float]
    waiting: deque[_Waiter] = field(default_factory=deque)
    busy: int = 0


class Turns:
    """``places`` checks at the same time. What ``wait`` gave must be given back with ``give``."""

    def __init__(self, places: int, *, most: int = MAX_WAITING, of_address: int = MAX_OF_ADDRESS) -> None:
        self._free = places
        self._most = most
        self._of_address = of_address
        self._lines: dict[str, _Line] = {}
        self._known: deque[_Waiter] = deque()
        self.waiting = 0
        self._number = 0
        self._known_in_a_row = 0
        self._newest_first = True

    async def wait(
        self, address: str, failures: Callable[[], float], timeout: float, *, known: bool = False
    ) -> None:
        """A turn for a login of ``address``. Raises ``Busy``.

        ``failures``: how often the address failed lately; asked when a turn is given: it may fail while it waits.
        """
        line = self._lines.get(address)
        if self._free and (known or line is None or not line.busy) and not self.waiting:
            self._free -= 1
            self._begin(address, failures, known)
            return
        if line is not None and len(line.waiting) >= self._of_address and not known:
            raise Busy
        if self.waiting >= self._most and not self._make_room(failures(), known):
            raise Busy
        self._number += 1
        waiter = _Waiter(asyncio.get_running_loop().create_future(), known, self._number)
        if known:
            self._known.append(waiter)
        else:
            self._lines.setdefault(address, _Line(failures)).waiting.append(waiter)
        self.waiting += 1
        self._serve()
        try:
            async with asyncio.timeout(timeout):
                await waiter.turn
        except BaseException as error:
            if waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
                self.give(address, known=known)  # it was ours already
            else:
                self._forget(waiter, address)
            if isinstance(error, TimeoutError):
                raise Busy from None
            raise

    def give(self, address: str, *, known: bool = False) -> None:
        """The check is done."""
        self._free += 1
        if not known:
            line = self._lines[address]
            line.busy -= 1
            self._tidy(address, line)
        self._serve()

    def _begin(self, address: str, failures: Callable[[], float], known: bool) -> None:
        if not known:
            self._lines.setdefault(address, _Line(failures)).busy += 1

    def _serve(self) -> None:
        while self._free and self.waiting:
            waiter: _Waiter | None = None
            address = ""
            if not self._known or self._known_in_a_row >= _STRANGERS_EVERY - 1:
                address, waiter = self._stranger()
            if waiter is not None:
                self._known_in_a_row = 0
                self._lines[address].waiting.popleft()
            elif self._known:
                self._known_in_a_row += 1
                waiter = self._known.popleft()
            else:
                return
            self.waiting -= 1
            if waiter.turn.done():
                continue  # it gave up in this very moment
            self._free -= 1
            if not waiter.known:
                self._lines[address].busy += 1
            waiter.turn.set_result(None)

    def _stranger(self) -> tuple[str, _Waiter | None]:
        order = -1 if self._newest_first else 1
        best: tuple[float, int] | None = None
        where = ""
        for address, line in self._lines.items():
            if not line.busy and line.waiting:
                rank = (line.failures(), order * line.waiting[0].number)
                if best is None or rank < best:
                    best, where = rank, address
        if best is None:
            return "", None
        self._newest_first = not self._newest_first
        return where, self._lines[where].waiting[0]

    def _make_room(self, failures: float, known: bool) -> bool:
        """Whoever has failed most loses its place to somebody who has failed less, or was right before."""
        worst: tuple[float, int] | None = None
        where = ""
        for address, line in self._lines.items():
            if line.waiting:
                rank = (line.failures(), -line.waiting[-1].number)
                if worst is None or rank > worst:
                    worst, where = rank, address
        if worst is None or (not known and worst[0] < failures):
            return False
        waiter = self._lines[where].waiting[-1]
        self._forget(waiter, where)
        if not waiter.turn.done():
            waiter.turn.set_exception(Busy())
        return True

    def _forget(self, waiter: _Waiter, address: str) -> None:
        line = self._lines.get(address)
        queue = self._known if waiter.known else None if line is None else line.waiting
        if queue is not None and waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
        if line is not None:
            self._tidy(address, line)

    def _tidy(self, address: str, line: _Line) -> None:
        if not line.waiting and not line.busy and self._lines.get(address) is line:
            del self._lines[address]
