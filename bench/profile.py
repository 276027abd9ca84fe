"""``python -m bench profile``: Ekiden with one worker under load, and in which functions its time goes."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

from bench import report
from bench.ekiden_server import Ekiden
from bench.load import Scenario
from bench.measure import measure

_TOP = 40
_MOST = 0.9
_HEADER = ("function", "itself %", "with callees %")


class ProfiledEkiden(Ekiden):
    """As ``of``, with one worker, which writes profiles into ``directory``."""

    def __init__(self, directory: Path, of: Ekiden) -> None:
        super().__init__("ekiden-profiled", workers=1, postgresql=of.postgresql, signing=of.signing)
        self._profiles = directory

    def environment(self) -> dict[str, str]:
        return {
            "PYTHONPATH": str(Path(__file__).parent / "profiler"),
            "EKIDEN_BENCH_PROFILE": str(self._profiles),
        }


def short(name: str) -> str:
    """``/a/b/src/ekiden/x/y.py:10 f`` as ``ekiden/x/y.py:10 f``; of a library, from its package on."""
    path, _, rest = name.partition(":")
    for mark in ("/src/", "/site-packages/", f"/python{sys.version_info[0]}.{sys.version_info[1]}/"):
        _, found, tail = path.rpartition(mark)
        if found:
            return f"{tail}:{rest}"
    return name


def rows(own: Counter[str], below: Counter[str], order: Counter[str], top: int = _TOP) -> list[list[str]]:
    """The first functions of ``order``: name, percent of samples at work in it, and below it."""
    total = sum(own.values()) or 1
    return [
        [short(name), f"{100 * own[name] / total:.1f}", f"{100 * below[name] / total:.1f}"]
        for name, _ in order.most_common(top)
    ]


def run(scenario: Scenario, base: Path, server: Ekiden, as_markdown: bool) -> bool:
    """Measure ``server`` once and print. False: the run failed."""
    directory = base / "profiles"
    directory.mkdir()
    sample = measure(ProfiledEkiden(directory, server), scenario, 1, base)
    own: Counter[str] = Counter()
    below: Counter[str] = Counter()
    for path in directory.glob("*.json"):
        seen = json.loads(path.read_text())
        own.update(seen["own"])
        below.update(seen["below"])
        threads = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in seen["threads"].items())
        print(f"process {path.stem}, CPU by thread: {threads}")
    report.print_table("Main thread, by own time", _HEADER, rows(own, below, own), as_markdown)
    total = sum(own.values())
    # What is below nearly everything says nothing.
    inner = Counter({name: count for name, count in below.items() if count < _MOST * total})
    report.print_table("Main thread, with callees", _HEADER, rows(own, below, inner), as_markdown)
    print(
        sample.error
        or f"while profiled: accept {sample.accept:.0f}/s, e2e {sample.e2e:.0f}/s, CPU {sample.cpu:.3f} s/1000"
    )
    return not sample.error
