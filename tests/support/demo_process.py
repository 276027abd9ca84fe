"""A real ``ekiden demo`` as a process, and what tests of the whole road ask it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import smtplib
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.commands import run_command

PATIENCE = 60.0  # seconds; only reached when something is broken
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("EKIDEN_")} | {
    "EKIDEN_LANG": "en"
}

LATE = "the event loop is blocked"


def wait_for(check: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """The first true value of ``check``."""
    deadline = time.monotonic() + patience
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)
    return found


def children(pid: int) -> list[int]:
    """Processes that ``pid`` started and that are not zombies."""
    found = []
    try:
        for task in Path(f"/proc/{pid}/task").iterdir():
            found += [int(text) for text in (task / "children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [child for child in found if alive(child)]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    below = children(pid)
    return below + [further for child in below for further in descendants(child)]


class Demo:
    """``facts`` is the line that the demo printed."""

    def __init__(
        self,
        *options: str,
        environment: dict[str, str] | None = None,
        directory: Path | None = None,
        usual_ports: bool = False,
    ) -> None:
        ports = [] if usual_ports else ["--free-ports"]  # many run beside each other
        where = [] if directory is None else ["--dir", str(directory)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "ekiden.cli.main", "demo", "--json", "--watch-stdin", *ports, *options, *where],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=ENVIRONMENT | (environment or {}),
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(self.process.communicate()[1].decode())
        self.facts: dict[str, Any] = json.loads(line)
        self.account: dict[str, str] = self.facts["account"]
        self.context = ssl.create_default_context(cafile=self.facts["ca"])

    # sending

    def connect(self, door: str = "starttls") -> smtplib.SMTP:
        """A client before its login; ``door`` is ``starttls`` or ``tls``."""
        host, port = self.facts["smtp"][door]
        if door == "tls":
            return smtplib.SMTP_SSL(host, port, timeout=PATIENCE, context=self.context)
        client = smtplib.SMTP(host, port, timeout=PATIENCE)
        client.starttls(context=self.context)
        return client

    def login(self, client: smtplib.SMTP) -> smtplib.SMTP:
        client.login(self.account["username"], self.account["password"])
        return client

    def send(self, client: smtplib.SMTP, recipients: list[str], content: bytes, sender: str = "") -> str:
        """Submit; returns the queue id."""
        code, reply = client.mail(sender or f"me@{self.account['domain']}")
        assert code == 250, reply
        for recipient in recipients:
            code, reply = client.rcpt(recipient)
            assert code == 250, reply
        code, reply = client.data(content)
        assert code == 250, reply
        assert reply.startswith(b"2.0.0 Ok: queued as "), reply
        return reply.rsplit(maxsplit=1)[-1].decode()

    # looking

    def get(self, url: str) -> Any:
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE + 30) as response:
                return json.loads(response.read())
        except urllib.error.HTTPError:
            raise
        except urllib.error.URLError:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
            self.check()
            raise

    def mail(self, recipient: str, count: int = 1) -> list[dict[str, Any]]:
        """What the lab has for the recipient, once there are ``count``; ``data`` is decoded."""
        query = urllib.parse.urlencode({"to": recipient, "count": count, "wait": PATIENCE})
        found: list[dict[str, Any]] = self.get(f"{self.facts['lab']}/mail?{query}")
        for item in found:
            item["data"] = base64.b64decode(item["data"])
        return found

    def put(self, path: str, value: Any) -> None:
        request = urllib.request.Request(
            self.facts["lab"] + path,
            json.dumps(value).encode(),
            {"Content-Type": "application/json"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            response.read()

    def publish(self, name: str, rdtype: str, *values: str) -> None:
        """Put records into the lab's DNS; without values the records are taken away."""
        if values:
            self.put(f"/dns/{name}/{rdtype}", list(values))
            return
        request = urllib.request.Request(f"{self.facts['lab']}/dns/{name}/{rdtype}", method="DELETE")
        with urllib.request.urlopen(request, timeout=PATIENCE) as response:
            response.read()

    def run(self, *arguments: str, check: bool = True) -> Any:
        """An ``ekiden`` command on the demo's configuration: what its ``--json`` printed."""
        done = run_command([*arguments, "--config", self.facts["config"], "--json"], ENVIRONMENT)
        assert not check or done.returncode == 0, (arguments, done.stderr.decode())
        return json.loads(done.stdout) if done.stdout else done.stderr.decode()

    def trace(self, queue_id: str) -> dict[str, Any]:
        found: dict[str, Any] = self.run("trace", queue_id)
        return found

    def trace_of(self, recipient: str) -> dict[str, Any]:
        """The trace of the message that the recipient got last."""
        data = self.mail(recipient)[-1]["data"]
        found = re.search(rb"\bid ([0-9A-Z]{13})\b", data)
        assert found, data
        return self.trace(found[1].decode())

    def metrics(self) -> dict[str, float]:
        with urllib.request.urlopen(self.facts["http"] + "/metrics", timeout=PATIENCE) as response:
            lines = response.read().decode().splitlines()
        return {
            name: float(value)
            for name, value in (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        }

    def log(self) -> list[dict[str, Any]]:
        lines = Path(self.facts["log"]).read_text("utf-8").splitlines()
        return [json.loads(line) if line.startswith("{") else {"event": line, "level": "error"} for line in lines]

    def trouble(self) -> list[dict[str, Any]]:
        """What went wrong by its log. How long a loop was kept says more of what else the machine does than of us:
        such figures are ``make hostile``'s.
        """
        bad = ("warning", "error", "critical")
        return [line for line in self.log() if line["level"] in bad and line["event"] != LATE]

    # processes

    def supervisor(self) -> int:
        """The pid of ``ekiden serve``; 0 while there is none."""
        for child in children(self.process.pid):
            try:
                if b"\0serve\0" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
            except (FileNotFoundError, ProcessLookupError):
                continue
        return 0

    def workers(self) -> list[int]:
        supervisor = self.supervisor()
        return children(supervisor) if supervisor else []

    def check(self) -> None:
        """The demo is there, or an error says why not."""
        if self.process.poll() is not None:
            assert self.process.stderr is not None
            raise AssertionError(f"the demo ended: {self.process.stderr.read().decode()[-4000:]}")

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(PATIENCE)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()
        return self.process.returncode
