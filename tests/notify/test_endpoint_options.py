"""What an endpoint wants otherwise than configured: it gathers, has times of its own, is paused, has settings."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from outbox_parts import World, events_of, running, settled, until
from sqlalchemy import update

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.core.events import EventType
from ekiden.core.notices import News, Route
from ekiden.lab.http import HttpRule
from ekiden.notify import queries
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.options import Kept, Options, read_options
from ekiden.notify.outbox import Outbox
from ekiden.notify.schedule import Pace
from ekiden.store.tables import endpoint


async def gathering(world: World, gather: int, most: int, path: str = "/hook") -> Route:
    route = await world.route(path, "adjusted")
    await world.set_options(route, Options(gather=gather, most=most))
    return route


async def looks(world: World, outbox: Outbox, times: int = 2) -> None:
    """The outbox has looked: what needs no time arrives meanwhile."""
    other = await world.route("/other")
    for _ in range(times):
        before = len(world.told("/other"))
        await world.accept(other)
        await until(lambda: len(world.told("/other")) > before, outbox)  # noqa: B023
        await until(lambda: not outbox._rounds, outbox)


def sizes(world: World, path: str = "/hook") -> list[int]:
    return [len(events_of(request)) for request in world.receiver.find(path)]


async def test_news_gathers_until_the_oldest_of_it_is_old_enough(world: World) -> None:
    route = await gathering(world, 60 * SECOND, 100)
    async with running(await world.outbox()) as outbox:
        await world.accept(route)
        world.clock.advance(40 * SECOND)
        await world.accept(route)
        world.clock.advance(20 * SECOND - 1)
        await looks(world, outbox)
        assert sizes(world) == []
        world.clock.advance(1)
        await until(lambda: sizes(world) == [2], outbox)
        # The next one begins with the oldest that waits then.
        await world.accept(route)
        world.clock.advance(60 * SECOND - 1)
        await looks(world, outbox)
        assert sizes(world) == [2]
        world.clock.advance(1)
        await until(lambda: sizes(world) == [2, 1], outbox)


async def test_what_fills_a_request_goes_at_once_and_the_rest_gathers_on(world: World) -> None:
    route = await gathering(world, 600 * SECOND, 10)
    async with running(await world.outbox()) as outbox:
        for _ in range(25):
            await world.accept(route)
            world.clock.advance(1)
        await until(lambda: len(world.told()) >= 20, outbox)
        await looks(world, outbox)
        assert sizes(world) == [10, 10]
        world.clock.advance(600 * SECOND)
        await until(lambda: sizes(world) == [10, 10, 5], outbox)
    told = [item["id"] for item in world.told()]
    assert told == sorted(told)


async def test_a_request_takes_as_much_as_its_endpoint_says(world: World) -> None:
    """More than the operator's ``batch``, and more than a page."""
    route = await gathering(world, 10 * SECOND, 10_000)
    new = await world.accept(route)
    for _ in range(1300):
        await world.note(new)
    async with running(await world.outbox(config=CallbacksConfig(timeout=5.0, batch=7))) as outbox:
        world.clock.advance(10 * SECOND)
        await until(world.told, outbox)
        await until(lambda: not outbox._rounds, outbox)
    assert sizes(world) == [1301]


async def test_a_request_does_not_end_in_the_midst_of_a_moment(world: World) -> None:
    route = await gathering(world, 10 * SECOND, 4)
    for _ in range(3):
        new = await world.accept(route)
        await world.note(new)
        world.clock.advance(1)
        await world.note(new)
        world.clock.advance(1)
    world.clock.advance(HOUR)
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.told()) == 9, outbox)
    assert sizes(world) == [3, 3, 3]


async def test_many_at_one_moment_fill_requests_all_the_same(world: World) -> None:
    route = await gathering(world, 10 * SECOND, 4)
    new = await world.accept(route)
    for _ in range(6):
        await world.note(new)
    world.clock.advance(HOUR)
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.told()) == 7, outbox)
    assert sizes(world) == [4, 3]


async def test_postponed_news_does_not_hide_how_old_the_rest_is(world: World) -> None:
    route = await gathering(world, 60 * SECOND, 100)
    bad = await world.accept(route)
    world.clock.advance(60 * SECOND)
    world.receiver.put("/hook", [HttpRule(status=400)])
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.receiver.find("/hook"), outbox)
        await until(lambda: not outbox._rounds, outbox)
        [postponed] = await world.notices()
        assert (postponed.message_id, postponed.attempts) == (bad.message.id, 1)
        world.receiver.put("/hook", [])
        good = await world.accept(route)
        world.clock.advance(MINUTE)
        await until(lambda: len(world.told()) == 2, outbox)
    assert {item["message"] for item in world.told()} == {bad.message.id, good.message.id}


async def test_nothing_is_sent_while_an_endpoint_is_paused(world: World) -> None:
    route = await world.route()
    await world.set_options(route, Options(paused=True))
    await world.accept(route)
    world.clock.advance(30 * DAY)
    async with running(await world.outbox()) as outbox:
        await looks(world, outbox)
        assert world.told() == []
        await world.set_options(route, Options())
        await until(lambda: len(world.told()) == 1, outbox)


async def test_failures_are_repeated_at_fixed_times_and_given_up_after_a_period(world: World) -> None:
    route = await world.route()
    kept = Kept(retry_every=3 * HOUR, retry_for=DAY)
    await world.set_options(route, Options(kept=kept))
    world.receiver.put("/hook", [HttpRule(disconnect="close")])
    old = await world.accept(route)
    async with running(await world.outbox()) as outbox:
        for count in range(1, 9):
            await until(lambda: len(world.receiver.find("/hook")) == count, outbox)  # noqa: B023
            await until(lambda: not outbox._rounds, outbox)
            row = await world.endpoint(route.endpoint_id)
            assert row.retry_at == world.clock.now() + 3 * HOUR
            world.clock.advance(3 * HOUR)
        assert await world.notices(dead=True) == []
        await settled(world, outbox)
        await until(lambda: world.notices(dead=True), outbox)
        [dead] = await world.notices(dead=True)
        assert (dead.message_id, dead.dead_at - old.message.accepted_at) == (old.message.id, DAY)


async def test_a_refusal_is_repeated_at_fixed_times_too(world: World) -> None:
    route = await world.route()
    await world.set_options(route, Options(kept=Kept(retry_every=10 * SECOND, retry_for=30 * SECOND)))
    world.receiver.put("/hook", [HttpRule(status=400)])
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        for count in range(1, 5):
            await until(lambda: len(world.receiver.find("/hook")) == count, outbox)  # noqa: B023
            await until(lambda: not outbox._rounds, outbox)
            world.clock.advance(10 * SECOND)
        await until(lambda: world.notices(dead=True), outbox)


def test_the_pace_of_tries() -> None:
    fixed = Pace(10 * SECOND, HOUR, DAY)
    assert [fixed.wait_after(n) for n in (1, 2, 9)] == [10 * SECOND] * 3
    assert fixed.waited(6) == MINUTE
    growing = Pace(0, HOUR, DAY)
    assert [growing.wait_after(n) for n in (1, 2, 3, 99)] == [MINUTE, 2 * MINUTE, 5 * MINUTE, HOUR]


async def test_an_endpoint_has_a_timeout_of_its_own(world: World) -> None:
    route = await world.route()
    await world.set_options(route, Options(kept=Kept(timeout=50)))
    world.receiver.put("/hook", [HttpRule(delay=60)])
    await world.accept(route)
    async with running(await world.outbox(config=CallbacksConfig(timeout=600.0))) as outbox:
        await until(world.log, outbox)
    [line] = await world.log()
    assert "0.05" in line.answer


async def test_settings_reach_the_format_and_changes_are_for_what_waits(world: World) -> None:
    route = await world.route(format="adjusted")
    await world.set_options(route, Options(kept=Kept(settings={"prefix": "one"})))
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.told()) == 1, outbox)
        await world.set_options(route, Options(kept=Kept(settings={"prefix": "two"})))
        await world.accept(route)
        await until(lambda: len(world.told()) == 2, outbox)
    assert [json.loads(request.body)["prefix"] for request in world.receiver.find("/hook")] == ["one", "two"]


@pytest.mark.parametrize("text", ['{"settings":{"strange":1}}', "not JSON", '{"timeout":-1}'])
async def test_options_that_cannot_be_read_stop_nobody_else(world: World, text: str) -> None:
    bad, good = await world.route("/bad", "adjusted"), await world.route("/good", "adjusted")
    async with world.store.write() as connection:
        changed = update(endpoint).where(endpoint.c.id == bad.endpoint_id).values(options=text)
        await connection.execute(changed)
    await world.accept(bad, good)
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.told("/good"), outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert (await world.endpoint(bad.endpoint_id)).failures == 1
    assert world.receiver.find("/bad") == []


def test_options_as_the_store_has_them() -> None:
    assert Options().columns() == {"gather": 0, "most": 0, "paused": False, "options": ""}
    kept = Kept(timeout=5000, retry_every=10_000, retry_for=DAY, settings={"zone": "Asia/Tokyo"})
    assert read_options(Options(kept=kept).columns()["options"]) == kept
    assert read_options('{"timeout":5,"of a newer Ekiden":[]}') == Kept(timeout=5)


async def test_failures_are_told_without_what_arrived(world: World) -> None:
    """``News.FAILURE`` costs a message that arrives nothing."""
    failures, each = await world.route("/failures", news=News.FAILURE), await world.route("/each", news=News.EACH)
    new = await world.accept(failures, each)
    await world.delivered(new)
    assert await world.notices() == []
    for type_ in (EventType.LATE_BOUNCE, EventType.OPENED, EventType.COMPLAINED, EventType.QUEUED):
        await world.note(new, type_)
    assert len(await world.notices()) == 2
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.told("/failures") and world.told("/each"), outbox)
    assert [item["type"] for item in world.told("/failures")] == ["LATE_BOUNCE"]
    assert [item["type"] for item in world.told("/each")] == ["QUEUED"]


def test_sqlite_looks_at_one_notice_of_what_gathers(sqlite_template: Path) -> None:
    sql = queries._DUE_ENDPOINTS.format(crowded="", oldest=queries._OLDEST)
    values = {"worker": 1, "now": 2, "after": 0, "limit": 9, "counted": 10, "later": 3}
    connection = sqlite3.connect(f"file:{sqlite_template}?mode=ro", uri=True)
    try:
        steps = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
    finally:
        connection.close()
    of_notices = [step for step in steps if step.startswith(("SEARCH n", "SCAN n"))]
    assert len(of_notices) == 6, steps
    assert all("INDEX ix_notice_live (endpoint_id" in step for step in of_notices), steps
    assert not any("TEMP B-TREE" in step for step in steps)
