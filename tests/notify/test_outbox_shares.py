"""One account's receivers that never answer hold up nobody else's, and URLs that nobody names any more end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from outbox_parts import ALL, LAB, VAULT, World, running, settled, until
from sqlalchemy import delete, func, select, update

from ekiden.access.accounts import create_account, set_reporting
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.notices import Route
from ekiden.notify.config import CallbacksConfig
from ekiden.notify.endpoints import Endpoints
from ekiden.notify.formats import PULL
from ekiden.notify.origins import SILENT, Origins
from ekiden.notify.schedule import wait_after
from ekiden.store.retention import RetentionConfig, prune
from ekiden.store.tables import callback, endpoint, message, notice
from support.manual_clock import ManualClock

PLACES = 8
URLS = 120


@asynccontextmanager
async def black_holes(count: int) -> AsyncIterator[tuple[list[str], list[int]]]:
    """So many ports that take requests and never answer; with the number of all connections."""
    connections = [0]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections[0] += 1
        try:
            while await reader.read(65_536):
                pass
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async with AsyncExitStack() as stack:
        servers = [await asyncio.start_server(serve, "127.0.0.1", 0) for _ in range(count)]
        for server in servers:
            await stack.enter_async_context(server)
        yield [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}" for server in servers], connections


async def greedy_messages(world: World, urls: list[str]) -> None:
    """Another account's messages, each with a URL of its own."""
    account, ours = (await create_account(world.store, "greedy", world.clock.now())).id, world.account
    world.account = account
    try:
        for number, url in enumerate(urls):
            found = await world.endpoints.find(account, "single", f"{url}/{number}")
            await world.accept(Route(found, ALL))
    finally:
        world.account = ours


async def test_receivers_that_never_answer_leave_others_room(world: World) -> None:
    async with black_holes(URLS) as (urls, connections):
        # Hosts that are all different: no breaker helps, only what each account may hold.
        await greedy_messages(world, urls)
        config = CallbacksConfig(timeout=5.0, endpoints=PLACES)
        async with running(await world.outbox(config=config)) as outbox:
            await until(lambda: connections[0] > 0)
            for number in range(3):
                new = await world.accept(await world.route(f"/hook{number}"))
                await until(lambda number=number: world.told(f"/hook{number}"), outbox, seconds=20)  # type: ignore[misc]
                await world.delivered(new)
            assert 0 < outbox._places.held(world.account + 1) <= PLACES // 2


async def test_many_notices_of_one_account_leave_others_room(world: World) -> None:
    """Notices in memory are shared, too: a few URLs with thousands of events must not fill it."""
    async with black_holes(1) as ([url], connections):
        account, ours = (await create_account(world.store, "greedy", world.clock.now())).id, world.account
        world.account = account
        found = [await world.endpoints.find(account, "single", f"{url}/{number}") for number in range(3)]
        for _ in range(20):
            for number in found:
                await world.accept(Route(number, ALL))
        world.account = ours
        config = CallbacksConfig(timeout=5.0, endpoints=64)
        outbox = await world.outbox(config=config)
        outbox._memory.total = outbox._memory.free = 20
        async with running(outbox):
            await until(lambda: connections[0] > 0)
            await world.accept(await world.route())
            await until(world.told, outbox, seconds=20)
            assert outbox._memory.held(account) <= 15


async def test_a_host_that_is_down_is_found_out_once_for_all_its_urls(world: World) -> None:
    async with black_holes(1) as ([url], connections):
        await greedy_messages(world, [url] * 60)
        config = CallbacksConfig(timeout=0.3, endpoints=64)
        async with running(await world.outbox(config=config)) as outbox:
            await settled(world, outbox)
            first = connections[0]
            assert SILENT <= first <= 60 // 2 + SILENT
            rows = [await world.endpoint(row.endpoint_id) for row in await world.notices(dead=False)]
            assert {row.failures for row in rows} == {1}
            assert len(rows) == 60
            # After a minute one of them finds out that it still is.
            world.clock.advance(MINUTE)
            await settled(world, outbox)
            assert connections[0] == first + 1
            # What was tried by nobody is given up at the same time as the rest.
            for _ in range(30):
                world.clock.advance(4 * HOUR)
                await settled(world, outbox)
                if not await world.count_live():
                    break
            assert await world.notices(dead=False) == []


async def test_a_host_that_comes_back_is_told_everything(world: World) -> None:
    routes = [await world.route(f"/{number}") for number in range(30)]
    for route in routes:
        await world.accept(route)
    origins = Origins(world.clock, HOUR)
    outbox = await world.outbox()
    outbox._origins = origins
    for _ in range(SILENT):
        origins.was_silent(world.account, world.url)
    async with running(outbox):
        await settled(world, outbox)
        assert not world.receiver.callbacks
        for _ in range(10):
            world.clock.advance(HOUR)
            await settled(world, outbox)
        assert await world.count_live() == 0
    assert len(world.receiver.callbacks) == 30


def test_the_breaker_of_a_host() -> None:
    clock = ManualClock()
    origins = Origins(clock, HOUR)
    url, other = "https://a.example/1", "https://A.example:443/2"
    for _ in range(SILENT - 1):
        assert origins.may_try(1, url)
        origins.was_silent(1, url)
    origins.answered(1, url)
    for _ in range(SILENT + 5):  # the last ones had begun before
        origins.was_silent(1, "https://a.example/3")
    assert not origins.may_try(1, url)
    assert origins.may_try(2, url), "another account's experience"
    assert origins.may_try(1, other), "another port, as far as anybody knows"
    for failures in (1, 2, 3):
        clock.advance(wait_after(failures, HOUR) - 1)
        assert not origins.may_try(1, url)
        clock.advance(1)
        assert origins.may_try(1, url)
        assert not origins.may_try(1, url), "one at a time"
        if failures == 2:
            origins.not_tried(1, url)
            assert origins.may_try(1, url)
        origins.was_silent(1, url)
    clock.advance(HOUR)
    assert origins.may_try(1, url)
    origins.answered(1, url)
    assert origins.may_try(1, url)
    assert origins.may_try(1, url)


# ---- endpoints end


async def count_endpoints(world: World) -> int:
    async with world.store.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(endpoint)) or 0)


@pytest.fixture
async def reports(world: World) -> int:
    """An endpoint that the account as a whole names."""
    found = await world.endpoints.find(world.account, PULL, "")
    await set_reporting(world.store, "acme", world.clock.now(), reports_endpoint=found, suppress_bounces=False)
    return found


async def test_endpoints_that_nothing_names_any_more_end(world: World, reports: int) -> None:
    keep = RetentionConfig()
    for number in range(5):
        new = await world.accept(await world.route(f"/{number}"))
        await world.delivered(new)
    async with running(await world.outbox()) as outbox:
        await until(lambda: len(world.receiver.callbacks) >= 5, outbox)
        await settled(world, outbox)
    world.clock.advance(DAY)
    assert "endpoint" not in await prune(world.store, world.clock.now(), keep)
    world.clock.advance(31 * DAY)
    assert (await prune(world.store, world.clock.now(), keep))["endpoint"] == 5
    assert await count_endpoints(world) == 1, "reports wait there to be fetched"
    # One that comes back is made again.
    route = await world.route("/0")
    await world.accept(route)
    assert (await world.endpoint(route.endpoint_id)).used_at == world.clock.now()


@pytest.mark.parametrize("what", ["message", "notice", "log", "owner", "lately"])
async def test_what_may_still_be_named_stays(world: World, what: str) -> None:
    route = await world.route()
    new = await world.accept(route)
    await world.delivered(new)
    async with running(await world.outbox()) as outbox:
        await until(world.told, outbox)
        await settled(world, outbox)
    now = world.clock.now()
    async with world.store.write() as connection:
        if what != "message":
            await connection.execute(delete(message))
        if what == "notice":
            values = {"account_id": world.account, "endpoint_id": route.endpoint_id, "id": 7, "message_id": 1}
            more = {"recipient_number": 0, "attempts": 9, "due_at": 0, "dead_at": now}
            await connection.execute(notice.insert().values({**values, **more}))
        if what != "log":
            await connection.execute(delete(callback))
        used = now + 3 * DAY if what == "lately" else now
        owner = world.worker.id if what == "owner" else None
        await connection.execute(update(endpoint).values(used_at=used, owner=owner))
    forever = 1000.0 * 86_400
    keep = RetentionConfig(messages=forever, attempts=forever, events=forever, callbacks=forever, reports=forever)
    assert "endpoint" not in await prune(world.store, now + 3 * DAY, keep)
    async with world.store.write() as connection:
        for table in (message, notice, callback):
            await connection.execute(delete(table))
        await connection.execute(update(endpoint).values(used_at=now, owner=None))
    assert (await prune(world.store, now + 3 * DAY, keep))["endpoint"] == 1


async def test_use_is_noted_by_the_hour(world: World) -> None:
    route = await world.route()
    made = world.clock.now()
    world.clock.advance(10 * MINUTE)
    assert await world.route() == route
    assert (await world.endpoint(route.endpoint_id)).used_at == made
    world.clock.advance(HOUR)
    assert await world.route() == route
    assert (await world.endpoint(route.endpoint_id)).used_at == made + 70 * MINUTE
    # Another worker, which remembers nothing.
    world.clock.advance(HOUR)
    other = Endpoints(world.store, world.clock, VAULT, LAB)
    assert await other.find(world.account, "batched", world.url + "/hook") == route.endpoint_id
    assert (await world.endpoint(route.endpoint_id)).used_at == made + 130 * MINUTE


async def test_one_that_was_removed_meanwhile_is_made_again(world: World) -> None:
    await world.route()
    async with world.store.write() as connection:
        await connection.execute(delete(endpoint))
    world.clock.advance(HOUR)
    again = await world.route()
    assert (await world.endpoint(again.endpoint_id)).url == world.url + "/hook"
