"""What the supervisor does about workers that end, hang, or cannot start, and about signals that come in bursts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ekiden.config.write import write_toml
from ekiden.process.beats import Beats, Pulse
from ekiden.process.generation import Slots
from ekiden.process.restart_backoff import Backoff
from ekiden.wiring.dialects import DIALECTS

Eventually = Callable[[Callable[[], Any], str], Any]


def state(pid: int) -> str:
    """``S`` sleeping, ``T`` stopped, …; empty: there is no such process any more."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


class Tiny:
    """``tiny_supervisor`` as a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.how("works")
        self.configure()
        self.process: subprocess.Popen[str] | None = None

    def how(self, text: str) -> None:
        (self.folder / "how").write_text(text)

    def configure(self, name: int = 1, **workers: Any) -> None:
        settings = {
            "hostname": "mail.example.com",
            "workers": {"count": 2, "roles": ["housekeeping"], "hang_timeout": "1s", "memory": name} | workers,
            "log": {"format": "json", "level": "debug"},
        }
        (self.folder / "ekiden.toml").write_text(write_toml(settings, DIALECTS))

    def start(self, *backoff: float) -> None:
        with (self.folder / "log").open("ab") as log:
            script = Path(__file__).with_name("tiny_supervisor.py")
            self.process = subprocess.Popen(
                [sys.executable, str(script), str(self.folder / "ekiden.toml"), *map(str, backoff)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n", (self.folder / "log").read_text()

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        assert self.process is not None
        pid = self.process.pid
        return [int(text) for text in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def starts(self) -> list[tuple[int, int, int]]:
        """Process, slot, name of the configuration."""
        rows = [line.split() for line in (self.folder / "starts").read_text().splitlines()]
        return [(int(pid), int(slot), int(name)) for pid, slot, name in rows]

    def names(self) -> set[int]:
        """Of the configurations that the living workers have."""
        alive = set(self.workers())
        return {name for pid, _, name in self.starts() if pid in alive}

    def said(self, event: str) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["event"] == event]

    def stop(self) -> int:
        self.signal(signal.SIGTERM)
        assert self.process is not None
        return self.process.wait(30)

    def close(self) -> None:
        if self.process is not None:
            if self.process.poll() is None:
                self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Tiny]:
    made = Tiny(tmp_path)
    yield made
    made.close()


# --- values -------------------------------------------------------------------------------------------------------


def test_the_back_off_doubles_up_to_its_most_and_is_reset_by_a_healthy_life() -> None:
    backoff = Backoff(first=0.1, most=1.0, healthy_after=60.0)
    assert [backoff.after(1.0) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]
    assert backoff.after(59.9) == 1.0
    assert [backoff.after(60.0), backoff.after(0.0)] == [0.1, 0.2]


def test_slots_are_given_again_the_lowest_first() -> None:
    slots = Slots(1, 3)
    assert [slots.take() for _ in range(4)] == [1, 2, 3, None]
    slots.give(3)
    slots.give(1)
    assert len(slots) == 2
    assert [slots.take(), slots.take(), slots.take()] == [1, 3, None]


def test_time_in_which_the_supervisor_did_not_run_counts_for_little() -> None:
    pulse = Pulse(1.0, now=100.0)
    assert pulse.passed(100.5) == 0.0
    assert pulse.passed(101.25) == 1.25
    assert pulse.next == 102.25
    assert pulse.passed(5000.0) == 2.0


def test_a_new_worker_has_not_beaten_yet() -> None:
    beats = Beats(3)
    beats.beat(1)
    beats.beat(1)
    beats.beat(2)
    beats.clear(1)
    assert [beats.read(slot) for slot in range(3)] == [0, 0, 1]


# --- workers that end ---------------------------------------------------------------------------------------------


def test_a_worker_that_ends_a_hundred_times_still_has_a_slot(tiny: Tiny, eventually: Eventually) -> None:
    tiny.start()
    tiny.how("crashes")
    for worker in tiny.workers():
        os.kill(worker, signal.SIGKILL)
    for count in (30, 60, 90, 110):
        eventually(lambda count=count: len(tiny.starts()) > count, "a hundred more starts")
    tiny.how("works")
    eventually(lambda: set(map(state, tiny.workers())) <= {"S", "R"} and len(tiny.workers()) == 2, "two workers")
    # Those of two workers, and no others.
    assert {slot for _, slot, _ in tiny.starts()} == {1, 2}
    assert tiny.stop() == 0


def test_a_worker_that_crashes_again_and_again_is_waited_for(tiny: Tiny, eventually: Eventually) -> None:
    """Longer each time: a worker that cannot live must not eat the machine by being born."""
    tiny.configure(count=1)
    tiny.start(0.5, 2.0)
    tiny.how("crashes")
    began = time.monotonic()
    os.kill(*tiny.workers(), signal.SIGKILL)
    eventually(lambda: len(tiny.starts()) == 4, "three more starts")
    assert time.monotonic() - began >= 0.5 + 1.0 + 2.0
    waits = [line["in_seconds"] for line in tiny.said("worker ended unasked, starting another")]
    assert waits[:3] == [0.5, 1.0, 2.0]
    assert tiny.stop() == 0


# --- workers that hang --------------------------------------------------------------------------------------------


def test_a_worker_that_is_stopped_is_killed_and_replaced(tiny: Tiny, eventually: Eventually) -> None:
    tiny.start()
    victim, other = tiny.workers()
    os.kill(victim, signal.SIGSTOP)
    eventually(lambda: not state(victim), "its end")
    eventually(lambda: len(tiny.workers()) == 2, "another")
    assert other in tiny.workers()
    [line] = tiny.said("worker hangs, killing it")
    assert line["worker_pid"] == victim
    assert line["seconds"] >= 1
    assert tiny.stop() == 0


def test_a_worker_that_hangs_while_it_starts_is_killed_and_replaced(tiny: Tiny, eventually: Eventually) -> None:
    tiny.start()
    tiny.how("hangs")
    (first, _) = tiny.workers()
    os.kill(first, signal.SIGKILL)
    eventually(lambda: tiny.said("worker hangs, killing it"), "a word about it")
    tiny.how("works")
    eventually(lambda: len(tiny.said("worker ended unasked, starting another")) >= 2, "its replacement")
    assert tiny.stop() == 0


def test_a_worker_that_hangs_while_it_drains_is_killed(tiny: Tiny, eventually: Eventually) -> None:
    tiny.configure(drain_timeout="1h")
    tiny.start()
    victim = tiny.workers()[0]
    os.kill(victim, signal.SIGSTOP)
    assert tiny.stop() == 0
    assert not state(victim)
    assert [line["worker_pid"] for line in tiny.said("worker hangs, killing it")] == [victim]


def test_when_everybody_was_stopped_nobody_is_killed(tiny: Tiny, eventually: Eventually) -> None:
    tiny.configure(hang_timeout="4s")
    tiny.start()
    assert tiny.process is not None
    everybody = [tiny.process.pid, *tiny.workers()]
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    for pid in everybody:
        eventually(lambda pid=pid: state(pid) == "T", "that it has stopped")
    # Longer than the time-out, as the clock goes.
    assert tiny.process.stdout is not None
    with pytest.raises(subprocess.TimeoutExpired):
        tiny.process.wait(6)
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGCONT)
    tiny.signal(signal.SIGHUP)  # an answer shows that it has looked at them
    eventually(lambda: tiny.said("reloaded: all new workers take work"), "a reload")
    assert not tiny.said("worker hangs, killing it")
    assert not tiny.said("worker ended unasked, starting another")
    assert tiny.stop() == 0


# --- reloads ------------------------------------------------------------------------------------------------------


def test_a_burst_of_reloads_becomes_two(tiny: Tiny, eventually: Eventually) -> None:
    tiny.how("clings")
    tiny.start()
    assert tiny.process is not None
    tiny.configure(name=2)
    tiny.signal(signal.SIGHUP)
    eventually(lambda: tiny.said("reloading: new workers start, the old ones drain"), "the first")
    tiny.configure(name=3)
    for _ in range(40):
        tiny.signal(signal.SIGHUP)
    eventually(lambda: tiny.names() == {3} and len(tiny.workers()) == 2, "the last configuration")
    assert tiny.process.poll() is None
    assert len(tiny.said("reloading: new workers start, the old ones drain")) == 2
    assert len(tiny.starts()) == 6
    # A third generation never begins before the first has gone.
    assert max(slot for _, slot, _ in tiny.starts()) <= 4
    assert tiny.stop() == 0


def test_reloads_that_come_while_workers_drain_wait(tiny: Tiny, eventually: Eventually) -> None:
    """More workers than before, and more signals than there were ever slots for."""
    tiny.how("clings")
    tiny.start()
    for name in range(2, 8):
        tiny.configure(name=name, count=4)
        tiny.signal(signal.SIGHUP)
        waits = "another reload waits until this one is done"
        eventually(lambda name=name, waits=waits: name in tiny.names() or tiny.said(waits), "a step")
    eventually(lambda: tiny.names() == {7} and len(tiny.workers()) == 4, "the last configuration")
    assert max(slot for _, slot, _ in tiny.starts()) <= 8
    assert tiny.stop() == 0


@pytest.mark.parametrize(
    "text",
    [b"", b"\xff\xfe", b"hostname = ", b"[workers]\ncount = -1\n", b"[[workers]]\n", b"a = " + b"[" * 50_000],
)
def test_a_configuration_that_cannot_be_read_ends_nothing(tiny: Tiny, eventually: Eventually, text: bytes) -> None:
    tiny.start()
    before = tiny.workers()
    (tiny.folder / "ekiden.toml").write_bytes(text)
    if not text:
        (tiny.folder / "ekiden.toml").unlink()
        (tiny.folder / "ekiden.toml").mkdir()
    tiny.signal(signal.SIGHUP)
    eventually(lambda: tiny.said("not reloaded, the configuration stays as it was"), "a word about it")
    assert tiny.workers() == before
    assert tiny.stop() == 0


def test_workers_that_do_not_start_leave_the_old_ones_in_service(tiny: Tiny, eventually: Eventually) -> None:
    tiny.start()
    before = tiny.workers()
    tiny.how("fails")
    tiny.configure(name=2)
    tiny.signal(signal.SIGHUP)
    refused = "not reloaded, workers do not start with the new configuration: the old ones stay"
    eventually(lambda: tiny.said(refused), "a word about it")
    eventually(lambda: tiny.workers() == before, "the end of the others")
    # The old configuration is in force for what comes now, too.
    tiny.how("works")
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: len(tiny.workers()) == 2 and before[0] not in tiny.workers(), "a replacement")
    assert tiny.names() == {1}
    tiny.signal(signal.SIGHUP)
    eventually(lambda: tiny.names() == {2} and len(tiny.workers()) == 2, "the new configuration")
    assert tiny.stop() == 0
