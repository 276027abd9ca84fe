"""``ekiden rule``: network rules, from where which instance may be used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
import typer

from ekiden.cli.common import AccountOption, ConfigOption, JsonOption, OfAccountOption, Opened, on_store
from ekiden.cli.network_translations import NetworkCliError, NetworkUsageError, tr
from ekiden.cli.tables import make_table, output, show, show_list
from ekiden.cli.zone import choose, history

if TYPE_CHECKING:
    from ekiden.networks.api_types import Mode
    from ekiden.networks.rule_evaluation import Decision
    from ekiden.networks.rules import Context, Rule, Rules

app = typer.Typer(
    no_args_is_help=True,
    help="Network rules: SMTP for an instance refuses every address until a rule lets it pass.",
)

RuleArgument = Annotated[str, typer.Argument(help="The rule's id.", metavar="RULE")]
EndpointChoice = Literal["public", "private"]
ModeChoice = Literal["enabled", "disabled", "report"]
Operation = Literal["smtp", "control-plane", "all"]


def _api_types(operation: str) -> tuple[str, ...]:
    from ekiden.networks.api_types import CONTROL_PLANE, SMTP

    return {"smtp": (SMTP,), "control-plane": (CONTROL_PLANE,), "all": ()}[operation]


_REFUSALS = {
    "NO_CONTEXT": "refused by rule {rule}; it has no context and lets nobody pass",
    "ADDRESS": "refused by rule {rule}; the address is in none of its zones",
    "ENDPOINT": "refused by rule {rule}; the address is in one of its zones, but not for this endpoint",
    "MFA": "refused by rule {rule}; it demands several factors, which nobody proves here",
}


@app.command()
def add(
    account: AccountOption,
    zones: Annotated[
        list[str] | None,
        typer.Option("--zone", "-z", help="Id or name of a zone; several are alternatives.", show_default=False),
    ] = None,
    endpoint: Annotated[
        EndpointChoice | None, typer.Option("--endpoint", help="Only this endpoint.", show_default=False)
    ] = None,
    nobody: Annotated[bool, typer.Option("--nobody", help="Let nobody pass.")] = False,
    instance: Annotated[
        str, typer.Option("--instance", help="Only this instance, by its UUID.", show_default=False)
    ] = "",
    region: Annotated[str, typer.Option("--region", help="Only this region.", show_default=False)] = "",
    operation: Annotated[Operation, typer.Option("--api", help="What it protects.")] = "smtp",
    mode: Annotated[ModeChoice, typer.Option("--mode", help="report is not available for SMTP.")] = "enabled",
    description: Annotated[
        str, typer.Option("--description", help="A description, for people.", show_default=False)
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a rule. Where several rules apply, all of them must let a request pass."""
    from ekiden.documents import network as documents
    from ekiden.networks.api_types import EVENT_NOTIFICATIONS
    from ekiden.networks.rules import (
        ACCOUNT,
        ENDPOINT,
        REGION,
        SERVICE_INSTANCE,
        SERVICE_NAME,
        ZONE,
        Attribute,
        Context,
        Resource,
        ResourceAttribute,
        Rules,
        RuleValues,
    )
    from ekiden.networks.zones import load_zones

    if bool(zones or endpoint) == nobody:
        raise NetworkUsageError("give a zone with --zone, an endpoint with --endpoint, or --nobody")

    async def work(on: Opened) -> Rule:
        owner = await on.account(account)
        async with on.store.read() as connection:
            known = await load_zones(connection, owner.id)
        ids = [choose(known, zone).id for zone in zones or ()]
        conditions = {ZONE: ", ".join(ids), ENDPOINT: endpoint or ""}
        attributes = tuple(Attribute(name, value) for name, value in conditions.items() if value)
        target = {
            ACCOUNT: owner.uid,
            SERVICE_NAME: EVENT_NOTIFICATIONS,
            SERVICE_INSTANCE: instance,
            REGION: region,
        }
        values = RuleValues(
            () if nobody else (Context(attributes),),
            Resource(tuple(ResourceAttribute(name, value) for name, value in target.items() if value)),
            description,
            _api_types(operation),
            mode,
        )
        return await Rules(on.store, on.clock).create(owner.id, values, actor=on.actor)

    rule = on_store(config, work)
    show(as_json, documents.Rule.of(rule, account), tr("rule {id} added", id=rule.id))


@app.command("list")
def list_(account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """List rules."""
    from ekiden.documents import network as documents
    from ekiden.networks.rules import SERVICE_INSTANCE, load_rules
    from ekiden.networks.zones import load_zones

    async def work(on: Opened) -> tuple[list[Rule], dict[int, str], dict[str, str]]:
        names = await on.account_names()
        account_id = await on.account_id(account)
        async with on.store.read() as connection:
            zones = {zone.id: zone.name for zone in await load_zones(connection, account_id)}
            return await load_rules(connection, account_id), names, zones

    rules, names, zones = on_store(config, work)
    table = make_table("id", "account", "mode", "instance", "operations", "from", "description", translate=tr)
    cells = (
        (
            rule.id,
            names.get(rule.account_id, ""),
            rule.mode,
            rule.resource.value(SERVICE_INSTANCE) or tr("all"),
            _operations(rule),
            " | ".join(_context(context, zones) for context in rule.contexts) or tr("nobody"),
            rule.description,
        )
        for rule in rules
    )
    show_list(as_json, (documents.Rule.of(rule, names.get(rule.account_id, "")) for rule in rules), table, cells)


def _operations(rule: Rule) -> str:
    from ekiden.networks.api_types import EVENT_NOTIFICATIONS, find_api_type

    known = (find_api_type(EVENT_NOTIFICATIONS, item) for item in rule.api_types)
    return ", ".join(item.display_name for item in known if item is not None) or tr("all")


def _context(context: Context, zones: dict[str, str]) -> str:
    from ekiden.networks.rules import ZONE

    words = []
    for attribute in context.attributes:
        if attribute.name == ZONE:
            words.append(", ".join(zones.get(id_, id_) for id_ in attribute.zone_ids()))
        else:
            words.append(f"{attribute.name}={attribute.value}")
    if not any(attribute.name == ZONE for attribute in context.attributes):
        words.insert(0, tr("anywhere"))
    return "; ".join(words)


async def _find(on: Opened, wanted: str, account: str | None) -> tuple[Rule, str]:
    from ekiden.networks.rules import load_rules

    account_id = await on.account_id(account)
    async with on.store.read() as connection:
        for rule in await load_rules(connection, account_id):
            if rule.id == wanted:
                return rule, await on.account_name(rule.account_id)
    raise NetworkCliError("there is no rule {rule!r}", rule=wanted)


@app.command("show")
def show_(
    rule: RuleArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Show a rule: what it protects, and whom it lets pass."""
    from ekiden.documents import network as documents
    from ekiden.networks.zones import load_zones

    async def work(on: Opened) -> tuple[Rule, str, dict[str, str]]:
        found, owner = await _find(on, rule, account)
        async with on.store.read() as connection:
            zones = {zone.id: zone.name for zone in await load_zones(connection, found.account_id)}
        return found, owner, zones

    found, owner, zones = on_store(config, work)
    show(as_json, documents.Rule.of(found, owner), lambda: _print(found, owner, zones))


def _print(rule: Rule, account: str, zones: dict[str, str]) -> None:
    from ekiden.networks.rules import ACCOUNT

    out = output()
    out.print(tr("rule {id} of {account}: {mode}", id=rule.id, account=account, mode=rule.mode))
    if rule.description:
        out.print(rule.description)
    named = [f"{item.name}={item.value}" for item in rule.resource.attributes if item.name != ACCOUNT]
    named += [f"tag:{item.name}={item.value}" for item in rule.resource.tags]
    out.print(tr("protects: {resource}", resource=", ".join(named)))
    out.print(tr("operations: {operations}", operations=_operations(rule)))
    for context in rule.contexts:
        out.print(tr("lets pass: {context}", context=_context(context, zones)))
    if not rule.contexts:
        out.print(tr("lets pass: {context}", context=tr("nobody")))
    out.print(history(rule))


def _change(
    config: Path | None,
    as_json: bool,
    wanted: str,
    account: str | None,
    change: Callable[[Opened, Rules, Rule], Awaitable[Rule]],
    done: str,
) -> None:
    """``done`` is what to say then; ``{id}`` in it is the rule's."""
    from ekiden.documents import network as documents
    from ekiden.networks.rules import Rules

    async def work(on: Opened) -> tuple[Rule, str]:
        found, owner = await _find(on, wanted, account)
        return await change(on, Rules(on.store, on.clock), found), owner

    rule, owner = on_store(config, work)
    show(as_json, documents.Rule.of(rule, owner), done.format(id=rule.id))


@app.command()
def remove(
    rule: RuleArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a rule. What only this rule let pass is refused then."""

    async def change(on: Opened, rules: Rules, found: Rule) -> Rule:
        await rules.delete(found.account_id, found.id, actor=on.actor)
        return found

    _change(config, as_json, rule, account, change, tr("rule {id} removed"))


def _to(mode: Mode) -> Callable[[Opened, Rules, Rule], Awaitable[Rule]]:
    async def change(on: Opened, rules: Rules, found: Rule) -> Rule:
        values = msgspec.structs.replace(found.values(), mode=mode)
        return await rules.replace(found.account_id, found.id, found.version, values, actor=on.actor)

    return change


@app.command()
def enable(
    rule: RuleArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Enforce a rule."""
    _change(
        config, as_json, rule, account, _to("enabled"), tr("rule {id} is now {mode}", id="{id}", mode="enabled")
    )


@app.command()
def disable(
    rule: RuleArgument, account: OfAccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Disable a rule: it neither allows nor refuses."""
    _change(
        config, as_json, rule, account, _to("disabled"), tr("rule {id} is now {mode}", id="{id}", mode="disabled")
    )


@app.command("test")
def try_(
    address: Annotated[str, typer.Argument(help="The IP address that a client has.", metavar="ADDRESS")],
    instance: Annotated[str, typer.Option("--instance", help="The UUID of the instance it uses.")],
    endpoint: Annotated[EndpointChoice, typer.Option("--endpoint", help="Where it connects to.")] = "public",
    operation: Annotated[
        Literal["smtp", "control-plane"], typer.Option("--api", help="What it wants to do.")
    ] = "smtp",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show which rule allows or refuses an address. Exits with 1 when it is refused.

    Only rules are looked at, not the deprecated lists of allowed subnets that SMTP configurations may have.
    """
    from ekiden.access.accounts import find_account
    from ekiden.documents.network import RuleTest
    from ekiden.networks.addresses import ip_key
    from ekiden.networks.rule_evaluation import load_rulebook, smtp_resource
    from ekiden.senders.projects import Projects

    if ip_key(address) is None:
        raise NetworkUsageError("{address!r} is not an IP address", address=address)

    async def work(on: Opened) -> tuple[Decision, tuple[str, ...]]:
        project = await Projects(on.store, on.clock).find(instance)
        if project is None:
            raise NetworkCliError("there is no instance {instance!r}", instance=instance)
        owner = await find_account(on.store, project.account_id)
        if owner is None:
            raise NetworkCliError("there is no account {name!r}", name=str(project.account_id))
        async with on.store.read() as connection:
            book = await load_rulebook(connection, owner.id, on.config.networks.groups)
        resource = smtp_resource(owner.uid, project.uid, project.region or owner.region)
        api_types = _api_types(operation)
        decision = book.decide(resource, api_types, address, endpoint, default=operation != "smtp")
        return decision, book.enforced(resource, api_types)

    def told() -> None:
        output().print(_verdict(decision, enforced))
        for item in decision.reports:
            output().print(tr("rule {rule} (report) would refuse it", rule=item.rule))

    decision, enforced = on_store(config, work)
    show(as_json, RuleTest.of(decision, address, instance, endpoint, enforced), told)
    if not decision.allowed:
        raise typer.Exit(1)


def _verdict(decision: Decision, enforced: tuple[str, ...]) -> str:
    from ekiden.networks.rule_evaluation import Why

    if decision.why is Why.PASSED:
        return tr("allowed; rules that let it pass: {rules}", rules=", ".join(enforced))
    if decision.why is Why.NO_RULE:
        return tr("allowed; no rule applies") if decision.allowed else tr("refused; no rule applies")
    return tr(_REFUSALS[decision.why.name], rule=decision.rule)
