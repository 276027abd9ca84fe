"""What people read: tables on the terminal or in Markdown, and the file of results."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table as RichTable

from bench.figures import MIB, Sample, Spread, Verdict, judge, of, paired, spread
from bench.load import SCENARIOS
from bench.tools import BenchError, output_of

_RESULTS = Path(__file__).parent / "results"
_COLUMNS = (
    "server",
    "accept msg/s",
    "e2e msg/s",
    "CPU s/1000",
    "PSS MiB",
    "flushes/msg",
    "accept ×",
    "e2e ×",
    "CPU ×",
    "runs",
)
_SIGNED_COLUMNS = ("e2e × OpenDKIM",)
"""Beside the others where signing is compared: the ratio to Postfix with OpenDKIM."""
KINDS = (
    "attachments",
    "callbacks",
    "fairness",
    "groups",
    "infobip",
    "logs",
    "mailings",
    "mails",
    "pull",
    "rendering",
    "request",
)
"""Of files that ``bench.parts`` writes."""
VERDICT_HEADER = ("target", "wanted", "measured", "verdict")


def show(value: Spread | None, digits: int = 0) -> str:
    """``min/median/max``, or one number when all rounds agree on it; a dash for nothing."""
    if value is None:
        return "–"
    texts = [f"{number:.{digits}f}" for number in value]
    return texts[1] if len(set(texts)) == 1 else "/".join(texts)


def rows(samples: Sequence[Sample], scenario: str, base: str = "postfix") -> list[list[str]]:
    """A row for each server that was run in ``scenario``, in the order of the runs; ratios are paired by round."""
    servers = list(dict.fromkeys(s.server for s in samples if s.scenario == scenario))
    table = []
    for server in servers:
        good = of(samples, server, scenario)
        tried = [s for s in samples if s.server == server and s.scenario == scenario]
        table.append(
            [
                server,
                show(spread([s.accept for s in good])),
                show(spread([s.e2e for s in good])),
                show(spread([s.cpu for s in good]), 3),
                show(spread([s.pss / MIB for s in good])),
                show(spread([s.flushes for s in good]), 2),
                show(paired(samples, server, base, scenario, lambda s: s.accept), 2),
                show(paired(samples, server, base, scenario, lambda s: s.e2e), 2),
                show(paired(samples, server, base, scenario, lambda s: s.cpu), 2),
                f"{len(good)}/{len(tried)}",
            ]
        )
    return table


def verdict(target: str, wanted: str, measured: str, *, met: bool) -> list[str]:
    """A row below ``VERDICT_HEADER``."""
    return [target, wanted, measured, "met" if met else "NOT MET"]


def verdict_rows(verdicts: Sequence[Verdict]) -> list[list[str]]:
    """What was wanted, what was measured, and whether it is met."""
    table = []
    for target, measured, met in verdicts:
        sign = "≥" if target.at_least else "≤"
        word = "not measured" if met is None else "met" if met else "NOT MET"
        digits = 2 if target.ratio else 0
        table.append([target.title, f"{sign} {target.limit:g} {target.unit}", show(measured, digits), word])
    return table


def markdown(header: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """The same as a Markdown table, for docs/benchmarks.md."""
    lines = ["| " + " | ".join(header) + " |", "| " + " | ".join("---" for _ in header) + " |"]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    return "\n".join(lines)


class Table(NamedTuple):
    """``rows`` has a row of texts for each line."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def print_table(title: str, header: Sequence[str], body: Sequence[Sequence[str]], as_markdown: bool) -> None:
    """One table: ``body`` has a row of texts for each line."""
    if as_markdown:
        print(f"### {title}\n\n{markdown(header, body)}\n")
        return
    table = RichTable(title=title, title_justify="left", title_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index == 0 else "right", no_wrap=True)
    for row in body:
        table.add_row(*row)
    # A pipe has no width; these tables have.
    Console(width=None if Console().is_terminal else 200, highlight=False).print(table)


def tables(samples: Sequence[Sample]) -> list[tuple[str, Sequence[str], list[list[str]]]]:
    """Title, header and rows of every table: one by scenario, the latencies of our generator, the targets."""
    found: list[tuple[str, Sequence[str], list[list[str]]]] = []
    for scenario in dict.fromkeys(sample.scenario for sample in samples):
        known = SCENARIOS[scenario]
        count = max(s.messages for s in samples if s.scenario == scenario)
        header: tuple[str, ...] = _COLUMNS
        body = rows(samples, scenario)
        if known.signed:
            header += _SIGNED_COLUMNS
            for row in body:
                row.append(show(paired(samples, row[0], "postfix-opendkim", scenario, lambda s: s.e2e), 2))
        found.append((f"{scenario}: {known.title}, {count} messages", header, body))
    latencies = []
    for scenario in dict.fromkeys(sample.scenario for sample in samples):
        for server in dict.fromkeys(sample.server for sample in samples if sample.scenario == scenario):
            seen = [sample.generator for sample in of(samples, server, scenario) if "message" in sample.generator]
            if seen:
                cells = [
                    show(spread([one[key][i] for one in seen]), 1) for key in ("message", "login") for i in (0, 1)
                ]
                latencies.append([f"{scenario}, {server}", *cells])
    if latencies:
        header = ("under full load, ms", "message p50", "message p99", "login p50", "login p99")
        found.append(("What the client sees: MAIL until 250, connect until MAIL may be sent", header, latencies))
    verdicts = judge(samples)
    if any(verdict.met is not None for verdict in verdicts):
        found.append(("Targets", VERDICT_HEADER, verdict_rows(verdicts)))
    return found


def print_report(samples: Sequence[Sample], as_markdown: bool = False) -> None:
    """All tables, then every run that failed and why."""
    for title, header, body in tables(samples):
        print_table(title, header, body, as_markdown)
    for sample in samples:
        if sample.error:
            print(f"{sample.server}, {sample.scenario}, round {sample.round} failed: {sample.error}")


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = ""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "commit": output_of("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def save(kind: str, content: dict[str, Any]) -> Path:
    """Write ``content`` with the facts of the machine below ``bench/results``; returns the file."""
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{kind}.json"
    path.write_text(json.dumps({"kind": kind, "machine": machine(), **content}, indent=1) + "\n")
    return path


def load(path: Path) -> dict[str, Any]:
    """What ``save`` wrote: ``kind``, ``machine``, and ``samples``, ``results`` or ``parts``.

    Raises ``BenchError`` when it is no such.
    """
    try:
        content: dict[str, Any] = json.loads(path.read_text())
        if content["kind"] not in {"compare", "queue", *KINDS}:
            raise KeyError("kind")
        if content["kind"] in KINDS and "parts" not in content:  # of an older bench
            raise KeyError("parts")
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"{path} is no file of results: {error}") from None
    return content


def samples_of(content: dict[str, Any]) -> list[Sample]:
    """The samples of a file of kind ``compare``."""
    return [Sample(**each) for each in content["samples"]]
