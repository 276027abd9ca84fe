"""The keys that a worker signs with, decrypted once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from ekiden.domains import queries
from ekiden.limits.lru import Lru
from ekiden.sender_auth.dkim_key import load_private
from ekiden.sender_auth.dkim_sign import SigningKey

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.store.api import Connection, Store

PURPOSE: Final = "dkim"
"""What the private keys are sealed for in the vault."""
_ORDER: Final = {"rsa-sha256": 0, "ed25519-sha256": 1}


class KeyRing:
    """Remembers up to ``size`` private keys, by selector: that is a UUID, and never gets another key."""

    def __init__(self, store: Store, vault: Vault, *, size: int = 10_000) -> None:
        self._store = store
        self._vault = vault
        self._known: Lru[str, SigningKey] = Lru(size)

    async def keys(self, domain_id: int) -> tuple[SigningKey, ...]:
        """``load`` on a connection of its own."""
        async with self._store.read() as connection:
            return await self.load(connection, domain_id)

    async def load(self, connection: Connection, domain_id: int) -> tuple[SigningKey, ...]:
        """The active keys of a domain, RSA first; empty when it has none. Raises ``VaultError``.

        Whether the domain may be sent from at all is not asked here.
        """
        rows = await queries.active_keys(connection, domain_id)
        selectors = [row.selector for row in sorted(rows, key=lambda row: (_ORDER[row.algorithm], row.selector))]
        unknown = [selector for selector in selectors if selector not in self._known]
        if unknown:
            await self._open(connection, unknown)
        # One that was removed between the two questions is not there.
        keys = tuple(self._known[selector] for selector in selectors if selector in self._known)
        for key in keys:
            self._known.put(key.selector, key)
        return keys

    async def _open(self, connection: Connection, selectors: list[str]) -> None:
        for row in await queries.sealed_keys(connection, selectors):
            # OpenSSL checks an RSA key when it reads it: tens of milliseconds.
            private = await asyncio.to_thread(load_private, self._vault.open(row.sealed, PURPOSE))
            self._known[row.selector] = SigningKey(row.name, row.selector, row.algorithm, private)
