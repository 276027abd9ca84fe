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
    from ekiden.core.clock import Clock
    from ekiden.store.api import Connection, Store

PURPOSE: Final = "dkim"
"""What the private keys are sealed for in the vault."""
_AGAIN: Final = 10.0
"""Seconds after which the installation's own keys are looked up again: no account's revision tells of them."""
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


class OwnKeys:
    """The keys of the installation's own domain, for what it writes in its own name."""

    def __init__(self, store: Store, clock: Clock, ring: KeyRing, name: str) -> None:
        """``name``: of the domain, which is that of the host."""
        self._store = store
        self._clock = clock
        self._ring = ring
        self._name = name
        self._known: tuple[SigningKey, ...] = ()
        self._until = 0.0

    async def keys(self) -> tuple[SigningKey, ...]:
        """Those that sign, as of a moment ago; empty: there are none. Raises ``VaultError`` and what the store
        raises."""
        now = self._clock.monotonic()
        if now >= self._until:
            async with self._store.read() as connection:
                own = await queries.own_domain(connection, self._name)
                self._known = () if own is None else await self._ring.load(connection, own)
            self._until = now + _AGAIN
        return self._known
