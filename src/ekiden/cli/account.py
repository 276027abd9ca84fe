"""``ekiden account``: the tenants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer

from ekiden.cli.common import (
    LARGEST,
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    Opened,
    lang,
    on_store,
    tr,
)
from ekiden.cli.credential import credential_table
from ekiden.cli.moments import duration
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.core.clock import HOUR
from ekiden.core.display import local_time, span
from ekiden.core.states import Priority, State
from ekiden.delivery.explain import state_counts

if TYPE_CHECKING:
    from ekiden.access.accounts import Account, OverQuota, Quota, Senders
    from ekiden.access.credentials import Credential
    from ekiden.config.model import Config
    from ekiden.domains.model import Domain

app = typer.Typer(no_args_is_help=True, help="Accounts: whose mail it is.")

NameArgument = Annotated[str, typer.Argument(help="The account's name.", metavar="NAME")]


def _priority(value: str | Priority) -> Priority:
    if isinstance(value, Priority):
        return value
    try:
        return Priority[value.upper()]
    except KeyError:
        raise CliUsageError("{value!r} is not a priority; choose high, standard or low", value=value) from None


PriorityOption = Annotated[
    Priority,
    typer.Option(
        "--priority",
        parser=_priority,
        metavar="PRIORITY",
        help="Default priority of its messages: high, standard or low.",
        show_default="standard",
    ),
]


def _senders(value: str) -> str:
    from ekiden.access.accounts import Senders

    if value not in get_args(Senders):
        raise CliUsageError("{value!r} is not allowed; choose verified or any", value=value)
    return value


def check_region(config: Config, region: str) -> str:
    """``region`` if the configuration has it, or names no regions at all. Raises ``CliError``."""
    known = [item.name for item in config.regions]
    if region and known and region not in known:
        raise CliError(
            "there is no region {region!r}; choose one of {known}", region=region, known=", ".join(known)
        )
    return region


def _change(config: Path | None, as_json: bool, done: str, change: Callable[[Opened], Awaitable[Account]]) -> None:
    """``done`` is what to say then; ``{name}`` in it is the account's."""
    from ekiden.documents import account as documents

    account = on_store(config, change)
    show(as_json, documents.Account.of(account), done.format(name=account.name))


@app.command()
def create(
    name: NameArgument,
    priority: PriorityOption = Priority.STANDARD,
    region: Annotated[str, typer.Option("--region", help="The region that serves it.", show_default=False)] = "",
    senders: Annotated[
        str,
        typer.Option(
            "--senders",
            parser=_senders,
            metavar="verified|any",
            help="verified: only from its verified domains; any: from any domain, as a relay.",
        ),
    ] = "verified",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account. It needs a credential to submit mail: ekiden credential."""
    from ekiden.access.accounts import create_account

    _change(
        config,
        as_json,
        tr("account {name} created"),
        lambda on: create_account(
            on.store,
            name,
            on.now,
            priority=priority,
            region=check_region(on.config, region),
            senders=cast("Senders", senders),
            actor=on.actor,
        ),
    )


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all accounts."""
    from ekiden.access.accounts import list_accounts
    from ekiden.documents import account as documents

    accounts = on_store(config, lambda on: list_accounts(on.store))
    table = make_table("name", "priority", "created", "state", "reports", "bounces", translate=tr)
    cells = (
        (
            account.name,
            account.priority.name.lower(),
            local_time(account.created_at),
            _state(account),
            "" if account.reports_endpoint is None else tr("kept"),
            tr("suppressed") if account.suppress_bounces else "",
        )
        for account in accounts
    )
    none = tr("no accounts yet; create one with: ekiden account create NAME")
    show_list(as_json, map(documents.Account.of, accounts), table, cells, none)


def _state(account: Account) -> str:
    if account.suspended_at is None:
        return tr("active")
    return tr("suspended since {time}", time=local_time(account.suspended_at))


@app.command("show")
def show_(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show an account with its credentials, its domains and its part of the queue."""
    from ekiden.access.credentials import list_credentials
    from ekiden.delivery.queue_queries import QueueFilter, count_deliveries
    from ekiden.documents.account import AccountDetails
    from ekiden.domains.queries import list_domains

    async def work(on: Opened) -> tuple[Account, list[Credential], list[Domain], dict[State, int]]:
        account = await on.account(name)
        credentials = await list_credentials(on.store, account.id)
        domains = await list_domains(on.store, account.id)
        return account, credentials, domains, await count_deliveries(on.store, QueueFilter(account_id=account.id))

    found = on_store(config, work)
    show(as_json, AccountDetails.with_all(*found), lambda: _print(*found))


def _print(account: Account, credentials: list[Credential], domains: list[Domain], queue: dict[State, int]) -> None:
    out = output()
    created = local_time(account.created_at)
    out.print(tr("{name}: {state}, created {time}", name=account.name, state=_state(account), time=created))
    out.print(tr("priority of its messages: {priority}", priority=account.priority.name.lower()))
    if account.region:
        out.print(tr("region: {region}", region=account.region))
    if account.senders == "any":
        out.print(tr("it may send from any domain"))
    for line in _reporting_texts(account):
        out.print(line)
    if account.block_hours is not None:
        out.print(_block_text(account))
    for item in domains:
        text = tr("domain {name}: verified") if item.usable else tr("domain {name}: not verified")
        out.print(text.format(name=item.name))
    out.print(tr("in the queue: {counts}", counts=state_counts(queue, lang()) or tr("nothing")))
    if credentials:
        out.print(credential_table(credentials, {account.id: account.name}))
    else:
        out.print(tr("no credentials"))


@app.command()
def suspend(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Accept nothing more from an account. What is in the queue is still delivered."""
    from ekiden.access.accounts import suspend_account

    done = tr("account {name} suspended")
    _change(config, as_json, done, lambda on: suspend_account(on.store, name, on.now, actor=on.actor))


@app.command()
def resume(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """End a suspension."""
    from ekiden.access.accounts import resume_account

    done = tr("account {name} resumed")
    _change(config, as_json, done, lambda on: resume_account(on.store, name, on.now, actor=on.actor))


@app.command("set-priority")
def set_priority(
    name: NameArgument,
    priority: Annotated[
        Priority, typer.Argument(parser=_priority, metavar="PRIORITY", help="high, standard or low.")
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the default priority of an account's coming messages."""
    from ekiden.access.accounts import set_priority as change

    done = tr("account {name} changed")
    _change(config, as_json, done, lambda on: change(on.store, name, priority, on.now, actor=on.actor))


@app.command("set-senders")
def set_senders(
    name: NameArgument,
    senders: Annotated[
        str,
        typer.Argument(
            parser=_senders,
            metavar="verified|any",
            help="verified: only from its verified domains; any: from any domain, as a relay.",
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change which senders the messages of an account may have."""
    from ekiden.access.accounts import set_senders as change

    done, wanted = tr("account {name} changed"), cast("Senders", senders)
    _change(config, as_json, done, lambda on: change(on.store, name, wanted, on.now, actor=on.actor))


@app.command("set-region")
def set_region(
    name: NameArgument,
    region: Annotated[str, typer.Argument(help="The region's name; empty: none.", metavar="REGION")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the region that serves an account."""
    from ekiden.access.accounts import set_region as change

    def checked(on: Opened) -> Awaitable[Account]:
        return change(on.store, name, check_region(on.config, region), on.now, actor=on.actor)

    _change(config, as_json, tr("account {name} changed"), checked)


def _switch(value: str) -> str:
    if value not in ("on", "off"):
        raise CliUsageError("{value!r} is not allowed; choose on or off", value=value)
    return value


def _switch_option(name: str, what: str) -> Any:
    return typer.Option(name, parser=_switch, metavar="on|off", help=what, show_default=False)


@app.command()
def reporting(
    name: NameArgument,
    reports: Annotated[
        str | None, _switch_option("--reports", "Keep its delivery reports, to be fetched by the HTTP API.")
    ] = None,
    suppress_bounces: Annotated[
        str | None, _switch_option("--suppress-bounces", "Suppress addresses after a permanent bounce.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether an account's delivery reports are kept and its bounces suppressed; with options, change it."""
    from ekiden.access.accounts import set_reporting
    from ekiden.documents import account as documents

    async def work(on: Opened) -> Account:
        account = await on.account(name)
        endpoint = account.reports_endpoint
        if reports is not None:
            endpoint = await _pull_endpoint(on, account) if reports == "on" else None
        suppress = account.suppress_bounces if suppress_bounces is None else suppress_bounces == "on"
        if (endpoint, suppress) == (account.reports_endpoint, account.suppress_bounces):
            return account
        return await set_reporting(
            on.store, name, on.now, reports_endpoint=endpoint, suppress_bounces=suppress, actor=on.actor
        )

    def told() -> None:
        for line in _reporting_texts(account) or [tr("no reports are kept, and bounces are not suppressed")]:
            output().print(f"{name}: {line}")

    account = on_store(config, work)
    show(as_json, documents.Account.of(account), told)


async def _pull_endpoint(on: Opened, account: Account) -> int:
    """Where reports of the account are kept."""
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.formats import PULL

    if account.reports_endpoint is not None:
        return account.reports_endpoint
    return await Endpoints(on.store, on.clock, await on.vault()).find(account.id, PULL, "")


def _reporting_texts(account: Account) -> list[str]:
    lines = []
    if account.reports_endpoint is not None:
        lines.append(tr("its delivery reports are kept to be fetched"))
    if account.suppress_bounces:
        lines.append(tr("addresses that bounce for good are not mailed again"))
    return lines


NO_PERIOD = 0


def _block_hours(value: str | int) -> int:
    from ekiden.access.accounts import MAX_BLOCK_HOURS, MIN_BLOCK_HOURS

    if isinstance(value, int):
        return value
    if value == "default":
        return NO_PERIOD
    hours, rest = divmod(duration(value, "PERIOD"), HOUR)
    if rest or not MIN_BLOCK_HOURS <= hours <= MAX_BLOCK_HOURS:
        raise CliUsageError(
            "{value!r} is not allowed; give whole hours from {least} to {most}, such as 200h or 30d, or default",
            value=value,
            least=MIN_BLOCK_HOURS,
            most=MAX_BLOCK_HOURS,
        )
    return hours


@app.command("block-period")
def block_period(
    name: NameArgument,
    period: Annotated[
        int | None,
        typer.Argument(
            parser=_block_hours,
            metavar="PERIOD|default",
            help="A duration from 7d on, such as 200h or 30d; default: as if none had been set.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show for how long an account's addresses are blocked after a hard bounce; with a period, change it."""
    from ekiden.access.accounts import set_block_hours
    from ekiden.documents import account as documents

    def work(on: Opened) -> Awaitable[Account]:
        if period is None:
            return on.account(name)
        return set_block_hours(on.store, name, period or None, on.now, actor=on.actor)

    account = on_store(config, work)
    show(as_json, documents.Account.of(account), f"{name}: {_block_text(account)}")


def _block_text(account: Account) -> str:
    from ekiden.recipients.send_blocks import DEFAULT_BLOCK_HOURS

    if account.block_hours is None:
        length = span(DEFAULT_BLOCK_HOURS * HOUR, lang())
        return tr("no block period is set; APIs that block all the same do so for {period}", period=length)
    length = span(account.block_hours * HOUR, lang())
    return tr("addresses that bounce for good are blocked for {period}", period=length)


NO_LIMIT = 0


def _limit(value: str | int) -> int:
    if value == "none":
        return NO_LIMIT
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= LARGEST):
        raise CliUsageError("{value!r} is not allowed; give a number from 1, or none", value=value)
    return int(text)


def _action(value: str) -> str:
    from ekiden.access.accounts import OverQuota

    if value not in get_args(OverQuota):
        raise CliUsageError("{value!r} is not allowed; choose delay or reject", value=value)
    return value


def _limit_option(window: str) -> Any:
    return typer.Option(
        f"--{window}",
        parser=_limit,
        metavar="N|none",
        help=f"Recipients in each {window}; none: no limit.",
        show_default=False,
    )


@app.command("quota")
def quota(
    name: NameArgument,
    minute: Annotated[int | None, _limit_option("minute")] = None,
    hour: Annotated[int | None, _limit_option("hour")] = None,
    day: Annotated[int | None, _limit_option("day")] = None,
    action: Annotated[
        str | None,
        typer.Option(
            "--action",
            parser=_action,
            metavar="delay|reject",
            help="Over the quota: delay to the next window that has room, or reject.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much an account may send, and how much it has sent; with options, change it."""
    from ekiden.access.accounts import WINDOWS, Quota
    from ekiden.access.accounts import set_quota as change_quota
    from ekiden.access.quotas import usage
    from ekiden.documents.account import QuotaUse

    async def work(on: Opened) -> tuple[Account, dict[int, int]]:
        account = await on.account(name)
        now = on.now
        before = account.quota
        wanted = Quota(
            before.minute if minute is None else minute or None,
            before.hour if hour is None else hour or None,
            before.day if day is None else day or None,
            before.action if action is None else cast("OverQuota", action),
        )
        if wanted != before:
            account = await change_quota(on.store, name, wanted, now, actor=on.actor)
        return account, await usage(on.store, account.id, now)

    def told() -> None:
        out = output()
        out.print(tr("account {name}: {quota}", name=account.name, quota=_quota_text(account.quota)))
        names = {60: tr("this minute"), 3_600: tr("this hour"), 86_400: tr("this day (UTC)")}
        for seconds, limit in account.quota.limits:
            out.print(
                tr("  {window}: {used:,} of {limit:,}", window=names[seconds], used=used[seconds], limit=limit)
            )

    account, used = on_store(config, work)
    counts = dict(zip(("minute", "hour", "day"), (used[seconds] for seconds in WINDOWS), strict=True))
    show(as_json, QuotaUse.like(account.quota, account=account.name, used=counts), told)


def _quota_text(quota: Quota) -> str:
    if not quota.limits:
        return tr("no quota")
    if quota.action == "reject":
        return tr("what is over the quota is rejected")
    return tr("what is over the quota is delayed")
