"""One run: a fresh server and a fresh sink, a warm-up, the load, and what it took."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from bench import load, proof
from bench.figures import Sample
from bench.load import Endpoint, Scenario
from bench.peers import Run, Server
from bench.process import Group, PssSampler
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail

WARM_UP = 200
_SETTLE = 0.5
_POLL = 0.02
_SLOWEST = 25.0
"""Messages a second under which a run is given up."""


def parse_flushes(text: str) -> int:
    """The flush requests of whole disks in ``/proc/diskstats`` (its 16th statistics field since Linux 5.5)."""
    total = 0
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 19 and not fields[2].startswith(("loop", "ram")):
            total += int(fields[18])
    return total


def _flushes() -> int:
    try:
        return parse_flushes(Path("/proc/diskstats").read_text())
    except OSError:
        return 0


@contextlib.contextmanager
def started(server: Server, base: Path, sink_port: int, keep: bool = False) -> Iterator[tuple[Run, Endpoint]]:
    """A fresh ``server`` in a directory of its own below ``base``; it is ended and its directory removed."""
    directory = Path(tempfile.mkdtemp(prefix=f"{server.name}-", dir=base))
    directory.chmod(0o755)  # services that gave up root must reach what lies below
    run = Run(directory, Group(server.name), sink_port)
    try:
        yield run, server.start(run)
    finally:
        try:
            server.stop(run)
        finally:
            run.group.end()
            if not keep:
                shutil.rmtree(directory, ignore_errors=True)


def measure(server: Server, scenario: Scenario, round_number: int, base: Path, keep: bool = False) -> Sample:
    """One run of ``scenario`` on ``server``. What went wrong stands in ``error``; nothing is left running."""
    sample = Sample(server.name, scenario.name, round_number, scenario.messages)
    (sink_port,) = free_ports(1)
    try:
        with started(server, base, sink_port, keep) as (run, endpoint):
            try:
                if server.signatures:
                    _prove(server, scenario, run, endpoint)
                with Sink(sink_port) as sink:
                    _load(sample, scenario, sink, run, endpoint)
            except BenchError as error:
                raise BenchError(f"{error}\n{tail(run.log)}") from None
    except BenchError as error:
        sample.error = str(error).strip()
    return sample


class _Counter(Protocol):
    def count(self) -> int: ...


def _prove(server: Server, scenario: Scenario, run: Run, endpoint: Endpoint) -> None:
    """Raises ``BenchError`` unless what ``server`` sends on is signed as it is said to be."""
    with proof.Receiver(run.sink_port) as receiver:
        _send(scenario, endpoint, proof.MESSAGES, receiver)
        proof.check(receiver.messages, server.signatures, server.key_records(run))


def _send(
    scenario: Scenario, endpoint: Endpoint, messages: int, sink: _Counter
) -> tuple[float, float, dict[str, Any]]:
    """Send ``messages``; returns the seconds until all were accepted, until the sink had all, and the rest."""
    wanted = sink.count() + messages
    limit = 30 + messages / _SLOWEST
    begin = time.perf_counter()
    generator = load.start(scenario, endpoint, messages)
    try:
        arrived: float | None = None
        while arrived is None or generator.finished is None:
            now = time.perf_counter()
            if arrived is None and sink.count() >= wanted:
                arrived = now
            if now - begin > limit:
                raise BenchError(
                    f"given up after {limit:.0f} s: "
                    f"{messages - max(0, wanted - sink.count())} of {messages} messages reached the sink, "
                    f"the generator {'has ended' if generator.finished else 'still runs'}"
                )
            if generator.finished is not None:
                generator.result()
            time.sleep(_POLL)
        result = generator.result()
        # Our generator takes a while to start and says itself how long it sent.
        accepted = float(result["seconds"]) if "seconds" in result else generator.finished - begin
        idle = float(result.get("started", begin)) - begin
        return accepted, max(arrived - begin - idle, accepted), result
    finally:
        generator.close()


def _load(sample: Sample, scenario: Scenario, sink: Sink, run: Run, endpoint: Endpoint) -> None:
    _send(scenario, endpoint, WARM_UP, sink)
    time.sleep(_SETTLE)
    cpu, flushes = run.group.cpu(), _flushes()
    with PssSampler(run.group) as sampler:
        accepted, arrived, sample.generator = _send(scenario, endpoint, scenario.messages, sink)
        sampler.sample()
        sample.processes = len(run.group.pids())
        time.sleep(_SETTLE)
        sample.cpu = (run.group.cpu() - cpu) / scenario.messages * 1000
        sample.flushes = (_flushes() - flushes) / scenario.messages
    sample.accept = scenario.messages / accepted
    sample.e2e = scenario.messages / arrived
    sample.pss = sampler.peak
    if run.group.exited() is not None:
        raise BenchError("the server ended during the run")
