"""``ekiden inbound list`` and ``show``: mails that came in, and what followed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    MOST_ROWS,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    lang,
    now_ms,
    of_accounts,
    on_store,
)
from ekiden.cli.inbound_translations import InboundCliError, tr
from ekiden.cli.queue_filter import parse_target
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.core.display import local_time
from ekiden.core.ids import format_id

if TYPE_CHECKING:
    from ekiden.inbound.received_queries import ReceivedTrace

MailArgument = Annotated[str, typer.Argument(help="The id of the mail, as list shows it.", metavar="ID")]


def list_mails(
    account: OfAccountOption = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.", min=1, max=MOST_ROWS)] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List mails that came in, newest first: what they turned out to be, and what followed."""
    from ekiden.cli.received_view import followed_text, kind_text
    from ekiden.documents import inbound as documents
    from ekiden.inbound.received_queries import list_received

    found, names = of_accounts(config, account, lambda on, id: list_received(on.store, id, limit=limit))
    table = make_table("id", "time", "account", "kind", "from", "to", "followed", translate=tr)
    rows = (
        (
            format_id(item.mail.id),
            local_time(item.mail.accepted_at),
            names.get(item.mail.account_id, "-"),
            kind_text(item, lang()),
            item.mail.sender or "<>",
            " ".join(item.mail.recipients),
            followed_text(item, lang()),
        )
        for item in found
    )
    made = (documents.ReceivedMail.of(item, names.get(item.mail.account_id, "")) for item in found)
    show_list(as_json, made, table, rows, tr("no mail has come in"))


def show_mail(
    mail: MailArgument,
    raw: Annotated[bool, typer.Option("--raw", help="Write its content as it came in to standard output.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a mail that came in: who brought it, what it turned out to be, what its routes did with it."""
    from ekiden.cli.received_view import print_received
    from ekiden.documents import inbound as documents
    from ekiden.inbound.received_queries import load_received

    wanted = parse_target(mail).message_id

    async def work(on: Opened) -> tuple[ReceivedTrace, str, bytes | None]:
        found = await load_received(on.store, wanted)
        if found is None:
            raise InboundCliError("no mail {id} has come in, or it is not kept any more", id=mail)
        of = found.received.mail
        content = await on.store.content(of.account_id, of.id) if raw else None
        return found, await on.account_name(of.account_id), content

    trace, owner, content = on_store(config, work)
    if raw:
        if content is None:
            raise InboundCliError("the content of the mail {id} is not kept any more", id=mail)
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    document = documents.ReceivedMailDetails.of_trace(trace, owner)
    show(as_json, document, lambda: print_received(output(), trace, owner, now_ms(), lang()))
