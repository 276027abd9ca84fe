"""The filters that the commands of ``ekiden queue`` share: options, and what they mean."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from ekiden.cli.common import MOST_ROWS, CliUsageError, Opened, now_ms
from ekiden.cli.moments import duration, future, past
from ekiden.core.address import BadAddress, to_ascii_domain
from ekiden.core.clock import Millis
from ekiden.core.ids import parse_id
from ekiden.core.states import State, Wait

if TYPE_CHECKING:
    from ekiden.delivery.queue_queries import QueueFilter, Target


class States(frozenset[State]):
    """What one ``--state`` means."""


def _state(value: str | States) -> States:
    if isinstance(value, States):
        return value
    if value.lower() == "all":
        return States(State)
    try:
        return States([State[value.upper()]])
    except KeyError:
        names = ", ".join([*(state.name.lower() for state in State), "all"])
        raise CliUsageError("{value!r} is not a state; choose one of {names}", value=value, names=names) from None


class Waits(frozenset[Wait]):
    """What one ``--wait`` means."""


def _wait(value: str | Waits) -> Waits:
    if isinstance(value, Waits):
        return value
    try:
        return Waits([Wait[value.upper().replace("-", "_")]])
    except KeyError:
        names = ", ".join(wait.name.lower() for wait in Wait)
        raise CliUsageError(
            "--wait: {value!r} is not allowed; choose one of {names}", value=value, names=names
        ) from None


IdsArgument = Annotated[
    list[str] | None,
    typer.Argument(help="Queue ids; ID/2 is the second recipient of ID.", show_default=False, metavar="[ID]..."),
]
AccountOption = Annotated[str | None, typer.Option("--account", "-a", help="Of this account.")]
StateOption = Annotated[
    list[States] | None,
    typer.Option(
        "--state",
        "-s",
        parser=_state,
        metavar="STATE",
        help="In this state (repeatable: any of them), or all. Default: all that are not final.",
        show_default=False,
    ),
]
WaitOption = Annotated[
    list[Waits] | None,
    typer.Option(
        "--wait",
        "-w",
        parser=_wait,
        metavar="WAIT",
        help="Waiting for this, such as quota or held_by_operator (repeatable: any of them).",
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
SinceOption = Annotated[
    str | None, typer.Option("--since", help="Accepted since then: 2h (two hours ago), or ISO 8601.")
]
UntilOption = Annotated[
    str | None, typer.Option("--until", help="Accepted before then: 2h (two hours ago), or ISO 8601.")
]
LimitOption = Annotated[int, typer.Option("--limit", "-n", min=1, max=MOST_ROWS, help="At most this many.")]


def _order(value: str) -> str:
    if value not in ("due", "newest"):
        raise CliUsageError("--sort: {value!r} is not allowed; choose due or newest", value=value)
    return value


SortOption = Annotated[
    str | None,
    typer.Option(
        "--sort",
        parser=_order,
        metavar="due|newest",
        help="By the next time, or the newest first.",
        show_default=False,
    ),
]
SomeOption = Annotated[
    int | None,
    typer.Option(
        "--limit", "-n", min=1, max=MOST_ROWS, help="At most this many, those due first.", show_default=False
    ),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Count only, change nothing.")]
AllOption = Annotated[bool, typer.Option("--all", help="Everything in the queue: instead of ids and filters.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask, even if the whole queue is meant.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="The reason, which the queue shows and the trace keeps.")
]


def parse_target(value: str) -> Target:
    """``ID`` or ``ID/NUMBER``."""
    from ekiden.delivery.queue_queries import Target

    name, slash, number = value.partition("/")
    try:
        message_id = parse_id(name)
    except ValueError as error:
        raise CliUsageError(str(error)) from None
    if not slash:
        return Target(message_id)
    if not number.isdecimal() or len(number) > 9 or not int(number):
        raise CliUsageError("{value!r}: after the slash stands the number of a recipient, from 1", value=value)
    return Target(message_id, int(number))


def _domain(value: str) -> str:
    if "*" in value:
        return value
    try:
        return to_ascii_domain(value)
    except BadAddress as error:
        raise CliUsageError("--domain: {error}", error=error) from None


@dataclass(frozen=True, kw_only=True)
class Filters:
    """The filter options of a command as they were given; ``filtered`` makes the options of these fields."""

    account: AccountOption = None
    state: StateOption = None
    wait: WaitOption = None
    domain: DomainOption = None
    recipient: RecipientOption = None
    sender: SenderOption = None
    since: SinceOption = None
    until: UntilOption = None
    older_than: OlderOption = None
    due_before: DueOption = None

    @property
    def given(self) -> bool:
        """Whether there is any."""
        return any(getattr(self, item.name) for item in fields(self))

    async def query(self, on: Opened, now: Millis) -> QueueFilter:
        """What to ask the store for. ``CliUsageError`` names the option that is wrong."""
        return replace(self.conditions(now), account_id=await on.account_id(self.account))

    def conditions(self, now: Millis) -> QueueFilter:
        """``query`` as far as no store is needed."""
        from ekiden.delivery.queue_queries import QueueFilter

        since = None if self.since is None else past(self.since, now, "--since")
        before = [past(self.until, now, "--until")] if self.until is not None else []
        if since is not None and before and since > before[0]:
            raise CliUsageError("--since is later than --until")
        if self.older_than is not None:
            before.append(now - duration(self.older_than, "--older-than"))
        return QueueFilter(
            states=frozenset().union(*(self.state or ())),
            waits=frozenset().union(*(self.wait or ())),
            domain=_domain(self.domain) if self.domain is not None else None,
            recipient=self.recipient,
            sender=self.sender,
            accepted_since=since,
            accepted_before=min(before, default=None),
            due_before=future(self.due_before, now, "--due-before") if self.due_before is not None else None,
        )


@dataclass(frozen=True, kw_only=True)
class IdFilters(Filters):
    """The filter options, and queue ids as arguments."""

    ids: IdsArgument = None

    def conditions(self, now: Millis) -> QueueFilter:
        targets = tuple(parse_target(value) for value in self.ids or ())
        return replace(super().conditions(now), targets=targets)


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
        filters.conditions(now_ms())  # whatever is wrong with them is told before anything else is looked at
        command(filters, **given)

    # What typer reads.
    expanded.__name__, expanded.__doc__ = command.__name__, command.__doc__
    expanded.__annotations__ = {item.name: item.annotation for item in [*options, *parameters]}
    expanded.__signature__ = inspect.Signature([*options, *parameters])  # type: ignore[attr-defined]
    return expanded
