"""Threads are shared: no account has all of them."""

from __future__ import annotations

import asyncio
import threading

import pytest

from ekiden.limits.loop_slices import Turns
from ekiden.limits.workshop import Workshop


async def test_one_account_leaves_a_thread_to_others() -> None:
    workshop = Workshop(2)
    over = threading.Event()
    mine = [asyncio.create_task(workshop.run(1, lambda: over.wait(30))) for _ in range(5)]
    try:
        assert await asyncio.wait_for(workshop.run(2, lambda: "served"), 20) == "served"
        assert not any(task.done() for task in mine)
    finally:
        over.set()
    assert all(await asyncio.gather(*mine))
    assert workshop.places.free == 2


async def test_whose_turn_does_not_come_is_told() -> None:
    workshop = Workshop(2, patience=0.05)
    over = threading.Event()
    first = asyncio.create_task(workshop.run(1, lambda: over.wait(30)))
    await asyncio.sleep(0)
    with pytest.raises(TimeoutError):
        await workshop.run(1, lambda: None)
    over.set()
    await first


async def test_a_thread_that_nobody_waits_for_keeps_its_place_until_it_ends() -> None:
    workshop = Workshop(2, patience=20)
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        over.wait(30)

    task = asyncio.create_task(workshop.run(1, work))
    await asyncio.to_thread(begun.wait, 20)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert workshop.places.held(1) == 1
    over.set()
    assert await workshop.run(1, lambda: 7) == 7


async def test_errors_come_through() -> None:
    def fail() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await Workshop().run(1, fail)


async def test_turns_let_others_go() -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(tick())
    turns = Turns()
    for _ in range(20_000_000):  # however fast the machine is, that is more than three turns
        await turns.next()
        if ticks > 2:
            break
    task.cancel()
    assert ticks > 2
