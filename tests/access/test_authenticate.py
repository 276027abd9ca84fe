"""Proving to be an account, with a real store and real hashes."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import DropTable

from ekiden.access import authenticate
from ekiden.access.accounts import create_account, resume_account, suspend_account
from ekiden.access.authenticate import Authenticator, LoginRefusal, Password, Principal, Proof
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import (
    api_key_lookup,
    bound_credential,
    create_api_key,
    list_credentials,
    revoke_credential,
    set_password,
)
from ekiden.access.directory import Directory
from ekiden.core.clock import SECOND
from ekiden.core.states import Priority
from ekiden.listeners.smtp_submission import NOT_LOGGED_IN
from ekiden.net.listen import Networks
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.tables import account as account_table
from ekiden.store.tables import credential as table
from support.manual_clock import ManualClock
from support.stores_away import store_away
from support.structured_logs import told

PASSWORD = "correct horse"
NO_DELAY = AccessConfig(delay=0, max_delay=0)
HERE = "192.0.2.1"


async def proven(
    authenticator: Authenticator, username: str, password: str, address: str, scope: str = ""
) -> Principal | LoginRefusal:
    found = await authenticator.prove(Password(username, password), address, scope)
    return found.principal if isinstance(found, Proof) else found


@dataclass
class World:
    store: Store
    clock: ManualClock
    authenticator: Authenticator
    account_id: int
    password_id: int
    key_id: int
    key: str

    @property
    def mailer(self) -> Principal:
        return Principal(self.account_id, self.password_id, "acme", Priority.HIGH, "password")

    @property
    def app(self) -> Principal:
        return Principal(self.account_id, self.key_id, "acme", Priority.HIGH, "api_key")

    async def verify(self, username: str, password: str, address: str = HERE) -> Principal | LoginRefusal:
        return await proven(self.authenticator, username, password, address)

    def hashes(self) -> int:
        """How many were computed so far."""
        return self.authenticator.computed


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[Store]:
    opened = await open_store(sqlite_url)
    yield opened
    await opened.close()


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now(), priority=Priority.HIGH)
    password = await set_password(store, account.id, "mailer", PASSWORD, clock.now())
    key = await create_api_key(store, account.id, "key", clock.now())
    authenticator = Authenticator(store, clock, NO_DELAY)
    yield World(store, clock, authenticator, account.id, password.id, key.credential.id, key.key)
    await authenticator.close()


async def test_password_and_api_key(world: World) -> None:
    assert await world.verify("mailer", PASSWORD) == world.mailer
    for username in ("App", "app", "APP"):
        assert await world.verify(username, world.key) == world.app


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("mailer", "wrong"),
        ("Mailer", PASSWORD),
        ("nobody", PASSWORD),
        ("mailer", ""),
        ("", ""),
        ("App", "ek_wrong"),
        ("App", PASSWORD),
        ("mailer", "x" * 100_000),
        ("x" * 100_000, "x"),
        ("nul\0", "nul\0"),
        ("lone \udcff surrogate", "\udcff"),
    ],
)
async def test_wrong_ones(world: World, username: str, password: str) -> None:
    assert await world.verify(username, password) is LoginRefusal.BAD_CREDENTIALS


async def test_the_key_is_no_password_and_its_hash_is_no_key(world: World) -> None:
    assert await world.verify("mailer", world.key) is LoginRefusal.BAD_CREDENTIALS
    assert await world.verify("key", world.key) is LoginRefusal.BAD_CREDENTIALS
    assert await world.verify(api_key_lookup(world.key), world.key) is LoginRefusal.BAD_CREDENTIALS
    assert await world.verify("App", api_key_lookup(world.key)) is LoginRefusal.BAD_CREDENTIALS


async def test_what_was_right_is_remembered_for_a_while(world: World) -> None:
    await world.verify("mailer", PASSWORD)
    before = world.hashes()
    for _ in range(5):
        assert await world.verify("mailer", PASSWORD) == world.mailer
    assert world.hashes() == before
    world.clock.advance(61 * SECOND)
    assert await world.verify("mailer", PASSWORD) == world.mailer
    assert world.hashes() == before + 1


async def test_the_same_login_at_the_same_time_is_computed_once(world: World) -> None:
    before = world.hashes()
    answers = await asyncio.gather(*(world.verify("mailer", PASSWORD) for _ in range(50)))
    assert answers == [world.mailer] * 50
    assert world.hashes() == before + 1


async def test_an_unknown_user_name_costs_as_much_as_a_wrong_password(world: World) -> None:
    before = world.hashes()
    await world.verify("nobody", PASSWORD)
    assert world.hashes() == before + 1
    await world.verify("mailer", "wrong")
    assert world.hashes() == before + 2


async def test_an_unknown_user_name_is_computed_as_a_wrong_password_is(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Computed indeed: who is answered without it is answered at once, and that tells who there is."""
    real = authenticate.hasher
    computed: list[str] = []

    class Watched:
        def verify(self, kept: str, password: str) -> bool:
            computed.append(password)
            return real.verify(kept, password)

    monkeypatch.setattr(authenticate, "hasher", Watched())
    await world.verify("nobody", "guess 1")
    await world.verify("mailer", "guess 2")
    await world.verify("mailer", PASSWORD)
    assert computed == ["guess 1", "guess 2", PASSWORD]


async def test_a_revoked_credential_is_out_within_two_seconds(world: World) -> None:
    await world.verify("mailer", PASSWORD)
    await world.verify("App", world.key)
    for credential in await list_credentials(world.store):
        await revoke_credential(world.store, credential.id, world.clock.now())
    world.clock.advance(2 * SECOND)
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.BAD_CREDENTIALS
    assert await world.verify("App", world.key) is LoginRefusal.BAD_CREDENTIALS


async def test_a_changed_password_is_in_within_two_seconds(world: World) -> None:
    await world.verify("mailer", PASSWORD)
    await set_password(world.store, world.account_id, "mailer", "battery staple", world.clock.now())
    assert await world.verify("mailer", "battery staple") == world.mailer
    world.clock.advance(2 * SECOND)
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.BAD_CREDENTIALS


async def test_a_suspended_account_is_told_so_and_comes_back(world: World) -> None:
    await world.verify("mailer", PASSWORD)
    await suspend_account(world.store, "acme", world.clock.now())
    world.clock.advance(2 * SECOND)
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.SUSPENDED
    assert await world.verify("mailer", "wrong") is LoginRefusal.BAD_CREDENTIALS
    await resume_account(world.store, "acme", world.clock.now())
    world.clock.advance(2 * SECOND)
    assert await world.verify("mailer", PASSWORD) == world.mailer


async def test_open_sessions_hear_of_it_too(world: World) -> None:
    principal = await world.verify("mailer", PASSWORD)
    assert isinstance(principal, Principal)
    assert world.authenticator.known_valid(principal) is True
    world.clock.advance(2 * SECOND)
    assert world.authenticator.known_valid(principal) is None
    assert await world.authenticator.still_valid(principal)
    await revoke_credential(world.store, principal.credential_id, world.clock.now())
    world.clock.advance(2 * SECOND)
    assert not await world.authenticator.still_valid(principal)
    assert world.authenticator.known_valid(principal) is False
    trusted = Principal(world.account_id, 0, "acme")
    assert world.authenticator.known_valid(trusted) is True
    assert await world.authenticator.still_valid(trusted)


async def bound(world: World, credential_id: int, scopes: list[str], networks: list[str]) -> None:
    await bound_credential(world.store, credential_id, world.clock.now(), scopes=scopes, networks=networks)
    world.clock.advance(2 * SECOND)


async def test_source_networks(world: World) -> None:
    await world.verify("mailer", PASSWORD)
    await bound(world, world.password_id, [], ["10.0.0.0/8", "2001:db8::/32"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "2001:db8::7"):
        assert await world.verify("mailer", PASSWORD, address) == world.mailer
    with told() as lines:
        for address in (HERE, "2001:db9::7", "11.0.0.1", ""):
            assert await world.verify("mailer", PASSWORD, address) is LoginRefusal.NETWORK
    assert [(line["why"], line["client"]) for line in lines][:2] == [("network", HERE), ("network", "2001:db9::7")]
    assert await world.verify("App", world.key) == world.app


async def test_from_elsewhere_a_right_password_looks_like_a_wrong_one(world: World) -> None:
    await bound(world, world.password_id, [], ["10.0.0.0/8"])
    assert NOT_LOGGED_IN[LoginRefusal.NETWORK] == NOT_LOGGED_IN[LoginRefusal.BAD_CREDENTIALS]
    assert await world.verify("mailer", PASSWORD, "10.0.0.1") == world.mailer
    before = world.hashes()
    for number in range(20):
        assert await world.verify("mailer", PASSWORD) is LoginRefusal.NETWORK
        assert world.hashes() == before + number + 1, "as much work as for a wrong one, though it is remembered"
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.TOO_MANY, "counted as a wrong one"
    before = world.hashes()
    assert await world.verify("mailer", PASSWORD, "10.0.0.1") == world.mailer
    assert world.hashes() == before, "and still remembered for where it is right"
    await suspend_account(world.store, "acme", world.clock.now())
    world.clock.advance(2 * SECOND)
    assert await world.verify("mailer", PASSWORD, "192.0.2.2") is LoginRefusal.NETWORK


async def test_a_right_login_that_is_turned_away_costs_what_a_wrong_one_does(world: World) -> None:
    for number in range(20):
        assert await world.verify("mailer", PASSWORD) == world.mailer
        assert world.hashes() == number + 1, "computed each time"
        await world.authenticator.turn_away(Password("mailer", PASSWORD), HERE)
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.TOO_MANY
    assert await world.verify("mailer", PASSWORD, "192.0.2.2") == world.mailer


async def test_scopes(world: World) -> None:
    verify = partial(proven, world.authenticator)
    assert await verify("App", world.key, HERE, "send") == world.app
    await bound(world, world.key_id, ["read", "manage"], [])
    with told() as lines:
        assert await verify("App", world.key, HERE, "send") is LoginRefusal.SCOPE
    assert [line["why"] for line in lines] == ["scope"]
    principal = await verify("App", world.key, HERE, "manage")
    assert isinstance(principal, Principal)
    assert (principal.kind, principal.scopes) == ("api_key", {"read", "manage"})
    assert await world.verify("App", world.key) == principal, "nothing is asked for"
    assert await verify("App", "ek_wrong", HERE, "send") is LoginRefusal.BAD_CREDENTIALS


async def test_guessing_from_one_address_is_refused_after_a_while(world: World) -> None:
    answers = [await world.verify("mailer", f"guess {n}") for n in range(25)]
    assert answers == [LoginRefusal.BAD_CREDENTIALS] * 20 + [LoginRefusal.TOO_MANY] * 5
    before = world.hashes()
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.TOO_MANY
    assert world.hashes() == before
    assert await world.verify("other", PASSWORD) is LoginRefusal.BAD_CREDENTIALS, "another user name is looked at"
    assert await world.verify("mailer", PASSWORD, "192.0.2.2") == world.mailer
    world.clock.advance(1300 * SECOND)
    assert await world.verify("mailer", PASSWORD) == world.mailer


async def test_guesses_at_api_keys_cost_only_the_guesser(world: World) -> None:
    answers = [await world.verify("App", f"ek_{n:043}") for n in range(40)]
    assert answers == [LoginRefusal.BAD_CREDENTIALS] * 20 + [LoginRefusal.TOO_MANY] * 20
    new = await create_api_key(world.store, world.account_id, "new", world.clock.now())
    assert await world.verify("App", world.key) == world.app
    assert isinstance(await world.verify("app", new.key), Principal)
    # Nor do they say anything of passwords.
    assert await world.verify("mailer", PASSWORD) == world.mailer


async def test_what_was_right_is_let_in_from_where_others_guess(store: Store, world: World) -> None:
    config = AccessConfig(delay=0, max_delay=0, guess_limit=2, address_limit=5)
    authenticator = Authenticator(store, world.clock, config)
    await set_password(store, world.account_id, "second", "battery staple", world.clock.now())
    assert await proven(authenticator, "mailer", PASSWORD, HERE) == world.mailer
    for number in range(4):
        for name in ("mailer", "nobody", "somebody"):
            await proven(authenticator, name, f"guess {number}", HERE)
    assert await proven(authenticator, "second", "battery staple", HERE) is LoginRefusal.TOO_MANY
    assert await proven(authenticator, "mailer", "another guess", HERE) is LoginRefusal.TOO_MANY
    before = authenticator.computed
    world.clock.advance(61 * SECOND)  # the memory of hashes has ended, the window has not
    assert await proven(authenticator, "mailer", PASSWORD, HERE) == world.mailer
    assert authenticator.computed == before + 1
    await authenticator.close()


async def test_a_changed_password_gives_its_place_up(world: World) -> None:
    assert await world.verify("mailer", PASSWORD) == world.mailer
    await set_password(world.store, world.account_id, "mailer", "battery staple", world.clock.now())
    world.clock.advance(2 * SECOND)
    for _ in range(20):
        assert await world.verify("mailer", PASSWORD) is LoginRefusal.BAD_CREDENTIALS
    assert await world.verify("mailer", PASSWORD) is LoginRefusal.TOO_MANY, "what was right once is a guess now"


@pytest.mark.parametrize("proxy", ["10.0.0.1", "::ffff:10.0.0.1"])
async def test_a_proxy_that_is_configured_is_no_client(store: Store, world: World, proxy: str) -> None:
    authenticator = Authenticator(store, world.clock, NO_DELAY, proxies=Networks(["10.0.0.0/24"]))
    for number in range(60):
        answer = await proven(authenticator, f"user {number % 2}", f"guess {number}", proxy)
        assert answer is LoginRefusal.BAD_CREDENTIALS
    assert await proven(authenticator, "mailer", PASSWORD, proxy) == world.mailer
    await authenticator.close()


async def test_failures_are_told_with_address_and_name_and_in_bounds(world: World) -> None:
    results: Counter[str] = Counter()
    world.authenticator.told = lambda result: results.update([result])
    with told() as lines:
        for number in range(200):
            await world.verify("mailer", f"guess {number}")
        for number in range(200):
            await world.verify("App", f"ek_{number:043}", f"203.0.113.{number}")
        await world.verify("mailer", PASSWORD, "192.0.2.9")
        await world.verify("\x1b[31m" + "x" * 5_000, "guess", "192.0.2.10")
        world.authenticator.log.flush()
    assert results == {"bad_credentials": 221, "too_many": 180, "accepted": 1}
    assert len(lines) < 230
    first = lines[0]
    assert (first["event"], first["login"], first["client"]) == ("login refused", "mailer", HERE)
    locked = [line for line in lines if line["event"] == "logins are refused after many failures"]
    assert (locked[0]["level"], locked[0]["login"], locked[0]["client"]) == ("warning", "mailer", HERE)
    assert sum(line.get("repeated", 1) for line in lines) == 401
    assert all(len(line["login"]) <= 64 for line in lines)


async def test_too_many_that_wait_are_told_so_and_counted(store: Store, world: World) -> None:
    authenticator = Authenticator(store, world.clock, NO_DELAY)
    results: Counter[str] = Counter()
    authenticator.told = lambda result: results.update([result])
    # One place: what one address asks at once waits for itself.
    answers = await asyncio.gather(
        *(proven(authenticator, f"user {n}", "guess", HERE) for n in range(90)),
        proven(authenticator, "mailer", PASSWORD, "192.0.2.2"),
    )
    assert answers.pop() == world.mailer
    assert set(answers) <= {LoginRefusal.BAD_CREDENTIALS, LoginRefusal.BUSY}
    assert LoginRefusal.BUSY in answers
    assert results["busy"] == answers.count(LoginRefusal.BUSY)
    assert authenticator._failures.of(HERE, "", api_key=False) == 90, "what nobody looked at counts, too"
    await authenticator.close()


async def test_open_sessions_end_with_what_opened_them(world: World) -> None:
    async def opened() -> Principal:
        principal = await world.verify("mailer", PASSWORD)
        assert isinstance(principal, Principal)
        return principal

    still = world.authenticator.still_valid
    principal = await opened()
    assert await still(principal, HERE, "send")
    await bound(world, world.password_id, ["read"], [])
    assert not await still(principal, HERE, "send")
    assert await still(principal, HERE, "read")
    await bound(world, world.password_id, [], ["10.0.0.0/8"])
    assert not await still(principal, HERE, "send")
    assert await still(principal, "10.0.0.1", "send")
    await bound(world, world.password_id, [], [])
    assert world.authenticator.known_valid(principal, HERE, "send") is None
    assert await still(principal, HERE, "send")
    await set_password(world.store, world.account_id, "mailer", "battery staple", world.clock.now())
    world.clock.advance(2 * SECOND)
    assert not await still(principal, HERE, "send")
    assert world.authenticator.known_valid(principal, HERE, "send") is False
    # The old one again: argon2id has another salt, and whoever had it may not be who set it.
    await set_password(world.store, world.account_id, "mailer", PASSWORD, world.clock.now())
    world.clock.advance(2 * SECOND)
    assert not await still(principal, HERE, "send")
    assert await still(await opened(), HERE, "send")


async def test_many_guesses_at_once_do_not_slip_past_the_limit(world: World) -> None:
    before = world.hashes()
    answers = await asyncio.gather(*(world.verify("mailer", f"guess {n}") for n in range(60)))
    assert answers.count(LoginRefusal.BAD_CREDENTIALS) <= 20
    assert world.hashes() - before <= 20


async def test_many_right_logins_at_once_from_one_address_all_pass(world: World) -> None:
    for number in range(30):
        await create_api_key(world.store, world.account_id, f"key {number}", world.clock.now())
    keys = [await create_api_key(world.store, world.account_id, f"k{n}", world.clock.now()) for n in range(30)]
    answers = await asyncio.gather(*(world.verify("App", key.key) for key in keys))
    assert all(isinstance(answer, Principal) for answer in answers)


async def test_guessing_at_an_account_from_everywhere_does_not_lock_it_out(store: Store, world: World) -> None:
    few = AccessConfig(delay=0, max_delay=0, account_limit=5)
    authenticator = Authenticator(store, world.clock, few)
    known, cached = "198.51.100.1", "198.51.100.2"
    assert await proven(authenticator, "mailer", PASSWORD, known) == world.mailer
    for number in range(10):
        answer = await proven(authenticator, "mailer", f"guess {number}", f"203.0.113.{number}")
        assert answer is LoginRefusal.BAD_CREDENTIALS, "each address has one try"
        again = await proven(authenticator, "mailer", f"guess {number} again", f"203.0.113.{number}")
        assert again is (LoginRefusal.BAD_CREDENTIALS if number < 2 else LoginRefusal.TOO_MANY)
    assert await proven(authenticator, "mailer", PASSWORD, cached) == world.mailer
    world.clock.advance(61 * SECOND)
    assert await proven(authenticator, "mailer", PASSWORD, "198.51.100.3") == world.mailer, "a newcomer, too"
    assert await proven(authenticator, "mailer", PASSWORD, known) == world.mailer
    for number in range(100):
        await proven(authenticator, "mailer", f"guess {number}", f"203.0.113.{100 + number}")
    assert await proven(authenticator, "mailer", "guess", "198.51.100.4") is LoginRefusal.TOO_MANY, "not for ever"
    assert await proven(authenticator, "mailer", PASSWORD, "198.51.100.4") == world.mailer, (
        "what was right is right"
    )
    assert await proven(authenticator, "App", world.key, "198.51.100.3") == world.app
    await authenticator.close()


async def test_failures_are_answered_later_and_later(store: Store, world: World) -> None:
    slow = AccessConfig(delay=0.01, max_delay=0.04, address_delay_after=2)
    authenticator = Authenticator(store, world.clock, slow)
    loop = asyncio.get_running_loop()
    took = []
    for number in range(5):
        began = loop.time()
        await proven(authenticator, "App", f"guess {number}", HERE)
        took.append(loop.time() - began)
    # At least the delay; how much more is the machine's matter.
    for seconds, delay in zip(took, [0, 0.01, 0.02, 0.04, 0.04], strict=True):
        assert seconds >= delay * 0.9
    await authenticator.close()


async def test_the_last_use_is_written_once_a_minute(world: World) -> None:
    async def last_used() -> list[int | None]:
        return [credential.last_used_at for credential in await list_credentials(world.store)]

    await world.verify("mailer", PASSWORD)
    assert await last_used() == [None, None]
    world.clock.advance(61 * SECOND)
    at = world.clock.now()
    await world.verify("mailer", PASSWORD)
    await world.authenticator.close()
    assert await last_used() == [at, None]


async def test_a_store_that_is_away_is_a_temporary_failure(
    world: World, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    async with store_away(tmp_path) as store:
        away = Authenticator(store, world.clock, NO_DELAY)
        assert await proven(away, "mailer", PASSWORD, HERE) is LoginRefusal.UNAVAILABLE
        await away.close()
    assert PASSWORD not in caplog.text


async def test_a_fault_of_ours_is_no_temporary_failure(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with world.store.write() as connection:
        await connection.execute(DropTable(table))
    with pytest.raises(SQLAlchemyError):
        await world.verify("mailer", PASSWORD)
    assert PASSWORD not in caplog.text


async def test_nothing_secret_is_shown(world: World) -> None:
    with told() as lines:
        principal = await world.verify("mailer", PASSWORD)
        for _ in range(25):
            await world.verify("mailer", "wrong password")
        await world.verify(world.key, "at the wrong place")
        await world.verify(f"App {world.key}", world.key)
    facts = await world.authenticator.directory.credential(world.password_id)
    assert {line["login"] for line in lines} == {"mailer", "ek_***", "App ek_***"}
    for text in (repr(principal), repr(facts), repr(vars(world.authenticator)), repr(lines)):
        assert PASSWORD not in text
        assert "wrong password" not in text
        assert "argon2id" not in text
        assert world.key not in text


@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (LoginRefusal.BAD_CREDENTIALS, "535 5.7.8"),
        (LoginRefusal.TOO_MANY, "454 4.7.0 Too many failed attempts"),
        (LoginRefusal.NETWORK, "535 5.7.8 Error: authentication failed"),
        (LoginRefusal.SCOPE, "535 5.7.8 Error: this credential is not for submitting mail"),
        (LoginRefusal.SUSPENDED, "535 5.7.13"),
        (LoginRefusal.UNAVAILABLE, "454 4.7.0"),
    ],
)
def test_replies(refusal: LoginRefusal, code: str) -> None:
    assert str(NOT_LOGGED_IN[refusal]).startswith(code)


async def test_the_directory_asks_once_for_many_and_forgets(world: World) -> None:
    directory = Directory(world.store, world.clock)
    answers = await asyncio.gather(*(directory.account(world.account_id) for _ in range(20)))
    assert {answer.name for answer in answers if answer is not None} == {"acme"}
    assert await directory.account(999_999) is None
    assert await directory.credential(999_999) is None

    async with world.store.write() as connection:
        await connection.execute(delete(account_table))
    fresh = directory.fresh_account(world.account_id)
    assert fresh is not None
    assert not fresh.suspended
    world.clock.advance(2 * SECOND)
    assert directory.fresh_account(world.account_id) is None
    assert await directory.account(world.account_id) is None
    await directory.close()


async def test_the_directory_reads_again_together_what_is_in_use(world: World) -> None:
    directory = Directory(world.store, world.clock)
    await directory.account(world.account_id)
    await directory.credential(world.password_id)
    world.clock.advance(1_500)
    await directory.credential(world.password_id)
    assert directory.fresh_account(world.account_id) is not None
    world.clock.advance(600 * SECOND)
    await directory.credential(world.key_id)
    assert directory.fresh_credential(world.password_id) is None
    await directory.close()
