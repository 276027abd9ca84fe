"""Processes of one server as a group: started together, measured together, and ended by their ids.

As root the group is a control group of its own, so that a process which detaches itself is still counted. Elsewhere
it is the tree below what was started, read from ``/proc`` (proc(5)); the CPU time of children that ended is then in
``cutime`` and ``cstime`` of whoever waited for them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_MICROSECONDS = 1e6
_NANOSECONDS = 1e9


class Stat(NamedTuple):
    """What the bench needs of ``/proc/PID/stat``; ``ticks`` includes the children that were waited for.

    ``begun`` is when it started, in ticks since boot: with it an id that is used again is another process.
    """

    pid: int
    state: str
    parent: int
    ticks: int
    begun: int


def parse_stat(text: str) -> Stat:
    """``/proc/PID/stat``. The name in brackets may itself hold blanks and brackets."""
    head, _, tail = text.rpartition(")")
    fields = tail.split()
    ticks = sum(int(n) for n in fields[11:15])
    return Stat(int(head.split(" ", 1)[0]), fields[0], int(fields[1]), ticks, int(fields[19]))


def parse_pss(text: str) -> int:
    """Octets of ``Pss:`` in ``/proc/PID/smaps_rollup``, which counts a shared page by the share of each user."""
    for line in text.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def parse_status(text: str, name: str) -> int:
    """Octets of a line such as ``VmHWM:`` in ``/proc/PID/status``."""
    for line in text.splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return 0


def resident(pid: int) -> int:
    """Octets of memory that the process has now."""
    return parse_status(_read(_PROC / str(pid) / "status"), "VmRSS")


def high_water(pid: int) -> int:
    """The most memory that the process has had, since ``reset_high_water``."""
    return parse_status(_read(_PROC / str(pid) / "status"), "VmHWM")


def reset_high_water(pid: int) -> None:
    """The high-water mark begins anew at what the process has now (proc(5), ``clear_refs``)."""
    (_PROC / str(pid) / "clear_refs").write_text("5")


def _read(path: Path) -> str:
    """The text of ``path``; nothing once the process is gone."""
    try:
        return path.read_text(errors="replace")
    except (OSError, ProcessLookupError):
        return ""


def all_stats() -> dict[int, Stat]:
    """Every process that can be seen, by id."""
    found = {}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit():
            text = _read(_PROC / entry.name / "stat")
            if text:
                stat = parse_stat(text)
                found[stat.pid] = stat
    return found


def tree(roots: Sequence[int], stats: Mapping[int, Stat]) -> list[int]:
    """The ids of ``roots`` and of everything below them, as far as they live."""
    children: dict[int, list[int]] = {}
    for stat in stats.values():
        children.setdefault(stat.parent, []).append(stat.pid)
    found: list[int] = []
    seen: set[int] = set()
    waiting = [pid for pid in roots if pid in stats]
    while waiting:
        pid = waiting.pop()
        if pid not in seen:
            seen.add(pid)
            found.append(pid)
            waiting += children.get(pid, [])
    return found


def _new_control_group(name: str) -> Path | None:
    """A new control group that counts CPU time, version 1 (cpuacct) or 2; ``None`` where we may not make one."""
    for parent in (Path("/sys/fs/cgroup/cpuacct"), Path("/sys/fs/cgroup")):
        counter = "cpuacct.usage" if parent.name == "cpuacct" else "cpu.stat"
        path = parent / f"ekiden-bench-{os.getpid()}-{name}-{time.monotonic_ns()}"
        try:
            if not (parent / "cgroup.procs").exists():
                continue
            path.mkdir()
        except OSError:
            continue
        if (path / counter).exists() and os.access(path / "cgroup.procs", os.W_OK):
            return path
        with contextlib.suppress(OSError):
            path.rmdir()
    return None


class Group:
    """The processes of one server in one run."""

    def __init__(self, name: str, control_group: bool = True) -> None:
        self.name = name
        self._path = _new_control_group(name) if control_group else None
        self._started: list[subprocess.Popen[bytes]] = []
        self._adopted: list[int] = []
        self._members: dict[int, int] = {}

    def spawn(
        self, argv: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start ``argv`` inside the group; what it prints is appended to ``log``."""
        command = list(argv)
        if self._path is not None:
            # The shell enters the group and becomes the program, so that nothing is started outside of it.
            command = ["sh", "-c", 'echo $$ >"$0" && exec "$@"', str(self._path / "cgroup.procs"), *argv]
        with log.open("ab") as output:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        self._started.append(process)
        return process

    def adopt(self, pid: int) -> None:
        """Count the process ``pid``, which somebody else ends, and everything below it from now on."""
        self._adopted.append(pid)
        if self._path is not None:
            for member in tree([pid], all_stats()):
                with contextlib.suppress(OSError):
                    (self._path / "cgroup.procs").write_text(str(member))

    def pids(self) -> list[int]:
        """The members that live, in no order."""
        if self._path is not None:
            return [int(line) for line in _read(self._path / "cgroup.procs").split()]
        stats = all_stats()
        roots = [process.pid for process in self._started] + self._adopted
        return [pid for pid in tree(roots, stats) if stats[pid].state != "Z"]

    def cpu(self) -> float:
        """Seconds of CPU the members have used, those that have ended included."""
        if self._path is None:
            stats = all_stats()
            roots = [process.pid for process in self._started] + self._adopted
            return sum(stats[pid].ticks for pid in tree(roots, stats)) / _TICKS
        usage = _read(self._path / "cpuacct.usage")
        if usage:
            return int(usage) / _NANOSECONDS
        for line in _read(self._path / "cpu.stat").splitlines():
            key, _, value = line.partition(" ")
            if key == "usage_usec":
                return int(value) / _MICROSECONDS
        return 0.0

    def pss(self) -> int:
        """Octets of memory of all members, shared pages counted once."""
        return sum(parse_pss(_read(_PROC / str(pid) / "smaps_rollup")) for pid in self.pids())

    def exited(self) -> int | None:
        """The exit code of a started process that has ended, or ``None``."""
        for process in self._started:
            code = process.poll()
            if code is not None:
                return code
        return None

    def end(self, patience: float = 20.0) -> bool:
        """Ask what was started to end, then kill what is left. False when something had to be killed."""
        before = all_stats()
        # Without a control group, those whose parent ends first are no longer found below it.
        self._members = {pid: before[pid].begun for pid in self._ours() if pid in before}
        for process in reversed(self._started):
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + patience
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, deadline - time.monotonic()))
        while (left := self._ours()) and time.monotonic() < deadline:
            time.sleep(0.05)
        orderly = not left
        for _ in range(20):
            if not left:
                break
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            for process in self._started:
                process.poll()
            time.sleep(0.1)
            left = self._ours()
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
        self._leave()
        return orderly

    def _ours(self) -> list[int]:
        """The members that this group ends: not the adopted ones, nor what those started."""
        stats = all_stats()
        adopted = set(tree(self._adopted, stats))
        orphans = {pid for pid, begun in self._members.items() if pid in stats and stats[pid].begun == begun}
        found = orphans.union(self.pids()) - adopted
        return [pid for pid in found if pid in stats and stats[pid].state != "Z"]

    def _leave(self) -> None:
        if self._path is None:
            return
        for _ in range(20):
            try:
                for pid in self.pids():  # only adopted ones are left
                    with contextlib.suppress(OSError):
                        (self._path.parent / "cgroup.procs").write_text(str(pid))
                self._path.rmdir()
            except OSError:
                time.sleep(0.05)
            else:
                return


class PssSampler:
    """The highest memory of a group, sampled by a thread: ``with PssSampler(group) as sampler: ...``."""

    def __init__(self, group: Group, every: float = 1.0) -> None:
        self._group = group
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.peak = 0

    def __enter__(self) -> PssSampler:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def sample(self) -> int:
        """Look once more, now; returns the octets seen."""
        now = self._group.pss()
        self.peak = max(self.peak, now)
        return now

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            self.sample()
