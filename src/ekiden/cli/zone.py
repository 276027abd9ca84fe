"""``ekiden zone``: network zones, the named sets of addresses that rules refer to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import (
    AccountOption,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    of_accounts,
    on_store,
)
from ekiden.cli.network_translations import NetworkCliError, tr
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.core.display import local_time

if TYPE_CHECKING:
    from ekiden.access.accounts import Account
    from ekiden.networks.zones import Address, Zone

app = typer.Typer(no_args_is_help=True, help="Network zones: named sets of addresses that rules refer to.")

ZoneArgument = Annotated[str, typer.Argument(help="The zone's id or name.", metavar="ZONE")]


def read_address(text: str, account: Account) -> Address:
    """An address by its form; whether it is a good one is checked with the zone.

    ``first-last``, ``address/length``, ``service:NAME[:LOCATION]``, the CRN of a VPC or an instance, or an address.
    """
    from ekiden.networks.config import SERVICE
    from ekiden.networks.zones import Address, ServiceRef

    if text.startswith(SERVICE):
        name, _, location = text.removeprefix(SERVICE).partition(":")
        return Address("serviceRef", ref=ServiceRef(account.uid, service_name=name, location=location))
    if text.startswith("crn:"):
        return Address("vpc" if ":vpc:" in text else "instance", text)
    return Address("subnet" if "/" in text else "ipRange" if "-" in text else "ipAddress", text)


def choose(zones: Sequence[Zone], wanted: str) -> Zone:
    """The zone of that id, or the only one of that name. Raises ``NetworkCliError``."""
    found = [zone for zone in zones if zone.id == wanted] or [zone for zone in zones if zone.name == wanted]
    if not found:
        raise NetworkCliError("there is no zone {zone!r}", zone=wanted)
    if len(found) > 1:
        raise NetworkCliError("several accounts have a zone {zone!r}; name one with --account", zone=wanted)
    return found[0]


async def _read(on: Opened, account_id: int | None) -> list[Zone]:
    """The zones of one account or of all, oldest first."""
    from ekiden.networks.zones import load_zones

    async with on.store.read() as connection:
        zones = await load_zones(connection, account_id)
    return sorted(zones, key=lambda zone: (zone.created_at, zone.id))


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="A name of your choice.", metavar="NAME")],
    addresses: Annotated[
        list[str],
        typer.Argument(
            help="IP addresses, ranges (first-last), subnets (address/length), service:NAME[:LOCATION] or CRNs.",
            metavar="ADDRESS...",
        ),
    ],
    account: AccountOption,
    excluded: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", help="An address, range or subnet that does not belong to it.", show_default=False
        ),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", help="A description, for people.", show_default=False)
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a zone to an account. It opens nothing until a rule names it: ekiden rule add."""
    from ekiden.documents import network as documents
    from ekiden.networks.zones import Zones, ZoneValues

    async def work(on: Opened) -> Zone:
        owner = await on.account(account)
        values = ZoneValues(
            name,
            tuple(read_address(text, owner) for text in addresses),
            tuple(read_address(text, owner) for text in excluded or ()),
            description,
        )
        return await Zones(on.store, on.clock).create(owner.id, values, actor=on.actor)

    zone = on_store(config, work)
    text = tr("zone {name} added: {id}", name=zone.name, id=zone.id)
    show(as_json, documents.Zone.of(zone, account), text)


@app.command("list")
def list_(account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List zones."""
    from ekiden.documents import network as documents

    zones, names = of_accounts(config, account, _read)
    table = make_table("id", "account", "name", "addresses", "excluded", "description", translate=tr)
    cells = (
        (
            zone.id,
            names.get(zone.account_id, ""),
            zone.name,
            str(len(zone.addresses)),
            str(len(zone.excluded)),
            zone.description,
        )
        for zone in zones
    )
    show_list(as_json, (documents.Zone.of(zone, names.get(zone.account_id, "")) for zone in zones), table, cells)


def _one(config: Path | None, wanted: str, account: str | None, *, remove: bool) -> tuple[Zone, str]:
    from ekiden.networks.zones import Zones

    async def work(on: Opened) -> tuple[Zone, str]:
        zone = choose(await _read(on, await on.account_id(account)), wanted)
        if remove:
            await Zones(on.store, on.clock).delete(zone.account_id, zone.id, actor=on.actor)
        return zone, await on.account_name(zone.account_id)

    return on_store(config, work)


@app.command("show")
def show_(
    zone: ZoneArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show a zone with its addresses."""
    from ekiden.documents import network as documents

    def told() -> None:
        out = output()
        out.print(tr("zone {name} of {account}: {id}", name=found.name, account=owner, id=found.id))
        if found.description:
            out.print(found.description)
        for address in found.addresses:
            out.print(f"  {address}")
        for address in found.excluded:
            out.print("  " + tr("excluded: {address}", address=address))
        out.print(history(found))

    found, owner = _one(config, zone, account, remove=False)
    show(as_json, documents.Zone.of(found, owner), told)


def history(item: Any) -> str:
    """When and by whom a zone or a rule was made and changed."""
    return tr(
        "created {time} by {who}, changed {changed} by {changer}",
        time=local_time(item.created_at),
        who=item.created_by,
        changed=local_time(item.updated_at),
        changer=item.updated_by,
    )


@app.command()
def remove(
    zone: ZoneArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a zone that no rule names."""
    from ekiden.documents import network as documents

    found, owner = _one(config, zone, account, remove=True)
    show(as_json, documents.Zone.of(found, owner), tr("zone {name} removed", name=found.name))
