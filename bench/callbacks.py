"""What callbacks cost: one worker's outbox on SQLite empties itself to a receiver on loopback.

Each event is of a message of its own, with its delivery and its attempt, as deliveries write them. Rows: all to one
endpoint; the same while another endpoint, or a hundred others, are dead; and each event to an endpoint of its own.
The rows take turns, so that whatever else the machine does slows all of them down.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from bench.figures import spread
from bench.report import Table, show
from bench.tools import BenchError
from ekiden.access.vault import Vault
from ekiden.core.clock import HOUR
from ekiden.core.events import EventType
from ekiden.core.ids import IdFactory
from ekiden.core.states import State
from ekiden.dialects.infobip.news.reports import ReportJson
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.net.clock import SystemClock
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.formats import by_name
from ekiden.notify.metrics import OutboxMetrics
from ekiden.notify.outbox import Outbox
from ekiden.notify.ssrf import Destinations
from ekiden.store.open import open_store, upgrade
from ekiden.store.tables import metadata

TARGET = 3_000
"""Events a second from one worker."""
_EVENTS = 30_000
_QUICK_EVENTS = 5_000
_SLOWER = 3
"""Events to endpoints of their own take that much more time: so many times fewer are sent."""
_DEAD = 100
_ALIKE = 0.9
"""Of the rate without a dead endpoint, at least, counts as the same."""
_FORMAT = ReportJson()
_TTL = 600_000
_DATA = json.dumps(
    {"code": 250, "enhanced": "2.0.0", "text": "250 2.0.0 Ok: queued as 4F1B2C", "host": "mx.dst.test"}
)


@dataclass(slots=True)
class Told:
    """Figures of one row: events a second in each round, CPU of the worker in seconds for 1,000 events."""

    what: str
    events: int
    judged: bool
    """Whether the target is meant for it."""
    dead: int = 0
    """Endpoints beside it that never answer."""
    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)


@contextmanager
def receiver() -> Iterator[int]:
    """The port of a process that takes callbacks."""
    with subprocess.Popen(
        [sys.executable, "-m", "bench.callback_receiver"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.stdin.close()
            process.wait(10)


def _insert(connection: sqlite3.Connection, table: str, rows: list[dict[str, object]]) -> None:
    columns = metadata.tables[table].columns.keys()
    absent: dict[str, object] = {
        column.name: None if column.nullable else column.type.python_type()
        for column in metadata.tables[table].columns
    }
    connection.executemany(
        f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})",
        [[row.get(name, absent[name]) for name in columns] for row in rows],
    )


def _fill(path: Path, urls: list[str], events: int, dead_url: str, dead: int) -> None:
    """``events`` notices, to each of ``urls`` in turn; ``dead`` endpoints with one each, which come first."""
    clock = SystemClock()
    now = clock.now()
    ids = IdFactory(1000)
    connection = sqlite3.connect(path)
    endpoints: list[dict[str, object]] = [
        {
            "id": number,
            "account_id": 1,
            "format": _FORMAT.name,
            "url": f"{dead_url}/{number}" if number <= dead else urls[number - dead - 1],
            "sealed": None,
            "digest": str(number),
            "created_at": now,
            "failures": 0,
            "retry_at": 0,
        }
        for number in range(1, dead + len(urls) + 1)
    ]
    _insert(connection, "endpoint", endpoints)
    rows: dict[str, list[dict[str, object]]] = {
        name: [] for name in ("message", "delivery", "attempt", "event", "notice")
    }
    for number in range(events + dead):
        message, event = ids.next(now - HOUR), ids.next(now - HOUR)
        endpoint = number + 1 if number < dead else dead + 1 + number % len(urls)
        of = {"account_id": 1, "message_id": message}
        at = now - HOUR
        rows["message"].append(
            {
                "account_id": 1,
                "id": message,
                "sender": "a@src.test",
                "accepted_at": at - 900,
                "subject": "bench",
                "origin": "{}",
                "labels": '{"infobip.callback_data":"order 4711"}',
                "bulk": "snxemd8u52v7v84iiu69",
            }
        )
        rows["delivery"].append(
            {**of, "number": 1, "recipient": f"u{number}@dst.test", "domain": "dst.test"}
            | {"state": int(State.DELIVERED), "cause": 0, "code": 250, "attempts": 1, "updated_at": at}
        )
        rows["attempt"].append(
            {**of, "recipient_number": 1, "number": 1, "started_at": at - 300, "finished_at": at, "code": 250}
            | {"dialogue": "S: 220 mx.dst.test ESMTP\nC: EHLO src.test\n" * 8}
        )
        rows["event"].append(
            {**of, "id": event, "recipient_number": 1, "type": int(EventType.DELIVERED), "at": at, "data": _DATA}
        )
        rows["notice"].append(
            {**of, "endpoint_id": endpoint, "id": event, "recipient_number": 1, "due_at": at, "attempts": 0}
        )
    for table, made in rows.items():
        _insert(connection, table, made)
    connection.commit()
    connection.close()


async def _empty(path: Path, events: int) -> tuple[float, float]:
    """Seconds until what can be told was told, and seconds of CPU that this process used meanwhile."""
    clock = SystemClock()
    store = await open_store(f"sqlite:///{path}")
    worker = await store.register_worker("bench", os.getpid(), clock.now(), _TTL)
    outbox = Outbox(
        store,
        clock,
        IdFactory(worker.node),
        worker.id,
        CallbacksConfig(),
        by_name([_FORMAT]),
        Vault(os.urandom(32)),
        DnsResolver(DnsConfig(nameservers=("127.0.0.1",)), clock),
        Destinations(loopback_only=True),
        counts := _Counts(),
    )
    began, cpu = time.perf_counter(), time.process_time()
    task = asyncio.create_task(outbox.run())
    while counts.told < events:
        if task.done() or time.perf_counter() - began > 120:
            raise BenchError(f"only {counts.told} of {events} events were told")
        await asyncio.sleep(0.005)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    await outbox.drain(5.0)
    await task
    await store.close()
    return took, cpu


class _Counts(OutboxMetrics):
    """Only what was taken matters here."""

    def __init__(self) -> None:
        self.told = 0

    def sent(self, events: int, seconds: float) -> None:
        self.told += events


def measure(base: Path, urls: list[str], events: int, dead: int) -> tuple[float, float]:
    """``events`` to each of ``urls`` in turn, ``dead`` other endpoints beside: as ``_empty``."""
    with tempfile.TemporaryDirectory(dir=base) as folder, _silent_listener() as silent:
        path = Path(folder) / "ekiden.db"
        uvloop.run(upgrade(f"sqlite:///{path}"))
        _fill(path, urls, events, silent, dead)
        return uvloop.run(_empty(path, events))


@contextmanager
def _silent_listener() -> Iterator[str]:
    """A URL where connections are made, and nobody ever answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=4096) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def run(options: argparse.Namespace, base: Path) -> list[Told]:
    """Measure everything."""
    events = _QUICK_EVENTS if options.quick else _EVENTS
    results = [
        Told("one endpoint", events, True),
        Told("one endpoint, another dead", events, True, 1),
        Told(f"one endpoint, {_DEAD} others dead", events, True, _DEAD),
        Told("each to an endpoint of its own", events // _SLOWER, False),
    ]
    with receiver() as port:
        url = f"http://127.0.0.1:{port}/reports"
        for _ in range(options.rounds or (1 if options.quick else 3)):
            for told in results:
                urls = [url] if told.judged else [f"{url}/{number}" for number in range(told.events)]
                took, cpu = measure(base, urls, told.events, told.dead)
                told.rates.append(round(told.events / took, 1))
                told.cpu.append(round(1000 * cpu / told.events, 4))
    return results


def _beside_the_living(each: Told, results: list[Told]) -> list[float]:
    """The rates of ``each`` divided by those of the same rounds without a dead endpoint."""
    alone = next((told for told in results if told.judged and not told.dead), None)
    if alone is None or not each.judged:
        return []
    return [rate / other for rate, other in zip(each.rates, alone.rates, strict=False) if other]


def tables(results: list[Told]) -> list[Table]:
    """The rates."""
    rows = [
        [
            each.what,
            f"{each.events:,}",
            show(spread(each.rates)),
            show(spread(each.cpu), 3),
            show(spread(_beside_the_living(each, results)), 2),
        ]
        for each in results
    ]
    header = ("callbacks", "events", "events/s", "CPU s/1000", "× without the dead")
    return [Table("Callbacks of one worker, SQLite", header, rows)]


def verdicts(results: list[Told]) -> list[list[str]]:
    """Of the rates to one endpoint, and of what the dead cost it."""
    found = []
    for each in results:
        rates, ratios = spread(each.rates), spread(_beside_the_living(each, results))
        if not each.judged or rates is None:
            continue
        word = "met" if rates.middle >= TARGET else "NOT MET"
        found.append([f"callbacks of one worker: {each.what}", f"≥ {TARGET:,} /s", show(rates), word])
        if each.dead and ratios is not None:
            word = "met" if ratios.middle >= _ALIKE else "NOT MET"
            found.append([f"callbacks: {each.what}, beside none", f"≥ {_ALIKE} ×", show(ratios, 2), word])
    return found
