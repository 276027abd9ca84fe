"""Proving to be an account (``access.proof``): the one place that answers, and how passwords are checked.

A right password is computed once a minute, not once per connection: what was right is remembered under a keyed
hash, and each use of the memory asks the directory whether the credential still stands.

Guessing is slowed, then refused (``access.failures``), and guesses wait for one another (``access.login_queue``).
Nobody can lock an account out that way: what was right within a day (the login, or another of the same name from
the same address) goes before strangers and is not touched by failures from elsewhere; and an API key, whose check
is one look-up, is always looked at. Only the answer to a wrong one is late.

A credential may be bound to source networks. Elsewhere a right secret is answered exactly as a wrong one is: the
same reply, as late, and counted as a failure, so that a stolen secret cannot even be tried.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import re
from collections.abc import Awaitable, Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from argon2.exceptions import Argon2Error, InvalidHashError

from ekiden.access.access_keys import Signature
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import API_KEY_PREFIX, API_KEY_USERNAME, MAX_USERNAME, find_login, note_used
from ekiden.access.directory import CredentialFacts, Directory
from ekiden.access.failures import Failures
from ekiden.access.login_queue import Busy, Turns
from ekiden.access.passwords import MAX_PASSWORD, hasher, no_hash
from ekiden.access.proof import Found, LoginRefusal, Password, Principal, Proof, Shown, judge, stands
from ekiden.access.unavailable import looking_up
from ekiden.limits.journal import LOCKED, LOGIN
from ekiden.limits.lru import Lru
from ekiden.limits.repeated_log import RepeatedLog
from ekiden.net.listen import Networks
from ekiden.store.api import StoreUnavailable
from ekiden.store.errors import told

if TYPE_CHECKING:
    from ekiden.core.clock import Clock, Millis
    from ekiden.store.api import Store

__all__ = ["Authenticator", "LoginRefusal", "Password", "Principal", "Proof", "shown_login"]

_MAX_CACHED = 10_000
_LOOKUPS = 4
"""API keys looked up at the same time."""
_MAX_SHOWN = 64
"""Characters of a user name in the log."""
_LIKE_A_KEY = re.compile(f"{API_KEY_PREFIX}[0-9A-Za-z]+")
_SIGNATURE = "(signature)"
"""What wrong signatures are counted under, by address: of whichever access key, so that no owner is slowed."""
_KNOWN_GOOD_FOR = 86_400.0
_FLUSH_EVERY = 60.0
_AS_WRONG = (LoginRefusal.BAD_CREDENTIALS, LoginRefusal.NETWORK)
"""Answered as late as a wrong secret is, and counted as one."""


@dataclass(slots=True)
class _Verified:
    """A login that was right. ``secret`` is what the store kept for the credential then.

    After ``until`` it has to be computed again; it goes before strangers until ``_KNOWN_GOOD_FOR`` after that.
    """

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
        proxies: Networks | None = None,
    ) -> None:
        """``proxies``: those that are configured; failures that seem to come from them are nobody's."""
        self._store = store
        self._clock = clock
        self._config = config = config or AccessConfig()
        self.directory = directory or Directory(store, clock, max_age=config.recheck)
        self._key = os.urandom(32)
        self._cache: Lru[bytes, _Verified] = Lru(_MAX_CACHED)
        self._checks: dict[bytes, asyncio.Task[_Verified | None]] = {}
        self._checks_from: dict[str, set[asyncio.Task[_Verified | None]]] = {}
        self._checks_of: dict[tuple[str, str], set[asyncio.Task[_Verified | None]]] = {}
        self._failures = Failures(config, clock, proxies or Networks())
        self._turns = Turns(config.parallelism)
        self._lookups = Turns(_LOOKUPS)
        self.log = RepeatedLog("ekiden.access")
        self.told: Callable[[str], None] = lambda _: None
        """Hears of each login: ``accepted``, or the value of a ``LoginRefusal``. For metrics."""
        self._known_good: Lru[tuple[str, str], float] = Lru(_MAX_CACHED)
        self._threads = ThreadPoolExecutor(config.parallelism, thread_name_prefix="argon2")
        # An unknown user name costs the same work as a wrong password.
        self._no_hash = self._threads.submit(no_hash)
        self.computed = 0
        """Password hashes computed so far, for metrics: each is about 30 ms of one core."""
        self._used: dict[int, Millis] = {}
        self._flushed = clock.monotonic()
        self._flushing: asyncio.Task[None] | None = None

    async def prove(
        self,
        shown: Shown | Password,
        client_ip: str,
        scope: str = "",
        *,
        kinds: Collection[str] = (),
        admits: Callable[[Principal], Awaitable[bool]] | None = None,
    ) -> Proof | LoginRefusal:
        """Whether what is ``shown`` is good: now, from there, for ``scope`` (``access.credential_scopes``; empty:
        the caller looks at the scopes by itself), being of one of ``kinds`` (empty: of any).

        May take seconds when there were failures before. ``admits``: whether who it is may come in from there; else
        it is refused as a wrong one is.
        """
        try:
            answer = await (
                self._guessed(shown, client_ip) if isinstance(shown, Password) else self._shown(shown, client_ip)
            )
            if isinstance(answer, Proof):
                fits = not kinds or answer.credential.kind in kinds
                if not fits or (scope and scope not in answer.scopes):
                    answer = LoginRefusal.SCOPE
                elif admits is not None and not await admits(answer.principal):
                    if isinstance(shown, Password):
                        await self.turn_away(shown, client_ip)
                    answer = LoginRefusal.NETWORK
        except StoreUnavailable as error:
            told(self.log, "authentication is not possible", error)
            answer = LoginRefusal.UNAVAILABLE
        if isinstance(answer, LoginRefusal):
            self.tell(answer, shown.login, client_ip)
        elif isinstance(shown, Password):
            self.told("accepted")
        return answer

    def tell(self, why: LoginRefusal, login: str, client_ip: str) -> None:
        """Count and log a login that was refused, here or by who knows more of what was shown. Never the secret."""
        self.told(why.value)
        if why is LoginRefusal.UNAVAILABLE:
            return
        login = shown_login(login)
        kind = LOCKED if why is LoginRefusal.TOO_MANY else LOGIN
        key = (self._failures.key(client_ip), login)  # two thousand keys are kept: short ones
        self.log.tell(kind, key=key, client=client_ip, why=why.value, login=login)

    async def turn_away(self, shown: Password, client_ip: str) -> None:
        """For a login that is right and yet refused as a wrong one (network rules): let it look like one.

        It counts as a failure, waits as long, and has to be computed again the next time.
        """
        login, api_key, address = *_login(shown.login), self._failures.key(client_ip)
        self._cache.pop(self._digest(shown.login, shown.password), None)
        self._known_good.pop((login, address), None)
        self._failures.count(address, login, api_key=api_key, checked=True)
        await asyncio.sleep(self._failures.delay(address, login, api_key=api_key))

    def known_valid(self, principal: Principal, client_ip: str = "", scope: str = "") -> bool | None:
        """``still_valid`` from memory; ``None``: not known well enough, ask ``still_valid``."""
        if not principal.credential_id:
            return True
        facts = self.directory.fresh_credential(principal.credential_id)
        return None if facts is None else stands(principal, facts, client_ip, scope)

    async def still_valid(self, principal: Principal, client_ip: str = "", scope: str = "") -> bool:
        """Whether what opened a session still opens one. Raises what the store raises.

        The credential is not revoked, its secret is the one that was shown, and its bounds let a client at
        ``client_ip`` (empty: wherever) do what ``scope`` (empty: anything) says.
        """
        if not principal.credential_id:
            return True
        return stands(principal, await self.directory.credential(principal.credential_id), client_ip, scope)

    def seemed_valid(self, principal: Principal, client_ip: str = "", scope: str = "") -> bool:
        """``still_valid`` as of the last look, which ``Directory.refresh`` keeps young for open sessions."""
        if not principal.credential_id or not self.directory.knows_credential(principal.credential_id):
            return True
        return stands(principal, self.directory.last_credential(principal.credential_id), client_ip, scope)

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
        self.log.flush()

    async def _signed(self, shown: Signature, client_ip: str) -> Proof | LoginRefusal:
        """As an API key: each is looked at, a wrong one is answered late, and nobody else waits for it."""
        failures, address = self._failures, self._failures.key(client_ip)
        if shown.known:
            found = await shown.find()
        else:
            # Ids that somebody makes up cost a query each: they wait for one another.
            def failed() -> float:
                return failures.of(address, _SIGNATURE, api_key=True)

            try:
                await self._lookups.wait(address, failed, self._config.max_wait)
            except Busy:
                await asyncio.sleep(self._lateness(address))
                return LoginRefusal.BUSY
            try:
                found = await shown.find()
            finally:
                self._lookups.give(address)
        answer = LoginRefusal.BAD_CREDENTIALS if found is None else await self._judged(found, client_ip)
        if answer in _AS_WRONG:
            failures.count(address, _SIGNATURE, api_key=True, checked=True)
            await asyncio.sleep(self._lateness(address))
        elif isinstance(answer, Proof):
            self._note_use(answer.credential.id)
        return answer

    def _lateness(self, address: str) -> float:
        """Seconds to wait before the answer to a wrong signature. Nobody can guess one, so it does not grow."""
        return min(self._delay(address, _SIGNATURE, True), self._config.delay)

    async def _shown(self, shown: Shown, client_ip: str) -> Proof | LoginRefusal:
        if isinstance(shown, Signature):
            return await self._signed(shown, client_ip)
        found = await shown.find()
        return LoginRefusal.BAD_CREDENTIALS if found is None else await self._judged(found, client_ip)

    async def _judged(self, found: Found, client_ip: str) -> Proof | LoginRefusal:
        directory = self.directory
        credential = directory.fresh_credential(found.credential_id)
        account_id = found.account_id
        account = None if account_id is None else directory.fresh_account(account_id)
        if account_id is None:
            credential = credential or await directory.credential(found.credential_id)
            account = None if credential is None else await directory.account(credential.account_id)
        elif credential is None or account is None:
            credential, account = await asyncio.gather(
                directory.credential(found.credential_id), directory.account(account_id)
            )
        return judge(found, credential, account, client_ip)

    async def _guessed(self, shown: Password, client_ip: str) -> Proof | LoginRefusal:
        username, password = shown.login, shown.password
        failures = self._failures
        address = failures.key(client_ip)
        login, api_key = _login(username)
        digest = self._digest(username, password)
        verified = self._cache.get(digest)
        was_right = verified is not None and await self._stands(digest, verified)
        if verified is not None and was_right:
            in_time = self._clock.monotonic() < verified.until
            if in_time:
                answer = await self._confirm(verified, client_ip)
                if answer not in _AS_WRONG:
                    self._was_right(login, address)
                    return answer
                # From a network that it is not for it costs what a wrong password costs.
                was_right = answer is not LoginRefusal.NETWORK
        last = self._known_good.get((login, address))
        here_before = last is not None and self._clock.monotonic() < last + _KNOWN_GOOD_FOR
        if not was_right and not api_key and await self._shut(digest, address, login, here_before):
            await asyncio.sleep(self._delay(address, login, api_key))
            return LoginRefusal.TOO_MANY
        few = failures.of_both(address, login) < self._config.address_delay_after
        try:
            verified = await self._check(
                digest, username, password, address, known=was_right or (here_before and few)
            )
        except Busy:
            await asyncio.sleep(self._delay(address, login, api_key))
            return LoginRefusal.BUSY
        answer = LoginRefusal.BAD_CREDENTIALS if verified is None else await self._confirm(verified, client_ip)
        if answer is LoginRefusal.NETWORK:
            failures.count(address, login, api_key=api_key, checked=True)
        if answer in _AS_WRONG:
            # Counted already: of an API key all are looked at, and too many is only what the guesser hears.
            too_many = api_key and failures.of_both(address, login) > self._config.guess_limit
            await asyncio.sleep(self._delay(address, login, api_key))
            return LoginRefusal.TOO_MANY if too_many else answer
        self._was_right(login, address)
        return answer

    async def _shut(self, digest: bytes, address: str, login: str, known: bool) -> bool:
        """Whether it is refused unchecked.

        Guesses that are being computed count as failures until they are not: none slips past a limit.
        """
        while True:
            here, same = self._checks_from.get(address, set()), self._checks_of.get((address, login), set())
            if not self._failures.shuts(address, login, known=known, running=len(same), running_here=len(here)):
                return False
            if not here or digest in self._checks or self._failures.shuts(address, login, known=known):
                return digest not in self._checks
            await asyncio.wait(here, return_when=asyncio.FIRST_COMPLETED)

    async def _stands(self, digest: bytes, verified: _Verified) -> bool:
        """Whether what was right within a day would be right now; else it is forgotten."""
        directory = self.directory
        facts = directory.fresh_credential(verified.credential_id)
        if facts is None:
            facts = await directory.credential(verified.credential_id)
        if (
            facts is not None
            and not facts.revoked
            and hmac.compare_digest(facts.secret, verified.secret)
            and self._clock.monotonic() < verified.until + _KNOWN_GOOD_FOR
        ):
            return True
        self._cache.pop(digest, None)
        return False

    def _was_right(self, login: str, address: str) -> None:
        self._known_good.put((login, address), self._clock.monotonic())

    def _delay(self, address: str, login: str, api_key: bool) -> float:
        return self._failures.delay(address, login, api_key=api_key)

    async def _confirm(self, verified: _Verified, client_ip: str) -> Proof | LoginRefusal:
        """Whether what was right is right now."""
        found = Found(
            verified.credential_id,
            verified.account_id,
            fits=lambda secret: hmac.compare_digest(secret, verified.secret),
        )
        answer = await self._judged(found, client_ip)
        if isinstance(answer, Proof):
            self._note_use(answer.credential.id)
        return answer

    async def _check(
        self, digest: bytes, username: str, password: str, address: str, *, known: bool
    ) -> _Verified | None:
        """Look it up and compute, when it is its turn. The same login asked for at the same time is computed once.

        Raises ``Busy``.
        """
        task = self._checks.get(digest)
        if task is None:
            task = asyncio.create_task(self._in_turn(digest, username, password, address, known=known))
            self._checks[digest] = task
            login, api_key = _login(username)
            here = self._checks_from.setdefault(address, set())
            same = self._checks_of.setdefault((address, login), set())
            here.add(task)
            same.add(task)

            def done(task: asyncio.Task[_Verified | None]) -> None:
                # Here, not where it is waited for: a client that hangs up early has guessed all the same.
                self._checks.pop(digest, None)
                here.discard(task)
                same.discard(task)
                if not here and self._checks_from.get(address) is here:
                    del self._checks_from[address]
                if not same and self._checks_of.get((address, login)) is same:
                    del self._checks_of[address, login]
                if task.cancelled():
                    return
                error = task.exception()
                if isinstance(error, Busy) or (error is None and task.result() is None):
                    self._failures.count(address, login, api_key=api_key, checked=error is None)

            task.add_done_callback(done)
        return await asyncio.shield(task)

    async def _in_turn(
        self, digest: bytes, username: str, password: str, address: str, *, known: bool
    ) -> _Verified | None:
        if len(username) > MAX_USERNAME or len(password) > MAX_PASSWORD or not _is_text(username + password):
            return None
        login, api_key = _login(username)
        turns = self._lookups if api_key else self._turns

        def failures() -> float:
            return self._failures.of(address, login, api_key=api_key)

        await turns.wait(address, failures, self._config.max_wait, known=known)
        try:
            return await self._compute(digest, username, password)
        finally:
            turns.give(address, known=known)

    async def _compute(self, digest: bytes, username: str, password: str) -> _Verified | None:
        began = self._clock.monotonic()
        async with looking_up(self._store) as connection:
            row = await find_login(connection, username, password)
        if username.lower() != API_KEY_USERNAME:
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
        self._cache.put(digest, verified)
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
                async with self._store.write() as connection:
                    await note_used(connection, used)
        except Exception as error:
            told(self.log, "the last use of credentials is not recorded", error, credentials=len(used))
        finally:
            self._flushing = None


def shown_login(username: str) -> str:
    """A user name for the log: bounded, and without what looks like an API key at the wrong place."""
    return _LIKE_A_KEY.sub(API_KEY_PREFIX + "***", username[: 2 * _MAX_SHOWN])[:_MAX_SHOWN]


def _login(username: str) -> tuple[str, bool]:
    """What failures of a user name are counted under, bounded in length; whether that is an API key's.

    All API keys share one name, so that its failures say nothing from elsewhere; and they have 256 bits, so that
    there is nothing to slow.
    """
    api_key = username.lower() == API_KEY_USERNAME
    return API_KEY_USERNAME if api_key else username[:MAX_USERNAME], api_key


def _is_text(value: str) -> bool:
    """Whether it can be what a database keeps: no NUL (PostgreSQL takes none), no lone surrogate."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value
