"""What the supervisor asks of the operating system before it forks; workers inherit it."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress

_M_ARENA_MAX = -8  # malloc.h
_PR_SET_PDEATHSIG = 1
_TIMEX = 512  # more than any struct timex has; all zero: nothing is changed
_TIME_ERROR = 5
_ENOUGH_DESCRIPTORS = 1_048_576
# Linux takes a limit of 1 octet for "no core, not even through the pipe of core_pattern" (fs/coredump.c); with 0
# the program behind the pipe would still get the memory, to keep it or not. Debuggers can still attach.
_NO_CORE = 1 if sys.platform == "linux" else 0


def raise_descriptors() -> int:
    """Make the soft limit of descriptors the hard one; returns what there is for each process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # macOS has a limit of its own below the hard one
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _ENOUGH_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


def forbid_core_dumps() -> None:
    """The instance key and passwords are in memory: a crash must not write them to disk."""
    with suppress(ValueError, OSError):
        _, hard = resource.getrlimit(resource.RLIMIT_CORE)
        limit = _NO_CORE if hard == resource.RLIM_INFINITY else min(_NO_CORE, hard)
        resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))


def share_one_heap() -> None:
    """One arena of malloc for all threads (glibc): a worker's few threads hardly ever allocate at once, and
    each further arena keeps contents of its own long after they were freed."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)


def die_with_parent(parent: int) -> None:
    """On Linux the kernel ends this process when its parent dies, even if it hangs; elsewhere see ``lifeline``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(75)


def open_descriptors() -> int:
    """Of this process; 0: not known."""
    with suppress(OSError):
        return len(os.listdir("/proc/self/fd")) - 1
    return 0


def clock_runs_free() -> bool:
    """Whether the kernel takes its clock for one that nobody sets (adjtimex(2), TIME_ERROR). False: not known."""
    if sys.platform == "linux":
        adjtimex = getattr(ctypes.CDLL(None), "adjtimex", None)
        if adjtimex is not None:
            return bool(adjtimex(ctypes.create_string_buffer(_TIMEX)) == _TIME_ERROR)
    return False


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
