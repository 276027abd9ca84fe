"""The command ``ekiden``: a table of commands whose modules are imported only when they are asked for.

Each module named below exposes ``app``, a ``typer.Typer`` with one command (``ekiden send``) or with several
(``ekiden queue list``). Exit status: 0 done, 1 an error that one line on stderr explains, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from ekiden.cli.common import exit_status, show_error
from ekiden.core.errors import EkidenError
from ekiden.core.version import VERSION

COMMANDS: dict[str, str] = {
    # name: module. Help lists them in this order.
    "init": "ekiden.cli.init",
    "serve": "ekiden.cli.serve",
    "service": "ekiden.cli.service",
    "demo": "ekiden.cli.demo",
    "account": "ekiden.cli.account",
    "credential": "ekiden.cli.credential",
    "user": "ekiden.cli.user",
    "domain": "ekiden.cli.domain",
    "project": "ekiden.cli.project",
    "zone": "ekiden.cli.zone",
    "rule": "ekiden.cli.rule",
    "suppression": "ekiden.cli.suppression",
    "landing-page": "ekiden.cli.landing_page",
    "send": "ekiden.cli.send",
    "queue": "ekiden.cli.queue",
    "trace": "ekiden.cli.trace",
    "find": "ekiden.cli.find",
    "callback": "ekiden.cli.callback",
    "doctor": "ekiden.cli.doctor",
    "audit": "ekiden.cli.audit",
    "db": "ekiden.cli.db",
}


_COMPLETION = ("install_completion", "show_completion")


class _LazyGroup(TyperGroup):
    """Imports the module of a command when it is needed: ``ekiden trace`` does not load a web server."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        loaded = self.commands.get(cmd_name)
        if loaded is None and cmd_name in COMMANDS:
            loaded = get_command(importlib.import_module(COMMANDS[cmd_name]).app)
            loaded.name = cmd_name
            # Completion belongs to the whole, not to each part that typer takes for a program of its own.
            loaded.params = [item for item in loaded.params if item.name not in _COMPLETION]
            self.commands[cmd_name] = loaded
        return loaded

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The suggestion for a mistyped name is made from self.commands.
        if args and args[0] not in COMMANDS:
            for name in self.list_commands(ctx):
                self.get_command(ctx, name)
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="ekiden",
    cls=_LazyGroup,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ekiden {VERSION}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Ekiden accepts mail durably, delivers it to the recipients' own servers, and tells the sender."""


def run(args: list[str] | None = None) -> None:
    """Entry point of the script ``ekiden``; ends the process with the exit status."""
    try:
        app(args)
    except EkidenError as error:
        show_error(error)
        sys.exit(exit_status(error))


if __name__ == "__main__":
    run()
