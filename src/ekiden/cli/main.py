"""The command ``ekiden``: a table of commands whose modules are imported only when they are asked for.

Each module named below exposes ``app``, a ``typer.Typer`` with one command (``ekiden send``) or with several
(``ekiden queue list``). Exit status: 0 done, 1 an error that one line on stderr explains, 2 wrong usage.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from ekiden.cli.common import HELP, exit_status, lang, show_error
from ekiden.cli.completion import VARIABLE
from ekiden.core.errors import EkidenError
from ekiden.core.version import VERSION

COMMANDS: dict[str, tuple[str, str]] = {
    # name: module, and what it is for, as its own help begins. Help lists them in this order.
    "init": (
        "ekiden.cli.init",
        "Write a commented configuration, the instance key, self-signed certificates and the database.",
    ),
    "serve": ("ekiden.cli.serve", "Run the platform until it is told to stop."),
    "service": ("ekiden.cli.service", "Run Ekiden as a service of the system."),
    "demo": (
        "ekiden.cli.demo",
        "Run the platform and a lab around it on loopback, with an account to try it with.",
    ),
    "account": ("ekiden.cli.account", "Accounts: whose mail it is."),
    "credential": ("ekiden.cli.credential", "Passwords, API keys, access keys and API users."),
    "sign": (
        "ekiden.cli.sign",
        "Print the header fields that sign a request with an access key; for a URL, a curl command.",
    ),
    "user": (
        "ekiden.cli.user",
        "Users of the console, by account, and their roles. The console itself comes with a later version.",
    ),
    "domain": ("ekiden.cli.domain", "Domains that accounts send from."),
    "project": (
        "ekiden.cli.project",
        "Projects of accounts: instances, each with its SMTP configurations and their users.",
    ),
    "zone": ("ekiden.cli.zone", "Network zones: named sets of addresses that rules refer to."),
    "rule": (
        "ekiden.cli.rule",
        "Network rules: SMTP for an instance refuses every address until a rule lets it pass.",
    ),
    "suppression": ("ekiden.cli.suppression", "Suppressions: addresses that a sending domain does not mail."),
    "landing-page": ("ekiden.cli.landing_page", "Landing pages: an account's own pages to unsubscribe."),
    "send": ("ekiden.cli.send", "Submit mail over SMTP, as any client would, and print the queue ids."),
    "bulk": (
        "ekiden.cli.bulk",
        "Requests to mail many: those that wait to be confirmed, and those that are to be stopped.",
    ),
    "queue": ("ekiden.cli.queue", "See what waits, why and until when; retry, hold, release, cancel it."),
    "find": (
        "ekiden.cli.find",
        "Find what was sent to somebody, newest first: waiting, delivered, bounced, and what was refused.",
    ),
    "trace": (
        "ekiden.cli.trace",
        "Show what happened to a message: why it was delivered, or why not, with every SMTP dialogue.",
    ),
    "callback": (
        "ekiden.cli.callback",
        "Callbacks: endpoints and the requests to them; retry, replay.",
    ),
    "inbound": ("ekiden.cli.inbound", "Mail that comes in: for which domains, what it says, and what followed."),
    "cmc": (
        "ekiden.cli.cmc",
        "Webhooks of Customers Mail Cloud: settings are saved, and have effect once applied.",
    ),
    "doctor": (
        "ekiden.cli.doctor",
        "Look for what would stop mail from flowing, and say what to do. Exits with 1 when something does.",
    ),
    "audit": ("ekiden.cli.audit", "The audit log: every change to accounts and what belongs to them."),
    "db": ("ekiden.cli.db", "The database: create it, upgrade it, look at it."),
    "completion": ("ekiden.cli.completion", "Print a script for the shell that completes commands and options."),
    "help": ("ekiden.cli.help", "Show how a command is used: ekiden help queue list."),
}


_COMPLETION = ("install_completion", "show_completion")


class _LazyGroup(TyperGroup):
    """Imports the module of a command when it is needed: ``ekiden trace`` does not load a web server."""

    listing = False
    """While help or a shell lists the commands, no module is imported."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if self.listing and cmd_name in COMMANDS:
            return TyperCommand(cmd_name, help=HELP(COMMANDS[cmd_name][1], lang()))
        loaded = self.commands.get(cmd_name)
        if loaded is None and cmd_name in COMMANDS:
            loaded = get_command(importlib.import_module(COMMANDS[cmd_name][0]).app)
            loaded.name = cmd_name
            # Completion belongs to the whole, not to each part that typer takes for a program of its own.
            loaded.params = [item for item in loaded.params if item.name not in _COMPLETION]
            if lang() == "ja":
                _explained_in_japanese(loaded)
            self.commands[cmd_name] = loaded
        return loaded

    def make_context(self, *args: Any, **options: Any) -> Any:
        with _errors_told():
            return super().make_context(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        with _errors_told():
            return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        if lang() == "ja":
            from ekiden.cli.japanese_help import translate

            translate(self, ctx)
        self.listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self.listing = False

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        self.listing = True
        try:
            return super().shell_complete(ctx, incomplete)
        finally:
            self.listing = False

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        # The suggestion for a mistyped name is made from self.commands.
        loaded = self.commands
        if args and args[0] not in COMMANDS:
            self.commands = {name: TyperCommand(name) for name in COMMANDS}
        try:
            return super().resolve_command(ctx, args)
        finally:
            self.commands = loaded


def _explained_in_japanese(command: Any) -> None:
    """Its help, and that of what is below it, once it is asked for."""
    english = command.format_help

    def format_help(ctx: Any, formatter: Any) -> None:
        from ekiden.cli.japanese_help import translate

        translate(command, ctx)
        english(ctx, formatter)

    command.format_help = format_help
    for child in getattr(command, "commands", {}).values():
        _explained_in_japanese(child)


@contextmanager
def _errors_told() -> Iterator[None]:
    """Wrong usage is told in the reader's language."""
    try:
        yield
    except Exception as error:
        if lang() == "ja" and hasattr(error, "format_message"):
            from ekiden.cli.japanese_help import explain

            explain(error)
        raise


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
    if os.environ.get(VARIABLE):
        from typer._completion_classes import completion_init

        completion_init()
    try:
        app(args, prog_name="ekiden", complete_var=VARIABLE)
    except EkidenError as error:
        show_error(error)
        sys.exit(exit_status(error))


if __name__ == "__main__":
    run()
