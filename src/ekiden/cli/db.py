"""``ekiden db``: the tables of the database and their revision."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from ekiden.cli.common import ConfigOption, JsonOption, lang, load, opened_store, print_json, run_async, tr
from ekiden.cli.tables import octets, output, state_counts
from ekiden.core.states import State
from ekiden.store.open import current_revision, head_revision, upgrade
from ekiden.store.url import StoreUrl, parse_url

app = typer.Typer(no_args_is_help=True, help="The database: create it, upgrade it, look at it.")


def _situation(current: str | None) -> str:
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
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Create the tables or bring them to the revision that this Ekiden needs. Safe to repeat."""
    url = load(config).store_url()

    async def main() -> tuple[str | None, str | None]:
        before = await current_revision(url)
        return before, before if check else await upgrade(url)

    before, after = run_async(main())
    needed = before != head_revision()
    if as_json:
        print_json(
            {
                "before": before,
                "after": after,
                "head": head_revision(),
                "needed": needed,
                "changed": before != after,
            }
        )
    elif check:
        output().print(f"{parse_url(url).safe}: {tr(MEANING[_situation(before)])}")
    elif before == after:
        output().print(tr("{url} is at revision {revision} already", url=parse_url(url).safe, revision=after))
    else:
        text = tr("{url} is now at revision {revision} (before: {before})")
        output().print(text.format(url=parse_url(url).safe, revision=after, before=before or tr("empty")))
    if check and needed:
        raise typer.Exit(1)


@app.command()
def status(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Show where the database is, its revision, its size and what is in the queue."""
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
    import asyncpg

    connection = await asyncpg.connect(url.dsn)
    try:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()
