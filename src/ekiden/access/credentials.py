"""Passwords and API keys of accounts.

A password is kept as argon2id. An API key has 256 random bits, so SHA-256 of it is as good a lock and needs no
stretching; the key itself is shown once, when it is made.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from argon2 import PasswordHasher
from sqlalchemy import Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from ekiden.access.accounts import check_name
from ekiden.access.errors import BadName, NameTaken, NotFound
from ekiden.core.clock import Millis
from ekiden.store.tables import credential as table

if TYPE_CHECKING:
    from ekiden.store.api import Store

PASSWORD = "password"  # noqa: S105
API_KEY = "api_key"
API_KEY_USERNAME = "app"
"""Whoever logs in as ``App``, in any case, gives an API key as password (Infobip SMTP API)."""
API_KEY_PREFIX = "ek_"
MIN_PASSWORD = 8
MAX_PASSWORD = 512  # characters; longer ones cannot pass an AUTH line anyway (RFC 4954 §4)
MAX_USERNAME = 254

# OWASP's first choice for argon2id: 19 MiB, two passes, one lane; about 30 ms on one core.
hasher = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KEY_LENGTH = 43  # of 32 octets in base 62


@dataclass(frozen=True, slots=True)
class Credential:
    """``name`` is the user name of a password, or the label of an API key."""

    id: int
    account_id: int
    kind: str
    name: str
    created_at: Millis
    revoked_at: Millis | None
    last_used_at: Millis | None


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """``key`` cannot be had again."""

    credential: Credential
    key: str = field(repr=False)


def api_key_lookup(key: str) -> str:
    """What the store keeps of an API key: SHA-256, hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def generate_password() -> str:
    """A password nobody has to remember: 142 random bits, letters and digits.

    Its base64 never begins with Q or R, which ``openssl s_client`` takes for commands of its own (seed of the
    Infobip SMTP API): the first letter is none of A to G.
    """
    first = secrets.choice([char for char in _BASE62 if char not in "ABCDEFG"])
    return first + "".join(secrets.choice(_BASE62) for _ in range(23))


def _generate_api_key() -> str:
    number = int.from_bytes(secrets.token_bytes(32), "big")
    digits = []
    for _ in range(_KEY_LENGTH):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return API_KEY_PREFIX + "".join(digits)


async def set_password(store: Store, account_id: int, username: str, password: str, now: Millis) -> Credential:
    """Give the account this user name and password, or the user name another password.

    A revoked user name of the same account comes back to life. Raises ``BadName``, and ``NameTaken`` when the user
    name belongs to another account.
    """
    check_name(username, "a user name", MAX_USERNAME)
    if username.lower() == API_KEY_USERNAME:
        raise BadName(f"the user name {username!r} stands for API keys")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD or "\0" in password:
        raise BadName(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    secret_hash = await asyncio.to_thread(hasher.hash, password)
    try:
        async with store.write() as connection:
            change = (
                update(table)
                .where(table.c.lookup == username, table.c.account_id == account_id, table.c.kind == PASSWORD)
                .values(secret_hash=secret_hash, revoked_at=None)
                .returning(*table.c)
            )
            row = (await connection.execute(change)).one_or_none()
            if row is None:
                values = {
                    "account_id": account_id,
                    "kind": PASSWORD,
                    "name": username,
                    "lookup": username,
                    "secret_hash": secret_hash,
                    "scopes": "",
                    "networks": "",
                    "created_at": now,
                }
                row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
    except IntegrityError:
        raise NameTaken(f"the user name {username!r} belongs to another account") from None
    return _credential(row)


async def create_api_key(store: Store, account_id: int, name: str, now: Millis) -> NewApiKey:
    """A new API key; ``name`` is its label for people. Raises ``BadName``."""
    check_name(name, "an API key's label")
    key = _generate_api_key()
    values = {
        "account_id": account_id,
        "kind": API_KEY,
        "name": name,
        "lookup": api_key_lookup(key),
        "scopes": "",
        "networks": "",
        "created_at": now,
    }
    async with store.write() as connection:
        row = (await connection.execute(insert(table).values(values).returning(*table.c))).one()
    return NewApiKey(_credential(row), key)


async def revoke_credential(store: Store, credential_id: int, now: Millis) -> Credential:
    """Nobody can use it any more, within two seconds on every worker. Revoking twice is no error."""
    async with store.write() as connection:
        row = (await connection.execute(select(table).where(table.c.id == credential_id))).one_or_none()
        if row is None:
            raise NotFound(f"there is no credential {credential_id}")
        if row.revoked_at is None:
            change = update(table).where(table.c.id == credential_id).values(revoked_at=now)
            row = (await connection.execute(change.returning(*table.c))).one()
    return _credential(row)


async def list_credentials(
    store: Store, account_id: int | None = None, *, revoked: bool = True
) -> list[Credential]:
    """Credentials of one account or of all, oldest first; ``revoked=False`` leaves the revoked ones out."""
    query = select(table).order_by(table.c.id)
    if account_id is not None:
        query = query.where(table.c.account_id == account_id)
    if not revoked:
        query = query.where(table.c.revoked_at.is_(None))
    async with store.read() as connection:
        rows = (await connection.execute(query)).all()
    return [_credential(row) for row in rows]


def _credential(row: Row[Any]) -> Credential:
    return Credential(row.id, row.account_id, row.kind, row.name, row.created_at, row.revoked_at, row.last_used_at)
