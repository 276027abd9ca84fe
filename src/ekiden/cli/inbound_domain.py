"""``ekiden inbound domain``: which account receives mail for which domain."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    AccountOption,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    of_accounts,
    on_store,
)
from ekiden.cli.inbound_translations import tr
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.inbound.inbound_domains import InboundDomain

app = typer.Typer(no_args_is_help=True, help="Domains that accounts receive mail for.")

NameArgument = Annotated[str, typer.Argument(help="The domain.", metavar="DOMAIN")]


def _change(
    config: Path | None,
    as_json: bool,
    account: str,
    done: str,
    change: Callable[[Opened], Awaitable[InboundDomain]],
) -> None:
    from ekiden.documents import inbound as documents

    changed = on_store(config, change)
    told = tr(done, name=changed.name, account=account)
    show(as_json, documents.InboundDomain.of(changed, account), told)


@app.command()
def add(
    name: NameArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Let an account receive mail for a domain: its routes say what becomes of it.

    The MX records of the domain have to lead here. Nobody else may send from it or receive it.
    """
    from ekiden.inbound.inbound_domains import add_inbound_domain

    async def change(on: Opened) -> InboundDomain:
        owner = await on.account(account)
        own = {on.config.hostname.lower(), on.config.return_path} - {""}
        return await add_inbound_domain(on.store, owner.id, name, on.now, own=own, actor=on.actor)

    _change(config, as_json, account, "the account {account} receives mail for {name}", change)


@app.command("list")
def list_(account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the domains that mail is received for."""
    from ekiden.documents import inbound as documents
    from ekiden.inbound.inbound_domains import list_inbound_domains

    found, names = of_accounts(config, account, lambda on, id: list_inbound_domains(on.store, id))
    table = make_table("domain", "account", "since", translate=tr)
    rows = ((item.name, names.get(item.account_id, ""), local_time(item.created_at)) for item in found)
    made = (documents.InboundDomain.of(item, names.get(item.account_id, "")) for item in found)
    show_list(as_json, made, table, rows, tr("mail is received for no domain"))


@app.command()
def remove(
    name: NameArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Receive nothing more for a domain. What came already is still told to whom routes have sent it."""
    from ekiden.inbound.inbound_domains import remove_inbound_domain

    async def change(on: Opened) -> InboundDomain:
        owner = await on.account(account)
        return await remove_inbound_domain(on.store, owner.id, name, on.now, actor=on.actor)

    _change(config, as_json, account, "the account {account} does not receive mail for {name} any more", change)
