"""``ekiden suppression``: addresses that a sending domain does not mail."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from ekiden.cli.common import (
    MOST_ROWS,
    ConfigOption,
    JsonOption,
    error_console,
    lang,
    load,
    opened_store,
    print_json,
    run_async,
)
from ekiden.cli.opt_out_translations import OptOutCliError, OptOutUsageError, tr, unreadable
from ekiden.cli.tables import make_table, output
from ekiden.core.display import iso, local_time
from ekiden.core.said_sentences import WORDS

if TYPE_CHECKING:
    from ekiden.access.accounts import Account
    from ekiden.recipients.suppressions import Suppression, SuppressionError
    from ekiden.store.api import Store

app = typer.Typer(no_args_is_help=True, help="Suppressions: addresses that a sending domain does not mail.")

_KINDS: Final = "complaint, unsubscribe, bounce, over_quota"
"""``recipients.suppressions.KINDS``, which help need not load."""

AccountOption = Annotated[str, typer.Option("--account", "-a", help="The account's name.")]
DomainOption = Annotated[str, typer.Option("--domain", "-d", help="The sending domain.")]
AddressesArgument = Annotated[
    list[str] | None, typer.Argument(help="Recipients' addresses.", metavar="ADDRESS...", show_default=False)
]
FileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="Addresses in a file, one a line; - is standard input.", show_default=False),
]

_BATCH: Final = 500
"""Addresses of a file in one transaction. Nobody else writes meanwhile on SQLite, and 10,000 take two seconds on a
machine that is busy."""
_MOST_TOLD: Final = 20
"""Bad lines of a file that are told one by one."""


def suppression_json(item: Suppression, account: str) -> dict[str, Any]:
    """One suppression; the keys are documented in docs/cli.md."""
    return {
        "account": account,
        "domain": item.domain,
        "address": item.address,
        "kind": item.kind,
        "reason": item.told(),
        "created_at": iso(item.created_at),
    }


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
        raise OptOutUsageError("name an address, or a file with --file")
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
    offset: Annotated[int, typer.Option("--offset", help="Leave out this many.", min=0, max=MOST_ROWS)] = 0,
    limit: Annotated[int, typer.Option("--limit", "-n", help="At most this many.", min=1, max=MOST_ROWS)] = 100,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List suppressions, newest first."""
    from ekiden.access.accounts import get_account
    from ekiden.net.clock import SystemClock
    from ekiden.recipients.suppressions import Suppressions, check_kind

    if kind:
        check_kind(kind)

    async def main() -> list[Suppression]:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            return await Suppressions(store, SystemClock()).list(
                owner.id,
                domain=domain,
                kind=kind,
                address=address,
                recipient_domain=recipient_domain,
                newest=True,
                offset=offset,
                limit=limit,
            )

    found = run_async(main())
    if as_json:
        print_json([suppression_json(item, account) for item in found])
        return
    if not found:
        error_console().print(tr("nothing found"))
        return
    table = make_table("address", "domain", "kind", "since", "reason", translate=tr)
    for item in found:
        kind = WORDS(item.kind, lang())
        table.add_row(item.address, item.domain, kind, local_time(item.created_at), item.told(lang()))
    output().print(table)


@app.command()
def add(
    account: AccountOption,
    domain: DomainOption,
    addresses: AddressesArgument = None,
    file: FileOption = None,
    kind: Annotated[str, typer.Option("--kind", help=f"One of {_KINDS}.")] = "unsubscribe",
    reason: Annotated[str, typer.Option("--reason", help="Why; else who added it.", show_default=False)] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suppress addresses. Mail to them is taken and dropped, with an event that tells why."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.recipients.suppressions import Suppressions, check_kind, domain_key_of

    wanted = read_addresses(addresses, file)
    check_kind(kind)
    domain_key_of(domain)

    async def main() -> int:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            await _check_owner(store, owner, domain)
            service = Suppressions(store, SystemClock())
            added = 0
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                added += await service.add(owner.id, domain, batch, kind, actor=local_actor(), reason=reason)
            return added

    added = run_async(main())
    if as_json:
        print_json({"account": account, "domain": domain, "kind": kind, "added": added})
    else:
        known = len(wanted) - added
        text = tr(
            "suppressed for {domain}: {count:,}; suppressed already: {known:,}",
            domain=domain,
            count=added,
            known=known,
        )
        output().print(text)


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
    domain: DomainOption,
    addresses: AddressesArgument = None,
    file: FileOption = None,
    kind: Annotated[
        str, typer.Option("--kind", help=f"Only of this kind: one of {_KINDS}.", show_default=False)
    ] = "",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take suppressions back: the addresses are mailed again."""
    from ekiden.access.accounts import get_account
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.recipients.suppressions import Suppressions, check_kind

    wanted = read_addresses(addresses, file)
    if kind:
        check_kind(kind)

    async def main() -> int:
        async with opened_store(load(config)) as store:
            owner = await get_account(store, account)
            service = Suppressions(store, SystemClock())
            removed = 0
            for start in range(0, len(wanted), _BATCH):
                batch = wanted[start : start + _BATCH]
                removed += await service.remove(owner.id, domain, batch, kind, actor=local_actor())
            return removed

    removed = run_async(main())
    if as_json:
        print_json({"account": account, "domain": domain, "kind": kind, "removed": removed})
    else:
        output().print(tr("removed from the suppressions of {domain}: {count:,}", domain=domain, count=removed))
