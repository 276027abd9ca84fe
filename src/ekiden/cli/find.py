"""``ekiden find RECIPIENT``: everything that was sent to somebody, whatever became of it, and what was refused."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    CliUsageError,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    error_console,
    lang,
    now_ms,
    on_store,
    print_json,
    tr,
)
from ekiden.cli.moments import past
from ekiden.cli.tables import make_table, output
from ekiden.core.address import parse_address
from ekiden.core.clock import Millis
from ekiden.core.display import local_time
from ekiden.core.ids import format_id
from ekiden.core.states import State

if TYPE_CHECKING:
    from ekiden.access.refusals import KeptRefusal
    from ekiden.delivery.queue_queries import QueueRow
    from ekiden.store.api import Store

app = typer.Typer()


@app.command()
def find(
    recipient: Annotated[
        str,
        typer.Argument(
            help="An e-mail address; * stands for any characters, and needs --since.", metavar="RECIPIENT"
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option("--since", help="Since then: 2h (two hours ago), or ISO 8601.", show_default=False),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", help="Before then: 2h (two hours ago), or ISO 8601.", show_default=False),
    ] = None,
    account: OfAccountOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most this many.")] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find what was sent to somebody, newest first: waiting, delivered, bounced, and what was refused."""
    from ekiden.access.refusals import refusals_to
    from ekiden.cli.refusal_view import refusal_document
    from ekiden.delivery.queue_queries import find_mailbox
    from ekiden.documents.message import Found
    from ekiden.documents.queue import QueuedDelivery
    from ekiden.mime.header import decode_words

    now = now_ms()
    begin = None if since is None else past(since, now, "--since")
    end = None if until is None else past(until, now, "--until")
    if begin is not None and end is not None and begin > end:
        raise CliUsageError("--since is later than --until")
    any_of = "*" in recipient
    if any_of and begin is None:
        raise CliUsageError("a recipient with * needs --since: everything since then is searched")
    names = [] if any_of else spellings(recipient)

    async def work(on: Opened) -> tuple[list[QueueRow], list[KeptRefusal], dict[int, str]]:
        accounts = await on.account_names()
        chosen = await on.account_id(account)
        if any_of:
            return await _matching(on.store, recipient, chosen, begin, end, limit), [], accounts
        rows = await find_mailbox(on.store, names, chosen, begin, end, limit)
        asked = [0, *accounts] if chosen is None else [chosen]
        return rows, await refusals_to(on.store, names[0], asked, begin or 0, end, limit), accounts

    rows, refusals, accounts = on_store(config, work)
    if as_json:
        told = [refusal_document(item, accounts.get(item.account_id, ""), lang()) for item in refusals]
        print_json(Found([QueuedDelivery.of(row, decode_words(row.subject)) for row in rows], told))
        return
    lines = sorted([*(_row(row) for row in rows), *(_refusal(item, accounts) for item in refusals)], reverse=True)
    if not lines:
        error_console().print(tr("nothing found"))
        return
    table = make_table("time", "id", "state", "account", "sender", "subject", "reason", translate=tr)
    for _, *cells in lines[:limit]:
        table.add_row(*cells)
    output().print(table)
    if len(lines) >= limit:
        error_console().print(tr("the first {limit}; more with --limit", limit=limit))


def spellings(text: str) -> list[str]:
    """How an index may have the address: in its one form, in lower case, and as earlier versions kept it."""
    import idna

    address = parse_address(text.strip())
    domains = [address.domain]
    with contextlib.suppress(idna.IDNAError, UnicodeError):  # a literal, or a name that has no other form
        domains.append(idna.decode(address.domain))
    made = [address.text, text.strip()]
    for local in (address.local, address.local.lower()):
        made += [f"{local}@{domain}" for domain in domains]
    return list(dict.fromkeys(made))


async def _matching(
    store: Store, pattern: str, account_id: int | None, since: Millis | None, until: Millis | None, limit: int
) -> list[QueueRow]:
    from ekiden.delivery.queue_queries import QueueFilter, list_deliveries

    wanted = QueueFilter(states=frozenset(State), recipient=pattern, accepted_since=since, accepted_before=until)
    return await list_deliveries(store, replace(wanted, account_id=account_id), limit, newest=True)


def _row(row: QueueRow) -> tuple[int, str, str, str, str, str, str, str]:
    from ekiden.cli.waiting import reason_text
    from ekiden.delivery.explain import state_name
    from ekiden.mime.header import decode_words

    id = format_id(row.key.message_id)
    return (
        row.accepted_at,
        local_time(row.accepted_at),
        id if row.key.number == 1 else f"{id}/{row.key.number}",
        state_name(row.state, lang()),
        row.account,
        row.sender or "<>",
        decode_words(row.subject),
        reason_text(row, lang()),
    )


def _refusal(item: KeptRefusal, accounts: dict[int, str]) -> tuple[int, str, str, str, str, str, str, str]:
    from ekiden.cli.refusal_view import refusal_why

    return (
        item.at,
        local_time(item.at),
        format_id(item.id),
        tr("refused"),
        accounts.get(item.account_id, ""),
        item.sender or "<>",
        "",
        refusal_why(item, lang()),
    )
