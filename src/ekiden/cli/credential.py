"""``ekiden credential``: passwords, API keys, access keys, API users. A secret is printed once, when it is made."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import (
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    Opened,
    error_console,
    of_accounts,
    on_store,
    row_number,
    tr,
)
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.cli.text_table import TextTable
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.access.access_keys import AccessKey
    from ekiden.access.credentials import Credential, NewApiKey

app = typer.Typer(no_args_is_help=True, help="Passwords, API keys, access keys and API users.")
password_app = typer.Typer(no_args_is_help=True, help="User names with passwords.")
api_key_app = typer.Typer(no_args_is_help=True, help="API keys, used with the user name App.")
access_key_app = typer.Typer(no_args_is_help=True, help="Access keys, whose secrets sign requests.")
api_user_app = typer.Typer(no_args_is_help=True, help="API users, whose key goes in the body of a request.")
app.add_typer(password_app, name="password")
app.add_typer(api_key_app, name="api-key")
app.add_typer(access_key_app, name="access-key")
app.add_typer(api_user_app, name="api-user")

AccountArgument = Annotated[str, typer.Argument(help="The account's name.", metavar="ACCOUNT")]
LabelArgument = Annotated[str, typer.Argument(help="A label, for people.", metavar="[LABEL]")]
ScopesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--scope",
        help="Restrict it to a scope: send, read, download or manage (repeatable). Default: no restriction.",
        show_default=False,
    ),
]
NetworksOption = Annotated[
    list[str] | None,
    typer.Option(
        "--network",
        help="Allow use only from this address or network (repeatable). Default: anywhere.",
        show_default=False,
    ),
]


def kind_name(kind: str) -> str:
    """What a kind of credential is called."""
    from ekiden.access.credentials import ACCESS_KEY, API_KEY, API_USER, PASSWORD, SMTP_USER

    names = {
        PASSWORD: tr("password"),
        SMTP_USER: tr("SMTP user"),
        API_KEY: tr("API key"),
        ACCESS_KEY: tr("access key"),
        API_USER: tr("API user"),
    }
    return names[kind]


def credential_table(credentials: Sequence[Credential], accounts: Mapping[int, str]) -> TextTable:
    """A description, for people. A column tells of scopes and networks when anything is bound to some."""
    table = make_table(
        "id", "account", "kind", "name", "created", "last used", "state", right=("id",), translate=tr
    )
    bounds = any(item.scopes or item.networks for item in credentials)
    if bounds:
        table.add_column(tr("only for"))
    for item in credentials:
        row = [
            str(item.id),
            accounts.get(item.account_id, str(item.account_id)),
            kind_name(item.kind),
            f"{item.name} ({item.access_key})" if item.access_key else item.name,
            local_time(item.created_at),
            local_time(item.last_used_at) if item.last_used_at else tr("never"),
            tr("revoked {time}", time=local_time(item.revoked_at)) if item.revoked_at else tr("active"),
        ]
        table.add_row(*row, *([", ".join((*item.scopes, *item.networks))] if bounds else []))
    return table


def read_password() -> str:
    """Asked for at a terminal; else a line of standard input."""
    if sys.stdin.isatty():
        return str(
            typer.prompt(tr("Password"), hide_input=True, confirmation_prompt=tr("Password again"), err=True)
        )
    return sys.stdin.readline().rstrip("\r\n")


AskOption = Annotated[
    bool,
    typer.Option(
        "--ask", help="Ask for the password (or read a line of standard input) instead of generating one."
    ),
]
"""With ``read_password`` when it is given, ``generate_password`` when not."""


@password_app.command("create")
def create_password(
    account: AccountArgument,
    username: Annotated[
        str | None,
        typer.Argument(
            help="The user name. Default: the account's name.", metavar="[USERNAME]", show_default=False
        ),
    ] = None,
    ask: AskOption = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give a user name that exists a new password; the old one ends.")
    ] = False,
    scope: ScopesOption = None,
    network: NetworksOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create a user name with a password, or with --replace give a user name a new password."""
    from ekiden.access.credentials import PASSWORD, list_credentials, set_password
    from ekiden.access.passwords import generate_password
    from ekiden.documents.account import PasswordMade

    password = read_password() if ask else generate_password()
    user = username if username is not None else account

    async def work(on: Opened) -> Credential:
        found = await on.account(account)
        known = [item for item in await list_credentials(on.store, found.id, revoked=False) if item.name == user]
        if not replace and any(item.kind == PASSWORD for item in known):
            raise CliError("the user name {name!r} has a password already; --replace gives it a new one", name=user)
        return await set_password(
            on.store,
            found.id,
            user,
            password,
            on.now,
            scopes=scope,
            networks=network,
            replace=replace,
            actor=on.actor,
        )

    made = on_store(config, work)
    shown = {} if ask else {"password": password}
    document = PasswordMade.of(made, account, username=user, **shown)
    show(as_json, document, lambda: _show_login(user, "" if ask else password))


@api_key_app.command("create")
def create_key(
    account: AccountArgument,
    name: LabelArgument = "default",
    scope: ScopesOption = None,
    network: NetworksOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API key. Log in with the user name App and the key as password."""
    from ekiden.access.credentials import create_api_key
    from ekiden.documents.account import ApiKeyMade

    async def work(on: Opened) -> NewApiKey:
        found = await on.account(account)
        return await create_api_key(
            on.store, found.id, name, on.now, scopes=scope or (), networks=network or (), actor=on.actor
        )

    made = on_store(config, work)
    document = ApiKeyMade.of(made.credential, account, username="App", api_key=made.key)
    show(as_json, document, lambda: _show_login("App", made.key))


@access_key_app.command("create")
def create_pair(
    account: AccountArgument,
    name: LabelArgument = "default",
    scope: ScopesOption = None,
    network: NetworksOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an access key: an id, and a secret to sign requests with."""
    from ekiden.access.access_keys import create_access_key
    from ekiden.documents.account import AccessKeyMade

    async def work(on: Opened) -> AccessKey:
        vault = await on.vault()
        found = await on.account(account)
        return await create_access_key(
            on.store, vault, found.id, name, on.now, scopes=scope or (), networks=network or (), actor=on.actor
        )

    def told() -> None:
        out = output()
        out.print(tr("access key  {id}", id=made.id))
        out.print(tr("secret      {secret}", secret=made.secret))
        error_console().print(tr("This is the only time it is shown."))

    made = on_store(config, work)
    show(as_json, AccessKeyMade.of(made.credential, account, secret=made.secret), told)


ZoneOption = Annotated[
    str | None,
    typer.Option(
        "--timezone",
        help="The time zone of dates and times that it gives and is told. Default: Asia/Tokyo.",
        metavar="ZONE",
        show_default=False,
    ),
]
ApiUserArgument = Annotated[str, typer.Argument(help="The API user's id, an e-mail address.", metavar="API_USER")]


@api_user_app.command("create")
def create_user(
    account: AccountArgument,
    login: ApiUserArgument,
    ask: Annotated[
        bool,
        typer.Option("--ask", help="Ask for the key (or read a line of standard input) instead of generating one."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Give an API user that exists a new key; the old one ends.")
    ] = False,
    timezone: ZoneOption = None,
    scope: ScopesOption = None,
    network: NetworksOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create an API user with a key, or with --replace give an API user a new key."""
    from ekiden.access.api_users import generate_key, set_api_user
    from ekiden.documents.account import ApiUserMade

    key = read_password() if ask else generate_key()

    async def work(on: Opened) -> Credential:
        found = await on.account(account)
        return await set_api_user(
            on.store,
            found.id,
            login,
            key,
            on.now,
            time_zone=timezone,
            scopes=scope,
            networks=network,
            replace=replace,
            actor=on.actor,
        )

    made = on_store(config, work)

    def told() -> None:
        out = output()
        out.print(tr("api_user  {name}", name=made.name))
        if not ask:
            out.print(tr("api_key   {secret}", secret=key))
            error_console().print(tr("This is the only time it is shown."))

    shown = {} if ask else {"api_key": key}
    show(as_json, ApiUserMade.of(made, account, api_user=made.name, **shown), told)


@api_user_app.command("timezone")
def set_zone(
    login: ApiUserArgument,
    zone: Annotated[str, typer.Argument(help="A time zone such as Asia/Tokyo.", metavar="ZONE")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the time zone of an API user."""
    from ekiden.access.api_users import set_time_zone
    from ekiden.documents import account as documents

    async def work(on: Opened) -> tuple[Credential, str]:
        credential = await set_time_zone(on.store, login, zone, on.now, actor=on.actor)
        return credential, await on.account_name(credential.account_id)

    credential, account = on_store(config, work)
    text = tr("times of the API user {name!r} are now those of {zone}", name=credential.name, zone=zone)
    show(as_json, documents.Credential.of(credential, account), text)


def _show_login(user: str, secret: str) -> None:
    out = output()
    out.print(tr("user name  {name}", name=user))
    if secret:
        out.print(tr("password   {secret}", secret=secret))
        error_console().print(tr("This is the only time it is shown."))


def _list(kind: str, account: str | None, revoked: bool, config: Any, as_json: bool) -> None:
    from ekiden.access.credentials import list_credentials
    from ekiden.documents import account as documents

    every, names = of_accounts(config, account, lambda on, id: list_credentials(on.store, id, revoked=revoked))
    found = [item for item in every if not kind or item.kind == kind]
    shapes = (documents.Credential.of(item, names.get(item.account_id, "")) for item in found)
    show_list(as_json, shapes, credential_table(found, names), ())


ForAccount = Annotated[
    str | None, typer.Argument(help="Only of this account.", metavar="[ACCOUNT]", show_default=False)
]
RevokedOption = Annotated[bool, typer.Option("--revoked", help="Include revoked ones.")]


@app.command("list")
def list_all(
    account: ForAccount = None,
    revoked: RevokedOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List credentials of every kind, with those of SMTP users."""
    _list("", account, revoked, config, as_json)


def _key_or_number(value: str | int) -> str | int:
    """The id of an access key, or the number of a credential."""
    from ekiden.access.access_keys import is_access_key

    text = str(value)
    return text if is_access_key(text) else row_number(value)


async def _found(on: Opened, id: str | int) -> Credential | None:
    from ekiden.access.credentials import list_credentials

    known = await list_credentials(on.store)
    return next((item for item in known if id in (item.id, item.access_key or None)), None)


def _number(id: str | int, found: Credential | None) -> int:
    """Of the credential, be there one or not. Raises ``CliError`` for an access key that there is not."""
    if found is None and isinstance(id, str):
        raise CliError("there is no access key {id!r}", id=id)
    return found.id if found is not None else row_number(id)


def _revoke(id: str | int, kind: str, config: Any, as_json: bool) -> None:
    from ekiden.access.credentials import revoke_credential
    from ekiden.documents import account as documents

    async def work(on: Opened) -> tuple[Credential, str]:
        found = await _found(on, id)
        number = _number(id, found)
        if kind and found is not None and found.kind != kind:
            raise CliError(
                "credential {id} is of the kind {found}, not {kind}",
                id=id,
                found=kind_name(found.kind),
                kind=kind_name(kind),
            )
        credential = await revoke_credential(on.store, number, on.now, actor=on.actor)
        return credential, await on.account_name(credential.account_id)

    credential, account = on_store(config, work)
    text = tr("revoked {kind} {name!r} of {account}")
    text = text.format(kind=kind_name(credential.kind), name=credential.name, account=account)
    show(as_json, documents.Credential.of(credential, account), text)


IdArgument = Annotated[
    Any,  # str | int, which typer does not take from a parser
    typer.Argument(parser=_key_or_number, help="The number in the list, or an access key.", metavar="ID"),
]


@app.command("bound")
def bound(
    id: IdArgument,
    scope: ScopesOption = None,
    network: NetworksOption = None,
    none: Annotated[bool, typer.Option("--none", help="Remove all restrictions.")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change the restrictions of a credential: its scopes and its networks. Both are replaced."""
    from ekiden.access.credentials import bound_credential
    from ekiden.documents import account as documents

    if none == bool(scope or network):
        raise CliUsageError("give --scope or --network, or --none for no restrictions")

    async def work(on: Opened) -> tuple[Credential, str]:
        number = _number(id, await _found(on, id))
        credential = await bound_credential(
            on.store, number, on.now, scopes=scope or (), networks=network or (), actor=on.actor
        )
        return credential, await on.account_name(credential.account_id)

    credential, account = on_store(config, work)
    kind, only = kind_name(credential.kind), ", ".join((*credential.scopes, *credential.networks))
    if only:
        text = tr("{kind} {name!r} of {account} is now restricted to: {only}")
    else:
        text = tr("{kind} {name!r} of {account} has no restrictions now")
    text = text.format(kind=kind, name=credential.name, account=account, only=only)
    show(as_json, documents.Credential.of(credential, account), text)


@app.command("revoke")
def revoke(id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Revoke a credential of any kind: nobody can use it any more."""
    _revoke(id, "", config, as_json)


def _list_and_revoke(of: typer.Typer, kind: str, listing: str, revoking: str) -> None:
    """The commands ``list`` and ``revoke`` of one kind, with their help."""

    @of.command("list", help=listing)
    def list_(
        account: ForAccount = None,
        revoked: RevokedOption = False,
        config: ConfigOption = None,
        as_json: JsonOption = False,
    ) -> None:
        _list(kind, account, revoked, config, as_json)

    @of.command("revoke", help=revoking)
    def revoke(id: IdArgument, config: ConfigOption = None, as_json: JsonOption = False) -> None:
        _revoke(id, kind, config, as_json)


# The kinds of ``access.credentials``, which help need not load.
_list_and_revoke(
    password_app, "password", "List user names with passwords.", "Revoke a user name and its password."
)
_list_and_revoke(api_key_app, "api_key", "List API keys.", "Revoke an API key.")
_list_and_revoke(access_key_app, "access_key", "List access keys.", "Revoke an access key.")
_list_and_revoke(api_user_app, "api_user", "List API users.", "Revoke an API user.")
