"""``ekiden serve``: the platform, in the foreground."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from ekiden.cli.common import CliUsageError, ConfigOption, load, print_json

if TYPE_CHECKING:
    from ekiden.config.model import Config
    from ekiden.process.listening_ports import Ports

app = typer.Typer()


@app.command()
def serve(
    config: ConfigOption = None,
    roles: Annotated[
        str,
        typer.Option(
            "--roles",
            help="Roles of this machine, separated by commas: smtp,http,delivery,notify,housekeeping.",
            show_default=False,
        ),
    ] = "",
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Number of workers. 0: one per core.", show_default=False)
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON with the addresses once everything is ready.")
    ] = False,
    watch_stdin: Annotated[bool, typer.Option("--watch-stdin", help="Stop when standard input ends.")] = False,
) -> None:
    """Run the platform until it is told to stop.

    SIGTERM (or Ctrl-C) finishes what is being done, then ends; SIGHUP reads the configuration and the certificates
    again.
    """
    import os

    from ekiden.config.load import find_config
    from ekiden.config.model import ALL_ROLES
    from ekiden.documents.installation import Serving
    from ekiden.process.logging import configure_logging
    from ekiden.process.supervisor import Supervisor

    wanted = tuple(role.strip() for role in roles.split(",") if role.strip())
    for role in wanted:
        if role not in ALL_ROLES:
            allowed = ", ".join(ALL_ROLES)
            raise CliUsageError(
                "--roles: {value!r} is not allowed; allowed are {allowed}", value=role, allowed=allowed
            )

    def override(given: Config) -> Config:
        changed = given.workers
        if wanted:
            changed = msgspec.structs.replace(changed, roles=wanted)
        if workers is not None:
            changed = msgspec.structs.replace(changed, count=workers)
        return msgspec.structs.replace(given, workers=changed)

    def announce(ports: Ports) -> None:
        print_json(
            Serving(
                {name: [(address[0], address[1]) for address in found] for name, found in ports.smtp.items()},
                [f"http://{address}" for address in ports.http],
                [f"http://{address}" for address in ports.monitoring],
                os.getpid(),
            )
        )

    loaded = override(load(config))
    configure_logging(loaded.log)
    supervisor = Supervisor(
        loaded,
        find_config(config),
        overrides=override,
        on_ready=announce if as_json else None,
        watch=0 if watch_stdin else None,
    )
    raise typer.Exit(supervisor.run())
