"""``ekiden zone``: network zones, the named sets of addresses that rules refer to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import (
    ConfigOption,
    JsonOption,
    account_names,
    chosen_account,
    error_console,
    load,
    opened_store,
    print_json,
    run_async,
)
from ekiden.cli.network_translations import NetworkCliError, tr
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time

if TYPE_CHECKING:
    from ekiden.access.accounts import Account
    from ekiden.networks.zones import Address, Zone
    from ekiden.store.api import Store

app = typer.Typer(no_args_is_help=True, help="Network zones: named sets of addresses that rules refer to.")

ZoneArgument = Annotated[str, typer.Argument(help="The zone's id or name.", metavar="ZONE")]
AccountOption = Annotated[
    str | None, typer.Option("--account", "-a", help="Of this account only.", show_default=False)
]


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


def zone_json(zone: Zone, account: str) -> dict[str, Any]:
    """One zone; the keys are documented in docs/cli.md."""
    return {
        "id": zone.id,
        "account": account,
        "name": zone.name,
        "description": zone.description,
        "addresses": [str(address) for address in zone.addresses],
        "excluded": [str(address) for address in zone.excluded],
        "created_at": iso(zone.created_at),
        "created_by": zone.created_by,
        "updated_at": iso(zone.updated_at),
        "updated_by": zone.updated_by,
    }


def choose(zones: Sequence[Zone], wanted: str) -> Zone:
    """The zone of that id, or the only one of that name. Raises ``NetworkCliError``."""
    found = [zone for zone in zones if zone.id == wanted] or [zone for zone in zones if zone.name == wanted]
    if not found:
        raise NetworkCliError("there is no zone {zone!r}", zone=wanted)
    if len(found) > 1:
        raise NetworkCliError("several accounts have a zone {zone!r}; name one with --account", zone=wanted)
    return found[0]


async def read_zones(store: Store, account: str | None) -> tuple[list[Zone], dict[int, str]]:
    """The zones of one account or of all, oldest first, and the names of accounts by id."""
    from ekiden.networks.zones import load_zones

    names = await account_names(store)
    account_id = await chosen_account(store, account)
    async with store.read() as connection:
        zones = await load_zones(connection, account_id)
    return sorted(zones, key=lambda zone: (zone.created_at, zone.id)), names


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
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    excluded: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude", help="An address, range or subnet that does not belong to it.", show_default=False
        ),
    ] = None,
    description: Annotated[str, typer.Option("--description", help="For people.", show_default=False)] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a zone to an account. It opens nothing until a rule names it: ekiden rule add."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.networks.zones import Zones, ZoneValues

    async def main() -> Zone:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            values = ZoneValues(
                name,
                tuple(read_address(text, owner) for text in addresses),
                tuple(read_address(text, owner) for text in excluded or ()),
                description,
            )
            return await Zones(store, SystemClock()).create(owner.id, values, actor=local_actor())

    zone = run_async(main())
    if as_json:
        print_json(zone_json(zone, account))
    else:
        output().print(tr("zone {name} added: {id}", name=zone.name, id=zone.id))


@app.command("list")
def list_(account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List zones."""

    async def main() -> tuple[list[Zone], dict[int, str]]:
        async with opened_store(load(config)) as store:
            return await read_zones(store, account)

    zones, names = run_async(main())
    if as_json:
        print_json([zone_json(zone, names.get(zone.account_id, "")) for zone in zones])
        return
    if not zones:
        error_console().print(tr("nothing found"))
        return
    table = make_table("id", "account", "name", "addresses", "excluded", "description", translate=tr)
    for zone in zones:
        table.add_row(
            zone.id,
            names.get(zone.account_id, ""),
            zone.name,
            str(len(zone.addresses)),
            str(len(zone.excluded)),
            zone.description,
        )
    output().print(table)


def _one(config: Path | None, wanted: str, account: str | None, *, remove: bool) -> tuple[Zone, str]:
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.networks.zones import Zones

    async def main() -> tuple[Zone, str]:
        async with opened_store(load(config)) as store:
            zones, names = await read_zones(store, account)
            zone = choose(zones, wanted)
            if remove:
                await Zones(store, SystemClock()).delete(zone.account_id, zone.id, actor=local_actor())
            return zone, names.get(zone.account_id, "")

    return run_async(main())


@app.command()
def show(
    zone: ZoneArgument, account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show a zone with its addresses."""
    found, owner = _one(config, zone, account, remove=False)
    if as_json:
        print_json(zone_json(found, owner))
        return
    out = output()
    out.print(tr("zone {name} of {account}: {id}", name=found.name, account=owner, id=found.id))
    if found.description:
        out.print(found.description)
    for address in found.addresses:
        out.print(f"  {address}")
    for address in found.excluded:
        out.print("  " + tr("excluded: {address}", address=address))
    out.print(history(found))


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
    zone: ZoneArgument, account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a zone that no rule names."""
    found, owner = _one(config, zone, account, remove=True)
    if as_json:
        print_json(zone_json(found, owner))
    else:
        output().print(tr("zone {name} removed", name=found.name))
