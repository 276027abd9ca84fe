"""Several processes on one database, and processes that are killed while they write."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from ekiden.core.states import FIRST_FINAL, State
from ekiden.store import tables as t
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.sqlite.turn import Turn
from support.backends import end_all
from support.store_rows import NOW, TTL

PROGRAM = Path(__file__).with_name("store_writer_process.py")


class Writer:
    """A process that accepts messages (``store_writer_process``)."""

    def __init__(self, url: str, number: int, concurrent: int, account: int) -> None:
        arguments = [url, str(number), str(concurrent), str(account)]
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        self.lines = self.process.stdout
        assert self.lines.readline() == "ready\n"

    def go(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def some(self, number: int) -> list[list[int]]:
        """The next ``number`` that were acknowledged."""
        return [[int(word) for word in self.lines.readline().split()] for _ in range(number)]

    def rest(self) -> list[list[int]]:
        """What else was acknowledged; a line that was cut off by a kill does not count."""
        lines = [line for line in self.lines if line.endswith("\n")]
        return [[int(word) for word in line.split()] for line in lines if line[0].isdigit()]

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()


@pytest.fixture
def writers() -> Iterator[list[Writer]]:
    started: list[Writer] = []
    yield started
    for writer in started:
        writer.close()


async def count(store: Store, table: Any) -> int:
    async with store.read() as connection:
        return int((await connection.execute(select(func.count()).select_from(table))).scalar_one())


@pytest.mark.parametrize("concurrent", [1, 16])
async def test_two_processes_write_and_neither_starves(
    store_url: str, writers: list[Writer], concurrent: int
) -> None:
    writers += [Writer(store_url, 160, concurrent, account) for account in (1, 2)]
    for writer in writers:
        writer.go()
    acknowledged = [writer.rest() for writer in writers]
    assert [len(found) for found in acknowledged] == [160, 160]
    store = await open_store(store_url)
    try:
        assert await count(store, t.message) == 320
        assert await count(store, t.delivery) == 640
        async with store.read() as connection:
            nodes = set(await connection.scalars(select(t.worker.c.node)))
        assert nodes == {0, 1}
    finally:
        await store.close()


def test_turns_alternate_between_two_who_both_want_the_next(tmp_path: Path) -> None:
    """Whoever gives its turn back and wants it again at once finds the other one served first."""
    program = (
        "import os, sys, time\n"
        "from ekiden.store.sqlite.turn import Turn\n"
        "turn, log = Turn(sys.argv[1]), os.open(sys.argv[1] + '-log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for _ in range(60):\n"
        "    with turn:\n"
        "        os.write(log, sys.argv[2].encode())\n"
        "        time.sleep(0.001)\n"
    )
    database = tmp_path / "x.db"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(database), name], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for name in "ab"
    ]
    for process in started:
        assert process.stdout is not None
        process.stdout.readline()
    with Turn(str(database)):  # both are waiting when the first turn is given
        for process in started:
            assert process.stdin is not None
            process.stdin.write(b"\n")
            process.stdin.flush()
    for process in started:
        process.communicate()
        assert process.returncode == 0
    log = Path(f"{database}-log").read_text()
    assert sorted(log) == ["a"] * 60 + ["b"] * 60
    # Without the second lock one of them gets nearly all its turns in a row.
    assert log.count("ab") + log.count("ba") >= 20


@pytest.mark.parametrize("kills", [2])
async def test_what_was_acknowledged_survives_kill_9(store_url: str, writers: list[Writer], kills: int) -> None:
    acknowledged: list[list[int]] = []
    for _ in range(kills):
        pair = [Writer(store_url, 100_000, 24, account) for account in (1, 2)]
        writers += pair
        for writer in pair:
            writer.go()
        acknowledged += pair[0].some(random.randrange(20, 300))
        for writer in pair:
            os.kill(writer.process.pid, signal.SIGKILL)
        for writer in pair:
            acknowledged += writer.rest()
    if store_url.startswith("postgresql"):
        await end_all(store_url)  # what the killed sent may be committed until then
    store = await open_store(store_url)
    try:
        async with store.read() as connection:
            kept = {tuple(row) for row in await connection.execute(select(t.message.c.account_id, t.message.c.id))}
            key = t.delivery.c.account_id, t.delivery.c.message_id
            by_message = select(*key, func.count(), func.min(t.delivery.c.state)).group_by(*key)
            deliveries = (await connection.execute(by_message)).all()
            contents = {
                tuple(row)
                for row in await connection.execute(select(t.content.c.account_id, t.content.c.message_id))
            }
        assert acknowledged
        assert {tuple(found) for found in acknowledged} <= kept
        # Each message is there as a whole or not at all.
        assert {(account, message) for account, message, _, _ in deliveries} == kept
        assert {number for _, _, number, _ in deliveries} == {2}
        assert contents == {(account, m) for account, m, _, state in deliveries if state < FIRST_FINAL}
        waiting = sum(2 for *_, state in deliveries if state < FIRST_FINAL)
        freed = 0
        while more := await store.reap(NOW + TTL):
            freed += more
        assert freed == waiting
        assert (await store.stats()).by_state[State.DEFERRED] == waiting
    finally:
        await store.close()
    if store_url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(store_url.removeprefix("sqlite:///"))) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
