"""What befalls the processes: reloads by the dozen, workers that stand still, a database that goes away."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from arena import Arena, Watch

from support.demo_process import wait_for


def reloads(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 7: SIGHUP again and again. Workers are replaced, which is what was asked for."""
    count = 31 * scale
    watch.ended_by_us.update(range(1 << 22))
    supervisor = arena.demo.supervisor()
    for number in range(count):
        os.kill(supervisor, signal.SIGHUP)
        time.sleep(0.02 if number % 5 else 0.5)
    assert arena.demo.supervisor() == supervisor
    wait_for(lambda: len(arena.demo.workers()) == 2, "two workers")
    return f"{count} SIGHUPs"


def stopped_workers(arena: Arena, scale: int, watch: Watch) -> str:
    """Row 8: workers are stopped in the middle of their work, again and again, also with SQLite's turn."""
    for _ in range(2 * scale):
        victim = arena.demo.workers()[0]
        watch.ended_by_us.add(victim)
        os.kill(victim, signal.SIGSTOP)
        wait_for(lambda victim=victim: victim not in arena.demo.workers(), "a worker in its place")  # type: ignore[misc]
        wait_for(lambda: len(arena.demo.workers()) == 2, "two workers")
        time.sleep(2)
    return f"{2 * scale} workers stopped with SIGSTOP"


ROWS: tuple[dict[str, Any], ...] = (
    {"name": "reloads", "attack": reloads, "slowest": 15.0, "refusals": 60, "failures": 60},
    {
        "name": "stopped-workers",
        "attack": stopped_workers,
        "slowest": 30.0,
        "refusals": 60,
        "failures": 60,
        "duplicates": 5,
    },
)
