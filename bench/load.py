"""What is sent: scenarios, and the generators that send them (``smtp-source``, and ours for AUTH and TLS)."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, replace
from typing import Any

from bench.tools import BenchError, need_program

SENDER_DOMAIN = "src.test"
"""Of the envelope sender and the From field of every message."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``sessions`` at a time send ``messages`` of ``length`` octets; ``reuse``: more than one by connection.

    ``secure``: STARTTLS and AUTH PLAIN by our own generator, ``pipelining`` as RFC 2920 allows it. ``signed``: run
    on the servers that sign with DKIM, and on Postfix, which does not.
    """

    name: str
    title: str
    sessions: int
    messages: int
    length: int
    reuse: bool
    secure: bool = False
    pipelining: bool = False
    signed: bool = False

    def quick(self) -> Scenario:
        """The same with a tenth of the messages, for a first look."""
        return replace(self, messages=max(self.messages // 10, 5 * self.sessions))


SCENARIOS = {
    each.name: each
    for each in (
        Scenario("4k", "4 KiB, 50 reused connections", 50, 10_000, 4096, True),
        Scenario("4k1", "4 KiB, a connection for each message", 50, 5_000, 4096, False),
        Scenario("50k", "50 KiB, 50 reused connections", 50, 3_000, 51_200, True),
        Scenario("tls", "4 KiB, TLS + AUTH, 50 reused connections", 50, 10_000, 4096, True, True),
        Scenario("tlspipe", "4 KiB, TLS + AUTH, 50 reused, pipelining", 50, 10_000, 4096, True, True, True),
        Scenario("dkim", "4 KiB, DKIM, 50 reused connections", 50, 10_000, 4096, True, signed=True),
        Scenario("tls1", "4 KiB, TLS + AUTH, a connection each", 50, 3_000, 4096, False, True),
    )
}
DEFAULT_SCENARIOS = ("4k", "4k1", "50k", "dkim", "tls", "tls1")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a server takes mail. ``credentials``: what AUTH uses on ``tls_port``; ``None``: no AUTH there.

    ``http_port``: where its HTTP APIs are, if it has any, with the same credentials.
    """

    port: int
    tls_port: int | None = None
    credentials: tuple[str, str] | None = None
    http_port: int | None = None


class Generator:
    """A running generator. ``finished`` is set to the time (``time.perf_counter``) of its exit by a thread."""

    def __init__(self, argv: list[str]) -> None:
        self._process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.finished: float | None = None
        self._output = ""
        self._errors = ""
        self._thread = threading.Thread(target=self._wait, daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        self._output, self._errors = self._process.communicate()
        self.finished = time.perf_counter()

    def close(self) -> None:
        """End it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._thread.join(10)

    def result(self) -> dict[str, Any]:
        """What ours printed (seconds, latencies), nothing of ``smtp-source``. ``BenchError`` when it failed."""
        self._thread.join(10)
        if self._process.returncode != 0:
            last = (self._errors.strip() or self._output.strip()).splitlines()[-3:]
            raise BenchError(f"the generator failed ({self._process.returncode}): {' / '.join(last)}")
        text = self._output.strip()
        parsed: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        return parsed


def start(scenario: Scenario, endpoint: Endpoint, messages: int) -> Generator:
    """Begin to send ``messages`` messages as ``scenario`` says."""
    if not scenario.secure:
        return Generator(source_command(scenario, endpoint.port, messages))
    if endpoint.tls_port is None:
        raise BenchError("this server has no TLS here")
    argv = [sys.executable, "-m", "bench.auth_load", "--port", str(endpoint.tls_port)]
    argv += ["--sessions", str(scenario.sessions), "--messages", str(messages), "--length", str(scenario.length)]
    if scenario.reuse:
        argv.append("--reuse")
    if scenario.pipelining:
        argv.append("--pipelining")
    if endpoint.credentials is not None:
        argv += ["--user", endpoint.credentials[0], "--password", endpoint.credentials[1]]
    return Generator(argv)


def source_command(scenario: Scenario, port: int, messages: int) -> list[str]:
    """The call of ``smtp-source`` (smtp-source(1)): IPv4, numbered addresses, ``-d`` keeps the connections."""
    argv = [need_program("smtp-source"), "-4", "-N", "-s", str(min(scenario.sessions, messages))]
    argv += ["-m", str(messages), "-l", str(scenario.length), "-M", SENDER_DOMAIN]
    argv += ["-f", f"a@{SENDER_DOMAIN}", "-t", "b@dst.test"]
    if scenario.reuse:
        argv.append("-d")
    return [*argv, f"127.0.0.1:{port}"]
