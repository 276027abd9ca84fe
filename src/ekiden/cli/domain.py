"""``ekiden domain``: sending domains, the records they publish, the checks of them, keys and approvals."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import msgspec
import typer

from ekiden.cli.common import (
    ConfigOption,
    JsonOption,
    account_names,
    chosen_account,
    error_console,
    lang,
    load,
    opened_store,
    print_json,
    run_async,
)
from ekiden.cli.domain_translations import TEXTS
from ekiden.cli.tables import output
from ekiden.core.errors import UsageProblem
from ekiden.core.texts import TranslatedError

if TYPE_CHECKING:
    from ekiden.config.model import Config
    from ekiden.domains.evidence import Evidence, File
    from ekiden.domains.model import Check, Domain, Kind, Record, Status
    from ekiden.domains.questionnaire import Question
    from ekiden.domains.service import Domains
    from ekiden.store.api import Store

    Told = tuple[Domain, str, list[Record], list[Check], list[Evidence]]

app = typer.Typer(no_args_is_help=True, help="Domains that accounts send from.")

NameArgument = Annotated[str, typer.Argument(help="The domain.", metavar="DOMAIN")]
AccountOption = Annotated[
    str | None,
    typer.Option(
        "--account", "-a", help="The account's name; needed when several have the domain.", show_default=False
    ),
]


class DomainCommandError(TranslatedError):
    """A command about a domain cannot do what it was asked to."""

    def __init__(self, template: str, **values: Any) -> None:
        super().__init__(TEXTS, template, **values)


class DomainUsageError(DomainCommandError, UsageProblem):
    """Wrong usage."""


@asynccontextmanager
async def opened_domains(config: Config) -> AsyncIterator[tuple[Store, Domains]]:
    """The service on the store of the configuration, asking its name servers."""
    from ekiden.net.clock import SystemClock
    from ekiden.process.instance_key import checked_vault
    from ekiden.wiring.services import make_domains

    async with opened_store(config) as store:
        yield store, make_domains(config, store, SystemClock(), await checked_vault(config, store))


async def _find(store: Store, name: str, account: str | None) -> tuple[Domain, str]:
    """The domain of that name, and its account's."""
    from ekiden.domains.names import check_domain_name
    from ekiden.domains.queries import list_domains

    wanted = check_domain_name(name)
    account_id = await chosen_account(store, account)
    found = [item for item in await list_domains(store, account_id) if item.name == wanted]
    accounts = await account_names(store)
    if not found:
        raise DomainCommandError("there is no domain {name}", name=wanted)
    if len(found) > 1:
        raise DomainCommandError(
            "{name} belongs to several accounts ({accounts}); choose one with --account",
            name=wanted,
            accounts=", ".join(accounts.get(item.account_id, str(item.account_id)) for item in found),
        )
    return found[0], accounts.get(found[0].account_id, "")


async def _tell(domains: Domains, domain: Domain, account: str, checks: int) -> Told:
    history = await domains.checks(domain.id, checks) if checks else []
    return domain, account, await domains.records(domain), history, await domains.attachments(domain)


def _show(config: Config, told: Told, as_json: bool, done: str = "", *, answers: bool = False) -> None:
    from ekiden.cli.domain_view import (
        check_json,
        domain_json,
        evidence_json,
        print_answers,
        print_checks,
        print_domain,
        print_records,
        record_json,
    )

    domain, account, records, checks, files = told
    if as_json:
        print_json(
            {
                **domain_json(domain, account),
                "questionnaire": domain.questionnaire,
                "attachments": [evidence_json(file) for file in files],
                "records": [record_json(record) for record in records],
                "checks": [check_json(check) for check in checks],
            }
        )
        return
    out = output()
    if done:
        out.print(done)
    print_domain(out, domain, account, config.domains)
    print_records(out, records)
    print_checks(out, checks)
    if answers:
        print_answers(out, domain.questionnaire, files)


def _change(
    name: str,
    account: str | None,
    config: Path | None,
    as_json: bool,
    change: Callable[[Domains, Domain], Awaitable[Domain]],
    done: str,
) -> None:
    """``done``: what to say then, of ``domain_translations``; ``{name}`` in it is the domain's."""
    from ekiden.cli.domain_view import say

    loaded = load(config)

    async def main() -> Told:
        async with opened_domains(loaded) as (store, domains):
            domain, owner = await _find(store, name, account)
            return await _tell(domains, await change(domains, domain), owner, 0)

    told = run_async(main())
    _show(loaded, told, as_json, say(done, name=told[0].name))


@app.command()
def add(
    name: NameArgument,
    account: Annotated[str, typer.Option("--account", "-a", help="The account's name.")],
    approval: Annotated[
        bool, typer.Option("--approval", help="An administrator has to approve it, too: ekiden domain approve.")
    ] = False,
    vouch: Annotated[
        bool, typer.Option("--vouch", help="Vouch for it: it may be sent from at once, whatever its records are.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give an account a sending domain, and print the records to publish."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.cli.domain_view import say

    loaded = load(config)

    async def main() -> Told:
        async with opened_domains(loaded) as (store, domains):
            owner = await get_account(store, account)
            made = await domains.add(owner.id, name, approval=approval, vouched=vouch, actor=local_actor())
            return await _tell(domains, made, owner.name, 0)

    told = run_async(main())
    done = say("domain {name} added; publish these records, then: ekiden domain verify {name}", name=told[0].name)
    _show(loaded, told, as_json, done)


def _status(value: str) -> str:
    from ekiden.domains.model import Status

    if value not in get_args(Status):
        raise DomainUsageError(
            "{value!r} is not a status; there are {known}", value=value, known=", ".join(get_args(Status))
        )
    return value


@app.command("list")
def list_(
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="Of this account only.", show_default=False)
    ] = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            parser=_status,
            metavar="STATUS",
            help="Only these: pending, verified, failed or suspended.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List domains."""
    from ekiden.cli.domain_view import domain_json, domain_table, say
    from ekiden.domains.queries import list_domains

    async def main() -> tuple[list[Domain], dict[int, str]]:
        async with opened_store(load(config)) as store:
            account_id = await chosen_account(store, account)
            found = await list_domains(store, account_id, status=cast("Status | None", status))
            return found, await account_names(store)

    found, accounts = run_async(main())
    if as_json:
        print_json([domain_json(item, accounts.get(item.account_id, "")) for item in found])
    elif found:
        output().print(domain_table(found, accounts))
    elif account or status:
        error_console().print(say("no such domains"))
    else:
        error_console().print(say("no domains; add one with: ekiden domain add DOMAIN --account NAME"))


@app.command()
def show(
    name: NameArgument,
    account: AccountOption = None,
    checks: Annotated[
        int, typer.Option("--checks", min=0, max=1000, help="At most this many of the last checks.")
    ] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a domain: its state, the records to publish, what is wrong with each, and the last checks."""
    loaded = load(config)

    async def main() -> Told:
        async with opened_domains(loaded) as (store, domains):
            return await _tell(domains, *await _find(store, name, account), checks)

    _show(loaded, run_async(main()), as_json, answers=True)


@app.command()
def verify(
    name: NameArgument,
    account: AccountOption = None,
    only: Annotated[
        str | None,
        typer.Option("--only", help="Only these records: spf,dkim,ed25519,dmarc,address.", show_default=False),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look at the records of a domain now. Exits with 1 when it may not be sent from after that."""
    from ekiden.access.audit import local_actor

    loaded = load(config)
    kinds = None if only is None else [_kind(kind.strip()) for kind in only.split(",")]

    async def main() -> Told:
        async with opened_domains(loaded) as (store, domains):
            domain, owner = await _find(store, name, account)
            return await _tell(domains, await domains.verify(domain.id, local_actor(), kinds), owner, 0)

    told = run_async(main())
    _show(loaded, told, as_json)
    if not told[0].usable:
        raise typer.Exit(1)


def _kind(text: str) -> Kind:
    from ekiden.domains.model import Kind

    for kind in get_args(Kind):
        if kind == text:
            found: Kind = kind
            return found
    kinds = ", ".join(get_args(Kind))
    raise DomainCommandError("there is no record of the kind {kind}; there are {kinds}", kind=text, kinds=kinds)


@app.command()
def rotate(
    name: NameArgument, account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Make new DKIM keys. The old ones sign until the records of the new ones are seen."""
    from ekiden.access.audit import local_actor

    done = "domain {name} has new keys; they begin to sign when their records are seen"
    actor = local_actor()
    _change(name, account, config, as_json, lambda domains, item: domains.rotate(item.id, actor), done)


@app.command()
def tracking(
    name: NameArgument,
    opens: Annotated[
        bool | None, typer.Option("--opens/--no-opens", help="Count who opens a message.", show_default=False)
    ] = None,
    clicks: Annotated[
        bool | None, typer.Option("--clicks/--no-clicks", help="Count who follows a link.", show_default=False)
    ] = None,
    unsubscribes: Annotated[
        bool | None,
        typer.Option(
            "--unsubscribes/--no-unsubscribes", help="Offer a page of ours to unsubscribe.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="The host of the links; '': that of the installation.", show_default=False),
    ] = None,
    account: AccountOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set what is counted of messages that are composed here, unless a request says otherwise."""
    from ekiden.access.audit import local_actor

    wanted = {"opens": opens, "clicks": clicks, "unsubscribes": unsubscribes}
    actor = local_actor()

    async def change(domains: Domains, item: Domain) -> Domain:
        return await domains.settings.set_tracking(item.id, host=host, actor=actor, **wanted)

    _change(name, account, config, as_json, change, "tracking of domain {name} set")


@app.command("return-path")
def return_path(
    name: NameArgument,
    address: Annotated[str, typer.Argument(help="Where bounces go; '': to the author.", metavar="ADDRESS")],
    account: AccountOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the envelope sender of messages that are composed here in the name of a domain."""
    from ekiden.access.audit import local_actor

    actor = local_actor()

    async def change(domains: Domains, item: Domain) -> Domain:
        return await domains.settings.set_return_path(item.id, address, actor=actor)

    _change(name, account, config, as_json, change, "return path of domain {name} set")


@app.command()
def remove(
    name: NameArgument, account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Take a domain away from its account, with its keys. Nothing more is accepted from it."""
    from ekiden.access.audit import local_actor
    from ekiden.cli.domain_view import domain_json, say

    loaded = load(config)

    async def main() -> tuple[Domain, str]:
        async with opened_domains(loaded) as (store, domains):
            domain, owner = await _find(store, name, account)
            await domains.remove(domain.id, local_actor())
            return domain, owner

    domain, owner = run_async(main())
    if as_json:
        print_json(domain_json(domain, owner))
    else:
        output().print(say("domain {name} removed", name=domain.name))


@app.command()
def answer(
    name: NameArgument,
    account: AccountOption = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            help="A JSON object of answers; -: standard input. Else you are asked.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(
            "--attach",
            help="A file that supports the answers; may be repeated. These take the place of all there were.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer the questionnaire that an administrator decides by."""
    from ekiden.access.audit import local_actor

    answers = _read_answers(file) if file is not None else _ask_answers()
    files = None if attach is None else _read_files(attach)
    done = "the answers for {name} are kept; an administrator decides: ekiden domain approve {name}"
    actor = local_actor()
    _change(
        name, account, config, as_json, lambda domains, item: domains.answer(item.id, answers, actor, files), done
    )


def _read_files(paths: Sequence[Path]) -> list[File]:
    from ekiden.domains.evidence import MAX_SIZE, File

    files = []
    room = MAX_SIZE
    for path in paths:
        try:
            with path.open("rb") as opened:
                data = opened.read(room + 1)  # more than that is refused in any case
        except OSError as error:
            raise DomainCommandError("{path} cannot be read: {why}", path=path, why=error.strerror) from None
        files.append(File(path.name, data))
        room = max(0, room - len(data))
    return files


@app.command()
def attachment(
    name: NameArgument,
    number: Annotated[
        int, typer.Argument(min=1, max=1000, help="Its number, as `ekiden domain show` tells.", show_default=False)
    ],
    output_file: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write it.", show_default=False, dir_okay=False)
    ],
    account: AccountOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a file that supports the answers of a domain."""
    loaded = load(config)

    async def main() -> bytes:
        async with opened_domains(loaded) as (store, domains):
            domain, _ = await _find(store, name, account)
            data = await domains.attachment(domain, number)
        if data is None:
            raise DomainCommandError("{name} has no attachment {number}", name=domain.name, number=number)
        return data

    data = run_async(main())
    try:
        output_file.write_bytes(data)
    except OSError as error:
        raise DomainCommandError("{path} cannot be written: {why}", path=output_file, why=error.strerror) from None


def _read_answers(file: str) -> dict[str, Any]:
    try:
        octets = sys.stdin.read().encode() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise DomainCommandError("{path} cannot be read: {why}", path=file, why=error.strerror) from None
    try:
        return msgspec.json.decode(octets, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DomainCommandError("the answers are not a JSON object: {why}", why=error) from None


def _ask_answers() -> dict[str, Any]:
    from ekiden.domains.questionnaire import QUESTIONS

    if not sys.stdin.isatty():
        raise DomainCommandError("the answers are wanted: --file FILE, or a terminal to ask them at")
    return {question.id: _ask(question) for question in QUESTIONS}


def _ask(question: Question) -> Any:
    from ekiden.cli.domain_view import say

    text = f"{question.part}. {question.text(lang())}"
    if question.kind in ("yes_no", "affirmation"):
        return typer.confirm(text, err=True)
    if question.choices:
        text = say("{question} (one of {choices})", question=text, choices=", ".join(question.choices))
    if question.optional:
        return typer.prompt(text, err=True, default="", show_default=False)
    return typer.prompt(text, err=True)


@app.command()
def approve(
    name: NameArgument, account: AccountOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Approve a domain, having read its answers: ekiden domain show."""
    from ekiden.access.audit import local_actor

    done = "domain {name} approved"
    actor = local_actor()
    _change(name, account, config, as_json, lambda domains, item: domains.approve(item.id, actor), done)


@app.command()
def refuse(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why; its account reads this.")],
    account: AccountOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a domain: nothing is accepted from it, until it is approved."""
    from ekiden.access.audit import local_actor

    done = "domain {name} refused"
    actor = local_actor()
    _change(name, account, config, as_json, lambda domains, item: domains.refuse(item.id, reason, actor), done)
