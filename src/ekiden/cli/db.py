"""``ekiden db``: the tables of the database and their revision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ekiden.cli.common import (
    CliError,
    ConfigOption,
    JsonOption,
    lang,
    load,
    opened_store,
    print_json,
    run_async,
    tr,
)
from ekiden.cli.tables import output
from ekiden.core.display import iso, local_time, octets
from ekiden.core.states import State
from ekiden.delivery.explain import state_counts

if TYPE_CHECKING:
    from ekiden.config.model import Config
    from ekiden.process.instance_key import KeyLook
    from ekiden.store.api import Store
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
    from ekiden.store.api import StillInUse
    from ekiden.store.open import current_revision, head_revision, upgrade
    from ekiden.store.url import parse_url

    loaded = load(config)
    url = loaded.store_url()

    async def main() -> tuple[str | None, str | None, KeyLook | None]:
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
        return before, after, await _look(loaded) if after == head_revision() else None

    before, after, key = run_async(main())
    needed = before != head_revision()
    if as_json:
        print_json(
            {
                "before": before,
                "after": after,
                "head": head_revision(),
                "needed": needed,
                "changed": before != after,
                "instance_key": None if key is None else key.state,
            }
        )
    elif check:
        output().print(f"{parse_url(url).safe}: {tr(MEANING[_situation(before)])}")
    elif before == after:
        output().print(tr("{url} is at revision {revision} already", url=parse_url(url).safe, revision=after))
    else:
        text = tr("{url} is now at revision {revision} (before: {before})")
        output().print(text.format(url=parse_url(url).safe, revision=after, before=before or tr("empty")))
    if key is not None and not key.usable:
        raise key.trouble()
    if check and needed:
        raise typer.Exit(1)


async def _look(config: Config) -> KeyLook:
    from ekiden.process.instance_key import look

    async with opened_store(config) as store:
        return await look(config, store)


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
        typer.Option(
            "--adopt", help="The former key is lost for good: from now on the key of this machine is the right one."
        ),
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
    loaded = load(config)

    async def main() -> tuple[KeyLook, list[str]]:
        from ekiden.process.instance_key import look

        async with opened_store(loaded) as store:
            renewed = await _adopt(loaded, store) if adopt else []
            return await look(loaded, store), renewed

    found, renewed = run_async(main())
    census = found.census
    if as_json:
        print_json(
            {
                "path": str(found.path),
                "state": found.state,
                "fingerprint": found.fingerprint or None,
                "wanted": found.wanted or None,
                "bound_at": iso(found.bound_at),
                "opened": dict(census.opened) if census else None,
                "closed": dict(census.closed) if census else None,
                "renewed": renewed,
            }
        )
    else:
        out = output()
        out.print(tr("{path}: {state}", path=found.path, state=tr(KEY_STATES[found.state])))
        if found.bound_at is not None:
            out.print(tr("  of the database since {time}", time=local_time(found.bound_at)))
        for kind, line in SECRETS.items():
            if census is not None and census.opened[kind] + census.closed[kind]:
                out.print("  " + tr(line, opened=census.opened[kind], closed=census.closed[kind]))
        for name in renewed:
            out.print(tr("new DKIM keys to publish: ekiden domain show {name}", name=name))
    if not found.usable:
        raise found.trouble()


async def _adopt(config: Config, store: Store) -> list[str]:
    """Names of the domains that got new keys."""
    from ekiden.access.audit import local_actor
    from ekiden.net.clock import SystemClock
    from ekiden.process.instance_key import adopt
    from ekiden.wiring.services import make_domains

    clock = SystemClock()
    vault = await adopt(config, store, clock)
    domains = make_domains(config, store, clock, vault)
    return [
        domain.name
        for domain in await domains.list_domains()
        if await domains.renew_closed_keys(domain.id, local_actor())
    ]


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show where the database is, its revision, its size and what is in the queue."""
    from ekiden.store.open import current_revision, head_revision
    from ekiden.store.url import parse_url

    loaded = load(config)
    url = loaded.store_url()
    parsed = parse_url(url)

    async def main() -> dict[str, Any]:
        current = await current_revision(url)
        found: dict[str, Any] = {
            "url": parsed.safe,
            "engine": parsed.engine,
            "revision": current,
            "head": head_revision(),
            "state": _situation(current),
            "bytes": await _size(parsed, current is not None),
            "queue": None,
            "workers": None,
        }
        if found["state"] == "current":
            async with opened_store(loaded) as store:
                stats = await store.stats()
            found["queue"] = {state.name.lower(): count for state, count in sorted(stats.by_state.items())}
            found["workers"] = stats.workers
        return found

    found = run_async(main())
    if as_json:
        print_json(found)
        return
    out = output()
    out.print(found["url"])
    out.print(tr("  engine    {engine}", engine=found["engine"]))
    revision, meaning = found["revision"] or tr("none"), tr(MEANING[found["state"]])
    out.print(tr("  revision  {revision} ({meaning})", revision=revision, meaning=meaning))
    if found["bytes"] is not None:
        out.print(tr("  size      {size}", size=octets(found["bytes"])))
    if found["queue"] is not None:
        counts = {State[name.upper()]: count for name, count in found["queue"].items()}
        out.print(tr("  queue     {counts}", counts=state_counts(counts, lang())))
        out.print(tr("  workers   {count}", count=found["workers"]))


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
