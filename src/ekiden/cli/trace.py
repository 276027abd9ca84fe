"""``ekiden trace ID``: what happened to a message, and why it was not delivered."""

from __future__ import annotations

import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    Opened,
    lang,
    now_ms,
    of_accounts,
    on_store,
    print_json,
)
from ekiden.cli.queue_filter import parse_target
from ekiden.cli.tables import output, show
from ekiden.core.ids import format_id
from ekiden.core.language import Language, language

if TYPE_CHECKING:
    from ekiden.access.refusals import KeptRefusal
    from ekiden.delivery.trace_news_queries import TracedRoute
    from ekiden.delivery.trace_queries import MessageTrace, TracedDelivery
    from ekiden.inbound.received_queries import ReceivedTrace

app = typer.Typer()


async def _find(on: Opened, wanted: str) -> MessageTrace | KeptRefusal | ReceivedTrace:
    """What a queue id, ``ID/NUMBER``, a Message-ID, the id of a refusal or of a mail that came in names."""
    from ekiden.access.refusals import find_refusal
    from ekiden.delivery.trace_queries import find_messages, load_trace
    from ekiden.inbound.received_queries import load_received

    number = None if "@" in wanted else parse_target(wanted).message_id
    found = await find_messages(on.store, id=number, header_id=wanted if number is None else None)
    if len(found) > 1 and number is None:
        ids = ", ".join(format_id(message_id) for _, message_id in found)
        raise CliError("several messages have this Message-ID; name one of {ids}", ids=ids)
    named: MessageTrace | KeptRefusal | ReceivedTrace | None = (
        await load_trace(on.store, *found[0]) if found else None
    )
    if named is None and number is not None:
        named = await find_refusal(on.store, number) or await load_received(on.store, number)
    if named is None:
        raise CliError(
            "there is no message {id}; it may have been removed by retention, or be another server's", id=wanted
        )
    return named


def _chosen(trace: MessageTrace, number: int | None, recipient: str | None) -> list[TracedDelivery]:
    chosen = [
        item
        for item in trace.deliveries
        if number in (None, item.number)
        and (recipient is None or fnmatch.fnmatchcase(item.recipient.lower(), recipient.lower()))
    ]
    if not chosen:
        raise CliError(
            "message {id} has no such recipient; it has {count}",
            id=format_id(trace.id),
            count=len(trace.deliveries),
        )
    return chosen


def _list_refused(config: Path | None, language: Language, as_json: bool, account: str | None, limit: int) -> None:
    from ekiden.access.refusals import list_refusals
    from ekiden.cli.refusal_view import print_refusals, refusal_document

    refusals, accounts = of_accounts(config, account, lambda on, id: list_refusals(on.store, id, limit))
    if as_json:
        print_json([refusal_document(item, accounts.get(item.account_id, ""), language) for item in refusals])
    else:
        print_refusals(output(), refusals, accounts, language)


@app.command()
def trace(
    id: Annotated[
        str | None,
        typer.Argument(
            help="A queue id, ID/2 for its second recipient, a Message-ID, the id at the end of a refusal, or that "
            "of a mail that came in.",
            metavar="ID",
            show_default=False,
        ),
    ] = None,
    recipient: Annotated[
        str | None, typer.Option("--recipient", "-r", help="Only this recipient; * stands for any characters.")
    ] = None,
    refused: Annotated[
        bool, typer.Option("--refused", help="Instead of one message: list what was refused lately.")
    ] = False,
    account: Annotated[
        str | None,
        typer.Option("--account", "-a", help="With --refused: only of this account.", show_default=False),
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="With --refused: at most this many.")
    ] = 100,
    brief: Annotated[bool, typer.Option("--brief", help="Without the SMTP dialogues.")] = False,
    language_name: Annotated[
        str | None,
        typer.Option("--lang", help="en or ja. Default: the locale.", show_default=False, metavar="LANG"),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what happened to a message: why it was delivered, or why not, with every SMTP dialogue."""
    from ekiden.access.refusals import KeptRefusal
    from ekiden.cli.received_view import print_received
    from ekiden.cli.refusal_view import print_refusal, refusal_document
    from ekiden.cli.trace_view import print_trace
    from ekiden.delivery.trace_news_queries import load_routes
    from ekiden.documents.inbound import ReceivedMailDetails
    from ekiden.documents.message import Trace
    from ekiden.inbound.received_queries import ReceivedTrace

    if language_name not in (None, "en", "ja"):
        raise CliUsageError("--lang: choose en or ja")
    chosen_language: Language = language({"LANG": language_name}) if language_name else lang()

    if (id is None) != refused:
        raise CliUsageError("give an id, or --refused")
    if id is None:
        _list_refused(config, chosen_language, as_json, account, limit)
        return
    wanted = id
    number = None if "@" in wanted else parse_target(wanted).number

    async def work(on: Opened) -> tuple[MessageTrace | KeptRefusal | ReceivedTrace, list[TracedRoute], str]:
        found = await _find(on, wanted)
        if isinstance(found, ReceivedTrace):
            return found, [], await on.account_name(found.received.mail.account_id)
        if isinstance(found, KeptRefusal):
            return found, [], await on.account_name(found.account_id)
        return found, await load_routes(on.store, found), found.account

    found, routes, owner = on_store(config, work)
    if isinstance(found, KeptRefusal):
        document = refusal_document(found, owner, chosen_language)
        show(as_json, document, lambda: print_refusal(output(), found, owner, chosen_language))
        return
    if isinstance(found, ReceivedTrace):
        mail, owner_name = found, owner
        show(
            as_json,
            ReceivedMailDetails.of_trace(mail, owner_name),
            lambda: print_received(output(), mail, owner_name, now_ms(), chosen_language),
        )
        return
    found.deliveries = _chosen(found, number, recipient)
    show(
        as_json,
        Trace.with_all(found, routes, chosen_language),
        lambda: print_trace(output(), found, routes, now_ms(), chosen_language, dialogue=not brief),
    )
