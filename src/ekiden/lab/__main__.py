"""``python -m ekiden.lab``: a lab as a process of its own."""

from __future__ import annotations

import argparse
import sys

from ekiden.lab.behaviour import LabError
from ekiden.lab.lab import LabConfig, run_lab
from ekiden.process.logging import configure_for_commands


def main() -> None:
    """Parse the arguments and run until a signal comes."""
    parser = argparse.ArgumentParser(prog="python -m ekiden.lab", description="An internet on loopback.")
    parser.add_argument("--json", action="store_true", help="print the addresses as one line of JSON")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    parser.add_argument("--state-file", default="", help="keep ports, behaviours and DNS edits in this file")
    parser.add_argument("--ttl", type=int, default=1, help="seconds that DNS answers may be cached (default 1)")
    for name in ("dns", "smtp", "api", "http"):
        parser.add_argument(f"--{name}-port", type=int, default=0, help="default: a free one")
    given = parser.parse_args()
    config = LabConfig(
        dns_port=given.dns_port,
        smtp_port=given.smtp_port,
        api_port=given.api_port,
        http_port=given.http_port,
        ttl=given.ttl,
        state_file=given.state_file,
    )
    configure_for_commands()  # standard output has the addresses
    try:
        run_lab(config, json_line=given.json, watch_stdin=given.watch_stdin)
    except LabError as error:
        sys.exit(f"lab: {error}")


if __name__ == "__main__":
    main()
