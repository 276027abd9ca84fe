"""Who ``ekiden send`` sends as when nobody said: an address of a domain that the login may send from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ekiden.cli.common import CliError, load, on_store
from ekiden.core.errors import EkidenError

if TYPE_CHECKING:
    from ekiden.store.api import Store

_LOCAL_PART = "postmaster"


def default_sender(config: Path | None, username: str | None, password: str, *, elsewhere: bool) -> str:
    """``elsewhere``: the server is not the configuration's, which may know nothing of the login, or not exist."""
    try:
        loaded = load(config)
    except EkidenError:
        if not elsewhere:
            raise
        return f"{_LOCAL_PART}@localhost"
    if username is None:
        return f"{_LOCAL_PART}@{loaded.hostname}"

    try:
        domain = on_store(loaded, lambda on: _domain(on.store, username, password, loaded.hostname))
    except EkidenError:
        if not elsewhere:
            raise
        domain = None
    return f"{_LOCAL_PART}@{domain or loaded.hostname}"


async def _domain(store: Store, username: str, password: str, hostname: str) -> str | None:
    """One that the login may send from; ``None``: nobody knows the login. ``CliError``: there is none."""
    from ekiden.access.accounts import find_account
    from ekiden.access.credentials import find_login
    from ekiden.domains.queries import list_domains
    from ekiden.senders.legacy_allowlist import load_grant

    async with store.read() as connection:
        found = await find_login(connection, username, password)
        if found is None:
            return None
        grant = await load_grant(connection, found.account_id, found.id)
    account = await find_account(store, found.account_id)
    if account is not None and account.senders == "any" and not grant.restricted:
        return hostname
    usable = [item.name for item in await list_domains(store, found.account_id) if item.usable]
    if grant.restricted:
        usable = [item.domain for item in grant.configurations if item.domain in usable]
    if not usable:
        raise CliError(
            "{username} has no verified domain to send from; see `ekiden domain list`, or give --from",
            username=username,
        )
    return hostname if hostname in usable else usable[0]
