"""Counting failed logins."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.access.failures import SlidingCounter, delay_for, throttle_key


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("192.0.2.1", "::ffff:192.0.2.1", True),
        ("2001:db8::1", "2001:db8::ffff:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("", "", True),
        ("no:address", "no:address", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, same: bool) -> None:
    assert (throttle_key(one) == throttle_key(other)) is same


@given(st.lists(st.floats(min_value=0, max_value=50), max_size=50))
def test_the_window_slides(gaps: list[float]) -> None:
    counter = SlidingCounter(100)
    now = 1_000_000.0
    times: list[float] = []
    for gap in gaps:
        now += gap
        times.append(now)
        seen = counter.add("a", now)
        assert seen <= sum(1 for at in times if at > now - 200)
        assert seen >= 1
        if now - times[0] < 100 and int(now // 100) == int(times[0] // 100):
            assert seen == len(times)
    assert counter.get("a", now + 200) == 0
    assert counter.get("b", now) == 0


def test_half_of_the_window_before_counts_in_the_middle_of_this_one() -> None:
    counter = SlidingCounter(100)
    for _ in range(10):
        counter.add("a", 1_050)
    assert counter.get("a", 1_099) == 10
    assert counter.get("a", 1_150) == pytest.approx(5)
    assert counter.get("a", 1_200) == 0


def test_memory_is_bounded() -> None:
    counter = SlidingCounter(100, max_keys=10)
    for number in range(1_000):
        counter.add(f"192.0.2.{number}", 1.0)
    counter.add("kept", 1.0)
    for number in range(9):
        counter.add("kept", 1.0)
        counter.add(f"198.51.100.{number}", 1.0)
    assert len(counter) == 10
    assert counter.get("kept", 1.0) == 10


@pytest.mark.parametrize(
    ("failures", "delay"), [(0, 0), (2.9, 0), (3, 1), (4, 2), (5, 4), (6, 8), (7, 10), (10_000, 10)]
)
def test_delays_double_up_to_a_limit(failures: float, delay: float) -> None:
    assert delay_for(failures, 3, 1.0, 10.0) == delay
    assert delay_for(failures, 3, 0.0, 10.0) == 0
