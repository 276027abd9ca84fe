"""``ekiden project``: instances, as clients call them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.account import check_region
from ekiden.cli.common import (
    AccountOption,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    load,
    of_accounts,
    on_store,
    tr,
)
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.senders.projects import Project

app = typer.Typer(
    no_args_is_help=True, help="Projects of accounts: instances, each with its SMTP configurations and their users."
)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.", metavar="NAME")],
    account: AccountOption,
    region: Annotated[
        str | None,
        typer.Option("--region", help="The region that serves it. Default: the account's.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a project to an account. Its id is the instance id in the HTTP API."""
    from ekiden.documents import account as documents
    from ekiden.senders.projects import Projects

    loaded = load(config)
    check_region(loaded, region or "")

    async def work(on: Opened) -> Project:
        owner = await on.account(account)
        chosen = owner.region if region is None else region
        return await Projects(on.store, on.clock).create(owner.id, name, region=chosen, actor=on.actor)

    project = on_store(loaded, work)
    text = tr("project {name} added: {id}", name=project.name, id=project.uid)
    show(as_json, documents.Project.of(project, account), text)


@app.command("list")
def list_(
    account: OfAccountOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List projects."""
    from ekiden.documents import account as documents
    from ekiden.senders.projects import Projects

    projects, names = of_accounts(config, account, lambda on, id: Projects(on.store, on.clock).list(id))
    table = make_table("id", "account", "name", "region", "created", translate=tr)
    cells = (
        (item.uid, names[item.account_id], item.name, item.region, local_time(item.created_at)) for item in projects
    )
    show_list(as_json, (documents.Project.of(item, names[item.account_id]) for item in projects), table, cells)
