"""Clocks that are wrong: what a worker makes of them. What becomes of its leases is in test_two_nodes.py."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest
from structlog.testing import capture_logs

from ekiden.core.clock import SECOND
from ekiden.process.clock_watch import ClockWatch, ClockWrong, Steady, clock_offset, offset_of
from ekiden.store.api import Store
from support.manual_clock import ManualClock


@pytest.mark.parametrize(
    ("before", "theirs", "after", "ahead"),
    [
        (10_000, 10_000, 10_000, 0),
        (10_000, 10_300, 10_500, 0),  # within the time that the question took, nobody knows
        (30_000, 10_000, 30_100, 20),
        (10_000, 30_000, 10_100, -19.9),
        (10_000, 5_000, 25_000, 5),
    ],
)
def test_the_offset_is_what_is_certain(before: int, theirs: int, after: int, ahead: float) -> None:
    assert offset_of(before, theirs, after) == ahead


@pytest.mark.parametrize("offset", [0.0, 3.0, -3.0, 20.0, -20.0])
async def test_the_offset_to_the_database(store: Store, offset: float) -> None:
    clock = ManualClock(await store.now() + round(offset * SECOND))
    assert await clock_offset(store, clock) == pytest.approx(offset, abs=1.5)


def test_a_wrong_clock_is_told_in_both_languages() -> None:
    ahead, behind = ClockWrong(20.04), ClockWrong(-7.0)
    assert str(ahead).startswith("the clock of this machine is 20.0 s ahead of the database's (5 s are allowed)")
    assert "7.0 s behind" in str(behind)
    assert "20.0 秒進んでいます" in ahead.text("ja")
    assert "7.0 秒遅れています" in behind.text("ja")


def test_a_clock_of_leases_that_is_set_on_is_not_steady() -> None:
    steady = Steady(100.0)
    for passed in range(10):
        steady.saw((5_000 + passed) * SECOND, 100.0 + passed)
    assert steady.since == 100.0
    steady.saw((5_010 + 20) * SECOND, 110.0)
    assert steady.since == 110.0
    steady.saw((5_011 + 20) * SECOND, 111.0)
    steady.saw(5_012 * SECOND, 112.0)  # set back: leases last longer, nobody is late
    assert steady.since == 110.0


def test_a_running_worker_tells_of_the_offset() -> None:
    """Once, again after ten minutes, and when it is gone; five seconds are allowed."""
    clock = ManualClock()
    watch = ClockWatch(clock)
    with capture_logs() as lines:
        watch.saw(15_000, 10_000, 15_000)
        for _ in range(3):
            watch.saw(30_000, 10_000, 30_000)
        clock.advance(600 * SECOND)
        watch.saw(10_000, 30_000, 10_000)
        for _ in range(2):
            watch.saw(10_000, 10_000, 10_001)
    assert [(line["log_level"], line["offset"]) for line in lines] == [
        ("error", 20),
        ("error", -20),
        ("warning", 0),
    ]


def test_duties_are_one_workers_and_looked_at_without_writing(
    serving: Any, eventually: Any, postgresql_url: str
) -> None:
    """The duties are one worker's, who looks at them without writing."""
    serving.settings["store"] = {"url": postgresql_url}
    serving.settings["workers"]["lease"] = "30s"

    async def asked(query: str) -> Any:
        connection = await asyncpg.connect(postgresql_url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    serving.start("--workers", "4")
    eventually(lambda: asyncio.run(asked("SELECT count(*) FROM lease")) == 6, "all duties to be taken")
    owners = asyncio.run(asked("SELECT count(DISTINCT owner) FROM lease"))
    assert owners == 1
    rows = "SELECT string_agg(name || expires_at, ',' ORDER BY name) FROM lease"
    leases = asyncio.run(asked(rows))
    looks = "SELECT sum(idx_scan + seq_scan) FROM pg_stat_user_tables WHERE relname = 'lease'"
    seen = asyncio.run(asked(looks))
    # Each duty is looked at several times, and its lease is not written again.
    eventually(lambda: asyncio.run(asked(looks)) >= seen + 4, "duties to be looked at")
    assert asyncio.run(asked(rows)) == leases
    assert serving.stop() == 0
