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
    account_name,
    account_names,
    chosen_account,
    lang,
    load,
    opened_store,
    print_json,
    run_async,
)
from ekiden.cli.queue_filter import now_ms, parse_target
from ekiden.cli.tables import output
from ekiden.core.ids import format_id
from ekiden.core.texts import Language, language

if TYPE_CHECKING:
    from ekiden.access.refusals import KeptRefusal
    from ekiden.delivery.trace_news_queries import TracedRoute
    from ekiden.delivery.trace_queries import MessageTrace, TracedDelivery
    from ekiden.store.api import Store

app = typer.Typer()


class _Refused(Exception):
    """The id is that of a refused submission."""

    def __init__(self, refusal: KeptRefusal, account: str) -> None:
        self.refusal = refusal
        self.account = account


async def find(store: Store, wanted: str) -> tuple[MessageTrace, int | None]:
    """The message of a queue id, of ``ID/NUMBER`` or of a Message-ID, and the number when one was given."""
    from ekiden.access.refusals import find_refusal
    from ekiden.delivery.trace_queries import find_messages, load_trace

    number = None
    if "@" in wanted:
        found = await find_messages(store, header_id=wanted)
        if len(found) > 1:
            ids = ", ".join(format_id(message_id) for _, message_id in found)
            raise CliError("several messages have this Message-ID; name one of {ids}", ids=ids)
    else:
        target = parse_target(wanted)
        number = target.number
        found = await find_messages(store, id=target.message_id)
    trace = await load_trace(store, *found[0]) if found else None
    if trace is None and "@" not in wanted:
        refusal = await find_refusal(store, parse_target(wanted).message_id)
        if refusal is not None:
            raise _Refused(refusal, await account_name(store, refusal.account_id))
    if trace is None:
        raise CliError(
            "there is no message {id}; it may have been removed by retention, or be another server's", id=wanted
        )
    return trace, number


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
    from ekiden.cli.refusal_view import print_refusals, refusal_json

    async def main() -> tuple[list[KeptRefusal], dict[int, str]]:
        async with opened_store(load(config)) as store:
            accounts = await account_names(store)
            account_id = await chosen_account(store, account)
            return await list_refusals(store, account_id, limit), accounts

    refusals, accounts = run_async(main())
    if as_json:
        print_json([refusal_json(item, accounts.get(item.account_id, ""), language) for item in refusals])
    else:
        print_refusals(output(), refusals, accounts, language)


@app.command()
def trace(
    id: Annotated[
        str | None,
        typer.Argument(
            help="A queue id, ID/2 for its second recipient, a Message-ID, or the id at the end of a refusal.",
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
        str | None, typer.Option("--lang", help="en or ja; else the locale.", show_default=False, metavar="LANG")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell what happened to a message: why it was delivered, or why not, with every SMTP dialogue."""
    from ekiden.cli.refusal_view import print_refusal, refusal_json
    from ekiden.cli.trace_view import print_trace, trace_json
    from ekiden.delivery.trace_news_queries import load_routes

    if language_name not in (None, "en", "ja"):
        raise CliUsageError("--lang: en and ja are known")
    chosen_language: Language = language({"LANG": language_name}) if language_name else lang()

    if (id is None) != refused:
        raise CliUsageError("give an id, or --refused")
    if id is None:
        _list_refused(config, chosen_language, as_json, account, limit)
        return
    wanted = id
    if "@" not in wanted:
        parse_target(wanted)

    async def main() -> tuple[MessageTrace, int | None, list[TracedRoute]]:
        async with opened_store(load(config)) as store:
            found, number = await find(store, wanted)
            return found, number, await load_routes(store, found)

    try:
        found, number, routes = run_async(main())
    except _Refused as error:
        if as_json:
            print_json(refusal_json(error.refusal, error.account, chosen_language))
        else:
            print_refusal(output(), error.refusal, error.account, chosen_language)
        return
    deliveries = _chosen(found, number, recipient)
    if as_json:
        found.deliveries = deliveries
        print_json(trace_json(found, routes, chosen_language))
    else:
        print_trace(output(), found, deliveries, routes, now_ms(), chosen_language, dialogue=not brief)
