"""Lines that repeat: the first at once, then a number."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from ekiden.limits.repeated_log import RepeatedLog, Repeats


def test_a_burst_then_numbers() -> None:
    repeats = Repeats(10.0, 2)
    assert [repeats.admit("a", 0.1 * n) for n in range(5)] == [0, 0, None, None, None]
    assert repeats.admit("b", 0.6) == 0
    assert repeats.admit("a", 10.0) == 3
    assert repeats.admit("a", 10.1) == 0


def test_keys_are_bounded() -> None:
    repeats = Repeats(10.0, most=100)
    for number in range(10_000):
        repeats.admit(number, 0.0)
    assert len(repeats._keys) == 100


def test_ten_thousand_lines_are_one_and_a_number() -> None:
    now = [0.0]
    log = RepeatedLog("test", clock=lambda: now[0])
    with capture_logs() as lines:
        for number in range(10_000):
            log.warning("refused", key="192.0.2.1", attempt=number)
        assert [line["attempt"] for line in lines] == [0]
        log.flush()
    assert lines[1:] == [{"event": "refused", "log_level": "warning", "attempt": 9_999, "repeated": 9_999}]


def test_many_keys_share_a_bound() -> None:
    log = RepeatedLog("test", lines=20, clock=lambda: 0.0)
    with capture_logs() as lines:
        for number in range(600):
            log.info("refused", key=number, address=number)
        assert [line["address"] for line in lines] == list(range(20))
        log.flush()
    assert lines[-1]["repeated"] == 580
    assert len(lines) == 21


async def test_what_nobody_repeats_is_told_all_the_same() -> None:
    log = RepeatedLog("test", every=0.05)
    with capture_logs() as lines:
        for _ in range(3):
            log.info("refused")
        async with asyncio.timeout(10):
            while len(lines) < 2:  # noqa: ASYNC110 (a timer writes it)
                await asyncio.sleep(0.01)
    assert lines[1]["repeated"] == 2
