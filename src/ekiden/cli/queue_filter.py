"""The filters that the commands of ``ekiden queue`` share: options, and what they mean."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated

import typer

from ekiden.access.accounts import get_account
from ekiden.cli.common import CliError
from ekiden.core.address import to_ascii_domain
from ekiden.core.clock import SECOND, Millis
from ekiden.core.duration import parse_duration
from ekiden.core.errors import BadAddress
from ekiden.core.ids import parse_id
from ekiden.core.states import State
from ekiden.store.api import Store
from ekiden.store.queue_queries import QueueFilter, Target


def _state(value: str | State) -> State:
    if isinstance(value, State):
        return value
    try:
        return State[value.upper()]
    except KeyError:
        names = ", ".join(state.name.lower() for state in State)
        raise typer.BadParameter(f"{value!r} is no state; there are {names}") from None


IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Queue ids; ID/2 is the second recipient of ID.", show_default=False, metavar="[ID]..."),
]
AccountOption = Annotated[str | None, typer.Option("--account", "-a", help="Of this account.")]
StateOption = Annotated[
    list[State] | None,
    typer.Option(
        "--state",
        "-s",
        parser=_state,
        metavar="STATE",
        help="In this state (several times: any of them); else all that are not final.",
        show_default=False,
    ),
]
DomainOption = Annotated[
    str | None, typer.Option("--domain", "-d", help="To this domain; * stands for any characters.")
]
RecipientOption = Annotated[
    str | None, typer.Option("--recipient", "-r", help="To this address; * stands for any characters.")
]
SenderOption = Annotated[
    str | None, typer.Option("--sender", "-f", help="From this envelope sender; <> is the null sender.")
]
OlderOption = Annotated[
    str | None, typer.Option("--older-than", help="Accepted longer ago than this, such as 90m or 2d.")
]
DueOption = Annotated[
    str | None,
    typer.Option("--due-before", help="Due before this time: now, a duration from now such as 10m, or ISO 8601."),
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")]
SomeOption = Annotated[
    int | None, typer.Option("--limit", "-n", min=1, help="At most this many, those due first.", show_default=False)
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count only, change nothing.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, even if the whole queue is meant.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; shown in the queue and kept in the trace.")]


def parse_target(value: str) -> Target:
    """``ID`` or ``ID/NUMBER``."""
    name, slash, number = value.partition("/")
    try:
        message_id = parse_id(name)
    except ValueError as error:
        raise CliError(str(error)) from None
    if not slash:
        return Target(message_id)
    if not number.isdecimal() or not int(number):
        raise CliError(f"{value!r}: after the slash stands the number of a recipient, from 1")
    return Target(message_id, int(number))


def _age(value: str, option: str) -> Millis:
    try:
        return round(parse_duration(value) * SECOND)
    except ValueError:
        raise CliError(f"{option}: {value!r} is not a duration such as 90s, 5m, 1h or 2d") from None


def _moment(value: str, now: Millis) -> Millis:
    if value == "now":
        return now
    if not re.match(r"\d{4}-\d\d-\d\d", value):
        return now + _age(value, "--due-before")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise CliError(f"--due-before: {value!r} is no time such as 2026-01-31T09:00:00+09:00") from None
    # A time without an offset is meant as it stands on the operator's own clock.
    return round(moment.astimezone(UTC).timestamp() * SECOND)


def _domain(value: str) -> str:
    if "*" in value:
        return value
    try:
        return to_ascii_domain(value)
    except BadAddress as error:
        raise CliError(f"--domain: {error}") from None


async def make_filter(
    store: Store,
    now: Millis,
    *,
    ids: list[str] | None,
    account: str | None,
    state: list[State] | None,
    domain: str | None,
    recipient: str | None,
    sender: str | None,
    older_than: str | None,
    due_before: str | None,
) -> QueueFilter:
    """The filter that the options of a command describe. ``CliError`` names the option that is wrong."""
    account_id = None
    if account is not None:
        account_id = (await get_account(store, account)).id
    return QueueFilter(
        targets=tuple(parse_target(value) for value in ids or ()),
        account_id=account_id,
        states=frozenset(state or ()),
        domain=_domain(domain) if domain is not None else None,
        recipient=recipient,
        sender=sender,
        accepted_before=now - _age(older_than, "--older-than") if older_than is not None else None,
        due_before=_moment(due_before, now) if due_before is not None else None,
    )


def now_ms() -> Millis:
    """The wall clock."""
    from ekiden.net.clock import SystemClock

    return SystemClock().now()
