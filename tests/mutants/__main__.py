"""``make mutants``: puts each fault into a copy of the sources, one at a time, and sees whether a test fails.

The work tree is never touched. Each run has the copy before everything else in its path, and refuses to begin when
``ekiden`` comes from elsewhere. First all the tests run without any fault: what fails then notices nothing.

Names (or parts of them, or of files) as arguments select faults; ``--jobs`` is how many runs there are at a time.
"""

from __future__ import annotations

import argparse
import compileall
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from support.mutant_list import ROOT, SOURCES, Mutant, mutants

GOAL = 95
"""Per cent of the faults that have to be found."""
_LONGEST = 300.0
"""Seconds that one run may take; each test has bounds of its own."""
_GUARD = """
import os
import ekiden

def pytest_configure(config):
    if not ekiden.__file__.startswith(os.environ["MUTANT"]):
        raise SystemExit(f"not the copy is tested but {ekiden.__file__}")
"""

FOUND, MISSED, BROKEN, GONE = "found", "NOT FOUND", "NO RUN", "TEXT GONE"


def run_tests(copy: Path, tests: list[str], *options: str) -> tuple[int, str]:
    """pytest's exit status (or -1: it took too long) and what it said."""
    scratch = copy / "tmp"
    scratch.mkdir(exist_ok=True)
    (copy / "mutant_guard.py").write_text(_GUARD)
    path = os.pathsep.join([str(copy / "src"), str(copy)])
    environ = {
        **os.environ,
        "PYTHONPATH": path,
        "MUTANT": str(copy),
        "TMPDIR": str(scratch),
    }
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "--tb=line", "-p", "mutant_guard"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", f"--basetemp={scratch / 'pytest'}", "--timeout=60"]
    process = subprocess.Popen(
        [*command, *options, *tests],
        cwd=ROOT,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=_LONGEST)
        return process.returncode, said
    except subprocess.TimeoutExpired:
        return -1, ""
    finally:
        # What a test of a broken supervisor has started does not end by itself.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def try_one(mutant: Mutant, base: Path) -> tuple[str, float, str]:
    """What came of it, the seconds it took, and the test that failed (or what else there is to say)."""
    began = time.monotonic()
    faulty = mutant.applied((SOURCES / mutant.file).read_text())
    if faulty is None:
        return GONE, 0.0, mutant.file
    with tempfile.TemporaryDirectory(prefix="m", dir=base, ignore_cleanup_errors=True) as directory:
        copy = Path(directory)
        shutil.copytree(base / "src", copy / "src")
        (copy / "src/ekiden" / mutant.file).write_text(faulty)
        status, said = run_tests(copy, list(mutant.tests), "-x")
    took = time.monotonic() - began
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", said, re.MULTILINE)
    if status == 0:
        return MISSED, took, ""
    if status == 1:
        return FOUND, took, failed[0] if failed else ""
    return BROKEN, took, "it took too long" if status == -1 else said.strip()[-300:]


def main() -> int:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("parts", nargs="*", help="parts of names or files; all of them without")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--trust", action="store_true", help="do not run the tests without a fault first")
    given = parser.parse_args()
    wanted = [m for m in mutants() if not given.parts or any(p in m.name or p in m.file for p in given.parts)]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mut", ignore_cleanup_errors=True) as directory:
        base = Path(directory)
        # Compiled once: copies keep the times of their files, by which Python knows what is still right.
        shutil.copytree(SOURCES, base / "src/ekiden", ignore=shutil.ignore_patterns("__pycache__"))
        compileall.compile_dir(base / "src", quiet=1)
        if not given.trust:
            tests = sorted({test for mutant in wanted for test in mutant.tests})
            status, said = run_tests(base, tests)
            if status != 0:
                print(said)
                print("These tests fail without any fault: nothing can be said.")
                return 2
        results = []
        with ThreadPoolExecutor(given.jobs) as executor:
            for mutant, result in zip(wanted, executor.map(lambda one: try_one(one, base), wanted), strict=True):
                results.append(result)
                verdict, took, by = result
                print(f"{verdict:9} {took:5.1f} s  {mutant.file:36} {mutant.name:62} {by}", flush=True)
    found = sum(verdict == FOUND for verdict, *_ in results)
    share = 100 * found / len(results) if results else 0.0
    took = time.monotonic() - began
    files = len({mutant.file for mutant in wanted})
    print(f"{found} of {len(results)} faults in {files} modules found: {share:.1f} % ({took:.0f} s)")
    return 0 if share >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
