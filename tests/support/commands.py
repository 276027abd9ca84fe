"""``ekiden`` commands in processes of their own, forked from one that has loaded the program: its start is most of
what a command costs, and a run of the tests has many hundreds of them.

The program is loaded at the first command, once for each process of a test run.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import pkgutil
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

_NOT_OF_COMMANDS = ("ekiden.lab", "ekiden.store.migrations.")
_LATE = (
    "aiosqlite",
    "asyncpg",
    "dns.asyncbackend",
    "pydantic.fields",
    "pydantic.functional_validators",
    "pydantic.type_adapter",
    "pydantic.types",
    "zoneinfo",
)
"""What others load when it is first used."""


class Commands:
    """One after the other, whoever asks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._server = subprocess.Popen(
            [sys.executable, "-u", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the tests
        )
        atexit.register(self.close)

    def run(
        self, arguments: list[str], environment: dict[str, str], given: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """``ekiden arguments`` with ``given`` on standard input."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        with tempfile.TemporaryDirectory(prefix="ekiden-command-") as folder:
            (Path(folder) / "0").write_bytes(given)
            order = {"arguments": arguments, "environment": environment, "folder": folder, "cwd": os.getcwd()}
            with self._lock:
                self._server.stdin.write(json.dumps(order).encode() + b"\n")
                self._server.stdin.flush()
                status = int(self._server.stdout.readline())
            out, err = ((Path(folder) / name).read_bytes() for name in "12")
        return subprocess.CompletedProcess(arguments, status, out, err)

    def close(self) -> None:
        assert self._server.stdin is not None
        with suppress(OSError):
            self._server.stdin.close()
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()


@cache
def _commands(process: int) -> Commands:
    return Commands()


def run_command(
    arguments: list[str], environment: dict[str, str], given: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    """As ``subprocess.run`` of ``ekiden`` with ``capture_output``."""
    return _commands(os.getpid()).run(arguments, environment, given)


def _load() -> None:
    """Load whatever a command may load: what it loads by itself, each loads anew, and that is most of it."""
    import ekiden

    modules = [module.name for module in pkgutil.walk_packages(ekiden.__path__, "ekiden.")]
    for name in (*_LATE, *modules):
        if not name.startswith(_NOT_OF_COMMANDS) and not name.endswith(".__main__"):
            importlib.import_module(name)
    gc.collect()
    gc.freeze()  # a collection would make copies of pages that processes share


def _serve() -> None:
    import ekiden.cli.main

    _load()
    assert threading.active_count() == 1, "who has threads cannot be forked"
    for line in sys.stdin.buffer:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(order)
            sys.argv[0] = "ekiden"
            ekiden.cli.main.run(order["arguments"])
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


def _become(order: dict[str, Any]) -> None:
    """What a shell makes of a process before the program begins."""
    for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT), (2, os.O_WRONLY | os.O_CREAT)):
        opened = os.open(f"{order['folder']}/{number}", flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    # The streams of before know what they have read.
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["cwd"])


if __name__ == "__main__":
    _serve()
