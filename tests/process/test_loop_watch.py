"""What keeps an event loop is measured, and named."""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ekiden.config.model import LogConfig
from ekiden.process.logging import configure_logging
from ekiden.process.loop_watch import BLOCKED, LoopWatch


class Numbers:
    def __init__(self) -> None:
        self.lags: list[float] = []
        self.longest = 0.0
        self.beats = 0

    def beat(self) -> None:
        self.beats += 1

    def observe(self, value: float) -> None:
        self.lags.append(value)

    def set(self, value: float) -> None:
        self.longest = value


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    configure_logging(LogConfig(format="json"))
    yield lambda: [json.loads(line) for line in out.getvalue().splitlines() if line[:1] == "{"]
    monkeypatch.undo()
    configure_logging(LogConfig())


async def watched(numbers: Numbers, blocking: Callable[[], None], *, speaking: bool) -> None:
    """Beats before the loop is blocked, and after it."""
    watch = LoopWatch(asyncio.get_running_loop(), numbers.beat, numbers, numbers)
    watch.speaking = speaking
    watch.start()
    try:
        async with asyncio.timeout(60):
            await _beats(numbers, 1)
            blocking()
            await _beats(numbers, numbers.beats + 2)
    finally:
        watch.stop()


async def _beats(numbers: Numbers, count: int) -> None:
    while numbers.beats < count or len(numbers.lags) < count:  # noqa: ASYNC110
        await asyncio.sleep(0.01)


def wait_for_the_disk() -> None:
    time.sleep(4 * BLOCKED)


def compute() -> None:
    until = time.thread_time() + 4 * BLOCKED
    while time.thread_time() < until:
        pass


@pytest.mark.parametrize("blocking", [wait_for_the_disk, compute])
def test_what_blocks_is_named_with_its_stack(
    said: Callable[[], list[dict[str, Any]]], blocking: Callable[[], None]
) -> None:
    numbers = Numbers()
    asyncio.run(watched(numbers, blocking, speaking=True))
    [line] = [line for line in said() if line["event"] == "the event loop is blocked"]
    assert line["level"] == "warning"
    assert f"process/test_loop_watch.py:{blocking.__code__.co_firstlineno + 1}"[:-2] in line["stack"][0]
    assert line["stack"][0].endswith(f" {blocking.__name__}")
    assert line["seconds"] >= BLOCKED
    # From the question, which came up to a quarter of a second after the beginning, to the answer.
    assert max(numbers.lags) > 2 * BLOCKED
    assert numbers.longest == max(numbers.lags)


def test_a_worker_that_starts_is_measured_in_silence(said: Callable[[], list[dict[str, Any]]]) -> None:
    numbers = Numbers()
    asyncio.run(watched(numbers, wait_for_the_disk, speaking=False))
    assert max(numbers.lags) > 2 * BLOCKED
    assert not said()


def test_a_loop_that_turns_is_not_complained_about(said: Callable[[], list[dict[str, Any]]]) -> None:
    numbers = Numbers()
    asyncio.run(watched(numbers, lambda: None, speaking=True))
    assert numbers.beats >= 3
    assert not said()
