"""Local times of zones, as other programs write and give them."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.zones import NoSuchZone, find_zone, local_day, local_text, moment_of

TOKYO, BERLIN = find_zone("Asia/Tokyo"), find_zone("Europe/Berlin")


def test_a_moment_in_several_zones() -> None:
    at = 1_674_622_986_999
    assert local_text(at, TOKYO) == "2023-01-25 14:03:06"
    assert local_text(at, BERLIN) == "2023-01-25 06:03:06"
    assert local_text(at, find_zone("America/New_York")) == "2023-01-25 00:03:06"
    assert local_day(at, TOKYO) == date(2023, 1, 25)


def test_days_are_as_long_as_they_are_there() -> None:
    def hours(day: date, following: date) -> float:
        return (moment_of(following, BERLIN) - moment_of(day, BERLIN)) / 3_600_000

    assert hours(date(2023, 3, 26), date(2023, 3, 27)) == 23
    assert hours(date(2023, 10, 29), date(2023, 10, 30)) == 25
    # An hour that is left out is the next one; of one that there is twice the first is meant.
    assert local_text(moment_of(date(2023, 3, 26), BERLIN, 2, 30), BERLIN) == "2023-03-26 03:30:00"
    assert moment_of(date(2023, 10, 29), BERLIN, 2) == 1_698_537_600_000


@given(st.dates(date(1970, 1, 2), date(2100, 1, 1)), st.integers(0, 23), st.integers(0, 59))
def test_a_time_comes_back(day: date, hour: int, minute: int) -> None:
    at = moment_of(day, TOKYO, hour, minute)
    assert local_text(at, TOKYO) == f"{day} {hour:02}:{minute:02}:00"
    assert local_day(at, TOKYO) == day


@pytest.mark.parametrize(
    "name", ["", "Tokyo", "asia/tokyo", "Asia", "../../etc/passwd", "/etc/localtime", "x" * 300]
)
def test_no_zone(name: str) -> None:
    with pytest.raises(NoSuchZone):
        find_zone(name)
