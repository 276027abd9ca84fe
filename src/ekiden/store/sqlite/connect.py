"""Connections to a SQLite file: how they are opened, and what is set on each of them."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import weakref
from typing import Any

BUSY_TIMEOUT = 10.0  # seconds; only tools that do not know our turn make us wait for SQLite's own lock

# Measured over the whole way of a message, 8,192 and 16,384 are no better for 4 KiB and save a tenth at 50 KiB, but
# waste half a page for each small message that waits.
PAGE_SIZE = 4096
# Pages. Checkpoints happen inside a COMMIT: often enough that one takes milliseconds.
WAL_AUTOCHECKPOINT = 2000
WAL_SIZE_LIMIT = 64 << 20


class Closing(sqlite3.Connection):
    """Is closed when it says so: statements that nobody read to their end go first.

    With one of them left SQLite keeps a closed connection, its transaction and the lock to write with it, until the
    statement goes, too (sqlite.org/c3ref/close.html); and the cursor of a task that was cancelled is in a cycle,
    gone at the next collection of garbage.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._cursors: weakref.WeakSet[sqlite3.Cursor] = weakref.WeakSet()

    def cursor(self, *arguments: Any) -> Any:
        made = super().cursor(*arguments)
        self._cursors.add(made)
        return made

    def close(self) -> None:
        for cursor in list(self._cursors):
            with contextlib.suppress(sqlite3.Error):
                cursor.close()
        super().close()


def connect(path: str, *, write: bool) -> sqlite3.Connection:
    """A connection of our own kind: no implicit transactions, usable from any one thread at a time."""
    if write and not os.path.exists(path):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(
        path, timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        connection.text_factory = readable_text
        configure(connection, write=write)
    except BaseException:
        connection.close()
        raise
    return connection


def readable_text(octets: bytes) -> str:
    """Octets that are no UTF-8 concern the column they are in, not all that is asked for with it."""
    return octets.decode("utf-8", "replace")


def configure(connection: Any, *, write: bool) -> None:
    """The settings of every connection, the driver's own or SQLAlchemy's."""
    cursor = connection.cursor()
    if write:
        for pragma in (
            f"page_size = {PAGE_SIZE}",
            # Pages of delivered content are used again; a file that grew shrinks by VACUUM only. Keeping a map of
            # pages for incremental vacuum costs every insert 10 %.
            "auto_vacuum = NONE",
            "journal_mode = WAL",
            "synchronous = FULL",
            "fullfsync = ON",  # macOS: fsync alone stops at the drive's cache
            f"wal_autocheckpoint = {WAL_AUTOCHECKPOINT}",
            f"journal_size_limit = {WAL_SIZE_LIMIT}",
            # Debian's build overwrites what is deleted, which would write each content a second time.
            "secure_delete = OFF",
            "cache_size = -8000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    else:
        cursor.execute("PRAGMA query_only = ON")
    cursor.close()
