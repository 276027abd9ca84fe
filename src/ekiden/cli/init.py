"""``ekiden init``: a new installation in a directory."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from ekiden.cli.common import CliUsageError, JsonOption, lang, print_json, run_async
from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.texts import Texts

app = typer.Typer()

TEXTS = Texts("cli/init")


@app.command()
def init(
    directory: Annotated[
        Path, typer.Option("--dir", "-d", help="Where to make it; created when it does not exist.")
    ] = Path(),
    hostname: Annotated[
        str,
        typer.Option(
            "--hostname", help="The name of this mail server. Default: the machine's.", show_default=False
        ),
    ] = "",
    store: Annotated[
        str,
        typer.Option(
            "--store",
            help="The database, postgresql://USER:PASSWORD@HOST/NAME. Default: a new SQLite file.",
            show_default=False,
        ),
    ] = "",
    instance_key: Annotated[
        Path | None,
        typer.Option(
            "--instance-key",
            help="The key of the installation that the database belongs to. Default: a new one is made.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Write a commented configuration, the instance key, self-signed certificates and the database.

    Nothing that exists is overwritten.
    """
    from ekiden.documents.installation import Files
    from ekiden.process.setup import set_up

    try:
        name = to_ascii_domain(hostname or socket.getfqdn())
    except BadAddress:
        if hostname:
            raise CliUsageError("--hostname: {value!r} is not a domain name", value=hostname) from None
        name = "localhost"
    made = run_async(set_up(directory, name, lang(), store_url=store, instance_key=instance_key))
    if as_json:
        print_json(Files(*(str(path.absolute()) for path in made)))
        return

    def text(english: str) -> str:
        return TEXTS(english, lang())

    config = made.config
    typer.echo(text("Made:"))
    typer.echo(f"  {made.config}  {text('the configuration; every key is explained in it')}")
    typer.echo(f"  {made.instance_key}  {text('the instance key; keep a copy in a safe place')}")
    typer.echo(f"  {made.certificate}  {text('a self-signed certificate; replace it with one that clients trust')}")
    typer.echo(f"  {made.certificate_key}  {text('its private key')}")
    typer.echo(text("Next:"))
    typer.echo(f"  ekiden account create NAME --config {config}")
    typer.echo("  ekiden credential password create --help")
    typer.echo(f"  ekiden doctor --config {config}")
    typer.echo(f"  ekiden serve --config {config}")
