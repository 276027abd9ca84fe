"""Two machines on one PostgreSQL: either may die, their clocks may differ, the database may go and come back."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from node_process import Load, Node, Receiver, needs_faketime

from ekiden.core.events import EventType
from ekiden.store.open import upgrade
from ekiden.store.postgresql.embedded import EmbeddedPostgres

QUIET = "SELECT NOT EXISTS (SELECT FROM delivery WHERE state < 10)"  # core.states: all is final
DEAD_WEIGHT = "this worker was taken for dead: it gives up what it had and is registered anew"


def asked(database: EmbeddedPostgres, query: str) -> list[tuple[Any, ...]]:
    async def ask() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(database.url())
        try:
            return [tuple(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(tmp_path / "pg", durable=False) as server:
        asyncio.run(upgrade(server.url()))
        yield server


@needs_faketime
def test_two_machines(
    tmp_path: Path,
    database: EmbeddedPostgres,
    eventually: Callable[[Callable[[], Any], str], Any],
    record_property: Any,
) -> None:
    with ExitStack() as stack:
        receiver = stack.enter_context(Receiver())
        one, two, late = (Node(tmp_path / name, database.url(), receiver) for name in ("one", "two", "late"))
        for node in (one, two, late):
            stack.callback(node.close)
        one.command("account", "create", "relay", "--senders", "any")
        one.set_clock(3)
        one.start()
        two.start()
        # A machine whose clock is 20 s ahead says so, and does nothing to the others.
        late.set_clock(20)
        refusal = late.refuses()
        assert "s ahead of the database's (5 s are allowed)" in refusal
        assert "NTP" in refusal
        load = stack.enter_context(Load(one, two))

        def goes_on(node: Node, count: int = 30) -> None:
            reached = load.acknowledged[node] + count
            eventually(lambda: load.acknowledged[node] >= reached, "messages that are accepted")

        goes_on(one)
        goes_on(two)
        for node, other in ((two, one), (one, two)):
            node.lose_power()
            goes_on(other)
            node.start()
            goes_on(node)
        # The clock of a machine that runs is set wrong: work goes on, and its workers end nobody.
        alive = "SELECT id FROM worker WHERE ended_at IS NULL ORDER BY id"
        eventually(lambda: len(asked(database, alive)) == 4, "the end of those that died")
        before = asked(database, alive)
        one.set_clock(20)
        eventually(
            lambda: one.said("the clock of this machine is wrong: work goes on, times are off; set it by NTP"),
            "a word about the clock",
        )
        ended = "SELECT count(*) FROM worker WHERE expires_at < extract(epoch FROM clock_timestamp()) * 1000"
        renewals = "SELECT sum(expires_at) FROM worker WHERE ended_at IS NULL"
        ((was,),) = asked(database, renewals)
        eventually(lambda: asked(database, renewals)[0][0] > was + 4 * 3000, "all leases to be renewed")
        assert asked(database, alive) == before, asked(database, ended)
        one.set_clock(3)
        # The database is restarted.
        database.kill()
        database.start()
        goes_on(one)
        goes_on(two)
        assert asked(database, alive) == before
        # Both take their configuration again.
        for node in (one, two):
            node.signal(signal.SIGHUP)
        eventually(lambda: all(node.said("reloaded: all new workers take work") for node in (one, two)), "reloads")
        goes_on(one)
        goes_on(two)
        load.__exit__()
        eventually(lambda: load.recipients <= receiver.arrivals.keys(), f"{len(load.recipients)} messages")
        eventually(lambda: asked(database, QUIET) == [(True,)], "an end of everything")
        again = sum(receiver.arrivals.values()) - len(receiver.arrivals)
        ((unknown,),) = asked(database, f"SELECT count(*) FROM event WHERE type = {int(EventType.LEASE_LOST)}")
        record_property(
            "figures", f"{len(load.recipients)} acknowledged, 0 lost, {again} twice, {unknown} attempts cut off"
        )
        assert again <= unknown
        for node in (one, two):
            assert not node.said(DEAD_WEIGHT)
            assert not node.said("worker ended unasked, starting another")
            assert node.stop() == 0
