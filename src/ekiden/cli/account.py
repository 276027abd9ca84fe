"""``ekiden account``: the tenants."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ekiden.access.accounts import (
    Account,
    create_account,
    get_account,
    list_accounts,
    resume_account,
    suspend_account,
)
from ekiden.access.accounts import set_priority as change_priority
from ekiden.access.credentials import list_credentials
from ekiden.access.domains import add_domain as give_domain
from ekiden.access.domains import list_domains
from ekiden.cli.common import (
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
from ekiden.cli.tables import iso, local_time, make_table, output, state_counts
from ekiden.core.states import Priority
from ekiden.net.clock import SystemClock
from ekiden.store.api import Store
from ekiden.store.queue_queries import QueueFilter, count_deliveries

app = typer.Typer(no_args_is_help=True, help="Accounts: whose mail it is.")

NameArgument = Annotated[str, typer.Argument(help="The account's name.", metavar="NAME")]


def _priority(value: str | Priority) -> Priority:
    if isinstance(value, Priority):
        return value
    try:
        return Priority[value.upper()]
    except KeyError:
        raise typer.BadParameter(f"{value!r} is no priority; there are high, standard, low") from None


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


def account_json(account: Account) -> dict[str, Any]:
    """One account; the keys are documented in docs/cli.md."""
    return {
        "id": account.id,
        "name": account.name,
        "priority": account.priority.name.lower(),
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
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an account. It needs a credential to submit mail: ekiden credential."""
    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("account {name} created"),
        lambda store: create_account(store, name, now, priority=priority),
    )


@app.command("list")
def list_(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List all accounts."""

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
    table = make_table("name", "priority", "created", "state", translate=tr)
    for account in accounts:
        table.add_row(account.name, account.priority.name.lower(), local_time(account.created_at), _state(account))
    output().print(table)


def _state(account: Account) -> str:
    if account.suspended_at is None:
        return tr("active")
    return tr("suspended since {time}", time=local_time(account.suspended_at))


@app.command()
def show(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show an account with its credentials, its domains and its part of the queue."""

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
    for item in domains:
        text = tr("domain {name}: verified") if item.verified_at else tr("domain {name}: not verified")
        out.print(text.format(name=item.name))
    out.print(tr("in the queue: {counts}", counts=state_counts(queue, lang()) or tr("nothing")))
    if credentials:
        out.print(credential_table(credentials, {account.id: account.name}))
    else:
        out.print(tr("no credentials"))


@app.command()
def suspend(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Accept nothing more from an account. What is in the queue is still delivered."""
    now = SystemClock().now()
    _change(config, as_json, tr("account {name} suspended"), lambda store: suspend_account(store, name, now))


@app.command()
def resume(name: NameArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """End a suspension."""
    _change(
        config,
        as_json,
        tr("account {name} resumed"),
        lambda store: resume_account(store, name, SystemClock().now()),
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
    _change(
        config,
        as_json,
        tr("account {name} changed"),
        lambda store: change_priority(store, name, priority, SystemClock().now()),
    )


@app.command("add-domain")
def add_domain(
    name: NameArgument,
    domain: Annotated[str, typer.Argument(help="The domain it sends from.", metavar="DOMAIN")],
    verified: Annotated[bool, typer.Option("--verified", help="Vouch for it.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an account a sending domain."""

    async def change(store: Store) -> Account:
        account = await get_account(store, name)
        await give_domain(store, account.id, domain, SystemClock().now(), verified=verified)
        return account

    _change(config, as_json, tr("account {name} has the domain {domain}"), change, domain=domain)
