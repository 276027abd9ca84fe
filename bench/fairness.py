"""What one account's flood costs another: single messages beside a million due deliveries to the same site.

A fresh store gets so many due deliveries, of one account or of ten thousand, all to one site; ``ekiden serve`` with
two workers works them off. Then phases take turns. In every second one ten other accounts send single messages to
that site now and then, each through SMTP with a connection of its own, and single deliveries of theirs become due
that only a claim can find (as a retry, or a message for later). When an attempt began is read from the store.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import func, select

from bench import bulk
from bench.auth_load import make_content
from bench.ekiden_server import Ekiden
from bench.figures import quantile, spread
from bench.peers import Run
from bench.process import Group
from bench.report import Table, show
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail
from ekiden.core.clock import DAY, Millis
from ekiden.core.events import Event, EventType
from ekiden.core.ids import IdFactory
from ekiden.core.states import Priority, State
from ekiden.core.submission import Notify
from ekiden.net.clock import SystemClock
from ekiden.store import tables
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.records import Delivery, Message, NewMessage

AT_ONCE, SLOW = "at once", "0.9 s"
BIG = 1
"""The account that the server's configuration names is the first."""
_CROWD = 10_000
_FIRST_OF_CROWD = 1_000_000
_DUE = 1_000_000
_QUICK_DUE = 50_000
_ROUNDS = 5
_OTHERS = 10
_PHASE = 10.0
_QUICK_PHASE = 5.0
_WARM_UP = {AT_ONCE: 5.0, SLOW: 20.0}
"""A site that answers slowly gets its connections one by one."""
_PATIENCE = 10.0
"""Seconds that the last single messages may take to be begun: longer than the worst that is wanted."""
_TTL = 3_600_000
_P99, _WORST = 2.0, 5.0
_LEFT = 0.95
_EVERY = {AT_ONCE: 0.25, SLOW: 1.0}
"""Seconds between two single messages, and between two deliveries that become due: few beside what it takes."""
_SLOW_BOX = "slow-0.9-at-end"
"""A recipient of the lab: the reply to its content comes 0.9 s late."""
SCENARIOS = {"flood": (AT_ONCE, 1), "slow": (SLOW, 1), "crowd": (AT_ONCE, _CROWD)}
"""How the site answers, and how many accounts the flood is of."""


@dataclass(slots=True)
class Beside:
    """Figures of one flood. Seconds; deliveries a second, one for each phase."""

    engine: str
    site: str
    due: int
    accounts: int
    """Whose they are."""
    answered: list[float] = field(default_factory=list)
    """From connecting until the 250 of each single message."""
    begun: list[float] = field(default_factory=list)
    """From the 250 of each single message until its attempt began."""
    found: list[float] = field(default_factory=list)
    """From the due time of each single delivery that had to be claimed until its attempt began."""
    alone: list[float] = field(default_factory=list)
    """Deliveries a second of the flood in the phases without the others, …"""
    beside: list[float] = field(default_factory=list)
    """… in those with them, …"""
    others: list[float] = field(default_factory=list)
    """… and of the others."""
    missing: int = 0
    """Single messages that were not begun at all, …"""
    unfound: int = 0
    """… and single deliveries that were not."""
    load: float = 0.0
    """The machine's load average (one minute) at the start."""
    error: str = ""

    def left(self) -> list[float]:
        """What the flood gets beside the others, as a part of what they leave of what it has alone."""
        triples = zip(self.alone, self.beside, self.others, strict=False)
        return [beside / max(alone - others, 1e-9) for alone, beside, others in triples]


class _Sent(NamedTuple):
    """Of one single message: who sent it to whom, and when it had its 250 (by SMTP) or was due."""

    account: int
    recipient: str
    at: Millis
    by_smtp: bool


@contextmanager
def _lab() -> Iterator[int]:
    """The port of a lab's SMTP server that takes everybody's mail."""
    argv = [sys.executable, "-m", "ekiden.lab", "--json", "--watch-stdin"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            if not line:
                raise BenchError("the lab did not start")
            yield int(json.loads(line)["smtp"][1])
        finally:
            process.stdin.close()
            process.wait(10)


@contextmanager
def _site(site: str) -> Iterator[int]:
    """The port of a server that answers ``site``."""
    if site == AT_ONCE:
        (port,) = free_ports(1)
        over = threading.Event()
        with Sink(port) as sink:

            def look() -> None:
                # The sink stops once nobody reads what it counts.
                while not over.wait(0.5):
                    sink.count()

            looking = threading.Thread(target=look)
            looking.start()
            try:
                yield port
            finally:
                over.set()
                looking.join()
    else:
        with _lab() as port:
            yield port


def _box(site: str, name: str) -> str:
    """An address at the site."""
    return f"{name}@dst.test" if site == AT_ONCE else f"{_SLOW_BOX}+{name}@accept.lab.test"


async def _fill(url: str, result: Beside) -> None:
    """The flood: everything is due, and was tried once."""
    now = SystemClock().now()
    ids = IdFactory(bulk.NODE)

    def rows() -> Iterator[list[dict[str, object]]]:
        for number in range(result.due):
            account = BIG if result.accounts == 1 else _FIRST_OF_CROWD + number % result.accounts
            row = bulk.values(number, result.due, account, ids.next(now - bulk.AGE), now)
            recipient = _box(result.site, f"u{number}")
            row[2] |= {"recipient": recipient, "domain": recipient.partition("@")[2]}
            yield row

    await bulk.write(url, bulk.TABLES, bulk.tuples(bulk.TABLES, rows()))


async def _reply(reader: asyncio.StreamReader, code: bytes) -> None:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    if not line.startswith(code):
        raise BenchError(f"expected {code.decode()}, got {line.decode(errors='replace')!r}")


async def _submit(port: int, recipient: str, content: bytes) -> tuple[float, Millis]:
    """One message on a connection of its own. Seconds until its 250, and the time of that."""
    begin = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        await _reply(reader, b"220")
        lines = (b"EHLO src.test", b"MAIL FROM:<a@src.test>", f"RCPT TO:<{recipient}>".encode(), b"DATA")
        for line, code in zip(lines, (b"250", b"250", b"250", b"354"), strict=True):
            writer.write(line + b"\r\n")
            await _reply(reader, code)
        writer.write(content)
        await _reply(reader, b"250")
        at = SystemClock().now()
        took = time.perf_counter() - begin
        writer.write(b"QUIT\r\n")
        with contextlib.suppress(OSError):
            await reader.read()
        return took, at
    finally:
        writer.close()


class _Others:
    """The other accounts: what they send, and what becomes due of theirs."""

    def __init__(self, store: Store, worker: int, ids: IdFactory, ports: dict[int, int], result: Beside) -> None:
        self._store = store
        self._worker = worker
        self._ids = ids
        self._ports = list(ports.items())
        self._result = result
        self._content = make_content(4096)
        self._number = 0
        self.sent: list[_Sent] = []

    async def send(self, seconds: float) -> None:
        """One single message, and one delivery that becomes due a second later, now and then."""
        end = time.perf_counter() + seconds
        async with asyncio.TaskGroup() as group:
            while time.perf_counter() < end:
                self._number += 1
                account, port = self._ports[self._number % len(self._ports)]
                group.create_task(self._one(account, port, f"single{self._number}"))
                await self._due(account, f"due{self._number}", SystemClock().now() + 1000)
                await asyncio.sleep(_EVERY[self._result.site])

    async def _one(self, account: int, port: int, name: str) -> None:
        recipient = _box(self._result.site, name)
        took, at = await _submit(port, recipient, self._content)
        self._result.answered.append(took)
        self.sent.append(_Sent(account, recipient, at, True))

    async def _due(self, account: int, name: str, at: Millis) -> None:
        recipient = _box(self._result.site, name)
        now = SystemClock().now()
        content = self._content.removesuffix(b".\r\n")
        message = Message(
            account,
            self._ids.next(now),
            0,
            "a@src.test",
            len(content),
            Priority.STANDARD,
            None,
            None,
            False,
            False,
            now,
            now + DAY,
        )
        domain = recipient.partition("@")[2]
        later = Delivery(message, 1, recipient, domain, int(Notify.NONE_GIVEN), None, State.SCHEDULED, at, 0)
        events = [Event(account, message.id, 0, EventType.ACCEPTED, now)]
        await self._store.accept(self._worker, NewMessage(message, content, [later], events))
        self.sent.append(_Sent(account, recipient, at, False))


async def _watch(
    url: str, result: Beside, ports: dict[int, int], rounds: int, phase: float
) -> list[tuple[bool, Millis, Millis]]:
    """The phases: whether the others sent, from when until when. Fills in what the others saw."""
    clock = SystemClock()
    store = await open_store(url)
    spans: list[tuple[bool, Millis, Millis]] = []
    try:
        worker = await store.register_worker("bench", os.getpid(), clock.now(), _TTL)
        others = _Others(store, worker.id, IdFactory(worker.node), ports, result)
        await asyncio.sleep(_WARM_UP[result.site])
        for number in range(2 * rounds):
            with_others = number % 2 == 1
            begin = clock.now()
            await (others.send(phase) if with_others else asyncio.sleep(phase))
            spans.append((with_others, begin, clock.now()))
            await asyncio.sleep(1.5)  # what became due last is begun before the next phase
        await _attempts(store, others.sent, result)
        await store.end_worker(worker.id, clock.now())
    finally:
        await store.close()
    return spans


async def _attempts(store: Store, sent: Sequence[_Sent], result: Beside) -> None:
    """When the first attempt of each single message began."""
    attempt, delivery = tables.attempt.c, tables.delivery.c
    begun: dict[str, Millis] = {}
    deadline = time.monotonic() + _PATIENCE
    while len(begun) < len(sent) and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        async with store.read() as connection:
            found = await connection.execute(
                select(delivery.recipient, attempt.started_at)
                .join_from(tables.attempt, tables.delivery, delivery.message_id == attempt.message_id)
                .where(
                    attempt.account_id == delivery.account_id,
                    attempt.account_id.in_({one.account for one in sent}),
                    attempt.number == 1,
                )
            )
            begun = {row.recipient: row.started_at for row in found}
    for one in sent:
        at = begun.get(one.recipient)
        if at is None and one.by_smtp:
            result.missing += 1
        elif at is None:
            result.unfound += 1
        else:
            (result.begun if one.by_smtp else result.found).append(max(0, at - one.at) / 1000)


async def _rates(url: str, result: Beside, spans: Sequence[tuple[bool, Millis, Millis]]) -> None:
    """Attempts that ended in each phase, by whose they are."""
    attempt = tables.attempt.c
    store = await open_store(url)
    try:
        async with store.read() as connection:
            for with_others, begin, end in spans:
                flood = (attempt.account_id == BIG) | (attempt.account_id >= _FIRST_OF_CROWD)
                counts = []
                for whose in (flood, ~flood):
                    query = select(func.count()).select_from(tables.attempt)
                    query = query.where(whose, attempt.finished_at >= begin, attempt.finished_at < end)
                    counts.append((await connection.scalar(query) or 0) * 1000 / (end - begin))
                (result.beside if with_others else result.alone).append(round(counts[0], 1))
                if with_others:
                    result.others.append(round(counts[1], 1))
    finally:
        await store.close()


def measure(server: Ekiden, result: Beside, rounds: int, phase: float, base: Path, keep: bool) -> None:
    """Fill ``result``. Raises ``BenchError``; nothing is left running."""
    directory = Path(tempfile.mkdtemp(prefix=f"fairness-{result.engine}-", dir=base))
    directory.chmod(0o755)
    with _site(result.site) as port:
        run = Run(directory, Group("fairness"), port)
        try:
            url = server.configure(run)
            asyncio.run(_fill(url, result))
            result.load = round(os.getloadavg()[0], 1)
            server.serve(run)
            spans = asyncio.run(_watch(url, result, server.other_ports, rounds, phase))
            run.group.end()
            asyncio.run(_rates(url, result, spans))
            if not all(result.alone):
                raise BenchError("the flood was not worked off")
        except BenchError as error:
            raise BenchError(f"{error}\n{tail(run.log)}") from None
        finally:
            try:
                server.stop(run)
            finally:
                if not keep:
                    shutil.rmtree(directory, ignore_errors=True)


def run(options: argparse.Namespace, base: Path) -> list[Beside]:
    """Measure each engine with each site, and a crowd of accounts in place of one."""
    due = [int(text) for text in options.depths or ()] or [_QUICK_DUE if options.quick else _DUE]
    rounds = options.rounds or (1 if options.quick else _ROUNDS)
    phase = _QUICK_PHASE if options.quick else _PHASE
    chosen = [SCENARIOS[name] for name in options.scenarios or SCENARIOS]
    results = []
    for engine in options.engines or ("sqlite", "postgresql"):
        server = Ekiden("ekiden", workers=2, postgresql=engine == "postgresql", others=_OTHERS)
        reason = server.missing()
        if reason is not None:
            print(f"fairness on {engine} is left out: {reason}", flush=True)
            continue
        for count in due:
            for site, accounts in chosen:
                result = Beside(engine, site, count, accounts)
                try:
                    measure(server, result, rounds, phase, base, options.keep)
                except BenchError as error:
                    result.error = str(error).strip()
                results.append(result)
                seen = result.error or f"begun {_seconds(result.begun)}, found {_seconds(result.found)}"
                print(f"fairness {engine} {site}, {accounts} accounts: {seen}, left {result.left()}", flush=True)
    return results


def _seconds(values: Sequence[float]) -> str:
    """p50/p99/max."""
    return "/".join(f"{quantile(values, q):.2f}" for q in (0.5, 0.99, 1.0)) if values else "–"


def _of(found: Sequence[float], missing: int) -> str:
    return f"{len(found)}/{len(found) + missing}" if missing else f"{len(found)}"


def _name(result: Beside) -> str:
    whose = "one account" if result.accounts == 1 else f"{result.accounts:,} accounts"
    return f"{result.engine}, {result.due:,} of {whose}, site answers {_when(result.site)}"


def _when(site: str) -> str:
    return site if site == AT_ONCE else f"after {site}"


def tables_of(results: list[Beside]) -> list[Table]:
    """Waits of the single ones in seconds, and what the flood gets."""
    good = [result for result in results if not result.error]
    header = (
        "due, and the site",
        "singles",
        "until 250, s",
        "250 until begun, s",
        "due until begun, s",
        "flood alone /s",
        "flood beside /s",
        "others /s",
        "of what is left",
        "load",
    )
    rows = [
        [
            _name(result),
            f"{_of(result.begun, result.missing)}, {_of(result.found, result.unfound)}",
            _seconds(result.answered),
            _seconds(result.begun),
            _seconds(result.found),
            show(spread(result.alone)),
            show(spread(result.beside)),
            show(spread(result.others), 1),
            show(spread(result.left()), 2),
            f"{result.load:.1f}",
        ]
        for result in good
    ]
    title = "Single messages of other accounts beside a flood, p50/p99/max; rates are min/median/max of the phases"
    return [Table(title, header, rows)] if rows else []


def verdicts(results: list[Beside]) -> list[list[str]]:
    """How soon the others begin, and what the flood keeps."""
    judged = []
    for result in results:
        if result.error:
            continue
        waits = {"250": (result.begun, result.missing)}
        if result.accounts == 1:
            # What must be claimed beside ten thousand others that wait takes its turn among them.
            waits["due"] = (result.found, result.unfound)
        for what, (seconds, missing) in waits.items():
            for word, wanted, q in (("p99", _P99, 0.99), ("worst", _WORST, 1.0)):
                measured = quantile(seconds, q)
                good = measured <= wanted and not missing
                title = f"{_name(result)}: {what} until begun, {word}"
                judged.append([title, f"≤ {wanted:g} s", f"{measured:.2f}", "met" if good else "NOT MET"])
        left = spread(result.left())
        if left is not None:
            good = left.middle >= _LEFT
            title = f"{_name(result)}: the flood keeps of what is left"
            judged.append([title, f"≥ {_LEFT:g}", show(left, 2), "met" if good else "NOT MET"])
    return judged
