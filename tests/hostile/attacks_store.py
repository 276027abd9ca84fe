"""What befalls the store: processes that are stopped while they write, rows that cannot be read, a database that
stands still or goes away, a disk without room."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import smtplib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
from arena import Arena, Impossible, Watch
from sqlalchemy import Integer, SmallInteger, Text

from ekiden.store import tables as t
from ekiden.store.overdue import PATIENCE
from peers import Peers, answering
from support.demo_process import ENVIRONMENT, alive, children, wait_for

# --- processes that are stopped while they have SQLite's turn --------------------------------------------------


def turn_of(arena: Arena) -> int:
    """Whose turn it is to write, as the kernel says; 0: nobody's."""
    inode = (arena.directory / "ekiden.db-turn").stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and words[5].endswith(f":{inode}"):  # those that wait have "->" in front
            return int(words[4])
    return 0


def is_stopped(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    return False


def stop_within_turn(arena: Arena, candidates: Callable[[], list[int]]) -> int:
    """Stop one of the processes while it has the turn, which lasts milliseconds: tried until it is hit."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        pid = turn_of(arena)
        if not pid or pid not in candidates():
            time.sleep(0.0005)  # whoever should have the turn needs the processor, too
            continue
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda pid=pid: is_stopped(pid) or not alive(pid), "a process that is stopped")  # type: ignore[misc]
        if turn_of(arena) == pid:
            return pid
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    raise AssertionError("no process was hit while it had the turn")


@contextmanager
def load(arena: Arena) -> Iterator[None]:
    """The attackers submit as fast as they can: there is always somebody who writes."""
    stop = threading.Event()

    def submit(number: int) -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError, smtplib.SMTPException, AssertionError):
                client = arena.login(f"127.0.9.{number + 1}")
                try:
                    for _ in range(50):
                        arena.demo.send(client, ["a@accept.lab.test"], b"Subject: x\r\n\r\nx\r\n")
                        if stop.is_set():
                            break
                finally:
                    client.close()
            stop.wait(0.1)

    threads = [threading.Thread(target=submit, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join(120)


@contextmanager
def command(arena: Arena, scale: int) -> Iterator[subprocess.Popen[bytes]]:
    """An ``ekiden`` command that writes for a long time, turn by turn: 400 in the suite, 1,000 beyond it."""
    lines = 200_000 if scale == 1 else 500_000
    with tempfile.TemporaryDirectory() as place:
        addresses = Path(place) / "addresses"
        addresses.write_text("".join(f"{number}@gone.test\n" for number in range(lines)))
        words = ["suppression", "add", "--account", "demo", "--domain", "demo.lab.test", "--file", str(addresses)]
        process = subprocess.Popen(
            [sys.executable, "-m", "ekiden.cli.main", *words, "--config", arena.demo.facts["config"]],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=ENVIRONMENT,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            process.wait(30)


def stopped_commands(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 8: a command is stopped (SIGSTOP) in the middle of a transaction; it goes on once, and is killed once."""
    seconds = (13.0, 4.0) if scale == 1 else (60.0, 60.0)
    back = []
    for end, pause in zip((signal.SIGCONT, signal.SIGKILL), seconds, strict=True):
        with command(arena, scale) as process:
            pid = stop_within_turn(arena, lambda process=process: [process.pid])  # type: ignore[misc]
            time.sleep(pause)
            assert turn_of(arena) == pid, "the turn was not kept"
            os.kill(pid, end)
            back.append(watch.served(20))
        if pause > PATIENCE:
            why = f"process {pid} has the turn to write and is stopped"
            assert [line for line in arena.log() if why in str(line)], "no line of the log names the process"
            assert watch.figures.refusals, "the victim was never told"
    return (
        f"a command stopped in a transaction for {seconds[0]:.0f} s, another one killed after {seconds[1]:.0f} s; "
        f"served {max(back):.1f} s later"
    )


def suspended_commands(arena: Arena, scale: int, _: Watch) -> str:
    """Row 8: Ctrl-Z in a command that writes. It is obeyed between two turns, and nobody feels it."""
    count = 2 * scale
    for _number in range(count):
        with command(arena, scale) as process:
            wait_for(lambda process=process: turn_of(arena) == process.pid, "a command that writes")  # type: ignore[misc]
            process.send_signal(signal.SIGTSTP)
            wait_for(lambda process=process: is_stopped(process.pid), "a command that stops")  # type: ignore[misc]
            for _ in range(20):
                assert turn_of(arena) != process.pid, "it was stopped with the turn"
                time.sleep(0.05)
            process.send_signal(signal.SIGCONT)
            wait_for(lambda process=process: turn_of(arena) == process.pid, "a command that goes on")  # type: ignore[misc]
    return f"{count} commands suspended by Ctrl-Z while they write"


def stopped_with_the_turn(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 8: the worker is stopped that has the turn at this moment, so that the others cannot write."""
    count = 2 * scale
    back = []
    with load(arena):
        for _ in range(count):
            pid = stop_within_turn(arena, arena.demo.workers)
            watch.ended_by_us.add(pid)
            wait_for(lambda pid=pid: pid not in arena.demo.workers(), "a worker in its place")  # type: ignore[misc]
            wait_for(lambda: len(arena.demo.workers()) == 2, "two workers")
            back.append(watch.served(20))
    return f"{count} workers stopped with the turn to write; served {max(back):.1f} s after they were replaced"


# --- rows that cannot be read ----------------------------------------------------------------------------------


def unreadable_rows(arena: Arena, scale: int, _: Watch) -> str:
    """Row 12: another account's rows, each column of each table in turn, are what nobody writes there."""
    tables = (t.message, t.delivery, t.content, t.attempt, t.event, t.notice, t.endpoint)
    columns = [
        (table, column)
        for table in tables
        for column in table.columns
        if column not in set(table.primary_key.columns)
    ]
    with Peers() as peers:
        host, port = peers.listen(answering(peers, 503))
        # Each has an endpoint that is told nothing for now, and an attempt behind it.
        for number in range(len(columns)):
            arena.message(
                "a@tempfail.lab.test", arena.key(), arena.demo.account["domain"], f"http://{host}:{port}/{number}"
            )
        wait_for(lambda: _attempted(arena) >= len(columns), "an attempt for each")
        spoilt = _spoil(arena, columns)
        assert spoilt > 20, spoilt
        heard, their_port = peers.listen(answering(peers, 200))
        key = {"Authorization": f"App {arena.demo.facts['neighbour_key']}"}
        for number in range(5):
            url = f"http://{heard}:{their_port}/victim{number}"
            arena.message(f"callback{number}@accept.lab.test", key, "neighbour.lab.test", url)
        wait_for(lambda: peers.answered[200] >= 5, "the victim's callbacks")
        # Retries of what was spoilt come due (5 s, 15 s).
        wait_for(lambda: arena.demo.metrics().get("ekiden_rows_set_aside_total", 0) > 0, "a metric that tells")
        wait_for(lambda: "rows" in {f["check"] for f in _findings(arena)}, "a doctor who tells")
    return f"{spoilt} columns spoilt in rows of another account"


def _findings(arena: Arena) -> list[dict[str, Any]]:
    found = arena.demo.run("doctor", check=False)
    assert isinstance(found, dict), found
    return [f for f in found["findings"] if f["level"] != "ok"]


def _url(arena: Arena) -> str:
    return str(tomllib.loads(Path(arena.demo.facts["config"]).read_text())["store"]["url"])


def ask(arena: Arena, query: str) -> list[tuple[Any, ...]]:
    """The database's answer, past all that is ours; errors are the engine's."""
    url = _url(arena)
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(arena.directory / "ekiden.db", timeout=30)) as database, database:
            return database.execute(query).fetchall()

    async def fetch() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(fetch())


def _attempted(arena: Arena) -> int:
    query = (
        "SELECT count(*) FROM delivery WHERE attempts > 0 AND state <> 4 AND account_id = "
        "(SELECT id FROM account WHERE name = 'demo')"
    )
    return int(ask(arena, query)[0][0])


def _spoil(arena: Arena, columns: list[tuple[Any, Any]]) -> int:
    """Each column in rows of a message of its own; how many the database let happen."""
    (account,) = ask(arena, "SELECT id FROM account WHERE name = 'demo'")[0]
    messages = [row[0] for row in ask(arena, f"SELECT id FROM message WHERE account_id = {account} ORDER BY id")]
    endpoints = [
        row[0]
        for row in ask(arena, f"SELECT id FROM endpoint WHERE account_id = {account} AND url <> '' ORDER BY id")
    ]
    on_sqlite = _url(arena).startswith("sqlite")
    done = 0
    for number, (table, column) in enumerate(columns):
        if table is t.endpoint:
            where = f"id = {endpoints[number % len(endpoints)]}"
        elif table is t.message:
            where = f"account_id = {account} AND id = {messages[number]}"
        else:
            where = f"account_id = {account} AND message_id = {messages[number]}"
        if on_sqlite:
            junk = "x'ff00fe'" if number % 2 else "'{\"not'"
        elif isinstance(column.type, Text):
            junk = "'{\"not'"
        elif isinstance(column.type, (SmallInteger, Integer)):
            junk = "77"
        else:
            continue
        with contextlib.suppress(sqlite3.IntegrityError, asyncpg.PostgresError):
            ask(arena, f"UPDATE {table.name} SET {column.name} = {junk} WHERE {where}")
            done += 1
    return done


# --- a database that is away -----------------------------------------------------------------------------------


def _answers(arena: Arena, seconds: float) -> float:
    """For so long: health and metrics answer, nobody of the workers goes. The slowest answer in seconds."""
    workers = arena.demo.workers()
    slowest = 0.0
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for path, good in (("/healthz", (200,)), ("/metrics", (200,)), ("/readyz", (200, 503))):
            began = time.monotonic()
            try:
                with urllib.request.urlopen(arena.demo.facts["http"] + path, timeout=30) as response:
                    status = response.status
                    response.read()
            except urllib.error.HTTPError as error:
                with error:
                    status = error.code
            assert status in good, (path, status)
            slowest = max(slowest, time.monotonic() - began)
        assert arena.demo.workers() == workers
        time.sleep(0.2)
    assert slowest < 10, f"health or metrics took {slowest:.1f} s"
    return slowest


def silent_postgresql(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 14: the server stands still with all its connections open."""
    seconds = 20.0 if scale == 1 else 60.0
    server = int((arena.directory / "postgresql/data/postmaster.pid").read_text().split("\n")[0])
    pids = [server, *children(server)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        slowest = _answers(arena, seconds)
    finally:
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
    assert watch.figures.refusals, "the victim was never told"
    back = watch.served(30)
    return (
        f"PostgreSQL stopped for {seconds:.0f} s: health answers within {slowest:.2f} s, served after {back:.1f} s"
    )


def absent_postgresql(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 14: the server is ended and started again, with nobody listening meanwhile."""
    seconds = 20.0 if scale == 1 else 60.0
    guard = int((arena.directory / "postgresql/alive").read_text().split("\n")[0])
    demo = arena.demo.process
    demo.send_signal(signal.SIGSTOP)  # whoever would start it again at once
    try:
        server = int((arena.directory / "postgresql/data/postmaster.pid").read_text().split("\n")[0])
        os.kill(guard, signal.SIGTERM)
        wait_for(lambda: not alive(server), "the end of the server")
        slowest = _answers(arena, seconds)
    finally:
        demo.send_signal(signal.SIGCONT)
    assert watch.figures.refusals, "the victim was never told"
    back = watch.served(40)
    return f"PostgreSQL gone for {seconds:.0f} s: health answers within {slowest:.2f} s, served after {back:.1f} s"


# --- a disk without room ---------------------------------------------------------------------------------------


@contextmanager
def small_disk() -> Iterator[Path]:
    """A folder on a file system of 64 MiB. Only root may make one."""
    place = tempfile.mkdtemp(prefix="ekiden-hostile-")
    try:
        options = ["-t", "tmpfs", "-o", "size=64m", "tmpfs", place]
        try:
            done = subprocess.run(["mount", *options], capture_output=True, text=True, check=False)
        except OSError as error:
            raise Impossible(f"mount is not here: {error}") from error
        if done.returncode:
            raise Impossible(f"a small file system cannot be mounted: {done.stderr.strip()}")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], capture_output=True, check=True)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def full_disk(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 14: not an octet is left where the database and the log are, and later there is room again."""
    seconds = 12.0 if scale == 1 else 60.0
    back = []
    for _ in range(min(scale, 3)):
        filler = arena.directory / "filler"
        told = len(watch.figures.refusals)
        until = time.monotonic() + seconds
        try:
            with filler.open("wb", buffering=0) as file:
                workers = arena.demo.workers()
                while time.monotonic() < until:
                    for size in (65_536, 4_096):
                        with contextlib.suppress(OSError):
                            while file.write(b"x" * size):
                                pass
                    _answers(arena, 0.5)
            assert arena.demo.workers() == workers
            assert len(watch.figures.refusals) > told, "the victim was never told"
        finally:
            filler.unlink()
        back.append(watch.served(20))
    return f"a full disk for {seconds:.0f} s, {len(back)} times; served {max(back):.1f} s after there was room"


ROWS: tuple[dict[str, Any], ...] = (
    {
        "name": "stopped-commands",
        "attack": stopped_commands,
        "slowest": 20.0,
        "refusals": 1000,
        "duplicates": 5,
    },
    {"name": "suspended-commands", "attack": suspended_commands},
    {
        "name": "stopped-with-the-turn",
        "attack": stopped_with_the_turn,
        "slowest": 30.0,
        "refusals": 200,
        "failures": 20,
        "duplicates": 5,
    },
    {"name": "unreadable-rows", "attack": unreadable_rows, "stores": ("sqlite", "postgresql")},
    {
        "name": "silent-postgresql",
        "attack": silent_postgresql,
        "stores": ("postgresql",),
        "slowest": 20.0,  # it stands still for as long: nobody waits until it is back
        "refusals": 1000,
        "duplicates": 5,
    },
    {
        "name": "absent-postgresql",
        "attack": absent_postgresql,
        "stores": ("postgresql",),
        "slowest": 45.0,
        "refusals": 1000,
        "duplicates": 5,
    },
    {
        "name": "full-disk",
        "attack": full_disk,
        "place": small_disk,
        "slowest": 30.0,
        "refusals": 1000,
        "duplicates": 5,
    },
)
