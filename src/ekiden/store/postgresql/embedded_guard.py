"""Runs one PostgreSQL server and ends it when nobody needs it any more. A program, started by ``embedded``.

    python -I embedded_guard.py guard DIRECTORY UID REMOVE COMMAND…
    python -I embedded_guard.py run UID COMMAND…

Whoever needs the server holds a shared lock on the file ``needed`` in DIRECTORY; once the guard gets it for itself,
all of them are gone, however they went. UID (-1: as we are) is whom the server runs as, since PostgreSQL refuses to
be root. REMOVE names directories to delete at the end, separated by colons.

The end is certain: a shutdown that does not end within its time (``STEPS``) is followed by a harder one, the
last of which is SIGKILL to every process of the server. (PostgreSQL 18 never ends when a fast shutdown arrives
while it recovers from a killed backend, with ``io_method = sync`` neither.) SIGTERM asks for the end as well,
SIGQUIT for one without a checkpoint. Guard and server hold a lock on the file ``alive`` for as long as any of their
processes lives. When the guard itself is killed, the kernel asks the server for an immediate shutdown; what neither
could clear up is cleared up by the next one who comes.

``run`` only becomes UID and the command. Standard library only, and no import of ours: it must start fast, and it
is the one process that outlives its makers.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Seconds that a fast and an immediate shutdown are given. PostgreSQL kills what ignores the latter after five.
STEPS = ((signal.SIGINT, 10.0), (signal.SIGQUIT, 8.0))
_REAPING = 5.0  # seconds for killed processes to be gone
_LOOKING = 10.0  # seconds for which others may look whether a server is alive

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_LINUX_CAPABILITY_VERSION_3 = 0x20080522
_IPC_RMID = 0


def demotion(uid: int) -> Callable[[], None]:
    """What the child does before it becomes the server: die with us, and be ``uid``.

    The right to pass directories that are closed to ``uid`` is kept (capabilities(7), ambient set): data and
    binaries may lie below a home directory of root, whose permissions are not ours to change.
    """
    libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

    def demote() -> None:
        if libc is None:
            if uid >= 0:
                os.setuid(uid)
            return
        if uid >= 0:
            libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
            header = (ctypes.c_uint32 * 2)(_LINUX_CAPABILITY_VERSION_3, 0)
            kept = 1 << _CAP_DAC_OVERRIDE
            # effective, permitted, inheritable; then the same for capabilities 32 to 63
            libc.capset(header, (ctypes.c_uint32 * 6)(kept, kept, kept, 0, 0, 0))
            libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, _CAP_DAC_OVERRIDE, 0, 0)
        # After setuid, which clears it. An immediate shutdown: nobody is there to follow up on a gentler one.
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGQUIT), 0, 0, 0)

    return demote


# --- processes --------------------------------------------------------------------------------------------------


def processes_of(alive: Path) -> list[int]:
    """Guard and server: those of the processes that have the file ``alive`` open which are not waiting for them."""
    try:
        wanted = alive.stat()
    except OSError:
        return []
    return [pid for pid in _processes() if _has_open(pid, wanted) and _is_ours(pid)]


def kill_all(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[int]:
    with contextlib.suppress(OSError):
        yield from [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _has_open(pid: int, wanted: os.stat_result) -> bool:
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                    return True
    return False


def _is_ours(pid: int) -> bool:
    with contextlib.suppress(OSError):
        program = os.path.basename(os.readlink(f"/proc/{pid}/exe"))
        return program.startswith("postgres") or os.fsencode(__file__) in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def _children() -> list[int]:
    found = []
    for pid in _processes():
        with contextlib.suppress(OSError, IndexError, ValueError):
            if int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(pid)
    return found


def _reap() -> None:
    """End what the server has left: its processes became our children when it died before them."""
    deadline = time.monotonic() + _REAPING
    while True:
        kill_all(_children())
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        if time.monotonic() > deadline:
            _say(f"processes {_children()} cannot be killed")
            return
        time.sleep(0.01)


# --- what a server leaves ---------------------------------------------------------------------------------------


def clear_after_kill(data: Path, socket_directory: Path | None = None) -> None:
    """Nothing of this server lives any more, whatever its files say.

    PostgreSQL believes that a process with the number in its old file is a server, if it is alive and of the same
    user: with as many servers as a test run has, that happens.
    """
    file = data / "postmaster.pid"
    with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
        segment = int(file.read_text().split("\n")[6].split()[1])
        ctypes.CDLL(None).shmctl(segment, _IPC_RMID, None)
    file.unlink(missing_ok=True)
    if socket_directory is not None:
        for left in socket_directory.glob(".s.PGSQL.*"):
            left.unlink(missing_ok=True)


def remove(directory: Path) -> None:
    """Delete ``directory`` in one moment for others: somebody may make it anew while we are at it."""
    gone = directory.with_name(f"{directory.name}.gone-{os.getpid()}")
    try:
        directory.rename(gone)
    except OSError:
        gone = directory
    shutil.rmtree(gone, ignore_errors=True)


# --- the guard --------------------------------------------------------------------------------------------------


def _say(text: str) -> None:
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')} guard {os.getpid()}: {text}", file=sys.stderr, flush=True)


def _take(alive: Path) -> int:
    """The lock on ``alive``: our maker has seen that no process of an earlier server has it, others only look."""
    lock = os.open(alive, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LOOKING
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise SystemExit(f"an earlier server is still there: {processes_of(alive)}") from None
            time.sleep(0.01)
        else:
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
            return lock


class _Ending:
    """One shutdown after the other, each when the one before has had its time."""

    def __init__(self, server: subprocess.Popen[bytes]) -> None:
        self.begun = False
        self._server = server
        self._steps = list(STEPS)
        self._next = 0.0

    def begin(self, why: str, *, gently: bool) -> None:
        if not gently:
            self._steps = [step for step in self._steps if step[0] != signal.SIGINT]
        if not self.begun or not gently:
            _say(why)
            self._next = 0.0
        self.begun = True

    def timeout(self) -> float | None:
        """Seconds until ``go_on`` is due."""
        return max(0.0, self._next - time.monotonic()) if self.begun else None

    def go_on(self) -> None:
        if not self.begun or time.monotonic() < self._next:
            return
        if self._steps:
            number, seconds = self._steps.pop(0)
            _say(f"{number.name} to the server {self._server.pid}")
            self._server.send_signal(number)
        else:
            seconds = _REAPING
            _say(f"SIGKILL to the server {self._server.pid}")
            self._server.kill()
        self._next = time.monotonic() + seconds


def serve(directory: Path, uid: int, doomed: list[Path], command: list[str]) -> int:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    alive = _take(directory / "alive")
    sockets = Path(command[command.index("-k") + 1])
    clear_after_kill(directory / "data", sockets)
    needed = os.open(directory / "needed", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    wake_read, wake_write = os.pipe()
    for end in (wake_read, wake_write):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    for asked in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(asked, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    server = subprocess.Popen(  # noqa: S603 (our maker's command)
        command,
        preexec_fn=demotion(uid),  # noqa: PLW1509 (there is no other thread yet)
        stdin=subprocess.DEVNULL,
        pass_fds=(alive,),
    )

    def wait_until_unneeded() -> None:
        fcntl.flock(needed, fcntl.LOCK_EX)
        os.write(wake_write, b"\0")

    threading.Thread(target=wait_until_unneeded, daemon=True).start()
    ending = _Ending(server)
    while server.poll() is None:
        select.select([wake_read], [], [], ending.timeout())
        with contextlib.suppress(BlockingIOError):
            heard = os.read(wake_read, 4096)
            if signal.SIGQUIT in heard:
                ending.begin("asked for an end without a checkpoint", gently=False)
            elif signal.SIGTERM in heard:
                ending.begin("asked for the end", gently=True)
            elif 0 in heard:
                ending.begin("nobody needs the server any more", gently=not doomed)
        if server.poll() is None:
            ending.go_on()
    if not ending.begun:
        _say(f"the server ended by itself or was killed: status {server.returncode}")
    _reap()
    clear_after_kill(directory / "data", sockets)
    for path in doomed:
        # What ended unasked is evidence, and those who need it may start it again: whoever is last removes it.
        if ending.begun or path != directory:
            remove(path)
    return server.returncode


def main(arguments: list[str]) -> int:
    if arguments[0] == "run":
        demotion(int(arguments[1]))()
        os.execv(arguments[2], arguments[2:])  # noqa: S606
    directory, uid, doomed = arguments[1:4]
    return serve(Path(directory), int(uid), [Path(path) for path in doomed.split(":") if path], arguments[4:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
