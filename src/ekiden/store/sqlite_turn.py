"""Whose turn it is to write: the processes that share one SQLite file queue here instead of polling it.

SQLite lets one connection write at a time and makes the others sleep and try again, so that a process which commits
in a tight loop can starve its neighbour for seconds. A file lock wakes its waiters, but whoever gives it back and
wants it again is usually faster than the one it woke. Hence two locks: only the holder of ``next`` may wait for
``turn``, so the one who gives back its turn finds the other already standing in front of it.

The locks belong to open files: they are gone when their process dies, however it dies. They are ours alone, since
closing a database file outside of SQLite would drop SQLite's own locks (sqlite.org/howtocorrupt.html, §2.2).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from types import TracebackType


class Turn:
    """One waiter for the turn to write ``database``; threads need one each. A context manager, blocking."""

    def __init__(self, database: str) -> None:
        self._database = database
        self._next = -1
        self._turn = -1

    def __enter__(self) -> Turn:
        if self._turn < 0:
            self._next = _open(self._database, "-next")
            self._turn = _open(self._database, "-turn")
        fcntl.flock(self._next, fcntl.LOCK_EX)
        try:
            fcntl.flock(self._turn, fcntl.LOCK_EX)
        finally:
            fcntl.flock(self._next, fcntl.LOCK_UN)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        fcntl.flock(self._turn, fcntl.LOCK_UN)

    def close(self) -> None:
        for fd in (self._next, self._turn):
            if fd >= 0:
                os.close(fd)
        self._next = self._turn = -1


def _open(database: str, suffix: str) -> int:
    fd = os.open(database + suffix, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    if os.geteuid() == 0:
        # A command run by root must not leave files that the service's own user cannot open.
        with contextlib.suppress(OSError):
            owner = os.stat(database)
            os.fchown(fd, owner.st_uid, owner.st_gid)
    return fd
