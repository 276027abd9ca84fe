"""``ekiden audit``: who changed what, and from where."""

from __future__ import annotations

from typing import Annotated

import msgspec
import typer

from ekiden.cli.common import MOST_ROWS, ConfigOption, JsonOption, OfAccountOption, of_accounts, tr
from ekiden.cli.tables import make_table, show_list
from ekiden.core.display import local_time

app = typer.Typer(no_args_is_help=True, help="The audit log: every change to accounts and what belongs to them.")


@app.callback()
def _group() -> None:
    """With this, typer takes the one command for one of a group: ``ekiden audit list``."""


@app.command("list")
def list_(
    account: OfAccountOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="At most this many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest changes, newest first."""
    from ekiden.access.audit import list_entries
    from ekiden.documents.account import AuditEntry

    entries, names = of_accounts(config, account, lambda on, id: list_entries(on.store, id, limit))
    table = make_table("time", "account", "who", "from", "what", "target", "details", translate=tr)
    cells = (
        (
            local_time(entry.at),
            names.get(entry.account_id, "-"),
            entry.actor,
            entry.source or "-",
            entry.action,
            entry.target,
            msgspec.json.encode(entry.data).decode() if entry.data else "",
        )
        for entry in entries
    )
    show_list(as_json, (AuditEntry.of(entry, names.get(entry.account_id, "")) for entry in entries), table, cells)
