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

from bench import fairness, parts, profile, queue_depth, report
from bench.ekiden_server import Ekiden
from bench.figures import Sample
from bench.haraka import Haraka
from bench.load import DEFAULT_SCENARIOS, SCENARIOS, Scenario
from bench.measure import measure
from bench.opendkim import PostfixOpenDkim
from bench.opensmtpd import OpenSmtpd
from bench.peers import Aiosmtpd, Postfix, Server
from bench.tools import BenchError, need_program, output_of

_DEFAULT_SERVERS = ("postfix", "ekiden", "ekiden1", "ekiden-pg", "aiosmtpd")
_SIGNING_SERVERS = ("postfix", "postfix-opendkim", "ekiden-dkim", "ekiden-dkim1", "ekiden-pg-dkim", "ekiden-dkim2")
"""The default ones of scenarios about signing."""


def known_servers() -> dict[str, Server]:
    """Every server by its name."""
    servers: tuple[Server, ...] = (
        Postfix(),
        Ekiden("ekiden", workers=2),
        Ekiden("ekiden1", workers=1),
        Ekiden("ekiden-pg", workers=2, postgresql=True),
        Ekiden("ekiden-dkim", workers=2, signing="rsa"),
        Ekiden("ekiden-dkim1", workers=1, signing="rsa"),
        Ekiden("ekiden-pg-dkim", workers=2, postgresql=True, signing="rsa"),
        Ekiden("ekiden-dkim2", workers=2, signing="both"),
        Aiosmtpd(),
        Postfix(log=True),
        PostfixOpenDkim(),
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
        choices=("all", "compare", "queue", parts.ALL, *parts.PARTS, "profile", "report"),
        help="compare: the same load on every server; queue: a long queue of deferred messages; all: both; "
        "infobip: what that HTTP API is made of, which is all of: "
        "request: 1,000 messages in one request, beside SMTP; rendering: composing personal messages; "
        "attachments: memory and storage; callbacks: telling of events; logs: asking for what was sent; "
        "pull: fetching reports; "
        "mails: one request of NAVER's API with 100,000 recipients; "
        "groups: such requests to people of an address book of a million; "
        "mailings: asking for what became of such requests; "
        "fairness: single messages beside the flood of another account; "
        "profile: where the time of Ekiden's worker goes; "
        "report: print the tables of a file again",
    )
    top.add_argument("file", nargs="?", type=Path, help="report: a file below bench/results")
    top.add_argument("--quick", action="store_true", help="one round of a tenth of the messages: a first look")
    top.add_argument("--rounds", type=int, help="how often each server is run (default 3; 1 with --quick)")
    top.add_argument(
        "--scenarios", type=_names, help=f"of {', '.join(SCENARIOS)}; fairness: of {', '.join(fairness.SCENARIOS)}"
    )
    top.add_argument("--servers", type=_names, help=f"of {', '.join(known_servers())}")
    top.add_argument("--with", dest="also", type=_names, default=[], help="servers beside the default ones")
    top.add_argument(
        "--depths", type=_names, help="queue, logs, pull, mailings, groups, fairness: how many, e.g. 1000,1000000"
    )
    top.add_argument(
        "--engines", type=_names, help="queue, logs, pull, mailings, groups, fairness: sqlite, postgresql"
    )
    top.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where queues are kept: a real disk")
    top.add_argument("--keep", action="store_true", help="keep the directories of the servers, with their logs")
    top.add_argument("--markdown", action="store_true", help="print Markdown")
    return top


def _scenarios(names: Sequence[str], options: argparse.Namespace) -> list[Scenario]:
    for name in names:
        if name not in SCENARIOS:
            raise BenchError(f"{name} is no scenario; there are {', '.join(SCENARIOS)}")
    return [SCENARIOS[name].quick() if options.quick else SCENARIOS[name] for name in names]


def plan(options: argparse.Namespace) -> list[tuple[Scenario, list[Server]]]:
    """The scenarios, and who runs in each; says on standard output who is left out, and why.

    Servers that are named run in every scenario they can. Otherwise those that sign run where signing is compared,
    the others elsewhere, and Postfix, which every ratio is to, everywhere.
    """
    servers = known_servers()
    for name in (*(options.servers or ()), *options.also):
        if name not in servers:
            raise BenchError(f"{name} is no server; there are {', '.join(servers)}")
    planned = []
    for scenario in _scenarios(options.scenarios or DEFAULT_SCENARIOS, options):
        if options.servers:
            names = options.servers
        else:
            fitting = [name for name in options.also if bool(servers[name].signatures) == scenario.signed]
            names = [*(_SIGNING_SERVERS if scenario.signed else _DEFAULT_SERVERS), *fitting]
        able = [servers[name] for name in dict.fromkeys(names) if servers[name].secure or not scenario.secure]
        planned.append((scenario, able))
    missing: dict[str, str] = {}
    for server in {server.name: server for _, able in planned for server in able}.values():
        reason = server.missing()
        if reason is not None:
            missing[server.name] = reason
            print(f"{server.name} is left out: {reason}", flush=True)
    return [(scenario, [server for server in able if server.name not in missing]) for scenario, able in planned]


def profiled(names: Sequence[str]) -> Ekiden:
    """The one server that ``profile`` was asked for. Raises ``BenchError`` when it is none of Ekiden's."""
    servers = {name: server for name, server in known_servers().items() if isinstance(server, Ekiden)}
    if len(names) != 1 or names[0] not in servers:
        raise BenchError(f"one of {', '.join(servers)} can be profiled, not {', '.join(names)}")
    return servers[names[0]]


def compare(options: argparse.Namespace, base: Path) -> list[Sample]:
    """Every scenario, every round, every server in turn: A B C, A B C, ..."""
    for program in ("smtp-source", "smtp-sink"):
        need_program(program)
    planned = plan(options)
    rounds = options.rounds or (1 if options.quick else 3)
    samples: list[Sample] = []
    for scenario, servers in planned:
        for number in range(1, rounds + 1):
            for server in servers:
                sample = measure(server, scenario, number, base, options.keep)
                samples.append(sample)
                seen = (
                    f"failed: {sample.error}"
                    if sample.error
                    else f"accept {sample.accept:.0f}/s, e2e {sample.e2e:.0f}/s, CPU {sample.cpu:.3f} s/1000, "
                    f"PSS {sample.pss >> 20} MiB in {sample.processes} processes"
                )
                print(f"{scenario.name} round {number} {server.name}: {seen}", flush=True)
    ran = {server.name: server for _, servers in planned for server in servers}
    facts = {name: {"title": server.title, "version": server.version()} for name, server in ran.items()}
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
            elif "parts" in content:
                parts.print_content(content, options.markdown)
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
                server = profiled(options.servers or ["ekiden"])
                good = profile.run(_scenarios(names, options)[0], base, server, options.markdown)
            if parts.names(options.what):
                good = parts.run(options.what, options, base)
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
