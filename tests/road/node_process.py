"""Real ``ekiden serve`` of folders of their own on one PostgreSQL, as on machines of their own, clocks included."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from ekiden.config.write import write_toml
from ekiden.wiring.dialects import DIALECTS
from support.busy_threads import BusyThreads
from support.commands import run_command
from support.demo_process import ENVIRONMENT, PATIENCE, descendants

FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
LEASE = 8.0  # seconds
_SENDER_ERRORS = (OSError, smtplib.SMTPException)


class Receiver:
    """A mail server that takes everything, and counts it by recipient."""

    def __init__(self) -> None:
        self.arrivals: Counter[str] = Counter()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.arrivals.update(envelope.rcpt_tos)
        return "250 taken"

    def __enter__(self) -> Receiver:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"


class Node:
    """One machine: a folder, two workers, a clock that can be set."""

    def __init__(self, directory: Path, store: str, receiver: Receiver) -> None:
        directory.mkdir()
        self._config = directory / "ekiden.toml"
        self._log = directory / "log"
        self._clock = directory / "clock"
        self.address: tuple[str, int] | None = None
        self.process: subprocess.Popen[bytes] | None = None
        (directory / "instance.key").write_text("0f" * 32)
        listener = {
            "name": "submission",
            "addresses": ["127.0.0.1:0"],
            "mode": "plain",
            "trusted_networks": ["127.0.0.0/8"],
            "trusted_account": "relay",
        }
        settings = {
            "hostname": f"{directory.name}.example.com",
            "workers": {"count": 2, "lease": f"{LEASE}s", "drain_timeout": "5s"},
            "listeners": [listener],
            "http": {"addresses": ["127.0.0.1:0"]},
            "store": {"url": store},
            "delivery": {"routes": [{"domain": "*", "hosts": [receiver.address]}], "retry": ["1s"]},
            "dns": {"nameservers": ["127.0.0.1"]},
            "lab": {"enabled": True},
            "log": {"format": "json", "level": "debug"},
        }
        self._config.write_text(write_toml(settings, DIALECTS))

    def set_clock(self, ahead: int) -> None:
        """Seconds; what runs sees it within a second."""
        self._clock.write_text(f"{ahead:+d}\n")

    def command(self, *arguments: str) -> None:
        run_command([*arguments, "--config", str(self._config)], ENVIRONMENT).check_returncode()

    def launch(self) -> subprocess.Popen[bytes]:
        environment = ENVIRONMENT
        if self._clock.exists():
            environment = ENVIRONMENT | {
                "LD_PRELOAD": str(FAKETIME),
                "FAKETIME_TIMESTAMP_FILE": str(self._clock),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            }
        program = [sys.executable, "-m", "ekiden.cli.main", "serve", "--json", "--config", str(self._config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=log, env=environment)
        return self.process

    def start(self) -> None:
        process = self.launch()
        assert process.stdout is not None
        line = process.stdout.readline()
        process.stdout.close()
        assert line, self._log.read_text()
        self.address = tuple(json.loads(line)["smtp"]["submission"][0])

    def refuses(self) -> str:
        """It does not start; the last line of its log says why."""
        process = self.launch()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        return self._log.read_text().strip().splitlines()[-1]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def lose_power(self) -> None:
        """All of its processes at once."""
        assert self.process is not None
        self.address = None
        for pid in [self.process.pid, *descendants(self.process.pid)]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE)

    def stop(self) -> int:
        self.address = None
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.lose_power()

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> int:
        return sum(line["event"] == event for line in self.log())


class Load(BusyThreads):
    """Clients that never stop, each of one node: every message has a recipient of its own, and is sent once."""

    def __init__(self, *nodes: Node) -> None:
        super().__init__(*(partial(self._run, node, number) for number, node in enumerate((*nodes, *nodes))))
        self.acknowledged: Counter[Node] = Counter()
        self.recipients: set[str] = set()

    def _run(self, node: Node, number: int) -> None:
        sent = 0
        while not self._stop.is_set():
            address = node.address
            try:
                if address is None:
                    raise ConnectionError("it is down")
                with smtplib.SMTP(*address, timeout=PATIENCE) as client:
                    while not self._stop.is_set():
                        sent += 1
                        recipient = f"{number}-{sent}@recipient.test"
                        client.sendmail("a@sender.test", [recipient], f"Subject: {sent}\r\n\r\nload\r\n")
                        self.recipients.add(recipient)
                        self.acknowledged[node] += 1
                        time.sleep(0.01)  # it is their number that matters, not how many there are
            except _SENDER_ERRORS:
                time.sleep(0.05)


needs_faketime = pytest.mark.skipif(FAKETIME is None, reason="no libfaketime here: apt-get install faketime")
