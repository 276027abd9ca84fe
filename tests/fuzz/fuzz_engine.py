"""A small fuzzer that is guided by coverage: cases that reach new lines become seeds of others.

Why our own: it has to hold every case to a bound of CPU time and memory, to grow inputs on purpose (a token ten
thousand times shows what is square), and to run wherever the suite does. Atheris, the libFuzzer for Python, knows
time-outs of whole seconds only, and comes as 35 MB of binary for few platforms and versions of Python.
"""

from __future__ import annotations

import gc
import random
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

CPU_LIMIT = 0.05
"""Seconds of CPU that one case may take."""
MEMORY_LIMIT = 10_000_000
"""Octets that one case may take at its peak."""
_TRACED_FIRST = 3_000
_TRACED_EVERY = 20
_MEASURED_EVERY = 500
_MANY = (2, 3, 5, 10, 100, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class Target:
    """``function`` reads a case. ``errors`` are how it says no; anything else that it raises is a fault."""

    name: str
    function: Callable[[bytes], Any]
    seeds: Sequence[bytes]
    words: Sequence[bytes]
    """What its grammar is made of."""
    modules: Sequence[str]
    """Whose lines guide: ``ekiden.mime.scan``."""
    errors: tuple[type[Exception], ...] = ()
    most: int = 65_536
    """Octets of a case: what can come to it from outside."""


@dataclass
class Fault:
    """``why``: ``slow``, ``memory`` or the exception."""

    why: str
    case: bytes


@dataclass
class Outcome:
    cases: int = 0
    corpus: int = 0
    slowest: float = 0.0
    """Seconds of CPU."""
    slowest_case: bytes = b""
    memory: int = 0
    """Octets, of the cases that were measured."""
    faults: list[Fault] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        self.cases += other.cases
        self.corpus = max(self.corpus, other.corpus)
        self.memory = max(self.memory, other.memory)
        self.faults += other.faults
        if other.slowest > self.slowest:
            self.slowest, self.slowest_case = other.slowest, other.slowest_case


class Fuzzer:
    """One target, one sequence of cases: the same for the same ``seed``."""

    def __init__(
        self, target: Target, seed: int, *, cpu_limit: float = CPU_LIMIT, memory_limit: int = MEMORY_LIMIT
    ) -> None:
        self._target = target
        self._random = random.Random(seed)
        self._cpu_limit = cpu_limit
        self._memory_limit = memory_limit
        self._corpus = list(target.seeds) or [b""]
        self._seen: set[tuple[CodeType, int, int]] = set()
        self._files = tuple(module.replace(".", "/") + ".py" for module in target.modules)
        self._ours: dict[CodeType, bool] = {}
        self.outcome = Outcome()

    def run(self, cases: int, seconds: float = float("inf"), *, most_faults: int = 3) -> Outcome:
        """``cases`` of them, seeds first; fewer when ``seconds`` are over or there are enough faults."""
        outcome = self.outcome
        deadline = time.monotonic() + seconds
        pending = list(self._corpus)
        gc.disable()
        try:
            for number in range(cases):
                case = pending.pop() if pending else self._mutated()
                traced = number < _TRACED_FIRST or number % _TRACED_EVERY == 0
                self._one(case, traced=traced, measured=number % _MEASURED_EVERY == 0)
                outcome.cases += 1
                if number % 256 == 255:
                    gc.collect(0)
                    if time.monotonic() > deadline:
                        break
                if len(outcome.faults) >= most_faults:
                    break
        finally:
            gc.enable()
        outcome.corpus = len(self._corpus)
        return outcome

    # --- one case -------------------------------------------------------------------------------------------

    def _one(self, case: bytes, *, traced: bool, measured: bool) -> None:
        took = self._timed(case)
        if took > self._cpu_limit:
            took = min(took, *(self._timed(case) for _ in range(2)))  # others use this processor, too
        outcome = self.outcome
        if took > outcome.slowest:
            outcome.slowest, outcome.slowest_case = took, case
            measured = True
        if took > self._cpu_limit:
            outcome.faults.append(Fault(f"slow: {took * 1000:.0f} ms", case))
            return
        if traced and self._reaches_new_lines(case) and len(case) <= 4 * 4096:
            self._corpus.append(case)
        if measured:
            self._measure(case)

    def _timed(self, case: bytes) -> float:
        began = time.process_time()
        try:
            self._target.function(case)
        except RecursionError:
            self._fault("RecursionError", case)
        except self._target.errors:
            pass
        except Exception as error:
            self._fault(f"{type(error).__name__}: {error}", case)
        return time.process_time() - began

    def _fault(self, why: str, case: bytes) -> None:
        if not any(fault.why == why for fault in self.outcome.faults):
            self.outcome.faults.append(Fault(why, case))

    def _quietly(self, case: bytes) -> None:
        with suppress(Exception):  # it was told before
            self._target.function(case)

    def _measure(self, case: bytes) -> None:
        tracemalloc.start()
        try:
            self._quietly(case)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        self.outcome.memory = max(self.outcome.memory, peak)
        if peak > self._memory_limit:
            self.outcome.faults.append(Fault(f"memory: {peak} octets", case))

    def _reaches_new_lines(self, case: bytes) -> bool:
        before = len(self._seen)
        sys.settrace(self._enter)
        try:
            self._quietly(case)
        finally:
            sys.settrace(None)
        return len(self._seen) > before

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        ours = self._ours.get(code)
        if ours is None:
            ours = self._ours[code] = code.co_filename.endswith(self._files)
        if not ours:
            return None
        seen, last = self._seen, 0

        def line(frame: FrameType, event: str, argument: Any) -> Any:
            nonlocal last
            if event == "line":
                seen.add((code, last, frame.f_lineno))
                last = frame.f_lineno
            return line

        return line

    # --- cases ----------------------------------------------------------------------------------------------

    def _mutated(self) -> bytes:
        chance = self._random
        case = chance.choice(self._corpus[-64:] if chance.random() < 0.5 else self._corpus)
        # Most are short, so that there can be many; some are as large as they can come.
        most = (
            min(self._target.most, int(64 * 2 ** chance.triangular(0, 10, 0))) if chance.random() < 0.98 else None
        )
        for _ in range(chance.choice((1, 1, 2, 3, 5))):
            case = chance.choice(_MUTATIONS)(self, case)
        return case[: self._target.most if most is None else most]

    def _word(self) -> bytes:
        chance = self._random
        if self._target.words and chance.random() < 0.85:
            return chance.choice(self._target.words)
        return chance.randbytes(chance.choice((1, 1, 2, 4)))

    def _insert(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        return case[:at] + self._word() + case[at:]

    def _replace(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        return case[:at] + self._word() + case[at + self._random.choice((1, 2, 4, 8)) :]

    def _delete(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        return case[:at] + case[at + self._random.choice((1, 2, 8, 64)) :]

    def _repeat_word(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        return case[:at] + self._grown(self._word()) + case[at:]

    def _repeat_words(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        return case[:at] + self._grown(self._word() + self._word()) + case[at:]

    def _repeat_part(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        end = at + self._random.choice((1, 2, 4, 8, 16, 64))
        return case[:at] + self._grown(case[at:end]) + case[end:]

    def _nest(self, case: bytes) -> bytes:
        at = self._random.randint(0, len(case))
        end = self._random.randint(at, len(case))
        return case[:at] + self._grown(self._word()) + case[at:end] + self._grown(self._word()) + case[end:]

    def _splice(self, case: bytes) -> bytes:
        other = self._random.choice(self._corpus)
        return case[: self._random.randint(0, len(case))] + other[self._random.randint(0, len(other)) :]

    def _flip(self, case: bytes) -> bytes:
        if not case:
            return case
        at = self._random.randrange(len(case))
        return case[:at] + bytes((case[at] ^ (1 << self._random.randrange(8)),)) + case[at + 1 :]

    def _grown(self, part: bytes) -> bytes:
        if not part:
            return part
        chance = self._random
        many = chance.choice(_MANY) if chance.random() < 0.2 else chance.choice(_MANY[:4])
        return part * min(many, self._target.most // len(part) + 1)


_MUTATIONS: tuple[Callable[[Fuzzer, bytes], bytes], ...] = (
    Fuzzer._insert,
    Fuzzer._insert,
    Fuzzer._replace,
    Fuzzer._delete,
    Fuzzer._repeat_word,
    Fuzzer._repeat_words,
    Fuzzer._repeat_part,
    Fuzzer._nest,
    Fuzzer._splice,
    Fuzzer._flip,
)
