"""The outbox tells everything, in the order of each message, through every kind of trouble."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import sys
from contextlib import closing, suppress
from pathlib import Path

import pytest
from outbox_parts import World, events_of, running, settled, until
from sqlalchemy import update

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.core.events import EventType
from ekiden.core.notices import News
from ekiden.core.submission import Marks
from ekiden.lab.http import HttpRule
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.outbox import Outbox
from ekiden.store.records import Registration
from ekiden.store.tables import endpoint, event


async def empty(world: World) -> bool:
    return await world.count_live() == 0


def assert_in_order(world: World, path: str = "/hook") -> None:
    """The events of each message came in their order; what came twice has the same id."""
    seen: dict[int, list[int]] = {}
    for item in world.told(path):
        ids = seen.setdefault(item["message"], [])
        if item["id"] not in ids:
            ids.append(item["id"])
    assert all(ids == sorted(ids) for ids in seen.values())


async def test_events_arrive_in_the_order_of_their_message(world: World) -> None:
    route = await world.route()
    async with running(await world.outbox()) as outbox:
        made = [await world.accept(route) for _ in range(5)]
        for new in made:
            world.clock.advance(50)
            await world.delivered(new)
        await until(lambda: empty(world), outbox)
    for new in made:
        types = [item["type"] for item in world.told() if item["message"] == new.message.id]
        assert types == ["ACCEPTED", "DELIVERED"]
    assert {row.status for row in await world.log()} == {200}
    carried = [id for row in await world.log() for id in json.loads(row.notices)]
    assert sorted(carried) == sorted(item["id"] for item in world.told())


async def test_what_is_told(world: World) -> None:
    """A happening has what the store knows of the message, the recipient and the attempts."""
    marks = Marks("bulk-1", "ref-1", "app", "ent", "camp")
    new = await world.accept(await world.route(), marks=marks, subject="件名", labels={"callback": "data"})
    accepted = world.clock.now()
    world.clock.advance(1000)
    await world.delivered(new)
    told = []
    outbox = await world.outbox()
    written = outbox._formats["batched"].encode
    outbox._formats["batched"].encode = lambda happenings: told.extend(happenings) or written(happenings)  # type: ignore[method-assign, func-returns-value]
    async with running(outbox):
        await until(lambda: empty(world), outbox)
    first, second = told
    assert (first.type, first.number, first.recipient) == (EventType.ACCEPTED, 0, "a@x.example")
    assert (first.attempts, first.first_attempt_at) == (0, None)
    assert (second.type, second.number, second.recipient) == (EventType.DELIVERED, 1, "a@x.example")
    assert (second.code, second.enhanced, second.reason) == (250, "2.0.0", "250 2.0.0 Ok")
    assert (second.attempts, second.first_attempt_at) == (1, accepted + 1000 - 40)
    assert (second.bulk, second.reference, second.application) == ("bulk-1", "ref-1", "app")
    assert (second.entity, second.campaign, second.labels) == ("ent", "camp", {"callback": "data"})
    assert (second.subject, second.sender, second.accepted_at) == ("件名", "s@src.example", accepted)
    assert second.external_id == "ref-1"


async def test_an_event_of_a_whole_group_names_no_recipient(world: World) -> None:
    await world.accept(await world.route(), to=("a@x.example", "b@x.example"))
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    assert [item["to"] for item in world.told()] == [""]


async def test_batches_are_filled_and_singles_are_not(world: World) -> None:
    batched, single = await world.route("/many"), await world.route("/one", "single")
    for _ in range(25):
        await world.accept(batched, single)
    async with running(await world.outbox(batch=10)) as outbox:
        await until(lambda: empty(world), outbox)
    assert [len(events_of(request)) for request in world.receiver.find("/many")] == [10, 10, 5]
    assert [len(events_of(request)) for request in world.receiver.find("/one")] == [1] * 25


async def test_more_than_a_page_goes_in_one_go(world: World) -> None:
    route = await world.route()
    new = await world.accept(route)
    for _ in range(30):
        await asyncio.gather(*(world.note(new) for _ in range(50)))
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    assert len(world.told()) == 1501
    assert_in_order(world)


async def test_what_a_format_has_no_words_for_is_not_sent(world: World) -> None:
    new = await world.accept(await world.route())
    await world.note(new, EventType.RELEASED)
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    assert [item["type"] for item in world.told()] == ["ACCEPTED"]


async def test_a_receiver_that_fails_for_a_night_gets_everything(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(status=503)])
    made = []
    async with running(await world.outbox()) as outbox:
        for _ in range(9 * 6):
            new = await world.accept(route)
            made.append(new)
            world.clock.advance(10 * MINUTE)
            await world.delivered(new)
            await world.note(new, url="/x")
            await settled(world, outbox)
        down = len(world.receiver.find("/hook"))
        assert 5 <= down <= 20, "while it is down one request at a time is tried, ever more rarely"
        row = await world.endpoint(route.endpoint_id)
        assert row.failures == down
        assert world.clock.now() < row.retry_at <= world.clock.now() + HOUR
        ids = {notice.id for notice in await world.notices()}
        assert len(ids) == 3 * len(made)
        world.receiver.put("/hook", [])
        world.clock.advance(HOUR)
        await until(lambda: empty(world), outbox)
    told = [item["id"] for item in world.told()]
    assert sorted(told) == sorted(ids), "nothing is lost, nothing comes twice"
    assert_in_order(world)
    row = await world.endpoint(route.endpoint_id)
    assert (row.failures, row.failing_since) == (0, None)


@pytest.mark.parametrize("status", [500, 503, 404, 401, 302, 429])
async def test_what_is_the_endpoints_fault_waits_as_a_whole(world: World, status: int) -> None:
    route = await world.route()
    for _ in range(20):
        await world.accept(route)
    world.receiver.put("/hook", [HttpRule(status=status, body="no\0pe")])
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.receiver.callbacks, outbox)
        await until(lambda: not outbox._rounds, outbox)
    row = await world.endpoint(route.endpoint_id)
    assert (row.failures, row.retry_at - world.clock.now()) == (1, MINUTE)
    assert [(notice.attempts, notice.dead_at) for notice in await world.notices()] == [(0, None)] * 20
    [logged] = await world.log()
    assert (logged.status, logged.answer) == (status, "no\ufffdpe")


async def test_retry_after_is_honoured(world: World) -> None:
    route = await world.route()
    await world.accept(route)
    world.receiver.put("/hook", [HttpRule(status=429, headers={"Retry-After": "1800"})])
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.receiver.callbacks, outbox)
        await until(lambda: not outbox._rounds, outbox)
    row = await world.endpoint(route.endpoint_id)
    assert row.retry_at - world.clock.now() == 1800 * SECOND


async def test_a_dead_endpoint_costs_the_others_nothing(world: World) -> None:
    dead, alive = await world.route("/dead"), await world.route("/alive")
    world.receiver.put("/dead", [HttpRule(delay=60)])
    for _ in range(50):
        await world.accept(dead, alive)
    async with running(await world.outbox(config=CallbacksConfig(timeout=30.0))) as outbox:
        await until(lambda: len(world.told("/alive")) == 50, outbox)
        await until(lambda: alive.endpoint_id not in outbox._rounds, outbox)
        assert dead.endpoint_id in outbox._rounds, "it is still being waited for"
    assert {notice.endpoint_id for notice in await world.notices()} == {dead.endpoint_id}


async def refuse(world: World, poison: str) -> None:
    """The receiver answers 400 to whatever has ``poison`` in it."""
    handle = world.receiver.handle
    server = world.server

    async def picky(request):  # type: ignore[no-untyped-def]
        world.receiver.put("/hook", [HttpRule(status=400)] if poison.encode() in request.body else [])
        return await handle(request)

    server.handler = picky


async def test_one_bad_event_is_found_and_the_others_go_on(world: World) -> None:
    route = await world.route()
    await refuse(world, "poison")
    before = [await world.accept(route) for _ in range(20)]
    bad = await world.accept(route, subject="poison")
    await world.note(bad)
    after = [await world.accept(route) for _ in range(20)]
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.told()) == 40, outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert {item["message"] for item in world.told()} == {new.message.id for new in before + after}
        first, second = await world.notices()
        assert (first.attempts, first.due_at) == (1, world.clock.now() + MINUTE)
        assert (second.attempts, second.dead_at) == (0, None), "it stays behind the bad one"
        assert (await world.endpoint(route.endpoint_id)).failures == 0
        # New events go on while the bad one waits, and then it is tried alone.
        await world.accept(route)
        await until(lambda: len(world.told()) == 41, outbox)
        world.clock.advance(MINUTE)
        await until(lambda: world.receiver.callbacks[-1].status == 400, outbox)
        assert len(events_of(world.receiver.callbacks[-1])) == 1
        await until(lambda: not outbox._rounds, outbox)
        assert (await world.notices())[0].attempts == 2
        # Its time is over: it is dead, and what waited behind it goes.
        await refuse(world, "nothing is poison now")
        world.clock.advance(3 * DAY)
        await until(lambda: empty(world), outbox)
    assert_in_order(world)


@pytest.mark.parametrize("meanwhile", ["the same worker", "another worker"])
async def test_later_news_waits_behind_a_postponed_notice(world: World, meanwhile: str) -> None:
    """What is refused waits for its next time; what happens until then to the same message must not come first,
    whether this worker remembers the refusal or finds it in the store."""
    route = await world.route()
    await refuse(world, '"type": "ACCEPTED"')
    other = await world.accept(await world.route("/other"))
    new = await world.accept(route)

    async def is_postponed() -> bool:
        return [row.attempts for row in await world.notices() if row.message_id == new.message.id] == [1]

    async def look_twice(outbox: Outbox) -> None:
        """What happens to another message is told, and so it would be of this one."""
        for _ in range(2):
            before = len(world.told("/other"))
            await world.note(other)
            await until(lambda: len(world.told("/other")) > before, outbox)  # noqa: B023
            await until(lambda: not outbox._rounds, outbox)

    first = await world.outbox()
    async with running(first):
        await until(is_postponed, first)
        if meanwhile == "the same worker":
            await world.note(new)
            await look_twice(first)
            assert world.told() == []
    if meanwhile == "another worker":
        await world.note(new)
        second = await world.outbox()
        async with running(second):
            await look_twice(second)
            assert world.told() == []
    await refuse(world, "nothing")
    world.clock.advance(HOUR)
    async with running(await world.outbox()) as third:
        await until(lambda: empty(world), third)
    assert [item["type"] for item in world.told()] == ["ACCEPTED", "OPENED"]


async def test_a_bad_event_is_given_up_in_the_end(world: World) -> None:
    route = await world.route()
    await refuse(world, "poison")
    good = await world.accept(route)
    bad = await world.accept(route, subject="poison")
    config = CallbacksConfig(timeout=5.0, expire_after=300.0)
    async with running(await world.outbox(config=config)) as outbox:
        for _ in range(4):
            await settled(world, outbox)
            world.clock.advance(5 * MINUTE)
        await until(lambda: empty(world), outbox)
    assert [item["message"] for item in world.told()] == [good.message.id]
    [dead] = await world.notices(dead=True)
    assert dead.message_id == bad.message.id


async def test_an_event_that_cannot_be_written_stops_no_other(world: World) -> None:
    route = await world.route()
    await world.accept(route)
    await world.accept(route, subject="unspeakable")
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.told()) == 2, outbox)
        await until(lambda: not outbox._rounds, outbox)
    [left] = await world.notices()
    assert left.attempts == 1
    assert any("no words for it" in row.answer for row in await world.log())


async def test_a_receiver_that_refuses_everything_is_one_that_fails(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(status=400)])
    for _ in range(300):
        await world.accept(route)
    async with running(await world.outbox(config=CallbacksConfig(timeout=5.0, concurrency=1))) as outbox:
        await until(world.log, outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert len(world.receiver.callbacks) < 15
        assert (await world.endpoint(route.endpoint_id)).failures == 1
        world.receiver.put("/hook", [])
        world.clock.advance(HOUR)
        await until(lambda: empty(world), outbox)
    assert_in_order(world)


async def test_what_could_not_be_told_for_three_days_is_dead(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(disconnect="close")])
    old = await world.accept(route)
    async with running(await world.outbox()) as outbox:
        for _ in range(4 * 24):
            await settled(world, outbox)
            if await world.notices(dead=True):
                break
            world.clock.advance(HOUR)
        [dead] = await world.notices(dead=True)
        assert dead.message_id == old.message.id
        assert 3 * DAY <= dead.dead_at - old.message.accepted_at <= 3 * DAY + 3 * HOUR
        world.receiver.put("/hook", [])
        new = await world.accept(route)
        world.clock.advance(HOUR)
        await until(lambda: empty(world), outbox)
    assert [item["message"] for item in world.told()] == [new.message.id]


async def test_an_endpoint_belongs_to_one_worker_while_that_lives(world: World) -> None:
    route = await world.route()
    other = await world.store.register_worker("test.example", 2, world.clock.now(), 30 * DAY)
    async with world.store.write() as connection:
        await connection.execute(update(endpoint).values(owner=other.id))
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        for _ in range(5):
            outbox.wake()
            await asyncio.sleep(0.06)
        assert not world.receiver.callbacks
        await world.store.end_worker(other.id, world.clock.now())
        await until(lambda: empty(world), outbox)
        assert (await world.endpoint(route.endpoint_id)).owner == world.worker.id
    assert (await world.endpoint(route.endpoint_id)).owner is None, "given back at the end"


async def test_nothing_is_lost_when_a_worker_is_killed(world: World, store_url: str) -> None:
    """What was under way comes again with the same ids, from whoever takes over."""
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(delay=0.02)])
    made = [await world.accept(route) for _ in range(200)]
    for new in made:
        await world.delivered(new)
    victim = await world.store.register_worker("test.example", 2, world.clock.now(), 30 * DAY)
    here = Path(__file__).parent
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(here / "outbox_process.py"), store_url, str(victim.id), str(victim.node)),
        env={**os.environ, "PYTHONPATH": str(here.parent)},
    )
    try:
        await until(lambda: len(world.receiver.callbacks) >= 5)
    finally:
        process.kill()
        await process.wait()
    left = await world.count_live()
    assert left, "it was killed in the midst of its work"
    assert (await world.endpoint(route.endpoint_id)).owner == victim.id
    await world.store.end_worker(victim.id, world.clock.now())
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    told = world.told()
    ids = {item["id"] for item in told}
    assert len(ids) == 400
    assert len({(item["message"], item["type"]) for item in told}) == 400, (
        "one id for each event, also for the second time"
    )
    assert_in_order(world)


async def test_two_workers_share_the_endpoints(world: World) -> None:
    other: Registration = await world.store.register_worker("test.example", 2, world.clock.now(), 30 * DAY)
    routes = [await world.route(f"/hook/{number}") for number in range(20)]
    async with running(await world.outbox()) as first, running(await world.outbox(worker=other)) as second:
        for _ in range(5):
            new = await world.accept(*routes)
            await world.delivered(new)
            first.wake()
            second.wake()
        await until(lambda: empty(world), first)
    assert len(world.told()) == 20 * 5 * 2
    for number in range(20):
        assert_in_order(world, f"/hook/{number}")


async def test_draining_ends_what_is_under_way(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(delay=0.3)])
    await world.accept(route)
    outbox = await world.outbox()
    task = asyncio.create_task(outbox.run())
    await until(lambda: world.receiver.callbacks, outbox)
    await outbox.drain(10)
    await task
    assert await empty(world)
    assert (await world.endpoint(route.endpoint_id)).owner is None


async def test_what_was_taken_is_kept_when_the_worker_is_stopped(world: World) -> None:
    fast, slow = await world.route("/fast", "single"), await world.route("/slow", "single")
    world.receiver.put("/slow", [HttpRule(times=1), HttpRule(delay=60)])
    for _ in range(3):
        await world.accept(fast, slow)
    async with running(await world.outbox(config=CallbacksConfig(concurrency=1))) as outbox:
        await until(lambda: len(world.receiver.find("/slow")) == 2, outbox)
        await until(lambda: len(world.told("/fast")) == 3, outbox)
    assert len(await world.notices()) == 2
    assert len({row.id for row in await world.log()}) == 4


async def test_an_unknown_format_waits_and_says_why(world: World) -> None:
    route = await world.route()
    async with world.store.write() as connection:
        await connection.execute(update(endpoint).values(format="of tomorrow"))
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        await until(world.log, outbox)
    [row] = await world.log()
    assert "of tomorrow" in row.answer
    assert (await world.endpoint(route.endpoint_id)).failures == 1
    assert await world.count_live() == 1


async def test_an_event_that_is_not_kept_any_more_goes(world: World) -> None:
    route = await world.route()
    await world.accept(route)
    async with world.store.write() as connection:
        await connection.execute(event.delete())
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    assert not world.receiver.callbacks


async def test_only_what_is_wanted_is_noted(world: World) -> None:
    route = await world.route(news=int(News.FINAL))
    new = await world.accept(route)
    await world.delivered(new)
    await world.note(new)
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
    assert [item["type"] for item in world.told()] == ["DELIVERED"]


async def test_cancelled_while_it_waits(world: World) -> None:
    outbox = await world.outbox()
    task = asyncio.create_task(outbox.run())
    await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert outbox._client is None


async def test_results_are_not_forgotten_while_the_database_is_away(world: World, store_url: str) -> None:
    """What was taken is written once the database is back, and not sent again meanwhile."""
    if not store_url.startswith("sqlite"):
        pytest.skip("only a file can be locked from here")
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(delay=0.5)])
    await world.accept(route)
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.receiver.callbacks, outbox)
        # A tool that does not know our turn holds the database for longer than anybody waits for it.
        with closing(sqlite3.connect(store_url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await asyncio.sleep(12)
            other.execute("ROLLBACK")
        await until(lambda: empty(world), outbox)
    assert len(world.receiver.callbacks) == 1


async def test_a_fault_of_ours_is_told_as_one_and_ends_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await world.accept(await world.route())

    async def named(before: str, after: str) -> None:
        async with world.store.write() as connection:
            await connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")

    async def heard() -> bool:
        return "callbacks wait for the database" in caplog.text

    await named("endpoint", "mislaid")
    async with running(await world.outbox()) as outbox:
        await until(heard, outbox)
        assert {record.levelname for record in caplog.records} == {"ERROR"}
        assert "Traceback" in caplog.text
        await named("mislaid", "endpoint")
        await until(lambda: empty(world), outbox)
    assert len(world.receiver.callbacks) == 1


async def test_endpoints_beyond_the_limit_have_their_turn(world: World) -> None:
    routes = [await world.route(f"/hook/{number}") for number in range(30)]
    for _ in range(3):
        await world.accept(*routes)
    async with running(await world.outbox(config=CallbacksConfig(timeout=5.0, endpoints=4))) as outbox:
        await until(lambda: empty(world), outbox)
    assert all(len(world.told(f"/hook/{number}")) >= 3 for number in range(30))
    assert len(world.told()) == 90


@pytest.mark.parametrize("seed", range(3))
async def test_any_trouble_at_all(world: World, seed: int) -> None:
    """Receivers that answer by chance: everything arrives, in order for each message, or is refused for good."""
    chance = random.Random(seed)
    routes = [await world.route("/hook/many"), await world.route("/hook/one", "single")]
    handle, server = world.receiver.handle, world.server

    async def moody(request):  # type: ignore[no-untyped-def]
        luck = chance.random()
        rule = HttpRule()
        if luck < 0.2:
            rule = HttpRule(status=chance.choice([400, 500, 503, 422]))
        elif luck < 0.25:
            rule = HttpRule(disconnect="reset")
        world.receiver.put("/hook", [rule])
        return await handle(request)

    server.handler = moody
    noted = 0
    config = CallbacksConfig(timeout=5.0, expire_after=10 * 365 * 86_400.0)
    async with running(await world.outbox(batch=7, config=config)) as outbox:
        for _ in range(15):
            made = [await world.accept(*routes) for _ in range(4)]
            for new in made:
                await world.delivered(new)
                await world.note(new)
            noted += 3 * len(made)
            world.clock.advance(20 * MINUTE)
            outbox.wake()
            await asyncio.sleep(0.02)

        async def later() -> bool:
            world.clock.advance(HOUR)
            return await empty(world)

        await until(later, outbox, seconds=90)
    assert not await world.notices(dead=True)
    for path in ("/hook/many", "/hook/one"):
        assert len({item["id"] for item in world.told(path)}) == noted
        assert_in_order(world, path)
