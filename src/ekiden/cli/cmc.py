"""``ekiden cmc``: the webhooks of Customers Mail Cloud, which are saved first and have effect once applied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli import cmc_inbound
from ekiden.cli.cmc_translations import tr
from ekiden.cli.common import AccountOption, ConfigOption, JsonOption, Opened, on_store
from ekiden.cli.credential import read_password
from ekiden.cli.tables import make_table, output, show

if TYPE_CHECKING:
    from ekiden.notify.staged_settings import Difference, Setting
    from ekiden.wiring.webhook_settings import WebhookSettings

app = typer.Typer(
    no_args_is_help=True, help="Webhooks of Customers Mail Cloud: settings are saved, and have effect once applied."
)
event_app = typer.Typer(no_args_is_help=True, help="The event webhook of an account.")
app.add_typer(event_app, name="event")
app.add_typer(cmc_inbound.app, name="inbound")


async def webhook_settings(on: Opened) -> WebhookSettings:
    from ekiden.wiring.webhook_settings import make_webhook_settings

    return make_webhook_settings(on.config, on.store, on.clock, await on.vault())


@event_app.command("set")
def set_event(
    account: AccountOption,
    url: Annotated[str, typer.Option("--url", help="The endpoint: a URL that begins with https://.")],
    bounces: Annotated[bool, typer.Option("--bounces", help="Tell of bounces.")] = False,
    deliveries: Annotated[
        bool, typer.Option("--deliveries", help="Tell of deliveries: queued, succeeded, failed, deferred.")
    ] = False,
    blocks: Annotated[
        bool, typer.Option("--blocks", help="Tell of addresses that are blocked, and that are released.")
    ] = False,
    version: Annotated[int, typer.Option("--version", help="Version of the events: 1 or 2.")] = 2,
    timezone: Annotated[
        str, typer.Option("--timezone", help="Time zone of the events.", metavar="ZONE")
    ] = "Asia/Tokyo",
    format: Annotated[str, typer.Option("--format", help="form or json; json with version 2 only.")] = "form",
    interval: Annotated[
        int, typer.Option("--interval", help="Seconds for which events gather: 1 to 600.", metavar="S")
    ] = 1,
    most: Annotated[
        int,
        typer.Option("--max", help="Events in a request, at most: 100 to 10000. As many go at once.", metavar="N"),
    ] = 100,
    timeout: Annotated[
        int, typer.Option("--timeout", help="Seconds that an answer may take: 1 to 60.", metavar="S")
    ] = 30,
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
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Save the event webhook of an account, all of it: what is not given is as in a new one.

    Nothing changes in what is sent until ekiden cmc apply.
    """
    from ekiden.documents import webhook as documents

    password = "" if basic is None else read_password()
    fields = {
        "url": url,
        "bounces": bounces,
        "deliveries": deliveries,
        "blocks": blocks,
        "version": version,
        "timezone": timezone,
        "format": format,
        "basic_user": basic or "",
        "bearer": bearer,
        "interval": interval,
        "max": most,
        "timeout": timeout,
    }

    async def work(on: Opened) -> Setting | None:
        owner = await on.account(account)
        webhooks = await webhook_settings(on)
        secrets = {"password": password, "api_key": api_key or ""}
        await webhooks.save_event(owner.id, fields, **secrets, actor=on.actor)
        return await webhooks.event(owner.id)

    saved = on_store(config, work)

    def told() -> None:
        output().print(tr("the event webhook of the account {account} is saved", account=account))
        if saved is not None and saved.differences:
            output().print(tr("It has effect after: ekiden cmc apply --account {account}", account=account))

    show(as_json, documents.EventWebhookState.of(saved, account), told)


@event_app.command("show")
def show_event(account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show the event webhook of an account, as it was saved and as it has effect."""
    from ekiden.documents import webhook as documents

    async def work(on: Opened) -> Setting | None:
        owner = await on.account(account)
        return await (await webhook_settings(on)).event(owner.id)

    document = documents.EventWebhookState.of(on_store(config, work), account)

    def told() -> None:
        saved, applied = document.saved, document.applied
        if saved is None and applied is None:
            output().print(tr("the account {account} has no event webhook", account=account))
            return
        table = make_table("setting", "saved", "in effect", translate=tr)
        for name in documents.EventWebhook.__struct_fields__:
            table.add_row(name, _value(getattr(saved, name, None)), _value(getattr(applied, name, None)))
        output().print(table)

    show(as_json, document, told)


@app.command()
def status(account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show whether all settings of webhooks have effect as they were saved, and what differs."""
    from ekiden.documents import webhook as documents

    async def work(on: Opened) -> Sequence[Difference]:
        owner = await on.account(account)
        return await (await webhook_settings(on)).differences(owner.id)

    differences = on_store(config, work)

    def told() -> None:
        if not differences:
            output().print(tr("in operation: everything that was saved has effect"))
            return
        output().print(tr("being changed: ekiden cmc apply makes this effective"))
        _print(differences)

    show(as_json, documents.SettingsState.of(differences, account, changed=bool(differences)), told)


@app.command()
def apply(account: AccountOption, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Make all saved settings of webhooks effective, on every worker within two seconds."""
    from ekiden.documents import webhook as documents

    async def work(on: Opened) -> Sequence[Difference]:
        owner = await on.account(account)
        return await (await webhook_settings(on)).apply(owner.id, actor=on.actor)

    differences = on_store(config, work)

    def told() -> None:
        if not differences:
            output().print(tr("nothing to apply: everything that was saved has effect"))
            return
        output().print(tr("the settings of the account {account} have effect", account=account))
        _print(differences)

    show(as_json, documents.SettingsState.of(differences, account, changed=False), told)


def _print(differences: Sequence[Difference]) -> None:
    table = make_table("setting", "in effect", "saved", translate=tr)
    for item in differences:
        name = " ".join(filter(None, (item.kind, item.name, item.field)))
        hidden = tr("changed") if item.secret else ""
        table.add_row(name, hidden or _value(item.applied), hidden or _value(item.saved))
    output().print(table)


def _value(value: Any) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return tr("yes") if value else tr("no")
    if isinstance(value, list):  # of conditions
        return "  ".join(f"{each['header']}={each['pattern']}" for each in value)
    return str(value)
