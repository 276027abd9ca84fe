"""``ekiden user``: people who log in to the console, and their roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import (
    ConfigOption,
    JsonOption,
    account_name,
    account_names,
    chosen_account,
    error_console,
    load,
    opened_store,
    print_json,
    run_async,
    tr,
)
from ekiden.cli.credential import AskOption, read_password
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time

if TYPE_CHECKING:
    from ekiden.access.console_users import ConsoleUser
    from ekiden.store.api import Store

app = typer.Typer(
    no_args_is_help=True,
    help="Users of the console, by account, and their roles. The console itself comes with a later version.",
)

LoginArgument = Annotated[str, typer.Argument(help="The user's e-mail address.", metavar="LOGIN")]
RoleArgument = Annotated[str, typer.Argument(help="owner, admin, operator or viewer.", metavar="ROLE")]


def user_json(user: ConsoleUser, account: str) -> dict[str, Any]:
    """One user; the keys are documented in docs/cli.md."""
    return {
        "id": user.id,
        "account": account,
        "login": user.login,
        "role": user.role,
        "created_at": iso(user.created_at),
        "last_used_at": iso(user.last_used_at),
        "revoked_at": iso(user.revoked_at),
    }


def _change(
    config: Path | None,
    as_json: bool,
    done: str,
    change: Callable[[Store], Awaitable[ConsoleUser]],
    secret: str = "",
) -> None:
    """``done`` is what to say then; ``secret``: a password that nobody knows yet."""

    async def main() -> tuple[ConsoleUser, str]:
        async with opened_store(load(config)) as store:
            user = await change(store)
            return user, await account_name(store, user.account_id)

    user, account = run_async(main())
    if as_json:
        print_json({**user_json(user, account), **({"password": secret} if secret else {})})
        return
    out = output()
    out.print(done.format(login=user.login, role=user.role, account=account))
    if secret:
        out.print(tr("password   {secret}", secret=secret))
        error_console().print(tr("This is the only time it is shown."))


@app.command()
def add(
    login: LoginArgument,
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    role: Annotated[str, typer.Option("--role", help="owner, admin, operator or viewer.")] = "viewer",
    ask: AskOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a user to an account; the first one is its owner."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.access.console_users import add_console_user
    from ekiden.access.credentials import generate_password
    from ekiden.net.clock import SystemClock

    password = read_password() if ask else generate_password()

    async def change(store: Store) -> ConsoleUser:
        found = await get_account(store, account)
        now = SystemClock().now()
        return await add_console_user(store, found.id, login, password, role, now, actor=local_actor())

    done = tr("{login} is now {role} of the account {account}")
    _change(config, as_json, done, change, "" if ask else password)


@app.command("list")
def list_(
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="Of this account only.", show_default=False)
    ] = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Removed ones, too.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List users."""
    from ekiden.access.console_users import list_console_users

    async def main() -> tuple[list[ConsoleUser], dict[int, str]]:
        async with opened_store(load(config)) as store:
            accounts = await account_names(store)
            account_id = await chosen_account(store, account)
            return await list_console_users(store, account_id, revoked=revoked), accounts

    users, accounts = run_async(main())
    if as_json:
        print_json([user_json(user, accounts.get(user.account_id, "")) for user in users])
        return
    if not users:
        error_console().print(tr("nothing found"))
        return
    table = make_table("login", "account", "role", "created", "last used", "state", translate=tr)
    for user in users:
        table.add_row(
            user.login,
            accounts.get(user.account_id, str(user.account_id)),
            user.role,
            local_time(user.created_at),
            local_time(user.last_used_at) if user.last_used_at else tr("never"),
            tr("removed {time}", time=local_time(user.revoked_at)) if user.revoked_at else tr("active"),
        )
    output().print(table)


@app.command("set-role")
def set_role(
    login: LoginArgument, role: RoleArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Change a user's role. The last owner stays one."""
    from ekiden.access.audit import local_actor
    from ekiden.access.console_users import set_console_role
    from ekiden.net.clock import SystemClock

    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("{login} is now {role} of the account {account}"),
        lambda store: set_console_role(store, login, role, now, actor=local_actor()),
    )


@app.command("set-password")
def set_password(
    login: LoginArgument, ask: AskOption = False, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Give a user a new password."""
    from ekiden.access.audit import local_actor
    from ekiden.access.console_users import set_console_password
    from ekiden.access.credentials import generate_password
    from ekiden.net.clock import SystemClock

    password = read_password() if ask else generate_password()
    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("{login} has a new password"),
        lambda store: set_console_password(store, login, password, now, actor=local_actor()),
        "" if ask else password,
    )


@app.command()
def remove(login: LoginArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Remove a user: nobody can log in as that user any more. The last owner stays."""
    from ekiden.access.audit import local_actor
    from ekiden.access.console_users import remove_console_user
    from ekiden.net.clock import SystemClock

    now = SystemClock().now()
    _change(
        config,
        as_json,
        tr("{login} is no longer a user of the account {account}"),
        lambda store: remove_console_user(store, login, now, actor=local_actor()),
    )
