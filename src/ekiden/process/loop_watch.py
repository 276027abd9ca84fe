"""A thread that asks the event loop for a sign of life, and says what kept it when that was long in coming.

What is measured is what a client feels that comes at any moment: how long until the loop turns to it. Four times a
second is enough to see everything that keeps the loop for a quarter of a second, and costs nothing that matters.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import PurePath
from types import FrameType
from typing import Protocol

from ekiden.process.beats import EVERY
from ekiden.process.logging import get_logger

BLOCKED = 0.5
"""Seconds from which on it is said what keeps the loop."""
_LOG_EVERY = 10.0
_WINDOW = 30.0
_FRAMES = 12


class _Gauge(Protocol):
    def set(self, value: float) -> None: ...


class _Histogram(Protocol):
    def observe(self, value: float) -> None: ...


class LoopWatch:
    """Start it in the thread that runs ``loop``."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        beat: Callable[[], None],
        lags: _Histogram,
        longest: _Gauge,
        *,
        worker: int = 0,
    ) -> None:
        """``beat`` is called by the loop each time. ``longest``: the longest lag of the last minute."""
        self._loop = loop
        self._beat = beat
        self._lags = lags
        self._longest = longest
        self._log = get_logger(worker=worker)
        self._main = threading.get_ident()
        self._native = threading.get_native_id()
        self._asked = self._answered_at = 0.0
        self._answered = threading.Event()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="loop-watch", daemon=True)
        self._windows = (0.0, 0.0)
        self._window_ends = time.monotonic() + _WINDOW
        self._logged_at = -_LOG_EVERY
        self._unsaid = 0
        self.speaking = False
        """Whether to log; a worker that starts has long calls that nobody waits for."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        self._answered.set()

    def _answer(self) -> None:
        self._answered_at = time.monotonic()
        self._beat()
        self._answered.set()

    def _run(self) -> None:
        while not self._stopping.wait(EVERY):
            self._answered.clear()
            computed = self._computed()
            self._asked = asked = time.monotonic()
            try:
                self._loop.call_soon_threadsafe(self._answer)
            except RuntimeError:  # the loop is closed
                return
            if not self._answered.wait(BLOCKED):
                self._blocked(asked, computed)
                self._answered.wait()
            if not self._stopping.is_set():
                self._measured(self._answered_at - asked)

    def _measured(self, lag: float) -> None:
        self._lags.observe(lag)
        now = time.monotonic()
        before, current = self._windows
        if now >= self._window_ends:
            self._window_ends = now + _WINDOW
            before, current = current, 0.0
        self._windows = before, max(current, lag)
        self._longest.set(max(self._windows))

    def _blocked(self, asked: float, computed: float) -> None:
        """Once for each time that the loop is kept, and at most every ten seconds."""
        frame = sys._current_frames().get(self._main)
        now = time.monotonic()
        waited, used = now - asked, self._computed() - computed
        if not self.speaking or frame is None or (used < waited / 10 and self._runnable()):
            return  # in the last case it is others that keep the processor
        if now - self._logged_at < _LOG_EVERY:
            self._unsaid += 1
            return
        self._log.warning(
            "the event loop is blocked",
            seconds=round(waited, 2),
            computing=round(used, 2),
            stack=_stack(frame),
            unsaid=self._unsaid,
        )
        self._logged_at = now
        self._unsaid = 0

    def _computed(self) -> float:
        """Seconds that the loop's thread has had a processor for."""
        if not hasattr(time, "pthread_getcpuclockid"):
            return 0.0
        return time.clock_gettime(time.pthread_getcpuclockid(self._main))

    def _runnable(self) -> bool:
        """Whether the loop's thread could run, and waits for a processor."""
        try:
            with open(f"/proc/self/task/{self._native}/stat", "rb") as file:
                return file.read().rpartition(b")")[2].split()[0] == b"R"
        except (OSError, IndexError):
            return False


def _stack(frame: FrameType | None) -> list[str]:
    """``folder/file.py:line function``, innermost first."""
    found: list[str] = []
    while frame is not None and len(found) < _FRAMES:
        code = frame.f_code
        found.append(f"{'/'.join(PurePath(code.co_filename).parts[-2:])}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return found
