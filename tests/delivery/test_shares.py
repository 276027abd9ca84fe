"""No account holds up another: connections, places in memory, turns at a site, claims. Each with a victim."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from delivery_road import ACCOUNT, Road, road, until
from test_slow_peers import PATIENT, Everywhere, drip, good, peer

from ekiden.core.states import Priority, State
from ekiden.delivery.config import RouteConfig
from ekiden.dns.resolver import MxHost
from ekiden.store import tables as t
from ekiden.store.api import Store

GREEDY = 7


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Greets, and says nothing more: five minutes by the RFC."""
    writer.write(b"220 peer\r\n")
    await reader.read()


async def dripping(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"220 peer\r\n")
    await drip(writer, b"250-")


@asynccontextmanager
async def hostile_road(store: Store, talk: Any, **settings: Any) -> AsyncIterator[Road]:
    """Every domain is a site of its own with a peer of ``talk``; victim.test has a good one."""
    async with AsyncExitStack() as stack:
        bad = await stack.enter_async_context(peer(talk))
        port = await stack.enter_async_context(peer(good))
        route = RouteConfig(domain="victim.test", hosts=(f"127.0.0.1:{port}",))
        patience = PATIENT | {"reply_timeout": 60.0, "starttls": False} | settings
        yield await stack.enter_async_context(
            road(store, resolver=Everywhere(), smtp_port=bad, routes=(route,), **patience)
        )


async def delivered(r: Road, message_id: int, timeout: float = 10) -> None:
    (row,) = await r.settled(message_id, timeout=timeout)
    assert row["state"] == State.DELIVERED, row["reason"]


@pytest.mark.parametrize("talk", [silent, dripping])
async def test_one_account_leaves_connections_for_the_others(sqlite_store: Store, talk: Any) -> None:
    """Forty domains of one sender hold what they get; the victim's mail goes through at once, again and again."""
    async with hostile_road(sqlite_store, talk, max_connections=8) as r:
        for n in range(40):
            await r.send(f"u@d{n}.test", account=GREEDY)
        await until(lambda: r.has(r.dispatcher.couriers.places.held(GREEDY) == 4))
        for n in range(5):
            await delivered(r, await r.send(f"v{n}@victim.test"))
        assert r.dispatcher.couriers.places.held(GREEDY) == 4
        assert r.metrics.cuts == 0
        await r.drain(0.1)


async def test_what_is_slow_yields_to_what_is_young(sqlite_store: Store) -> None:
    """So many accounts that their shares are everything: their slowest attempts are cut, and say why."""
    async with hostile_road(sqlite_store, dripping, max_connections=8, yield_after=0.5) as r:
        greedy = [await r.send(f"u@d{n}.test", account=10 + n % 10) for n in range(40)]
        await until(lambda: r.has(r.dispatcher.couriers.places.free == 0))
        await delivered(r, await r.send("v@victim.test"), 30)
        assert r.metrics.cuts > 0
        rows = [(await r.deliveries(message_id))[0] for message_id in greedy]
        cut = [row for row in rows if row["state"] == State.DEFERRED]
        assert cut
        assert all("others need the connection" in row["reason"] for row in cut)
        assert all(row["attempts"] == 1 for row in cut)
        await r.drain(0.1)


async def test_ones_own_slow_peers_yield_to_ones_other_mail(sqlite_store: Store) -> None:
    """A list with many dead domains does not hold up its own sender for longer than a moment."""
    async with hostile_road(sqlite_store, silent, max_connections=8, yield_after=0.5) as r:
        for n in range(20):
            await r.send(f"u@d{n}.test")
        await until(lambda: r.has(r.dispatcher.couriers.places.held(ACCOUNT) == 4))
        await delivered(r, await r.send("v@victim.test"), 30)
        await r.drain(0.1)


async def test_one_account_leaves_places_in_memory(sqlite_store: Store) -> None:
    """What is beyond its share waits in the store, and the victim's mail is still taken over from the door."""
    async with hostile_road(sqlite_store, silent, max_connections=8, queue_limit=40) as r:
        assert r.dispatcher.capacity(GREEDY, 20, 100)
        for n in range(60):
            await r.send(f"u@d{n % 30}.test", account=GREEDY)
        assert not r.dispatcher.capacity(GREEDY, 1, 100)

        async def is_asked_again() -> bool:
            return not r.dispatcher._pauses(GREEDY)

        # Not only because something had to go back a moment ago.
        await until(is_asked_again)
        assert not r.dispatcher.capacity(GREEDY, 1, 100)
        assert r.dispatcher.capacity(ACCOUNT, 5, 100)
        await delivered(r, await r.send("v@victim.test"))

        async def waits() -> bool:
            rows = await r.rows(t.delivery, t.delivery.c.account_id == GREEDY, t.delivery.c.state == State.QUEUED)
            return len(rows) >= 30 and all("share" in row["reason"] for row in rows)

        await until(waits)
        await r.drain(0.1)


async def test_one_account_beyond_its_share_is_not_sent_back(sqlite_store: Store) -> None:
    """Alone, and with more due than it may have here: what has no place is not claimed."""
    async with hostile_road(sqlite_store, silent, queue_limit=100, claim_batch=100) as r:
        flood = r.message([f"u{n}@victim.test" for n in range(600)], account=GREEDY, hand_over=False)
        await r.store.accept(r.worker.id, flood)
        r.dispatcher.wake()
        await r.settled(flood.message.id, timeout=60)
        assert r.metrics.gave_back == 0


async def test_a_million_due_of_one_account_do_not_stand_before_another(store: Store) -> None:
    """On both engines. A thousand must do: they are due first, and of the higher priority."""
    async with hostile_road(store, silent, claim_batch=40, queue_limit=100, max_connections=8) as r:
        due = r.clock.now() - 60_000
        flood = r.message(
            [f"u@d{n}.test" for n in range(1000)], account=GREEDY, hand_over=False, priority=Priority.HIGH
        )
        for delivery in flood.deliveries:
            delivery.due_at = due
        await r.store.accept(r.worker.id, flood)
        r.dispatcher.wake()
        await until(lambda: r.has(r.dispatcher.couriers.places.held(GREEDY) > 0))
        for n in range(3):
            await delivered(
                r, await r.send(f"v{n}@victim.test", hand_over=False, priority=Priority.LOW), timeout=20
            )
        await r.drain(0.1)


async def test_the_only_due_delivery_of_an_account_is_in_the_first_claims(store: Store) -> None:
    """On both engines: whatever is due longer, and however little of it can be sent."""
    async with hostile_road(store, silent, claim_batch=40, max_connections=8) as r:
        flood = r.message([f"u@d{n}.test" for n in range(1000)], account=GREEDY, hand_over=False)
        single = r.message(["v@victim.test"], hand_over=False, priority=Priority.LOW)
        for delivery in flood.deliveries:
            delivery.due_at -= 60_000
        await r.store.accept_all(r.worker.id, [flood, single])
        r.dispatcher.wake()
        await delivered(r, single.message.id)
        at = (await r.attempts(single.message.id))[0]["started_at"]
        rows = await r.deliveries(flood.message.id)
        # Each claim has a time of its own; those that share a millisecond are one more at most.
        assert sum(row["state"] == State.SENDING and row["updated_at"] < at for row in rows) <= 3 * 40
        await r.drain(0.1)


async def test_many_accounts_have_one_turn_each_before_anybody_has_many(sqlite_store: Store) -> None:
    """Three hundred accounts, the first ones of which are due first: all of them are served in one round."""
    accounts = range(100, 400)
    async with hostile_road(sqlite_store, silent, claim_batch=100, max_connections=8) as r:
        due = r.clock.now() - 60_000
        messages = []
        for account in accounts:
            new = r.message([f"u@d{account}x{n}.test" for n in range(10)], account=account, hand_over=False)
            for delivery in new.deliveries:
                delivery.due_at = due + account
            messages.append(new)
        await r.store.accept_all(r.worker.id, messages)
        r.dispatcher.wake()

        async def all_served() -> bool:
            rows = await r.rows(t.delivery, t.delivery.c.state == State.SENDING)
            return {row["account_id"] for row in rows} == set(accounts)

        await until(all_served)
        rows = await r.rows(t.delivery, t.delivery.c.state == State.SENDING)
        first = {account: min(r["updated_at"] for r in rows if r["account_id"] == account) for account in accounts}
        before = sum(row["updated_at"] <= max(first.values()) for row in rows)
        assert before <= 600, "a round, and a claim in order before it"
        await r.drain(0.1)


async def test_the_door_hands_over_newcomers_however_full_memory_is(sqlite_store: Store) -> None:
    """What accounts have here fills it up to the part that is kept for those that have nothing."""
    async with hostile_road(sqlite_store, silent, max_connections=100, queue_limit=320) as r:
        places = r.dispatcher._letters.places
        for account in range(100, 104):
            while r.dispatcher.capacity(account, 10, 100):
                await r.send(*(f"u@d{account}x{n}.test" for n in range(10)), account=account)
        assert [places.held(account) for account in range(100, 104)] == [160, 80, 40, 10]
        assert places.may_take(103, 1)
        assert not r.dispatcher.capacity(103, 1, 100), "what is left is for those who have nothing here"
        assert r.dispatcher.capacity(ACCOUNT, 5, 100)
        await delivered(r, await r.send("v@victim.test"))
        # What only a claim can bring has its place as well, while its account has nothing here.
        await delivered(r, await r.send("v@victim.test", hand_over=False))
        await r.drain(0.1)


async def test_accounts_take_turns_at_a_site(sqlite_store: Store) -> None:
    """One busy provider for all: the only message of the victim is not behind the flood of the other."""
    taken: list[bytes] = []

    everybody_waits = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 provider\r\n")
        while line := await reader.readline():
            if line.startswith(b"RCPT"):
                taken.append(line)
                await everybody_waits.wait()
            if line.startswith(b"DATA"):
                writer.write(b"354 Go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
            writer.write(b"250 Ok\r\n")

    class OneProvider(Everywhere):
        async def mx(self, domain: str) -> list[MxHost]:
            return [MxHost(0, "provider.test")]

    settings = PATIENT | {"starttls": False, "site_concurrency": 1}
    async with peer(slow) as port, road(sqlite_store, resolver=OneProvider(), smtp_port=port, **settings) as r:
        for n in range(300):
            await r.send(f"u{n}@any.test", account=GREEDY)
        victim = await r.send("victim@any.test")
        everybody_waits.set()
        await delivered(r, victim)
        before = next(n for n, line in enumerate(taken) if b"victim" in line)
        assert before <= 2
        await r.drain(0.1)


async def test_a_full_queue_gets_all_the_connections_that_its_site_bears(sqlite_store: Store) -> None:
    """Nothing new comes that would ask for one: each success does."""
    connections = 0
    taken = 0
    all_are_there = asyncio.Event()

    async def waits_for_the_others(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, taken
        connections += 1
        if connections == 4:
            all_are_there.set()
        writer.write(b"220 peer\r\n")
        while line := await reader.readline():
            if line.startswith(b"DATA"):
                writer.write(b"354 Go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                taken += 1
                if taken > 20:  # more than the window needs to grow to four
                    await all_are_there.wait()
            writer.write(b"250 Ok\r\n")

    settings = {"site_concurrency": 4, "initial_concurrency": 1, "max_recipients": 1}
    async with hostile_road(sqlite_store, waits_for_the_others, **settings) as r:
        await r.settled(await r.send(*(f"u{n}@full.test" for n in range(40))))
        assert connections == 4
        await r.drain(0.1)
