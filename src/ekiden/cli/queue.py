"""``ekiden queue``: what waits, why, until when; and changing it."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    Opened,
    error_console,
    lang,
    now_ms,
    on_store,
    tr,
)
from ekiden.cli.queue_filter import (
    AllOption,
    DryRunOption,
    Filters,
    IdFilters,
    LimitOption,
    ReasonOption,
    SomeOption,
    SortOption,
    YesOption,
    filtered,
    parse_target,
)
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.cli.terminal import say
from ekiden.core.clock import SECOND, Millis
from ekiden.core.display import relative, span
from ekiden.core.ids import IdFactory, format_id

if TYPE_CHECKING:
    from ekiden.delivery.queue_changes import Change, Selection
    from ekiden.delivery.queue_queries import QueueFilter, QueueRow, Shape
    from ekiden.delivery.trace_queries import MessageTrace

app = typer.Typer(no_args_is_help=True, help="See what waits, why and until when; retry, hold, release, cancel it.")

CONFIRM_ABOVE = 100
"""An action without ids or filters on more deliveries than this wants ``--yes``."""

_LEASE: Millis = 120 * SECOND

# ---- list, show, shape


@app.command("list")
@filtered
def list_(
    filters: IdFilters,
    sort: SortOption = None,
    limit: LimitOption = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List deliveries, with the reason why they wait or how they ended.

    What waits is listed by its next time; with a final state among those asked for, the newest come first.
    """
    from ekiden.cli.waiting import reason_text, wait_text
    from ekiden.delivery.explain import state_name
    from ekiden.delivery.queue_queries import list_deliveries
    from ekiden.documents.queue import QueuedDelivery

    now = now_ms()

    async def work(on: Opened) -> list[QueueRow]:
        wanted = await filters.query(on, now)
        newest = any(state.final for state in wanted.states) if sort is None else sort == "newest"
        return await list_deliveries(on.store, wanted, limit, newest=newest)

    rows = on_store(config, work)
    right = ("attempts", "age", "next")
    table = make_table(
        "id", "recipient", "state", "waits for", "next", "attempts", "age", "reason", right=right, translate=tr
    )
    cells = (
        (
            format_id(row.key.message_id) + (f"/{row.key.number}" if row.key.number > 1 else ""),
            row.recipient,
            state_name(row.state, lang()),
            wait_text(row, lang()),
            relative(row.due_at, now, lang()) if row.state.waiting else "",
            str(row.attempts),
            span(max(0, now - row.accepted_at), lang()),
            reason_text(row, lang()),
        )
        for row in rows
    )
    show_list(as_json, map(QueuedDelivery.of, rows), table, cells)
    if len(rows) == limit and not as_json:
        error_console().print(tr("the first {limit}; more with --limit", limit=limit))


@app.command("show")
def show_(
    id: Annotated[str, typer.Argument(help="The queue id.", metavar="ID")],
    content: Annotated[bool, typer.Option("--content", help="Write the stored message instead, as it is.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a message and where each of its recipients stands."""
    from ekiden.cli.trace_view import print_summary
    from ekiden.delivery.trace_queries import find_messages, load_trace
    from ekiden.documents.message import Message

    message_id = parse_target(id).message_id

    async def work(on: Opened) -> tuple[MessageTrace, bytes | None]:
        found = await find_messages(on.store, id=message_id)
        loaded = await load_trace(on.store, *found[0]) if found else None
        if loaded is None:
            raise CliError("there is no message {id}", id=id)
        return loaded, await on.store.content(*found[0]) if content else None

    trace, data = on_store(config, work)
    if not content:
        show(as_json, Message.of(trace), lambda: print_summary(output(), trace, now_ms(), lang()))
    elif data is None:
        raise CliError("the content of {id} has been removed, as nobody needs it any more", id=id)
    elif sys.stdout.isatty():
        say(data.decode("utf-8", "surrogateescape").replace("\r\n", "\n"))
    else:
        sys.stdout.flush()
        typer.get_binary_stream("stdout").write(data)


@app.command("shape")
@filtered
def shape_(
    filters: Filters,
    limit: LimitOption = 20,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how old the queue is for each destination domain: columns are minutes since acceptance."""
    from ekiden.delivery.queue_queries import SHAPE_MINUTES, ShapeRow, shape
    from ekiden.documents.queue import Shape as Document

    async def work(on: Opened) -> Shape:
        now = now_ms()
        return await shape(on.store, await filters.query(on, now), now, limit)

    found = on_store(config, work)
    ages = [*(str(minutes) for minutes in SHAPE_MINUTES), f"{SHAPE_MINUTES[-1]}+"]
    table = make_table("", "T", *ages, right=("T", *ages))
    for row in [ShapeRow(tr("TOTAL"), found.total.ages), *found.rows]:
        table.add_row(row.domain, str(row.total), *map(str, row.ages))
    show(as_json, Document.of(found, ages), table)
    if found.domains > len(found.rows) and not as_json:
        text = tr("the {shown} largest of {total} domains; more with --limit")
        error_console().print(text.format(shown=len(found.rows), total=found.domains))


# ---- actions

WOULD = {
    "retry": "{deliveries} would be due",
    "hold": "{deliveries} would be held",
    "release": "{deliveries} would be released",
    "cancel": "{deliveries} would be cancelled",
}
DONE = {
    "retry": "{deliveries} now due",
    "hold": "{deliveries} now held",
    "release": "{deliveries} now released",
    "cancel": "{deliveries} now cancelled",
}


def _deliveries(count: int) -> str:
    return tr("1 delivery") if count == 1 else tr("{count:,} deliveries", count=count)


def _confirm(action: str, wanted: QueueFilter, selection: Selection, yes: bool) -> None:
    if yes or not wanted.unlimited or len(selection) <= CONFIRM_ABOVE:
        return
    if not sys.stdin.isatty():
        raise CliError(
            "{action} {count:,} deliveries, everything in the queue? Say --yes, or narrow it down.",
            action=action,
            count=len(selection),
        )
    question = tr("{action} {count:,} deliveries, everything in the queue?")
    if not typer.confirm(question.format(action=action, count=len(selection)), err=True):
        raise CliError("nothing was changed")


async def _carry_out(on: Opened, selection: Selection, reason: str) -> Change:
    """Apply the selection under a worker's registration of our own, which makes the ids of the events unique."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from ekiden.delivery.queue_changes import Change, apply_action

    store, clock = on.store, on.clock
    registration = await store.register_worker(socket.gethostname(), os.getpid(), None, _LEASE)
    total = Change()
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=error_console(),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    try:
        with progress:
            task = progress.add_task(selection.action.value, total=len(selection))
            renewed = clock.monotonic()
            async for change in apply_action(
                store, selection, IdFactory(registration.node), clock.now, _operator(), reason
            ):
                total.changed += change.changed
                total.missed += change.missed
                total.still_held += change.still_held
                progress.advance(task, change.changed + change.missed)
                if clock.monotonic() - renewed > _LEASE / SECOND / 4:
                    renewed = clock.monotonic()
                    await store.heartbeat(registration.id, None, _LEASE)
    finally:
        await store.end_worker(registration.id, None)
    return total


def _operator() -> str:
    """Who did it, for the trace."""
    import getpass

    try:
        return f"{getpass.getuser()}@{socket.gethostname()}"
    except (OSError, KeyError):  # no such user in a container
        return f"uid {os.getuid()}@{socket.gethostname()}"


def _act(
    action: str,
    filters: IdFilters,
    config: Path | None,
    as_json: bool,
    *,
    limit: int | None,
    everything: bool,
    dry_run: bool,
    yes: bool,
    reason: str,
) -> None:
    from ekiden.delivery.queue_changes import Action, Change, select_deliveries
    from ekiden.documents.queue import QueueChange

    if everything and filters.given:
        raise CliUsageError("--all cannot be combined with ids and filters")
    if not everything and not filters.given:
        raise CliUsageError(
            "{action}: no deliveries are chosen; give ids, a filter such as --domain, or --all",
            action=action,
        )

    async def work(on: Opened) -> tuple[Selection, Change]:
        wanted = await filters.query(on, on.now)
        selection = await select_deliveries(on.store, Action(action), wanted, on.now, limit)
        if dry_run or not len(selection):
            return selection, Change()
        # Who says --all in a script has said it; a person is asked once more.
        _confirm(action, wanted, selection, yes or (everything and not sys.stdin.isatty()))
        return selection, await _carry_out(on, selection, reason)

    started = time.monotonic()
    selection, change = on_store(config, work)
    document = QueueChange.of(selection, change, dry_run=dry_run, seconds=time.monotonic() - started)
    show(as_json, document, lambda: _tell(action, selection, change, dry_run))


def _tell(action: str, selection: Selection, change: Change, dry_run: bool) -> None:
    out = output()
    if dry_run:
        out.print(tr(WOULD[action], deliveries=_deliveries(len(selection))))
    else:
        out.print(tr(DONE[action], deliveries=_deliveries(change.changed)))
    if change.still_held:
        text = tr(
            "1 of them stays held: somebody else holds it, too"
            if change.still_held == 1
            else "{count:,} of them stay held: somebody else holds them, too",
            count=change.still_held,
        )
        out.print(text)
    if change.missed:
        text = tr(
            "1 was taken by a worker or ended in the meantime, and is left alone"
            if change.missed == 1
            else "{count:,} were taken by a worker or ended in the meantime, and are left alone",
            count=change.missed,
        )
        out.print(text)
    if selection.sending:
        text = tr(
            "1 skipped: a worker is sending it"
            if selection.sending == 1
            else "{count:,} skipped: a worker is sending them",
            count=selection.sending,
        )
        out.print(text)
    if selection.unsuited and action == "retry":
        out.print(tr("{count:,} skipped: due already, or held", count=selection.unsuited))
    elif selection.unsuited and action == "release":
        out.print(tr("{count:,} skipped: not held, or held by others than an operator", count=selection.unsuited))
    elif selection.unsuited:
        text = tr("{count:,} skipped: in a state that {action} does not change")
        out.print(text.format(count=selection.unsuited, action=action))


def _add_action(action: str, text: str) -> None:
    def command(
        filters: IdFilters,
        everything: AllOption = False,
        limit: SomeOption = None,
        reason: ReasonOption = "",
        dry_run: DryRunOption = False,
        yes: YesOption = False,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _act(
            action,
            filters,
            config,
            as_json,
            limit=limit,
            everything=everything,
            dry_run=dry_run,
            yes=yes,
            reason=reason,
        )

    command.__doc__ = text
    app.command(action)(filtered(command))


_add_action("retry", "Make what waits for a later time due now. The reason of its last failure stays.")
_add_action("hold", "Hold what waits: no attempts until it is released, whatever its sender does.")
_add_action(
    "release",
    "Release what operators hold. Scheduled mail still waits for its time; what its sender paused stays paused.",
)
_add_action("cancel", "Cancel deliveries for good. Senders get no notification.")
