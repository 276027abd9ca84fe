"""``ekiden landing-page``: what an account shows to those who follow its links to unsubscribe."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import AccountOption, ConfigOption, JsonOption, Opened, on_store
from ekiden.cli.opt_out_translations import tr, unreadable
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time
from ekiden.core.visible import visible_text

if TYPE_CHECKING:
    from ekiden.content.landing_pages import LandingPage

app = typer.Typer(no_args_is_help=True, help="Landing pages: an account's own pages to unsubscribe.")

PageArgument = Annotated[str, typer.Argument(help="The page's id.", metavar="ID")]


@app.command()
def add(
    file: Annotated[
        Path, typer.Argument(help="HTML with {{unsubscribe}} where the button is to be.", metavar="FILE")
    ],
    account: AccountOption,
    uid: Annotated[
        str,
        typer.Option("--id", help="The id by which requests name it. Default: one is made.", show_default=False),
    ] = "",
    name: Annotated[
        str, typer.Option("--name", help="A name, for people. Default: the file's.", show_default=False)
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the content of the page with that id.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a page to an account. Requests to send name it as landingPageId."""
    from ekiden.content.landing_pages import LandingPages
    from ekiden.documents import recipient as documents

    try:
        html = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(file, error) from None

    async def work(on: Opened) -> LandingPage:
        owner = await on.account(account)
        return await LandingPages(on.store, on.clock).add(
            owner.id, html, name=name or file.stem, uid=uid, replace=replace, actor=on.actor
        )

    page = on_store(config, work)
    if page.created_at == page.updated_at:
        text = tr("landing page {uid} added", uid=page.uid)
    else:
        text = tr("landing page {uid} has a new content", uid=page.uid)
    show(as_json, documents.LandingPage.of(page, account), text)


@app.command("list")
def list_(account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the pages of an account."""
    from ekiden.content.landing_pages import LandingPages
    from ekiden.documents import recipient as documents

    async def work(on: Opened) -> list[LandingPage]:
        return await LandingPages(on.store, on.clock).list((await on.account(account)).id)

    pages = on_store(config, work)
    table = make_table("id", "name", "changed", translate=tr)
    cells = ((page.uid, page.name, local_time(page.updated_at)) for page in pages)
    show_list(as_json, (documents.LandingPage.of(page, account) for page in pages), table, cells)


def _one(config: Path | None, account: str, uid: str, *, remove: bool) -> LandingPage:
    from ekiden.content.landing_pages import LandingPages

    async def work(on: Opened) -> LandingPage:
        owner = await on.account(account)
        pages = LandingPages(on.store, on.clock)
        return await (pages.remove(owner.id, uid, actor=on.actor) if remove else pages.get(owner.id, uid))

    return on_store(config, work)


@app.command("show")
def show_(
    page: PageArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Print the HTML of a page."""
    from ekiden.documents import recipient as documents

    def told() -> None:
        html = visible_text(found.html) if sys.stdout.isatty() else found.html
        typer.echo(html, nl=not html.endswith("\n"))

    found = _one(config, account, page, remove=False)
    show(as_json, documents.LandingPage.of(found, account, found.html), told)


@app.command()
def remove(
    page: PageArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a page. Links that name it show Ekiden's own page from then on."""
    from ekiden.documents import recipient as documents

    found = _one(config, account, page, remove=True)
    show(as_json, documents.LandingPage.of(found, account), tr("landing page {uid} removed", uid=found.uid))
