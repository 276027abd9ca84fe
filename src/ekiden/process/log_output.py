"""Where lines of the log go: a descriptor that may be slow, full or gone, while nobody waits for it.

Whoever reads the log can stop (a pager, a pipe to a process that hangs, Ctrl-S on a terminal), and a disk can be
full. A line that cannot be written is kept up to a bound, then lost and counted. It never blocks, and never raises
where something was only to be told: otherwise a log that is not read ends every worker.
"""

from __future__ import annotations

import asyncio
import errno
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
_WAIT: Final = 1_000  # milliseconds
_PAUSE: Final = 0.05  # seconds
_STANDARD_ERROR: Final = 2

_LOOK: Final = 1.0
"""Seconds between two looks whether a file is still at its path."""
_AT_THE_END: Final = 1.0
"""Seconds that a process which ends waits for its readers."""
_SOON: Final = 0.05
"""Seconds that lines of which there are many may wait for one another."""
_TOGETHER: Final = 64
"""Such lines that are written at once."""
_MODE: Final = 0o640

_outputs: dict[tuple[int, int] | str, LogOutput] = {}  # by device and inode, or by path


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


def log_file(path: str) -> LogFile:
    """The output into the file at ``path``. Raises ``OSError``: it cannot be written."""
    found = _outputs.get(path)
    if not isinstance(found, LogFile):
        found = _outputs[path] = LogFile(path)
    return found


def lost_lines() -> int:
    """How many lines of this process's log nobody will read."""
    return sum(output.lost for output in _outputs.values())


def flush_logs() -> None:
    """Before this process ends: what readers take within a second is not lost."""
    deadline = time.monotonic() + _AT_THE_END
    for output in _outputs.values():
        output.flush()
        output.wait(deadline)


def reopen_logs() -> None:
    """Files that are not at their paths any more are made anew."""
    for output in _outputs.values():
        if isinstance(output, LogFile):
            output.look()


class LogOutput:
    """A text stream for loggers, for any thread, over ``fork``."""

    piece = select.PIPE_BUF
    """Octets that are written at once: what a pipe takes whole or not at all, whoever else writes into it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.told: Callable[[int], str] = "{} lines of the log were lost\n".format
        """Makes the line that says so; it goes out when there is room again."""
        self._write_some = _writer(descriptor)
        self._rest = bytearray()
        self._soon: list[str] = []
        self._untold = 0
        self.lost = 0
        """Lines that nobody will read."""
        self._lock = threading.Lock()
        self._waiter: threading.Thread | None = None
        os.register_at_fork(after_in_child=self._forked)

    def write(self, text: str) -> None:
        """One line or several, whole."""
        with self._lock:
            if self._soon:
                self._take_soon()
            self._take(text.encode("utf-8", "backslashreplace"), 1)

    def post(self, line: str) -> None:
        """A line of which there are many: it may be written a moment later, together with others."""
        with self._lock:
            self._soon.append(line)
            waiting = len(self._soon)
            if 1 < waiting < _TOGETHER:
                return
            try:
                loop = asyncio.get_running_loop() if waiting == 1 else None
            except RuntimeError:
                loop = None
            if loop is None:
                self._take_soon()
        if loop is not None:
            loop.call_later(_SOON, self.flush)

    def flush(self) -> None:
        """Everything that can be written now has been."""
        with self._lock:
            if self._soon:
                self._take_soon()

    def wait(self, deadline: float) -> None:
        """Until what has been kept is written, or until ``deadline`` (monotonic)."""
        while (waiter := self._waiter) is not None and (left := deadline - time.monotonic()) > 0:
            waiter.join(left)

    def _take_soon(self) -> None:
        lines, self._soon = self._soon, []
        self._take("".join(lines).encode("utf-8", "backslashreplace"), len(lines))

    def _take(self, data: bytes, lines: int) -> None:
        if self._rest:
            self._drain()
        if self._untold and not self._rest:
            self._rest += self.told(self._untold).encode()
            self._untold = 0
            self._drain()
        if len(self._rest) + len(data) > KEPT and self._rest:
            self.lost += lines
            self._untold += lines
            return
        waited = bool(self._rest)
        self._rest += data
        if not waited:
            self._drain()
        if self._rest and self._waiter is None:
            self._waiter = threading.Thread(target=self._wait, name="log-output", daemon=True)
            self._waiter.start()

    def _drain(self) -> None:
        """Write what can be written now."""
        rest, piece = self._rest, self.piece
        try:
            while rest:
                end = len(rest) if len(rest) <= piece else rest.rfind(b"\n", 0, piece) + 1 or piece
                written = self._write_some(bytes(rest[:end]))
                del rest[:written]
        except BlockingIOError:
            return
        except OSError:  # the disk is full, the reader is gone
            lines = max(1, rest.count(b"\n"))
            self.lost += lines
            self._untold += lines
            rest.clear()

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
        self._soon = []
        self._untold = 0


class LogFile(LogOutput):
    """A file that somebody may put aside at any time (logrotate): a new one is begun at its path within a second.

    Each process looks by itself, so that nobody has to be told. While none can be made the old one stays in use.
    """

    piece = 65_536

    def __init__(self, path: str) -> None:
        self._path = path
        super().__init__(_opened(path))
        self._looked = time.monotonic()

    def look(self) -> None:
        """Whether the file is still at its path, now."""
        with self._lock:
            self._look()

    def _take(self, data: bytes, lines: int) -> None:
        now = time.monotonic()
        if now - self._looked >= _LOOK:
            self._looked = now
            self._look()
        super()._take(data, lines)

    def _look(self) -> None:
        try:
            there, ours = os.stat(self._path), os.fstat(self._descriptor)
            if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                return
        except FileNotFoundError:
            pass
        except OSError:
            return
        with suppress(OSError):
            new = _opened(self._path)
            os.dup2(new, self._descriptor, inheritable=False)
            os.close(new)


def _opened(path: str) -> int:
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
    descriptor = os.open(path, flags, _MODE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return descriptor


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
