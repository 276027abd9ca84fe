"""The embedded PostgreSQL: it starts and ends for sure, nobody waits for ever, and nothing stays behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from ekiden.store.api import StoreError
from ekiden.store.open import open_store
from ekiden.store.postgresql import embedded
from ekiden.store.postgresql.embedded import EmbeddedPostgres, find_binaries
from support.store_rows import NOW, TTL, Maker

PATIENCE = 60.0  # seconds; only reached when something is broken
TESTS = Path(__file__).parents[1]
PROGRAM = (
    "import sys\n"
    "from ekiden.store.postgresql.embedded import EmbeddedPostgres\n"
    "server = EmbeddedPostgres(sys.argv[1] or None, durable=False, remove=True)\n"
    "server.start()\n"
    "print(server.directory, flush=True)\n"
    "sys.stdin.read()\n"
)


def wait_for(check: Callable[[], Any], what: str) -> Any:
    """The first true value of ``check``."""
    deadline = time.monotonic() + PATIENCE
    while not (found := check()):
        assert time.monotonic() < deadline, f"waited in vain for: {what}"
        time.sleep(0.02)
    return found


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def descendants(pid: int) -> list[int]:
    below = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            below += [int(text) for text in (task / "children").read_text().split()]
    return below + [further for child in below for further in descendants(child)]


def server_pid(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().split("\n")[0])


def guard_pid(directory: Path) -> int:
    return int((directory / "alive").read_text())


def kill(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def segment(directory: Path) -> str:
    """The server's shared memory of System V: its number."""
    return (directory / "data" / "postmaster.pid").read_text().split("\n")[6].split()[1]


def segments() -> set[str]:
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


class Needing:
    """A process that needs a server; ``""``: in a temporary directory."""

    def __init__(self, directory: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, directory], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.directory = Path(self.process.stdout.readline().strip())

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def needing() -> Iterator[Callable[[str], Needing]]:
    started: list[Needing] = []

    def start(directory: str) -> Needing:
        started.append(Needing(directory))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def closed_directory(tmp_path: Path) -> Path:
    """Only we may enter it: the server's own user, if it has one, must get in all the same."""
    directory = tmp_path / "closed"
    directory.mkdir(mode=0o700)
    return directory / "with a long name so that the socket has to be somewhere else" / ("x" * 60)


async def test_an_embedded_server_starts_is_joined_stops_and_resumes(closed_directory: Path) -> None:
    first, second = EmbeddedPostgres(closed_directory, durable=False), EmbeddedPostgres(closed_directory)
    with pytest.raises(StoreError, match="not running"):
        first.url()
    first.start()
    pid = server_pid(closed_directory)
    second.start()
    assert second.url() == first.url()
    store = await open_store(first.url(), migrate=True)
    worker = await store.register_worker("host", 1, NOW, TTL)
    new = Maker().message()
    await store.accept(worker.id, new)
    await store.close()
    first.stop()
    assert alive(pid)  # the second needs it
    second.stop()
    assert not alive(pid)
    with EmbeddedPostgres(closed_directory) as again:
        assert server_pid(closed_directory) != pid
        store = await open_store(again.url())
        assert await store.content(1, new.message.id) == new.content
        await store.close()
        pid = server_pid(closed_directory)
    assert not alive(pid)


def test_a_temporary_server_leaves_nothing(tmp_path: Path) -> None:
    with EmbeddedPostgres(durable=False) as server:
        directory = server.directory
        pid = server_pid(directory)
    assert not alive(pid)
    assert not directory.exists()


def test_a_server_ends_with_the_process_that_needed_it(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from ekiden.store.postgresql.embedded import EmbeddedPostgres\n"
        "EmbeddedPostgres(sys.argv[1], durable=False, remove=True).start()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    directory = tmp_path / "pg"
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    pid = server_pid(directory)
    assert alive(pid)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_for(lambda: not alive(pid) and not directory.exists(), "the guard to end the server and delete its files")
    with EmbeddedPostgres(directory, durable=False, remove=True):
        assert server_pid(directory) != pid


def test_without_the_wheel_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (find_binaries() / "postgres").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(StoreError, match="embedded-postgresql"):
        find_binaries()


# the end


def test_a_server_that_ignores_its_shutdown_is_killed_with_all_its_processes(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", durable=False, remove=True)
    server.start()
    pid, guard = server_pid(server.directory), guard_pid(server.directory)
    processes = [pid, *descendants(pid)]
    number = segment(server.directory)
    assert len(processes) > 3
    for stopped in processes:
        with contextlib.suppress(ProcessLookupError):  # it had something to do at the start only
            os.kill(stopped, signal.SIGSTOP)
    server.stop()
    assert [one for one in (guard, *processes) if alive(one)] == []
    assert not server.directory.exists()
    assert number not in segments()


async def test_a_shutdown_while_the_server_recovers_ends(tmp_path: Path) -> None:
    """A fast shutdown that comes just then leaves PostgreSQL 18.4 waiting for ever, more often than not."""
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    connection = await asyncpg.connect(server.url())
    await connection.execute("CREATE TABLE t AS SELECT repeat('x', 100) FROM generate_series(1, 5000)")
    pid = server_pid(server.directory)
    processes = [pid, *descendants(pid)]
    kill(connection.get_server_pid())
    wait_for(lambda: "terminated by signal 9" in (server.directory / "log").read_text(), "the server to notice")
    processes += descendants(pid)
    server.stop()
    assert [one for one in processes if alive(one)] == []
    with server:
        connection = await asyncpg.connect(server.url())
        assert await connection.fetchval("SELECT count(*) FROM t") == 5000
        await connection.close()


def test_a_guard_that_is_killed_takes_the_server_with_it(closed_directory: Path) -> None:
    server = EmbeddedPostgres(closed_directory, durable=False, remove=True)
    server.start()
    pid, guard = server_pid(closed_directory), guard_pid(closed_directory)
    sockets = Path((closed_directory / "data" / "postmaster.pid").read_text().split("\n")[4])
    number = segment(closed_directory)
    processes = [pid, *descendants(pid)]
    kill(guard)
    server.stop()
    assert [one for one in processes if alive(one)] == []
    assert not closed_directory.exists()
    assert number not in segments()
    embedded.remove_leftovers()
    assert not sockets.exists()


def test_when_all_is_killed_at_once_the_next_one_clears_up(needing: Callable[[str], Needing]) -> None:
    one = needing("")
    directory = one.directory
    pid, guard, number = server_pid(directory), guard_pid(directory), segment(directory)
    assert directory.parent == Path(tempfile.gettempdir())
    assert number in segments()
    everybody = [one.process.pid, guard, pid, *descendants(pid)]
    kill(*everybody)
    wait_for(lambda: not any(map(alive, everybody)), "the end")
    with EmbeddedPostgres(durable=False) as server:
        assert not directory.exists()
        assert number not in segments()
        other = server.directory
        embedded.remove_leftovers()
        assert server.running()
    assert not other.exists()


def test_a_server_that_was_killed_is_evidence_as_long_as_somebody_needs_it(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", durable=False, remove=True)
    other = EmbeddedPostgres(tmp_path / "pg", durable=False, remove=True)
    server.start()
    other.start()
    guard = guard_pid(server.directory)
    kill(server_pid(server.directory))
    wait_for(lambda: not alive(guard), "the guard's end")
    assert not other.running()
    assert "ended by itself or was killed: status -9" in other.report()
    assert str(os.getpid()) in other.report()
    other.stop()
    other.start()
    assert other.running()
    server.stop()
    assert other.running()
    other.stop()
    assert not (tmp_path / "pg").exists()


# the start


def test_waiting_for_another_start_has_an_end_and_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "START_TIMEOUT", 0.5)
    directory = tmp_path / "pg"
    directory.mkdir()
    program = (
        "import fcntl, os, sys\n"
        "file = open(sys.argv[1], 'w')\n"
        "fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print(os.getpid(), file=file, flush=True)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    for name, what in (("starting", "the start by process {pid}"), ("needed", "the end of the server before")):
        with subprocess.Popen(
            [sys.executable, "-c", program, str(directory / name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == b"ready\n"
            (directory / "log").write_text("the last line\n")
            with pytest.raises(StoreError, match=what.format(pid=holder.pid)) as caught:
                EmbeddedPostgres(directory).start()
            assert "the last line" in str(caught.value)
            holder.kill()


async def test_the_number_of_a_dead_server_may_be_another_ones(tmp_path: Path, postgresql_url: str) -> None:
    """PostgreSQL does not start where an old file names a process that lives and is of the same user."""
    server = EmbeddedPostgres(tmp_path / "pg")
    server.start()
    pid, guard = server_pid(server.directory), guard_pid(server.directory)
    kill(guard, pid, *descendants(pid))
    server.stop()
    stranger = await asyncpg.connect(postgresql_url)
    for name in ("data/postmaster.pid", ".s.PGSQL.5432.lock"):
        file = server.directory / name
        lines = file.read_text().split("\n")
        file.write_text("\n".join([str(stranger.get_server_pid()), *lines[1:]]))
    with server:
        assert server.running()
    await stranger.close()


def test_many_come_and_go(tmp_path: Path) -> None:
    """Each removes the directory when it is the last one, and may make it anew while another one removes it."""

    def come_and_go(number: int) -> None:
        for _ in range(3):
            with EmbeddedPostgres(tmp_path / "pg", durable=False, remove=True) as server:
                assert server.running()

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(come_and_go, range(3)))
    assert list(tmp_path.iterdir()) == []


# the server of a test run


@pytest.mark.timeout(300)  # two runs, beside the one that we are in
def test_a_killed_test_run_leaves_nothing(tmp_path: Path) -> None:
    """Nor does another run beside it mind."""
    runs = []
    for number in range(2):
        place = tmp_path / str(number)
        place.mkdir()
        log = (place / "out").open("wb")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n2",
            "-p",
            "no:cacheprovider",
            "-k",
            "postgresql and retry_makes",
        ]
        command += [str(TESTS / "delivery/test_queue_queries.py")]
        runs.append(subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"TMPDIR": str(place)}))
        log.close()

    def server_of(number: int) -> Path:
        found = list((tmp_path / str(number)).glob("ekiden-postgresql-*/data/postmaster.pid"))
        return found[0].parent.parent if found else Path()

    wait_for(lambda: server_of(0).name and server_of(1).name, "their servers")
    pid = server_pid(server_of(0))
    kill(runs[0].pid)
    runs[0].wait()
    wait_for(lambda: not server_of(0).name and not alive(pid), "the end of the first one's server")
    assert runs[1].wait(PATIENCE) == 0, (tmp_path / "1" / "out").read_text()
    wait_for(lambda: not list(tmp_path.glob("*/ekiden-postgresql-*")), "the end of their directories")
