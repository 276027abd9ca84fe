"""The address book of an account: addresses to which it mails, in groups that a message can be sent to.

An address is in the book once, however it is written and in however many groups it is. What is added is kept at
once and goes into the book by and by (``work``), a piece at a time and in the order of the requests, whichever
worker does it; what is taken out meanwhile stays out. Counts are kept with the rows that they count, so that asking
costs nothing. Nothing here loads a book: a million addresses are resolved in pages, and forgotten at once by giving
the book, or the group, another list (``content.address_book_queries``).
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import structlog

from ekiden.access.audit import SYSTEM, Actor, changed
from ekiden.content import address_book_queries as queries
from ekiden.content.address_book_queries import Entry, Job
from ekiden.content.errors import BadField, NoSuchContent, TooMuchContent, check_line
from ekiden.core.address import BadAddress, parse_address
from ekiden.limits.loop_slices import Turns, in_turns
from ekiden.store.api import StoreUnavailable
from ekiden.store.set_aside import UNREADABLE, noted

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Connection, Store

log = structlog.get_logger()

MAX_GROUP_NAME: Final = 100
MAX_GROUPS: Final = 1_000
"""Of an account: each answer about its book names all of them."""
MAX_ADDRESSES: Final = 5_000_000
"""Of an account; those that still wait come on top."""
MAX_CHOSEN: Final = 5
"""Groups that one message can be sent to."""
_PIECE: Final = 500
"""Addresses of a transaction: others write in between."""
_SWEPT: Final = 1_000
"""Rows of a transaction in which nobody's rows go."""
_MOST_WAITING: Final = 4_000
"""Pieces of an account that wait at most; as many again where they only take out."""
_COUNTED: Final = 20_000
"""Rows that one query counts."""
_ASK_AGAIN: Final = 0.05  # seconds


@dataclass(frozen=True, slots=True)
class Group:
    """``address_count`` are its members."""

    id: int
    name: str
    address_count: int


@dataclass(frozen=True, slots=True)
class BookState:
    """``address_count``: of all addresses, each once; ``groups``: the oldest first."""

    address_count: int
    groups: Sequence[Group]


@dataclass(frozen=True, slots=True)
class GroupAddresses:
    """Addresses for a group; ``name`` empty: for the book only. No addresses: for the group itself."""

    name: str
    addresses: Sequence[str] = ()


class Member(NamedTuple):
    """``key`` is ``core.address.Address.key``: whoever mails to others besides mails nobody twice by it.

    ``address`` is for ``core.address.parse_address``.
    """

    key: str
    address: str


class Members(NamedTuple):
    """A page; ``last`` is where the next one begins (``after``). A page may be empty although others follow."""

    members: Sequence[Member]
    last: int


class AddressBooks:
    """Of all accounts; one per worker, which closes it at the end. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._wanted: set[int] = set()
        """Accounts for which something has come since their last piece began."""
        self._one = asyncio.Lock()
        """One piece at a time is written here, of each account in its turn."""

    # --- reading --------------------------------------------------------------------------------------------

    async def state(self, account_id: int) -> BookState:
        """How many addresses there are, and which groups. It costs the same however many."""
        async with self._store.read() as connection:
            return await _state(connection, account_id)

    async def resolve(
        self,
        account_id: int,
        groups: Sequence[str],
        *,
        all_of: bool,
        after: int = 0,
        limit: int = 1_000,
        gone: list[str] | None = None,
    ) -> AsyncIterator[Members]:
        """The addresses in all of the groups (``all_of``) or in any of them, each once, in pages.

        ``groups`` are names, ``MAX_CHOSEN`` at most. A page is one query that reads ``limit`` rows of each group at
        most; nothing is held in between, so the caller may take its time. ``after`` is the ``last`` of a page, to
        go on behind it. What is added or removed meanwhile may be seen or not. What still waits to be added is
        not: see ``settle``.

        Raises ``BadField`` and, for a group that there is not, ``NoSuchContent``, before the first page. With
        ``gone`` such a group has nobody instead, and its name is added to that list.
        """
        lists = await self._lists(account_id, groups, gone)
        if gone and all_of:
            return
        while lists:
            async with self._store.read() as connection:
                rows = await queries.window(connection, account_id, lists, all_of=all_of, after=after, most=limit)
            if rows:
                after = rows[-1].address_id
                wanted = (row for row in rows if row.key is not None)
                yield Members(await in_turns(lambda row: Member(row.key, row.written or row.key), wanted), after)
            if len(rows) < limit:
                return

    async def count(self, account_id: int, groups: Sequence[str], *, all_of: bool) -> int:
        """How many addresses ``resolve`` would give. Of one group it is known; of several they are counted, a piece
        of the index at a time. Raises as ``resolve`` does.
        """
        lists = await self._lists(account_id, groups)
        if len(lists) == 1:
            [name] = set(map(group_name, groups))
            return next(
                group.address_count for group in (await self.state(account_id)).groups if group.name == name
            )
        total, after = 0, 0
        while True:
            async with self._store.read() as connection:
                rows, wanted, last = await queries.count_window(
                    connection, account_id, lists, all_of=all_of, after=after, most=_COUNTED
                )
            total += wanted
            if rows < _COUNTED:
                return total
            after = last

    async def _lists(self, account_id: int, groups: Sequence[str], gone: list[str] | None = None) -> Sequence[int]:
        """Of their members, the shortest first. Raises ``NoSuchContent`` unless ``gone`` takes the name."""
        names = list(dict.fromkeys(map(group_name, groups)))
        if not 1 <= len(names) <= MAX_CHOSEN:
            raise BadField("groups", "{field} has {shortest} to {longest} groups", shortest=1, longest=MAX_CHOSEN)
        async with self._store.read() as connection:
            found = await queries.groups_named(connection, account_id, names)
        for name in names:
            if name not in found:
                if gone is None:
                    raise NoSuchContent("there is no group {name!r}", name=name)
                gone.append(name)
        return [row.list_id for row in sorted(found.values(), key=lambda row: int(row.address_count))]

    # --- changing -------------------------------------------------------------------------------------------

    async def add(
        self, account_id: int, additions: Sequence[GroupAddresses], *, actor: Actor = SYSTEM
    ) -> BookState:
        """Have addresses added to groups, which are made unless they are there; returns the state before.

        When it returns, the request is on stable storage as a whole. Its groups are there; its addresses come
        within seconds, a piece at a time. Raises ``BadField`` for a name or an address that is none, and
        ``TooMuchContent``; then nothing was done.
        """
        prepared: list[tuple[str, list[str]]] = []
        for addition in additions:
            name = group_name(addition.name) if addition.name else ""
            prepared.append((name, await _pieces(await _entries(addition.addresses))))
        names = list(dict.fromkeys(name for name, _ in prepared if name))
        count = sum(len(addition.addresses) for addition in additions)
        now = self._clock.now()
        async with self._store.write() as connection:
            book = await queries.take_book(connection, account_id)
            before = await _state(connection, account_id)
            known = {group.name for group in before.groups}
            new = [name for name in names if name not in known]
            if len(known) + len(new) > MAX_GROUPS:
                raise TooMuchContent("an address book has at most {most} groups", most=MAX_GROUPS)
            if before.address_count + count > MAX_ADDRESSES:
                raise TooMuchContent("an address book has at most {most} addresses", most=MAX_ADDRESSES)
            waiting = await queries.jobs_waiting(connection, account_id, _MOST_WAITING)
            if count and waiting + sum(len(pieces) for _, pieces in prepared) > _MOST_WAITING:
                raise _too_many_wait()
            await queries.add_groups(connection, account_id, new, now)
            groups = await queries.groups_named(connection, account_id, names)
            jobs = [(groups[name].list_id if name else 0, piece) for name, pieces in prepared for piece in pieces]
            await queries.add_jobs(connection, account_id, Job.ADD, book.list_id, jobs, now)
            data = {"groups": names[:20], "group_count": len(names), "address_count": count}
            await changed(connection, account_id, now, actor, "address_book.add", "", **data)
        if jobs:
            self._begin(account_id)
        return before

    async def remove_addresses(
        self, account_id: int, addresses: Iterable[str], *, actor: Actor = SYSTEM
    ) -> BookState:
        """Take addresses out of the book and of all groups; returns the state after. Others are passed over.

        Many go in several transactions. Raises ``BadField`` and, when too much still waits to be added or taken
        out, ``TooMuchContent``; then nothing was done.
        """
        return await self._take_out(account_id, None, addresses, actor)

    async def remove_members(
        self, account_id: int, group: str, addresses: Iterable[str], *, actor: Actor = SYSTEM
    ) -> BookState:
        """Take addresses out of one group; they stay in the book. Otherwise as ``remove_addresses``.

        Raises ``NoSuchContent``, too.
        """
        return await self._take_out(account_id, group_name(group), addresses, actor)

    async def _take_out(
        self, account_id: int, group: str | None, addresses: Iterable[str], actor: Actor
    ) -> BookState:
        entries = await _entries(addresses)
        queued = False
        removed = 0
        now = self._clock.now()
        pieces = await _pieces(entries) or ["[]"]
        async with self._store.read() as connection:
            waiting = await queries.jobs_waiting(connection, account_id, 2 * _MOST_WAITING)
        if waiting and waiting + len(pieces) > 2 * _MOST_WAITING:
            raise _too_many_wait()
        for number, piece in enumerate(pieces, 1):
            async with self._store.write() as connection:
                book = await queries.take_book(connection, account_id)
                if group is None:
                    kind, list_id = Job.REMOVE, 0
                    removed += await queries.remove_addresses(connection, account_id, book.list_id, piece)
                else:
                    kind, list_id = Job.LEAVE, (await _group(connection, account_id, group)).list_id
                    removed += await queries.remove_members(connection, account_id, book.list_id, list_id, piece)
                if await queries.jobs_waiting(connection, account_id, 1):
                    # What was to be added before comes, and goes again.
                    await queries.add_jobs(connection, account_id, kind, book.list_id, [(list_id, piece)], now)
                    queued = True
                if number == len(pieces):
                    action = "address_book.remove" if group is None else "address_book.leave"
                    data = {"address_count": len(entries), "removed": removed}
                    await changed(connection, account_id, now, actor, action, group or "", **data)
        if queued:
            self._begin(account_id)
        return await self.state(account_id)

    async def remove_group(self, account_id: int, group: str, *, actor: Actor = SYSTEM) -> BookState:
        """Remove a group; its addresses stay in the book. Returns the state after. Raises ``NoSuchContent``."""
        return await self._without(account_id, group, "address_book.remove_group", actor)

    async def empty_group(self, account_id: int, group: str, *, actor: Actor = SYSTEM) -> BookState:
        """Take all addresses out of a group; both stay in the book. Otherwise as ``remove_group``."""
        return await self._without(account_id, group, "address_book.empty_group", actor)

    async def _without(self, account_id: int, group: str, action: str, actor: Actor) -> BookState:
        name = group_name(group)
        now = self._clock.now()
        async with self._store.write() as connection:
            book = await queries.take_book(connection, account_id)
            row = await _group(connection, account_id, name)
            if action == "address_book.remove_group":
                await queries.remove_groups(connection, account_id, row.id)
            else:
                await queries.empty_group(connection, row.id)
            swept = [(row.list_id, "[]")] if row.address_count else []
            await queries.add_jobs(connection, account_id, Job.SWEEP_GROUP, book.list_id, swept, now)
            data = {"address_count": row.address_count}
            await changed(connection, account_id, now, actor, action, name, **data)
            after = await _state(connection, account_id)
        if swept:
            self._begin(account_id)
        return after

    async def reset(self, account_id: int, *, actor: Actor = SYSTEM) -> int:
        """Forget all addresses and groups, at once; returns how many addresses there were."""
        now = self._clock.now()
        async with self._store.write() as connection:
            book = await queries.take_book(connection, account_id)
            groups = await queries.groups_of(connection, account_id)
            lists = [(row.list_id, "[]") for row in groups if row.address_count]
            rest = [(0, "[]")] if book.address_count else []
            await queries.remove_groups(connection, account_id)
            await queries.empty_book(connection, account_id)
            await queries.add_jobs(connection, account_id, Job.SWEEP_GROUP, book.list_id, lists, now)
            await queries.add_jobs(connection, account_id, Job.SWEEP_BOOK, book.list_id, rest, now)
            data = {"address_count": book.address_count, "group_count": len(groups)}
            await changed(connection, account_id, now, actor, "address_book.reset", "", **data)
        self._begin(account_id)
        return int(book.address_count)

    # --- what waits -----------------------------------------------------------------------------------------

    async def settle(self, account_id: int, seconds: float) -> bool:
        """Wait until everything that was added is in the book; false: it takes longer."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            async with self._store.read() as connection:
                if not await queries.jobs_waiting(connection, account_id, 1):
                    return True
            if loop.time() >= until:
                return False
            await asyncio.sleep(_ASK_AGAIN)

    async def work(self) -> None:
        """Do what waits in the books of all accounts, one piece of each after another.

        A duty of the housekeeping, for what was left by workers that ended: each does what came to itself. A piece
        is one transaction that ends with its removal from what waits: nobody need own it, several workers may
        be at it, and whatever kills one, the piece has been done as a whole or not at all.
        """
        async with self._store.read() as connection:
            accounts = await queries.accounts_with_jobs(connection)
        await asyncio.gather(*(asyncio.shield(self._begin(account_id)) for account_id in accounts))

    async def close(self) -> None:
        """Leave what is not done to others."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _begin(self, account_id: int) -> asyncio.Task[None]:
        self._wanted.add(account_id)
        task = self._tasks.get(account_id)
        if task is None:
            task = self._tasks[account_id] = asyncio.create_task(self._do_all(account_id))
        return task

    async def _do_all(self, account_id: int) -> None:
        loop = asyncio.get_running_loop()
        try:
            while account_id in self._wanted:
                async with self._one:
                    self._wanted.discard(account_id)
                    began = loop.time()
                    if await self._do_next(account_id):
                        self._wanted.add(account_id)
                    took = loop.time() - began
                if account_id in self._wanted:
                    # As long again for others: nobody waits for this.
                    await asyncio.sleep(min(took, 1.0))
        except StoreUnavailable as error:
            log.warning("an address book waits for the store", account=account_id, why=str(error))
        except Exception as error:
            log.exception("an address book cannot be worked on", account=account_id, why=str(error))
        finally:
            self._wanted.discard(account_id)
            del self._tasks[account_id]

    async def _do_next(self, account_id: int) -> bool:
        """The next piece; false: nothing is left."""
        async with self._store.write() as connection:
            book = await queries.take_book(connection, account_id)
            job = await queries.next_job(connection, account_id)
            if job is None:
                return False
            if job.kind >= Job.SWEEP_GROUP:
                if await queries.sweep(connection, account_id, job, _SWEPT):
                    await queries.job_done(connection, job)
                return True
            # Of a book that was reset since, nothing is wanted.
            if job.book_list == book.list_id and _is_readable(job):
                await _do(connection, account_id, job)
            await queries.job_done(connection, job)
        return True


async def _do(connection: Connection, account_id: int, job: queries.Waiting) -> None:
    if job.kind is Job.ADD:
        await queries.add_addresses(connection, account_id, job.book_list, job.data)
        if job.group_list:
            await queries.add_members(connection, account_id, job.book_list, job.group_list, job.data)
    elif job.kind is Job.REMOVE:
        await queries.remove_addresses(connection, account_id, job.book_list, job.data)
    else:
        await queries.remove_members(connection, account_id, job.book_list, job.group_list, job.data)


def _is_readable(job: queries.Waiting) -> bool:
    try:
        queries.entries_of(job.data)
    except UNREADABLE as error:
        noted("address_book_job", f"id={job.id}", error)
        return False
    return True


def _too_many_wait() -> TooMuchContent:
    return TooMuchContent("what was added before is still being worked on; try again in a minute")


def group_name(text: str) -> str:
    """A name as it is kept, without blanks around it, or ``BadField``."""
    return check_line("group", unicodedata.normalize("NFC", text.strip()), 1, MAX_GROUP_NAME)


async def _entries(addresses: Iterable[str]) -> list[Entry]:
    """Each once, as it was written first. Raises ``BadField``."""
    turns = Turns()
    found: dict[str, Entry] = {}
    for text in addresses:
        try:
            address = parse_address(text)
        except BadAddress as error:
            raise BadField("addresses", "{field}: {why}", why=error) from None
        key = address.key
        found.setdefault(key, (key, "" if address.text == key else address.text))
        await turns.next()
    return list(found.values())


async def _pieces(entries: Sequence[Entry]) -> list[str]:
    turns = Turns()
    found = []
    for start in range(0, len(entries), _PIECE):
        found.append(queries.entries_json(entries[start : start + _PIECE]))
        await turns.next()
    return found


async def _group(connection: Connection, account_id: int, name: str) -> queries.GroupRow:
    found = await queries.groups_named(connection, account_id, [name])
    if name not in found:
        raise NoSuchContent("there is no group {name!r}", name=name)
    return found[name]


async def _state(connection: Connection, account_id: int) -> BookState:
    book = await queries.find_book(connection, account_id)
    groups = await queries.groups_of(connection, account_id)
    return BookState(
        0 if book is None else book.address_count,
        [Group(row.id, row.name, row.address_count) for row in groups],
    )
