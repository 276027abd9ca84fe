"""``ekiden cmc inbound``: webhooks that are told what came in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.cmc_translations import CmcUsageError, tr
from ekiden.cli.common import AccountOption, ConfigOption, JsonOption, Opened, on_store
from ekiden.cli.credential import read_password
from ekiden.cli.tables import make_table, output, show, show_list

if TYPE_CHECKING:
    from ekiden.documents import webhook
    from ekiden.notify.staged_settings import Setting
    from ekiden.wiring.webhook_settings import WebhookSettings

app = typer.Typer(no_args_is_help=True, help="Inbound webhooks: applications that are told what came in.")

NameArgument = Annotated[str, typer.Argument(help="The name of the webhook.", metavar="NAME")]


async def _webhooks(on: Opened) -> WebhookSettings:
    from ekiden.wiring.webhook_settings import make_webhook_settings

    return make_webhook_settings(on.config, on.store, on.clock, await on.vault())


def _condition(text: str) -> tuple[str, str]:
    """Header field and pattern of ``To=^info@``."""
    header, equals, pattern = text.partition("=")
    if not equals:
        raise CmcUsageError("--when {text}: give a header field and a pattern, such as To=^info@", text=repr(text))
    return header.strip(), pattern


def _show(as_json: bool, account: str, name: str, item: Setting | None, text: str) -> None:
    """``item`` is ``None`` when it went at once, since it never had effect."""
    from ekiden.documents import webhook as documents

    def told() -> None:
        output().print(text)
        if item is not None and item.differences:
            output().print(tr("It has effect after: ekiden cmc apply --account {account}", account=account))

    show(as_json, documents.InboundWebhookState.of(item, account, name), told)


@app.command()
def add(
    name: NameArgument,
    account: AccountOption,
    url: Annotated[str, typer.Option("--url", help="The endpoint: a URL that begins with https://.")],
    when: Annotated[
        list[str],
        typer.Option(
            "--when",
            help="A header field and a pattern (RE2) that is found in it: Subject=^Order. To is the envelope's "
            "recipient. Several must all be met.",
            metavar="FIELD=REGEX",
        ),
    ],
    format: Annotated[str, typer.Option("--format", help="multipart, with files; or json, without.")] = "multipart",
    basic: Annotated[
        str | None,
        typer.Option(
            "--basic",
            help="User name of BASIC authentication. The password is asked for, or read from standard input.",
            metavar="USER",
            show_default=False,
        ),
    ] = None,
    api_key: Annotated[
        str | None,
        typer.Option("--api-key", help="Sent as api_key in the body.", metavar="KEY", show_default=False),
    ] = None,
    bearer: Annotated[
        bool, typer.Option("--bearer", help="Send the key as Authorization: Bearer, and not in the body.")
    ] = False,
    retry_interval: Annotated[
        int,
        typer.Option("--retry-interval", help="Seconds between two requests that fail: 10 to 600.", metavar="S"),
    ] = 60,
    retry_days: Annotated[
        int, typer.Option("--retry-days", help="Days after which a mail is given up: 1 to 10.", metavar="D")
    ] = 3,
    timeout: Annotated[
        int, typer.Option("--timeout", help="Seconds that an answer may take: 1 to 60.", metavar="S")
    ] = 30,
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of one of the same name, all of it.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save an inbound webhook: mail to a domain of the account that meets its conditions is sent to an application.

    Nothing changes in what is received until ekiden cmc apply. The domain: ekiden inbound domain add.
    """
    conditions = [_condition(text) for text in when]
    password = "" if basic is None else read_password()

    async def work(on: Opened) -> Setting:
        fields = {
            "url": url,
            "format": format,
            "basic_user": basic or "",
            "bearer": bearer,
            "retry_interval": retry_interval,
            "retry_days": retry_days,
            "timeout": timeout,
        }
        owner = await on.account(account)
        webhooks = await _webhooks(on)
        secrets = {"password": password, "api_key": api_key or ""}
        await webhooks.save_inbound(owner.id, name, fields, conditions, **secrets, actor=on.actor, new=not replace)
        return await webhooks.inbound_named(owner.id, name)

    text = tr("the inbound webhook {name} of the account {account} is saved", name=name, account=account)
    _show(as_json, account, name, on_store(config, work), text)


@app.command("list")
def list_(
    account: AccountOption,
    name: Annotated[
        str | None, typer.Argument(help="Only this webhook.", metavar="[NAME]", show_default=False)
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the inbound webhooks of an account, as they were saved and as they have effect."""
    from ekiden.documents import webhook as documents

    async def work(on: Opened) -> list[Setting]:
        owner = await on.account(account)
        webhooks = await _webhooks(on)
        return [await webhooks.inbound_named(owner.id, name)] if name else await webhooks.inbound(owner.id)

    found = on_store(config, work)
    table = make_table("name", "endpoint", "conditions", "body", "state", translate=tr)
    made = [documents.InboundWebhookState.of(item, account, item.name) for item in found]

    def row(item: documents.InboundWebhookState) -> tuple[str, ...]:
        shown = item.saved or item.applied
        assert shown is not None
        conditions = "  ".join(f"{each.header}={each.pattern}" for each in shown.conditions)
        return item.name, shown.url, conditions, shown.format, _state(item)

    none = tr("the account {account} has no inbound webhook", account=account)
    show_list(as_json, made, table, map(row, made), none)


def _state(item: webhook.InboundWebhookState) -> str:
    """What it does, and what it is to do."""
    if item.applied is None:
        return tr("not applied yet")
    now = tr("paused") if item.applied.paused else tr("in operation")
    if item.saved is None:
        return tr("{now}, is removed by cmc apply", now=now)
    return tr("{now}, is changed by cmc apply", now=now) if item.differences else now


@app.command()
def pause(
    name: NameArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Save that an inbound webhook is not told anything for now. What comes in meanwhile waits."""
    _set_paused(name, account, config, as_json, paused=True)


@app.command()
def resume(
    name: NameArgument, account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Save that an inbound webhook is told again, also of what has come in meanwhile."""
    _set_paused(name, account, config, as_json, paused=False)


def _set_paused(name: str, account: str, config: Path | None, as_json: bool, *, paused: bool) -> None:
    async def work(on: Opened) -> Setting:
        owner = await on.account(account)
        return await (await _webhooks(on)).pause_inbound(owner.id, name, paused=paused, actor=on.actor)

    saved = on_store(config, work)
    text = tr(
        "the inbound webhook {name} is saved as paused"
        if paused
        else "the inbound webhook {name} is saved as in operation",
        name=name,
    )
    _show(as_json, account, name, saved, text)


@app.command()
def remove(
    name: NameArgument,
    account: AccountOption,
    user: Annotated[
        str,
        typer.Option(
            "--user",
            help="A user of the account's console, owner, admin or operator. The password is asked for, or read "
            "from standard input.",
            metavar="LOGIN",
        ),
    ],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save that an inbound webhook is removed. What waits for it then goes as well."""
    if sys.stdin.isatty():
        password = str(typer.prompt(tr("Password"), hide_input=True, err=True))
    else:
        password = sys.stdin.readline().rstrip("\r\n")

    async def work(on: Opened) -> Setting | None:
        owner = await on.account(account)
        webhooks = await _webhooks(on)
        await webhooks.remove_inbound(owner.id, name, login=user, password=password, actor=on.actor)
        return next((item for item in await webhooks.inbound(owner.id) if item.name == name), None)

    text = tr("the inbound webhook {name} is removed", name=name)
    _show(as_json, account, name, on_store(config, work), text)
