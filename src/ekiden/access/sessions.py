"""Sessions: a token in the place of a user name and password, until it is given back, was not used for a while, or
is old: whoever got hold of one must not have it for ever by using it.

A session is a row beside the credentials (kind ``session``), found by the hash of its token: every worker knows it,
and one that is closed is unknown to all of them hardly a second later. It dies with the password that it was opened
with, also when that is replaced. Whoever uses it is that credential, with its scopes and networks.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, or_, select, update

from ekiden.access.credentials import SESSION
from ekiden.access.proof import Found, Proof
from ekiden.core.clock import MINUTE, SECOND
from ekiden.limits.lru import Lru
from ekiden.store.tables import credential as table

if TYPE_CHECKING:
    from ekiden.access.directory import Directory
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

LIFETIME: Final = 43_200.0
"""Seconds: half a day, so that whoever works with one logs in once a day."""
MAX_OPEN: Final = 1_000
"""Sessions of an account; one more ends the oldest."""
_TOKEN: Final = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""Nobody asks the database for anything else."""
_TOUCH_EVERY: Final[Millis] = MINUTE
_MAX_REMEMBERED: Final = 10_000


@dataclass(slots=True)
class _Open:
    """A session. ``secret`` is the hash of what the credential's secret was; the times are as of the row."""

    id: int
    credential_id: int
    secret: str
    opened_at: Millis
    used_at: Millis


class Sessions:
    """One per worker. Coroutines raise what the store raises."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        directory: Directory,
        ttl: float,
        lifetime: float = LIFETIME,
        *,
        most: int = MAX_OPEN,
    ) -> None:
        """``ttl``: seconds without a use that end a session; uses are told to other workers once a minute.

        ``lifetime``: seconds after which it ends however often it was used. ``most``: sessions of an account.
        """
        self._store = store
        self._clock = clock
        self._directory = directory
        self._most = most
        self._ttl = int(ttl * SECOND)
        self._lifetime = int(lifetime * SECOND)
        self._touch_every = min(_TOUCH_EVERY, self._ttl // 4)
        self._remembered: Lru[str, _Open] = Lru(_MAX_REMEMBERED)

    async def open(self, proof: Proof) -> str:
        """A token for who has just logged in."""
        account, facts = proof.account, proof.credential
        token = str(uuid.uuid4())
        now = self._clock.now()
        values = {
            "account_id": account.id,
            "kind": SESSION,
            "name": str(facts.id),
            "lookup": _lookup(token),
            "secret_hash": _digest(facts.secret),
            "scopes": "",
            "networks": "",
            "created_at": now,
            "last_used_at": now,
        }
        theirs = (table.c.account_id == account.id, table.c.kind == SESSION)
        oldest = select(table.c.id).where(*theirs).order_by(table.c.id.desc()).offset(self._most - 1).limit(1)
        async with self._store.write() as connection:
            last = await connection.scalar(oldest)
            if last is not None:
                await connection.execute(delete(table).where(*theirs, table.c.id <= last))
            over = or_(table.c.last_used_at < now - self._ttl, table.c.created_at <= now - self._lifetime)
            await connection.execute(delete(table).where(*theirs, over))
            await connection.execute(insert(table).values(values))
        return token

    async def find(self, token: str) -> Found | None:
        """The credential that opened the session; ``None``: it is over, or was never there. This is a use."""
        lookup = _lookup(token)
        known = self._remembered.get(lookup)
        if known is None and _TOKEN.fullmatch(token):
            known = await self._load(lookup)
        if known is None or not await self._alive(known, lookup):
            self._remembered.pop(lookup, None)
            return None
        secret = known.secret
        return Found(known.credential_id, fits=lambda kept: compare_digest(_digest(kept), secret))

    async def close(self, token: str) -> None:
        """It is over, here at once and elsewhere within two seconds."""
        lookup = _lookup(token)
        self._remembered.pop(lookup, None)
        async with self._store.write() as connection:
            await connection.execute(delete(table).where(table.c.lookup == lookup, table.c.kind == SESSION))

    async def _load(self, lookup: str) -> _Open | None:
        query = select(table).where(table.c.lookup == lookup, table.c.kind == SESSION)
        async with self._store.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if row is None:
            return None
        found = _Open(row.id, int(row.name), row.secret_hash, row.created_at, row.last_used_at)
        self._remembered.put(lookup, found)
        return found

    async def _alive(self, known: _Open, lookup: str) -> bool:
        """Whether it is still there, not too old, and was used lately; this is a use."""
        row = await self._directory.credential(known.id)
        # SQLite gives the number of a row that is gone to the next one.
        if row is None or row.secret != lookup:
            return False
        now = self._clock.now()
        if now - known.opened_at >= self._lifetime:
            return False
        if now - known.used_at < self._touch_every:
            return True
        # Another worker may have written a later use; what the row says then decides.
        used = func.coalesce(table.c.last_used_at, table.c.created_at)
        touched = update(table).where(table.c.id == known.id, used >= now - self._ttl).values(last_used_at=now)
        async with self._store.write() as connection:
            if (await connection.execute(touched)).rowcount != 1:
                return False
        known.used_at = now
        return True


@dataclass(frozen=True, slots=True)
class SessionToken:
    """``access.proof.Shown``."""

    sessions: Sessions
    text: str = field(repr=False)
    login: str = "(session)"

    async def find(self) -> Found | None:
        return await self.sessions.find(self.text)


def _lookup(token: str) -> str:
    return "session:" + _digest(token)


def _digest(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
