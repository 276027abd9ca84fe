"""Bookkeeping of a site: order, bounds, feedback."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.clock import MINUTE, SECOND
from ekiden.core.said import say
from ekiden.core.states import Priority, State
from ekiden.delivery import verdict as verdicts
from ekiden.delivery.letters import Letter
from ekiden.delivery.routing import Hop, Route
from ekiden.delivery.site import MIN_READY, Site
from ekiden.store.records import Delivery, Message

NO_ANSWER = verdicts.no_connection(say("no_address"))


def make_site(most: int = 20, max_recipients: int = 3) -> Site:
    return Site(Route("mx.test", (Hop(1, "mx.test", 25),)), initial=5, most=most, max_recipients=max_recipients)


def letter(number: int, priority: Priority = Priority.STANDARD) -> Letter:
    return Letter(Message(1, number, 0, "a@b.test", 1, priority, None, None, False, False, 0, 1))


def delivery(of: Letter, number: int = 1) -> Delivery:
    return Delivery(of.message, number, f"r{number}@x.test", "x.test", 0, None, State.SENDING, 0, 1)


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from(list(Priority))), max_size=60))
def test_nothing_is_lost_and_parcels_hold_one_message_each(pushed: list[tuple[int, Priority]]) -> None:
    site = make_site()
    letters: dict[int, Letter] = {}
    wanted = Counter[int]()
    for number, priority in pushed:
        own = letters.setdefault(number, letter(number, priority))
        wanted[number] += 1
        site.put(own, delivery(own, wanted[number]))
    assert site.ready == len(pushed)
    seen = Counter[int]()
    while (parcel := site.take()) is not None:
        assert 1 <= len(parcel.deliveries) <= 3
        assert {item.message.id for item in parcel.deliveries} == {parcel.letter.message.id}
        seen[parcel.letter.message.id] += len(parcel.deliveries)
    assert seen == wanted
    assert site.ready == site.parcels == 0


def test_recipients_of_one_message_travel_together() -> None:
    site = make_site(max_recipients=2)
    own = letter(1)
    assert [site.put(own, delivery(own, n)) for n in (1, 2, 3)] == [True, False, True]
    first = site.take()
    assert first is not None
    assert [item.number for item in first.deliveries] == [1, 2]


def test_high_goes_first_and_low_is_not_starved() -> None:
    site = make_site()
    number = 0
    for priority in Priority:
        for _ in range(320):
            number += 1
            own = letter(number, priority)
            site.put(own, delivery(own))
    first = Counter(parcel.letter.message.priority for _ in range(320) if (parcel := site.take()) is not None)
    assert first == {Priority.HIGH: 240, Priority.STANDARD: 60, Priority.LOW: 20}


def test_without_competition_every_turn_is_used() -> None:
    site = make_site()
    for number in range(40):
        own = letter(number, Priority.LOW)
        site.put(own, delivery(own))
    assert [parcel.letter.message.id for _ in range(40) if (parcel := site.take())] == list(range(40))


def test_put_back_comes_first() -> None:
    site = make_site()
    for number in (1, 2):
        own = letter(number)
        site.put(own, delivery(own))
    parcel = site.take()
    assert parcel is not None
    site.put_back(parcel)
    assert site.ready == 2
    again = site.take()
    assert again is parcel


def fill(site: Site, count: int) -> None:
    for number in range(count):
        own = letter(1000 + number)
        site.put(own, delivery(own))


def test_a_site_takes_half_of_the_places_that_are_left() -> None:
    site = make_site()
    fill(site, 500)
    assert not site.is_full(0.0, 501, 5000)
    assert site.is_full(0.0, 500, 5000)
    assert site.is_full(0.0, 5000, 500)


def test_a_slow_site_keeps_a_minute_of_work_in_memory() -> None:
    site = make_site()
    site.connections = 1
    for second in range(1, 200):
        site.done(1, float(second))
    assert 0.9 < site.pace < 1.1
    fill(site, MIN_READY)
    assert not site.is_full(200.0, 9000, 5000)
    fill(site, 20)
    assert site.is_full(200.0, 9000, 5000)


def test_a_stalled_site_counts_as_slow() -> None:
    site = make_site()
    site.connections = 5
    site.done(1, 1.0)
    site.done(1, 1.01)
    fill(site, 200)
    assert not site.is_full(2.0, 9000, 5000)
    assert site.is_full(60.0, 9000, 5000)


def test_what_finds_it_full_comes_back_in_turn() -> None:
    site = make_site()
    site.pace = 0.5
    times = [site.postpone(0.0, 0, 0.5) for _ in range(100)]
    assert times[0] >= 2 * SECOND
    assert times == sorted(times)
    assert times[-1] - times[0] == 99 * 500
    late = [site.postpone(0.0, 0, 0.5) for _ in range(5000)]
    assert max(late) <= 10 * MINUTE


def test_the_window_grows_with_success_and_shrinks_with_refusal() -> None:
    site = make_site(most=8)
    for _ in range(100):
        site.succeeded()
    assert site.window == 8
    site.connections = 8
    site.slow_down()
    assert site.window == 4
    site.connections = 2
    site.slow_down()
    assert site.window == 1
    site.slow_down()
    assert site.window == 1
    site.succeeded()
    assert site.window < 2, "growth is slower after refusals"


def test_a_dead_site_is_left_alone_longer_each_time() -> None:
    site = make_site()
    now, waits = 0.0, []
    for _ in range(8):
        site.failed(now, 0.5, NO_ANSWER, "", "mx.test", "127.0.0.1:25")
        waits.append(site.broken_until - now)
        assert site.is_broken(now)
        now = site.broken_until
        assert not site.is_broken(now)
    assert waits == [15, 30, 60, 120, 240, 300, 300, 300]
    assert site.window == 1
    site.recovered()
    site.succeeded()
    assert site.trouble is None
    assert site.failures == 0


def test_several_failures_at_once_count_as_one() -> None:
    site = make_site()
    for _ in range(5):
        site.failed(0.0, 0.5, NO_ANSWER, "", "", "")
    assert site.failures == 1
