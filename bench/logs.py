"""What a question to the log costs when 10³ and 10⁶ messages were sent within its two days.

The store is filled as days of sending would leave it: nearly everything delivered, one in a hundred bounced, the
newest still waiting, some few that are rare in any way one may ask for. Each question is asked of the service that
the HTTP API asks, again and again.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import Table

from bench import bulk, report
from bench.figures import quantile
from bench.tools import BenchError
from ekiden.core.clock import HOUR, MINUTE, Clock, Millis
from ekiden.core.ids import IdFactory, format_id
from ekiden.core.states import Cause, Priority, State
from ekiden.delivery.bulks import Bulks
from ekiden.delivery.logs import LogFilter, Logs
from ekiden.net.clock import SystemClock
from ekiden.store.api import Store
from ekiden.store.embedded import EmbeddedPostgres
from ekiden.store.open import open_store
from ekiden.store.tables import delivery, message

_ACCOUNT = 1
_NODE = 1022
_SPAN: Millis = 47 * HOUR
_TABLES: tuple[Table, ...] = (message, delivery)
_BULK = 500
"""Messages of one bulk."""
_RECIPIENTS = 2000
_RARE = 5
_WAITING = 200
_TIMES = 30
_FIRST = 3
_COUNTS = (1_000, 1_000_000)
_QUICK_COUNTS = (1_000, 20_000)
_AS_FAST = 2.0
"""How much slower, at most, counts as flat: the keys of a million lie deeper and are seldom in a cache."""


@dataclass(slots=True)
class Asked:
    """Results for one engine and one number of messages: question to p50, p99 and max in milliseconds."""

    engine: str
    messages: int
    latencies: dict[str, list[float]] = field(default_factory=dict)
    error: str = ""


def _values(count: int, now: Millis) -> Iterator[list[dict[str, Any]]]:
    """A row for each of ``_TABLES``, the oldest first."""
    ids = IdFactory(_NODE)
    begin = now - _SPAN
    for number in range(count):
        at = begin + number * (_SPAN - MINUTE) // count
        identifier = ids.next(at)
        state = State.BOUNCED if number % 100 == 7 else State.DELIVERED
        if number >= count - _WAITING:
            state = State.DEFERRED
        rare = number < _RARE
        yield [
            {
                "account_id": _ACCOUNT,
                "id": identifier,
                "sender": f"s{number % 3}@src.test",
                "size": 2000,
                "priority": int(Priority.STANDARD),
                "smtputf8": False,
                "eight_bit": False,
                "accepted_at": at,
                "expires_at": now + 48 * HOUR,
                "header_id": f"<{identifier}@src.test>",
                "subject": f"Your order {number} has been shipped",
                "origin": '{"via":"HTTP","client":"192.0.2.7"}',
                "labels": "{}",
                "bulk": f"bulk-{number // _BULK}",
                "reference": f"reference-{number}" if number % 2 else "",
                "application": "rare" if rare else "shop",
                "campaign": "rare" if rare else "spring",
            },
            {
                "account_id": _ACCOUNT,
                "message_id": identifier,
                "number": 1,
                "recipient": f"u{number % _RECIPIENTS}@dst.test",
                "domain": "dst.test",
                "state": int(State.EXPIRED if rare else state),
                "cause": int(Cause.NONE),
                "reason": "250 2.0.0 Ok: queued as 4X1zPq0Y1Zz1",
                "code": 250,
                "enhanced": "2.0.0",
                "priority": int(Priority.STANDARD),
                "due_at": now + HOUR,
                "attempts": 1,
                "updated_at": at + 900,
            },
        ]


Question = Callable[[], Awaitable[object]]


async def _questions(store: Store, clock: Clock, count: int) -> dict[str, Question]:
    """What is asked, by its name."""
    logs, bulks = Logs(store, clock), Bulks(store, clock, IdFactory(_NODE))
    newest = await logs.find(LogFilter(_ACCOUNT, limit=count // 2 if count < 2000 else 1000))
    middle = count // 2
    named = next(entry for entry in newest.entries if not entry.reference)

    def log(expected: int, **wanted: Any) -> Question:
        async def ask() -> None:
            page = await logs.find(LogFilter(_ACCOUNT, **wanted))
            if len(page.entries) < expected:
                raise BenchError(f"{wanted} found {len(page.entries)} entries, not {expected}")

        return ask

    return {
        "first page of 50": log(50),
        "first page of 1,000": log(min(count, 1000), limit=1000),
        "a page of 50 further down": log(50, cursor=newest.cursor),
        "by queue id": log(1, ids=(format_id(named.message_id),)),
        "by the sender's id": log(1, ids=(f"reference-{middle | 1}",)),
        "by 100 ids": log(100, ids=tuple(f"reference-{2 * number + 1}" for number in range(100)), limit=100),
        "by bulk": log(50, bulks=(f"bulk-{middle // _BULK}",)),
        "by recipient": log(1, recipient=f"u{middle % _RECIPIENTS}@dst.test"),
        "by sender": log(50, sender="s1@src.test"),
        "delivered": log(50, states=frozenset({State.DELIVERED})),
        "waiting": log(50, states=frozenset({State.QUEUED, State.DEFERRED})),
        "bounced, one in 100": log(1, states=frozenset({State.BOUNCED}), limit=10),
        "status of a bulk": lambda: bulks.get(_ACCOUNT, f"bulk-{middle // _BULK}"),
        "RARE waiting in another hour": log(0, states=frozenset({State.SCHEDULED})),
        "RARE state": log(_RARE, states=frozenset({State.EXPIRED})),
        "RARE campaign": log(_RARE, campaigns=("rare",)),
        "RARE sender": log(0, sender="nobody@src.test"),
    }


async def _measure(urls: list[str], results: list[Asked], quick: bool) -> None:
    """Ask each question of all stores in turn, so that whatever else the machine does slows all of them down."""
    clock = SystemClock()
    stores: list[Store] = []
    try:
        for url, result in zip(urls, results, strict=True):
            stores.append(await open_store(url, migrate=True))
            await bulk.write(url, _TABLES, bulk.tuples(_TABLES, _values(result.messages, clock.now())))
        asked = [await _questions(store, clock, each.messages) for store, each in zip(stores, results, strict=True)]
        for name in asked[0]:
            seconds: list[list[float]] = [[] for _ in asked]
            for number in range(-_FIRST, 3 if quick or name.startswith("RARE") else _TIMES):
                for questions, measured in zip(asked, seconds, strict=True):
                    begin = time.perf_counter()
                    await questions[name]()
                    if number >= 0:  # those before fill caches
                        measured.append(time.perf_counter() - begin)
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


def measure(engine: str, counts: list[int], base: Path, quick: bool) -> list[Asked]:
    """Everything about an engine, on a fresh database for each number of messages."""
    results = [Asked(engine, count) for count in counts]
    directory = Path(tempfile.mkdtemp(prefix=f"logs-{engine}-", dir=base))
    directory.chmod(0o755)
    try:
        if engine == "sqlite":
            urls = [f"sqlite:///{directory}/{number}.db" for number, _ in enumerate(counts)]
            asyncio.run(_measure(urls, results, quick))
        else:
            with EmbeddedPostgres(directory / "postgresql") as server:
                names = [f"logs_{number}" for number, _ in enumerate(counts)]
                asyncio.run(_create_databases(server, names))
                asyncio.run(_measure([server.url(name) for name in names], results, quick))
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


def print_results(results: list[Asked], as_markdown: bool) -> None:
    """A table for each engine. Questions for what is RARE walk over everything: their cost is shown, not judged."""
    for engine in dict.fromkeys(result.engine for result in results):
        counts = [f"{r.messages:,} messages, ms" for r in results if r.engine == engine and not r.error]
        header = ("question to the log", *counts, "ratio (p50)", f"flat: ≤ {_AS_FAST}")
        report.print_table(f"The log of 48 hours on {engine}", header, rows(results, engine), as_markdown)
    for result in results:
        if result.error:
            print(f"the log of {result.messages:,} messages on {result.engine} failed: {result.error}")


def run(options: argparse.Namespace, base: Path) -> bool:
    """Measure every engine and number of messages, print, save. False: something failed."""
    counts = [int(text) for text in options.depths or ()] or list(_QUICK_COUNTS if options.quick else _COUNTS)
    results: list[Asked] = []
    for engine in options.engines or ["sqlite", "postgresql"]:
        found = measure(engine, counts, base, options.quick)
        results += found
        print(f"logs {engine}: {found[0].error or 'measured'}", flush=True)
    path = report.save("logs", {"results": [asdict(result) for result in results]})
    print_results(results, options.markdown)
    print(f"written to {path}")
    return not any(result.error for result in results)
