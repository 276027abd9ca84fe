"""The one way to get a store: by its URL."""

from __future__ import annotations

from ekiden.store.api import Store
from ekiden.store.migrate import check_revision, current_revision, head_revision, upgrade
from ekiden.store.url import parse_url

__all__ = ["current_revision", "head_revision", "open_store", "upgrade"]


async def open_store(url: str, *, migrate: bool = False) -> Store:
    """The store that ``url`` names (see ``store.url.parse_url``), on the running event loop.

    ``migrate`` creates or upgrades the tables first. Raises ``SchemaOutdated``, whose text names the command that
    helps, or ``StoreUnavailable``.
    """
    parsed = parse_url(url)
    if migrate:
        await upgrade(url)
    else:
        await check_revision(url)
    if parsed.engine == "sqlite":
        from ekiden.store.sqlite.store import SqliteStore

        return SqliteStore(parsed.path)
    from ekiden.store.postgresql.store import PostgresStore

    return PostgresStore(parsed.servers())
