"""A worker's view of the accounts and credentials in use, hardly older than a second when it is asked.

Whatever is looked at often is read again together: one small query per second and worker while there is traffic,
none while there is none. That is how suspending an account or revoking a credential takes effect everywhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from ekiden.access.accounts import Quota, Senders, account_rows, account_uid, quota_of
from ekiden.access.credentials import SESSION, credential_rows
from ekiden.access.unavailable import in_time, looking_up
from ekiden.core.states import Priority
from ekiden.net.listen import Networks
from ekiden.store.row_values import value_of
from ekiden.store.set_aside import readable

if TYPE_CHECKING:
    from ekiden.core.clock import Clock
    from ekiden.store.api import Store

_BATCH = 500
_FORGET_AFTER = 120.0  # seconds without use


_ANYWHERE = Networks()


class AccountFacts(NamedTuple):
    """``revision`` is another number after each change to what belongs to the account."""

    id: int
    name: str
    priority: Priority
    suspended: bool
    revision: int = 0
    senders: Senders = "verified"
    region: str = ""
    quota: Quota = Quota()
    reports_endpoint: int | None = None
    suppress_bounces: bool = False
    block_hours: int | None = None

    @property
    def uid(self) -> str:
        """``access.accounts.Account.uid``."""
        return account_uid(self.id)


class CredentialFacts(NamedTuple):
    """``secret`` changes when the password does; it is a hash, yet not for logs. Of a session it is its lookup.

    ``scopes`` empty: everything its kind may. ``networks`` empty: from anywhere. ``time_zone``: an API user's.
    """

    id: int
    account_id: int
    revoked: bool
    secret: str
    kind: str = ""
    scopes: frozenset[str] = frozenset()
    networks: Networks = _ANYWHERE
    time_zone: str = ""

    def __repr__(self) -> str:
        return f"CredentialFacts(id={self.id}, account_id={self.account_id}, revoked={self.revoked})"

    @classmethod
    def of(cls, row: Any) -> CredentialFacts:
        """From a row of the table ``credential``."""
        return cls(
            row.id,
            row.account_id,
            row.revoked_at is not None,
            row.lookup if row.kind == SESSION else row.secret_hash or row.lookup,
            row.kind,
            frozenset(row.scopes.split()),
            Networks(row.networks.split()) if row.networks else _ANYWHERE,
            row.time_zone,
        )


_Facts = TypeVar("_Facts")


class _Known(Generic[_Facts]):
    __slots__ = ("checked", "facts", "used")

    def __init__(self, facts: _Facts | None, checked: float) -> None:
        self.facts = facts
        self.checked = checked
        self.used = checked


class _View(Generic[_Facts]):
    """Facts by id; ``None`` is a fact too: there is no such row."""

    def __init__(self, max_age: float) -> None:
        self.max_age = max_age
        self.known: dict[int, _Known[_Facts]] = {}
        self.wanted: set[int] = set()

    def fresh(self, key: int, now: float) -> _Known[_Facts] | None:
        entry = self.known.get(key)
        if entry is None:
            return None
        entry.used = now
        return entry if now - entry.checked <= self.max_age else None

    def younger(self, key: int, now: float) -> bool:
        """Whether it was read within half of the time that it is good for."""
        entry = self.known.get(key)
        if entry is None:
            return False
        entry.used = now
        return now - entry.checked <= self.max_age / 2

    def take(self, now: float) -> list[int]:
        """What to read now: what somebody waits for, and what was used lately and would soon be asked for."""
        for key in [key for key, entry in self.known.items() if now - entry.used > _FORGET_AFTER]:
            del self.known[key]
        ids = self.wanted
        self.wanted = set()
        recent = (key for key, entry in self.known.items() if now - entry.used <= 2 * self.max_age)
        for key in recent:
            if len(ids) >= _BATCH:
                break
            ids.add(key)
        return list(ids)

    def put(self, ids: list[int], found: dict[int, _Facts], now: float) -> None:
        for key in ids:
            entry = self.known.get(key)
            if entry is None:
                self.known[key] = _Known(found.get(key), now)
            elif now >= entry.checked:
                entry.facts = found.get(key)
                entry.checked = now


class Directory:
    """One per worker. Its coroutines raise what the store raises."""

    def __init__(self, store: Store, clock: Clock, *, max_age: float = 1.0) -> None:
        self._store = store
        self._clock = clock
        self._accounts: _View[AccountFacts] = _View(max_age)
        self._credentials: _View[CredentialFacts] = _View(max_age)
        self._next: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def fresh_account(self, account_id: int) -> AccountFacts | None:
        """What is known and recent enough; ``None``: ask ``account``."""
        entry = self._accounts.fresh(account_id, self._clock.monotonic())
        return None if entry is None else entry.facts

    def fresh_credential(self, credential_id: int) -> CredentialFacts | None:
        """What is known and recent enough; ``None``: ask ``credential``."""
        entry = self._credentials.fresh(credential_id, self._clock.monotonic())
        return None if entry is None else entry.facts

    def knows_credential(self, credential_id: int) -> bool:
        """Whether somebody asked lately, be it that there is none."""
        return credential_id in self._credentials.known

    def last_credential(self, credential_id: int) -> CredentialFacts | None:
        """As of when somebody asked last, or ``refresh`` read it; ``None``: there is none."""
        entry = self._credentials.known.get(credential_id)
        return None if entry is None else entry.facts

    async def refresh(self, credential_ids: Iterable[int]) -> None:
        """Read those that are not fresh, in one query."""
        now = self._clock.monotonic()
        # Whoever looks once a second must not find what is nearly a second old good for another one.
        old = [key for key in credential_ids if not self._credentials.younger(key, now)]
        if old:
            self._credentials.wanted.update(old)
            await self._read()

    def saw_credential(self, facts: CredentialFacts, at: float) -> None:
        """Somebody read it anyway, with a query that began at the monotonic time ``at``."""
        self._credentials.put([facts.id], {facts.id: facts}, at)

    async def account(self, account_id: int) -> AccountFacts | None:
        """The account, or ``None`` when there is none."""
        entry = self._accounts.fresh(account_id, self._clock.monotonic())
        if entry is None:
            self._accounts.wanted.add(account_id)
            await self._read()
            entry = self._accounts.known.get(account_id)
        return None if entry is None else entry.facts

    async def credential(self, credential_id: int) -> CredentialFacts | None:
        """The credential, or ``None`` when there is none."""
        entry = self._credentials.fresh(credential_id, self._clock.monotonic())
        if entry is None:
            self._credentials.wanted.add(credential_id)
            await self._read()
            entry = self._credentials.known.get(credential_id)
        return None if entry is None else entry.facts

    async def close(self) -> None:
        """Wait for a query that is on its way."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        await in_time(self._next)

    async def _run(self) -> None:
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                try:
                    await self._load()
                except Exception as error:
                    waiting.set_exception(error)
                    waiting.exception()  # seen: whoever waited may be gone
                else:
                    waiting.set_result(None)
        finally:
            self._task = None

    async def _load(self) -> None:
        # The time before the query: what changes while it runs is not known yet.
        now = self._clock.monotonic()
        accounts = self._accounts.take(now)
        credentials = self._credentials.take(now)
        found_accounts: dict[int, AccountFacts] = {}
        found_credentials: dict[int, CredentialFacts] = {}
        async with looking_up(self._store) as connection:
            if accounts:
                for account_facts in readable("account", _account_facts, await account_rows(connection, accounts)):
                    found_accounts[account_facts.id] = account_facts
            if credentials:
                rows = await credential_rows(connection, credentials)
                for facts in readable("credential", CredentialFacts.of, rows):
                    found_credentials[facts.id] = facts
        self._accounts.put(accounts, found_accounts, now)
        self._credentials.put(credentials, found_credentials, now)


def _account_facts(row: Any) -> AccountFacts:
    return value_of(
        AccountFacts,
        row,
        priority=Priority(row.priority),
        suspended=row.suspended_at is not None,
        quota=quota_of(row),
    )
