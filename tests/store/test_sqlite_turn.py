"""A process that was stopped while it has the turn to write: nobody else waits without a bound."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select, text, update

from ekiden.store import tables as t
from ekiden.store.api import StoreUnavailable
from ekiden.store.open import open_store, upgrade
from ekiden.store.overdue import PATIENCE
from ekiden.store.sqlite.store import cold_engine
from ekiden.store.sqlite.turn import Turn, Turns, holder, is_stopped
from support.store_rows import NOW, TTL, Maker

HOLD = """
import asyncio, sys
from sqlalchemy import text
from ekiden.store.open import open_store
from ekiden.store.sqlite.turn import suspendable

async def main():
    suspendable()
    store = await open_store(sys.argv[1])
    async with store.write() as connection:
        await connection.execute(text("UPDATE worker SET pid = pid + 1"))
        print("has it", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    await store.close()
    print("gave it back", flush=True)
    sys.stdin.readline()

asyncio.run(main())
"""


def start_command(url: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "has it\n"
    return process


@pytest.fixture
def command(sqlite_url: str) -> Iterator[subprocess.Popen[str]]:
    """Is in a transaction until it is given a line."""
    process = start_command(sqlite_url)
    yield process
    process.kill()
    process.communicate()


def wait_for_state(pid: int, stopped: bool) -> None:
    deadline = time.monotonic() + 30
    while is_stopped(pid) is not stopped:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


async def test_whoever_waits_for_a_stopped_process_is_told_and_reads_go_on(
    sqlite_url: str, command: subprocess.Popen[str]
) -> None:
    store = await open_store(sqlite_url)
    maker = Maker()
    go_on(command)
    assert command.stdout is not None
    assert command.stdout.readline() == "gave it back\n"
    worker = await store.register_worker("host", 1, NOW, TTL)
    first = maker.message()
    await store.accept(worker.id, first)
    held = start_command(sqlite_url)
    try:
        held.send_signal(signal.SIGSTOP)
        wait_for_state(held.pid, True)
        waiting = [store.accept(worker.id, maker.message()) for _ in range(50)]
        waiting += [store.claim(worker.id, NOW, 5)]
        rare = [store.heartbeat(worker.id, NOW, TTL) for _ in range(20)]
        told = asyncio.gather(*waiting, *rare, return_exceptions=True)
        # Meanwhile
        assert await store.content(1, first.message.id) == first.content
        async with store.read() as connection:
            assert await connection.scalar(select(t.message.c.id)) == first.message.id
        for error in await told:
            assert isinstance(error, StoreUnavailable)
            assert f"process {held.pid} has the turn to write and is stopped" in str(error)
        assert sum(thread.name == "sqlite-turn" for thread in threading.enumerate()) == 1
        # Nobody else has to find out for himself: he is told before any clock can have run out.
        late = asyncio.create_task(asyncio.sleep(PATIENCE / 2))
        with pytest.raises(StoreUnavailable, match=str(held.pid)):
            await store.accept(worker.id, maker.message())
        assert not late.done()
        late.cancel()
        held.send_signal(signal.SIGCONT)
        go_on(held)
        assert held.stdout is not None
        assert held.stdout.readline() == "gave it back\n"
        async with asyncio.timeout(30):
            while True:
                try:
                    await store.accept(worker.id, maker.message())
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
                else:
                    break
        assert await store.heartbeat(worker.id, NOW, TTL)
        # Those that were told no are not there: nobody has two of a message because of it.
        async with store.read() as connection:
            assert len((await connection.scalars(select(t.message.c.id))).all()) == 2
        assert holder(sqlite_url.removeprefix("sqlite:///")) is None
    finally:
        held.kill()
        held.communicate()
        await store.close()


async def test_a_store_closes_while_somebody_else_has_the_turn(
    sqlite_url: str, command: subprocess.Popen[str]
) -> None:
    store = await open_store(sqlite_url)
    waiting = asyncio.ensure_future(store.accept(1, Maker().message()))
    await asyncio.sleep(0)
    async with asyncio.timeout(3 * PATIENCE):
        await store.close()
    with pytest.raises(StoreUnavailable):
        await waiting


async def test_a_turn_that_comes_to_nobody_is_given_back(sqlite_url: str, command: subprocess.Popen[str]) -> None:
    store = await open_store(sqlite_url)
    try:

        async def change() -> None:
            async with store.write() as connection:
                await connection.execute(update(t.worker).values(pid=0))

        waiting = [asyncio.ensure_future(change()) for _ in range(3)]
        await asyncio.sleep(0.1)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        go_on(command)
        assert command.stdout is not None
        assert command.stdout.readline() == "gave it back\n"
        await change()
        with Turn(sqlite_url.removeprefix("sqlite:///")):
            pass
    finally:
        await store.close()


async def test_a_turn_that_came_to_somebody_who_was_cancelled_is_given_back(
    sqlite_url: str, command: subprocess.Popen[str]
) -> None:
    turns = Turns(sqlite_url.removeprefix("sqlite:///"))
    try:
        waiting = asyncio.ensure_future(turns.take(30))
        await asyncio.sleep(0)
        assert turns._coming is not None
        # Before the one who waits has run: whoever is called first when it comes cancels him.
        turns._coming.add_done_callback(lambda _: waiting.cancel())
        go_on(command)
        with pytest.raises(asyncio.CancelledError):
            await waiting
        other = Turn(sqlite_url.removeprefix("sqlite:///"))
        other.within(10)
        other.__exit__(None, None, None)
        other.close()
        await turns.take(30)
        turns.give()
    finally:
        turns.close()


async def test_whoever_is_cancelled_in_the_middle_of_reading_a_change_blocks_nobody(sqlite_url: str) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    engine = cold_engine(path, write=True)
    other = sqlite3.connect(path, timeout=0, isolation_level=None)
    try:
        other.execute("CREATE TABLE scratch (id INTEGER)")
        other.execute("INSERT INTO scratch (id) VALUES (1), (2)")
        connection = await engine.connect()
        await connection.execute(text("SELECT 1"))  # begins, as any change does
        raw = await connection.get_raw_connection()
        assert raw.driver_connection is not None
        unread = await raw.driver_connection.cursor()
        await unread.execute("UPDATE scratch SET id = id + 9 RETURNING id")
        assert await unread.fetchone() is not None
        await connection.invalidate()  # as SQLAlchemy does for whoever is cancelled
        async with asyncio.timeout(10):
            while True:
                try:
                    other.execute("BEGIN IMMEDIATE")
                    break
                except sqlite3.OperationalError:
                    await asyncio.sleep(0.01)
        assert other.execute("SELECT sum(id) FROM scratch").fetchone() == (3,)
        del unread
    finally:
        other.close()
        await engine.dispose()


def test_a_command_is_suspended_between_two_transactions(sqlite_url: str, command: subprocess.Popen[str]) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    assert holder(path) == command.pid
    os.kill(command.pid, signal.SIGTSTP)
    # Not now: it answers, and gives the turn back, before it stops.
    go_on(command)
    wait_for_state(command.pid, True)
    assert holder(path) is None
    os.kill(command.pid, signal.SIGCONT)
    assert command.stdout is not None
    assert command.stdout.readline() == "gave it back\n"
    os.kill(command.pid, signal.SIGTSTP)
    wait_for_state(command.pid, True)  # at once, without a turn


async def test_an_upgrade_does_not_wait_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sqlite_url: str, command: subprocess.Popen[str]
) -> None:
    monkeypatch.setattr("ekiden.store.migrate._PATIENCE", 0.5)
    path = tmp_path / "empty.db"
    with Turn(str(path)), pytest.raises(StoreUnavailable, match=f"process {os.getpid()} has the turn"):
        await upgrade(f"sqlite:///{path}")
    await upgrade(f"sqlite:///{path}")
