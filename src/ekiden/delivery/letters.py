"""The messages that this worker has deliveries of in memory, and their contents within bounds."""

from __future__ import annotations

import asyncio

from ekiden.store.api import Store
from ekiden.store.records import Delivery, Message

LARGE = 262_144
"""Contents from this size on take their turn at being loaded; smaller ones are bounded by the connections."""


class Letter:
    """A message that this worker has deliveries of in memory."""

    __slots__ = ("content", "held", "loading", "message", "open")

    def __init__(self, message: Message) -> None:
        self.message = message
        self.content: bytes | None = None
        self.held = 0
        """Octets of ``content`` as counted against the limit."""
        self.open = 0
        """Deliveries in memory."""
        self.loading: asyncio.Task[bytes | None] | None = None


class Parcel:
    """Deliveries of one message that travel in one transaction."""

    __slots__ = ("deliveries", "letter", "resent")

    def __init__(self, letter: Letter, deliveries: list[Delivery]) -> None:
        self.letter = letter
        self.deliveries = deliveries
        self.resent = False
        """It was put back once because a reused connection turned out to be closed."""


class Letters:
    def __init__(self, store: Store, memory_limit: int) -> None:
        self._store = store
        self._limit = memory_limit
        self._letters: dict[tuple[int, int], Letter] = {}
        self._large = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.deliveries = 0
        """In memory, all messages together."""
        self.held = 0
        """Octets of contents that wait in memory."""

    def admit(self, delivery: Delivery) -> Letter:
        """A delivery comes into memory. A content that it brings is kept if there is room, else loaded again."""
        message = delivery.message
        key = (message.account_id, message.id)
        letter = self._letters.get(key)
        if letter is None:
            letter = self._letters[key] = Letter(message)
        content = message.content
        if content is not None:
            message.content = None
            if letter.content is None:
                self._hold(letter, content)
        letter.open += 1
        self.deliveries += 1
        return letter

    @property
    def has_room(self) -> bool:
        """A good part of the memory for contents is free."""
        return self.held * 4 < self._limit * 3

    def has(self, account_id: int, message_id: int) -> bool:
        return (account_id, message_id) in self._letters

    def discharge(self, letter: Letter, count: int = 1) -> bool:
        """``count`` deliveries leave. True: they were the last of their message here."""
        self.deliveries -= count
        letter.open -= count
        if letter.open:
            return False
        message = letter.message
        self._letters.pop((message.account_id, message.id), None)
        self.held -= letter.held
        letter.held = 0
        return True

    def _hold(self, letter: Letter, content: bytes) -> None:
        size = len(content)
        if self.held + size <= self._limit:
            letter.content = content
            letter.held = size
            self.held += size

    async def content(self, letter: Letter) -> bytes | None:
        """What goes on the wire: loaded once, even when several connections want it. ``None``: gone.

        Raises ``StoreError``.
        """
        if letter.content is not None:
            return letter.content
        if letter.loading is None:
            letter.loading = asyncio.create_task(self._load(letter))
        try:
            return await asyncio.shield(letter.loading)
        finally:
            if letter.loading is not None and letter.loading.done():
                letter.loading = None

    async def _load(self, letter: Letter) -> bytes | None:
        message = letter.message
        content = await self._store.content(message.account_id, message.id)
        if content is not None and letter.open and letter.content is None:
            self._hold(letter, content)
        return content

    async def reserve(self, size: int) -> None:
        """Before a large content is loaded: wait until few enough of them are in memory. One always may."""
        while self._large and self._large + size > self._limit:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiting:
                    self._waiting.remove(waiter)
        self._large += size

    def unreserve(self, size: int) -> None:
        self._large -= size
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
