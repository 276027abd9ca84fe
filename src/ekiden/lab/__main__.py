"""``python -m ekiden.lab``: a lab as a process of its own."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Final

from ekiden.core.language import language
from ekiden.core.texts import Texts
from ekiden.lab.behaviour import LabError
from ekiden.lab.lab import LabConfig, run_lab
from ekiden.process.logging import configure_for_commands

TEXTS: Final = Texts("lab/help")


def main() -> None:
    """Parse the arguments and run until a signal comes."""
    given = _parser().parse_args()
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


def _parser() -> argparse.ArgumentParser:
    lang = language(os.environ)
    parser = argparse.ArgumentParser(
        prog="python -m ekiden.lab",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description=TEXTS(
            "An internet on loopback: a DNS server, servers that receive mail and behave as you choose (and later\n"
            "bounce, complain or reply), a sender, a receiver of callbacks, and an API for all of it.",
            lang,
        ),
        epilog=TEXTS(
            "Of the API, at the address that is printed:\n"
            "  PUT /behaviour/DOMAIN       how a domain answers, and what it reports later\n"
            "  GET /mail, /inbox           what arrived\n"
            "  POST /send                  send a message to the servers of its recipients\n"
            "  PUT /routes/DOMAIN          mail for the domain goes to a server of yours\n"
            "  GET /reports                bounces, complaints and replies that were sent\n"
            "  GET /http                   callbacks; PUT /http-behaviour/PREFIX: their answers;\n"
            "                              PUT /http-server: down for a while\n"
            "All of it is explained in docs/lab.md.",
            lang,
        ),
    )
    add = parser.add_argument
    add("--json", action="store_true", help=TEXTS("print the addresses as one line of JSON", lang))
    add("--watch-stdin", action="store_true", help=TEXTS("stop when standard input ends", lang))
    add("--state-file", default="", help=TEXTS("keep ports, behaviours, routes and DNS edits in this file", lang))
    add("--ttl", type=int, default=1, help=TEXTS("seconds that DNS answers may be cached (default 1)", lang))
    for name in ("dns", "smtp", "api", "http"):
        add(f"--{name}-port", type=int, default=0, help=TEXTS("default: a free one", lang))
    return parser


if __name__ == "__main__":
    main()
