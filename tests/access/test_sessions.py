"""Sessions end: with what opened them, when they are given back, and half a day after they began."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from ekiden.access.accounts import create_account
from ekiden.access.authenticate import Authenticator, Password, Proof
from ekiden.access.config import AccessConfig
from ekiden.access.credentials import create_api_key, revoke_credential, set_password
from ekiden.access.sessions import LIFETIME, Sessions, SessionToken
from ekiden.core.clock import MINUTE, SECOND
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.manual_clock import ManualClock

PASSWORD = "correct horse"
HERE = "192.0.2.1"


class Worker:
    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.authenticator = Authenticator(store, clock)
        self.sessions = Sessions(store, clock, self.authenticator.directory, 3_600.0)

    async def proves(self, token: str) -> bool:
        return isinstance(await self.authenticator.prove(SessionToken(self.sessions, token), HERE), Proof)


@dataclass
class World:
    store: Store
    clock: ManualClock
    account_id: int
    proof: Proof

    def worker(self) -> Worker:
        return Worker(self.store, self.clock)


@pytest.fixture
async def world(store_url: str) -> AsyncIterator[World]:
    store = await open_store(store_url)
    clock = ManualClock()
    account = await create_account(store, "acme", clock.now())
    await set_password(store, account.id, "mailer", PASSWORD, clock.now())
    authenticator = Authenticator(store, clock, AccessConfig(delay=0, max_delay=0))
    proof = await authenticator.prove(Password("mailer", PASSWORD), HERE)
    assert isinstance(proof, Proof)
    yield World(store, clock, account.id, proof)
    await authenticator.close()
    await store.close()


async def opened(world: World, worker: Worker) -> str:
    return await worker.sessions.open(world.proof)


@pytest.mark.parametrize("change", ["password", "revoked"])
async def test_it_ends_with_what_opened_it(world: World, change: str) -> None:
    sessions = world.worker()
    token = await opened(world, sessions)
    assert await sessions.proves(token)
    if change == "password":
        await set_password(world.store, world.account_id, "mailer", "battery staple", world.clock.now())
    else:
        await revoke_credential(world.store, world.proof.credential.id, world.clock.now())
    world.clock.advance(2 * SECOND)
    assert not await sessions.proves(token)


@pytest.mark.parametrize("next_row", ["session", "api key"])
async def test_the_row_that_comes_next_does_not_bring_it_back(world: World, next_row: str) -> None:
    """SQLite gives the number of the last row to the next one, and another worker remembers the first."""
    one, other = world.worker(), world.worker()
    token = await opened(world, one)
    assert await other.proves(token)
    await one.sessions.close(token)
    if next_row == "session":
        await opened(world, one)
    else:
        await create_api_key(world.store, world.account_id, "key", world.clock.now())
    world.clock.advance(2 * SECOND)
    assert not await other.proves(token)


async def test_use_does_not_make_it_last_for_ever(world: World) -> None:
    sessions = world.worker()
    token = await opened(world, sessions)
    for _ in range(int(LIFETIME * SECOND) // (30 * MINUTE) - 1):
        world.clock.advance(30 * MINUTE)
        assert await sessions.proves(token)
    world.clock.advance(30 * MINUTE)
    assert not await sessions.proves(token)
    assert not await world.worker().proves(token)


@pytest.mark.parametrize("token", ["", "x", "\udcff", "\0", "session", "A" * 100_000])
async def test_what_is_no_token_asks_nobody(world: World, token: str) -> None:
    sessions = world.worker()
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(type(world.store), "read")
        assert not await sessions.proves(token)
