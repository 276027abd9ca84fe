"""OpenSMTPD, where it is installed (its Debian package and Postfix's exclude each other)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from bench.load import Endpoint
from bench.peers import Run, Server
from bench.tools import BenchError, find_program, free_ports

_CONFIGURATION = """
listen on 127.0.0.1 port {port} hostname mail.example.test
smtp max-message-size 20M
smtp limit max-mails 1000000
mta max-deferred 100000
mta limit session-mail-max 1000000
mta limit conn-delay-route 0
mta limit reconn-delay-route 0
mta limit session-transaction-delay 0
action "relay" relay host smtp://127.0.0.1:{sink}
match from any for any action "relay"
"""


_QUEUE = Path("/var/spool/smtpd/queue")


def _waiting() -> bool:
    """Whether the queue has messages: they would go to our sink, and be counted there."""
    return any(path.is_file() for path in _QUEUE.rglob("*"))


class OpenSmtpd(Server):
    """It has one queue of the system (/var/spool/smtpd), so that no other instance may run beside it."""

    name = "opensmtpd"
    title = "OpenSMTPD, queue of the system"

    def missing(self) -> str | None:
        program = find_program("smtpd")
        if program is None or find_program("smtpctl") is None:
            return "the programs smtpd and smtpctl were not found"
        if os.geteuid() != 0:
            return "smtpd runs as root only"
        if self._running():
            return "an smtpd is running already"
        return f"{_QUEUE} holds messages" if _waiting() else None

    def _running(self) -> bool:
        done = subprocess.run(
            [find_program("smtpctl") or "smtpctl", "show", "status"], capture_output=True, timeout=10, check=False
        )
        return done.returncode == 0

    def version(self) -> str:
        done = subprocess.run(
            [find_program("smtpd") or "smtpd", "-h"], capture_output=True, text=True, timeout=10, check=False
        )
        return (done.stdout + done.stderr).split("\n", 1)[0].removeprefix("version:").strip()

    def start(self, run: Run) -> Endpoint:
        if _waiting():
            raise BenchError(f"{_QUEUE} holds messages of an earlier run")
        (port,) = free_ports(1)
        path = run.directory / "smtpd.conf"
        path.write_text(_CONFIGURATION.format(port=port, sink=run.sink_port))
        path.chmod(0o600)
        run.group.spawn([find_program("smtpd") or "smtpd", "-d", "-f", str(path)], run.log)
        return self._await(run, Endpoint(port))
