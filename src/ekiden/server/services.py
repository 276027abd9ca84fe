"""The services of a worker, made once and shared by its listeners, its HTTP and its duties."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ekiden.access.authenticate import Authenticator
from ekiden.access.doorstep import Doorstep
from ekiden.access.gate import Gate
from ekiden.access.projects import Projects
from ekiden.access.quotas import Quotas
from ekiden.access.refusals import Refusals
from ekiden.access.remembered import Remembered
from ekiden.access.rules import Rules
from ekiden.access.smtp_configurations import SmtpConfigurations
from ekiden.access.smtp_users import SmtpUsers
from ekiden.access.suppressions import Suppressions
from ekiden.access.tokens import Tokens
from ekiden.access.vault import Vault
from ekiden.access.zones import Zones
from ekiden.core.clock import SECOND
from ekiden.delivery.statistics import Statistics
from ekiden.dialects.ibm.call import IbmServices
from ekiden.dialects.ibm.cbr import CbrServices
from ekiden.dialects.ibm.routes import ibm_handlers
from ekiden.dns.resolver import DnsResolver
from ekiden.domains.keyring import KeyRing
from ekiden.domains.lookup import DnsLookup
from ekiden.domains.service import Domains
from ekiden.intake.policy import Policy
from ekiden.intake.signer import Signer
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.server.setup import KEY_NAME

if TYPE_CHECKING:
    from litestar import Router
    from sqlalchemy.ext.asyncio import AsyncConnection

    from ekiden.core.clock import Clock
    from ekiden.core.ids import IdFactory
    from ekiden.server.config import Config
    from ekiden.store.api import Store


def open_vault(config: Config) -> Vault:
    """With the instance key of the installation. Raises ``VaultError``."""
    return Vault.from_file(Path(config.data_dir) / KEY_NAME)


def make_domains(config: Config, store: Store, clock: Clock, vault: Vault) -> Domains:
    """For commands and workers alike."""
    resolver = DnsResolver(config.dns, clock, loopback_only=config.lab.enabled)
    return Domains(store, clock, vault, DnsLookup(resolver), config.domains, config.hostname)


class Services:
    """Close it at the end. Raises ``VaultError`` when the instance key cannot be read."""

    def __init__(self, config: Config, store: Store, clock: Clock, ids: IdFactory) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self.vault = open_vault(config)
        self.authenticator = Authenticator(store, clock, config.access)
        self.directory = self.authenticator.directory
        groups = config.networks.groups
        legacy = int(config.ibm.legacy_allowlist * SECOND)
        self.gate = Gate(store, clock, self.directory, groups=groups, legacy_period=legacy)
        self.doorstep = Doorstep(store, clock, groups=groups, legacy_period=legacy)
        self.quotas = Quotas(store, clock)
        self.refusals = Refusals(store, clock, ids)
        self.keyring = KeyRing(store, self.vault)
        self.signer = Signer()
        self.domains = make_domains(config, store, clock, self.vault)
        self.suppressions = Suppressions(store, clock)
        self.policy = Policy(
            self.directory, self.gate, self.quotas, self.refusals, self.suppressions, Remembered(store, self._keys)
        )

    def routers(self) -> list[Router]:
        """The HTTP APIs of the dialects."""
        config, store, clock = self._config, self._store, self._clock
        tokens = Tokens(self.vault, clock)
        cbr = CbrServices(
            tokens=tokens,
            directory=self.directory,
            zones=Zones(store, clock),
            rules=Rules(store, clock),
            networks=config.networks,
        )
        return ibm_handlers(
            IbmServices(
                clock=clock,
                authenticator=self.authenticator,
                tokens=tokens,
                gate=self.gate,
                projects=Projects(store, clock),
                configurations=SmtpConfigurations(store, clock),
                users=SmtpUsers(store, clock, limit=config.ibm.users_per_configuration),
                domains=self.domains,
                statistics=Statistics(store),
                config=config.ibm,
                cbr=cbr,
                regions=config.regions,
            )
        )

    async def _keys(self, connection: AsyncConnection, _: int, domain_id: int) -> tuple[SigningKey, ...]:
        return await self.keyring.load(connection, domain_id)

    async def close(self) -> None:
        """Write what is not written yet."""
        await self.authenticator.close()
        await self.doorstep.close()
        await self.quotas.close()
        await self.refusals.close()
        await self.suppressions.close()
        self.signer.close()
