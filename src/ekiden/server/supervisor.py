"""The process that starts the workers, restarts those that crash, and passes on what the operator wants.

SIGTERM and SIGINT drain (a second one kills at once); SIGHUP reads configuration and certificates again: if they
are good, new workers start with them and the old ones drain. It never opens the store, an event loop or a thread:
whatever exists when it forks would be copied into every worker.
"""

from __future__ import annotations

import ctypes
import gc
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import msgspec

from ekiden.core.errors import EkidenError
from ekiden.core.texts import TranslatedError
from ekiden.server.config import Config
from ekiden.server.config_load import load_config
from ekiden.server.http import preload
from ekiden.server.logging import configure_logging, get_logger
from ekiden.server.metrics import Metrics
from ekiden.server.ports import Ports, reserve_ports
from ekiden.server.texts import TEXTS
from ekiden.server.worker import Report, WorkerSpec, check_certificates, run_worker

_FIRST_BACKOFF = 0.1
_MOST_BACKOFF = 30.0
_HEALTHY_AFTER = 60.0
_KILL_AFTER = 5.0
_MOST_EARLY_ENDS = 5
_M_ARENA_MAX = -8  # malloc.h
_PR_SET_PDEATHSIG = 1
# What cannot change while workers of both configurations run beside each other.
_FIXED = ("data_dir", "store.url", "lab.enabled")


class CannotStart(TranslatedError):
    """``ekiden serve`` cannot begin its work."""


@dataclass
class _Child:
    pid: int
    slot: int
    pipe: int
    generation: int
    started: float
    place: int
    ready: bool = False
    draining: bool = False
    kill_at: float | None = None
    registration: int | None = None
    report: bytes = b""


@dataclass
class _Place:
    """One of the ``workers.count`` workers there should be; survives the processes that fill it."""

    number: int
    backoff: float = _FIRST_BACKOFF
    start_at: float | None = 0.0
    predecessor: int | None = None


@dataclass
class Supervisor:
    """``run`` returns the exit status of ``ekiden serve``; whatever keeps it from starting is an ``EkidenError``.

    ``on_ready`` is called once all workers take work. ``watch`` is a descriptor whose end means to drain.
    """

    config: Config
    path: Path | None
    overrides: Callable[[Config], Config] = lambda config: config
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    on_ready: Callable[[Ports], None] | None = None
    watch: int | None = None

    def __post_init__(self) -> None:
        self._log = get_logger()
        self._children: dict[int, _Child] = {}
        self._places: list[_Place] = []
        self._generation = 0
        self._stopping: float | None = None
        self._was_ready = False
        self._early_ends = 0
        self._failure: EkidenError | None = None
        self._wanted: list[int] = []

    def run(self) -> int:
        check_certificates(self.config)
        self._ports = reserve_ports(self.config)
        count = self.config.workers.count or _cores()
        self._metrics = Metrics(slots=max(64, 4 * count))
        self._free_slots = list(range(1, self._metrics.shared.slots))
        self._own = self._metrics.worker(0)
        self._places = [_Place(number) for number in range(count)]
        self._life_read, self._life_write = os.pipe()
        self._log.info(
            "starting",
            workers=count,
            store=self.config.store.url.partition(":")[0],
            listeners=[str(address) for address in self._ports.all()],
        )
        _share_one_heap()
        if "http" in self.config.workers.roles:
            preload()
        gc.collect()
        gc.freeze()  # the collector would write into every page it shares with the workers
        wake_read, wake_write = os.pipe()
        os.set_blocking(wake_read, False)
        os.set_blocking(wake_write, False)
        previous = signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        handlers = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD)
        }
        self._inherited = (wake_read, wake_write)
        try:
            self._loop(wake_read)
        finally:
            self._kill_all()
            signal.set_wakeup_fd(previous)
            for number, handler in handlers.items():
                signal.signal(number, handler)
            for descriptor in (wake_read, wake_write, self._life_read, self._life_write):
                os.close(descriptor)
            self._ports.close()
        if self._failure is not None:
            raise self._failure
        self._log.info("stopped")
        return 0

    def _note(self, number: int, _frame: object) -> None:
        self._wanted.append(number)

    def _loop(self, wake: int) -> None:
        while True:
            self._handle_signals()
            self._reap_children()
            if self._stopping is not None and not self._children:
                return
            now = time.monotonic()
            self._kill_late(now)
            if self._stopping is None:
                self._start_due(now)
            timers = [child.kill_at for child in self._children.values() if child.kill_at is not None]
            timers += [place.start_at for place in self._places if place.start_at is not None]
            timeout = max(0.0, min(timers) - time.monotonic()) if timers else None
            pipes = {child.pipe: child for child in self._children.values() if child.pipe >= 0}
            watched = [self.watch] if self.watch is not None else []
            readable, _, _ = select.select([wake, *watched, *pipes], [], [], timeout)
            for descriptor in readable:
                if descriptor == self.watch:
                    self._read_watched(descriptor)
                elif descriptor == wake:
                    with suppress(BlockingIOError):
                        os.read(wake, 4096)
                else:
                    self._read_report(pipes[descriptor])

    def _read_watched(self, descriptor: int) -> None:
        if not os.read(descriptor, 4096):
            self.watch = None
            if self._stopping is None:
                self._log.info("draining", why="standard input ended")
                self._stop()

    # signals

    def _handle_signals(self) -> None:
        while self._wanted:
            number = self._wanted.pop(0)
            if number == signal.SIGHUP and self._stopping is None:
                self._reload()
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self._stopping is not None:
                    self._log.warning("killing workers: asked to stop twice")
                    self._signal_all(signal.SIGKILL)
                else:
                    self._log.info("draining", signal=signal.Signals(number).name)
                    self._stop()

    def _stop(self) -> None:
        self._stopping = time.monotonic()
        for place in self._places:
            place.start_at = None
        for child in self._children.values():
            self._drain(child)

    def _drain(self, child: _Child) -> None:
        if not child.draining:
            child.draining = True
            child.kill_at = time.monotonic() + self.config.workers.drain_timeout + _KILL_AFTER
            _signal(child.pid, signal.SIGTERM)

    def _reload(self) -> None:
        try:
            config = self.overrides(load_config(self.path, self.environ))
            check_certificates(config)
            fixed = [key for key in _FIXED if _get(config, key) != _get(self.config, key)]
            config = _keep(config, self.config)
            ports = reserve_ports(config, self._ports)
        except EkidenError as error:
            self._log.error("not reloaded, the configuration stays as it was", why=str(error))
            return
        if fixed:
            self._log.warning("these settings change with a restart only", settings=fixed)
        self._ports.close(keep=ports)
        self.config, self._ports = config, ports
        configure_logging(config.log)
        self._generation += 1
        count = config.workers.count or _cores()
        self._places = [_Place(number) for number in range(count)]
        self._log.info("reloading: new workers start, the old ones drain", workers=count)

    # children

    def _start_due(self, now: float) -> None:
        for place in self._places:
            if place.start_at is not None and place.start_at <= now:
                place.start_at = None
                self._start(place)

    def _start(self, place: _Place) -> None:
        slot = self._free_slots.pop(0)
        read, write = os.pipe()
        spec = WorkerSpec(
            config=self.config,
            number=place.number,
            workers=len(self._places),
            slot=slot,
            ports=self._ports,
            metrics=self._metrics,
            report=Report(write),
            lifeline=self._life_read,
            predecessor=place.predecessor,
        )
        place.predecessor = None
        parent = os.getpid()
        # Held back until the child no longer has our handlers, which would swallow them.
        held = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, held)
        pid = os.fork()
        if pid == 0:
            self._become_worker(spec, parent, read, held)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        os.close(write)
        os.set_blocking(read, False)
        self._children[pid] = _Child(pid, slot, read, self._generation, time.monotonic(), place.number)
        self._own.alive.set(len(self._children))

    def _become_worker(self, spec: WorkerSpec, parent: int, read: int, held: set[signal.Signals]) -> NoReturn:
        status = 70
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            # Ctrl-C reaches the whole process group; stopping in order is the supervisor's word.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
            _die_with_parent(parent)
            for descriptor in (*self._inherited, self._life_write, read):
                os.close(descriptor)
            for child in self._children.values():
                if child.pipe >= 0:
                    os.close(child.pipe)
            status = run_worker(spec)
        except BaseException as error:
            get_logger().error("worker failed", why=f"{type(error).__name__}: {error}", exc_info=True)
        finally:
            with suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _read_report(self, child: _Child) -> None:
        try:
            data = os.read(child.pipe, 65_536)
        except BlockingIOError:
            return
        if not data:
            os.close(child.pipe)
            child.pipe = -1
            return
        child.report += data
        *lines, child.report = child.report.split(b"\n")
        for line in lines:
            message = msgspec.json.decode(line)
            if "registration" in message:
                child.registration = message["registration"]
            if "failed" in message and not self._was_ready and self._failure is None:
                self._failure = EkidenError(message["failed"])
                self._stop()
            if message.get("ready"):
                child.ready = True
                self._became_ready(child)

    def _became_ready(self, child: _Child) -> None:
        current = [other for other in self._children.values() if other.generation == self._generation]
        if len(current) < len(self._places) or not all(other.ready for other in current):
            return
        for other in self._children.values():
            if other.generation != self._generation:
                self._drain(other)
        if not self._was_ready:
            self._was_ready = True
            self._log.info("ready", workers=len(current), listeners=self._ports.named())
            if self.on_ready is not None:
                self.on_ready(self._ports)

    def _reap_children(self) -> None:
        for child in list(self._children.values()):
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid == 0:
                continue
            while child.pipe >= 0:
                before = child.report
                self._read_report(child)
                if child.pipe >= 0 and child.report == before:
                    os.close(child.pipe)
                    child.pipe = -1
            del self._children[pid]
            self._metrics.shared.reset_gauges(child.slot)
            self._free_slots.append(child.slot)
            self._own.alive.set(len(self._children))
            self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: _Child, code: int) -> None:
        if child.draining and code == 0:
            self._log.debug("worker drained", worker=child.place, worker_pid=child.pid)
            return
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        replaced = child.generation != self._generation
        if self._stopping is not None or replaced:
            self._log.warning("worker ended while draining", worker=child.place, worker_pid=child.pid, how=how)
            return
        self._own.restarts.inc()
        if not self._was_ready:
            self._early_ends += 1
            if self._early_ends >= _MOST_EARLY_ENDS:
                self._failure = CannotStart(
                    TEXTS, "workers end as soon as they start ({how}); the log says why", how=how
                )
                self._stop()
                return
        place = self._places[child.place]
        now = time.monotonic()
        if now - child.started >= _HEALTHY_AFTER:
            place.backoff = _FIRST_BACKOFF
        place.start_at = now + place.backoff
        place.backoff = min(_MOST_BACKOFF, place.backoff * 2)
        place.predecessor = child.registration
        self._log.error(
            "worker ended unasked, starting another",
            worker=child.place,
            worker_pid=child.pid,
            how=how,
            in_seconds=round(place.start_at - now, 1),
        )

    def _kill_late(self, now: float) -> None:
        for child in self._children.values():
            if child.kill_at is not None and child.kill_at <= now:
                self._log.warning(
                    "worker did not drain in time, killing it", worker=child.place, worker_pid=child.pid
                )
                child.kill_at = None
                _signal(child.pid, signal.SIGKILL)

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children.values():
            _signal(child.pid, number)

    def _kill_all(self) -> None:
        self._signal_all(signal.SIGKILL)
        for child in self._children.values():
            os.waitpid(child.pid, 0)
        self._children.clear()


def _signal(pid: int, number: signal.Signals) -> None:
    # Ours until we have waited for it: the number cannot belong to anybody else.
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _die_with_parent(parent: int) -> None:
    """On Linux the kernel ends this process when its parent dies, even if it hangs; elsewhere see ``lifeline``."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(75)


def _share_one_heap() -> None:
    """One arena of malloc for all threads (glibc): a worker's few threads hardly ever allocate at once, and
    each further arena keeps contents of its own long after they were freed. Workers inherit it."""
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _get(config: Config, key: str) -> object:
    value: object = config
    for part in key.split("."):
        value = getattr(value, part)
    return value


def _keep(new: Config, old: Config) -> Config:
    """``new``, with what only a restart can change as it was."""
    return msgspec.structs.replace(new, data_dir=old.data_dir, store=old.store, lab=old.lab)
