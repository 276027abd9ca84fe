"""``python -m bench``: see docs/benchmarks.md, or ``python -m bench --help``."""

from __future__ import annotations

import argparse
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from bench import profile, queue_depth, report
from bench.ekiden_server import Ekiden
from bench.figures import Sample
from bench.haraka import Haraka
from bench.load import DEFAULT_SCENARIOS, SCENARIOS, Scenario
from bench.measure import measure
from bench.opensmtpd import OpenSmtpd
from bench.peers import Aiosmtpd, Postfix, Server
from bench.tools import BenchError, need_program, output_of

_DEFAULT_SERVERS = ("postfix", "ekiden", "ekiden1", "ekiden-pg", "aiosmtpd")


def known_servers() -> dict[str, Server]:
    """Every server by its name."""
    servers: tuple[Server, ...] = (
        Postfix(),
        Ekiden("ekiden", workers=2),
        Ekiden("ekiden1", workers=1),
        Ekiden("ekiden-pg", workers=2, postgresql=True),
        Aiosmtpd(),
        Postfix(log=True),
        Haraka(),
        OpenSmtpd(),
    )
    return {server.name: server for server in servers}


def _names(text: str) -> list[str]:
    return [name for name in text.replace(",", " ").split() if name]


def parser() -> argparse.ArgumentParser:
    """The options; ``queue`` and ``report`` are words of their own, nothing means the comparison."""
    top = argparse.ArgumentParser(
        prog="python -m bench", description="Ekiden beside other mail servers, on this machine and in one run."
    )
    top.add_argument(
        "what",
        nargs="?",
        default="all",
        choices=("all", "compare", "queue", "profile", "report"),
        help="compare: the same load on every server; queue: a long queue of deferred messages; all: both; "
        "profile: where the time of Ekiden's worker goes; report: print the tables of a file again",
    )
    top.add_argument("file", nargs="?", type=Path, help="report: a file below bench/results")
    top.add_argument("--quick", action="store_true", help="one round of a tenth of the messages: a first look")
    top.add_argument("--rounds", type=int, help="how often each server is run (default 3; 1 with --quick)")
    top.add_argument("--scenarios", type=_names, help=f"of {', '.join(SCENARIOS)}")
    top.add_argument("--servers", type=_names, help=f"of {', '.join(known_servers())}")
    top.add_argument("--with", dest="also", type=_names, default=[], help="servers beside the default ones")
    top.add_argument("--depths", type=_names, help="queue: how many deferred messages, e.g. 1000,100000,1000000")
    top.add_argument("--engines", type=_names, help="queue: sqlite, postgresql")
    top.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where queues are kept: a real disk")
    top.add_argument("--keep", action="store_true", help="keep the directories of the servers, with their logs")
    top.add_argument("--markdown", action="store_true", help="print Markdown")
    return top


def _scenarios(names: Sequence[str], options: argparse.Namespace) -> list[Scenario]:
    for name in names:
        if name not in SCENARIOS:
            raise BenchError(f"{name} is no scenario; there are {', '.join(SCENARIOS)}")
    return [SCENARIOS[name].quick() if options.quick else SCENARIOS[name] for name in names]


def _chosen(options: argparse.Namespace) -> tuple[list[Server], list[Scenario], int]:
    servers = known_servers()
    wanted = options.servers or [*_DEFAULT_SERVERS, *options.also]
    names = options.scenarios or list(DEFAULT_SCENARIOS)
    for name in wanted:
        if name not in servers:
            raise BenchError(f"{name} is no server; there are {', '.join(servers)}")
    chosen = []
    for name in dict.fromkeys(wanted):
        reason = servers[name].missing()
        if reason is None:
            chosen.append(servers[name])
        else:
            print(f"{name} is left out: {reason}", flush=True)
    return chosen, _scenarios(names, options), options.rounds or (1 if options.quick else 3)


def compare(options: argparse.Namespace, base: Path) -> list[Sample]:
    """Every scenario, every round, every server in turn: A B C, A B C, ..."""
    for program in ("smtp-source", "smtp-sink"):
        need_program(program)
    servers, scenarios, rounds = _chosen(options)
    samples: list[Sample] = []
    for scenario in scenarios:
        for number in range(1, rounds + 1):
            for server in servers:
                if scenario.secure and not server.secure:
                    continue
                sample = measure(server, scenario, number, base, options.keep)
                samples.append(sample)
                seen = (
                    f"failed: {sample.error}"
                    if sample.error
                    else f"accept {sample.accept:.0f}/s, e2e {sample.e2e:.0f}/s, CPU {sample.cpu:.3f} s/1000, "
                    f"PSS {sample.pss >> 20} MiB in {sample.processes} processes"
                )
                print(f"{scenario.name} round {number} {server.name}: {seen}", flush=True)
    facts = {server.name: {"title": server.title, "version": server.version()} for server in servers}
    path = report.save("compare", {"servers": facts, "samples": [sample.as_json() for sample in samples]})
    report.print_report(samples, options.markdown)
    print(f"written to {path}")
    return samples


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1: something could not be measured."""
    options = parser().parse_intermixed_args(arguments)
    # Whoever ends the bench ends the servers it started as well.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if options.what == "report":
            if options.file is None:
                raise BenchError("name a file below bench/results")
            content = report.load(options.file)
            if content["kind"] == "queue":
                results = [queue_depth.Depth(**each) for each in content["results"]]
                queue_depth.print_results(results, options.markdown)
            else:
                report.print_report(report.samples_of(content), options.markdown)
            return 0
        options.dir.mkdir(parents=True, exist_ok=True)
        if output_of("stat", "-f", "-c", "%T", str(options.dir)) in {"tmpfs", "ramfs"}:
            raise BenchError(f"{options.dir} is memory, not a disk; name another directory with --dir")
        base = Path(tempfile.mkdtemp(prefix="ekiden-bench-", dir=options.dir))
        base.chmod(0o755)  # Postfix's and PostgreSQL's users must reach what lies below
        good = True
        try:
            if options.what in {"all", "compare"}:
                good = not any(sample.error for sample in compare(options, base))
            if options.what == "profile":
                names = options.scenarios or ["4k"]
                on_postgresql = "ekiden-pg" in (options.servers or ())
                good = profile.run(_scenarios(names, options)[0], base, on_postgresql, options.markdown)
            if options.what in {"all", "queue"}:
                good = queue_depth.run(options, base) and good
        finally:
            if options.keep:
                print(f"kept: {base}")
            else:
                shutil.rmtree(base, ignore_errors=True)
        return 0 if good else 1
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; everything that was started has been ended", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
