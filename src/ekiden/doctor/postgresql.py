"""The check of ``ekiden doctor`` on what the machines of one PostgreSQL share: its connections, and its servers."""

from __future__ import annotations

from ekiden.doctor.checks import Finding, Patient, find
from ekiden.doctor.queries import server_connections, workers
from ekiden.store.api import StoreError
from ekiden.store.url import parse_url


async def check_postgresql(patient: Patient) -> list[Finding]:
    """Nothing on SQLite, whose workers are on one machine and share a file."""
    store = patient.store
    if store is None or store.engine != "postgresql":
        return []
    from ekiden.store.postgresql.store import CONNECTIONS

    now = await store.now()  # leases go by that
    async with store.read() as connection:
        limit, used = await server_connections(connection)
        hosts = [row.host for row in await workers(connection) if row.expires_at > now]
    values = {
        "workers": len(hosts),
        "machines": len(set(hosts)),
        "most": len(hosts) * CONNECTIONS,
        "each": CONNECTIONS,
        "limit": limit,
        "used": used,
    }
    what = (
        "workers alive: {workers}, on machines: {machines}; they have up to {most} connections ({each} each); "
        "the server takes {limit}, {used} are open"
    )
    # Twice as many for the moment of a reload, when old and new workers run side by side, and some for commands.
    enough = 2 * len(hosts) * CONNECTIONS + 5 <= limit
    fix = "raise max_connections of the database (reloads need twice as many), or run fewer workers"
    found = [find("connections", "ok" if enough else "warn", "Connections", what, "" if enough else fix, **values)]
    return found + await _servers(patient)


async def _servers(patient: Patient) -> list[Finding]:
    servers = parse_url(patient.config.store_url()).servers()
    if not servers.several:
        return []
    try:
        connection = await servers.connect()
    except StoreError as error:
        return [find("servers", "fail", "Database servers", "{why}", "start one, or promote a standby", why=error)]
    await connection.close()
    what = "of {servers}, {serving} takes writes"
    return [
        find("servers", "ok", "Database servers", what, servers=", ".join(servers.names), serving=servers.serving)
    ]
