"""The services of a worker, made once and shared by its listeners, its HTTP and its duties."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ekiden.access.authenticate import Authenticator
from ekiden.access.doorstep import Doorstep
from ekiden.access.gate import Gate
from ekiden.access.quotas import Quotas
from ekiden.access.refusals import Refusals
from ekiden.access.remembered import Remembered
from ekiden.access.vault import Vault
from ekiden.domains.keyring import KeyRing
from ekiden.intake.policy import Policy
from ekiden.intake.signer import Signer
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.server.setup import KEY_NAME

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.server.config import Config
    from ekiden.store.api import Store


def open_vault(config: Config) -> Vault:
    """With the instance key of the installation. Raises ``VaultError``."""
    return Vault.from_file(Path(config.data_dir) / KEY_NAME)


class Services:
    """Close it at the end. Raises ``VaultError`` when the instance key cannot be read."""

    def __init__(self, config: Config, store: Store, clock: Clock, ids: IdFactory) -> None:
        self.vault = open_vault(config)
        self.authenticator = Authenticator(store, clock, config.access)
        self.directory = self.authenticator.directory
        groups = config.networks.groups
        self.gate = Gate(store, clock, self.directory, groups=groups)
        self.doorstep = Doorstep(store, clock, groups=groups)
        self.quotas = Quotas(store, clock)
        self.refusals = Refusals(store, clock, ids)
        self.keyring = KeyRing(store, self.vault)
        self.signer = Signer()
        self.policy = Policy(self.gate, self.quotas, self.refusals, Remembered(store, self._keys))

    async def _keys(self, connection: AsyncConnection, _: int, domain_id: int) -> tuple[SigningKey, ...]:
        return await self.keyring.load(connection, domain_id)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.authenticator.close()
        await self.doorstep.close()
        await self.quotas.close()
        await self.refusals.close()
        self.signer.close()
