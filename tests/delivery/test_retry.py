"""The retry schedule and the hints that peers give."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ekiden.core.clock import DAY, HOUR, MINUTE, SECOND
from ekiden.delivery.retry import MIN_WAIT, Schedule, next_time
from ekiden.smtp.retry_hint import MAX_HINT, hint_of

schedules = st.builds(
    Schedule,
    st.lists(st.integers(1_000, 10 * DAY), min_size=1, max_size=8).map(tuple),
    st.floats(0, 0.5),
)
chances = st.floats(0, 1, exclude_max=True)


def test_waits_follow_the_schedule_and_the_last_one_repeats() -> None:
    schedule = Schedule.of([60, 300, 3600], 0)
    assert [schedule.wait(n, 0.5) for n in (0, 1, 2, 3, 4, 99)] == [
        MINUTE,
        MINUTE,
        5 * MINUTE,
        HOUR,
        HOUR,
        HOUR,
    ]


@given(schedules, st.integers(1, 50), chances)
def test_jitter_stays_within_its_part(schedule: Schedule, attempts: int, chance: float) -> None:
    base = schedule.waits[min(attempts, len(schedule.waits)) - 1]
    wait = schedule.wait(attempts, chance)
    assert wait >= MIN_WAIT
    assert base * (1 - schedule.jitter) - 1 <= wait or wait == MIN_WAIT
    assert wait <= max(base * (1 + schedule.jitter) + 1, MIN_WAIT)


@given(
    schedules,
    st.integers(1, 50),
    st.integers(0, 10 * DAY),
    chances,
    st.none() | st.integers(1, 30 * DAY),
)
def test_the_next_time_is_later_and_never_behind_the_end(
    schedule: Schedule, attempts: int, left: int, chance: float, hint: int | None
) -> None:
    now = 1_800_000_000_000
    found = next_time(schedule, attempts, now, now + left, chance, hint)
    if left == 0:
        assert found is None
    else:
        assert found is not None
        assert now < found <= now + left
        if hint is not None and hint <= MAX_HINT:
            assert found >= min(now + hint, now + left)


def test_the_last_attempt_is_made_when_the_time_runs_out() -> None:
    schedule = Schedule.of([4 * 3600], 0)
    assert next_time(schedule, 9, 1000, 1000 + HOUR, 0.5) == 1000 + HOUR
    assert next_time(schedule, 10, 1000 + HOUR, 1000 + HOUR, 0.5) is None


def test_a_hint_shortens_only_the_first_waits() -> None:
    schedule = Schedule.of([4 * 3600], 0)
    assert next_time(schedule, 1, 0, 5 * DAY, 0.0, 30 * SECOND) == 32 * SECOND
    assert next_time(schedule, 5, 0, 5 * DAY, 0.0, 30 * SECOND) == 32 * SECOND
    assert next_time(schedule, 6, 0, 5 * DAY, 0.0, 30 * SECOND) == 4 * HOUR


def test_a_hint_lengthens_any_wait_within_bounds() -> None:
    schedule = Schedule.of([60], 0)
    assert next_time(schedule, 8, 0, 5 * DAY, 0.0, HOUR) == HOUR + 2 * SECOND
    assert next_time(schedule, 1, 0, 50 * DAY, 0.0, 30 * DAY) == MAX_HINT + 2 * SECOND


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Greylisted, please try again in 120 seconds", 120),
        ("try again in 5 minutes", 300),
        ("Retry after 300 seconds.", 300),
        ("please come back in 00:04:59", 299),
        ("Recipient address rejected: Greylisted for 5 minutes", 300),
        ("Greylisted for 300s", 300),
        ("greylisted (300)", 300),
        ("retry=60", 60),
        ("Retry-After: 120", 120),
        ("please wait 10 minutes before you reconnect", 600),
        ("try again in 1h", 3600),
        ("Too busy; 45 secs remaining", 45),
        ("try again in 2 hours", 7200),
        ("please retry in about 5 min", 300),
        ("try again in 900 seconds (see https://example.test/4)", 900),
        ("try again in 999 hours", 86_400),
        ("try again in 1 hour 30 minutes", 5400),
        ("Please try again in 1 hour and 30 minutes.", 5400),
        ("retry after 1 hr, 30 mins", 5400),
        ("try again in 1h30m", 5400),
        ("try again in 1h 30min 15s", 5415),
        ("greylisted, retry in 5m30s", 330),
        ("4 minutes and 59 seconds remaining", 299),
        ("blocked for the next 1 hour, 5 minutes", 3900),
        ("wait 00:05:00", 300),
        ("try again in 1.5 hours", 5400),
        ("try again in 90-minute", 5400),
        ("try again in 2 days 3 hours", 86_400),
        ("try again in 1 day", 86_400),
        ("Greylisted: 2 minutes 5 seconds", 125),
        ("TRY AGAIN IN 1 HOUR 30 MINUTES", 5400),
        ("please try again in an hour", 3600),
        ("try again in half an hour", 1800),
        ("451 try again in one minute", 60),
    ],
)
def test_hints_that_are_understood(text: str, seconds: int) -> None:
    assert hint_of(text) == seconds * SECOND


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Greylisted, please try again later",
        "try again later",
        "Client host [192.0.2.5] blocked",
        "Too many connections from 192.0.2.1",
        "Mailbox is 100 % full",
        "see http://postgrey.example/help/5.html",
        "try again in 0 seconds",
        "Message exceeds 10 MB",
        "error 5 minutiae",
        "try again in 5 minutiae",
        "mx3 says: wait",
        "a minute of silence",
    ],
)
def test_texts_without_a_hint(text: str) -> None:
    assert hint_of(text) is None


@given(st.text(max_size=300))
def test_any_text_is_bounded(text: str) -> None:
    hint = hint_of(text)
    assert hint is None or 0 < hint <= MAX_HINT
