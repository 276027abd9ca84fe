"""One budget of octets for all rooms of a worker."""

from __future__ import annotations

import asyncio

import pytest

from ekiden.limits.memory import LEAST, MOST, Memory, machine_memory
from ekiden.wiring.capacity import default_memory


async def test_an_account_never_has_all_of_it() -> None:
    memory = Memory(1000)
    assert all(memory.take("greedy", 100) for _ in range(5))
    assert not memory.take("greedy", 1)
    assert memory.may_take("victim", 250)
    assert memory.take("victim", 250)
    assert (memory.used, memory.free, memory.held("greedy")) == (750, 250, 500)
    memory.give("greedy", 300)
    memory.give("greedy", 200)
    memory.give("victim", 250)
    assert (memory.used, memory.held("greedy"), memory.holders()) == (0, 0, [])


async def test_waiting_is_the_end_of_it_and_not_death() -> None:
    memory = Memory(1000)
    assert memory.take("one", 900)
    waiting = asyncio.create_task(memory.wait("two", 200))
    await asyncio.sleep(0)
    assert not waiting.done()
    memory.give("one", 900)
    await asyncio.wait_for(waiting, 10)
    assert memory.held("two") == 200
    with pytest.raises(ValueError, match="of 1000"):
        await memory.wait("two", 1001)
    async with memory.hold("three", 100):
        assert memory.used == 300
    assert memory.used == 200


async def test_the_peak_is_remembered_until_it_is_asked_for() -> None:
    memory = Memory(1000)
    memory.take("one", 400)
    memory.give("one", 300)
    assert memory.restart_peak() == 400
    assert memory.restart_peak() == 100
    await memory.wait("two", 50)
    assert memory.peak == 150


async def test_nothing_costs_nothing() -> None:
    memory = Memory(10)
    assert memory.take("one", 0)
    await memory.wait("one", 0)
    memory.give("one", 0)
    assert memory.holders() == []


def test_the_default_follows_from_the_machine() -> None:
    assert default_memory(2, 4 << 30) == 512 << 20
    assert default_memory(64, 4 << 30) == LEAST
    assert default_memory(1, 1 << 40) == MOST
    assert LEAST <= default_memory(8, 0) <= MOST
    assert machine_memory() > 0
