"""A real ``ekiden serve`` in a folder of its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ekiden.config.write import write_toml
from ekiden.net.tls import make_self_signed
from ekiden.wiring.dialects import DIALECTS

PATIENCE = 30.0  # seconds; only reached when something is broken


def wait_for(check: Callable[[], Any], what: str) -> Any:
    """The first true value of ``check``."""
    deadline = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)
    return found


@pytest.fixture
def eventually() -> Callable[[Callable[[], Any], str], Any]:
    return wait_for


class Serving:
    """``settings`` can be changed before ``start`` and before ``write``."""

    def __init__(self, directory: Path, database: Path) -> None:
        self.directory = directory
        self.config = directory / "ekiden.toml"
        self.log_file = directory / "log"
        shutil.copyfile(database, directory / "ekiden.db")
        self.certify("localhost")
        certificates = [{"certificate": "cert.pem", "key": "key.pem"}]
        self.settings: dict[str, Any] = {
            "hostname": "mail.example.com",
            "workers": {"count": 1, "lease": "2s", "drain_timeout": "5s"},
            "listeners": [
                {"name": "submission", "addresses": ["127.0.0.1:0"], "certificates": certificates},
                {"name": "submissions", "addresses": ["127.0.0.1:0"], "mode": "tls", "certificates": certificates},
            ],
            "http": {"addresses": ["127.0.0.1:0"]},
            "dns": {"nameservers": ["127.0.0.1"]},
            "lab": {"enabled": True},
            "log": {"format": "json", "level": "debug"},
        }
        self.language = "en"
        self.few_descriptors = 0
        """Set: soft and hard limit of the process."""
        self.process: subprocess.Popen[bytes] | None = None
        self.facts: dict[str, Any] = {}

    def certify(self, name: str) -> None:
        make_self_signed([name]).write(self.directory / "cert.pem", self.directory / "key.pem")
        (self.directory / "instance.key").write_text("0f" * 32)

    def write(self) -> None:
        self.config.write_text(write_toml(self.settings, DIALECTS))

    def launch(self, *options: str) -> subprocess.Popen[bytes]:
        self.write()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("EKIDEN_")}
        limit = ["prlimit", f"--nofile={self.few_descriptors}:{self.few_descriptors}"]
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(limit if self.few_descriptors else []),
                    sys.executable,
                    "-m",
                    "ekiden.cli.main",
                    "serve",
                    "--config",
                    str(self.config),
                    "--json",
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment | {"EKIDEN_LANG": self.language, "PYTHONUTF8": "1"},
            )
        return self.process

    def start(self, *options: str) -> dict[str, Any]:
        process = self.launch(*options)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, self.log_file.read_text()
        self.facts = json.loads(line)
        return self.facts

    def fail(self) -> str:
        """Start what cannot start; its exit status is 1, and its last line is returned."""
        process = self.launch()
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 1
        return self.log_file.read_text().strip().splitlines()[-1]

    def workers(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(PATIENCE)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log_file.read_text().splitlines() if line.startswith("{")]

    def said(self, event: str) -> dict[str, Any] | None:
        """The last log line of that event."""
        return next((line for line in reversed(self.events()) if line["event"] == event), None)

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.facts["http"][0] + path, timeout=PATIENCE) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def metric(self, name: str) -> float:
        _, text = self.get("/metrics")
        for line in text.decode().splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        raise AssertionError(f"no {name} in {text.decode()}")

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()


@pytest.fixture
def serving(tmp_path: Path, sqlite_template: Path) -> Iterator[Serving]:
    made = Serving(tmp_path, sqlite_template)
    yield made
    made.close()
