"""``kill -9`` of any process, or of all of them, at random moments under load: nothing acknowledged is lost.

Duplicates are allowed for attempts that were in flight, and for them only; each test prints how many there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from road_load import Senders, arrivals
from sqlalchemy import select

from ekiden.config.load import load_config
from ekiden.store import tables
from ekiden.store.open import open_store
from ekiden.wiring.dialects import DIALECTS
from support.demo_process import Demo, alive, children, descendants

UNDER_FIRE = 10.0  # seconds
QUICK = {"EKIDEN_WORKERS__LEASE": "1s", "EKIDEN_DELIVERY__RETRY": "1s"}


def kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def database_processes(directory: Path) -> list[int]:
    """The postmaster and its backends; none on SQLite."""
    try:
        postmaster = int((directory / "postgresql/data/postmaster.pid").read_text().split("\n")[0])
    except (FileNotFoundError, ValueError):
        return []
    return [postmaster, *descendants(postmaster)]


def shoot(demo: Demo, directory: Path, chance: random.Random) -> str:
    """Kill something; says what."""
    supervisor = demo.supervisor()
    workers = children(supervisor) if supervisor else []
    database = database_processes(directory)
    targets = ["worker", "worker", "worker", "supervisor", "platform"]
    targets += ["backend", "database", "everything"] if database else []
    target = chance.choice(targets)
    if target == "worker":
        kill(chance.sample(workers, 1) if workers else [])
    elif target == "supervisor":
        kill([supervisor] if supervisor else [])
    elif target == "platform":
        kill([*([supervisor] if supervisor else []), *workers])
    elif target == "backend":
        # The postmaster ends all backends then, and recovers from its log.
        kill(chance.sample(database[1:], 1) if database[1:] else [])
    elif target == "database":
        kill(database)  # the platform stays, and waits for the next one
    else:
        kill([*([supervisor] if supervisor else []), *workers, *database])
    return target


def quiet(demo: Demo) -> bool:
    """Nothing is under way. The last kill may have been a moment ago, and the platform is starting again."""
    try:
        return demo.metrics()['ekiden_queue_deliveries{state="sending"}'] == 0
    except OSError:
        return False


async def attempts_of(demo: Demo) -> dict[str, int]:
    """How often each recipient was tried."""
    store = await open_store(load_config(demo.facts["config"], {}, dialects=DIALECTS).store_url())
    try:
        async with store.read() as connection:
            rows = await connection.execute(select(tables.delivery.c.recipient, tables.delivery.c.attempts))
            return {row.recipient: row.attempts for row in rows}
    finally:
        await store.close()


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_nothing_acknowledged_is_lost(tmp_path: Path, store: str, eventually: Any, record_property: Any) -> None:
    seed = random.SystemRandom().randrange(1_000_000)
    chance = random.Random(seed)
    demo = Demo("--workers", "2", "--store", store, directory=tmp_path, environment=QUICK)
    shots: Counter[str] = Counter()
    try:
        with Senders(demo) as senders:
            eventually(lambda: len(senders.acknowledged) > 20, "the load to begin")
            until = time.monotonic() + UNDER_FIRE
            while time.monotonic() < until:
                time.sleep(chance.uniform(0.1, 1.2))
                shots[shoot(demo, tmp_path, chance)] += 1
        acknowledged = senders.acknowledged
        demo.check()
        eventually(
            lambda: len(acknowledged - set(found := arrivals(demo))) == 0 and found,
            f"every one of {len(acknowledged)} acknowledged messages (seed {seed}, {dict(shots)})",
        )
        eventually(lambda: quiet(demo), "quiet")
        arrived = arrivals(demo)
        tried = asyncio.run(attempts_of(demo))
        duplicates = {recipient: count for recipient, count in arrived.items() if count > 1}
        record_property(
            "figures",
            f"{sum(shots.values())} kills {dict(shots)}, {len(acknowledged)} acknowledged, 0 lost, "
            f"{senders.unsure} without an answer, "
            f"{sum(duplicates.values()) - len(duplicates)} duplicates (seed {seed})",
        )
        assert sum(shots.values()) >= 5
        # A second copy needs a second attempt, and each attempt sends one at most.
        assert all(tried[recipient] >= count for recipient, count in duplicates.items())
        assert not [line for line in demo.log() if "Traceback" in line["event"] or "exception" in line]
    finally:
        demo.stop()


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_a_killed_worker_leaves_its_deliveries_to_the_others(tmp_path: Path, store: str, eventually: Any) -> None:
    """The attempt that was cut off is in the trace as such, and the next one succeeds."""
    demo = Demo("--workers", "1", "--store", store, directory=tmp_path, environment=QUICK)
    try:
        demo.put("/behaviour/slow.lab.test", {"rules": [{"at": "rcpt", "delay": 3600}]})
        with demo.login(demo.connect()) as client:
            queue_id = demo.send(client, ["one@slow.lab.test"], b"Subject: x\r\n\r\nx\r\n")
            sessions = f"{demo.facts['lab']}/sessions"
            eventually(lambda: "RCPT" in str(demo.get(sessions)), "the attempt")
            (worker,) = demo.workers()
            kill([worker])
        eventually(lambda: not alive(worker), "its end")
        demo.put("/behaviour/slow.lab.test", "accept")
        (mail,) = demo.mail("one@slow.lab.test")
        assert mail["data"].endswith(b"\r\n\r\nx\r\n")
        trace = eventually(
            lambda: (found := demo.trace(queue_id))["recipients"][0]["state"] == "delivered" and found, "the end"
        )
        assert re.search(r"lease|worker", str(trace))
        assert trace["recipients"][0]["attempts"] == 2
    finally:
        assert demo.stop() == 0
