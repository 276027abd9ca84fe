"""How the bench judges what a flood costs others, and that it finds when their attempts began."""

from __future__ import annotations

import pytest
from bench.fairness import AT_ONCE, SLOW, Beside, _attempts, _Sent, tables_of, verdicts

from ekiden.core.states import State
from ekiden.store.api import Store
from support.store_rows import NOW, TTL, Maker, outcome


def flood(**figures: object) -> Beside:
    result = Beside("sqlite", AT_ONCE, 1000, 1)
    result.begun, result.found = [0.1] * 99 + [1.9], [0.2] * 100
    result.alone, result.beside, result.others = [100.0, 200.0, 100.0], [90.0, 190.0, 50.0], [10.0, 10.0, 10.0]
    for name, value in figures.items():
        setattr(result, name, value)
    return result


def words(results: list[Beside]) -> list[str]:
    return [row[-1] for row in verdicts(results)]


@pytest.mark.parametrize(
    ("figures", "wanted"),
    [
        ({}, ["met"] * 5),
        ({"begun": [0.1] * 98 + [2.1, 2.2]}, ["NOT MET", *["met"] * 4]),
        ({"begun": [0.1] * 99 + [5.1]}, ["met", "NOT MET", *["met"] * 3]),
        ({"found": [3.0] * 100}, ["met", "met", "NOT MET", "met", "met"]),
        ({"missing": 1}, ["NOT MET", "NOT MET", "met", "met", "met"]),
        ({"begun": [], "missing": 3}, ["NOT MET", "NOT MET", "met", "met", "met"]),
        ({"beside": [80.0, 190.0, 50.0]}, ["met"] * 4 + ["NOT MET"]),
        ({"accounts": 10_000, "found": [9.0]}, ["met"] * 3),
        ({"error": "it failed"}, []),
    ],
)
def test_a_flood_is_judged(figures: dict[str, object], wanted: list[str]) -> None:
    assert words([flood(**figures)]) == wanted


def test_what_is_left_is_what_the_others_do_not_use() -> None:
    assert flood().left() == [1.0, 1.0, pytest.approx(50 / 90)]


def test_tables_say_what_was_missed() -> None:
    [table] = tables_of([flood(unfound=2, site=SLOW), flood(error="it failed")])
    [row] = table.rows
    assert row[:2] == ["sqlite, 1,000 of one account, site answers after 0.9 s", "100, 100/102"]
    assert all(len(row) == len(table.header) for row in table.rows)


async def test_attempts_are_found_by_their_recipients(store: Store) -> None:
    worker = await store.register_worker("bench", 1, NOW, TTL)
    maker = Maker(account=7)
    new = maker.message(2, state=State.SENDING)
    await store.accept(worker.id, new)
    done = [outcome(delivery, State.DELIVERED, at=NOW + 2500) for delivery in new.deliveries]
    await store.finish(worker.id, done)
    begun = [one.attempt.started_at for one in done]
    result = flood(begun=[], found=[])
    sent = [
        _Sent(7, "r1@example.org", begun[0] - 1500, True),
        _Sent(7, "r2@example.org", begun[1] + 20, False),
    ]
    await _attempts(store, sent, result)
    assert (result.begun, result.found, result.missing, result.unfound) == ([1.5], [0.0], 0, 0)
