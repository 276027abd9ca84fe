"""Which engine a database URL names, and how each driver wants to hear it."""

from __future__ import annotations

import os
from dataclasses import dataclass

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ekiden.store.api import StoreError


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """``engine`` is ``sqlite`` or ``postgresql``; ``path`` the database file (SQLite) or empty;
    ``dsn`` what asyncpg takes (PostgreSQL) or empty; ``safe`` the URL without its password."""

    engine: str
    path: str
    dsn: str
    safe: str


def parse_url(url: str) -> StoreUrl:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://user:pw@host:port/db?host=/socket``.

    A relative path starts at the current directory. Raises ``StoreError`` for anything else.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise StoreError(f"the store's URL {_without_password(url)!r} is not a URL; {_ALLOWED}") from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        if not parsed.database or parsed.database == ":memory:" or parsed.host:
            raise StoreError(f"{_shown(parsed)!r} names no database file; {_ALLOWED}")
        return StoreUrl("sqlite", os.path.abspath(parsed.database), "", _shown(parsed))
    if backend in ("postgresql", "postgres"):
        plain = parsed.set(drivername="postgresql")
        return StoreUrl("postgresql", "", plain.render_as_string(hide_password=False), _shown(plain))
    raise StoreError(f"there is no store for {_shown(parsed)!r}; {_ALLOWED}")


_ALLOWED = "allowed are sqlite:///FILE and postgresql://USER:PASSWORD@HOST:PORT/DATABASE"


def _shown(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return f"…@{tail}" if at and head else url
