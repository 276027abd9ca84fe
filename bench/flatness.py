"""Whether questions cost the same however much there is to be asked about: 10³ and 10⁶ messages, on each engine.

A store is filled with each number, and each question is asked of all of them in turn, again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import sqlalchemy

from bench import bulk
from bench.figures import quantile
from bench.report import Table
from bench.tools import BenchError
from ekiden.core.clock import Clock, Millis
from ekiden.net.clock import SystemClock
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.postgresql.embedded import EmbeddedPostgres

_TIMES = 30
_FEW = 5
"""Of a first look, and of questions that walk over everything."""
_FIRST = 3
_COUNTS = (1_000, 1_000_000)
_QUICK_COUNTS = (1_000, 20_000)
_AS_FAST = 2.0
"""How much slower, at most, counts as flat: the keys of a million lie deeper and are seldom in a cache."""

Question = Callable[[], Awaitable[Callable[[], Awaitable[None]] | None]]
"""Asks once. What it returns is done after the clock was stopped, to have everything as it was."""


class Subject(NamedTuple):
    """What is asked about. ``values`` has a row for each of ``tables``, or none, for so many messages until now.

    ``questions`` are by name. One whose name begins with RARE walks over everything: it is shown, not judged.
    """

    name: str
    title: str
    tables: Sequence[sqlalchemy.Table]
    values: Callable[[int, Millis], Iterator[Sequence[dict[str, Any] | None]]]
    questions: Callable[[Store, Clock, int], Awaitable[dict[str, Question]]]


@dataclass(slots=True)
class Asked:
    """Results for one engine and one number of messages: question to p50, p99 and max in milliseconds."""

    engine: str
    messages: int
    latencies: dict[str, list[float]] = field(default_factory=dict)
    error: str = ""


async def _measure(subject: Subject, urls: list[str], results: list[Asked], quick: bool) -> None:
    """Ask each question of all stores in turn, so that whatever else the machine does slows all of them down."""
    clock = SystemClock()
    stores: list[Store] = []
    try:
        for url, result in zip(urls, results, strict=True):
            stores.append(await open_store(url, migrate=True))
            values = subject.values(result.messages, clock.now())
            await bulk.write(url, subject.tables, bulk.tuples(subject.tables, values))
        asked = [
            await subject.questions(store, clock, each.messages)
            for store, each in zip(stores, results, strict=True)
        ]
        for name in asked[0]:
            seconds: list[list[float]] = [[] for _ in asked]
            for number in range(-_FIRST, _FEW if quick or name.startswith("RARE") else _TIMES):
                for questions, measured in zip(asked, seconds, strict=True):
                    begin = time.perf_counter()
                    restore = await questions[name]()
                    took = time.perf_counter() - begin
                    if restore is not None:
                        await restore()
                    if number >= 0:  # those before fill caches
                        measured.append(took)
            for result, measured in zip(results, seconds, strict=True):
                result.latencies[name] = [round(1000 * quantile(measured, q), 2) for q in (0.5, 0.99, 1.0)]
    finally:
        for store in stores:
            await store.close()


async def _create_databases(server: EmbeddedPostgres, names: list[str]) -> None:
    connection = await asyncpg.connect(server.url())
    try:
        for name in names:
            await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()


def measure(subject: Subject, engine: str, counts: list[int], base: Path, quick: bool) -> list[Asked]:
    """Everything about an engine, on a fresh database for each number of messages."""
    results = [Asked(engine, count) for count in counts]
    directory = Path(tempfile.mkdtemp(prefix=f"{subject.name}-{engine}-", dir=base))
    directory.chmod(0o755)
    try:
        if engine == "sqlite":
            urls = [f"sqlite:///{directory}/{number}.db" for number, _ in enumerate(counts)]
            asyncio.run(_measure(subject, urls, results, quick))
        else:
            with EmbeddedPostgres(directory / "postgresql") as server:
                names = [f"flat_{number}" for number, _ in enumerate(counts)]
                asyncio.run(_create_databases(server, names))
                asyncio.run(_measure(subject, [server.url(name) for name in names], results, quick))
    except BenchError as error:
        for result in results:
            result.error = str(error)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    return results


def rows(results: list[Asked], engine: str) -> list[list[str]]:
    """A row for each question: p50/p99/max for each number of messages, and the ratio of the last to the first."""
    good = [result for result in results if result.engine == engine and not result.error]
    table = []
    for name in good[0].latencies if good else ():
        seen = [result.latencies[name] for result in good]
        ratio = seen[-1][0] / seen[0][0] if seen[0][0] else 0.0
        judged = "" if name.startswith("RARE") or len(seen) < 2 else "flat" if ratio <= _AS_FAST else "NOT FLAT"
        cells = ["/".join(f"{value:.1f}" for value in values) for values in seen]
        table.append([name, *cells, f"{ratio:.2f}", judged])
    return table


def tables(subject: Subject, results: list[Asked]) -> list[Table]:
    """One for each engine."""
    found = []
    for engine in dict.fromkeys(result.engine for result in results if not result.error):
        counts = [f"{r.messages:,} messages, ms" for r in results if r.engine == engine and not r.error]
        header = ("question", *counts, "ratio (p50)", f"flat: ≤ {_AS_FAST}")
        found.append(Table(f"{subject.title} on {engine}", header, rows(results, engine)))
    return found


def verdicts(subject: Subject, results: list[Asked]) -> list[list[str]]:
    """Of the question of each engine whose ratio is the highest."""
    found = []
    for engine in dict.fromkeys(result.engine for result in results):
        judged = [row for row in rows(results, engine) if row[-1]]
        if judged:
            worst = max(judged, key=lambda row: float(row[-2]))
            flat = sum(row[-1] == "flat" for row in judged)
            found.append(
                [
                    f"{subject.name} on {engine}: {flat} of {len(judged)} questions flat, the worst is: {worst[0]}",
                    f"≤ {_AS_FAST} × (p50)",
                    worst[-2],
                    "met" if flat == len(judged) else "NOT MET",
                ]
            )
    return found


def run(subject: Subject, options: argparse.Namespace, base: Path) -> list[Asked]:
    """Measure every engine and number of messages."""
    counts = [int(text) for text in options.depths or ()] or list(_QUICK_COUNTS if options.quick else _COUNTS)
    results: list[Asked] = []
    for engine in options.engines or ["sqlite", "postgresql"]:
        found = measure(subject, engine, counts, base, options.quick)
        results += found
        print(f"{subject.name} {engine}: {found[0].error or 'measured'}", flush=True)
    return results
