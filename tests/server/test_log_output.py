"""A log that nobody reads, or that has no room: nobody waits for it, nothing fails by it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

PATIENCE = 60.0
LINES = 20_000
"""Of more than 100 octets: beyond what a pipe takes and what is kept."""
LOUD = f"""
import logging, os, sys
from ekiden.server.config import LogConfig
from ekiden.server.logging import configure_logging, get_logger
from ekiden.server.log_output import lost_lines
configure_logging(LogConfig(format="json"))
log, old = get_logger(), logging.getLogger("ekiden.server")
if os.fork():
    os.wait()
    os._exit(0)
for number in range({LINES}):
    log.warning(f"line {{number}}", what="x" * 100)
    old.warning("other", extra={{}}) if number % 100 == 0 else None
print(lost_lines(), flush=True)
sys.stdin.read()
log.warning("the last line")
os._exit(0)
"""


def loud(stderr: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", LOUD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr
    )


def lost(process: subprocess.Popen[bytes]) -> int:
    """What it says once all lines are written; the test's own time-out ends what waits for ever."""
    assert process.stdout is not None
    return int(process.stdout.readline())


def test_a_reader_that_stops_keeps_nobody() -> None:
    """Before: the process stood still in its first write beyond 64 KiB, and the supervisor killed it."""
    reading, writing = os.pipe()
    process = loud(writing)
    os.close(writing)
    try:
        assert lost(process) > 0
        # Whoever gave us the pipe finds it as it was.
        assert os.get_blocking(reading)
        assert process.stdin is not None
        process.stdin.close()
        with open(reading, "rb") as source:
            whole, _, _ = source.read().rpartition(b"\n")  # what was being written when it ended has no end
        lines = [json.loads(line) for line in whole.splitlines()]
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    # What came is whole, in its order, from the first on.
    said = [line["event"] for line in lines if line["event"].startswith("line ")]
    assert said == [f"line {number}" for number in range(len(said))]
    assert 0 < len(said) < LINES


@pytest.mark.parametrize("kind", ["full", "gone"])
def test_a_log_without_room_fails_nobody(kind: str) -> None:
    """Before: whoever only told something had an OSError for it."""
    if kind == "full":
        if not Path("/dev/full").exists():
            pytest.skip("there is no /dev/full")
        writing = os.open("/dev/full", os.O_WRONLY)
    else:
        reading, writing = os.pipe()
        os.close(reading)
    process = loud(writing)
    os.close(writing)
    try:
        assert lost(process) >= LINES
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_it_is_told_when_there_is_room_again() -> None:
    reading, writing = os.pipe()
    process = loud(writing)
    os.close(writing)
    try:
        assert lost(process) > 0
        found = b""
        deadline = time.monotonic() + PATIENCE
        # Everything that was kept, and no more: the next line finds room.
        while b"line 5000" not in found and time.monotonic() < deadline:
            found += os.read(reading, 65_536)
        os.set_blocking(reading, False)
        while time.monotonic() < deadline:
            try:
                found += os.read(reading, 65_536)
            except BlockingIOError:
                break
        os.set_blocking(reading, True)
        assert process.stdin is not None
        process.stdin.close()
        with open(reading, "rb") as source:
            found += source.read()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    told = [line for line in map(json.loads, found.splitlines()) if line["event"].startswith("lines of the log")]
    assert [line["lost"] > 0 for line in told] == [True]
    assert json.loads(found.splitlines()[-1])["event"] == "the last line"
