"""What something costs besides its answer: memory, and what others feel meanwhile who ask a worker for nothing
(NOOP) all the time.

Memory is the most that a process has (``VmHWM``) above what it had before (``VmRSS``).
"""

from __future__ import annotations

import contextlib
import smtplib
import threading
import time
from collections.abc import Iterator
from typing import Protocol

from bench import process
from bench.load import Endpoint
from bench.peers import Run
from bench.report import verdict
from bench.tools import BenchError

MEGABYTE = 1_000_000
PAUSE = 0.1
"""Seconds that an event loop may be kept."""
LISTENERS = 4
"""Connections that ask; workers share a port, so most of them are likely to be asked."""
_OF_A_CONNECTION = 1000
"""NOOPs: a session without a message has a bound (``smtp.max_commands``)."""
_SETTLE = 0.2


class Felt(Protocol):
    """A result. ``memory``: octets, of the process that grew most; ``p99``, ``worst``: seconds of NOOPs."""

    memory: int
    p99: float
    worst: float


class Memory:
    """How much the processes of a run have grown at the most since this was made.

    Raises ``BenchError`` when it has none.
    """

    def __init__(self, run: Run) -> None:
        self._before: dict[int, int] = {}
        for pid in run.group.pids():
            process.reset_high_water(pid)
            self._before[pid] = process.resident(pid)
        if not self._before:
            raise BenchError("no process of the server is running")

    def grown(self) -> int:
        """Octets, of the one that has grown most."""
        return max(process.high_water(pid) - before for pid, before in self._before.items())


class _Idle:
    """Somebody who says NOOP every few milliseconds, on several connections."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._ended = threading.Event()
        self.seconds: list[float] = []
        self.failed: list[Exception] = []
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(LISTENERS)]

    def _ask(self) -> None:
        try:
            while not self._ended.is_set():
                with smtplib.SMTP("127.0.0.1", self._endpoint.port, timeout=60) as client:
                    client.ehlo()
                    for _ in range(_OF_A_CONNECTION):
                        if self._ended.is_set():
                            break
                        began = time.perf_counter()
                        client.noop()
                        self.seconds.append(time.perf_counter() - began)
                        time.sleep(0.01)
        except (OSError, smtplib.SMTPException) as error:
            self.failed.append(error)

    def __enter__(self) -> _Idle:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def felt(run: Run, endpoint: Endpoint, result: Felt) -> Iterator[None]:
    """Fill ``result`` with what is done meanwhile costs. Raises ``BenchError``."""
    memory = Memory(run)
    with _Idle(endpoint) as idle:
        time.sleep(_SETTLE)
        idle.seconds.clear()
        yield
    result.memory = memory.grown()
    waits = sorted(idle.seconds)
    if idle.failed or not waits:
        raise BenchError(f"not all NOOPs were answered: {idle.failed[:1]}")
    result.worst = waits[-1]
    result.p99 = waits[len(waits) * 99 // 100]


HEADER = ("memory, MB", "NOOP p99, ms", "NOOP worst, ms")


def cells(result: Felt) -> list[str]:
    """For the columns of ``HEADER``."""
    return [f"{result.memory / MEGABYTE:.0f}", f"{result.p99 * 1000:.1f}", f"{result.worst * 1000:.0f}"]


def verdicts(title: str, result: Felt, most: int) -> list[list[str]]:
    """``most``: octets of memory."""
    memory, worst = result.memory, result.worst
    return [
        verdict(f"{title}: memory", f"< {most // MEGABYTE} MB", f"{memory / MEGABYTE:.0f} MB", met=memory < most),
        verdict(
            f"{title}: longest NOOP beside",
            f"< {PAUSE * 1000:.0f} ms",
            f"{worst * 1000:.0f} ms",
            met=worst < PAUSE,
        ),
    ]
