"""``ekiden user``: people who log in to the console, and their roles."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import (
    AccountOption,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    error_console,
    of_accounts,
    on_store,
    tr,
)
from ekiden.cli.credential import AskOption, read_password
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.access.console_users import ConsoleUser

app = typer.Typer(
    no_args_is_help=True,
    help="Users of the console, by account, and their roles. The console itself comes with a later version.",
)

LoginArgument = Annotated[str, typer.Argument(help="The user's e-mail address.", metavar="LOGIN")]
RoleArgument = Annotated[str, typer.Argument(help="owner, admin, operator or viewer.", metavar="ROLE")]


def _change(
    config: Path | None,
    as_json: bool,
    done: str,
    change: Callable[[Opened], Awaitable[ConsoleUser]],
    secret: str = "",
) -> None:
    """``done`` is what to say then; ``secret``: a password that nobody knows yet."""
    from ekiden.documents import account as documents

    async def work(on: Opened) -> tuple[ConsoleUser, str]:
        user = await change(on)
        return user, await on.account_name(user.account_id)

    def told() -> None:
        out = output()
        out.print(done.format(login=user.login, role=user.role, account=account))
        if secret:
            out.print(tr("password   {secret}", secret=secret))
            error_console().print(tr("This is the only time it is shown."))

    user, account = on_store(config, work)
    show(as_json, documents.ConsoleUser.of(user, account, secret), told)


@app.command()
def add(
    login: LoginArgument,
    account: AccountOption,
    role: Annotated[str, typer.Option("--role", help="owner, admin, operator or viewer.")] = "viewer",
    ask: AskOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a user to an account; the first one is its owner."""
    from ekiden.access.console_users import add_console_user
    from ekiden.access.passwords import generate_password

    password = read_password() if ask else generate_password()

    async def change(on: Opened) -> ConsoleUser:
        found = await on.account(account)
        return await add_console_user(on.store, found.id, login, password, role, on.now, actor=on.actor)

    done = tr("{login} is now {role} of the account {account}")
    _change(config, as_json, done, change, "" if ask else password)


@app.command("list")
def list_(
    account: OfAccountOption = None,
    revoked: Annotated[bool, typer.Option("--revoked", help="Include removed ones.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List users."""
    from ekiden.access.console_users import list_console_users
    from ekiden.documents import account as documents

    users, names = of_accounts(config, account, lambda on, id: list_console_users(on.store, id, revoked=revoked))
    table = make_table("login", "account", "role", "created", "last used", "state", translate=tr)
    cells = (
        (
            user.login,
            names.get(user.account_id, str(user.account_id)),
            user.role,
            local_time(user.created_at),
            local_time(user.last_used_at) if user.last_used_at else tr("never"),
            tr("removed {time}", time=local_time(user.revoked_at)) if user.revoked_at else tr("active"),
        )
        for user in users
    )
    shapes = (documents.ConsoleUser.of(user, names.get(user.account_id, "")) for user in users)
    show_list(as_json, shapes, table, cells)


@app.command("set-role")
def set_role(
    login: LoginArgument, role: RoleArgument, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Change a user's role. That of the last owner cannot be changed."""
    from ekiden.access.console_users import set_console_role

    done = tr("{login} is now {role} of the account {account}")
    _change(config, as_json, done, lambda on: set_console_role(on.store, login, role, on.now, actor=on.actor))


@app.command("set-password")
def set_password(
    login: LoginArgument, ask: AskOption = False, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Give a user a new password."""
    from ekiden.access.console_users import set_console_password
    from ekiden.access.passwords import generate_password

    password = read_password() if ask else generate_password()
    _change(
        config,
        as_json,
        tr("{login} has a new password"),
        lambda on: set_console_password(on.store, login, password, on.now, actor=on.actor),
        "" if ask else password,
    )


@app.command()
def remove(login: LoginArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Remove a user: nobody can log in as that user any more. The last owner cannot be removed."""
    from ekiden.access.console_users import remove_console_user

    done = tr("{login} is no longer a user of the account {account}")
    _change(config, as_json, done, lambda on: remove_console_user(on.store, login, on.now, actor=on.actor))
