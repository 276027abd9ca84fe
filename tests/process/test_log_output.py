"""A log that nobody reads, or that has no room: nobody waits for it, nothing fails by it."""

from __future__ import annotations

import asyncio
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ekiden.config.model import LogConfig
from ekiden.process.log_output import LogFile
from ekiden.process.logging import LogFileError, configure_logging

PATIENCE = 60.0
LINES = 20_000
"""Of more than 100 octets: beyond what a pipe takes and what is kept."""
LOUD = f"""
import logging, os, sys
from ekiden.config.model import LogConfig
from ekiden.process.logging import configure_logging, get_logger
from ekiden.process.log_output import lost_lines
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
        while select.select([reading], [], [], 1.0)[0] and time.monotonic() < deadline:
            found += os.read(reading, 65_536)
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


WRITERS = """
import asyncio, os, sys
from ekiden.limits.journal import ACCEPTED
from ekiden.config.model import LogConfig
from ekiden.process.log_output import flush_logs
from ekiden.process.logging import configure_logging, get_logger
configure_logging(LogConfig(format="json", file=sys.argv[1] if len(sys.argv) > 1 else ""))
children = []
for number in range(4):
    child = os.fork()
    if not child:
        async def run():
            for line in range(500):
                ACCEPTED.write(id=f"{number}.{line}", sender="x" * (line % 400))
                if not line % 50:
                    await asyncio.sleep(0)
        asyncio.run(run())
        flush_logs()
        os._exit(0)
    children.append(child)
for child in children:
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("into", ["pipe", "file"])
def test_lines_of_several_workers_are_whole(tmp_path: Path, into: str) -> None:
    """Before: a batch was cut at 4096 octets wherever that was, and lines of others came in between."""
    path = tmp_path / "mail.log"
    arguments = [str(path)] if into == "file" else []
    done = subprocess.run(
        [sys.executable, "-c", WRITERS, *arguments], stderr=subprocess.PIPE, timeout=PATIENCE, check=True
    )
    written = path.read_bytes() if into == "file" else done.stderr
    lines = [json.loads(line) for line in written.splitlines()]
    assert len(lines) == 2_000
    for number in range(4):
        mine = [line["id"] for line in lines if line["id"].startswith(f"{number}.")]
        assert mine == [f"{number}.{line}" for line in range(500)], "in their order"


def test_a_file_that_is_moved_away_is_begun_anew(tmp_path: Path) -> None:
    """As logrotate does it, whatever the process knows of it; its directory may be away for a while, too."""
    path = tmp_path / "logs" / "mail.log"
    path.parent.mkdir()
    output = LogFile(str(path))
    output.write("first\n")
    path.rename(path.with_suffix(".1"))
    output.look()
    output.write("second\n")
    assert path.with_suffix(".1").read_text() == "first\n"
    assert path.read_text() == "second\n"
    assert path.stat().st_mode & 0o777 == 0o640
    path.parent.rename(tmp_path / "elsewhere")
    output.look()
    output.write("third\n")
    assert (tmp_path / "elsewhere" / "mail.log").read_text() == "second\nthird\n"
    path.parent.mkdir()
    output.look()
    output.write("fourth\n")
    assert path.read_text() == "fourth\n"


def test_it_looks_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("ekiden.process.log_output.time.monotonic", lambda: now[0])
    path = tmp_path / "mail.log"
    output = LogFile(str(path))
    output.write("first\n")
    path.rename(tmp_path / "mail.log.1")
    now[0] += 1.0
    output.write("second\n")
    assert path.read_text() == "second\n"


async def test_many_lines_share_a_write_and_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "mail.log"
    output = LogFile(str(path))
    output.post("1\n")
    output.post("2\n")
    assert path.read_text() == ""
    output.write("3\n")
    assert path.read_text() == "1\n2\n3\n"
    output.post("4\n")
    while path.read_text() != "1\n2\n3\n4\n":  # noqa: ASYNC110 - the test has a time-out of its own
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("what", ["directory", "missing", "fifo"])
def test_a_file_that_cannot_be_written_is_an_error_before_anything_begins(tmp_path: Path, what: str) -> None:
    path = tmp_path / "there" / "mail.log"
    if what != "missing":
        path.parent.mkdir()
        path.mkdir() if what == "directory" else os.mkfifo(path)
    with pytest.raises(LogFileError, match=r"log\.file: .*mail\.log cannot be written"):
        configure_logging(LogConfig(file=str(path)))
