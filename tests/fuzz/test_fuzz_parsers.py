"""Every parser that reads from outside, for a moment: ``make fuzz`` takes a million cases of each."""

from __future__ import annotations

import pytest
from fuzz_engine import CPU_LIMIT, Fuzzer, Target
from fuzz_targets import TARGETS

CASES = 250
SECONDS = 2.0
SLACK = 6
"""The machine of a test run does other things at the same time; what is square exceeds this as well."""


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_from_outside_is_slow_large_or_unexpected(name: str) -> None:
    outcome = Fuzzer(TARGETS[name], 1, cpu_limit=CPU_LIMIT * SLACK).run(CASES, SECONDS)
    assert outcome.faults == []
    assert outcome.cases >= len(TARGETS[name].seeds)


def test_every_seed_is_read_without_a_fault() -> None:
    for target in TARGETS.values():
        if target.name == "bearer-token":
            continue  # nobody outside has one that is good
        for seed in target.seeds:
            try:
                target.function(seed)
            except target.errors:
                pytest.fail(f"{target.name} refuses its seed {seed[:80]!r}")


def _square(case: bytes) -> None:
    """Asks for every quote whether there is another one behind it, and says so wrongly once."""
    for at in range(case.count(b'"')):
        sum(case[at:])
    if case.startswith(b'"x"'):
        raise ZeroDivisionError


def test_the_fuzzer_finds_what_is_square_and_what_breaks() -> None:
    target = Target("square", _square, [b'a"b'], [b'"', b"x"], ["fuzz/test_fuzz_parsers"], most=8_192)
    outcome = Fuzzer(target, 3).run(20_000, 60, most_faults=2)
    assert {fault.why.partition(":")[0] for fault in outcome.faults} == {"slow", "ZeroDivisionError"}


def _large(case: bytes) -> bytes:
    return case * 20_000 if len(case) > 1_000 else b""


def test_the_fuzzer_finds_what_takes_memory() -> None:
    outcome = Fuzzer(Target("large", _large, [b"a" * 2_000], [b"a"], []), 1).run(10)
    assert [fault.why.partition(":")[0] for fault in outcome.faults][:1] == ["memory"]
