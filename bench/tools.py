"""The programs the bench needs from elsewhere, and how to get them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

_INSTALL = (
    "The bench needs smtp-source, smtp-sink and Postfix itself, which are in Debian's package 'postfix':\n"
    "    apt-get install --no-install-recommends postfix\n"
    "As root, `tools/debian-packages postfix` (which `make bench` calls) does it and starts no daemon. The bench\n"
    "uses only its programs: it runs Postfix with a configuration and a queue of its own, on 127.0.0.1."
)


class BenchError(Exception):
    """The bench cannot go on; the text says why and what to do."""


def find_program(name: str) -> str | None:
    """The path of a program; ``sbin`` is looked at even when PATH does not name it."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]))


def need_program(name: str) -> str:
    """As ``find_program``; raises ``BenchError`` that tells what to install."""
    path = find_program(name)
    if path is None:
        raise BenchError(f"{name} was not found. {_INSTALL}")
    return path


def output_of(*argv: str, timeout: float = 30) -> str:
    """What a short command prints, or nothing when it fails."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def free_ports(count: int) -> list[int]:
    """``count`` different ports of 127.0.0.1 that nobody listened on a moment ago."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def greets(port: int, timeout: float = 1.0) -> bool:
    """Whether an SMTP server answers on 127.0.0.1:``port``."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout) as connection:
            connection.settimeout(timeout)
            if not connection.recv(512).startswith(b"220"):
                return False
            connection.sendall(b"QUIT\r\n")
            return True
    except OSError:
        return False


def wait_until_greets(port: int, timeout: float, hopeless: Callable[[], bool] = lambda: False) -> bool:
    """As ``greets``, asked until ``timeout`` seconds are over or ``hopeless`` says so."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline and not hopeless():
        if greets(port):
            return True
        time.sleep(0.05)
    return False


def tail(path: Path, characters: int = 1500) -> str:
    """The end of a log."""
    try:
        return path.read_text(errors="replace")[-characters:]
    except OSError:
        return ""
