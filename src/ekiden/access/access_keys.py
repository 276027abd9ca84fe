"""Access keys: a public id with a secret that signs requests (HMAC), for the APIs that prove themselves that way.

HMAC needs the secret itself, so a hash will not do: it is kept encrypted with the instance key, and shown to people
once, when it is made.
"""

from __future__ import annotations

import asyncio
import hmac
import re
import secrets
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sqlalchemy import insert, select

from ekiden.access.accounts import check_name
from ekiden.access.audit import SYSTEM, Actor
from ekiden.access.credential_scopes import networks_text, scopes_text
from ekiden.access.credentials import ACCESS_KEY, Credential, credential_changed, credential_of
from ekiden.access.proof import Found
from ekiden.access.unavailable import looking_up
from ekiden.core.clock import Millis
from ekiden.limits.lru import Lru
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
_ID: Final = re.compile(f"{ID_PREFIX}[A-Z0-9]{{{_ID_LENGTH}}}", re.ASCII)
_MAX_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True)
class AccessKey:
    """``secret``: 40 letters and digits; its octets in ASCII are the key of the HMAC."""

    credential: Credential
    secret: str = field(repr=False)

    @property
    def id(self) -> str:
        """The public half: ``EK`` and 18 upper-case letters and digits."""
        return self.credential.access_key


def is_access_key(text: str) -> bool:
    """Whether it can be the id of one. What is not may be a secret at the wrong place: nothing for a log."""
    return _ID.fullmatch(text) is not None


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


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as its row has it; that never changes but for being revoked, which is the directory's to know."""

    credential_id: int
    account_id: int
    secret: bytes = field(repr=False)


class AccessKeys:
    """The access keys in use with their secrets, from memory: one per worker.

    A key is read once. Whether it still stands, from where and for what, is asked of the directory as of any
    credential, so a call that is signed costs no query of its own.
    """

    def __init__(self, store: Store, vault: Vault) -> None:
        self._store = store
        self._vault = vault
        self._known: Lru[str, _Known] = Lru(_MAX_REMEMBERED)
        self._loading: dict[str, asyncio.Task[_Known | None]] = {}

    def knows(self, id: str) -> bool:
        """Whether ``find`` asks nobody: it is remembered, or nothing that could be an id."""
        return id in self._known or not is_access_key(id)

    async def find(self, id: str) -> _Known | None:
        """``None``: there is no such key. Raises ``StoreUnavailable``, ``VaultError``."""
        known = self._known.get(id)
        if known is not None:
            self._known.move_to_end(id)
            return known
        if not is_access_key(id):
            return None
        task = self._loading.get(id)
        if task is None:
            task = self._loading[id] = asyncio.create_task(self._load(id))
            task.add_done_callback(lambda _: self._loading.pop(id, None))
        return await asyncio.shield(task)

    async def _load(self, id: str) -> _Known | None:
        query = select(table.c.id, table.c.account_id, table.c.sealed)
        async with looking_up(self._store) as connection:
            row = (
                await connection.execute(query.where(table.c.lookup == id, table.c.kind == ACCESS_KEY))
            ).one_or_none()
        if row is None:
            return None
        known = _Known(row.id, row.account_id, self._vault.open(row.sealed, PURPOSE))
        self._known.put(id, known)
        return known


@dataclass(frozen=True, slots=True)
class Signature:
    """``access.proof.Shown``: an HMAC-SHA256 with the secret of the access key ``id``, as ``digest``.

    ``texts``: what may have been signed; whoever shows it may have had one of several forms in mind.
    """

    keys: AccessKeys
    id: str
    digest: bytes = field(repr=False)
    texts: Sequence[bytes] = field(repr=False)

    @property
    def login(self) -> str:
        return self.id

    @property
    def known(self) -> bool:
        """Whether nobody has to be asked to find out."""
        return self.keys.knows(self.id)

    async def find(self) -> Found | None:
        key = await self.keys.find(self.id)
        if key is None:
            return None
        right = False
        for text in self.texts:
            right |= hmac.compare_digest(hmac.digest(key.secret, text, "sha256"), self.digest)
        if not right:
            return None
        # SQLite gives the number of a row that is gone to the next one, which then is of another id.
        return Found(key.credential_id, key.account_id, fits=lambda kept: hmac.compare_digest(kept, self.id))
