"""The thread that writes a SQLite store: everything pending goes into one transaction and one fsync.

The event loop appends units to a queue and waits for their futures; the thread takes what has gathered, takes its
turn among the processes (``sqlite.turn``), writes, commits, and answers all of them with one call into the loop.

Durability: journal_mode WAL with synchronous FULL, so that COMMIT returns after the fsync of the log; SQLite fsyncs
the directory when it creates the files. What was answered survives the loss of power as far as the disk keeps its
word; nothing unanswered is ever half there.

The thread shares the interpreter lock with the loop, and sqlite3 gives it up at every step of a statement. With
Python's default switch interval a busy loop keeps it for 5 ms each time (measured: 400 messages/s where 10,000 are
possible), so statements are few and wide, and ``open_store`` shortens the interval.
"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from ekiden.store.api import Conflict, StoreError, StoreUnavailable
from ekiden.store.errors import constraint_of
from ekiden.store.overdue import PATIENCE, Overdue
from ekiden.store.records import Counters
from ekiden.store.sqlite.connect import connect
from ekiden.store.sqlite.turn import Turn, waited_for
from ekiden.store.units import BadText, Unit

MAX_UNITS = 512
MAX_WEIGHT = 8 << 20  # octets; a transaction must fit into memory and must not make the neighbours wait

Apply = Callable[[sqlite3.Connection, Sequence[Unit], bool], list[Any]]
Job = tuple[Unit, int, "asyncio.Future[Any]"]
Answer = tuple["asyncio.Future[Any]", Any, BaseException | None]


class Writer:
    """Group commit for one process.

    ``apply`` writes units on a connection that is inside a transaction; true: mend their texts (``units.BadText``).
    """

    def __init__(self, path: str, apply: Apply, loop: asyncio.AbstractEventLoop) -> None:
        self.counters = Counters()
        self._path = path
        self._apply = apply
        self._loop = loop
        self._queue: SimpleQueue[Job | None] = SimpleQueue()
        self._hands: list[Job] = []
        self._overdue = Overdue(loop, self._give_up, self._why)
        self._turn = Turn(path)
        self._connection: sqlite3.Connection | None = None
        self._closed = False
        self._waits_for: Callable[[], str] | None = None
        self._thread = threading.Thread(target=self._run, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, unit: Unit) -> asyncio.Future[Any]:
        """Write ``unit`` with whatever else is pending; the future is done once it is on stable storage."""
        if self._closed:
            raise StoreUnavailable("the store has been closed")
        self._overdue.asked()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._queue.put((unit, unit.weight, future))
        return future

    async def close(self) -> None:
        """Write what is pending, then end; a thread that stands still is left behind."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
        await asyncio.to_thread(self._thread.join, PATIENCE)
        self._overdue.close()
        if self._thread.is_alive():
            self._give_up(StoreUnavailable(self._why()))

    def _give_up(self, error: StoreUnavailable) -> int:
        """Tell all who wait. What is in the thread's hands it answers itself; nobody will answer the rest."""
        dropped = 0
        try:
            while (job := self._queue.get_nowait()) is not None:
                dropped += 1
                _settle([(job[2], None, error)])
            self._queue.put(None)  # we are closing
        except Empty:
            pass
        _settle([(job[2], None, error) for job in self._hands])
        return dropped

    def _why(self) -> str:
        return self._waits_for() if self._waits_for is not None else "the disk does not answer"

    def _run(self) -> None:
        open_ = True
        while open_:
            jobs, open_ = self._take()
            if not jobs:
                continue
            self._hands = jobs
            answers = self._write(jobs)
            self._hands = []
            with contextlib.suppress(RuntimeError):  # the loop was closed without us: nobody waits any more
                self._loop.call_soon_threadsafe(self._answer, answers, len(jobs))
        self._disconnect()
        self._turn.close()

    def _take(self) -> tuple[list[Job], bool]:
        """Wait for a unit, then take all that has gathered, within bounds. False: that was the end."""
        jobs: list[Job] = []
        weight = 0
        job = self._queue.get()
        while job is not None:
            jobs.append(job)
            weight += job[1]
            if len(jobs) >= MAX_UNITS or weight >= MAX_WEIGHT:
                return jobs, True
            try:
                job = self._queue.get_nowait()
            except Empty:
                return jobs, True
        return jobs, False

    def _write(self, jobs: list[Job]) -> list[Answer]:
        try:
            self._waits_for = partial(waited_for, self._path)
            with self._turn:
                self._waits_for = None
                # Whoever lost patience meanwhile was told no: so be it.
                return self._write_in_turn([job for job in jobs if not job[2].done()])
        except OSError as error:
            failure = StoreUnavailable(f"the lock files beside {self._path} cannot be used: {error}")
            return [(future, None, failure) for *_, future in jobs]

    def _answer(self, answers: list[Answer], count: int) -> None:
        self._overdue.answered(count)
        _settle(answers)

    def _write_in_turn(self, jobs: list[Job], mend: bool = False) -> list[Answer]:
        if not jobs:
            return []
        units = [job[0] for job in jobs]
        try:
            results = self._transaction(units, mend)
        except StoreUnavailable as error:
            return [(future, None, error) for *_, future in jobs]
        except StoreError as error:
            if len(jobs) == 1:
                if isinstance(error, BadText) and not mend:
                    return self._write_in_turn(jobs, mend=True)
                return [(jobs[0][2], None, error)]
            # One of them is to blame; its neighbours must not suffer.
            answers: list[Answer] = []
            for job in jobs:
                answers += self._write_in_turn([job])
            return answers
        return [(future, result, None) for (*_, future), result in zip(jobs, results, strict=True)]

    def _transaction(self, units: list[Unit], mend: bool) -> list[Any]:
        began = time.perf_counter()
        try:
            connection = self._connection
            if connection is None:
                connection = self._connection = connect(self._path, write=True)
            connection.execute("BEGIN IMMEDIATE")
            results = self._apply(connection, units, mend)
            connection.execute("COMMIT")
        except Exception as error:
            self._rollback()
            self.counters.failures += 1
            raise translated(error) from error
        counters = self.counters
        counters.commits += 1
        counters.units += len(units)
        counters.seconds += time.perf_counter() - began
        return results

    def _rollback(self) -> None:
        if self._connection is None:
            return
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None


def _settle(answers: list[Answer]) -> None:
    for future, result, error in answers:
        if future.done():  # its caller was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


# Read-only is for who wants to write: a reader that is told so tried to, which is a fault of ours.
_PASSING = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOLFS,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_READONLY,
    }
)
_EXISTS = (
    sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
    sqlite3.SQLITE_CONSTRAINT_ROWID,
)


def judge(error: BaseException) -> StoreError | None:
    """See ``store.errors``: for who writes."""
    if isinstance(error, OSError):
        return StoreUnavailable(f"the database cannot be opened: {error}")
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return None
    if code in _EXISTS:
        return Conflict(constraint_of(str(error).partition(": ")[2]))
    if code & 0xFF in _PASSING:
        return StoreUnavailable(f"the database cannot be used just now: {error}")
    return None


def judge_read(error: BaseException) -> StoreError | None:
    """``judge`` for who reads: a connection that takes no writes, and was asked for one, is no outage."""
    return None if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY else judge(error)


def translated(error: BaseException) -> StoreError:
    """On the hot path, where each error is one of ours: it may be all that a neighbour's unit is to blame for."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, UnicodeEncodeError):
        return BadText(str(error))
    return judge(error) or StoreError(f"{type(error).__name__}: {error}")
