"""A store whose database is not there: what is asked of it is ``StoreUnavailable``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ekiden.store.migrate import upgrade
from ekiden.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from pathlib import Path

    from ekiden.store.api import Store


@asynccontextmanager
async def store_away(directory: Path) -> AsyncIterator[Store]:
    """``directory`` is any that is empty: the file is looked for below one that does not exist."""
    store = SqliteStore(str(_file(directory)))
    try:
        yield store
    finally:
        await store.close()


async def come_back(directory: Path) -> None:
    """From now on it is there, with its tables and nothing in them."""
    _file(directory).parent.mkdir()
    await upgrade(f"sqlite:///{_file(directory)}")


def _file(directory: Path) -> Path:
    return directory / "missing" / "ekiden.db"
