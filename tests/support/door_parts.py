"""The parts of a door that its policy needs, made as ``wiring.services`` makes them."""

from __future__ import annotations

import os
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.directory import Directory
from ekiden.access.quotas import Quotas
from ekiden.access.refusals import Refusals
from ekiden.access.remembered import Remembered
from ekiden.access.vault import Vault
from ekiden.core.clock import Clock
from ekiden.core.ids import IdFactory
from ekiden.domains.signing_keys import KeyRing
from ekiden.intake.policy import Policy
from ekiden.intake.sender_rights import Gate
from ekiden.intake.signer import Signer
from ekiden.recipients.suppressions import Suppressions
from ekiden.sender_auth.dkim_sign import SigningKey
from ekiden.store.api import Store


class DoorParts(NamedTuple):
    policy: Policy
    signer: Signer
    vault: Vault
    quotas: Quotas
    refusals: Refusals
    suppressions: Suppressions

    async def close(self) -> None:
        await self.quotas.close()
        await self.refusals.close()
        await self.suppressions.close()
        self.signer.close()


def door_parts(
    store: Store, clock: Clock, ids: IdFactory, directory: Directory, vault: Vault | None = None
) -> DoorParts:
    vault = vault or Vault(os.urandom(32))
    ring = KeyRing(store, vault)

    async def keys(connection: AsyncConnection, _: int, domain_id: int) -> tuple[SigningKey, ...]:
        return await ring.load(connection, domain_id)

    quotas, refusals, suppressions = Quotas(store, clock), Refusals(store, clock, ids), Suppressions(store, clock)
    gate = Gate(store, clock, directory)
    policy = Policy(directory, gate, quotas, refusals, suppressions, Remembered(store, keys))
    return DoorParts(policy, Signer(), vault, quotas, refusals, suppressions)
