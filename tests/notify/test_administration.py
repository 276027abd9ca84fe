"""What operators see and do: endpoints, the log, dead letters, retry and replay."""

from __future__ import annotations

from outbox_parts import World, running, settled, until
from sqlalchemy import update

from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.events import EventType
from ekiden.core.notices import News
from ekiden.lab.http import HttpRule
from ekiden.notify import administration
from ekiden.notify.config import CallbacksConfig
from ekiden.store.tables import notice

EVERYTHING = 1_000_000 * DAY


async def empty(world: World) -> bool:
    return await world.count_live() == 0


async def test_endpoints_with_what_waits(world: World) -> None:
    route, idle = await world.route(), await world.route("/idle")
    begun = world.clock.now()
    for _ in range(3):
        await world.accept(route)
        world.clock.advance(MINUTE)
    async with world.store.write() as connection:
        ids = [row.id for row in await world.notices()]
        await connection.execute(update(notice).where(notice.c.id == ids[1]).values(dead_at=begun + DAY))
    busy, quiet = await administration.list_endpoints(world.store, world.account)
    assert (busy.id, busy.waiting, busy.dead, busy.oldest) == (route.endpoint_id, 2, 1, begun)
    assert (quiet.id, quiet.waiting, quiet.dead, quiet.oldest) == (idle.endpoint_id, 0, 0, None)
    assert [item.id for item in await administration.list_endpoints(world.store, busy=True)] == [busy.id]
    assert await administration.list_endpoints(world.store, world.account + 1) == []
    assert await administration.backlog(world.store) == (2, begun)
    [dead] = await administration.list_dead(world.store, world.account, route.endpoint_id)
    assert (dead.event_id, dead.type, dead.at) == (ids[1], EventType.ACCEPTED, begun + MINUTE)


async def test_the_log(world: World) -> None:
    good, bad = await world.route("/good"), await world.route("/bad")
    world.receiver.put("/bad", [HttpRule(status=500, body="out of order")])
    await world.accept(good, bad)
    async with running(await world.outbox()) as outbox:
        await settled(world, outbox)
    newest = await administration.list_requests(world.store)
    assert {(item.endpoint_id, item.status) for item in newest} == {(good.endpoint_id, 200), (bad.endpoint_id, 500)}
    [failed] = await administration.list_requests(world.store, world.account, failed=True)
    assert (failed.status, failed.answer, len(failed.events)) == (500, "out of order", 1)
    assert await administration.list_requests(world.store, endpoint_id=99) == []


async def test_retry_gives_everything_another_chance(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(disconnect="reset")])
    await world.accept(route)
    async with running(await world.outbox(config=CallbacksConfig(expire_after=3600.0))) as outbox:
        for _ in range(12):
            await settled(world, outbox)
            world.clock.advance(HOUR)
        await until(lambda: empty(world), outbox)
    # Nobody tells the new one before the old one has its chance.
    new = await world.accept(route)
    world.receiver.put("/hook", [])
    assert await administration.retry(world.store, [route.endpoint_id], world.clock.now()) == 1
    async with running(await world.outbox(config=CallbacksConfig(expire_after=3600.0))) as outbox:
        await until(lambda: empty(world), outbox)
    told = [item["message"] for item in world.told()]
    assert told == sorted(told)
    assert len(told) == 2
    assert told[1] == new.message.id


async def test_retry_may_leave_the_dead(world: World) -> None:
    route = await world.route()
    await world.accept(route)
    async with world.store.write() as connection:
        await connection.execute(update(notice).values(dead_at=1))
    now = world.clock.now()
    assert await administration.retry(world.store, [route.endpoint_id], now, dead=False) == 0
    assert await administration.retry(world.store, [route.endpoint_id], now) == 1


async def test_a_time_is_told_once_more(world: World) -> None:
    route, final = await world.route(), await world.route("/final", news=int(News.FINAL))
    times = []
    async with running(await world.outbox()) as outbox:
        for _ in range(4):
            times.append(world.clock.now())
            new = await world.accept(route, final)
            world.clock.advance(HOUR)
            await world.delivered(new)
        await until(lambda: empty(world), outbox)
        before = [item["id"] for item in world.told()]
        # The second hour: what was delivered at its beginning and accepted in it.
        span = (times[1], times[2])
        now = world.clock.now()
        counted = await administration.replay_range(world.store, route.endpoint_id, *span, now, dry_run=True)
        assert counted == 2
        assert await empty(world)
        assert await administration.replay_range(world.store, route.endpoint_id, *span, now) == 2
        assert await administration.replay_range(world.store, final.endpoint_id, *span, now) == 1
        assert await administration.replay_range(world.store, 99, *span, now) == 0
        await until(lambda: empty(world), outbox)
    again = [item["id"] for item in world.told()][len(before) :]
    assert again == before[1:3]


async def test_what_waits_already_is_not_doubled(world: World) -> None:
    route = await world.route()
    world.receiver.put("/hook", [HttpRule(status=503)])
    await world.accept(route)
    now = world.clock.now() + 1
    assert await administration.replay_range(world.store, route.endpoint_id, 0, now, now) == 1
    assert await world.count_live() == 1


async def test_one_event_is_told_once_more(world: World) -> None:
    route, other = await world.route(), await world.route("/other")
    await world.accept(route, other)
    async with running(await world.outbox()) as outbox:
        await until(lambda: empty(world), outbox)
        id = world.told()[0]["id"]
        now = world.clock.now()
        assert await administration.replay_event(world.store, id, now, dry_run=True) == 2
        assert await administration.replay_event(world.store, id, now, endpoint_id=other.endpoint_id) == 1
        assert await administration.replay_event(world.store, id + 1, now) == 0
        await until(lambda: empty(world), outbox)
    assert [item["id"] for item in world.told("/other")] == [id, id]
    assert len(world.told()) == 1


async def test_a_dead_letter_comes_alive_by_replay(world: World) -> None:
    route = await world.route()
    await world.accept(route)
    async with world.store.write() as connection:
        await connection.execute(update(notice).values(dead_at=1, attempts=9))
    [dead] = await world.notices()
    assert await administration.replay_event(world.store, dead.id, world.clock.now()) == 1
    [alive] = await world.notices()
    assert (alive.dead_at, alive.attempts) == (None, 0)
