"""What a long queue costs: claims, look-ups and memory with 10³, 10⁵ and 10⁶ deferred messages.

Two shapes of the same queue: *few due* (1,000 are due, the rest waits for later) and *all due*. Claims are measured
on the store alone; memory and the rate of draining on a whole ``ekiden serve`` that delivers to ``smtp-sink``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench import bulk, report
from bench.ekiden_server import Ekiden
from bench.figures import MIB, quantile
from bench.peers import Run
from bench.process import Group, PssSampler
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail
from ekiden.core.said import say
from ekiden.core.states import Wait
from ekiden.net.clock import SystemClock
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.records import Release

DUE = 1000
_BATCH = 100
_CLAIMS = 200
_LOOKS = 20
_TTL = 600_000
_WATCH = 8.0
"""Seconds that a serving Ekiden is watched."""
_DEPTHS = (1_000, 100_000, 1_000_000)
_QUICK_DEPTHS = (1_000, 20_000)
_AS_FAST = 1.5
"""How much slower, at most, counts as "as fast": single milliseconds vary that much by themselves."""
_MEMORY_LIMIT = 300_000_000


@dataclass(slots=True)
class Depth:
    """Results for one engine and one depth. Latencies in milliseconds: p50, p99, max; memory in octets."""

    engine: str
    messages: int
    claim_few_due: list[float] = field(default_factory=list)
    claim_all_due: list[float] = field(default_factory=list)
    release: list[float] = field(default_factory=list)
    next_due: list[float] = field(default_factory=list)
    stats: list[float] = field(default_factory=list)
    pss_few_due: int = 0
    pss_all_due: int = 0
    drained: float = 0.0
    """Messages a second that reached the sink while all were due."""
    error: str = ""


def _summary(seconds: list[float]) -> list[float]:
    return [round(1000 * quantile(seconds, q), 3) for q in (0.5, 0.99, 1.0)]


async def _timed(action: Callable[[], Awaitable[object]], times: int) -> list[float]:
    seconds = []
    for _ in range(times):
        begin = time.perf_counter()
        await action()
        seconds.append(time.perf_counter() - begin)
    return _summary(seconds)


async def _claims(store: Store, worker: int, times: int) -> tuple[list[float], list[float]]:
    """Claim a batch and give it back, still due, again and again: latencies of claims and of releases."""
    clock = SystemClock()
    claimed, released = [], []
    for _ in range(times):
        begin = time.perf_counter()
        deliveries = await store.claim(worker, clock.now(), _BATCH)
        middle = time.perf_counter()
        if len(deliveries) < _BATCH:
            raise BenchError(f"a claim of {_BATCH} due deliveries returned {len(deliveries)}")
        due_at = clock.now() - 1
        await store.release(
            worker,
            [Release(delivery, due_at, Wait.WORKER_STOPPED, say("worker_stopping")) for delivery in deliveries],
        )
        claimed.append(middle - begin)
        released.append(time.perf_counter() - middle)
    return _summary(claimed), _summary(released)


async def _measure_store(url: str, result: Depth, all_due: bool) -> None:
    clock = SystemClock()
    store = await open_store(url)
    try:
        worker = (await store.register_worker("bench", os.getpid(), clock.now(), _TTL)).id
        await _claims(store, worker, 5)  # the first ones fill caches
        claimed, released = await _claims(store, worker, _CLAIMS)
        if all_due:
            result.claim_all_due = claimed
        else:
            result.claim_few_due, result.release = claimed, released
            result.next_due = await _timed(lambda: store.next_due(clock.now()), _LOOKS)
            result.stats = await _timed(store.stats, _LOOKS)
        await store.end_worker(worker, clock.now())
    finally:
        await store.close()


async def _prepare(url: str, depth: int) -> None:
    # The account that the server's configuration names is the first.
    await bulk.fill(url, depth, min(DUE, depth), account=1, now=SystemClock().now())


def _serve(server: Ekiden, run: Run, sink: Sink, result: Depth, all_due: bool) -> None:
    """Start ``ekiden serve`` on the queue and watch it for a while."""
    before = sink.count()
    wanted = result.messages if all_due else min(DUE, result.messages)
    server.serve(run)
    with PssSampler(run.group, 0.5) as sampler:
        begin = time.perf_counter()
        first = sink.count()
        while time.perf_counter() - begin < _WATCH:
            if all_due and sink.count() - before >= wanted:
                break
            time.sleep(0.02)
        seconds = time.perf_counter() - begin
        arrived = sink.count()
        sampler.sample()
    if all_due:
        result.pss_all_due = sampler.peak
        result.drained = (arrived - first) / seconds
        if arrived == before:
            raise BenchError(f"nothing reached the sink in {_WATCH:.0f} s:\n{tail(run.log)}")
    else:
        result.pss_few_due = sampler.peak
        if arrived - before < wanted:
            raise BenchError(f"{arrived - before} of {wanted} due messages reached the sink in {_WATCH:.0f} s")
    run.group.end()


def measure_depth(engine: str, depth: int, base: Path, keep: bool) -> Depth:
    """Everything about one queue, on a fresh database."""
    result = Depth(engine, depth)
    directory = Path(tempfile.mkdtemp(prefix=f"queue-{engine}-{depth}-", dir=base))
    (sink_port,) = free_ports(1)
    server = Ekiden("ekiden", workers=2, postgresql=engine == "postgresql")
    run = Run(directory, Group("queue"), sink_port)
    try:
        with Sink(sink_port) as sink:
            url = server.configure(run)
            asyncio.run(_prepare(url, depth))
            asyncio.run(_measure_store(url, result, all_due=False))
            _serve(server, run, sink, result, all_due=False)
            # The due ones are delivered by now: as many as there were at first.
            asyncio.run(_refill(url, depth))
            asyncio.run(_measure_store(url, result, all_due=True))
            run.group = Group("queue")
            server.measure_database(run)
            _serve(server, run, sink, result, all_due=True)
    except BenchError as error:
        result.error = str(error).strip()
    finally:
        try:
            server.stop(run)
        finally:
            if not keep:
                shutil.rmtree(directory, ignore_errors=True)
    return result


async def _refill(url: str, depth: int) -> None:
    now = SystemClock().now()
    await bulk.fill(url, min(DUE, depth), min(DUE, depth), account=1, now=now + 1)
    await bulk.make_all_due(url, now)


def verdicts(results: list[Depth]) -> list[list[str]]:
    """The two targets of a long queue: target, wanted, measured, verdict."""
    table = []
    for engine in dict.fromkeys(result.engine for result in results):
        good = [r for r in results if r.engine == engine and not r.error]
        if len(good) < 2:
            continue
        small, large = min(good, key=lambda r: r.messages), max(good, key=lambda r: r.messages)
        for title, one, other in (
            ("few due", small.claim_few_due, large.claim_few_due),
            ("all due", small.claim_all_due, large.claim_all_due),
        ):
            ratio = other[0] / one[0]
            table.append(
                [
                    f"{engine}: claim with {large.messages:,} as fast as with {small.messages:,}, {title}",
                    f"≤ {_AS_FAST} × (p50)",
                    f"{ratio:.2f}",
                    "met" if ratio <= _AS_FAST else "NOT MET",
                ]
            )
        peak = max(large.pss_few_due, large.pss_all_due)
        table.append(
            [
                f"{engine}: memory of all processes with {large.messages:,}",
                f"< {_MEMORY_LIMIT // 1_000_000} MB PSS",
                f"{peak / 1e6:.0f}",
                "met" if peak < _MEMORY_LIMIT else "NOT MET",
            ]
        )
    return table


HEADER = (
    "engine",
    "deferred",
    "claim 100, few due, ms",
    "claim 100, all due, ms",
    "release 100, ms",
    "next due, ms",
    "stats, ms",
    "PSS few due, MiB",
    "PSS all due, MiB",
    "drained msg/s",
)


def rows(results: list[Depth]) -> list[list[str]]:
    """A row for each measured queue; latencies are p50/p99/max."""

    def latencies(values: list[float]) -> str:
        return "/".join(f"{value:.1f}" for value in values) or "–"

    return [
        [
            r.engine,
            f"{r.messages:,}",
            *(latencies(v) for v in (r.claim_few_due, r.claim_all_due, r.release, r.next_due, r.stats)),
            f"{r.pss_few_due / MIB:.0f}",
            f"{r.pss_all_due / MIB:.0f}",
            f"{r.drained:.0f}",
        ]
        for r in results
    ]


def print_results(results: list[Depth], as_markdown: bool) -> None:
    """The table of the queues, and the targets."""
    report.print_table("A queue of deferred messages", HEADER, rows(results), as_markdown)
    judged = verdicts(results)
    if judged:
        report.print_table(
            "Targets of a long queue", ("target", "wanted", "measured", "verdict"), judged, as_markdown
        )
    for result in results:
        if result.error:
            print(f"queue of {result.messages:,} on {result.engine} failed: {result.error}")


def run(options: argparse.Namespace, base: Path) -> bool:
    """Measure every engine and depth, print, save. False: something failed."""
    depths = [int(text) for text in options.depths or ()] or list(_QUICK_DEPTHS if options.quick else _DEPTHS)
    engines = options.engines or ["sqlite", "postgresql"]
    results = []
    for engine in engines:
        reason = Ekiden("ekiden", workers=2, postgresql=engine == "postgresql").missing()
        if reason is not None:
            print(f"queue on {engine} is left out: {reason}", flush=True)
            continue
        for depth in depths:
            result = measure_depth(engine, depth, base, options.keep)
            results.append(result)
            print(
                f"queue {engine} {depth:,}: {result.error or 'claims p50 ' + str(result.claim_few_due[0]) + ' ms'}",
                flush=True,
            )
    path = report.save("queue", {"results": [asdict(result) for result in results]})
    print_results(results, options.markdown)
    print(f"written to {path}")
    return not any(result.error for result in results)
