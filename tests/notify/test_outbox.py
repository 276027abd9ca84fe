"""The outbox tells everything, in the order of each message, through every kind of trouble."""

from __future__ import annotations

from outbox_parts import World, running, until

from ekiden.core.events import EventType


async def test_events_arrive_in_the_order_of_their_message(world: World) -> None:
    route = await world.route()
    async with running(await world.outbox()) as outbox:
        made = [await world.accept(route) for _ in range(5)]
        for new in made:
            world.clock.advance(50)
            await world.delivered(new)
        await until(lambda: len(world.told()) == 10, outbox)
        await until(lambda: world_is_empty(world), outbox)
    for new in made:
        types = [item["type"] for item in world.told() if item["message"] == new.message.id]
        assert types == ["ACCEPTED", "DELIVERED"]
    assert [row.status for row in await world.log()] == [200] * len(world.receiver.callbacks)


async def world_is_empty(world: World) -> bool:
    return await world.count_live() == 0
