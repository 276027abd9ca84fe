"""Runs one PostgreSQL server and ends it when nobody needs it any more. A program, started by ``embedded``.

    python -I embedded_guard.py LOCK UID REMOVE COMMAND…

Whoever needs the server holds a shared lock on the file LOCK; once the guard gets it for itself, all of them are
gone, however they went. UID (-1: as we are) is whom the server runs as, since PostgreSQL refuses to be root. REMOVE
names directories to delete at the end, separated by colons. SIGTERM ends the server at once. Standard library only,
and no import of ours: it must start fast, and it is the one process that outlives its makers.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_LINUX_CAPABILITY_VERSION_3 = 0x20080522


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
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGINT), 0, 0, 0)  # after setuid, which clears it

    return demote


def main(arguments: list[str]) -> int:
    lock_path, uid, remove = arguments[:3]
    lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    server = subprocess.Popen(arguments[3:], preexec_fn=demotion(int(uid)), stdin=subprocess.DEVNULL)  # noqa: PLW1509, S603

    def stop(*_: object) -> None:
        server.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"

    def wait_until_unneeded() -> None:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=wait_until_unneeded, daemon=True).start()
    status = server.wait()
    for directory in filter(None, remove.split(":")):
        shutil.rmtree(directory, ignore_errors=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
