"""Upgrades from every revision there ever was, with rows in every table, while a worker of that time lives."""

from __future__ import annotations

from pathlib import Path

import pytest
from old_database import OLD_WORKER, REVISIONS, ROWS, make_old, read_rows

from ekiden.core.states import State
from ekiden.net.clock import SystemClock
from ekiden.store.api import StillInUse
from ekiden.store.open import current_revision, head_revision, open_store, upgrade
from ekiden.store.workers import end


@pytest.fixture(params=["sqlite", "postgresql"])
def old_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'old.db'}"
    url: str = request.getfixturevalue("empty_postgresql_url")
    return url


@pytest.mark.parametrize("revision", REVISIONS[:-1])
async def test_nothing_is_lost(old_url: str, revision: str) -> None:
    now = SystemClock().now()
    before = await make_old(old_url, revision, now)
    assert all(len(rows) == ROWS for name, rows in before.items() if name != "alembic_version")

    # While the old worker lives, it is told, and nothing is touched.
    for _ in range(2):
        with pytest.raises(StillInUse) as caught:
            await upgrade(old_url)
        assert caught.value.workers == ("old.example, process 4711",)
    with pytest.raises(StillInUse):
        await open_store(old_url, migrate=True)
    assert await current_revision(old_url) == revision
    assert await read_rows(old_url) == before

    # Whoever insists has all of it afterwards.
    assert await upgrade(old_url, in_use=True) == head_revision()
    after = await read_rows(old_url)
    for name, rows in before.items():
        if name != "alembic_version":
            kept = [{key: value for key, value in row.items() if key in rows[0]} for row in after[name]]
            assert kept == rows, name

    # What the old worker is sending stays its own, until it is gone: then it is tried again.
    store = await open_store(old_url)
    try:
        me = await store.register_worker("new.example", 1, now, 3_600_000)
        claimed = await store.claim(me.id, now, 10)
        assert sorted(item.message.id for item in claimed) == [2, 3]
        assert [await store.content(1, number) for number in (1, 2, 3)] == [
            b"Subject: %d\r\n\r\nbody\r\n" % number for number in (1, 2, 3)
        ]
        async with store.write() as connection:
            await end(connection, OLD_WORKER, now)
        assert await store.reap(now) == 1
        stats = await store.stats()
        assert (stats.by_state[State.SENDING], stats.by_state[State.DEFERRED]) == (2, 1)
    finally:
        await store.close()


async def test_workers_that_are_gone_keep_nobody(old_url: str) -> None:
    """Its lease has ended, though nobody has written so: it crashed with the machine."""
    await make_old(old_url, REVISIONS[0], SystemClock().now() - 7_200_000)
    assert await upgrade(old_url) == head_revision()


async def test_an_upgrade_that_is_done_is_no_matter_of_workers(store_url: str) -> None:
    store = await open_store(store_url)
    try:
        await store.register_worker("new.example", 1, SystemClock().now(), 3_600_000)
        assert await upgrade(store_url) == head_revision()
    finally:
        await store.close()
