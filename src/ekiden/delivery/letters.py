"""The messages that this worker has deliveries of in memory, and their contents within bounds."""

from __future__ import annotations

import asyncio

from ekiden.limits.memory import Memory
from ekiden.limits.shares import Shares
from ekiden.store.api import Store
from ekiden.store.records import Delivery, Message

_OF_OCTETS = 0.8
"""The part of the contents that one account alone may keep here: what finds no room is only read once more."""
_KEPT = 8
"""One place in so many is kept for mail from the door of accounts that have few here."""
_FEW = 10  # places that an account may have and still be one of them
LARGE = 262_144
"""Contents from this size on take their turn at being loaded; smaller ones are bounded by the connections."""


class Letter:
    """A message that this worker has deliveries of in memory."""

    __slots__ = ("content", "fresh", "held", "loading", "message", "open")

    def __init__(self, message: Message, fresh: bool = False) -> None:
        self.message = message
        self.fresh = fresh
        """It goes before what waits at its site if its account has little there (``Site.put``)."""
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
    def __init__(self, store: Store, memory_limit: int, queue_limit: int, memory: Memory | None = None) -> None:
        """``memory_limit``: octets of contents that wait here; ``queue_limit``: deliveries. Both are shared by the
        accounts. ``memory``: the worker's budget, which contents are counted in as well.
        """
        self._store = store
        self._octets = Shares(max(1, memory_limit), share=_OF_OCTETS)
        self._large = Shares(max(1, memory_limit))
        self._memory = memory
        self._letters: dict[tuple[int, int], Letter] = {}
        self.places = Shares(queue_limit)
        """Of deliveries in memory, by account: ``admit`` takes one, ``discharge`` gives it back."""

    @property
    def deliveries(self) -> int:
        """In memory, all messages together."""
        return self.places.total - self.places.free

    @property
    def held(self) -> int:
        """Octets of contents that wait in memory."""
        return self._octets.total - self._octets.free

    @property
    def room_for_claims(self) -> int:
        """How many deliveries may be claimed. What is kept for newcomers counts as taken."""
        return self.places.free - self.places.total // _KEPT

    @property
    def room_for_newcomers(self) -> int:
        """The same of accounts that have nothing here: they may take half of what is kept as well."""
        return self.places.free - self.places.total // _KEPT // 2

    def has_little(self, account: int) -> bool:
        """Whether it has few deliveries here, or none."""
        return self.places.held(account) < _FEW

    def may_come(self, account: int, count: int) -> bool:
        """Whether ``count`` deliveries of ``account`` may be handed over by the door."""
        places = self.places
        if not places.may_take(account, count):
            return False
        if places.free - count >= places.total // _KEPT:
            return True
        return self.has_little(account) and count <= max(_FEW, places.free // 2)

    def room(self, account: int, most: int) -> int:
        """How many deliveries of ``account`` to claim at once, ``most`` at most: none, while it would be only a few
        of what it has here already.
        """
        room = self.places.room(account) or int(self.places.may_take(account))
        return min(room, most) if room >= min(most, self.places.held(account) // 8) else 0

    def admit(self, delivery: Delivery, fresh: bool) -> Letter | None:
        """A delivery comes into memory. A content that it brings is kept if there is room, else loaded again.
        ``fresh``: see ``Letter``; so is what comes from the door.

        ``None``: its account has its share of places already, and the delivery should wait in the store.
        """
        message = delivery.message
        if not self.places.take(message.account_id):
            return None
        key = (message.account_id, message.id)
        letter = self._letters.get(key)
        if letter is None:
            letter = self._letters[key] = Letter(message, fresh)
        content = message.content
        if content is not None:
            message.content = None
            if letter.content is None:
                self._hold(letter, content)
        letter.open += 1
        return letter

    @property
    def has_room(self) -> bool:
        """A good part of the memory for contents is free, and more places than one account alone may not have."""
        return self._octets.free * 4 > self._octets.total and self.places.free * 3 > self.places.total * 2

    def has(self, account_id: int, message_id: int) -> bool:
        return (account_id, message_id) in self._letters

    def discharge(self, letter: Letter, count: int = 1) -> bool:
        """``count`` deliveries leave. True: they were the last of their message here."""
        message = letter.message
        self.places.give(message.account_id, count)
        letter.open -= count
        if letter.open:
            return False
        self._letters.pop((message.account_id, message.id), None)
        if letter.held:
            self._octets.give(message.account_id, letter.held)
            if self._memory is not None:
                self._memory.give(message.account_id, letter.held)
            letter.held = 0
        return True

    def _hold(self, letter: Letter, content: bytes) -> None:
        account = letter.message.account_id
        size = len(content)
        if not self._octets.take(account, size):
            return
        if self._memory is not None and not self._memory.take(account, size):
            self._octets.give(account, size)
            return
        letter.content = content
        letter.held = size

    async def content(self, letter: Letter) -> bytes | None:
        """What goes on the wire: loaded once, even when several connections want it. ``None``: gone.

        Raises ``StoreUnavailable``.
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

    async def reserve(self, account: int, size: int) -> int:
        """Before a large content is loaded: wait until few enough octets of them are in memory, of this account and
        in all. One may always. Returns what ``unreserve`` wants back.
        """
        size = min(size, self._large.total)
        await self._large.wait(account, size)
        if self._memory is not None:
            try:
                await self._memory.wait(account, min(size, self._memory.total))
            except BaseException:
                self._large.give(account, size)
                raise
        return size

    def unreserve(self, account: int, size: int) -> None:
        self._large.give(account, size)
        if self._memory is not None:
            self._memory.give(account, min(size, self._memory.total))
