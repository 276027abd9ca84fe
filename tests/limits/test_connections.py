"""Places for accepted connections, and who goes when all are taken."""

from __future__ import annotations

from collections import Counter
from typing import Any

from ekiden.limits.connections import Connections, Place


class Counts:
    def __init__(self) -> None:
        self.of: Counter[str] = Counter()

    def refused(self) -> None:
        self.of["refused"] += 1

    def pushed_out(self) -> None:
        self.of["pushed out"] += 1


class Door:
    """Connections by a name of their own; ``cut`` has the names of those that were pushed out."""

    def __init__(self, most: int, per_address: int) -> None:
        self.counts = Counts()
        self.connections = Connections(most, per_address, self.counts)
        self.cut: list[str] = []

    def enter(self, key: str, name: str = "", **how: Any) -> Place | None:
        return self.connections.enter(key, lambda: self.cut.append(name or key), **how)


def test_one_address_has_half_of_what_the_others_leave() -> None:
    door = Door(100, 1000)
    assert sum(door.enter("a") is not None for _ in range(100)) == 50
    assert sum(door.enter("b") is not None for _ in range(100)) == 25
    assert door.enter("c") is not None
    assert door.counts.of["refused"] == 125
    assert not door.cut


def test_one_address_has_no_more_than_its_bound() -> None:
    door = Door(100, 3)
    places = [door.enter("a") for _ in range(5)]
    assert sum(place is not None for place in places) == 3
    assert places[0] is not None
    places[0].leave()
    places[0].leave()
    assert door.connections.held("a") == 2
    assert door.enter("a") is not None


def test_a_newcomer_takes_the_place_of_who_has_proven_nothing_for_longest() -> None:
    door = Door(3, 10)
    first = door.enter("a", "first")
    second = door.enter("b", "second")
    third = door.enter("c", "third")
    assert first
    assert second
    assert third
    first.settle()
    assert door.enter("d", "fourth") is not None
    assert door.cut == ["second"]
    second.leave()  # what the end of its connection does as well
    assert door.connections.open == 3
    # Who has a connection already makes nobody go.
    assert door.enter("c", "fifth") is None
    first.unsettle()
    assert door.enter("e") is not None
    assert door.cut == ["second", "third"]
    assert door.counts.of == {"pushed out": 2, "refused": 1}


def test_when_the_system_has_no_descriptor_left_those_who_have_proven_nothing_make_room() -> None:
    """However many places there are: a lower limit may come while we run."""
    door = Door(100, 100)
    proven = door.enter("a", "proven")
    assert proven
    proven.settle()
    for number in range(12):
        assert door.enter(f"b{number}", f"silent {number}")
    assert door.connections.shed(5) == 5
    assert door.cut == [f"silent {number}" for number in range(5)]
    assert door.connections.shed(100) == 7
    assert door.connections.shed() == 0
    assert "proven" not in door.cut
    assert door.connections.open == 1
    assert door.counts.of["pushed out"] == 12


def test_a_flood_pushes_out_its_own_and_nobody_who_has_logged_in() -> None:
    door = Door(10, 10)
    victims = [door.enter(f"victim {number}") for number in range(5)]
    for victim in victims:
        assert victim is not None
        victim.settle()
    for number in range(1000):
        assert door.enter(f"attacker {number}") is not None
    assert not [name for name in door.cut if name.startswith("victim")]
    late = door.enter("late victim")
    assert late is not None
    assert door.connections.open == 10


def test_what_an_account_has_beyond_its_share_is_on_sufferance() -> None:
    door = Door(8, 10)
    for number in range(8):
        place = door.enter(f"greedy {number}")
        assert place is not None
        place.settle("greedy")
        place.settle("greedy")  # once more is no more
    assert door.connections.unproven == 4
    victim = door.enter("victim")
    assert victim is not None
    victim.settle("victim")
    assert door.cut == ["greedy 4"]
    assert door.connections.unproven == 3
    for number in range(100):
        assert door.enter(f"silent {number}") is not None
    assert {f"greedy {number}" for number in range(4, 8)} <= set(door.cut)
    assert not {"victim", "greedy 0", "greedy 1", "greedy 2", "greedy 3"} & set(door.cut)
    victim.leave()
    again = door.enter("victim")
    assert again is not None
    again.settle("victim")
    again.unsettle()
    assert door.connections.unproven == 4


def test_when_everybody_has_proven_himself_newcomers_are_refused() -> None:
    door = Door(2, 10)
    for key in "ab":
        place = door.enter(key)
        assert place is not None
        place.settle()
    assert door.enter("c") is None
    assert not door.cut


def test_trusted_ones_have_no_bound_of_their_own_and_stay() -> None:
    door = Door(4, 1)
    assert all(door.enter("proxy", trusted=True) for _ in range(3))
    assert door.enter("a", "stranger") is not None
    assert door.enter("proxy", trusted=True) is not None
    assert door.cut == ["stranger"]
    assert door.enter("proxy", trusted=True) is None
    assert door.connections.unproven == 0


def test_what_a_proxy_says_is_who_it_counts_for() -> None:
    door = Door(10, 1)
    one, two = (door.enter("proxy", trusted=True) for _ in range(2))
    assert one
    assert two
    assert one.move("client")
    assert not two.move("client")
    assert (door.connections.held("proxy"), door.connections.held("client")) == (1, 1)
    assert door.connections.unproven == 1
    one.leave()
    assert two.move("client", trusted=True)
    two.leave()
    assert (door.connections.open, door.connections.held("proxy"), door.connections.held("client")) == (0, 0, 0)
