"""``ekiden credential``: passwords and API keys. A secret is printed once, when it is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from ekiden.access.accounts import get_account, list_accounts
from ekiden.access.credentials import (
    PASSWORD,
    Credential,
    create_api_key,
    generate_password,
    list_credentials,
    revoke_credential,
    set_password,
)
from ekiden.cli.common import (
    CliError,
    ConfigOption,
    JsonOption,
    error_console,
    load,
    opened_store,
    print_json,
    run_async,
    tr,
)
from ekiden.cli.tables import iso, local_time, make_table, output
from ekiden.net.clock import SystemClock
from ekiden.store.api import Store

app = typer.Typer(no_args_is_help=True, help="Passwords and API keys of accounts.")
password_app = typer.Typer(no_args_is_help=True, help="User names with passwords.")
api_key_app = typer.Typer(no_args_is_help=True, help="API keys, used with the user name App.")
app.add_typer(password_app, name="password")
app.add_typer(api_key_app, name="api-key")

AccountArgument = Annotated[str, typer.Argument(help="The account's name.", metavar="ACCOUNT")]


def credential_json(credential: Credential, account: str) -> dict[str, Any]:
    """One credential, never with its secret; the keys are documented in docs/cli.md."""
    return {
        "id": credential.id,
        "account": account,
        "kind": credential.kind,
        "name": credential.name,
        "created_at": iso(credential.created_at),
        "last_used_at": iso(credential.last_used_at),
        "revoked_at": iso(credential.revoked_at),
    }


def credential_table(credentials: Sequence[Credential], accounts: Mapping[int, str]) -> Table:
    """For people."""
    table = make_table(
        "id", "account", "kind", "name", "created", "last used", "state", right=("id",), translate=tr
    )
    for item in credentials:
        table.add_row(
            str(item.id),
            accounts.get(item.account_id, str(item.account_id)),
            tr("password") if item.kind == PASSWORD else tr("API key"),
            item.name,
            local_time(item.created_at),
            local_time(item.last_used_at) if item.last_used_at else tr("never"),
            tr("revoked {time}", time=local_time(item.revoked_at)) if item.revoked_at else tr("active"),
        )
    return table


def _read_password() -> str:
    if sys.stdin.isatty():
        return str(
            typer.prompt(tr("Password"), hide_input=True, confirmation_prompt=tr("Password again"), err=True)
        )
    return sys.stdin.readline().rstrip("\r\n")


@password_app.command("create")
def create_password(
    account: AccountArgument,
    username: Annotated[
        str | None, typer.Argument(help="Else the account's name.", metavar="[USERNAME]", show_default=False)
    ] = None,
    ask: Annotated[
        bool, typer.Option("--ask", help="Ask for the password (or read a line of standard input), not invent one.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a user name with a password, or give a user name a new password."""
    password = _read_password() if ask else generate_password()
    user = username if username is not None else account

    async def main() -> Credential:
        async with opened_store(load(config)) as store:
            found = await get_account(store, account)
            return await set_password(store, found.id, user, password, SystemClock().now())

    credential = run_async(main())
    _show_secret(credential, account, "username", user, "password", "" if ask else password, as_json)


@api_key_app.command("create")
def create_key(
    account: AccountArgument,
    name: Annotated[str, typer.Argument(help="A label, for people.", metavar="[LABEL]")] = "default",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API key. Log in with the user name App and the key as password."""

    async def main() -> tuple[Credential, str]:
        async with opened_store(load(config)) as store:
            found = await get_account(store, account)
            made = await create_api_key(store, found.id, name, SystemClock().now())
            return made.credential, made.key

    credential, key = run_async(main())
    _show_secret(credential, account, "username", "App", "api_key", key, as_json)


def _show_secret(
    credential: Credential, account: str, user_key: str, user: str, secret_key: str, secret: str, as_json: bool
) -> None:
    if as_json:
        value = {**credential_json(credential, account), user_key: user}
        print_json({**value, secret_key: secret} if secret else value)
        return
    out = output()
    out.print(tr("user name  {name}", name=user))
    if secret:
        out.print(tr("password   {secret}", secret=secret))
        error_console().print(tr("This is the only time it is shown."))


def _list(kind: str, account: str | None, revoked: bool, config: Any, as_json: bool) -> None:
    async def main() -> tuple[list[Credential], dict[int, str]]:
        async with opened_store(load(config)) as store:
            accounts = {item.id: item.name for item in await list_accounts(store)}
            account_id = (await get_account(store, account)).id if account is not None else None
            found = await list_credentials(store, account_id, revoked=revoked)
            return [item for item in found if not kind or item.kind == kind], accounts

    credentials, accounts = run_async(main())
    if as_json:
        print_json([credential_json(item, accounts.get(item.account_id, "")) for item in credentials])
    elif credentials:
        output().print(credential_table(credentials, accounts))
    else:
        error_console().print(tr("nothing found"))


ForAccount = Annotated[
    str | None, typer.Argument(help="Of this account only.", metavar="[ACCOUNT]", show_default=False)
]
RevokedOption = Annotated[bool, typer.Option("--revoked", help="Revoked ones, too.")]


@app.command("list")
def list_all(
    account: ForAccount = None,
    revoked: RevokedOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List passwords and API keys."""
    _list("", account, revoked, config, as_json)


@password_app.command("list")
def list_passwords(
    account: ForAccount = None,
    revoked: RevokedOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List user names with passwords."""
    _list("password", account, revoked, config, as_json)


@api_key_app.command("list")
def list_keys(
    account: ForAccount = None,
    revoked: RevokedOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List API keys."""
    _list("api_key", account, revoked, config, as_json)


def _revoke(id: int, kind: str, config: Any, as_json: bool) -> None:
    async def main() -> tuple[Credential, str]:
        async with opened_store(load(config)) as store:
            await _check_kind(store, id, kind)
            credential = await revoke_credential(store, id, SystemClock().now())
            names = {item.id: item.name for item in await list_accounts(store)}
            return credential, names.get(credential.account_id, "")

    credential, account = run_async(main())
    if as_json:
        print_json(credential_json(credential, account))
    else:
        is_password = credential.kind == PASSWORD
        text = tr(
            "revoked password {name!r} of {account}" if is_password else "revoked API key {name!r} of {account}"
        )
        output().print(text.format(name=credential.name, account=account))


async def _check_kind(store: Store, id: int, kind: str) -> None:
    found = next((item for item in await list_credentials(store) if item.id == id), None)
    if kind and found is not None and found.kind != kind:
        raise CliError(
            "credential {id} is no password" if kind == PASSWORD else "credential {id} is no API key", id=id
        )


IdArgument = Annotated[int, typer.Argument(help="The number in the list.", metavar="ID")]


@app.command("revoke")
def revoke(id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Revoke a password or an API key: nobody can log in with it any more."""
    _revoke(id, "", config, as_json)


@password_app.command("revoke")
def revoke_password(id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Revoke a user name and its password."""
    _revoke(id, "password", config, as_json)


@api_key_app.command("revoke")
def revoke_key(id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Revoke an API key."""
    _revoke(id, "api_key", config, as_json)
