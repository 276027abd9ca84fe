"""``ekiden db``: the tables of the database and their revision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ekiden.cli.common import CliError, ConfigOption, JsonOption, Opened, lang, load, on_store, run_async, tr
from ekiden.cli.tables import output, show
from ekiden.core.display import local_time, octets
from ekiden.delivery.explain import state_counts

if TYPE_CHECKING:
    from ekiden.process.instance_key import KeyLook
    from ekiden.store.records import QueueStats
    from ekiden.store.url import StoreUrl

app = typer.Typer(no_args_is_help=True, help="The database: create it, upgrade it, look at it.")


def _situation(current: str | None) -> str:
    from ekiden.store.open import head_revision

    head = head_revision()
    if current is None:
        return "empty"
    if current == head:
        return "current"
    return "newer" if current > head else "outdated"


MEANING = {
    "empty": "it has no tables yet; create them with: ekiden db upgrade",
    "current": "its tables are as this Ekiden needs them",
    "outdated": "its tables are older than this Ekiden needs; upgrade them with: ekiden db upgrade",
    "newer": "it was written by a newer Ekiden; this one cannot use it",
}


@app.command("upgrade")
def upgrade_(
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit with 1 when an upgrade is needed.")
    ] = False,
    in_use: Annotated[
        bool,
        typer.Option(
            "--in-use", help="Upgrade also while workers of an older Ekiden run; they may fail until restarted."
        ),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create the tables or bring them to the revision that this Ekiden needs. Safe to repeat.

    Stop the workers of the older Ekiden first: this is refused while they run. Then looks whether instance.key is
    the key of the database.
    """
    from ekiden.documents.installation import DatabaseUpgrade
    from ekiden.process.instance_key import look
    from ekiden.store.api import StillInUse
    from ekiden.store.open import current_revision, head_revision, upgrade
    from ekiden.store.url import parse_url

    loaded = load(config)
    url = loaded.store_url()

    async def main() -> tuple[str | None, str | None]:
        before = await current_revision(url)
        try:
            after = before if check else await upgrade(url, in_use=in_use)
        except StillInUse as error:
            raise CliError(
                "{url} is at revision {before} and in use by workers of an older Ekiden: {workers}. Stop them "
                "first "
                "(a worker that crashed counts until its lease has ended); or, if they have to go on: --in-use",
                url=error.shown,
                before=before,
                workers="; ".join(error.workers),
            ) from None
        return before, after

    before, after = run_async(main())
    head = head_revision()
    key = on_store(loaded, lambda on: look(on.config, on.store)) if after == head else None
    needed = before != head
    shown = parse_url(url).safe
    if check:
        text = f"{shown}: {tr(MEANING[_situation(before)])}"
    elif before == after:
        text = tr("{url} is at revision {revision} already", url=shown, revision=after)
    else:
        text = tr("{url} is now at revision {revision} (before: {before})")
        text = text.format(url=shown, revision=after, before=before or tr("empty"))
    state = None if key is None else key.state
    show(as_json, DatabaseUpgrade(before, after, head, needed, before != after, state), text)
    if key is not None and not key.usable:
        raise key.trouble()
    if check and needed:
        raise typer.Exit(1)


KEY_STATES = {
    "fits": "it is the key of this database",
    "unbound": "the database has no key yet; it gets this one when Ekiden starts",
    "other": "it is not the key of this database",
    "unreadable": "it cannot be read",
}
SECRETS = {
    "dkim_keys": "keys that sign mail: {opened} opened, {closed} not",
    "access_keys": "secrets of access keys: {opened} opened, {closed} not",
    "endpoints": "secrets of callbacks: {opened} opened, {closed} not",
}


@app.command()
def key(
    adopt: Annotated[
        bool,
        typer.Option("--adopt", help="The former key is lost for good: use the key of this machine from now on."),
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show whether instance.key is the key that the secrets in this database are sealed with.

    If it is not, put the right file back: from a backup, or from another machine. When there is no copy anywhere,
    stop Ekiden and use --adopt. What the lost key has sealed stays closed: domains get new DKIM keys to publish
    (until then their mail goes unsigned), access keys have to be made again, callbacks need their authentication
    again, and links in mail that was sent before lead nowhere.
    """
    from ekiden.documents.installation import DatabaseKey
    from ekiden.process.instance_key import look

    async def work(on: Opened) -> tuple[KeyLook, list[str]]:
        renewed = await _adopt(on) if adopt else []
        return await look(on.config, on.store), renewed

    found, renewed = on_store(config, work)
    census = found.census
    document = DatabaseKey.like(
        found,
        path=str(found.path),
        state=found.state,
        fingerprint=found.fingerprint or None,
        wanted=found.wanted or None,
        opened=dict(census.opened) if census else None,
        closed=dict(census.closed) if census else None,
        renewed=renewed,
    )
    show(as_json, document, lambda: _print_key(found, renewed))
    if not found.usable:
        raise found.trouble()


def _print_key(found: KeyLook, renewed: list[str]) -> None:
    out, census = output(), found.census
    out.print(tr("{path}: {state}", path=found.path, state=tr(KEY_STATES[found.state])))
    if found.bound_at is not None:
        out.print(tr("  of the database since {time}", time=local_time(found.bound_at)))
    for kind, line in SECRETS.items():
        if census is not None and census.opened[kind] + census.closed[kind]:
            out.print("  " + tr(line, opened=census.opened[kind], closed=census.closed[kind]))
    for name in renewed:
        out.print(tr("new DKIM keys to publish: ekiden domain show {name}", name=name))


async def _adopt(on: Opened) -> list[str]:
    """Names of the domains that got new keys."""
    from ekiden.process.instance_key import adopt
    from ekiden.wiring.services import make_domains

    domains = make_domains(on.config, on.store, on.clock, await adopt(on.config, on.store, on.clock))
    return [
        domain.name
        for domain in await domains.list_domains()
        if await domains.renew_closed_keys(domain.id, on.actor)
    ]


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show where the database is, its revision, its size and what is in the queue."""
    from ekiden.documents.account import by_state
    from ekiden.documents.installation import DatabaseStatus
    from ekiden.store.open import current_revision, head_revision
    from ekiden.store.url import parse_url

    loaded = load(config)
    parsed = parse_url(loaded.store_url())

    async def main() -> tuple[str | None, int | None]:
        current = await current_revision(loaded.store_url())
        return current, await _size(parsed, current is not None)

    revision, size = run_async(main())
    state = _situation(revision)
    stats: QueueStats | None = on_store(loaded, lambda on: on.store.stats()) if state == "current" else None
    document = DatabaseStatus(
        parsed.safe,
        parsed.engine,
        revision,
        head_revision(),
        state,
        size,
        None if stats is None else by_state(stats.by_state),
        None if stats is None else stats.workers,
    )

    def told() -> None:
        out = output()
        out.print(document.url)
        out.print(tr("  engine    {engine}", engine=document.engine))
        shown = revision or tr("none")
        out.print(tr("  revision  {revision} ({meaning})", revision=shown, meaning=tr(MEANING[state])))
        if size is not None:
            out.print(tr("  size      {size}", size=octets(size)))
        if stats is not None:
            out.print(tr("  queue     {counts}", counts=state_counts(stats.by_state, lang())))
            out.print(tr("  workers   {count}", count=stats.workers))

    show(as_json, document, told)


async def _size(url: StoreUrl, exists: bool) -> int | None:
    """Octets on the disk: of the file with its log, or as PostgreSQL reckons them."""
    if not exists:
        return None
    if url.engine == "sqlite":
        return sum(path.stat().st_size for path in (Path(url.path), Path(f"{url.path}-wal")) if path.exists())
    from ekiden.store.errors import translating
    from ekiden.store.postgresql.connect import judge

    connection = await url.servers().connect()
    try:
        with translating(judge):
            return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()
