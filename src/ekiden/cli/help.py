"""``ekiden help [COMMAND]...``: what ``--help`` says."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command("help")
def help_(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            help="The command, such as queue or queue list.", metavar="[COMMAND]...", show_default=False
        ),
    ] = None,
) -> None:
    """Show how a command is used: ekiden help queue list."""
    from ekiden.cli.main import run

    run([*(command or ()), "--help"])
