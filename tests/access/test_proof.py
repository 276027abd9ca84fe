"""Whatever is shown, one rule says what it proves, and one place tells of what it refuses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from ekiden.access.accounts import create_account, suspend_account
from ekiden.access.authenticate import Authenticator
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import bound_credential, create_api_key, revoke_credential, set_password
from ekiden.access.proof import Found, LoginRefusal, Password, Principal, Proof, Shown, Unreadable, stands
from ekiden.access.sessions import LIFETIME, Sessions, SessionToken
from ekiden.access.tokens import BearerToken, Tokens
from ekiden.access.vault import Vault
from ekiden.core.clock import SECOND
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.manual_clock import ManualClock
from support.stores_away import store_away
from support.structured_logs import told

PASSWORD: Final = "correct horse"
HERE: Final = "192.0.2.1"
ELSEWHERE: Final = "198.51.100.9"


@dataclass(frozen=True)
class Signature:
    """A scheme of tomorrow: something over the request, by a key that the store knows."""

    right: bool
    key: int
    login: str = "AK-1"

    async def find(self) -> Found | None:
        return Found(self.key) if self.right else None


@dataclass
class World:
    store: Store
    clock: ManualClock
    authenticator: Authenticator
    account_id: int
    shown: dict[str, Shown | Password]
    credential_id: dict[str, int]

    async def prove(self, scheme: str, address: str = HERE, scope: str = "") -> Proof | LoginRefusal:
        self.clock.advance(2 * SECOND)  # what was read before is not fresh any more
        return await self.authenticator.prove(self.shown[scheme], address, scope)


LOGINS: Final = {
    "password": "mailer",
    "key": "App",
    "session": "(session)",
    "bearer": "(bearer)",
    "signature": "AK-1",
}
SCHEMES: Final = tuple(LOGINS)


@pytest.fixture
async def world(sqlite_url: str) -> AsyncIterator[World]:
    store = await open_store(sqlite_url)
    clock = ManualClock()
    now = clock.now()
    account = await create_account(store, "acme", now)
    password = (await set_password(store, account.id, "mailer", PASSWORD, now)).id
    made = await create_api_key(store, account.id, "key", now)
    authenticator = Authenticator(store, clock, AccessConfig(delay=0, max_delay=0))
    sessions = Sessions(store, clock, authenticator.directory, 3_600.0)
    tokens = Tokens(Vault(bytes(32)), clock)
    login, key = Password("mailer", PASSWORD), Password("App", made.key)
    proof = await authenticator.prove(login, HERE)
    assert isinstance(proof, Proof)
    session = SessionToken(sessions, await sessions.open(proof))
    proof = await authenticator.prove(key, HERE)
    assert isinstance(proof, Proof)
    bearer = BearerToken(tokens, tokens.issue(proof.credential, proof.account, proof.scopes, 3_600.0).text)
    number = made.credential.id
    yield World(
        store,
        clock,
        authenticator,
        account.id,
        {
            "password": login,
            "key": key,
            "session": session,
            "bearer": bearer,
            "signature": Signature(True, number),
        },
        {"password": password, "session": password, "key": number, "bearer": number, "signature": number},
    )
    await authenticator.close()
    await store.close()


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_who_it_is(world: World, scheme: str) -> None:
    proof = await world.prove(scheme)
    assert isinstance(proof, Proof)
    assert (proof.account.id, proof.account.name) == (world.account_id, "acme")
    assert proof.credential.id == world.credential_id[scheme]
    assert proof.scopes == {"send", "read", "download", "manage"}
    assert proof.principal == Principal(world.account_id, proof.credential.id, "acme", kind=proof.credential.kind)


async def revoked(world: World, number: int) -> None:
    await revoke_credential(world.store, number, world.clock.now())


async def for_elsewhere(world: World, number: int) -> None:
    await bound_credential(world.store, number, world.clock.now(), scopes=[], networks=["198.51.100.0/24"])


async def for_reading(world: World, number: int) -> None:
    await bound_credential(world.store, number, world.clock.now(), scopes=["read"], networks=[])


async def of_a_suspended_account(world: World, number: int) -> None:
    await suspend_account(world.store, "acme", world.clock.now())


async def for_elsewhere_and_suspended(world: World, number: int) -> None:
    await for_elsewhere(world, number)
    await of_a_suspended_account(world, number)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize(
    ("change", "why"),
    [
        (revoked, LoginRefusal.BAD_CREDENTIALS),
        (for_elsewhere, LoginRefusal.NETWORK),
        (for_reading, LoginRefusal.SCOPE),
        (of_a_suspended_account, LoginRefusal.SUSPENDED),
        (for_elsewhere_and_suspended, LoginRefusal.NETWORK),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
async def test_what_it_is_not_good_for(
    world: World, scheme: str, change: Callable[[World, int], Awaitable[None]], why: LoginRefusal
) -> None:
    results: list[str] = []
    await world.prove(scheme, scope="send")
    await change(world, world.credential_id[scheme])
    world.authenticator.told = results.append
    with told() as lines:
        assert await world.prove(scheme, scope="send") is why
    (line,) = lines
    assert (line["event"], line["why"], line["login"], line["client"]) == (
        "login refused",
        why.value,
        LOGINS[scheme],
        HERE,
    )
    assert results == [why.value]
    if change is for_elsewhere:
        assert isinstance(await world.prove(scheme, ELSEWHERE, "send"), Proof)
    if change is for_reading:
        proof = await world.prove(scheme, scope="read")
        assert isinstance(proof, Proof)
        assert proof.scopes == {"read"}


@pytest.mark.parametrize("scheme", ["password", "session"])
async def test_another_password_ends_what_the_old_one_opened(world: World, scheme: str) -> None:
    await set_password(world.store, world.account_id, "mailer", "battery staple", world.clock.now())
    assert await world.prove(scheme) is LoginRefusal.BAD_CREDENTIALS


@pytest.mark.parametrize("scheme", ["session", "bearer"])
async def test_what_ends_by_itself(world: World, scheme: str) -> None:
    world.clock.advance(int(LIFETIME * SECOND))
    assert await world.prove(scheme) is LoginRefusal.BAD_CREDENTIALS


async def test_scopes_that_a_token_and_its_key_do_not_share_are_none(world: World) -> None:
    """None at all is nothing: not everything, as a credential without scopes has it."""
    proof = await world.prove("key")
    assert isinstance(proof, Proof)
    tokens = Tokens(Vault(bytes(32)), world.clock)
    token = tokens.issue(proof.credential, proof.account, {"send"}, 60.0)
    await for_reading(world, proof.credential.id)
    world.clock.advance(2 * SECOND)
    narrowed = await world.authenticator.prove(BearerToken(tokens, token.text), HERE)
    assert isinstance(narrowed, Proof)
    assert narrowed.scopes == frozenset()
    assert await world.authenticator.prove(BearerToken(tokens, token.text), HERE, "read") is LoginRefusal.SCOPE


async def test_a_token_of_another_account_proves_nothing(world: World) -> None:
    other = await create_account(world.store, "other", world.clock.now())
    proof = await world.prove("key")
    assert isinstance(proof, Proof)
    tokens = Tokens(Vault(bytes(32)), world.clock)
    token = tokens.issue(proof.credential, proof.account._replace(id=other.id), {"send"}, 60.0)
    assert await world.authenticator.prove(BearerToken(tokens, token.text), HERE) is LoginRefusal.BAD_CREDENTIALS


@pytest.mark.parametrize(
    "shown", [Unreadable("(basic)"), Signature(False, 1), Signature(True, 999), Password("mailer", "wrong")]
)
async def test_what_is_nobodys(world: World, shown: Shown | Password) -> None:
    with told() as lines:
        assert await world.authenticator.prove(shown, HERE) is LoginRefusal.BAD_CREDENTIALS
    assert [(line["event"], line["why"], line["login"]) for line in lines] == [
        ("login refused", "bad_credentials", shown.login)
    ]


@pytest.mark.parametrize("scheme", ["password", "signature"])
async def test_kinds_and_doors(world: World, scheme: str) -> None:
    async def admits(principal: Principal) -> bool:
        assert principal.account_id == world.account_id
        return False

    shown = world.shown[scheme]
    assert await world.authenticator.prove(shown, HERE, kinds=("smtp_user",)) is LoginRefusal.SCOPE
    assert isinstance(await world.authenticator.prove(shown, HERE, kinds=("password", "api_key")), Proof)
    assert await world.authenticator.prove(shown, HERE, admits=admits) is LoginRefusal.NETWORK


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_store_that_is_away(
    world: World, scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with store_away(tmp_path / "away") as away:
        for owner in (world.authenticator, world.authenticator.directory):
            monkeypatch.setattr(owner, "_store", away)
        with told() as lines:
            assert await world.prove(scheme) is LoginRefusal.UNAVAILABLE
    assert [line for line in lines if line["event"] == "login refused"] == [], "nobody has guessed"


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_a_session_stands_as_long_as_the_proof_would(world: World, scheme: str) -> None:
    proof = await world.prove(scheme)
    assert isinstance(proof, Proof)
    facts = proof.credential
    assert stands(proof.principal, facts, HERE, "send")
    assert not stands(proof.principal, None, HERE, "send")
    assert not stands(proof.principal, facts._replace(revoked=True), HERE, "send")
    assert not stands(proof.principal, facts._replace(secret="another"), HERE, "send")
    assert not stands(proof.principal, facts._replace(scopes=frozenset({"read"})), HERE, "send")
    await for_elsewhere(world, facts.id)
    world.clock.advance(2 * SECOND)
    assert not await world.authenticator.still_valid(proof.principal, HERE, "send")
    assert await world.authenticator.still_valid(proof.principal, ELSEWHERE, "send")
    assert await world.authenticator.still_valid(proof.principal), "wherever"
