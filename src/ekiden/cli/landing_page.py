"""``ekiden landing-page``: what an account shows to those who follow its links to unsubscribe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import ConfigOption, JsonOption, error_console, load, opened_store, print_json, run_async
from ekiden.cli.opt_out_translations import tr, unreadable
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time
from ekiden.core.visible import visible_text

if TYPE_CHECKING:
    from ekiden.content.landing_pages import LandingPage

app = typer.Typer(no_args_is_help=True, help="Landing pages: an account's own pages to unsubscribe.")

AccountOption = Annotated[str, typer.Option("--account", "-a", help="The account's name.")]
PageArgument = Annotated[str, typer.Argument(help="The page's id.", metavar="ID")]


def page_json(page: LandingPage, account: str) -> dict[str, Any]:
    """One page without its HTML; the keys are documented in docs/cli.md."""
    return {
        "id": page.uid,
        "account": account,
        "name": page.name,
        "created_at": iso(page.created_at),
        "updated_at": iso(page.updated_at),
    }


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="HTML with {{unsubscribe}} where the button is to be.", metavar="FILE")
    ],
    account: AccountOption,
    uid: Annotated[
        str, typer.Option("--id", help="What requests call it; else it is given one.", show_default=False)
    ] = "",
    name: Annotated[str, typer.Option("--name", help="For people; else the file's.", show_default=False)] = "",
    replace: Annotated[bool, typer.Option("--replace", help="The page of that id gets this content.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a page to an account. Requests to send name it as landingPageId."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.content.landing_pages import LandingPages
    from ekiden.net.clock import SystemClock

    try:
        html = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from None

    async def main() -> LandingPage:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            return await LandingPages(store, SystemClock()).add(
                owner.id, html, name=name or file.stem, uid=uid, replace=replace, actor=local_actor()
            )

    page = run_async(main())
    if as_json:
        print_json(page_json(page, account))
    elif page.created_at == page.updated_at:
        output().print(tr("landing page {uid} added", uid=page.uid))
    else:
        output().print(tr("landing page {uid} has a new content", uid=page.uid))


@app.command("list")
def list_(account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the pages of an account."""
    from ekiden.access.accounts import get_account
    from ekiden.content.landing_pages import LandingPages
    from ekiden.net.clock import SystemClock

    async def main() -> list[LandingPage]:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            return await LandingPages(store, SystemClock()).list(owner.id)

    pages = run_async(main())
    if as_json:
        print_json([page_json(page, account) for page in pages])
        return
    if not pages:
        error_console().print(tr("nothing found"))
        return
    table = make_table("id", "name", "changed", translate=tr)
    for page in pages:
        table.add_row(page.uid, page.name, local_time(page.updated_at))
    output().print(table)


def _one(config: Path | None, account: str, uid: str, *, remove: bool) -> LandingPage:
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.content.landing_pages import LandingPages
    from ekiden.net.clock import SystemClock

    async def main() -> LandingPage:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            pages = LandingPages(store, SystemClock())
            if remove:
                return await pages.remove(owner.id, uid, actor=local_actor())
            return await pages.get(owner.id, uid)

    return run_async(main())


@app.command()
def show(
    page: PageArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Print the HTML of a page."""
    found = _one(config, account, page, remove=False)
    if as_json:
        print_json({**page_json(found, account), "html": found.html})
    else:
        html = visible_text(found.html) if sys.stdout.isatty() else found.html
        typer.echo(html, nl=not html.endswith("\n"))


@app.command()
def remove(
    page: PageArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a page. Links that name it show Ekiden's own page from then on."""
    found = _one(config, account, page, remove=True)
    if as_json:
        print_json(page_json(found, account))
    else:
        output().print(tr("landing page {uid} removed", uid=found.uid))
