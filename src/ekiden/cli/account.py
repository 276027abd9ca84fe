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
    error_console,
    lang,
    load,
    opened_store,
    print_json,
    run_async,
    tr,
)
from ekiden.cli.credential import credential_json, credential_table
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time
from ekiden.core.states import Priority
from ekiden.delivery.explain import state_counts

if TYPE_CHECKING:
    from ekiden.access.accounts import Account, OverQuota, Quota, Senders
    from ekiden.config.model import Config
    from ekiden.store.api import Store

app = typer.Typer(no_args_is_help=True, help="Accounts: whose mail it is.")

NameArgument = Annotated[str, typer.Argument(help="The account's name.", metavar="NAME")]


def _priority(value: str | Priority) -> Priority:
    if isinstance(value, Priority):
        return value
    try:
        return Priority[value.upper()]
    except KeyError:
        raise CliUsageError("{value!r} is not a priority; there are high, standard and low", value=value) from None


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
        raise CliUsageError("{value!r} is neither verified nor any", value=value)
    return value


def check_region(config: Config, region: str) -> str:
    """``region`` if the configuration has it, or names no regions at all. Raises ``CliError``."""
    known = [item.name for item in config.regions]
    if region and known and region not in known:
        raise CliError("there is no region {region!r}; there are {known}", region=region, known=", ".join(known))
    return region


def quota_json(quota: Quota) -> dict[str, Any]:
    """A quota; a window without a limit has null."""
    return {"minute": quota.minute, "hour": quota.hour, "day": quota.day, "action": quota.action}


def account_json(account: Account) -> dict[str, Any]:
    """One account; the keys are documented in docs/cli.md."""
    return {
        "id": account.id,
        "uid": account.uid,
        "name": account.name,
        "priority": account.priority.name.lower(),
        "region": account.region,
        "senders": account.senders,
        "quota": quota_json(account.quota),
        "reports": account.reports_endpoint is not None,
        "suppress_bounces": account.suppress_bounces,
        "created_at": iso(account.created_at),
        "suspended_at": iso(account.suspended_at),
    }


def _change(
    config: Path | None, as_json: bool, done: str, change: Callable[[Store], Awaitable[Account]], **values: Any
) -> None:
    """``done`` is what to say then; ``{name}`` in it is the account's, others are in ``values``."""

    async def main() -> Account:
        async with opened_store(load(config)) as store:
            return await change(store)

    account = run_async(main())
    if as_json:
        print_json(account_json(account))
    else:
        output().print(done.format(name=account.name, **values))


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
            help="verified: it sends from its verified domains only; any: it relays for others.",
        ),
    ] = "verified",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account. It needs a credential to submit mail: ekiden credential."""
    from ekiden.access.accounts import create_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("account {name} created"),
        lambda store: create_account(
            store,
            name,
            now,
            priority=priority,
            region=check_region(load(config), region),
            senders=cast("Senders", senders),
            actor=local_actor(),
        ),
    )


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all accounts."""
    from ekiden.access.accounts import list_accounts

    async def main() -> list[Account]:
        async with opened_store(load(config)) as store:
            return await list_accounts(store)

    accounts = run_async(main())
    if as_json:
        print_json([account_json(account) for account in accounts])
        return
    if not accounts:
        error_console().print(tr("no accounts yet; create one with: ekiden account create NAME"))
        return
    table = make_table("name", "priority", "created", "state", "reports", "bounces", translate=tr)
    for account in accounts:
        table.add_row(
            account.name,
            account.priority.name.lower(),
            local_time(account.created_at),
            _state(account),
            "" if account.reports_endpoint is None else tr("kept"),
            tr("suppressed") if account.suppress_bounces else "",
        )
    output().print(table)


def _state(account: Account) -> str:
    if account.suspended_at is None:
        return tr("active")
    return tr("suspended since {time}", time=local_time(account.suspended_at))


@app.command()
def show(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show an account with its credentials, its domains and its part of the queue."""
    from ekiden.access.accounts import get_account
    from ekiden.access.credentials import list_credentials
    from ekiden.delivery.queue_queries import QueueFilter, count_deliveries
    from ekiden.domains.queries import list_domains

    async def main() -> tuple[Any, ...]:
        async with opened_store(load(config)) as store:
            account = await get_account(store, name)
            credentials = await list_credentials(store, account.id)
            domains = await list_domains(store, account.id)
            return account, credentials, domains, await count_deliveries(store, QueueFilter(account_id=account.id))

    account, credentials, domains, queue = run_async(main())
    if as_json:
        print_json(
            {
                **account_json(account),
                "credentials": [credential_json(item, account.name) for item in credentials],
                "domains": [
                    {
                        "name": item.name,
                        "status": item.status,
                        "created_at": iso(item.created_at),
                        "verified_at": iso(item.verified_at),
                    }
                    for item in domains
                ],
                "queue": {state.name.lower(): count for state, count in sorted(queue.items())},
            }
        )
        return
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
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("account {name} suspended"),
        lambda store: suspend_account(store, name, now, actor=local_actor()),
    )


@app.command()
def resume(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """End a suspension."""
    from ekiden.access.accounts import resume_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    _change(
        config,
        as_json,
        tr("account {name} resumed"),
        lambda store: resume_account(store, name, SystemClock().now(), actor=local_actor()),
    )


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
    from ekiden.access.accounts import set_priority as change_priority
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    _change(
        config,
        as_json,
        tr("account {name} changed"),
        lambda store: change_priority(store, name, priority, SystemClock().now(), actor=local_actor()),
    )


@app.command("set-senders")
def set_senders(
    name: NameArgument,
    senders: Annotated[
        str,
        typer.Argument(
            parser=_senders, metavar="verified|any", help="verified: its verified domains only; any: a relay."
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change which senders the messages of an account may have."""
    from ekiden.access.accounts import set_senders as change_senders
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    _change(
        config,
        as_json,
        tr("account {name} changed"),
        lambda store: change_senders(
            store, name, cast("Senders", senders), SystemClock().now(), actor=local_actor()
        ),
    )


@app.command("set-region")
def set_region(
    name: NameArgument,
    region: Annotated[str, typer.Argument(help="The region's name; empty: none.", metavar="REGION")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the region that serves an account."""
    from ekiden.access.accounts import set_region as change_region
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    _change(
        config,
        as_json,
        tr("account {name} changed"),
        lambda store: change_region(
            store, name, check_region(load(config), region), SystemClock().now(), actor=local_actor()
        ),
    )


def _switch(value: str) -> str:
    if value not in ("on", "off"):
        raise CliUsageError("{value!r} is neither on nor off", value=value)
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
        str | None, _switch_option("--suppress-bounces", "Do not mail again what bounced for good.")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether an account's delivery reports are kept and its bounces suppressed; with options, change it."""
    from ekiden.access.accounts import get_account
    from ekiden.access.accounts import set_reporting as change_reporting
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock

    async def main() -> Account:
        loaded = load(config)
        async with opened_store(loaded) as store:
            account = await get_account(store, name)
            endpoint = account.reports_endpoint
            if reports is not None:
                endpoint = await _pull_endpoint(loaded, store, account) if reports == "on" else None
            suppress = account.suppress_bounces if suppress_bounces is None else suppress_bounces == "on"
            if (endpoint, suppress) != (account.reports_endpoint, account.suppress_bounces):
                account = await change_reporting(
                    store,
                    name,
                    SystemClock().now(),
                    reports_endpoint=endpoint,
                    suppress_bounces=suppress,
                    actor=local_actor(),
                )
            return account

    account = run_async(main())
    if as_json:
        print_json(account_json(account))
        return
    for line in _reporting_texts(account) or [tr("no reports are kept, and bounces are not suppressed")]:
        output().print(f"{name}: {line}")


async def _pull_endpoint(config: Config, store: Store, account: Account) -> int:
    """Where reports of the account are kept."""
    from ekiden.net.clock import SystemClock
    from ekiden.notify.endpoints import Endpoints
    from ekiden.notify.formats import PULL
    from ekiden.process.instance_key import checked_vault

    if account.reports_endpoint is not None:
        return account.reports_endpoint
    vault = await checked_vault(config, store)
    return await Endpoints(store, SystemClock(), vault).find(account.id, PULL, "")


def _reporting_texts(account: Account) -> list[str]:
    lines = []
    if account.reports_endpoint is not None:
        lines.append(tr("its delivery reports are kept to be fetched"))
    if account.suppress_bounces:
        lines.append(tr("addresses that bounce for good are not mailed again"))
    return lines


NO_LIMIT = 0


def _limit(value: str | int) -> int:
    if value == "none":
        return NO_LIMIT
    text = str(value)
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= LARGEST):
        raise CliUsageError("{value!r} is neither a number from 1 nor none", value=value)
    return int(text)


def _action(value: str) -> str:
    from ekiden.access.accounts import OverQuota

    if value not in get_args(OverQuota):
        raise CliUsageError("{value!r} is neither delay nor reject", value=value)
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
    from ekiden.access.accounts import WINDOWS, Quota, get_account
    from ekiden.access.accounts import set_quota as change_quota
    from ekiden.access.audit import local_actor
    from ekiden.access.quotas import usage
    from ekiden.net.clock import SystemClock

    async def main() -> tuple[Account, dict[int, int]]:
        async with opened_store(load(config)) as store:
            account = await get_account(store, name)
            now = SystemClock().now()
            before = account.quota
            wanted = Quota(
                before.minute if minute is None else minute or None,
                before.hour if hour is None else hour or None,
                before.day if day is None else day or None,
                before.action if action is None else cast("OverQuota", action),
            )
            if wanted != before:
                account = await change_quota(store, name, wanted, now, actor=local_actor())
            return account, await usage(store, account.id, now)

    account, used = run_async(main())
    counts = dict(zip(("minute", "hour", "day"), (used[seconds] for seconds in WINDOWS), strict=True))
    if as_json:
        print_json({"account": account.name, **quota_json(account.quota), "used": counts})
        return
    out = output()
    out.print(tr("account {name}: {quota}", name=account.name, quota=_quota_text(account.quota)))
    limits = dict(account.quota.limits)
    names = {60: tr("this minute"), 3_600: tr("this hour"), 86_400: tr("this day (UTC)")}
    for seconds, limit in limits.items():
        out.print(tr("  {window}: {used:,} of {limit:,}", window=names[seconds], used=used[seconds], limit=limit))


def _quota_text(quota: Quota) -> str:
    if not quota.limits:
        return tr("no quota")
    if quota.action == "reject":
        return tr("what is over the quota is rejected")
    return tr("what is over the quota is delayed")
