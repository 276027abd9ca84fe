"""The process that starts the workers, restarts those that crash, and passes on what the operator wants.

SIGTERM and SIGINT drain (a second one kills at once); SIGHUP reads configuration and certificates again: if they
are good, new workers start with them, and once all of them take work the old ones drain. One reload is under way at
a time and at most one more waits, however many signals come. A worker whose event loop does not turn any more is
killed and replaced. It never opens the store, an event loop or a thread: whatever exists when it forks would be
copied into every worker.
"""

from __future__ import annotations

import errno
import gc
import math
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

from ekiden.config.load import load_config
from ekiden.config.model import Config
from ekiden.core.errors import EkidenError
from ekiden.core.texts import TranslatedError
from ekiden.listeners.http_app import preload
from ekiden.process.beats import Beats, Pulse
from ekiden.process.generation import Child, Generation, Place, Slots, keep_fixed
from ekiden.process.listening_ports import Ports, reserve_ports
from ekiden.process.log_output import flush_logs, reopen_logs
from ekiden.process.logging import configure_logging, get_logger, open_log
from ekiden.process.metrics import Metrics
from ekiden.process.process_limits import (
    cores,
    die_with_parent,
    forbid_core_dumps,
    raise_descriptors,
    share_one_heap,
)
from ekiden.process.restart_backoff import Backoff
from ekiden.process.translations import TEXTS
from ekiden.process.worker import Report, WorkerSpec, check_certificates, run_worker
from ekiden.wiring.capacity import fit
from ekiden.wiring.dialects import DIALECTS

_KILL_AFTER = 5.0
_MOST_EARLY_ENDS = 5
_RELOAD_WITHIN = 120.0
_FORK_AGAIN_AFTER = 1.0
_MOST_WORKERS = 256  # of one generation; there are never more than two


class CannotStart(TranslatedError):
    """``ekiden serve`` cannot begin its work."""


@dataclass
class Supervisor:
    """``run`` returns the exit status of ``ekiden serve``; whatever keeps it from starting is an ``EkidenError``.

    ``on_ready`` is called once all workers take work. ``watch`` is a descriptor whose end means to drain. ``work``
    is what a worker does. ``start_within``: seconds until a worker that is not ready must give a sign of life.
    """

    config: Config
    path: Path | None
    overrides: Callable[[Config], Config] = lambda config: config
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    on_ready: Callable[[Ports], None] | None = None
    watch: int | None = None
    work: Callable[[WorkerSpec], int] = run_worker
    backoff: Callable[[], Backoff] = Backoff
    start_within: float = 60.0

    def __post_init__(self) -> None:
        self._log = get_logger()
        self._children: dict[int, Child] = {}
        self._coming: Generation | None = None
        self._stopping: float | None = None
        self._was_ready = False
        self._failure: EkidenError | None = None
        self._wanted: list[int] = []
        self._reload_wanted = False

    def run(self) -> int:
        check_certificates(self.config)
        self._descriptors = raise_descriptors()
        forbid_core_dumps()
        # Untouched memory costs nothing, so that there is a slot for whatever can be configured later.
        slots = 1 + 2 * _MOST_WORKERS
        self._metrics = Metrics(slots)
        self._beats = Beats(slots)
        self._slots = Slots(1, slots - 1)
        self._own = self._metrics.worker(0)
        self._own.descriptors_limit.set(self._descriptors)
        self._serving = self._generation(self.config, reserve_ports(self.config))
        self._life_read, self._life_write = os.pipe()
        self._log.info(
            "starting",
            workers=len(self._serving.places),
            store=self.config.store.url.partition(":")[0],
            listeners=[str(address) for address in self._serving.ports.all()],
            descriptors=self._descriptors,
        )
        for dialect in DIALECTS:
            dialect.load()
        share_one_heap()
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
            if self._coming is not None:
                self._coming.ports.close(keep=self._serving.ports)
            self._serving.ports.close()
        if self._failure is not None:
            raise self._failure
        self._log.info("stopped")
        return 0

    def _note(self, number: int, _frame: object) -> None:
        self._wanted.append(number)

    def _generation(self, config: Config, ports: Ports) -> Generation:
        count = config.workers.count or cores()
        fitted, less = fit(config, self._descriptors)
        if less:
            self._log.warning(
                "fewer connections than configured: this process may have too few descriptors",
                descriptors=self._descriptors,
                **{kind: f"{given} of {wanted}" for kind, (wanted, given) in less.items()},
            )
        places = [Place(number, self.backoff()) for number in range(count)]
        return Generation(config, fitted, ports, places, time.monotonic())

    @property
    def _generations(self) -> list[Generation]:
        """Those that workers are started for."""
        return [self._serving] if self._coming is None else [self._serving, self._coming]

    def _loop(self, wake: int) -> None:
        self._pulse = Pulse(1.0, time.monotonic())
        while True:
            self._handle_signals()
            self._reap_children()
            if self._stopping is not None and not self._children:
                return
            now = time.monotonic()
            self._kill_late(now)
            self._kill_hanging(now)
            if self._stopping is None:
                self._give_up_late(now)
                self._reload_due()
                self._start_due(now)
            self._wait(wake)

    def _wait(self, wake: int) -> None:
        """Until a signal, a report, or the next thing that is due: looking at the workers, once a second."""
        timers = [child.kill_at for child in self._children.values() if child.kill_at is not None]
        timers += [
            place.start_at for one in self._generations for place in one.places if place.start_at is not None
        ]
        if self._children:
            timers.append(self._pulse.next)
        timeout = max(0.0, min(timers) - time.monotonic()) if timers else None
        pipes = {child.pipe: child for child in self._children.values() if child.pipe >= 0}
        poll = select.poll()  # select() has no descriptors above 1023
        for descriptor in (wake, *([] if self.watch is None else [self.watch]), *pipes):
            poll.register(descriptor, select.POLLIN)
        for descriptor, _ in poll.poll(None if timeout is None else math.ceil(timeout * 1000)):
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
                if not self._reload_wanted and not self._at_rest:
                    self._log.info("another reload waits until this one is done")
                self._reload_wanted = True
            elif number in (signal.SIGTERM, signal.SIGINT):
                if self._stopping is not None:
                    self._log.warning("killing workers: asked to stop twice")
                    self._signal_all(signal.SIGKILL)
                else:
                    self._log.info("draining", signal=signal.Signals(number).name)
                    self._stop()

    def _stop(self) -> None:
        self._stopping = time.monotonic()
        for one in self._generations:
            for place in one.places:
                place.start_at = None
        for child in self._children.values():
            self._drain(child)

    def _drain(self, child: Child) -> None:
        if not child.draining:
            child.draining = True
            child.kill_at = time.monotonic() + child.generation.config.workers.drain_timeout + _KILL_AFTER
            _signal(child.pid, signal.SIGTERM)

    # reloads

    @property
    def _at_rest(self) -> bool:
        """No reload is under way: all workers are of the generation that serves, and it has been ready."""
        serving = self._serving
        return serving.ready and all(child.generation is serving for child in self._children.values())

    def _reload_due(self) -> None:
        if self._reload_wanted and self._coming is None and self._at_rest:
            self._reload_wanted = False
            self._reload()

    def _reload(self) -> None:
        """Begin the next generation. Whatever is wrong, the one that serves goes on."""
        serving = self._serving
        reopen_logs()
        try:
            config = self.overrides(load_config(self.path, self.environ, dialects=DIALECTS))
            check_certificates(config)
            open_log(config.log)
            config, fixed = keep_fixed(config, serving.config)
            ports = reserve_ports(config, serving.ports)
        except Exception as error:
            why = str(error) if isinstance(error, EkidenError) else f"{type(error).__name__}: {error}"
            self._own.reloads_refused.inc()
            self._log.error("not reloaded, the configuration stays as it was", why=why)
            return
        if fixed:
            self._log.warning("these settings change with a restart only", settings=fixed)
        configure_logging(config.log)
        self._coming = self._generation(config, ports)
        self._log.info("reloading: new workers start, the old ones drain", workers=len(self._coming.places))

    def _give_up(self, why: str) -> None:
        """The coming generation does not come; the one that serves has never stopped to."""
        coming, self._coming = self._coming, None
        assert coming is not None
        coming.ports.close(keep=self._serving.ports)
        configure_logging(self._serving.config.log)
        self._own.reloads_refused.inc()
        self._log.error("not reloaded, workers do not start with the new configuration: the old ones stay", why=why)
        for child in self._children.values():
            if child.generation is coming:
                self._drain(child)

    def _give_up_late(self, now: float) -> None:
        if self._coming is not None and now - self._coming.began > _RELOAD_WITHIN:
            self._give_up(f"not all of them were ready within {_RELOAD_WITHIN:.0f} seconds")

    # children

    def _start_due(self, now: float) -> None:
        for one in self._generations:
            for place in one.places:
                if place.start_at is not None and place.start_at <= now:
                    self._start(one, place)

    def _start(self, generation: Generation, place: Place) -> None:
        """Whatever there is too little of (processes, memory, descriptors, slots): it is tried again."""
        place.start_at = None
        slot = self._slots.take()
        try:
            if slot is None:
                raise OSError(errno.EAGAIN, "all places in shared memory are taken")
            self._fork(generation, place, slot)
        except OSError as error:
            if slot is not None:
                self._slots.give(slot)
            place.start_at = time.monotonic() + _FORK_AGAIN_AFTER
            self._log.error("cannot start a worker, trying again", worker=place.number, why=error.strerror)

    def _fork(self, generation: Generation, place: Place, slot: int) -> None:
        read, write = os.pipe()
        spec = WorkerSpec(
            config=generation.fitted,
            number=place.number,
            workers=len(generation.places),
            slot=slot,
            ports=generation.ports,
            metrics=self._metrics,
            beats=self._beats,
            report=Report(write),
            lifeline=self._life_read,
            predecessor=place.predecessor,
        )
        self._metrics.shared.use(slot)
        self._beats.clear(slot)
        parent = os.getpid()
        # Held back until the child no longer has our handlers, which would swallow them.
        held = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
        signal.pthread_sigmask(signal.SIG_BLOCK, held)
        try:
            pid = os.fork()
        except OSError:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
            os.close(read)
            os.close(write)
            raise
        if pid == 0:
            self._become_worker(spec, parent, read, held)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, held)
        os.close(write)
        os.set_blocking(read, False)
        place.predecessor = None
        self._children[pid] = Child(pid, slot, read, generation, time.monotonic(), place)
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
            die_with_parent(parent)
            for descriptor in (*self._inherited, self._life_write, read):
                os.close(descriptor)
            for child in self._children.values():
                if child.pipe >= 0:
                    os.close(child.pipe)
            status = self.work(spec)
        except BaseException as error:
            get_logger().error("worker failed", why=f"{type(error).__name__}: {error}", exc_info=True)
        finally:
            with suppress(Exception):
                flush_logs()
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _read_report(self, child: Child) -> None:
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
            if "failed" in message:
                child.failed = message["failed"]
                if not self._was_ready and self._failure is None:
                    self._failure = EkidenError(message.get("told", child.failed))
                    self._stop()
            if message.get("ready"):
                child.ready = True
                self._became_ready(child)

    def _became_ready(self, child: Child) -> None:
        generation = child.generation
        if generation.ready or generation not in self._generations:
            return
        current = [other for other in self._children.values() if other.generation is generation]
        if len(current) < len(generation.places) or not all(other.ready for other in current):
            return
        generation.ready = True
        if generation is self._coming:
            self._take_over(generation)
        if not self._was_ready:
            self._was_ready = True
            self._log.info("ready", workers=len(current), listeners=generation.ports.named())
            if self.on_ready is not None:
                self.on_ready(generation.ports)

    def _take_over(self, generation: Generation) -> None:
        self._serving.ports.close(keep=generation.ports)
        self._serving, self._coming = generation, None
        self.config = generation.config
        self._own.reloads_taken.inc()
        self._log.debug("reloaded: all new workers take work")
        for other in self._children.values():
            if other.generation is not generation:
                self._drain(other)

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
            self._slots.give(child.slot)
            self._own.alive.set(len(self._children))
            self._ended(child, os.waitstatus_to_exitcode(status))

    def _ended(self, child: Child, code: int) -> None:
        if child.draining and code == 0:
            self._log.debug("worker drained", worker=child.place.number, worker_pid=child.pid)
            return
        how = f"exit status {code}" if code >= 0 else signal.Signals(-code).name
        generation, place = child.generation, child.place
        if self._stopping is not None or generation not in self._generations:
            self._log.warning("worker ended while draining", worker=place.number, worker_pid=child.pid, how=how)
            return
        self._own.restarts.inc()
        if not generation.ready:
            generation.early_ends += 1
            if generation is self._coming and (child.failed or generation.early_ends >= _MOST_EARLY_ENDS):
                self._give_up(child.failed or f"they end as soon as they start ({how})")
                return
            if generation.early_ends >= _MOST_EARLY_ENDS and not self._was_ready:
                self._failure = CannotStart(
                    TEXTS, "workers end as soon as they start ({how}); the log says why", how=how
                )
                self._stop()
                return
        now = time.monotonic()
        wait = place.backoff.after(now - child.started)
        place.start_at = now + wait
        place.predecessor = child.registration
        self._log.error(
            "worker ended unasked, starting another",
            worker=place.number,
            worker_pid=child.pid,
            how=how,
            in_seconds=round(wait, 1),
        )

    def _kill_late(self, now: float) -> None:
        for child in self._children.values():
            if child.kill_at is not None and child.kill_at <= now:
                self._log.warning(
                    "worker did not drain in time, killing it", worker=child.place.number, worker_pid=child.pid
                )
                child.kill_at = None
                _signal(child.pid, signal.SIGKILL)

    def _kill_hanging(self, now: float) -> None:
        """Whose event loop has not turned for ``workers.hang_timeout`` of our own time: SIGKILL ends stopped
        processes, too, and its connections with it, before others may take its deliveries over."""
        passed = self._pulse.passed(now)
        if not passed:
            return
        for child in self._children.values():
            beat = self._beats.read(child.slot)
            if beat != child.beat:
                child.beat, child.silent = beat, 0.0
                continue
            child.silent += passed
            timeout = child.generation.config.workers.hang_timeout
            if not child.ready:
                timeout = max(timeout, self.start_within)
            if child.silent < timeout:
                continue
            self._log.error(
                "worker hangs, killing it",
                worker=child.place.number,
                worker_pid=child.pid,
                seconds=round(child.silent, 1),
            )
            self._own.hangs.inc()
            child.silent = 0.0
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
