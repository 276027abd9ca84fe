"""The filters that the commands of ``ekiden queue`` share: options, and what they mean."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Annotated, Any, get_type_hints

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
        raise CliError("{value!r}: after the slash stands the number of a recipient, from 1", value=value)
    return Target(message_id, int(number))


def _age(value: str, option: str) -> Millis:
    try:
        return round(parse_duration(value) * SECOND)
    except ValueError:
        raise CliError(
            "{option}: {value!r} is not a duration such as 90s, 5m, 1h or 2d", option=option, value=value
        ) from None


def _moment(value: str, now: Millis) -> Millis:
    if value == "now":
        return now
    if not re.match(r"\d{4}-\d\d-\d\d", value):
        return now + _age(value, "--due-before")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise CliError(
            "--due-before: {value!r} is no time such as 2026-01-31T09:00:00+09:00", value=value
        ) from None
    # A time without an offset is meant as it stands on the operator's own clock.
    return round(moment.astimezone(UTC).timestamp() * SECOND)


def _domain(value: str) -> str:
    if "*" in value:
        return value
    try:
        return to_ascii_domain(value)
    except BadAddress as error:
        raise CliError("--domain: {error}", error=error) from None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The filter options of a command as they were given; ``filtered`` makes the options of these fields."""

    account: AccountOption = None
    state: StateOption = None
    domain: DomainOption = None
    recipient: RecipientOption = None
    sender: SenderOption = None
    older_than: OlderOption = None
    due_before: DueOption = None

    async def query(self, store: Store, now: Millis) -> QueueFilter:
        """What to ask the store for. ``CliError`` names the option that is wrong."""
        account_id = None
        if self.account is not None:
            account_id = (await get_account(store, self.account)).id
        return QueueFilter(
            account_id=account_id,
            states=frozenset(self.state or ()),
            domain=_domain(self.domain) if self.domain is not None else None,
            recipient=self.recipient,
            sender=self.sender,
            accepted_before=now - _age(self.older_than, "--older-than") if self.older_than is not None else None,
            due_before=_moment(self.due_before, now) if self.due_before is not None else None,
        )


@dataclass(frozen=True, kw_only=True)
class IdFilters(Filters):
    """The filter options, and queue ids as arguments."""

    ids: IdsArgument = None

    async def query(self, store: Store, now: Millis) -> QueueFilter:
        targets = tuple(parse_target(value) for value in self.ids or ())
        return replace(await super().query(store, now), targets=targets)


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command that takes ``filters: Filters`` (or a subclass) an option for each field in its place."""
    hints = get_type_hints(command, include_extras=True)
    kind = hints["filters"]
    field_hints = get_type_hints(kind, include_extras=True)
    options = [
        inspect.Parameter(
            item.name, inspect.Parameter.KEYWORD_ONLY, default=item.default, annotation=field_hints[item.name]
        )
        for item in fields(kind)
    ]
    parameters = [
        item.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[item.name])
        for item in inspect.signature(command).parameters.values()
        if item.name != "filters"
    ]

    def expanded(**given: Any) -> None:
        filters = kind(**{option.name: given.pop(option.name) for option in options})
        command(filters, **given)

    # What typer reads.
    expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
    expanded.__annotations__ = {item.name: item.annotation for item in [*options, *parameters]}
    expanded.__signature__ = inspect.Signature([*options, *parameters])  # type: ignore[attr-defined]
    return expanded


def now_ms() -> Millis:
    """The wall clock."""
    from ekiden.net.clock import SystemClock

    return SystemClock().now()
