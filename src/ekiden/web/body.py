"""The body of a request: read within what its operation can need, out of the memory that its account may have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar

from litestar import Request
from litestar.exceptions import ClientException, InternalServerException

from ekiden.limits.loop_slices import Turns
from ekiden.limits.memory import LEAST, Memory
from ekiden.limits.shares import Shares
from ekiden.limits.workshop import Workshop
from ekiden.web.errors import Incomplete, NoRoom, RequestRefused, TooLarge
from ekiden.web.json_gauge import JsonGauge
from ekiden.web.need import Need

T = TypeVar("T")

PIECE: Final = 16_384
"""Octets that are looked at in one go."""
UNCOUNTED: Final = 65_536
"""Octets up to which a body costs no memory worth counting."""
LARGE: Final = 262_144
"""Octets from which on a body is decoded in a thread."""
PATIENCE: Final = 2.0
"""Seconds that a body waits for memory."""
PLACES: Final = 6
"""Lists and changes of what is stored that a worker answers at a time; an account alone has half. The store reads
over four connections: one account never has all of them."""
TURN: Final = 30.0
"""Seconds that a request waits for such a place."""
_STEP: Final = 1_048_576
"""Octets of memory that a body of unknown length takes at a time."""


class Bodies:
    """What bodies are read with: one per worker. ``memory`` and ``workshop`` are the worker's own."""

    def __init__(
        self, memory: Memory | None = None, workshop: Workshop | None = None, *, patience: float = PATIENCE
    ) -> None:
        self.memory = memory or Memory(4 * LEAST)
        self.workshop = workshop or Workshop()
        self.patience = patience
        self.places = Shares(PLACES)
        self.turn_patience = TURN
        self.refused: dict[str, int] = {}
        """How many were refused, by the name of the error."""

    @contextmanager
    def counted(self) -> Iterator[None]:
        """What is refused within is counted for the metrics."""
        try:
            yield
        except RequestRefused as error:
            why = type(error).__name__
            self.refused[why] = self.refused.get(why, 0) + 1
            raise

    @asynccontextmanager
    async def turn(self, key: Hashable) -> AsyncIterator[None]:
        """A place among those who ask the store for much. Raises ``NoRoom`` when there is none in time."""
        try:
            async with asyncio.timeout(self.turn_patience):
                await self.places.wait(key)
        except TimeoutError:
            raise NoRoom from None
        try:
            yield
        finally:
            self.places.give(key)


class Body:
    """That of one request. Raises ``web.errors``. Close it when nothing of it is needed any more."""

    __slots__ = ("_bodies", "_held", "_key", "_request", "need", "once_read")

    def __init__(self, request: Request[Any, Any, Any], need: Need, bodies: Bodies, key: Hashable) -> None:
        """``key``: the account's id; before a login, the client's address. Its announced length is checked now."""
        self.need = need
        self.once_read: Callable[[], Awaitable[None]] | None = None
        """What is waited for when all of it has come, once."""
        self._request = request
        self._bodies = bodies
        self._key = key
        self._held = 0
        if announced(request) > need.octets:
            raise TooLarge(need.octets)

    def close(self) -> None:
        """Its memory is somebody else's."""
        held, self._held = self._held, 0
        self._bodies.memory.give(self._key, held)

    async def chunks(self) -> AsyncIterator[bytes]:
        """As it comes, in pieces that are small enough to be worked on; others get their turn in between."""
        size = 0
        length = announced(self._request)
        turns = Turns()
        await self._hold(length)
        try:
            async for chunk in self._request.stream():
                size += len(chunk)
                if size > self.need.octets:
                    raise TooLarge(self.need.octets)
                if size > max(length, self._held, LARGE):
                    await self._hold(size + _STEP)
                for at in range(0, len(chunk), PIECE):
                    yield chunk[at : at + PIECE]
                    await turns.next()
        except InternalServerException:  # what Litestar makes of a client that goes away
            raise Incomplete from None
        except ClientException:
            raise Incomplete from None
        then, self.once_read = self.once_read, None
        if then is not None:
            await then()

    async def read(self) -> bytearray:
        """The whole of it."""
        whole = bytearray()
        async for chunk in self.chunks():
            whole += chunk
        return whole

    async def read_json(self) -> bytearray:
        """The whole of a JSON text, counted as it comes."""
        whole = bytearray()
        gauge = JsonGauge(self.need.values, self.need.depth, at_once=self.need.at_once)
        async for chunk in self.chunks():
            gauge.feed(chunk)
            whole += chunk
        return whole

    async def work(self, size: int, work: Callable[[], T]) -> T:
        """What ``work`` on ``size`` octets returns or raises: done here, or in a thread when it is much."""
        if size <= LARGE:
            return work()
        try:
            return await self._bodies.workshop.run(self._key, work)
        except TimeoutError:
            raise NoRoom from None

    async def _hold(self, octets: int) -> None:
        """Have memory for so many octets in all; those of small bodies are not counted."""
        wanted = min(octets, self.need.octets) - self._held
        if not self.need.kept or octets <= UNCOUNTED or wanted <= 0:
            return
        memory = self._bodies.memory
        if not memory.take(self._key, wanted):
            try:
                async with asyncio.timeout(self._bodies.patience):
                    await memory.wait(self._key, wanted)
            except (TimeoutError, ValueError):
                raise NoRoom from None
        self._held += wanted


def announced(request: Request[Any, Any, Any]) -> int:
    """The octets of its Content-Length; 0: it has none."""
    given = request.headers.get("content-length", "")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 19 else 0
