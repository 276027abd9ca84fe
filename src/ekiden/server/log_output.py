"""Where lines of the log go: a descriptor that may be slow, full or gone, while nobody waits for it.

Whoever reads the log can stop (a pager, a pipe to a process that hangs, Ctrl-S on a terminal), and a disk can be
full. A line that cannot be written is kept up to a bound, then lost and counted. It never blocks, and never raises
where something was only to be told: otherwise a log that is not read ends every worker.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TextIO

KEPT: Final = 1_048_576
"""Octets that wait for the reader."""
_PIECE: Final = select.PIPE_BUF
"""Octets that a descriptor takes at once which says that it takes some."""
_WAIT: Final = 1_000  # milliseconds
_PAUSE: Final = 0.05  # seconds
_STANDARD_ERROR: Final = 2

_outputs: dict[tuple[int, int], LogOutput] = {}  # by device and inode


def log_output(stream: TextIO) -> TextIO | LogOutput:
    """What to give to loggers that would write to ``stream``: standard error of this process, whose loggers are
    configured again at each reload, or a stream that somebody has put into its place."""
    try:
        if stream.fileno() != _STANDARD_ERROR:
            return stream
        found = os.fstat(_STANDARD_ERROR)
    except (OSError, ValueError, AttributeError):
        return stream
    key = found.st_dev, found.st_ino
    if key not in _outputs:
        _outputs[key] = LogOutput(_STANDARD_ERROR)
    return _outputs[key]


def lost_lines() -> int:
    """How many lines of this process's log nobody will read."""
    return sum(output.lost for output in _outputs.values())


class LogOutput:
    """A text stream for loggers, for any thread, over ``fork``."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.told: Callable[[int], str] = "{} lines of the log were lost\n".format
        """Makes the line that says so; it goes out when there is room again."""
        self._write_some = _writer(descriptor)
        self._rest = bytearray()
        self._untold = 0
        self.lost = 0
        """Lines that nobody will read."""
        self._lock = threading.Lock()
        self._waiter: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forked)

    def write(self, text: str) -> None:
        """One line or several, whole."""
        data = text.encode("utf-8", "backslashreplace")
        with self._lock:
            if self._rest:
                self._drain()
            if self._untold and not self._rest:
                self._rest += self.told(self._untold).encode()
                self._untold = 0
                self._drain()
            if len(self._rest) + len(data) > KEPT and self._rest:
                self.lost += 1
                self._untold += 1
                return
            waited = bool(self._rest)
            self._rest += data
            if not waited:
                self._drain()
            if self._rest and self._waiter is None:
                self._waiter = threading.Thread(target=self._wait, name="log-output", daemon=True)
                self._waiter.start()

    def flush(self) -> None:
        """Everything that can be written has been."""

    def _drain(self) -> None:
        """Write what can be written now."""
        try:
            while self._rest:
                written = self._write_some(bytes(self._rest[:_PIECE]))
                del self._rest[:written]
        except BlockingIOError:
            return
        except OSError:  # the disk is full, the reader is gone
            lines = max(1, self._rest.count(b"\n"))
            self.lost += lines
            self._untold += lines
            self._rest.clear()

    def _wait(self) -> None:
        """For what has been kept, in a thread that only exists meanwhile."""
        watch = select.poll()
        watch.register(self._descriptor, select.POLLOUT)
        while True:
            with suppress(OSError):
                watch.poll(_WAIT)
            with self._lock:
                before = len(self._rest)
                self._drain()
                if not self._rest:
                    self._waiter = None
                    return
            if len(self._rest) == before:
                time.sleep(_PAUSE)

    def _forked(self) -> None:
        """What waits is the parent's to write, and its threads are not here."""
        self._lock = threading.Lock()
        self._waiter = None
        self._rest = bytearray()
        self._untold = 0


def _writer(descriptor: int) -> Callable[[bytes], int]:
    """How to write some octets at once; raises ``BlockingIOError`` where that would wait.

    ``O_NONBLOCK`` belongs to everybody who has the descriptor: whoever started us would find it changed. So it is
    opened once more where that can be.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISSOCK(mode):
        try:
            peer = socket.socket(fileno=os.dup(descriptor))
        except OSError:
            return lambda data: os.write(descriptor, data)
        return lambda data: peer.send(data, socket.MSG_DONTWAIT)
    if not (stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
        return lambda data: os.write(descriptor, data)
    try:
        own = os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return lambda data: _if_ready(descriptor, data)
    return lambda data: os.write(own, data)


def _if_ready(descriptor: int, data: bytes) -> int:
    watch = select.poll()
    watch.register(descriptor, select.POLLOUT)
    if not watch.poll(0):
        raise BlockingIOError
    return os.write(descriptor, data)
