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


def letter(number: int, priority: Priority = Priority.STANDARD, account: int = 1, fresh: bool = False) -> Letter:
    return Letter(Message(account, number, 0, "a@b.test", 1, priority, None, None, False, False, 0, 1), fresh)


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


def fill(site: Site, count: int, account: int = 1, fresh: bool = False) -> None:
    for number in range(count):
        own = letter(10_000 * account + number, account=account, fresh=fresh)
        site.put(own, delivery(own))


def takers(site: Site, count: int) -> list[int]:
    """Whose parcels the next ``count`` takes give."""
    return [parcel.letter.message.account_id for _ in range(count) if (parcel := site.take()) is not None]


def test_accounts_take_turns_however_much_each_has() -> None:
    site = make_site()
    fill(site, 1000, account=1)
    fill(site, 3, account=2)
    fill(site, 2, account=3)
    assert takers(site, 9) == [1, 2, 3, 1, 2, 3, 1, 2, 1]


def test_a_newcomer_does_not_wait_until_each_of_a_thousand_had_a_turn() -> None:
    site = make_site()
    for account in range(1000):
        fill(site, 3, account=account)
    assert takers(site, 5) == [0, 1, 2, 3, 4]
    fill(site, 2, account=5000, fresh=True)
    assert takers(site, 4) == [5000, 5, 6, 7], "once: its second one waits for a turn like everybody's"
    assert takers(site, 3000).index(5000) == 1000 - 3


def test_a_thousand_newcomers_leave_every_fourth_turn() -> None:
    site = make_site()
    fill(site, 100, account=1)
    for account in range(1000, 2000):
        fill(site, 1, account=account, fresh=True)
    assert takers(site, 200).count(1) == 50


def test_who_has_little_here_goes_first_with_what_comes_from_the_door() -> None:
    site = make_site()
    fill(site, 10, account=1)
    fill(site, 9, account=2)
    fill(site, 2, account=3)
    for account in (1, 2):
        own = letter(77 + account, account=account, fresh=True)
        site.put(own, delivery(own))
    assert site.accounts() == [2, 1, 3]
    first = site.take()
    assert first is not None
    assert first.letter.message.id == 79
    assert takers(site, 5) == [1, 2, 3, 1, 2]


def test_what_is_left_of_a_newcomer_waits_for_its_next_turn_in_order() -> None:
    site = make_site()
    fill(site, 3, account=1)
    own = letter(29_999, account=2)
    site.put(own, delivery(own))
    fill(site, 3, account=2, fresh=True)
    parcels = [parcel for _ in range(7) if (parcel := site.take()) is not None]
    assert [parcel.letter.message.account_id for parcel in parcels] == [2, 1, 2, 1, 2, 1, 2]
    ids = [parcel.letter.message.id for parcel in parcels if parcel.letter.message.account_id == 2]
    assert ids == [20_000, 20_001, 20_002, 29_999]


def test_the_rest_of_a_large_message_is_no_turn_of_its_own() -> None:
    site = make_site()
    fill(site, 2, account=1)
    fill(site, 2, account=2)
    parcel = site.take()
    assert parcel is not None
    site.put_back(parcel, served=True)
    assert takers(site, 4) == [2, 1, 2, 1]


def test_an_account_has_its_part_of_a_site_that_another_has_filled() -> None:
    site = make_site()
    site.connections = 1
    for second in range(1, 200):
        site.done(1, float(second))
    fill(site, 1000, account=1)
    assert site.is_full(200.0, 9000, 5000, 1)
    fill(site, 29, account=2)
    assert not site.is_full(200.0, 9000, 5000, 2), "half of a minute's work"
    fill(site, 10, account=3)
    fill(site, 2, account=2)
    assert site.is_full(200.0, 9000, 5000, 2)
    assert not site.is_full(200.0, 9000, 5000, 3)
    assert site.is_full(200.0, 0, 5000, 3)


def test_what_one_account_has_postponed_does_not_postpone_another() -> None:
    site = make_site()
    site.pace = 0.5
    flood = [site.postpone(1, 0.0, 0, 0.5) for _ in range(5000)]
    assert max(flood) > 4 * MINUTE
    fill(site, 1, account=1)
    fill(site, 1, account=2)
    others = [site.postpone(2, 0.0, 0, 0.5) for _ in range(3)]
    assert others == [3 * SECOND, 4 * SECOND, 5 * SECOND], "its turn comes at every second one"


def test_postponements_are_forgotten_once_they_are_over() -> None:
    site = make_site()
    for account in range(1000):
        site.postpone(account, 0.0, account * MINUTE, 0.5)
    assert len(site.horizons) <= 256


def test_a_site_takes_half_of_the_places_that_are_left() -> None:
    site = make_site()
    fill(site, 500)
    assert not site.is_full(0.0, 501, 5000, 1)
    assert site.is_full(0.0, 500, 5000, 1)
    assert site.is_full(0.0, 5000, 500, 1)


def test_a_slow_site_keeps_a_minute_of_work_in_memory() -> None:
    site = make_site()
    site.connections = 1
    for second in range(1, 200):
        site.done(1, float(second))
    assert 0.9 < site.pace < 1.1
    fill(site, MIN_READY)
    assert not site.is_full(200.0, 9000, 5000, 1)
    fill(site, 20)
    assert site.is_full(200.0, 9000, 5000, 1)


def test_a_stalled_site_counts_as_slow() -> None:
    site = make_site()
    site.connections = 5
    site.done(1, 1.0)
    site.done(1, 1.01)
    fill(site, 200)
    assert not site.is_full(2.0, 9000, 5000, 1)
    assert site.is_full(60.0, 9000, 5000, 1)


def test_what_finds_it_full_comes_back_in_turn() -> None:
    site = make_site()
    site.pace = 0.5
    times = [site.postpone(1, 0.0, 0, 0.5) for _ in range(100)]
    assert times[0] >= 2 * SECOND
    assert times == sorted(times)
    assert times[-1] - times[0] == 99 * 500
    late = [site.postpone(1, 0.0, 0, 0.5) for _ in range(5000)]
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
