"""What attachments cost: memory of one worker and growth of its database, by requests to ``/email/3/send``.

Memory is what the process that grows most has at the most (``VmHWM``) above what it had (``VmRSS``) after a first
request of the same kind without a file. *Kept* requests are sent in an hour (``sendAt``), so that only the request
costs memory; the others are delivered at once, and memory counts until the sink has all.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.beside import MEGABYTE, Memory
from bench.ekiden_server import Ekiden
from bench.infobip_client import form_body, post
from bench.load import Endpoint
from bench.measure import started
from bench.peers import Run
from bench.report import Table
from bench.sink import Sink
from bench.tools import BenchError, free_ports, tail

MEMORY = 60 * MEGABYTE
"""For a request with a file of 20 MB."""
_ONCE = 1.5
"""How many times its own size, at most, a file may add to the database to be kept once."""
_DOMAIN = "dst.test"
_SETTLE = 1.0
_TIMEOUT = 180.0
_BASE64 = 78 / 57
"""Octets in base64, with line ends, for each of a file (RFC 2045 §6.8)."""
_TIMES = 3


@dataclass(slots=True)
class Attached:
    """One kind of request, ``times`` times. Sizes in octets, seconds until the answer; ``grown``: the database.

    Seconds, memory and growth are the highest seen.
    """

    what: str
    recipients: int
    size: int
    times: int
    kept: bool
    """Until later; else it is delivered at once."""
    seconds: float = 0.0
    memory: int = 0
    grown: int = 0
    once: float = 0.0
    """What the file added to the database, divided by its size in base64; 0: not measured."""
    error: str = ""


def used(path: Path) -> int:
    """Octets of the database that hold something, those of its log (WAL) included."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:

        def pragma(name: str) -> int:
            return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

        return (pragma("page_count") - pragma("freelist_count")) * pragma("page_size")


def _send(run: Run, endpoint: Endpoint, sink: Sink, result: Attached, size: int) -> int:
    """One request with a file of ``size``. Returns by how much the database has grown when it is answered."""
    files = {"file.bin": os.urandom(size)} if size else {}
    send_at = datetime.now(UTC) + timedelta(hours=1)
    fields = {"sendAt": send_at.isoformat(timespec="milliseconds")} if result.kept else {}
    body = form_body(result.recipients, _DOMAIN, files, fields)
    database = run.directory / "ekiden.db"
    wanted = sink.count() + (0 if result.kept else result.recipients)
    before = used(database)
    seconds = post(endpoint, body).seconds
    if size:
        result.seconds = max(result.seconds, seconds)
    grown = used(database) - before
    if not sink.wait(wanted, _TIMEOUT):
        raise BenchError(f"{sink.count()} of {wanted} messages reached the sink in {_TIMEOUT:.0f} s")
    time.sleep(_SETTLE)
    return grown


def measure(result: Attached, base: Path, keep: bool = False) -> None:
    """Fill ``result``. Raises ``BenchError``; nothing is left running."""
    # A fresh server for each kind: what one has freed, the next would use again without growing.
    (sink_port,) = free_ports(1)
    server = Ekiden("ekiden1", workers=1)
    with started(server, base, sink_port, keep) as (run, endpoint), Sink(sink_port) as sink:
        try:
            without = _send(run, endpoint, sink, result, 0)
            memory = Memory(run)
            for _ in range(result.times):
                result.grown = max(result.grown, _send(run, endpoint, sink, result, result.size))
            result.memory = memory.grown()
            if result.kept:
                result.once = (result.grown - without) / (result.size * _BASE64)
        except (BenchError, OSError) as error:
            raise BenchError(f"{error}\n{tail(run.log)}") from None


def run(options: argparse.Namespace, base: Path) -> list[Attached]:
    """Measure each kind of request."""
    large = (4 if options.quick else 20) * MEGABYTE
    recipients = 100 if options.quick else 1000
    results = [
        Attached("one recipient, kept", 1, large, _TIMES, kept=True),
        Attached("one recipient, delivered", 1, large, _TIMES, kept=False),
        Attached("many recipients, kept", recipients, MEGABYTE, 1, kept=True),
        Attached("many recipients, delivered", recipients, MEGABYTE, 1, kept=False),
    ]
    for result in results:
        try:
            measure(result, base, options.keep)
        except BenchError as error:
            result.error = str(error).strip()
        print(f"attachments, {result.what}: {result.error or 'measured'}", flush=True)
    return results


def tables(results: list[Attached]) -> list[Table]:
    """All of it."""
    rows = [
        [
            each.what,
            f"{each.recipients:,}",
            f"{each.size / MEGABYTE:.0f}",
            f"{each.seconds:.2f}",
            f"{each.memory / MEGABYTE:.1f}",
            f"{each.grown / MEGABYTE:.1f}",
            f"{each.once:.2f}" if each.once else "–",
        ]
        for each in results
        if not each.error
    ]
    header = ("request", "recipients", "file, MB", "answered, s", "memory, MB", "database, MB", "× the file")
    return [Table("Attachments through /email/3/send, one worker, SQLite", header, rows)]


def verdicts(results: list[Attached]) -> list[list[str]]:
    """Memory of a file to one recipient, and how often one to many is kept."""
    found = []
    for each in results:
        if each.error:
            continue
        if each.recipients == 1:
            title = f"memory for an attachment of {each.size / MEGABYTE:.0f} MB, {each.what}"
            word = "met" if each.memory < MEMORY else "NOT MET"
            found.append([title, f"< {MEMORY // MEGABYTE} MB", f"{each.memory / MEGABYTE:.1f}", word])
        elif each.once:
            title = f"an attachment to {each.recipients:,} recipients is kept once"
            word = "met" if each.once <= _ONCE else "NOT MET"
            found.append([title, f"≤ {_ONCE} × its size", f"{each.once:.2f}", word])
    return found
