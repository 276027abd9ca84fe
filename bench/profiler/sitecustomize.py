"""A sampling profiler that Python loads by itself: its directory is on PYTHONPATH.

In every process that is forked from this one, a timer that runs with the CPU time of the process (setitimer(2),
ITIMER_PROF) looks at the stack of the main thread. What was seen is written to ``PID.json`` in the directory that
EKIDEN_BENCH_PROFILE names, now and then, because a worker may end without any farewell. Python handles signals
where a function begins or a loop turns: time spent inside C is found in the Python function that runs next, so that
the figures with callees are more exact than the others. Nothing but the standard library is imported.
"""

import json
import os
import signal
import threading
import time
from collections import Counter
from types import FrameType

_EVERY = 0.002  # seconds of CPU
_WRITE_EVERY = 0.5  # seconds

_directory = os.environ.get("EKIDEN_BENCH_PROFILE")


def _name(frame: FrameType) -> str:
    code = frame.f_code
    return f"{code.co_filename}:{code.co_firstlineno} {code.co_qualname}"


def _thread_seconds() -> dict[str, float]:
    found = {}
    for thread in threading.enumerate():
        if thread.ident is not None:
            found[thread.name] = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    return found


class _Profile:
    def __init__(self) -> None:
        self.own: Counter[str] = Counter()
        self.below: Counter[str] = Counter()
        self.written = time.monotonic()
        self.busy = False

    def sample(self, _number: int, frame: FrameType | None) -> None:
        # Writing takes longer than the timer's interval.
        if frame is None or self.busy:
            return
        self.busy = True
        self.own[_name(frame)] += 1
        seen = set()
        caller: FrameType | None = frame
        while caller is not None:
            seen.add(_name(caller))
            caller = caller.f_back
        self.below.update(seen)
        if time.monotonic() - self.written > _WRITE_EVERY:
            self.write()
            self.written = time.monotonic()
        self.busy = False

    def write(self) -> None:
        path = f"{_directory}/{os.getpid()}.json"
        text = json.dumps({"own": self.own, "below": self.below, "threads": _thread_seconds()})
        with open(path + ".new", "w") as file:
            file.write(text)
        os.replace(path + ".new", path)


def _start() -> None:
    signal.signal(signal.SIGPROF, _Profile().sample)
    # A system call in another thread that this interrupts is begun again.
    signal.siginterrupt(signal.SIGPROF, False)
    signal.setitimer(signal.ITIMER_PROF, _EVERY, _EVERY)


if _directory:
    os.register_at_fork(after_in_child=_start)
