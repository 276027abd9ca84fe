"""Whose login is checked next."""

from __future__ import annotations

import asyncio

import pytest

from ekiden.access.login_queue import Busy, Turns


class Room:
    """One place, which is taken; ``order`` is who had it after that."""

    def __init__(self, **options: int) -> None:
        self.turns = Turns(1, **options)
        self.order: list[str] = []
        self.busy: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def come(self, name: str, address: str = "", failures: float = 0, *, known: bool = False) -> None:
        self.tasks.append(asyncio.create_task(self._one(name, address or name, failures, known)))
        await asyncio.sleep(0)

    async def _one(self, name: str, address: str, failures: float, known: bool) -> None:
        try:
            await self.turns.wait(address, lambda: failures, 30, known=known)
        except Busy:
            self.busy.append(name)
            return
        self.order.append(name)
        await asyncio.sleep(0)
        self.turns.give(address, known=known)

    async def end(self) -> list[str]:
        self.turns.give("taken")
        await asyncio.gather(*self.tasks)
        assert self.turns.waiting == 0
        assert not self.turns._lines
        return self.order


async def taken(**options: int) -> Room:
    room = Room(**options)
    await room.turns.wait("taken", lambda: 0, 1)
    return room


async def test_what_was_right_goes_first_but_not_always() -> None:
    room = await taken()
    for name in "abcd":
        await room.come(name)
    for number in range(6):
        await room.come(f"known {number}", "a", known=True)
    order = await room.end()
    assert order[:4] == ["known 0", "known 1", "known 2", "d"]
    assert order[4:8] == ["known 3", "known 4", "known 5", "a"]


async def test_who_failed_least_goes_first_then_newest_and_oldest_by_turns() -> None:
    room = await taken()
    for name, failures in (("guesser", 5), ("a", 0), ("b", 0), ("c", 0), ("mistaken", 1), ("d", 0)):
        await room.come(name, failures=failures)
    assert await room.end() == ["d", "a", "c", "b", "mistaken", "guesser"]


async def test_a_newcomer_does_not_wait_for_six_hundred_addresses() -> None:
    room = await taken()
    for number in range(600):
        await room.come(f"guesser {number}")
    await room.come("victim")
    assert "victim" in (await room.end())[:2]


async def test_who_fails_while_it_waits_goes_back() -> None:
    room = await taken()
    failed: dict[str, int] = {}

    async def guess(name: str, address: str) -> None:
        await room.turns.wait(address, lambda: failed.get(address, 0), 30)
        room.order.append(name)
        failed[address] = failed.get(address, 0) + 1
        await asyncio.sleep(0)
        room.turns.give(address)

    for number in range(3):
        room.tasks += [asyncio.create_task(guess(f"{address}{number}", address)) for address in "ab"]
    await asyncio.sleep(0)
    await room.come("victim")
    assert room.turns.waiting == 7
    assert sorted((await room.end())[:3]) == ["a0", "b0", "victim"]


async def test_an_address_has_one_place() -> None:
    turns = Turns(4)
    await turns.wait("a", lambda: 0, 1)
    second = asyncio.create_task(turns.wait("a", lambda: 0, 30))
    await asyncio.sleep(0)
    assert not second.done()
    await turns.wait("b", lambda: 0, 1)
    turns.give("a")
    await second
    turns.give("a")
    turns.give("b")
    assert not turns._lines


async def test_the_queue_is_bounded_and_guessers_make_room() -> None:
    room = await taken(most=10, of_address=3)
    for number in range(10):
        await room.come(f"guesser {number}", failures=number)
    await room.come("worse", failures=99)
    assert room.busy == ["worse"]
    await room.come("newcomer")
    await room.come("known", known=True)
    await asyncio.sleep(0)
    assert room.busy == ["worse", "guesser 9", "guesser 8"]
    assert {"newcomer", "known"} <= set(await room.end())


async def test_an_address_cannot_fill_it() -> None:
    room = await taken(most=10, of_address=3)
    for number in range(9):
        await room.come(f"{number}", "a")
    assert room.busy == ["3", "4", "5", "6", "7", "8"]
    assert len(await room.end()) == 3


@pytest.mark.parametrize("how", ["time", "cancel"])
async def test_who_gives_up_leaves_nothing_behind(how: str) -> None:
    room = await taken()
    waiting = asyncio.create_task(room.turns.wait("a", lambda: 0, 0.05 if how == "time" else 30))
    await asyncio.sleep(0)
    if how == "cancel":
        waiting.cancel()
    with pytest.raises(Busy if how == "time" else asyncio.CancelledError):
        await waiting
    assert room.turns.waiting == 0
    await room.end()
    await room.turns.wait("b", lambda: 0, 1)
