"""``ekiden completion SHELL``: what a shell needs to complete commands and options."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from ekiden.cli.common import CliUsageError

app = typer.Typer()

SHELLS: Final = ("bash", "zsh", "fish")
VARIABLE: Final = "_EKIDEN_COMPLETE"
"""The environment variable by which the script asks this program."""


def _shell(value: str) -> str:
    if value not in SHELLS:
        raise CliUsageError("{value!r} is not a shell; choose one of {known}", value=value, known=", ".join(SHELLS))
    return value


@app.command()
def completion(
    shell: Annotated[str, typer.Argument(parser=_shell, metavar="SHELL", help="bash, zsh or fish.")],
) -> None:
    """Print a script for the shell that completes commands and options.

    bash: ekiden completion bash > ~/.local/share/bash-completion/completions/ekiden. zsh: into a file _ekiden in a
    folder of $fpath. fish: into ~/.config/fish/completions/ekiden.fish.
    """
    from typer._completion_shared import get_completion_script

    typer.echo(get_completion_script(prog_name="ekiden", complete_var=VARIABLE, shell=shell))
