"""A store whose database is not there: what is asked of it is ``StoreUnavailable``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ekiden.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from ekiden.store.api import Store


@asynccontextmanager
async def store_away(directory: Path) -> AsyncIterator[Store]:
    """``directory`` is any that is empty: the file is looked for below one that does not exist."""
    store = SqliteStore(str(directory / "missing" / "ekiden.db"))
    try:
        yield store
    finally:
        await store.close()
