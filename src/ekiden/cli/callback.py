"""``ekiden callback``: endpoints, requests to them, dead letters; trying again, and telling once more."""

from __future__ import annotations

from typing import Annotated

import typer

from ekiden.cli.callback_translations import CallbackCliError, CallbackUsageError, tr
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
    row_number,
)
from ekiden.cli.moments import past
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time, relative
from ekiden.core.ids import format_id, parse_id

app = typer.Typer(no_args_is_help=True, help="Callbacks: endpoints and the requests to them; retry, replay.")

EndpointOption = Annotated[
    int | None,
    typer.Option(
        "--endpoint", "-e", parser=row_number, metavar="ENDPOINT", help="Only of this endpoint.", show_default=False
    ),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="At most this many.")]


# ---- list, log, dead


@app.command("list")
def list_(
    account: OfAccountOption = None,
    busy: Annotated[
        bool, typer.Option("--busy", help="Only endpoints that are failing or have pending or dead events.")
    ] = False,
    limit: LimitOption = 1000,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List endpoints: where news goes, how much waits, and which of them fail."""
    from ekiden.documents.callback import Endpoint
    from ekiden.notify import administration

    now = now_ms()

    found, names = of_accounts(
        config, account, lambda on, id: administration.list_endpoints(on.store, id, busy=busy, limit=limit)
    )
    cells = (
        (
            str(item.id),
            names.get(item.account_id, "-"),
            item.format,
            f"{item.waiting:,}",
            "-" if item.oldest is None else relative(item.oldest, now, lang()),
            f"{item.dead:,}",
            str(item.failures),
            relative(item.retry_at, now, lang()) if item.failures else "-",
            item.url or "-",
        )
        for item in found
    )
    table = make_table(
        "id",
        "account",
        "format",
        "waiting",
        "oldest",
        "dead",
        "failures",
        "next",
        "URL",
        right=("id", "waiting", "dead", "failures"),
        translate=tr,
    )
    show_list(as_json, (Endpoint.of(item, names.get(item.account_id, "")) for item in found), table, cells)


@app.command()
def log(
    account: OfAccountOption = None,
    endpoint: EndpointOption = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only those that were not answered with 2xx.")] = False,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the latest requests, newest first: when, to which endpoint, how long it took, and the answer."""
    from ekiden.documents.callback import Request
    from ekiden.notify import administration

    found, names = of_accounts(
        config,
        account,
        lambda on, id: administration.list_requests(on.store, id, endpoint, failed=failed, limit=limit),
    )
    right = ("endpoint", "status", "ms", "events")
    table = make_table("time", "account", "endpoint", "status", "ms", "events", "answer", right=right, translate=tr)
    cells = (
        (
            local_time(item.at),
            names.get(item.account_id, "-"),
            str(item.endpoint_id),
            str(item.status or "-"),
            str(item.millis),
            str(len(item.events)),
            " ".join(item.told(lang()).split())[:200],
        )
        for item in found
    )
    show_list(as_json, (Request.of(item, names.get(item.account_id, "")) for item in found), table, cells)


@app.command()
def dead(
    account: OfAccountOption = None,
    endpoint: EndpointOption = None,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List dead letters, newest first: events that could not be delivered in time."""
    from ekiden.documents.callback import DeadLetter
    from ekiden.notify import administration

    found, names = of_accounts(
        config, account, lambda on, id: administration.list_dead(on.store, id, endpoint, limit=limit)
    )
    table = make_table(
        "event",
        "account",
        "endpoint",
        "message",
        "type",
        "happened",
        "given up",
        "tries",
        right=("endpoint", "tries"),
        translate=tr,
    )
    cells = (
        (
            format_id(item.event_id),
            names.get(item.account_id, "-"),
            str(item.endpoint_id),
            format_id(item.message_id),
            "-" if item.type is None else tr(item.type.name.lower()),
            local_time(item.at),
            local_time(item.dead_at),
            str(item.attempts),
        )
        for item in found
    )
    show_list(as_json, (DeadLetter.of(item, names.get(item.account_id, "")) for item in found), table, cells)


# ---- retry, replay


@app.command()
def retry(
    endpoints: Annotated[
        list[int] | None,
        typer.Argument(parser=row_number, help="Ids of endpoints.", metavar="[ENDPOINT]...", show_default=False),
    ] = None,
    account: OfAccountOption = None,
    keep_dead: Annotated[bool, typer.Option("--keep-dead", help="Leave dead letters where they are.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Retry endpoints at once, with their pending and dead events."""
    from ekiden.documents.callback import Again
    from ekiden.notify import administration

    if not endpoints and account is None:
        raise CallbackUsageError("give endpoints, or an account with --account")

    async def work(on: Opened) -> int:
        wanted = await on.account_id(account)
        known = await administration.list_endpoints(on.store, wanted, limit=1_000_000)
        ids = {item.id for item in known if item.failures or item.waiting or item.dead}
        if endpoints:
            missing = sorted(set(endpoints) - {item.id for item in known})
            if missing:
                raise CallbackCliError("there is no endpoint {id}", id=missing[0])
            ids &= set(endpoints)
        return await administration.retry(on.store, sorted(ids), on.now, dead=not keep_dead)

    count = on_store(config, work)
    text = tr(
        "1 event will be sent again" if count == 1 else "{count} events will be sent again", count=f"{count:,}"
    )
    show(as_json, Again(count), text)


@app.command()
def replay(
    event: Annotated[
        str | None, typer.Option("--event", help="Only this event, by its id.", show_default=False)
    ] = None,
    endpoint: EndpointOption = None,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Events since then: 2h (two hours ago), or ISO 8601.", show_default=False),
    ] = None,
    until: Annotated[
        str, typer.Option("--to", help="Events before then: 2h (two hours ago), ISO 8601, or now.")
    ] = "now",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count only, change nothing.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send the events of a period, or one event, to an endpoint once more."""
    from ekiden.documents.callback import Again
    from ekiden.notify import administration

    now = now_ms()
    number = None if event is None else _event_id(event)
    begin = now if since is None else past(since, now, "--from")
    end = past(until, now, "--to")
    if event is not None and (since is not None or until != "now"):
        raise CallbackUsageError("--event cannot be combined with --from and --to")
    if event is None and (endpoint is None or since is None):
        raise CallbackUsageError(
            "give an event with --event, or an endpoint with --endpoint and a time with --from"
        )
    if begin > end:
        raise CallbackUsageError("--from is later than --to")

    async def work(on: Opened) -> int:
        if endpoint is not None:
            known = await administration.list_endpoints(on.store, limit=1_000_000)
            if endpoint not in {item.id for item in known}:
                raise CallbackCliError("there is no endpoint {id}", id=endpoint)
        if number is not None:
            count = await administration.replay_event(on.store, number, now, endpoint_id=endpoint, dry_run=dry_run)
            if not count:
                raise CallbackCliError("event {id} is not kept, or no endpoint wants it", id=event)
            return count
        assert endpoint is not None, "checked above"
        return await administration.replay_range(on.store, endpoint, begin, end, now, dry_run=dry_run)

    count = on_store(config, work)
    if dry_run:
        text = tr(
            "1 event would be replayed" if count == 1 else "{count} events would be replayed",
            count=f"{count:,}",
        )
    else:
        text = tr(
            "1 event will be replayed" if count == 1 else "{count} events will be replayed",
            count=f"{count:,}",
        )
    show(as_json, Again(count, dry_run), text)


def _event_id(text: str) -> int:
    try:
        return parse_id(text)
    except ValueError as error:
        raise CallbackUsageError("{value!r} is not an event id: {why}", value=text, why=str(error)) from None
