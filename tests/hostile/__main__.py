"""``make hostile``: every attack at full strength, and a table of what the victim felt.

python tests/hostile [--scale 4] [NAME …]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from arena import Impossible, percentile
from scenarios import SCENARIOS, run


def main() -> int:
    parser = argparse.ArgumentParser(description="Attacks on a platform of its own, on loopback.")
    parser.add_argument("--scale", type=int, default=4, help="how much of everything; the suite's is 1")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these scenarios")
    options = parser.parse_args()
    chosen = [scenario for scenario in SCENARIOS if not options.names or scenario.name in options.names]
    head = ("scenario", "what was sent", "p50", "p99", "worst", "delivered p99", "HTTP p99")
    head += ("refused", "again", "grew", "loop lag", "verdict")
    for cells in (head, ["---"] * len(head)):
        print(f"| {' | '.join(cells)} |")
    bad = 0
    for scenario in chosen:
        for store in scenario.stores:
            try:
                figures = run(scenario, store, options.scale)
            except Impossible as reason:
                print(f"| {scenario.name} ({store}) | not here: {reason} |" + " |" * 10, flush=True)
                continue
            wrong = scenario.verdict(figures)
            bad += bool(wrong)
            seconds = [
                percentile(figures.submitted, 0.5),
                percentile(figures.submitted, 0.99),
                max(figures.submitted, default=0.0),
                percentile(figures.delivered, 0.99),
                percentile(figures.asked, 0.99),
            ]
            print(
                f"| {scenario.name} ({store}) | {figures.sent} | "
                + " | ".join(f"{value:.3f} s" for value in seconds)
                + f" | {len(figures.refusals)} + {len(figures.failures)} | {figures.duplicates}"
                + f" | {figures.growth >> 20} MiB | {figures.lag:.2f} s | {'; '.join(wrong) or 'served'} |",
                flush=True,
            )
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
