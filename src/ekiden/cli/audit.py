"""``ekiden audit``: who changed what, and from where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from ekiden.cli.common import (
    MOST_ROWS,
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
    from ekiden.access.audit import Entry

app = typer.Typer(no_args_is_help=True, help="The audit log: every change to accounts and what belongs to them.")


@app.callback()
def _group() -> None:
    """With this, typer takes the one command for one of a group: ``ekiden audit list``."""


def entry_json(entry: Entry, account: str) -> dict[str, Any]:
    """One change; the keys are documented in docs/cli.md."""
    return {
        "id": entry.id,
        "at": iso(entry.at),
        "account": account,
        "actor": entry.actor,
        "source": entry.source,
        "action": entry.action,
        "target": entry.target,
        "data": entry.data,
    }


@app.command("list")
def list_(
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="Of this account only.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="At most this many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest changes, newest first."""
    from ekiden.access.audit import list_entries

    async def main() -> tuple[list[Entry], dict[int, str]]:
        async with opened_store(load(config)) as store:
            accounts = await account_names(store)
            account_id = await chosen_account(store, account)
            return await list_entries(store, account_id, limit), accounts

    entries, accounts = run_async(main())
    if as_json:
        print_json([entry_json(entry, accounts.get(entry.account_id, "")) for entry in entries])
        return
    if not entries:
        error_console().print(tr("nothing found"))
        return
    table = make_table("time", "account", "who", "from", "what", "target", "details", translate=tr)
    for entry in entries:
        table.add_row(
            local_time(entry.at),
            accounts.get(entry.account_id, "-"),
            entry.actor,
            entry.source or "-",
            entry.action,
            entry.target,
            msgspec.json.encode(entry.data).decode() if entry.data else "",
        )
    output().print(table)
