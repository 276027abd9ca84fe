"""Which engine a database URL names, and how each driver wants to hear it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from ekiden.store.api import StoreError

if TYPE_CHECKING:
    from ekiden.store.postgresql.servers import Servers

MAX_SERVERS = 8


@dataclass(frozen=True, slots=True)
class StoreUrl:
    """``engine`` is ``sqlite`` or ``postgresql``; ``path`` the database file (SQLite) or empty;
    ``dsns`` what asyncpg takes, one for each host (PostgreSQL), and ``names`` those hosts; ``safe`` the URL without
    its password."""

    engine: str
    path: str
    dsns: tuple[str, ...]
    names: tuple[str, ...]
    safe: str

    def servers(self) -> Servers:
        """Where to connect, on PostgreSQL."""
        from ekiden.store.postgresql.servers import Servers

        return Servers(self.dsns, self.names)


def parse_url(url: str) -> StoreUrl:
    """``sqlite:///relative.db``, ``sqlite:////absolute.db`` or ``postgresql://user:pw@host:port/db?host=/socket``.

    Several hosts stand with commas between them, as libpq has it: ``host:port,host:port`` before the name of the
    database, or ``host=a,b&port=1,2`` in the query. A relative path starts at the current directory. Raises
    ``StoreError`` for anything else.
    """
    several = _SEVERAL.match(url)
    listed = several["hosts"].split(",") if several is not None else []
    if several is not None:
        parsed = [_parsed(f"{several['head']}{host}{several['tail'] or ''}", url) for host in listed]
    else:
        parsed = [_parsed(url, url)]
    one = parsed[0]
    backend = one.get_backend_name()
    if backend == "sqlite":
        if not one.database or one.database == ":memory:" or one.host:
            raise StoreError(f"{_shown(one)!r} names no database file; {_ALLOWED}")
        return StoreUrl("sqlite", os.path.abspath(one.database), (), (), _shown(one))
    if backend not in ("postgresql", "postgres"):
        raise StoreError(f"there is no store for {_shown(one)!r}; {_ALLOWED}")
    shown = _shown(one.set(drivername="postgresql"))
    if several is None:
        parsed = _by_query(one, shown)
    else:
        user = f"{quote(one.username)}{':***' if one.password else ''}@" if one.username else ""
        shown = _hidden(f"postgresql://{user}{several['hosts']}{several['tail'] or ''}")
    if len(parsed) > MAX_SERVERS or (len(parsed) > 1 and not all(_where(item) for item in parsed)):
        raise StoreError(f"{shown!r} names an empty host, or more than {MAX_SERVERS}; {_ALLOWED}")
    if len(parsed) > 1:
        parsed = [item.update_query_dict({} if _ATTRS in item.query else {_ATTRS: "read-write"}) for item in parsed]
    dsns = tuple(item.set(drivername="postgresql").render_as_string(hide_password=False) for item in parsed)
    return StoreUrl("postgresql", "", dsns, tuple(_where(item) for item in parsed), shown)


# As SQLAlchemy divides a URL: a password has any sign but @.
_SEVERAL = re.compile(
    r"(?P<head>postgres(?:ql)?(?:\+\w+)?://(?>(?:[^:/@]*(?::[^@]*)?@)?))(?P<hosts>[^/?@]*,[^/?@]*)(?P<tail>[/?].*)?\Z",
    re.DOTALL,
)
_ATTRS = "target_session_attrs"
_SECRET = re.compile(r"(?<=password=)[^&]*")
_ALLOWED = (
    "allowed are sqlite:///FILE and postgresql://USER:PASSWORD@HOST:PORT/DATABASE, with commas between several "
    "HOST:PORT"
)


def _parsed(url: str, given: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise StoreError(f"the store's URL {_without_password(given)!r} is not a URL; {_ALLOWED}") from None


def _by_query(url: URL, shown: str) -> list[URL]:
    """One URL for each of the hosts in the query."""
    hosts, ports = (_listed(url, name) for name in ("host", "port"))
    if len(hosts) < 2:
        return [url]
    if len(ports) not in (0, 1, len(hosts)):
        raise StoreError(f"{shown!r} has {len(hosts)} hosts and {len(ports)} ports; {_ALLOWED}")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    found = []
    for number, host in enumerate(hosts):
        item = url.difference_update_query(("host", "port")).update_query_dict({"host": host})
        found.append(item.update_query_dict({"port": ports[number]}) if ports else item)
    return found


def _listed(url: URL, name: str) -> list[str]:
    value = url.query.get(name, ())
    return [part for text in ((value,) if isinstance(value, str) else value) for part in text.split(",")]


def _where(url: URL) -> str:
    """Host and port for people; a socket's directory is a host, too."""
    host, port = (_listed(url, name) for name in ("host", "port"))
    where = host[0] if host else url.host or ""
    number = port[0] if port else url.port or 5432
    if ":" in where and not where.startswith("["):
        return where if host else f"[{where}]:{number}"
    return f"{where}:{number}" if where else ""


def _shown(url: URL) -> str:
    return _hidden(url.render_as_string(hide_password=True))


def _without_password(url: str) -> str:
    head, at, tail = url.rpartition("@")
    return _hidden(f"…@{tail}" if at and head else url)


def _hidden(text: str) -> str:
    """Without the passwords in a query, as libpq has them there."""
    return _SECRET.sub("***", text)
