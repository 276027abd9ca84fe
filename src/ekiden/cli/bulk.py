"""``ekiden bulk``: what people decide about requests to mail many."""

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
    tr,
)
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.mailings.decisions import MailDecisions, Waiting

app = typer.Typer(
    no_args_is_help=True,
    help="Requests to mail many: those that wait to be confirmed, and those that are to be stopped.",
)

IdArgument = Annotated[
    str, typer.Argument(help="The request, as its sender and `ekiden bulk list` know it.", metavar="ID")
]


@app.command("list")
def list_(account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List the requests that wait to be confirmed."""
    from ekiden.documents import sending as documents

    waiting, names = of_accounts(config, account, lambda on, id: _decisions(on).held(id))
    table = make_table(
        "id",
        "account",
        "sender",
        "subject",
        "mails",
        "send at",
        "created",
        right=("mails",),
        translate=tr,
    )
    cells = (
        (
            item.id,
            names[item.account_id],
            item.sender,
            item.subject,
            str(item.mails),
            "" if item.reserved_at is None else local_time(item.reserved_at),
            local_time(item.created_at),
        )
        for item in waiting
    )
    show_list(as_json, (documents.MailRequest.of(item, names[item.account_id]) for item in waiting), table, cells)


@app.command()
def confirm(
    id: IdArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Send a request: at once, or at the time that its sender asked for."""
    told = tr("mail request {id} is confirmed: {mails} mails")
    _decide(config, account, as_json, told, lambda on, owner: _decisions(on).confirm(owner, id, on.actor))


@app.command()
def reject(
    id: IdArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Never send a request."""
    told = tr("mail request {id} is rejected: {mails} mails are not sent")
    _decide(config, account, as_json, told, lambda on, owner: _decisions(on).reject(owner, id, on.actor))


@app.command()
def cancel(
    id: IdArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Stop a request: mails of it that are not in the queue yet are never made."""
    told = tr("mail request {id} is cancelled: what is not in the queue yet is not sent")
    _decide(config, account, as_json, told, lambda on, owner: _decisions(on).cancel(owner, id, on.actor))


def _decide(
    config: Path | None,
    account: str,
    as_json: bool,
    told: str,
    decide: Callable[[Opened, int], Awaitable[Waiting]],
) -> None:
    """``told`` is what to say then; ``{id}`` and ``{mails}`` in it are the request's."""
    from ekiden.documents import sending as documents

    async def work(on: Opened) -> Waiting:
        return await decide(on, (await on.account(account)).id)

    done = on_store(config, work)
    show(as_json, documents.MailRequest.of(done, account), told.format(id=done.id, mails=done.mails))


def _decisions(on: Opened) -> MailDecisions:
    from ekiden.mailings.decisions import MailDecisions

    return MailDecisions(on.store, on.clock)
