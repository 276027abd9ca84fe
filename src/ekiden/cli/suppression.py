"""``ekiden suppression``: addresses that a sending domain, or a whole account, does not mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from ekiden.cli.common import (
    MOST_ROWS,
    AccountOption,
    ConfigOption,
    JsonOption,
    Opened,
    error_console,
    lang,
    on_store,
)
from ekiden.cli.opt_out_translations import OptOutCliError, OptOutUsageError, tr, unreadable
from ekiden.cli.tables import make_table, show, show_list
from ekiden.core.display import local_time
from ekiden.core.texts import WORDS

if TYPE_CHECKING:
    from ekiden.access.accounts import Account
    from ekiden.recipients.suppressions import Suppression, SuppressionError
    from ekiden.store.api import Store

app = typer.Typer(no_args_is_help=True, help="Suppressions: addresses that a sending domain does not mail.")

_KINDS: Final = "complaint, unsubscribe, bounce, over_quota"
"""``recipients.suppressions.KINDS``, which help need not load."""

DomainOption = Annotated[str, typer.Option("--domain", "-d", help="The sending domain.", show_default=False)]
AllDomainsOption = Annotated[
    bool, typer.Option("--all-domains", help="In the place of --domain: for all domains of the account.")
]
AddressesArgument = Annotated[
    list[str] | None, typer.Argument(help="Recipients' addresses.", metavar="ADDRESS...", show_default=False)
]
FileOption = Annotated[
    Path | None,
    typer.Option(
        "--file", "-f", help="A file of addresses, one per line; - is standard input.", show_default=False
    ),
]

_BATCH: Final = 500
"""Addresses of a file in one transaction. Nobody else writes meanwhile on SQLite, and 10,000 take two seconds on a
machine that is busy."""
_MOST_TOLD: Final = 20
"""Bad lines of a file that are told one by one."""


def read_addresses(given: list[str] | None, file: Path | None) -> list[str]:
    """Those of the command line and of the file, without its empty lines and those that begin with ``#``.

    Lines that are no addresses are told, each with its number, on standard error: then nothing is read at all.
    """
    from ekiden.recipients.suppressions import SuppressionError, mailbox_key

    for address in given or ():
        mailbox_key(address)
    lines: list[str] = []
    bad: list[tuple[int, SuppressionError]] = []
    if file is not None:
        try:
            text = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise unreadable(file, error) from None
        # Not splitlines(): what an editor counts are line feeds.
        for number, line in enumerate(text.split("\n"), 1):
            address = line.strip()
            if not address or address.startswith("#"):
                continue
            try:
                lines.append(mailbox_key(address))
            except SuppressionError as error:
                bad.append((number, error))
    for number, why in bad[:_MOST_TOLD]:
        error_console().print(tr("line {number}: {error}", number=number, error=why.text(lang())))
    if bad:
        raise OptOutCliError(
            "{file} has a line that is not an address; nothing was changed"
            if len(bad) == 1
            else "{file} has {count:,} lines that are not addresses; nothing was changed",
            file=file,
            count=len(bad),
        )
    addresses = [*(given or ()), *lines]
    if not addresses:
        raise OptOutUsageError("give an address, or a file with --file")
    return addresses


@app.command("list")
def list_(
    account: AccountOption,
    domain: Annotated[str, typer.Option("--domain", "-d", help="Of this sending domain.", show_default=False)] = "",
    kind: Annotated[str, typer.Option("--kind", help=f"One of {_KINDS}.", show_default=False)] = "",
    address: Annotated[str, typer.Option("--address", help="Of this recipient.", show_default=False)] = "",
    recipient_domain: Annotated[
        str, typer.Option("--recipient-domain", help="Of recipients in this domain.", show_default=False)
    ] = "",
    offset: Annotated[int, typer.Option("--offset", help="Skip this many.", min=0, max=MOST_ROWS)] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.", min=1, max=MOST_ROWS)] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List suppressions, newest first."""
    from ekiden.documents import recipient as documents
    from ekiden.recipients.suppressions import Suppressions, check_kind

    if kind:
        check_kind(kind)

    async def work(on: Opened) -> list[Suppression]:
        owner = await on.account(account)
        return await Suppressions(on.store, on.clock).list(
            owner.id,
            domain=domain,
            kind=kind,
            address=address,
            recipient_domain=recipient_domain,
            newest=True,
            offset=offset,
            limit=limit,
        )

    found = on_store(config, work)
    table = make_table("address", "domain", "kind", "since", "until", "reason", translate=tr)
    cells = (
        (
            item.address,
            item.domain or tr("all domains"),
            WORDS(item.kind, lang()),
            local_time(item.created_at),
            "" if item.expires_at is None else local_time(item.expires_at),
            item.told(lang()),
        )
        for item in found
    )
    show_list(as_json, (documents.Suppression.of(item, account) for item in found), table, cells)


@app.command()
def add(
    account: AccountOption,
    addresses: AddressesArgument = None,
    domain: DomainOption = "",
    all_domains: AllDomainsOption = False,
    file: FileOption = None,
    kind: Annotated[str, typer.Option("--kind", help=f"One of {_KINDS}.")] = "unsubscribe",
    reason: Annotated[
        str, typer.Option("--reason", help="The reason. Default: who added it.", show_default=False)
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suppress addresses. Mail to them is accepted and dropped, with an event that says why."""
    from ekiden.documents.recipient import SuppressionChange
    from ekiden.recipients.suppressions import Suppressions, check_kind, domain_key_of

    _one_or_all(domain, all_domains)
    wanted = read_addresses(addresses, file)
    check_kind(kind)
    if not all_domains:
        domain_key_of(domain)

    async def work(on: Opened) -> int:
        owner = await on.account(account)
        if not all_domains:
            await _check_owner(on.store, owner, domain)
        service = Suppressions(on.store, on.clock)
        added = 0
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            added += await service.add(owner.id, domain, batch, kind, actor=on.actor, reason=reason, by="operator")
        return added

    added = on_store(config, work)
    known = len(wanted) - added
    text = tr(
        "suppressed for {domain}: {count:,}; suppressed already: {known:,}",
        domain=domain or tr("all domains"),
        count=added,
        known=known,
    )
    show(as_json, SuppressionChange(account, domain, kind, added=added), text)


def _one_or_all(domain: str, all_domains: bool) -> None:
    if bool(domain) == all_domains:
        raise OptOutUsageError("give a domain with --domain, or --all-domains")


async def _check_owner(store: Store, account: Account, domain: str) -> None:
    """The account has to send from the domain, or the list would stop nothing and nobody would know."""
    from ekiden.domains.queries import list_domains
    from ekiden.recipients.suppressions import domain_key_of

    if account.senders == "any":
        return
    name = domain_key_of(domain)
    owned = [item.name for item in await list_domains(store, account.id)]
    if name not in owned:
        raise OptOutCliError("{domain} is not a domain of the account {account}", domain=name, account=account.name)


@app.command()
def remove(
    account: AccountOption,
    addresses: AddressesArgument = None,
    domain: DomainOption = "",
    all_domains: AllDomainsOption = False,
    file: FileOption = None,
    kind: Annotated[
        str, typer.Option("--kind", help=f"Only of this kind: one of {_KINDS}.", show_default=False)
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Remove suppressions: the addresses are mailed again."""
    from ekiden.documents.recipient import SuppressionChange
    from ekiden.recipients.suppressions import Suppressions, check_kind

    _one_or_all(domain, all_domains)
    wanted = read_addresses(addresses, file)
    if kind:
        check_kind(kind)

    async def work(on: Opened) -> int:
        owner = await on.account(account)
        service = Suppressions(on.store, on.clock)
        removed = 0
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            removed += await service.remove(owner.id, domain, batch, kind, actor=on.actor, by="operator")
        return removed

    removed = on_store(config, work)
    which = domain or tr("all domains")
    text = tr("removed from the suppressions of {domain}: {count:,}", domain=which, count=removed)
    show(as_json, SuppressionChange(account, domain, kind, removed=removed), text)
