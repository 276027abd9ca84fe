"""Proving to be an account: user name and password (of the account or of an SMTP user), or an API key.

A right password is computed once a minute, not once per connection: what was right is remembered under a keyed
hash, and each use of the memory asks the directory whether the credential still stands. Guessing is slowed and
then refused, per address and per user name. Nobody can lock an account out that way: a login that is right and
remembered, or comes from where a right one came from lately, is not touched by failures from elsewhere.

A credential may be bound to source networks. Elsewhere a right secret is answered exactly as a wrong one is: the
same reply, as late, and counted as a failure, so that a stolen secret cannot even be tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

from argon2.exceptions import Argon2Error, InvalidHashError
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from ekiden.access.bounds import allows
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import (
    API_KEY,
    API_KEY_USERNAME,
    MAX_PASSWORD,
    MAX_USERNAME,
    PASSWORD,
    SMTP_USER,
    api_key_lookup,
    hasher,
)
from ekiden.access.directory import CredentialFacts, Directory
from ekiden.access.failures import SlidingCounter, address_key, delay_for
from ekiden.core.states import Priority
from ekiden.smtp.reply import Reply
from ekiden.store.api import StoreError
from ekiden.store.tables import credential as table

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

log = logging.getLogger(__name__)

_MAX_CACHED = 10_000
_MAX_WAITING = 200
"""Different logins waiting for their hash; at 30 ms each the last one has waited long enough."""
_KNOWN_GOOD_FOR = 86_400.0
_FLUSH_EVERY = 60.0


@dataclass(frozen=True, slots=True)
class Principal:
    """Who it is. ``credential_id`` 0 and ``kind`` empty: none was needed (a trusted network).

    ``priority`` is the account's. ``kind`` and ``scopes`` are the credential's (``access.credentials``,
    ``access.bounds``); scopes empty: everything the kind may.
    """

    account_id: int
    credential_id: int
    account_name: str
    priority: Priority = Priority.STANDARD
    kind: str = ""
    scopes: frozenset[str] = frozenset()


class Refusal(Enum):
    """Why not; the value is a word for metrics and logs."""

    BAD_CREDENTIALS = "bad_credentials"
    TOO_MANY = "too_many"
    NETWORK = "network"
    """Right, but not from there."""
    SCOPE = "scope"
    """Right, but not for this."""
    SUSPENDED = "suspended"
    UNAVAILABLE = "unavailable"

    @property
    def reply(self) -> Reply:
        """The SMTP reply (RFC 4954 §6, RFC 5248)."""
        return _REPLIES[self]


_REPLIES = {
    Refusal.BAD_CREDENTIALS: Reply.of(535, "5.7.8", "Error: authentication failed"),
    Refusal.TOO_MANY: Reply.of(454, "4.7.0", "Too many failed attempts, try again later"),
    # Word for word as for a wrong password: whoever tries from elsewhere must not learn that it is right.
    Refusal.NETWORK: Reply.of(535, "5.7.8", "Error: authentication failed"),
    Refusal.SCOPE: Reply.of(535, "5.7.8", "Error: this credential is not for submitting mail"),
    Refusal.SUSPENDED: Reply.of(535, "5.7.13", "This account is suspended"),
    Refusal.UNAVAILABLE: Reply.of(454, "4.7.0", "Temporary authentication failure"),
}


@dataclass(slots=True)
class _Verified:
    """A login that was right. ``secret`` is what the store kept for the credential then."""

    account_id: int
    credential_id: int
    secret: str
    until: float

    def __repr__(self) -> str:
        return f"_Verified(credential_id={self.credential_id})"


class Authenticator:
    """One per worker. Close it at the end."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        config: AccessConfig | None = None,
        *,
        directory: Directory | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._config = config = config or AccessConfig()
        self.directory = directory or Directory(store, clock, max_age=config.recheck)
        self._key = os.urandom(32)
        self._cache: OrderedDict[bytes, _Verified] = OrderedDict()
        self._checks: dict[bytes, asyncio.Task[_Verified | None]] = {}
        self._checks_from: dict[str, set[asyncio.Task[_Verified | None]]] = {}
        self._by_address = SlidingCounter(config.window)
        self._by_username = SlidingCounter(config.window)
        self._known_good: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._threads = ThreadPoolExecutor(config.parallelism, thread_name_prefix="argon2")
        # An unknown user name costs the same work as a wrong password.
        self._no_hash = self._threads.submit(hasher.hash, secrets.token_hex(16))
        self.computed = 0
        """Password hashes computed so far, for metrics: each is about 30 ms of one core."""
        self._used: dict[int, Millis] = {}
        self._flushed = clock.monotonic()
        self._flushing: asyncio.Task[None] | None = None

    async def verify(self, username: str, password: str, client_ip: str, scope: str = "") -> Principal | Refusal:
        """Who ``username`` and ``password`` are; may take seconds when there were failures before. Never raises.

        ``scope``: what the credential must be good for (``access.bounds``); empty: the caller looks at the
        principal's scopes by itself.
        """
        try:
            answer = await self._verify(username, password, client_ip)
        except (StoreError, SQLAlchemyError, OSError) as error:
            log.warning("authentication is not possible: %s", type(error).__name__)
            return Refusal.UNAVAILABLE
        if scope and isinstance(answer, Principal) and not allows(answer.scopes, scope):
            log.info(
                "credential %d is refused to %s: it lacks the scope %s", answer.credential_id, client_ip, scope
            )
            return Refusal.SCOPE
        return answer

    async def turn_away(self, username: str, password: str, client_ip: str) -> None:
        """For a login that is right and yet refused as a wrong one (network rules): let it look like one.

        It counts as a failure, waits as long, and has to be computed again the next time.
        """
        user_key, address = _user_key(username), address_key(client_ip)
        self._cache.pop(self._digest(username, password), None)
        if user_key is not None:
            self._known_good.pop((user_key, address), None)
        self._count_failure(user_key, address)
        await asyncio.sleep(self._delay(user_key, address))

    def known_valid(self, principal: Principal) -> bool | None:
        """``still_valid`` from memory; ``None``: not known well enough, ask ``still_valid``."""
        if not principal.credential_id:
            return True
        facts = self.directory.fresh_credential(principal.credential_id)
        return None if facts is None else not facts.revoked

    async def still_valid(self, principal: Principal) -> bool:
        """Whether the credential of an open session is not revoked. Raises what the store raises."""
        if not principal.credential_id:
            return True
        facts = await self.directory.credential(principal.credential_id)
        return facts is not None and not facts.revoked

    async def close(self) -> None:
        """Write what is not written yet, and stop."""
        for task in list(self._checks.values()):
            task.cancel()
        await asyncio.gather(*self._checks.values(), return_exceptions=True)
        if self._flushing is not None:
            await self._flushing
        await self._flush()
        await self.directory.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _verify(self, username: str, password: str, client_ip: str) -> Principal | Refusal:
        config = self._config
        address = address_key(client_ip)
        user_key = _user_key(username)
        digest = self._digest(username, password)
        # Guesses that are being computed count as failures until they are not: none slips past the limit.
        while (running := self._checks_from.get(address)) and digest not in self._checks:
            if self._by_address.get(address, self._clock.monotonic()) + len(running) < config.address_limit:
                break
            await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        now = self._clock.monotonic()
        if self._by_address.get(address, now) >= config.address_limit:
            await asyncio.sleep(config.delay)
            return Refusal.TOO_MANY

        verified = self._cache.get(digest)
        if verified is not None:
            answer = await self._confirm(verified, client_ip) if now < verified.until else None
            if answer is None:
                self._cache.pop(digest, None)
            elif answer is not Refusal.NETWORK:
                return answer
            # From a network that it is not for it costs what a wrong password costs.

        if (
            user_key is not None
            and self._by_username.get(user_key, now) >= config.account_limit
            and self._known_good.get((user_key, address), -_KNOWN_GOOD_FOR) + _KNOWN_GOOD_FOR < now
        ):
            await asyncio.sleep(config.delay)
            return Refusal.TOO_MANY
        verified = await self._check(digest, username, password, address)
        answer = None if verified is None else await self._confirm(verified, client_ip)
        if verified is not None and answer is Refusal.NETWORK:
            log.warning("credential %d is refused to %s: not from its networks", verified.credential_id, client_ip)
            self._count_failure(user_key, address)
        if answer is None or answer is Refusal.NETWORK:
            await asyncio.sleep(self._delay(user_key, address))
            return answer or Refusal.BAD_CREDENTIALS
        if user_key is not None:
            self._known_good[user_key, address] = now
            self._known_good.move_to_end((user_key, address))
            if len(self._known_good) > _MAX_CACHED:
                self._known_good.popitem(last=False)
        return answer

    def _delay(self, user_key: str | None, address: str) -> float:
        config = self._config
        now = self._clock.monotonic()
        failures = self._by_address.get(address, now)
        delay = delay_for(failures, config.address_delay_after, config.delay, config.max_delay)
        if user_key is not None:
            failures = self._by_username.get(user_key, now)
            delay = max(delay, delay_for(failures, config.account_delay_after, config.delay, config.max_delay))
        return delay

    async def _confirm(self, verified: _Verified, client_ip: str) -> Principal | Refusal | None:
        """Whether what was right is right now. ``None``: the credential is gone or has another secret."""
        directory = self.directory
        credential = directory.fresh_credential(verified.credential_id)
        account = directory.fresh_account(verified.account_id)
        if credential is None or account is None:
            credential, account = await asyncio.gather(
                directory.credential(verified.credential_id), directory.account(verified.account_id)
            )
        if credential is None or account is None or credential.revoked:
            return None
        if not hmac.compare_digest(credential.secret, verified.secret):
            return None
        if credential.networks and client_ip not in credential.networks:
            return Refusal.NETWORK
        if account.suspended:
            return Refusal.SUSPENDED
        self._note_use(credential.id)
        return Principal(
            account.id, credential.id, account.name, account.priority, credential.kind, credential.scopes
        )

    async def _check(self, digest: bytes, username: str, password: str, address: str) -> _Verified | None:
        """Look it up and compute. The same login asked for at the same time is computed once."""
        task = self._checks.get(digest)
        if task is None:
            if len(self._checks) >= _MAX_WAITING:
                raise StoreError("too many logins wait to be checked")
            task = asyncio.create_task(self._compute(digest, username, password))
            self._checks[digest] = task
            running = self._checks_from.setdefault(address, set())
            running.add(task)

            def done(task: asyncio.Task[_Verified | None]) -> None:
                # Here, not where it is waited for: a client that hangs up early has guessed all the same.
                self._checks.pop(digest, None)
                running.discard(task)
                if not running and self._checks_from.get(address) is running:
                    del self._checks_from[address]
                if not task.cancelled() and task.exception() is None and task.result() is None:
                    self._count_failure(_user_key(username), address)

            task.add_done_callback(done)
        return await asyncio.shield(task)

    def _count_failure(self, user_key: str | None, address: str) -> None:
        now = self._clock.monotonic()
        self._by_address.add(address, now)
        if user_key is not None:
            self._by_username.add(user_key, now)

    async def _compute(self, digest: bytes, username: str, password: str) -> _Verified | None:
        if len(username) > MAX_USERNAME or len(password) > MAX_PASSWORD or not _is_text(username + password):
            return None
        if username.lower() == API_KEY_USERNAME:
            kinds, lookup = [API_KEY], api_key_lookup(password)
        else:
            kinds, lookup = [PASSWORD, SMTP_USER], username
        began = self._clock.monotonic()
        query = select(table).where(table.c.lookup == lookup, table.c.kind.in_(kinds), table.c.revoked_at.is_(None))
        async with self._store.read() as connection:
            row = (await connection.execute(query)).one_or_none()
        if API_KEY not in kinds:
            loop = asyncio.get_running_loop()
            self.computed += 1
            right = await loop.run_in_executor(
                self._threads, self._matches, None if row is None else row.secret_hash, password
            )
            if not right:
                return None
        if row is None:
            return None
        secret = row.secret_hash or row.lookup
        self.directory.saw_credential(CredentialFacts.of(row), began)
        verified = _Verified(
            row.account_id,
            row.id,
            secret,
            self._clock.monotonic() + self._config.cache_time,
        )
        self._cache[digest] = verified
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
        return verified

    def _matches(self, secret_hash: str | None, password: str) -> bool:
        """Runs in a thread; argon2 gives the interpreter lock away."""
        try:
            return hasher.verify(secret_hash or self._no_hash.result(), password) and secret_hash is not None
        except (Argon2Error, InvalidHashError):
            return False

    def _digest(self, username: str, password: str) -> bytes:
        octets = username.encode("utf-8", "surrogatepass")
        secret = password.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, b"%d:%b%b" % (len(octets), octets, secret), hashlib.sha256)

    def _note_use(self, credential_id: int) -> None:
        self._used[credential_id] = self._clock.now()
        if self._clock.monotonic() - self._flushed >= _FLUSH_EVERY and self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Write when credentials were last used: once a minute, not once a login."""
        used, self._used = self._used, {}
        self._flushed = self._clock.monotonic()
        try:
            if used:
                statement = (
                    update(table).where(table.c.id == bindparam("credential")).values(last_used_at=bindparam("at"))
                )
                async with self._store.write() as connection:
                    await connection.execute(
                        statement, [{"credential": key, "at": at} for key, at in sorted(used.items())]
                    )
        except (StoreError, SQLAlchemyError, OSError) as error:
            log.warning("the last use of %d credentials is not recorded: %s", len(used), type(error).__name__)
        finally:
            self._flushing = None


def _user_key(username: str) -> str | None:
    """What failures of a user name are counted under, bounded in length.

    ``None`` for API keys: they all share one name, so that guesses at one would lock out the others; and they have
    256 bits, so that there is nothing to slow.
    """
    return None if username.lower() == API_KEY_USERNAME else username[:MAX_USERNAME]


def _is_text(value: str) -> bool:
    """Whether it can be what a database keeps: no NUL (PostgreSQL takes none), no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
