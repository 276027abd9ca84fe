"""Whose turn it is to write: the processes that share one SQLite file queue here instead of polling it.

SQLite lets one connection write at a time and makes the others sleep and try again, so that a process which commits
in a tight loop can starve its neighbour for seconds. A file lock wakes its waiters, but whoever gives it back and
wants it again is usually faster than the one it woke. Hence two locks: only the holder of ``next`` may wait for
``turn``, so the one who gives back its turn finds the other already standing in front of it.

The locks belong to open files: they are gone when their process dies, however it dies. They are ours alone, since
closing a database file outside of SQLite would drop SQLite's own locks (sqlite.org/howtocorrupt.html, §2.2).

A process that is stopped while it has the turn keeps it. The kernel knows whose it is (``holder``), and nobody has
to wait for it without a bound: the hot path has ``overdue``, everything else ``Turns``.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import threading
import time
from types import FrameType, TracebackType

from ekiden.store.api import StoreUnavailable


class Turn:
    """One waiter for the turn to write ``database``; threads need one each. A context manager, blocking."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._next = -1
        self._turn = -1

    def __enter__(self) -> Turn:
        self._open()
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)
        _suspension.hold()
        return self

    def at_once(self) -> bool:
        """Take the turn if nobody has it and nobody waits for it."""
        self._open()
        _suspension.hold()
        try:
            fcntl.flock(self._next, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                fcntl.flock(self._next, fcntl.LOCK_UN)
        except BlockingIOError:
            _suspension.release()
            return False
        except BaseException:
            _suspension.release()
            raise
        return True

    def within(self, seconds: float) -> None:
        """Take the turn; ``StoreUnavailable`` when it does not come in time. For what is very rare."""
        until = time.monotonic() + seconds
        while not self.at_once():
            if time.monotonic() > until:
                raise StoreUnavailable(waited_for(self._database))
            time.sleep(0.01)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)
        _suspension.release()

    def close(self) -> None:
        for fd in (self._next, self._turn):
            if fd >= 0:
                os.close(fd)
        self._next = self._turn = -1

    def _open(self) -> None:
        if self._turn < 0:
            self._next = _open(self._database, "-next")
            self._turn = _open(self._database, "-turn")


class Turns:
    """The turns of everything rare in one process: one after the other, with a bound on the wait for each.

    As long as nobody contends it costs four system calls. Else one thread waits in the place of all; it is kept
    when they lose patience, and gives the turn back when it comes to nobody.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._turn = Turn(database)
        self._mine = asyncio.Lock()
        self._coming: asyncio.Future[None] | None = None
        self._wanted = False
        self._closed = False

    async def take(self, timeout: float) -> None:
        """Raises ``StoreUnavailable`` after so many seconds. ``give`` it back."""
        try:
            async with asyncio.timeout(timeout):
                await self._mine.acquire()
                try:
                    await self._take()
                except BaseException:
                    self._mine.release()
                    raise
        except TimeoutError:
            raise StoreUnavailable(waited_for(self._database)) from None
        except OSError as error:
            raise StoreUnavailable(f"the lock files beside {self._database} cannot be used: {error}") from error

    async def _take(self) -> None:
        if self._coming is None:
            if self._turn.at_once():
                return
            self._coming = self._wait()
        coming, self._wanted = self._coming, True
        try:
            await asyncio.shield(coming)
        except BaseException:
            if coming.done() and coming.exception() is None:
                # It came, and whoever waited was cancelled before it could run.
                self._turn.__exit__(None, None, None)
            raise
        finally:
            self._wanted = False
            if coming.done():
                self._coming = None

    def give(self) -> None:
        self._turn.__exit__(None, None, None)
        self._mine.release()
        if self._closed:
            self._turn.close()

    def close(self) -> None:
        self._closed = True
        if self._coming is None and not self._mine.locked():
            self._turn.close()

    def _wait(self) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[None] = loop.create_future()

        def come(error: BaseException | None) -> None:
            if error is not None:
                coming.set_exception(error)
                coming.exception()
            else:
                coming.set_result(None)
            if not self._wanted:
                self._coming = None
                if error is None:
                    self._turn.__exit__(None, None, None)
                if self._closed:
                    self._turn.close()

        def wait() -> None:
            failed: BaseException | None = None
            try:
                self._turn.__enter__()
            except BaseException as error:
                failed = error
            try:
                loop.call_soon_threadsafe(come, failed)
            except RuntimeError:  # the loop was closed without us
                self._turn.close()

        threading.Thread(target=wait, name="sqlite-turn", daemon=True).start()
        return coming


def waited_for(database: str) -> str:
    """For people: why the turn does not come."""
    pid = holder(database)
    if pid is None:
        return "another process has the turn to write for too long; which one is not known"
    state = " and is stopped" if is_stopped(pid) else ""
    return f"process {pid} has the turn to write{state}"


def holder(database: str) -> int | None:
    """The process whose turn it is, as the kernel tells (Linux); ``None``: nobody's, or it does not tell."""
    try:
        wanted = os.stat(database + "-turn")
        with open("/proc/locks", encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return None
    found: int | None = None
    for line in lines:
        # "7: FLOCK  ADVISORY  WRITE 4711 fd:01:1234 0 EOF"; those that wait have "->" behind the number.
        words = line.split()
        if len(words) < 6 or words[1] != "FLOCK" or not words[4].isdigit():
            continue
        device, _, inode = words[5].rpartition(":")
        if inode != str(wanted.st_ino):
            continue
        pid = int(words[4])
        if device == f"{os.major(wanted.st_dev):02x}:{os.minor(wanted.st_dev):02x}":
            return pid or None
        found = pid or None  # some file systems show another device than stat does
    return found


def is_stopped(pid: int) -> bool:
    """By SIGSTOP, Ctrl-Z or a debugger."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


class _Suspension:
    """Ctrl-Z in a command: obeyed between two turns, since whoever is suspended with one stops everybody."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns = 0
        self._asked = False

    def hold(self) -> None:
        with self._lock:
            self._turns += 1

    def release(self) -> None:
        with self._lock:
            self._turns -= 1
            now, self._asked = self._asked and not self._turns, self._asked and self._turns > 0
        if now:
            os.kill(os.getpid(), signal.SIGSTOP)

    def ask(self, number: int, frame: FrameType | None) -> None:
        # In the main thread, which may be within ``hold`` or ``release``: no lock here.
        if self._turns:
            self._asked = True
        else:
            os.kill(os.getpid(), signal.SIGSTOP)


_suspension = _Suspension()


def suspendable() -> None:
    """Make this process, a command in somebody's terminal, obey Ctrl-Z while it does not have the turn."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTSTP) == signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, _suspension.ask)


def _open(database: str, suffix: str) -> int:
    fd = os.open(database + suffix, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        # A command run by root must not leave files that the service's own user cannot open.
        with contextlib.suppress(OSError):
            owner = os.stat(database)
            os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd
