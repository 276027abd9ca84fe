"""A worker renews its lease; what keeps it from that is told as what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from ekiden.net.clock import SystemClock
from ekiden.process.heartbeat import Heartbeat
from support.stores_away import store_away

if TYPE_CHECKING:
    from pathlib import Path

    from ekiden.store.api import Store
    from ekiden.store.standing import Standing

LEASE = 30.0


async def beating(store: Store) -> Heartbeat:
    async def replaced() -> Standing:
        raise AssertionError("nobody took it for dead")

    me = await store.register_worker("here", 1, None, int(LEASE * 1000))
    return Heartbeat(store, SystemClock(), me, LEASE, replaced)


async def test_an_outage_is_waited_for(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heartbeat = await beating(store)
    (tmp_path / "empty").mkdir()
    async with store_away(tmp_path / "empty") as away:
        monkeypatch.setattr(heartbeat, "_store", away)
        with capture_logs() as lines:
            await heartbeat.beat()
    assert not heartbeat.healthy
    assert [(line["event"], line["log_level"]) for line in lines] == [("the store does not answer", "warning")]
    monkeypatch.setattr(heartbeat, "_store", store)
    await heartbeat.beat()
    assert heartbeat.healthy


async def test_a_fault_of_ours_is_told_as_one_and_ends_no_worker(store: Store) -> None:
    heartbeat = await beating(store)

    async def named(before: str, after: str) -> None:
        async with store.write() as connection:
            await connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    await named("worker", "workers")
    with capture_logs() as lines:
        await heartbeat.beat()
        await heartbeat.beat()
    assert not heartbeat.healthy
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("this worker cannot renew its lease", "error")
    ]
    assert lines[0]["exc_info"] is not None
    await named("workers", "worker")
    await heartbeat.beat()
    assert heartbeat.healthy
