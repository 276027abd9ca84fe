"""Nobody has everything, and nothing gets lost: properties of ``limits.shares``."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.limits.shares import Holder, Shares


def test_one_alone_gets_its_share_and_no_more() -> None:
    shares = Shares(100)
    assert sum(shares.take("greedy") for _ in range(200)) == 50
    assert shares.free == 50


def test_whoever_comes_new_finds_something_free() -> None:
    shares = Shares(64)
    for key in range(6):
        while shares.take(key):
            pass
    assert [shares.held(key) for key in range(6)] == [32, 16, 8, 4, 2, 1]
    assert shares.take("new")


def test_how_much_more_there_is_for_a_key() -> None:
    shares = Shares(100)
    assert shares.room("a") == 50
    shares.take("a", 30)
    assert (shares.room("a"), shares.room("b")) == (20, 35)
    shares.take("b", 70)
    assert (shares.room("a"), shares.room("b"), shares.room("c")) == (0, 0, 0)


def test_one_large_thing_is_possible_and_no_second_beside_it() -> None:
    shares = Shares(100)
    assert shares.take("account", 90)
    assert not shares.take("account", 5)
    assert not shares.take("other", 11)
    assert shares.take("other", 10)


async def test_what_is_given_back_goes_to_who_holds_least() -> None:
    shares = Shares(4, share=1)
    for _ in range(4):
        shares.take("greedy")
    order: list[str] = []

    async def wait(key: str) -> None:
        await shares.wait(key)
        order.append(key)

    tasks = [asyncio.create_task(wait(key)) for key in ("greedy", "greedy", "poor", "other")]
    await asyncio.sleep(0)
    assert shares.holders() == [Holder("greedy", 4, 2), Holder("poor", 0, 1), Holder("other", 0, 1)]
    for _ in range(4):
        shares.give("greedy")
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        await asyncio.gather(*tasks)
    assert order == ["poor", "other", "greedy", "greedy"]


async def test_who_stops_waiting_takes_nothing_along() -> None:
    shares = Shares(2, share=1)
    shares.take("a", 2)
    large = asyncio.create_task(shares.wait("b", 2))
    small = asyncio.create_task(shares.wait("b", 1))
    await asyncio.sleep(0)
    shares.give("a", 1)
    await asyncio.sleep(0)
    assert not small.done()  # behind the large one of its own key
    large.cancel()
    await asyncio.sleep(0)
    await small
    assert (shares.held("a"), shares.held("b"), shares.free) == (1, 1, 0)


async def test_a_turn_that_came_with_the_cancellation_is_given_back() -> None:
    shares = Shares(1)
    shares.take("a")
    task = asyncio.create_task(shares.wait("b"))
    await asyncio.sleep(0)
    shares.give("a")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert shares.free == 1
    assert shares.holders() == []


async def test_more_than_there_is_at_all_is_no_use_waiting_for() -> None:
    with pytest.raises(ValueError, match="5 of 4"):
        await Shares(4).wait("a", 5)


@given(
    total=st.integers(1, 50),
    share=st.sampled_from([0.25, 0.5, 1.0]),
    steps=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 20), st.booleans()), max_size=60),
)
def test_the_books_balance(total: int, share: float, steps: list[tuple[str, int, bool]]) -> None:
    shares = Shares(total, share=share)
    taken: list[tuple[str, int]] = []
    for key, amount, gives in steps:
        if gives and taken:
            shares.give(*taken.pop())
        elif shares.take(key, amount):
            taken.append((key, amount))
        assert shares.free + sum(amount for _, amount in taken) == total
        assert shares.free >= 0
    for item in taken:
        shares.give(*item)
    assert (shares.free, shares.holders()) == (total, [])


def test_what_moves_to_another_key_is_judged_as_if_it_were_new() -> None:
    shares = Shares(8)
    for _ in range(4):
        assert shares.take("a")
    assert not shares.take("a")
    assert shares.move("a", "a")
    assert shares.move("a", "b")
    assert (shares.held("a"), shares.held("b"), shares.free) == (3, 1, 4)
    for _ in range(2):
        assert shares.take("c")
    assert not shares.take("c"), "it has its share of what the others leave"
    assert not shares.move("a", "c"), "also of what another gives up"
    held = {holder.key: holder.held for holder in shares.holders()}
    assert sum(held.values()) + shares.free == 8
    for key, count in held.items():
        shares.give(key, count)
    assert shares.free == 8
    assert not shares.wanted
