"""Endpoints: where news of an account goes, in which format and with which authentication.

Clients name them with each request, as a URL. Equal ones are one row, found again by a keyed hash, so that neither
the URL's secrets nor the password can be guessed from it.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec
from sqlalchemy import insert, select, update

from ekiden.limits.lru import Lru
from ekiden.notify.auth import Auth, Basic, check_auth, seal_auth
from ekiden.notify.errors import BadEndpoint
from ekiden.notify.formats import PULL
from ekiden.notify.ssrf import Destinations
from ekiden.store.api import Conflict
from ekiden.store.retention import ENDPOINT_USED
from ekiden.store.tables import endpoint as table

if TYPE_CHECKING:
    from yarl import URL

    from ekiden.access.vault import Vault
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

LONGEST_URL = 2048
_MAX_REMEMBERED = 20_000
_STALE: Millis = ENDPOINT_USED // 2
"""So long an endpoint is taken from memory; then it is looked up again, and noted as used."""
_SCHEME = re.compile(r"https?://", re.IGNORECASE)
_BAD_CHARACTER = re.compile(r"[\x00-\x20\x7f]")


def parse_endpoint_url(text: str, destinations: Destinations | None = None) -> URL:
    """The URL of an endpoint: ``http`` or ``https``, with a host. Raises ``BadEndpoint``.

    With ``destinations`` a port or an IP address that callbacks may not reach is refused at once; what a name
    stands for is checked when it is sent to, each time.
    """
    from yarl import URL

    if len(text) > LONGEST_URL:
        raise BadEndpoint("the URL has at most {longest} characters", longest=LONGEST_URL)
    if not _SCHEME.match(text):
        raise BadEndpoint("{url!r} does not begin with http:// or https://", url=text)
    if _BAD_CHARACTER.search(text):
        raise BadEndpoint("{url!r} is not a URL", url=text)
    try:
        url = URL(text)
        host, port = url.host, url.port
    except ValueError:
        raise BadEndpoint("{url!r} is not a URL", url=text) from None
    if not host:
        raise BadEndpoint("{url!r} names no host", url=text)
    if destinations is not None:
        destinations.check_port(port or 0)
        if ":" in host or re.fullmatch(r"[0-9.]+", host):
            destinations.check_address(host)
    return url.with_fragment(None)


class Endpoints:
    """Finds endpoints, and makes those that are new. One per worker."""

    def __init__(self, store: Store, clock: Clock, vault: Vault, destinations: Destinations | None = None) -> None:
        self._store = store
        self._clock = clock
        self._vault = vault
        self._destinations = destinations
        self._key = vault.derive("endpoint digest")
        self._remembered: Lru[tuple[int, str], tuple[int, Millis]] = Lru(_MAX_REMEMBERED)
        """The endpoint, and since when it is known to be noted as used."""

    async def find(self, account_id: int, format: str, url: str, auth: Auth | None = None) -> int:
        """The id of the account's endpoint, for ``core.notices.Route``. Raises ``BadEndpoint`` for a bad ``url``.

        A user name and password inside the URL become ``Basic``, unless ``auth`` is given. For the format ``pull``
        the URL is empty.
        """
        if format == PULL:
            url = ""
        else:
            parsed = parse_endpoint_url(url, self._destinations)
            if parsed.user is not None or parsed.password is not None:
                auth = auth or Basic(parsed.user or "", parsed.password or "")
                parsed = parsed.with_user(None)
            url = str(parsed)
        if auth is not None:
            check_auth(auth)
        digest = self._digest(format, url, auth)
        key = (account_id, digest)
        remembered = self._remembered.get(key)
        now = self._clock.now()
        if remembered is not None and remembered[1] > now - _STALE:
            self._remembered.move_to_end(key)
            return remembered[0]
        found = await self._find(account_id, digest, now)
        if found is None:
            found = await self._make(account_id, format, url, auth, digest)
        self._remembered.put(key, (found, now))
        return found

    def _digest(self, format: str, url: str, auth: Auth | None) -> str:
        named = msgspec.json.encode((format, url, auth))
        return hmac.new(self._key, named, sha256).hexdigest()

    async def _find(self, account_id: int, digest: str, now: Millis) -> int | None:
        """Also sees to it that it is not taken for one that nobody uses."""
        same = (table.c.account_id == account_id, table.c.digest == digest)
        async with self._store.read() as connection:
            row = (await connection.execute(select(table.c.id, table.c.used_at).where(*same))).one_or_none()
        if row is None:
            return None
        if row.used_at > now - _STALE:
            return int(row.id)
        used = update(table).where(*same).values(used_at=now).returning(table.c.id)
        async with self._store.write() as connection:
            found: int | None = await connection.scalar(used)
        return found

    async def _make(self, account_id: int, format: str, url: str, auth: Auth | None, digest: str) -> int:
        now = self._clock.now()
        values = {
            "account_id": account_id,
            "format": format,
            "url": url,
            "sealed": None if auth is None else seal_auth(self._vault, auth),
            "digest": digest,
            "created_at": now,
            "used_at": now,
            "failures": 0,
            "retry_at": 0,
        }
        try:
            async with self._store.write() as connection:
                made = await connection.execute(insert(table).values(values).returning(table.c.id))
                return int(made.scalar_one())
        except Conflict:
            found = await self._find(account_id, digest, now)  # another worker was faster
            if found is None:
                raise
            return found
