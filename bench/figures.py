"""From samples to figures: quantiles, spreads, ratios paired by round, and the targets of the project."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

MIB = 1 << 20


@dataclass(slots=True)
class Sample:
    """What one run measured. Rates by second, CPU in seconds for 1,000 messages, memory in octets."""

    server: str
    scenario: str
    round: int
    messages: int
    accept: float = 0.0
    e2e: float = 0.0
    cpu: float = 0.0
    pss: int = 0
    processes: int = 0
    flushes: float = 0.0
    """Flush requests of all disks for each message (proc/diskstats): durability that really reaches the disk."""
    generator: dict[str, Any] = field(default_factory=dict)
    error: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def quantile(values: Sequence[float], q: float) -> float:
    """The value below which the share ``q`` (0 to 1) lies: nearest rank; NaN of nothing."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, math.ceil(q * len(ordered)) - 1))]


class Spread(NamedTuple):
    """Lowest, middle and highest of some runs."""

    low: float
    middle: float
    high: float


def spread(values: Sequence[float]) -> Spread | None:
    """Of an even number the middle is the mean of the two in the middle. ``None`` of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    half = len(ordered) // 2
    middle = ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    return Spread(ordered[0], middle, ordered[-1])


def of(samples: Iterable[Sample], server: str, scenario: str) -> list[Sample]:
    """The runs of one server in one scenario that succeeded."""
    return [s for s in samples if s.server == server and s.scenario == scenario and not s.error]


def paired(
    samples: Sequence[Sample], server: str, base: str, scenario: str, value: Callable[[Sample], float]
) -> Spread | None:
    """``value`` of ``server`` divided by that of ``base`` in the same round, over the rounds that have both.

    Only runs beside each other compare: on a shared machine the absolute numbers drift.
    """
    bases = {sample.round: value(sample) for sample in of(samples, base, scenario)}
    ratios = [
        value(sample) / bases[sample.round]
        for sample in of(samples, server, scenario)
        if bases.get(sample.round, 0.0) > 0
    ]
    return spread(ratios)


@dataclass(frozen=True, slots=True)
class Target:
    """What the project wants: the middle of the paired ratios, or of the value itself, at least or at most."""

    title: str
    server: str
    scenario: str
    value: Callable[[Sample], float]
    limit: float
    at_least: bool
    ratio: bool = True
    base: str = "postfix"
    """The server that a ratio is to."""
    unit: str = "× Postfix"


def _pss(sample: Sample) -> float:
    return sample.pss / MIB


TARGETS = (
    Target("durable accept, 4 KiB", "ekiden", "4k", lambda s: s.accept, 4.0, True),
    Target("end to end, 4 KiB", "ekiden", "4k", lambda s: s.e2e, 3.0, True),
    Target("end to end, 50 KiB", "ekiden", "50k", lambda s: s.e2e, 2.0, True),
    Target("CPU per message, 4 KiB", "ekiden", "4k", lambda s: s.cpu, 0.35, False),
    Target("CPU per message, 50 KiB", "ekiden", "50k", lambda s: s.cpu, 0.35, False),
    Target("memory of all processes, 4 KiB", "ekiden", "4k", _pss, 200, False, ratio=False, unit="MiB PSS"),
    Target("memory of all processes, 50 KiB", "ekiden", "50k", _pss, 200, False, ratio=False, unit="MiB PSS"),
    Target("end to end on PostgreSQL, 4 KiB", "ekiden-pg", "4k", lambda s: s.e2e, 2.0, True),
    Target(
        "end to end, 4 KiB, DKIM RSA-2048",
        "ekiden-dkim",
        "dkim",
        lambda s: s.e2e,
        2.5,
        True,
        unit="× Postfix without DKIM",
    ),
    Target(
        "end to end, 4 KiB, DKIM RSA-2048, both signing",
        "ekiden-dkim",
        "dkim",
        lambda s: s.e2e,
        4.0,
        True,
        base="postfix-opendkim",
        unit="× Postfix with OpenDKIM",
    ),
)


class Verdict(NamedTuple):
    """A target, what was measured, and whether that meets it; ``None`` when it was not measured."""

    target: Target
    measured: Spread | None
    met: bool | None


def judge(samples: Sequence[Sample]) -> list[Verdict]:
    """Every target against ``samples``. A target is met when the middle of the rounds meets it."""
    verdicts = []
    for target in TARGETS:
        if target.ratio:
            measured = paired(samples, target.server, target.base, target.scenario, target.value)
        else:
            measured = spread([target.value(s) for s in of(samples, target.server, target.scenario)])
        met: bool | None = None
        if measured is not None:
            met = measured.middle >= target.limit if target.at_least else measured.middle <= target.limit
        verdicts.append(Verdict(target, measured, met))
    return verdicts
