"""``ekiden domain``: sending domains, the records they publish, the checks of them, keys and approvals."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, cast, get_args

import msgspec
import typer

from ekiden.cli.common import (
    CliError,
    CliUsageError,
    ConfigOption,
    JsonOption,
    OfAccountOption,
    Opened,
    lang,
    of_accounts,
    on_store,
)
from ekiden.cli.domain_translations import TEXTS
from ekiden.cli.tables import output, show, show_list

if TYPE_CHECKING:
    from ekiden.domains.config import DomainsConfig
    from ekiden.domains.evidence import Evidence, File
    from ekiden.domains.model import Check, Domain, Kind, Record, Status
    from ekiden.domains.questionnaire import Question
    from ekiden.domains.service import Domains

app = typer.Typer(no_args_is_help=True, help="Domains that accounts send from.")

NameArgument = Annotated[str, typer.Argument(help="The domain.", metavar="DOMAIN")]
ChoiceOption = Annotated[
    str | None,
    typer.Option(
        "--account",
        "-a",
        help="The account's name; needed when several have the domain. '': the installation.",
        show_default=False,
    ),
]


class DomainCommandError(CliError):
    catalogue = TEXTS


class DomainUsageError(CliUsageError):
    catalogue = TEXTS


class _Told(NamedTuple):
    """What there is to say of a domain."""

    domain: Domain
    account: str
    records: Sequence[Record]
    checks: Sequence[Check]
    files: Sequence[Evidence]
    config: DomainsConfig


async def _service(on: Opened) -> Domains:
    """It asks the name servers of the configuration."""
    from ekiden.wiring.services import make_domains

    return make_domains(on.config, on.store, on.clock, await on.vault())


async def _find(on: Opened, name: str, account: str | None) -> tuple[Domain, str]:
    """The domain of that name, and its account's."""
    from ekiden.domains.model import PLATFORM
    from ekiden.domains.names import check_domain_name
    from ekiden.domains.queries import list_domains

    wanted = check_domain_name(name)
    account_id = PLATFORM if account == "" else await on.account_id(account)
    found = [item for item in await list_domains(on.store, account_id) if item.name == wanted]
    accounts = await on.account_names()
    if not found:
        raise DomainCommandError("there is no domain {name}", name=wanted)
    if len(found) > 1:
        raise DomainCommandError(
            "{name} belongs to several accounts ({accounts}); choose one with --account",
            name=wanted,
            accounts=", ".join(accounts.get(item.account_id, "''") for item in found),
        )
    return found[0], accounts.get(found[0].account_id, "")


async def _tell(on: Opened, domains: Domains, domain: Domain, account: str, checks: int = 0) -> _Told:
    history = await domains.checks(domain.id, checks) if checks else []
    files = await domains.attachments(domain)
    return _Told(domain, account, await domains.records(domain), history, files, on.config.domains)


def _show(told: _Told, as_json: bool, done: str = "", *, answers: bool = False) -> None:
    from ekiden.cli.domain_view import print_answers, print_checks, print_domain, print_records
    from ekiden.documents.domain import DomainDetails

    domain, account, records, checks, files, config = told

    def people() -> None:
        out = output()
        if done:
            out.print(done)
        print_domain(out, domain, account, config)
        print_records(out, records)
        print_checks(out, checks)
        if answers:
            print_answers(out, domain.questionnaire, files)

    show(as_json, DomainDetails.with_all(domain, account, records, checks, files, lang()), people)


def _change(
    name: str,
    account: str | None,
    config: Path | None,
    as_json: bool,
    change: Callable[[Opened, Domains, Domain], Awaitable[Domain]],
    done: str,
) -> None:
    """``done``: what to say then, of ``domain_translations``; ``{name}`` in it is the domain's."""
    from ekiden.cli.domain_view import say

    async def work(on: Opened) -> _Told:
        domains = await _service(on)
        domain, owner = await _find(on, name, account)
        return await _tell(on, domains, await change(on, domains, domain), owner)

    told = on_store(config, work)
    _show(told, as_json, say(done, name=told.domain.name))


@app.command()
def add(
    name: NameArgument,
    account: Annotated[
        str | None, typer.Option("--account", "-a", help="The account's name.", show_default=False)
    ] = None,
    platform: Annotated[
        bool,
        typer.Option(
            "--platform", help="The installation's own domain, its hostname: it signs bounce reports, for instance."
        ),
    ] = False,
    approval: Annotated[
        bool, typer.Option("--approval", help="An administrator has to approve it, too: ekiden domain approve.")
    ] = False,
    vouch: Annotated[
        bool, typer.Option("--vouch", help="Vouch for it: it may be sent from at once, whatever its records are.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add a sending domain to an account, and print the records to publish."""
    from ekiden.cli.domain_view import say
    from ekiden.domains.model import PLATFORM
    from ekiden.domains.names import check_domain_name

    if platform == (account is not None):
        raise DomainUsageError("whose domain is it? Give either --account NAME or --platform")

    async def work(on: Opened) -> _Told:
        domains = await _service(on)
        if platform and check_domain_name(name) != on.config.hostname:
            host = on.config.hostname
            raise DomainCommandError("the installation's own domain is its hostname, {host}", host=host)
        owner = PLATFORM if account is None else (await on.account(account)).id
        made = await domains.add(owner, name, approval=approval, vouched=vouch, actor=on.actor)
        return await _tell(on, domains, made, account or "")

    told = on_store(config, work)
    done = "domain {name} added; publish these records, then: ekiden domain verify {name}"
    _show(told, as_json, say(done, name=told.domain.name))


def _status(value: str) -> str:
    from ekiden.domains.model import Status

    if value not in get_args(Status):
        raise DomainUsageError(
            "{value!r} is not a status; choose one of {known}", value=value, known=", ".join(get_args(Status))
        )
    return value


@app.command("list")
def list_(
    account: OfAccountOption = None,
    status: Annotated[
        str | None,
        typer.Option(
            "--status",
            parser=_status,
            metavar="STATUS",
            help="Only in this state: pending, verified, failed or suspended.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List domains."""
    from ekiden.cli.domain_view import domain_cells, domain_table, say
    from ekiden.documents import domain as documents
    from ekiden.domains.queries import list_domains

    chosen = cast("Status | None", status)
    found, names = of_accounts(config, account, lambda on, id: list_domains(on.store, id, status=chosen))
    shapes = (documents.Domain.of(item, names.get(item.account_id, "")) for item in found)
    ours = say("(this installation)")
    cells = (domain_cells(item, names.get(item.account_id, ours)) for item in found)
    if account or status:
        none = say("no such domains")
    else:
        none = say("no domains; add one with: ekiden domain add DOMAIN --account NAME")
    show_list(as_json, shapes, domain_table(), cells, none)


@app.command("show")
def show_(
    name: NameArgument,
    account: ChoiceOption = None,
    checks: Annotated[
        int, typer.Option("--checks", min=0, max=1000, help="At most this many of the last checks.")
    ] = 10,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a domain: its state, the records to publish, what is wrong with each, and the last checks."""

    async def work(on: Opened) -> _Told:
        domains = await _service(on)
        return await _tell(on, domains, *await _find(on, name, account), checks)

    _show(on_store(config, work), as_json, answers=True)


@app.command()
def verify(
    name: NameArgument,
    account: ChoiceOption = None,
    only: Annotated[
        str | None,
        typer.Option(
            "--only", help="Only these records: spf,dkim,ed25519,dmarc,address,rp_mx,rp_spf.", show_default=False
        ),
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the records of a domain now. Exits with 1 when it cannot be sent from after that."""
    kinds = None if only is None else [_kind(kind.strip()) for kind in only.split(",")]

    async def work(on: Opened) -> _Told:
        domains = await _service(on)
        domain, owner = await _find(on, name, account)
        return await _tell(on, domains, await domains.verify(domain.id, on.actor, kinds), owner)

    told = on_store(config, work)
    _show(told, as_json)
    if not told.domain.usable:
        raise typer.Exit(1)


def _kind(text: str) -> Kind:
    from ekiden.domains.model import Kind

    for kind in get_args(Kind):
        if kind == text:
            found: Kind = kind
            return found
    kinds = ", ".join(get_args(Kind))
    raise DomainCommandError("there is no record of the kind {kind}; choose one of {kinds}", kind=text, kinds=kinds)


@app.command()
def rotate(
    name: NameArgument, account: ChoiceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Make new DKIM keys. The old ones sign until the records of the new ones are seen."""
    done = "domain {name} has new keys; they begin to sign when their records are seen"
    _change(name, account, config, as_json, lambda on, domains, item: domains.rotate(item.id, on.actor), done)


@app.command()
def tracking(
    name: NameArgument,
    opens: Annotated[
        bool | None, typer.Option("--opens/--no-opens", help="Track opens.", show_default=False)
    ] = None,
    clicks: Annotated[
        bool | None, typer.Option("--clicks/--no-clicks", help="Track clicks.", show_default=False)
    ] = None,
    unsubscribes: Annotated[
        bool | None,
        typer.Option(
            "--unsubscribes/--no-unsubscribes", help="Offer Ekiden's page to unsubscribe.", show_default=False
        ),
    ] = None,
    host: Annotated[
        str | None,
        typer.Option("--host", help="The host of the links; '': that of the installation.", show_default=False),
    ] = None,
    account: ChoiceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the tracking of messages that are composed here, unless a request says otherwise."""
    wanted = {"opens": opens, "clicks": clicks, "unsubscribes": unsubscribes}

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.settings.set_tracking(item.id, host=host, actor=on.actor, **wanted)

    _change(name, account, config, as_json, change, "tracking of domain {name} set")


@app.command("return-path")
def return_path(
    name: NameArgument,
    address: Annotated[str, typer.Argument(help="Where bounces go; '': to the author.", metavar="ADDRESS")],
    account: ChoiceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set the envelope sender of messages that are composed here in the name of a domain."""

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.settings.set_return_path(item.id, address, actor=on.actor)

    _change(name, account, config, as_json, change, "return path of domain {name} set")


@app.command()
def bounces(
    name: NameArgument,
    receive: Annotated[
        bool,
        typer.Option(
            "--receive/--no-receive", help="Whether Ekiden receives them; else they go to the envelope sender."
        ),
    ],
    account: ChoiceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set who receives bounces of mail from a domain, where Ekiden receives any (delivery.return_path)."""

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.settings.set_receive_bounces(item.id, receive, actor=on.actor)

    done = "bounces of mail from domain {name} go to its envelope senders"
    if receive:
        done = "Ekiden receives bounces of mail from domain {name}"
    _change(name, account, config, as_json, change, done)


@app.command()
def remove(
    name: NameArgument, account: ChoiceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Remove a domain and its keys from its account. Nothing more is accepted from it."""
    from ekiden.cli.domain_view import say
    from ekiden.documents import domain as documents

    async def work(on: Opened) -> tuple[Domain, str]:
        domains = await _service(on)
        domain, owner = await _find(on, name, account)
        await domains.remove(domain.id, on.actor)
        return domain, owner

    domain, owner = on_store(config, work)
    show(as_json, documents.Domain.of(domain, owner), say("domain {name} removed", name=domain.name))


@app.command()
def answer(
    name: NameArgument,
    account: ChoiceOption = None,
    file: Annotated[
        str | None,
        typer.Option(
            "--file",
            "-f",
            help="A JSON object of answers; - is standard input. Default: you are asked.",
            show_default=False,
        ),
    ] = None,
    config: ConfigOption = None,
    attach: Annotated[
        list[Path] | None,
        typer.Option(
            "--attach",
            help="A file that supports the answers (repeatable). These replace all earlier ones.",
            show_default=False,
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Answer the questionnaire that an administrator decides by."""
    answers = _read_answers(file) if file is not None else _ask_answers()
    files = None if attach is None else _read_files(attach)
    done = "the answers for {name} are kept; an administrator decides: ekiden domain approve {name}"

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.answer(item.id, answers, on.actor, files)

    _change(name, account, config, as_json, change, done)


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
        int,
        typer.Argument(min=1, max=1000, help="Its number, as `ekiden domain show` shows it.", show_default=False),
    ],
    output_file: Annotated[
        Path, typer.Option("--output", "-o", help="Where to write it.", show_default=False, dir_okay=False)
    ],
    account: ChoiceOption = None,
    config: ConfigOption = None,
) -> None:
    """Write a file that supports the answers of a domain."""

    async def work(on: Opened) -> bytes:
        domains = await _service(on)
        domain, _ = await _find(on, name, account)
        data = await domains.attachment(domain, number)
        if data is None:
            raise DomainCommandError("{name} has no attachment {number}", name=domain.name, number=number)
        return data

    data = on_store(config, work)
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
        raise DomainCommandError("the answers are missing: give --file FILE, or run it at a terminal")
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
    name: NameArgument, account: ChoiceOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """Approve a domain, having read its answers: ekiden domain show."""

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.approve(item.id, on.actor)

    _change(name, account, config, as_json, change, "domain {name} approved")


@app.command()
def refuse(
    name: NameArgument,
    reason: Annotated[str, typer.Option("--reason", "-r", help="The reason, which its account reads.")],
    account: ChoiceOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse a domain: nothing is accepted from it, until it is approved."""

    def change(on: Opened, domains: Domains, item: Domain) -> Awaitable[Domain]:
        return domains.refuse(item.id, reason, on.actor)

    _change(name, account, config, as_json, change, "domain {name} refused")
