"""``make fuzz``: every target, a million cases each, in as many processes as there are cores.

``python tests/fuzz/fuzz_run.py --cases 10000 --target from --seed 7``. Ends with 1 when anything was found; each
fault is printed with a case that shows it: ``python tests/fuzz/fuzz_run.py --target from --case BASE64``.
"""

from __future__ import annotations

import argparse
import base64
import os
import sys
import time
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz_engine import Fuzzer, Outcome
from fuzz_targets import TARGETS

_SHARDS = 4


def run_shard(name: str, cases: int, seconds: float, seed: int) -> Outcome:
    return Fuzzer(TARGETS[name], seed).run(cases, seconds)


def shown(case: bytes) -> str:
    """A case as an argument of ``--case``."""
    return base64.b64encode(zlib.compress(case, 9)).decode()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of each target")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for a quarter of a target's cases")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="only this one")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--case", help="run one case of a target, as printed for a fault")
    options = parser.parse_args()
    names = options.target or list(TARGETS)
    if options.case:
        case = zlib.decompress(base64.b64decode(options.case))
        print(case[:2000])
        fuzzer = Fuzzer(TARGETS[names[0]], 0)
        fuzzer._one(case, traced=False, measured=True)
        print(f"{fuzzer.outcome.slowest * 1000:.1f} ms, {fuzzer.outcome.memory} octets, {fuzzer.outcome.faults}")
        return bool(fuzzer.outcome.faults)
    print(f"seed {options.seed}")
    print("| target | cases | seeds found | slowest case, ms of CPU | peak memory, kB | verdict |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    found = False
    with ProcessPoolExecutor(options.processes) as pool:
        shards = {
            name: [
                pool.submit(run_shard, name, options.cases // _SHARDS, options.seconds, options.seed + shard)
                for shard in range(_SHARDS)
            ]
            for name in names
        }
        for name, futures in shards.items():
            total = Outcome()
            for future in futures:
                total.add(future.result())
            verdict = f"**{len(total.faults)} found**" if total.faults else "ok"
            print(
                f"| {name} | {total.cases} | {total.corpus} | {total.slowest * 1000:.1f} | "
                f"{total.memory // 1000} | {verdict} |",
                flush=True,
            )
            for fault in total.faults:  # at once: a run takes long
                found = True
                beginning = f"{fault.case[:120]!r}, {len(fault.case)} octets"
                print(
                    f"{name}: {fault.why}\n  {beginning}\n  --case {shown(fault.case)}", file=sys.stderr, flush=True
                )
    return found


if __name__ == "__main__":
    sys.exit(main())
