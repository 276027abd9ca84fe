"""Access keys: a public id with a secret that signs requests (HMAC), for the APIs that prove themselves that way.

HMAC needs the secret itself, so a hash will not do: it is kept encrypted with the instance key, and shown to people
once, when it is made.
"""

from __future__ import annotations

import secrets
import string
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from ekiden.access.accounts import check_name
from ekiden.access.audit import SYSTEM, Actor
from ekiden.access.credential_scopes import networks_text, scopes_text
from ekiden.access.credentials import ACCESS_KEY, Credential, credential_changed, credential_of
from ekiden.access.errors import NotFound
from ekiden.core.clock import Millis
from ekiden.store.tables import credential as table

if TYPE_CHECKING:
    from ekiden.access.vault import Vault
    from ekiden.store.api import Store

PURPOSE: Final = "access_key"
"""What the vault seals secrets of access keys for."""
ID_PREFIX: Final = "EK"
_ID_CHARS = string.ascii_uppercase + string.digits
_SECRET_CHARS = string.ascii_letters + string.digits
_ID_LENGTH = 18  # after the prefix
_SECRET_LENGTH = 40  # 238 random bits


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``secret``: 40 letters and digits; its octets in ASCII are the key of the HMAC."""

    credential: Credential
    secret: str = field(repr=False)

    @property
    def id(self) -> str:
        """The public half: ``EK`` and 18 upper-case letters and digits."""
        return self.credential.access_key


async def create_access_key(
    store: Store,
    vault: Vault,
    account_id: int,
    name: str,
    now: Millis,
    *,
    scopes: Iterable[str] = (),
    networks: Iterable[str] = (),
    actor: Actor = SYSTEM,
) -> AccessKey:
    """A new access key; ``name`` is its label for people. Raises ``BadName``."""
    check_name(name, "an access key's label")
    secret = "".join(secrets.choice(_SECRET_CHARS) for _ in range(_SECRET_LENGTH))
    values = {
        "account_id": account_id,
        "kind": ACCESS_KEY,
        "name": name,
        "lookup": ID_PREFIX + "".join(secrets.choice(_ID_CHARS) for _ in range(_ID_LENGTH)),
        "sealed": vault.seal(secret.encode(), PURPOSE),
        "scopes": scopes_text(scopes),
        "networks": networks_text(networks),
        "created_at": now,
    }
    async with store.write() as connection:
        row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
        await credential_changed(connection, row, now, actor, "credential.create")
    return AccessKey(credential_of(row), secret)


async def secret_of(store: Store, vault: Vault, id: str) -> AccessKey:
    """The key with its secret, to check a signature with.

    Raises ``NotFound`` when there is no such key or it is revoked, ``VaultError`` when this is not the instance key
    it was stored with. Source networks and scopes are the caller's to check.
    """
    query = select(table).where(table.c.lookup == id, table.c.kind == ACCESS_KEY, table.c.revoked_at.is_(None))
    async with store.read() as connection:
        row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise NotFound("there is no access key {name!r}", name=id)
    return AccessKey(credential_of(row), vault.open(row.sealed, PURPOSE).decode())
