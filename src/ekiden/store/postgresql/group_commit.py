"""Group commit on PostgreSQL: everything pending goes into one transaction on one connection.

Durability: ``synchronous_commit`` is switched on for our connections, so that a commit is answered after the fsync
of the log. When a connection breaks before the answer to a commit has come, nobody knows whether it happened: it
counts as failed, the client tries again, and the message may exist twice; it is never lost. When it breaks before
the commit was sent, nothing has happened: the group is tried once again on a fresh connection, and nobody hears.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from ekiden.store.api import StoreError, StoreUnavailable
from ekiden.store.overdue import Overdue
from ekiden.store.postgresql.connect import COMMAND_TIMEOUT, broken, never_sent, translated
from ekiden.store.postgresql.servers import CONNECT_TIMEOUT, Servers, is_read_only
from ekiden.store.records import Counters
from ekiden.store.units import BadText, Beat, Unit

# While one connection waits for the disk, the other one gathers and executes.
WRITERS = 2
MAX_UNITS = 512
MAX_WEIGHT = 8 << 20  # octets

# Every statement of ours looks rows up by their keys. The planner, which has to guess at the length of arrays and
# at LIMIT, must never think that reading a whole table is better.
_SETTINGS = "; ".join(
    (
        "SET synchronous_commit = on",
        "SET enable_seqscan = off",
        "SET enable_bitmapscan = off",
        "SET enable_hashjoin = off",
        "SET enable_mergejoin = off",
        "SET jit = off",
    )
)

# Seconds without work, after which the loop gets a turn to hear what the server has said meanwhile, before we send.
_QUIET = 0.01


class Progress:
    """How far a group is. ``committing``: the next thing that is sent may commit it."""

    __slots__ = ("committing",)

    def __init__(self) -> None:
        self.committing = False

    def is_undone(self, error: BaseException) -> bool:
        """Whether ``error`` says that the connection broke before anything can have been committed."""
        return never_sent(error) if self.committing else broken(error)


Apply = Callable[[Any, Sequence[Unit], bool, Progress], Awaitable[list[Any]]]
Job = tuple[Unit, int, "asyncio.Future[Any]"]


async def connect(servers: Servers) -> Any:
    """A connection for the hot path."""
    connection = await servers.connect(command_timeout=COMMAND_TIMEOUT)
    try:
        await connection.execute(_SETTINGS)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Writer:
    """Group commit for one process.

    ``apply`` writes units on a connection in one transaction, and notes its progress; true: mend their texts
    (``units.BadText``).
    """

    def __init__(self, servers: Servers, apply: Apply) -> None:
        self.counters = Counters()
        self._servers = servers
        self._apply = apply
        self._loop = asyncio.get_running_loop()
        self._pending: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._hands: list[list[Job]] = [[] for _ in range(WRITERS)]
        self._overdue = Overdue(self._loop, self._give_up, lambda: "the database does not answer")
        self._closed = False
        self._tasks = [self._loop.create_task(self._run(n), name=f"postgresql-writer-{n}") for n in range(WRITERS)]

    def submit(self, unit: Unit) -> asyncio.Future[Any]:
        """Write ``unit`` with whatever else is pending; the future is done once it is on stable storage."""
        if self._closed:
            raise StoreUnavailable("the store has been closed")
        self._overdue.asked()
        future: asyncio.Future[Any] = self._loop.create_future()
        if isinstance(unit, Beat):
            self._pending.appendleft((unit, unit.weight, future))  # a lease must not end behind a crowd
        else:
            self._pending.append((unit, unit.weight, future))
        self._wake.set()
        return future

    async def close(self) -> None:
        """Write what is pending, then end."""
        self._closed = True
        self._wake.set()
        await asyncio.gather(*self._tasks)
        self._overdue.close()

    def _give_up(self, error: StoreUnavailable) -> int:
        """Tell all who wait. What is being written may be there nevertheless; nobody will write the rest."""
        dropped = list(self._pending)
        self._pending.clear()
        for job in itertools.chain(dropped, *self._hands):
            _fail(job[2], error, error)
        return len(dropped)

    async def _run(self, number: int) -> None:
        connection: Any = None
        wrote = 0.0
        while True:
            await self._wake.wait()
            if connection is not None and self._loop.time() - wrote > _QUIET:
                await asyncio.sleep(0)
            jobs = self._take()
            if jobs:
                self._hands[number] = jobs
                connection = await self._write(connection, jobs)
                wrote = self._loop.time()
                self._hands[number] = []
                self._overdue.answered(len(jobs), written=connection is not None)
            elif self._closed:
                break
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close(timeout=CONNECT_TIMEOUT)

    def _take(self) -> list[Job]:
        jobs: list[Job] = []
        weight = 0
        pending = self._pending
        while pending and len(jobs) < MAX_UNITS and weight < MAX_WEIGHT:
            job = pending.popleft()
            if job[2].done():  # its caller was cancelled before anything happened
                self._overdue.answered(1, written=False)
                continue
            jobs.append(job)
            weight += job[1]
        if not pending and not self._closed:
            self._wake.clear()
        return jobs

    async def _write(self, connection: Any, jobs: list[Job], mend: bool = False, again: bool = True) -> Any:
        """Write and answer ``jobs``. Returns the connection for the next ones, or ``None`` when it is of no use."""
        began = time.perf_counter()
        progress = Progress()
        try:
            if connection is not None and self._servers.want_primary and is_read_only(connection):
                connection.terminate()
            if connection is None or connection.is_closed():
                connection = None
                connection = await connect(self._servers)
            results = await self._apply(connection, [job[0] for job in jobs], mend, progress)
        except Exception as error:
            if again and connection is not None and progress.is_undone(error):
                connection.terminate()
                left = [job for job in jobs if not job[2].done()]  # the others have been told that it failed
                return await self._write(None, left, mend, again=False) if left else None
            self.counters.failures += 1
            ours = translated(error)
            if isinstance(ours, StoreUnavailable):
                for *_, future in jobs:
                    _fail(future, ours, error)
                if connection is not None:
                    connection.terminate()
                return None
            if len(jobs) == 1:
                if isinstance(ours, BadText) and not mend:
                    return await self._write(connection, jobs, mend=True)
                _fail(jobs[0][2], ours, error)
                if not connection.is_in_transaction():
                    return connection
                connection.terminate()
                return None
            # One of them is to blame; its neighbours must not suffer.
            for job in jobs:
                connection = await self._write(connection, [job])
            return connection
        counters = self.counters
        counters.commits += 1
        counters.units += len(jobs)
        counters.seconds += time.perf_counter() - began
        for (*_, future), result in zip(jobs, results, strict=True):
            if not future.done():
                future.set_result(result)
        return connection


def _fail(future: asyncio.Future[Any], error: StoreError, cause: BaseException) -> None:
    if not future.done():
        error.__cause__ = cause if cause is not error else None
        future.set_exception(error)
