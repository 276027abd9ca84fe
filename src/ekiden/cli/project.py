"""``ekiden project``: instances, as the IBM dialect calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.account import check_region
from ekiden.cli.common import (
    ConfigOption,
    JsonOption,
    account_names,
    chosen_account,
    error_console,
    load,
    opened_store,
    print_json,
    run_async,
    tr,
)
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time

if TYPE_CHECKING:
    from ekiden.senders.projects import Project

app = typer.Typer(
    no_args_is_help=True, help="Projects of accounts: the instances that clients of IBM Event Notifications use."
)


def project_json(project: Project, account: str) -> dict[str, Any]:
    """One project; the keys are documented in docs/cli.md."""
    return {
        "id": project.uid,
        "account": account,
        "name": project.name,
        "region": project.region,
        "created_at": iso(project.created_at),
    }


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.", metavar="NAME")],
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    region: Annotated[
        str | None,
        typer.Option("--region", help="The region that serves it; else the account's.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a project to an account. Its id is the instance id in the HTTP API."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.senders.projects import Projects

    loaded = load(config)
    check_region(loaded, region or "")

    async def main() -> Project:
        async with opened_store(loaded) as store:
            owner = await get_account(store, account)
            chosen = owner.region if region is None else region
            projects = Projects(store, SystemClock())
            return await projects.create(owner.id, name, region=chosen, actor=local_actor())

    project = run_async(main())
    if as_json:
        print_json(project_json(project, account))
    else:
        output().print(tr("project {name} added: {id}", name=project.name, id=project.uid))


@app.command("list")
def list_(
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="Of this account only.", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List projects."""
    from ekiden.net.clock import SystemClock
    from ekiden.senders.projects import Projects

    async def main() -> tuple[list[Project], dict[int, str]]:
        async with opened_store(load(config)) as store:
            account_id = await chosen_account(store, account)
            names = await account_names(store)
            return await Projects(store, SystemClock()).list(account_id), names

    projects, names = run_async(main())
    if as_json:
        print_json([project_json(item, names[item.account_id]) for item in projects])
        return
    if not projects:
        error_console().print(tr("nothing found"))
        return
    table = make_table("id", "account", "name", "region", "created", translate=tr)
    for item in projects:
        table.add_row(item.uid, names[item.account_id], item.name, item.region, local_time(item.created_at))
    output().print(table)
