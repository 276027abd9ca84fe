"""A request with 100,000 recipients, each with words of their own, to ``POST /mails``: how long until it is
answered, what it takes of memory, and what others feel who ask a worker for nothing (NOOP) all the time.

*Kept* requests are for an hour later, so that the request alone is measured. The other one is sent at once: its
time is until the sink has every mail.
"""

from __future__ import annotations

import argparse
import json
import smtplib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import beside
from bench.beside import MEGABYTE
from bench.ekiden_server import Ekiden
from bench.load import SENDER_DOMAIN
from bench.measure import started
from bench.naver_client import NaverClient
from bench.report import Table, verdict
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail

SECONDS = 10.0
"""Until the answer."""
MEMORY = 250 * MEGABYTE
_RECIPIENTS = 100_000
_QUICK = 10_000
_DOMAIN = "dst.test"
_TIMEOUT = 900.0


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


def measure(server: Ekiden, results: list[Asked], base: Path, keep: bool = False) -> None:
    """Fill ``results``. Raises ``BenchError``; nothing is left running."""
    (sink_port,) = free_ports(1)
    with started(server, base, sink_port, keep) as (run, endpoint), Sink(sink_port) as sink:
        try:
            client = NaverClient(endpoint, run.directory)
            client.post("/mails", body(10, kept=True))
            for result in results:
                octets = body(result.recipients, kept=result.kept)
                result.octets = len(octets)
                began = time.monotonic()
                with beside.felt(run, endpoint, result):
                    asked = time.monotonic()
                    answer = client.post("/mails", octets)
                    result.seconds = time.monotonic() - asked
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
            *beside.cells(each),
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
        *beside.HEADER,
        "all sent, s",
    )
    return [Table("One request to POST /mails, each recipient with parameters of their own", header, rows)]


def verdicts(results: list[Asked]) -> list[list[str]]:
    """The request alone is judged: answer, memory, what others feel."""
    found = []
    for each in results:
        if each.error or not each.kept:
            continue
        title = f"{each.recipients:,} recipients, {each.server}"
        met = each.seconds < SECONDS
        found.append(verdict(f"{title}: answered", f"< {SECONDS:.0f} s", f"{each.seconds:.2f} s", met=met))
        found += beside.verdicts(title, each, MEMORY)
    return found
