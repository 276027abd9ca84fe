"""Reads what came in, in batches: each mail is understood by whoever its mailboxes belong to, and what follows is
written with it in one transaction.

What this worker received is handed over in memory while there is room; the rest, and what workers left that have
ended, is claimed from the store. A mail that cannot be read is tried again a few times, each later than the last,
and then kept as one that nobody has understood: one poisonous mail must not stop the others.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import msgspec
import structlog

from ekiden.core.address import BadAddress, parse_address
from ekiden.core.clock import SECOND
from ekiden.core.ids import format_id
from ekiden.core.report import Kind
from ekiden.core.submission import SENT_ON
from ekiden.limits.journal import ACCEPTED
from ekiden.store.api import Fenced, StoreUnavailable
from ekiden.store.errors import told
from ekiden.store.inbound import claim_unread, unread_waits
from ekiden.store.records import Heard, NewMessage, Noted, Understood

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.inbound.mailboxes import Mailbox, Mailboxes, Use
    from ekiden.limits.memory import Memory
    from ekiden.store.api import Store
    from ekiden.store.records import ReceivedMail

log = structlog.get_logger()

_BATCH: Final = 32
_BATCH_OCTETS: Final = 8_388_608
"""Of the contents of a batch, which are in memory together; a larger one is read by itself."""
_MOST: Final = 1_000
"""Mails in memory."""
_MOST_OCTETS: Final = 33_554_432
"""Of their contents."""
_POLL: Final = 1.0
"""Seconds between two looks for what others left."""
_ATTEMPTS: Final = 5
_FIRST_WAIT: Final = 30 * SECOND
_AGAIN: Final = 10.0
"""Seconds after which what could not be written is."""

NUMBERS: Final[Mapping[Kind, int]] = {
    Kind.BOUNCE: 1,
    Kind.DELAY: 2,
    Kind.COMPLAINT: 3,
    Kind.AUTO_REPLY: 4,
    Kind.UNSUBSCRIBE: 5,
    Kind.TLS_REPORT: 6,
    Kind.DMARC_REPORT: 7,
    Kind.OTHER: 8,
}
"""What the store keeps; 0: it has not been read."""
KINDS: Final = {number: kind for kind, number in NUMBERS.items()}


class Opened(NamedTuple):
    """A mail that came in, with its content. ``boxes``: its recipients, and what they are for."""

    mail: ReceivedMail
    content: bytes
    boxes: Sequence[tuple[str, Mailbox]]


@dataclass(slots=True)
class Found:
    """What a reader has found out, and what is to follow. ``told`` is JSON-ready, for traces."""

    kind: Kind = Kind.OTHER
    told: dict[str, Any] = field(default_factory=dict)
    events: list[Noted] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)
    messages: list[NewMessage] = field(default_factory=list)

    def join(self, other: Found) -> None:
        """The same mail went to several mailboxes."""
        if self.kind is Kind.OTHER:
            self.kind = other.kind
        self.told |= other.told
        self.events += other.events
        self.heard += other.heard
        self.messages += other.messages


class MailReader(Protocol):
    """Understands the mail of one kind of mailboxes."""

    async def read(self, mails: Sequence[Opened]) -> list[Found | Exception]:
        """In their order; each with the mailboxes of this kind only. An exception: not now. Raises what concerns
        all of them, such as a store that is away."""
        ...


class _Queued(NamedTuple):
    """``worker`` owns it; ``counted``: it has its part of the memory budget."""

    worker: int
    mail: ReceivedMail
    counted: bool


class Reader:
    """One per worker: ``run`` it."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        worker: Callable[[], int],
        mailboxes: Mailboxes,
        readers: Mapping[Use, MailReader],
        memory: Memory,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        """``worker``: this worker's registration; ``memory``: the budget that its rooms share. ``queued`` is called
        when messages were queued: somebody should claim them."""
        self._store = store
        self._clock = clock
        self._worker = worker
        self._mailboxes = mailboxes
        self._readers = readers
        self._memory = memory
        self._queued = queued
        self._queue: deque[_Queued] = deque()
        self._octets = 0
        self._wake = asyncio.Event()
        self._look_first = False
        """Somebody else took what was claimed, who may know of mailboxes that nobody here has heard of yet."""
        self._stopping = False
        self._ended = asyncio.Event()

    def room(self, size: int) -> bool:
        """Whether a mail of so many octets may be offered."""
        return (
            not self._stopping
            and len(self._queue) < _MOST
            and self._octets + size <= _MOST_OCTETS
            and self._memory.may_take("inbound", size)
        )

    def offer(self, worker: int, mail: ReceivedMail) -> None:
        """It is on stable storage, and ``worker``'s to read: this process's own registration."""
        self._octets += mail.size
        # Others may have taken it since ``room`` was asked: it is read all the same, and gives nothing back.
        counted = self._memory.take("inbound", mail.size, beyond_share=True)
        self._queue.append(_Queued(worker, mail, counted))
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled, or drained."""
        try:
            await self._run()
        finally:
            self._ended.set()

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        next_look = loop.time()
        while not self._stopping or self._queue:
            if self._queue:
                await self._work(self._next())
            if loop.time() >= next_look and not self._stopping:
                more = await self._claim()
                next_look = loop.time() + (0.0 if more else _POLL)
            if not self._queue:
                self._wake.clear()
                try:
                    async with asyncio.timeout(max(0.0, next_look - loop.time())):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    def _next(self) -> list[_Queued]:
        """The oldest in memory, at least one of them."""
        batch = [self._queue.popleft()]
        octets = batch[0].mail.size
        while self._queue and len(batch) < _BATCH:
            octets += self._queue[0].mail.size
            if octets > _BATCH_OCTETS:
                break
            batch.append(self._queue.popleft())
        return batch

    async def drain(self, timeout: float) -> None:
        """Take nothing new; wait so many seconds until what is in memory was read. The rest is for others."""
        self._stopping = True
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            log.info("mail that came in is left to other workers", mails=len(self._queue))

    async def _claim(self) -> bool:
        """Own what waits for a reader. True: there may be more."""
        if self._queue:
            return False
        worker = self._worker()
        try:
            async with self._store.read() as connection:
                if not await unread_waits(connection, self._clock.now()):
                    return False
            async with self._store.write() as connection:
                mails = await claim_unread(connection, worker, self._clock.now(), _BATCH)
        except Exception as error:
            told(log, "mail that came in waits for the database", error)
            return False
        self._look_first = self._look_first or bool(mails)
        for mail in mails:
            self.offer(worker, mail)
        return len(mails) == _BATCH

    async def _work(self, batch: Sequence[_Queued]) -> None:
        try:
            if self._look_first:
                await self._mailboxes.look()
                self._look_first = False
            opened = [await self._open(queued.mail) for queued in batch]
            found = await self._read([each for each in opened if each is not None])
        except Exception as error:
            told(log, "mail that came in could not be read", error)
            found = {}
            failed: Exception | None = error
        else:
            failed = None
        await asyncio.gather(*(self._settle(worker, mail, found.get(mail.id, failed)) for worker, mail, _ in batch))
        for _, mail, counted in batch:
            self._octets -= mail.size
            if counted:
                self._memory.give("inbound", mail.size)
            mail.content = b""

    async def _open(self, mail: ReceivedMail) -> Opened | None:
        content = mail.content or await self._store.content(mail.account_id, mail.id)
        if content is None:
            return None
        boxes = []
        for text in mail.recipients:
            try:
                box = self._mailboxes.find(parse_address(text))
            except BadAddress:
                continue
            if box is not None and box.account_id == mail.account_id:
                boxes.append((text, box))
        return Opened(mail, content, boxes)

    async def _read(self, opened: Sequence[Opened]) -> dict[int, Found | Exception]:
        """By mail, what its readers have found together."""
        found: dict[int, Found | Exception] = {
            each.mail.id: Found(told={} if each.boxes else {"unclaimed": True}) for each in opened
        }
        for use, reader in self._readers.items():
            theirs = [
                Opened(each.mail, each.content, boxes)
                for each in opened
                if (boxes := [box for box in each.boxes if box[1].use is use])
            ]
            if not theirs:
                continue
            for each, said in zip(theirs, await reader.read(theirs), strict=True):
                so_far = found[each.mail.id]
                if isinstance(so_far, Exception):
                    continue
                if isinstance(said, Exception):
                    found[each.mail.id] = said
                else:
                    so_far.join(said)
        return found

    async def _settle(self, worker: int, mail: ReceivedMail, found: Found | Exception | None) -> None:
        if isinstance(found, Found):
            what = Understood(
                mail,
                NUMBERS[found.kind],
                msgspec.json.encode(found.told).decode() if found.told else "",
                events=found.events,
                heard=found.heard,
                messages=found.messages,
            )
        elif found is None:  # its content is gone
            what = Understood(mail, NUMBERS[Kind.OTHER])
        else:
            told(log, "a mail that came in could not be read", found, id=format_id(mail.id))
            why = f"{type(found).__name__}: {found}"[:500]
            passing = isinstance(found, StoreUnavailable)
            if mail.attempts < _ATTEMPTS or passing:
                again = self._clock.now() + (_FIRST_WAIT << min(mail.attempts - 1, 10))
                what = Understood(mail, 0, due_at=again)
            else:
                what = Understood(mail, NUMBERS[Kind.OTHER], msgspec.json.encode({"failed": why}).decode())
        try:
            await self._store.understand(worker, what)
        except Fenced:
            log.info("a mail that came in is somebody else's by now", id=format_id(mail.id))
        except Exception as error:
            # It stays ours while this worker lives: said again with the next ones, or by whoever comes after it.
            told(log, "what a mail that came in says could not be written", error, id=format_id(mail.id))
            asyncio.get_running_loop().call_later(_AGAIN, self.offer, worker, mail)
        else:
            if what.messages:
                self._queued()
                for new in what.messages:
                    _tell(mail, new)


def _tell(mail: ReceivedMail, new: NewMessage) -> None:
    """The line of a message that nobody submitted here."""
    message = new.message
    if ACCEPTED.tells(message.id):
        ACCEPTED.write(
            id=format_id(message.id),
            client=mail.peer,
            via=SENT_ON,
            account=message.account_id,
            credential=message.credential_id,
            recipients=len(new.deliveries),
            size=message.size,
            sender=message.sender,
            header_id=message.header_id,
        )
