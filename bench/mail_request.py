"""A request with 100,000 recipients, each with words of their own, to ``POST /mails``: how long until it is
answered, what it takes of memory, and what others feel who ask a worker for nothing (NOOP) all the time.

*Kept* requests are for an hour later, so that the request alone is measured. The other one is sent at once: its
time is until the sink has every mail. Memory is the most that a process has (``VmHWM``) above what it had before
(``VmRSS``).
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import smtplib
import threading
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import process
from bench.ekiden_server import ACCOUNT, Ekiden
from bench.load import SENDER_DOMAIN, Endpoint
from bench.measure import started
from bench.peers import Run
from bench.report import Table
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail
from ekiden.access.access_keys import create_access_key
from ekiden.access.accounts import get_account
from ekiden.access.vault import Vault
from ekiden.net.clock import SystemClock
from ekiden.process.instance_key import KEY_NAME
from ekiden.store.open import open_store

MEGABYTE = 1_000_000
SECONDS = 10.0
"""Until the answer."""
MEMORY = 250 * MEGABYTE
PAUSE = 0.1
"""Seconds that an event loop may be kept."""
_RECIPIENTS = 100_000
_QUICK = 10_000
_DOMAIN = "dst.test"
_LISTENERS = 4
"""Connections that ask; workers share a port, so most of them are likely to be asked."""
_TIMEOUT = 900.0
_PATH = "/api/v1/mails"


@dataclass(slots=True)
class Asked:
    """One request. Octets, seconds; ``worst`` and ``p99``: of the NOOPs beside it."""

    server: str
    title: str
    recipients: int
    kept: bool
    octets: int = 0
    seconds: float = 0.0
    memory: int = 0
    p99: float = 0.0
    worst: float = 0.0
    sent: float = 0.0
    """Until the sink has all of it."""
    error: str = ""


class _Idle:
    """Somebody who says NOOP every few milliseconds, on several connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._ended = threading.Event()
        self.seconds: list[float] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(_LISTENERS)]

    def _ask(self) -> None:
        with smtplib.SMTP("127.0.0.1", self._endpoint.port, timeout=60) as client:
            client.ehlo()
            while not self._ended.is_set():
                began = time.perf_counter()
                client.noop()
                self.seconds.append(time.perf_counter() - began)
                time.sleep(0.01)
                if len(self.seconds) % 1000 == 0:  # NOOPs alone have a bound
                    client.rset()

    def __enter__(self) -> _Idle:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


def body(count: int, *, kept: bool) -> bytes:
    """The request."""
    recipients = [
        {
            "address": f"taro.{number}@{_DOMAIN}",
            "name": f"山田太郎{number}",
            "type": "R",
            "parameters": {"customer_name": f"太郎{number}", "BEFORE_GRADE": "SILVER", "AFTER_GRADE": "GOLD"},
        }
        for number in range(count)
    ]
    value: dict[str, Any] = {
        "senderAddress": f"shop@{SENDER_DOMAIN}",
        "title": "${customer_name}様 お会いできて光栄です。",
        "body": "<p>お客様の等級が ${BEFORE_GRADE}から ${AFTER_GRADE}へ変更されました。</p>" * 10,
        "recipients": recipients,
        "individual": True,
        "advertising": False,
    }
    if kept:
        value["reservationUtc"] = int(time.time() * 1000) + 3_600_000
    return json.dumps(value, ensure_ascii=False).encode()


async def _access_key(directory: Path) -> tuple[str, str]:
    url = tomllib.loads((directory / "ekiden.toml").read_text())["store"]["url"]
    vault = Vault.from_file(directory / KEY_NAME)
    store = await open_store(url)
    try:
        account = await get_account(store, ACCOUNT)
        key = await create_access_key(store, vault, account.id, "bench", SystemClock().now())
        return key.id, key.secret
    finally:
        await store.close()


def post(endpoint: Endpoint, key: tuple[str, str], octets: bytes) -> dict[str, Any]:
    """The answer. Raises ``BenchError``."""
    timestamp = str(int(time.time() * 1000))
    text = f"POST {_PATH}\n{timestamp}\n{key[0]}"
    signature = base64.b64encode(hmac.new(key[1].encode(), text.encode(), hashlib.sha256).digest()).decode()
    headers = {
        "Content-Type": "application/json",
        "x-ncp-apigw-timestamp": timestamp,
        "x-ncp-iam-access-key": key[0],
        "x-ncp-apigw-signature-v2": signature,
    }
    assert endpoint.http_port is not None
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", endpoint.http_port, timeout=300)) as connection:
        connection.request("POST", _PATH, octets, headers)
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != 201:
        raise BenchError(f"{answer.status}: {content[:500]!r}")
    found: dict[str, Any] = json.loads(content)
    return found


@contextlib.contextmanager
def _measured(run: Run, endpoint: Endpoint, result: Asked) -> Iterator[None]:
    before = {}
    for pid in run.group.pids():
        process.reset_high_water(pid)
        before[pid] = process.resident(pid)
    with _Idle(endpoint) as idle:
        time.sleep(0.2)
        idle.seconds.clear()
        began = time.monotonic()
        yield
        result.seconds = time.monotonic() - began
    result.memory = max(process.high_water(pid) - resident for pid, resident in before.items())
    waits = sorted(idle.seconds)
    result.worst = waits[-1]
    result.p99 = waits[len(waits) * 99 // 100]


def measure(server: Ekiden, results: list[Asked], base: Path, keep: bool = False) -> None:
    """Fill ``results``. Raises ``BenchError``; nothing is left running."""
    (sink_port,) = free_ports(1)
    with started(server, base, sink_port, keep) as (run, endpoint), Sink(sink_port) as sink:
        try:
            key = asyncio.run(_access_key(run.directory))
            post(endpoint, key, body(10, kept=True))
            for result in results:
                octets = body(result.recipients, kept=result.kept)
                result.octets = len(octets)
                began = time.monotonic()
                with _measured(run, endpoint, result):
                    answer = post(endpoint, key, octets)
                if answer["count"] != result.recipients:
                    raise BenchError(f"{answer['count']} instead of {result.recipients} mails")
                if not result.kept:
                    if not sink.wait(result.recipients, _TIMEOUT):
                        raise BenchError(f"{sink.count()} of {result.recipients} mails in {_TIMEOUT:.0f} s")
                    result.sent = time.monotonic() - began
        except (BenchError, OSError, smtplib.SMTPException) as error:
            raise BenchError(f"{error}\n{tail(run.log)}") from None


def run(options: argparse.Namespace, base: Path) -> list[Asked]:
    """Each engine with two workers."""
    count = _QUICK if options.quick else _RECIPIENTS
    results = []
    for server in (Ekiden("ekiden", workers=2), Ekiden("ekiden-pg", workers=2, postgresql=True)):
        mine = [Asked(server.name, server.title, count, kept) for kept in (True, False)]
        results += mine
        try:
            measure(server, mine, base, options.keep)
        except BenchError as error:
            for result in mine:
                result.error = result.error or str(error).strip()
        for result in mine:
            print(f"mails, {result.server}: {result.error or f'{result.seconds:.1f} s'}", flush=True)
    return results


def tables(results: list[Asked]) -> list[Table]:
    """All of it."""
    rows = [
        [
            each.title,
            "in an hour" if each.kept else "at once",
            f"{each.recipients:,}",
            f"{each.octets / MEGABYTE:.1f}",
            f"{each.seconds:.2f}",
            f"{each.memory / MEGABYTE:.0f}",
            f"{each.p99 * 1000:.1f}",
            f"{each.worst * 1000:.0f}",
            f"{each.sent:.0f}" if each.sent else "–",
        ]
        for each in results
        if not each.error
    ]
    header = (
        "server",
        "sent",
        "recipients",
        "body, MB",
        "answered, s",
        "memory, MB",
        "NOOP p99, ms",
        "NOOP worst, ms",
        "all sent, s",
    )
    return [Table("One request to POST /mails, each recipient with parameters of their own", header, rows)]


def verdicts(results: list[Asked]) -> list[list[str]]:
    """The request alone is judged: answer, memory, what others feel."""
    found = []
    for each in results:
        if each.error or not each.kept:
            continue
        for what, wanted, measured, shown in (
            ("answered", SECONDS, each.seconds, f"{each.seconds:.2f} s"),
            ("memory", MEMORY, each.memory, f"{each.memory / MEGABYTE:.0f} MB"),
            ("longest NOOP beside", PAUSE, each.worst, f"{each.worst * 1000:.0f} ms"),
        ):
            bound = {"answered": "< 10 s", "memory": "< 250 MB"}.get(what, "< 100 ms")
            word = "met" if measured < wanted else "NOT MET"
            found.append([f"{each.recipients:,} recipients, {each.server}: {what}", bound, shown, word])
    return found
