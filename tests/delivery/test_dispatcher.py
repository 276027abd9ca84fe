"""The engine against a lab: real sockets, real TLS, real DNS, a real store."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from delivery_road import CONTENT, road, until
from sqlalchemy import insert

from ekiden.core.clock import Clock
from ekiden.core.events import EventType
from ekiden.core.said import Remark, say
from ekiden.core.states import Cause, Priority, State
from ekiden.delivery.session import lines_of
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.lab import Lab
from ekiden.net.clock import SystemClock
from ekiden.net.network import LoopbackOnlyNetwork, Stream
from ekiden.store import tables as t
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.records import Outcome, Registration
from ekiden.store.standing import Standing


def states(rows: list[Any]) -> dict[State, int]:
    return dict(Counter(State(row["state"]) for row in rows))


async def test_a_message_arrives_as_it_was_sent(store: Store, lab: Lab) -> None:
    """On both engines."""
    async with road(store, lab) as r:
        message_id = await r.send("joe@accept.lab.test")
        row = await r.one(message_id)
        assert (row["state"], row["cause"], row["code"], row["attempts"]) == (State.DELIVERED, Cause.NONE, 250, 1)
        (mail,) = lab.mail("joe@accept.lab.test")
        assert mail.data == CONTENT
        assert mail.sender == "me@sender.lab.test"
        assert mail.helo == "mx.ekiden.test"
        (attempt,) = await r.attempts(message_id)
        assert attempt["host"] == "mx.accept.lab.test"
        assert attempt["address"].endswith(f":{lab.smtp_port}")
        assert attempt["tls"].startswith("TLSv1.3 ")
        assert "C: RCPT TO:<joe@accept.lab.test>" in attempt["dialogue"]
        assert "Hi." not in attempt["dialogue"]
        kinds = [kind for kind, _ in await r.events(message_id)]
        assert kinds == [EventType.ACCEPTED, EventType.DELIVERED]
        assert await store.content(1, message_id) is None
        await r.drain()


async def test_due_messages_are_claimed(store: Store, lab: Lab) -> None:
    """On both engines."""
    async with road(store, lab) as r:
        ids = [await r.send(f"u{n}@accept.lab.test", hand_over=False) for n in range(30)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        assert len(lab.mail()) == 30
        await r.drain()


@pytest.mark.parametrize(
    ("name", "state", "cause", "code", "enhanced"),
    [
        ("deadfirst", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("hangfirst", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("badtls", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("droptls", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("hangtls", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("refusetls", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("expiredcert", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("needtls", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("ipv6", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("nomx", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("nopipelining", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("helo", State.DELIVERED, Cause.NONE, 250, ""),
        ("hostile-bytes", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("hostile-barelf", State.DELIVERED, Cause.NONE, 250, "2.0.0"),
        ("reject", State.BOUNCED, Cause.RECIPIENT, 550, "5.1.1"),
        ("reject-mail", State.BOUNCED, Cause.OURS, 554, "5.1.8"),
        ("spam", State.BOUNCED, Cause.CONTENT, 554, "5.7.1"),
        ("mailboxfull-552", State.BOUNCED, Cause.RECIPIENT, 552, "5.2.2"),
        ("nullmx", State.BOUNCED, Cause.RECIPIENT, 556, "5.1.10"),
        ("nxdomain", State.BOUNCED, Cause.RECIPIENT, 550, "5.1.2"),
        ("mxnowhere", State.BOUNCED, Cause.RECIPIENT, 550, "5.4.4"),
        ("nomail", State.BOUNCED, Cause.RECIPIENT, 550, "5.4.4"),
        ("greylist", State.DEFERRED, Cause.POLICY, 451, "4.7.1"),
        ("mailboxfull", State.DEFERRED, Cause.RECIPIENT, 452, "4.2.2"),
        ("tempfail-data", State.DEFERRED, Cause.NETWORK, 451, "4.3.0"),
        ("servfail", State.DEFERRED, Cause.NETWORK, 451, "4.4.3"),
        ("dead", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("blocked", State.DEFERRED, Cause.REPUTATION, 554, ""),
        ("reject-ehlo", State.DEFERRED, Cause.POLICY, 554, ""),
        ("service-unavailable", State.DEFERRED, Cause.NETWORK, 421, ""),
        ("silent", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("silent-end", State.DEFERRED, Cause.NETWORK, 421, "4.4.2"),
        ("disconnect-connect", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("disconnect-mail", State.DEFERRED, Cause.NETWORK, 421, "4.4.2"),
        ("disconnect-body", State.DEFERRED, Cause.NETWORK, 421, "4.4.2"),
        ("reset-end", State.DEFERRED, Cause.NETWORK, 421, "4.4.2"),
        ("hostile-garbage", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("hostile-endless", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("hostile-multiline", State.DEFERRED, Cause.NETWORK, 451, "4.4.1"),
        ("hostile-354", State.DEFERRED, Cause.OURS, 451, "4.5.0"),
        ("hostile-250", State.DEFERRED, Cause.OURS, 451, "4.5.0"),
        ("hostile-code", State.DEFERRED, Cause.OURS, 451, "4.5.0"),
    ],
)
async def test_behaviours(
    sqlite_store: Store, lab: Lab, name: str, state: State, cause: Cause, code: int, enhanced: str
) -> None:
    async with road(sqlite_store, lab) as r:
        message_id = await r.send(f"joe@{name}.lab.test", sender="")
        row = await r.one(message_id)
        assert (row["state"], row["code"], row["enhanced"]) == (state, code, enhanced), row["reason"]
        if enhanced != "4.5.0":  # what a peer's nonsense is counted as is not the point here
            assert row["cause"] == cause, row["reason"]
        assert len(lab.mail(f"joe@{name}.lab.test")) == (state is State.DELIVERED)
        (attempt,) = await r.attempts(message_id)
        assert attempt["state"] == state
        assert attempt["dialogue"]
        if state is State.DEFERRED:
            assert 50_000 < row["due_at"] - r.clock.now() < 68_000
        await r.drain()


async def test_the_next_time_follows_the_peers_hint(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        row = await r.one(await r.send("joe@retryhint.lab.test"))
        assert 120_000 <= row["due_at"] - r.clock.now() + 2_000 <= 140_000
        await r.drain()


async def test_a_deferred_message_is_tried_again(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        message_id = await r.send("joe@greylist.lab.test")
        assert (await r.one(message_id))["state"] == State.DEFERRED
        r.clock.ahead += 70_000
        r.dispatcher.wake()
        row = await r.reaches(message_id, State.DELIVERED)
        assert row["attempts"] == 2
        assert [a["state"] for a in await r.attempts(message_id)] == [State.DEFERRED, State.DELIVERED]
        await r.drain()


async def test_expiry(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        first = await r.send("joe@mailboxfull.lab.test", sender="", lives=20_000)
        row = await r.one(first)
        assert row["state"] == State.DEFERRED
        assert row["due_at"] - r.clock.now() <= 20_000, "the last attempt is made when the time runs out"
        r.clock.ahead += 21_000
        r.dispatcher.wake()
        row = await r.reaches(first, State.EXPIRED)
        assert "Mailbox full" in row["reason"]
        assert row["enhanced"] == "4.2.2"
        await r.drain()


async def test_recipients_of_one_message_share_a_transaction(sqlite_store: Store, lab: Lab) -> None:
    await lab.set_behaviour("one.lab.test", "accept")
    async with road(sqlite_store, lab) as r:
        message_id = await r.send(*(f"u{n}@accept.lab.test" for n in range(7)), "x@reject.lab.test")
        rows = await r.settled(message_id)
        assert [row["state"] for row in rows] == [State.DELIVERED] * 7 + [State.BOUNCED]
        (mail,) = lab.mail("u3@accept.lab.test")
        assert len(mail.to) == 7
        dialogue = (await r.attempts(message_id))[2]["dialogue"]
        assert "u2@accept.lab.test" in dialogue
        assert "u3@accept.lab.test" not in dialogue
        assert dialogue.count("S: 250 2.1.5 Ok") == 1
        await r.drain()


async def test_each_recipient_gets_its_own_verdict(sqlite_store: Store, lab: Lab) -> None:
    """RFC 5321 §4.5.3.1.10: 452 to some while others are taken means another transaction, now."""
    async with road(sqlite_store, lab) as r:
        message_id = await r.send(*(f"u{n}@fewrecipients.lab.test" for n in range(8)))
        rows = await r.settled(message_id)
        assert [row["state"] for row in rows] == [State.DELIVERED] * 8
        assert [row["attempts"] for row in rows] == [1] * 8
        assert sorted(len(mail.to) for mail in lab.mail()) == [2, 3, 3]
        await r.drain()


async def test_the_limit_of_recipients_is_kept(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, max_recipients=4) as r:
        await r.settled(await r.send(*(f"u{n}@accept.lab.test" for n in range(10))))
        assert sorted(len(mail.to) for mail in lab.mail()) == [2, 4, 4]
        await r.drain()


async def test_connections_are_reused(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=1) as r:
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(20)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        assert r.metrics.opened == 1
        dialogue = (await r.attempts(ids[-1]))[0]["dialogue"]
        assert "C: EHLO" in dialogue
        assert dialogue.count("C: MAIL") == 1
        await r.drain()
        assert r.metrics.closed == 1


async def test_a_connection_is_left_after_its_share(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=1, max_deliveries_per_connection=5) as r:
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(20)]
        for message_id in ids:
            await r.one(message_id)
        assert r.metrics.opened == 4
        await r.drain()


async def test_an_idle_connection_that_the_peer_closed_costs_nothing(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=1, idle_timeout=30) as r:
        for n in range(3):
            message_id = await r.send(f"u{n}@onemessage.lab.test")
            row = await r.one(message_id)
            assert (row["state"], row["attempts"]) in [(State.DELIVERED, 1), (State.DEFERRED, 1)]
        await r.drain()


async def test_a_site_never_sees_more_connections_than_allowed(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=6, share=2, idle_timeout=30) as r:
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(60)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        assert r.metrics.opened <= 3
        await r.drain()


async def test_a_site_that_takes_one_connection_gets_one(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, idle_timeout=5) as r:
        ids = [await r.send(f"u{n}@oneconnection.lab.test") for n in range(30)]
        rows = [await r.one(message_id) for message_id in ids]
        assert states(rows) == {State.DELIVERED: 30}
        await r.drain()


def Counts(rows: list[Any]) -> dict[State, int]:
    found: dict[State, int] = {}
    for row in rows:
        found[State(row["state"])] = found.get(State(row["state"]), 0) + 1
    return found


async def test_a_dead_site_defers_everything_and_is_not_dialled_again_at_once(
    sqlite_store: Store, lab: Lab
) -> None:
    async with road(sqlite_store, lab) as r:
        ids = [await r.send(f"u{n}@dead.lab.test") for n in range(20)]
        rows = [await r.one(message_id) for message_id in ids]
        assert states(rows) == {State.DEFERRED: 20}
        assert len({row["due_at"] for row in rows}) > 5, "their next times are spread"
        failed = r.metrics.failed
        assert failed <= 5
        late = await r.send("late@dead.lab.test")
        row = await r.one(late)
        assert (row["state"], row["enhanced"]) == (State.DEFERRED, "4.4.1")
        assert "not_dialled" in (await r.attempts(late))[0]["dialogue"]
        assert r.metrics.failed == failed
        await r.drain()


async def test_one_slow_site_does_not_block_the_others(sqlite_store: Store, lab: Lab) -> None:
    async with road(
        sqlite_store,
        lab,
        queue_limit=200,
        ready_limit=60,
        claim_batch=50,
        data_timeout=30,
        greeting_timeout=30,
    ) as r:
        for n in range(300):
            await r.send(f"u{n}@slow.lab.test", hand_over=False)
        await until(lambda: r.has(r.metrics.gave_back))
        quick = [await r.send(f"u{n}@accept.lab.test", hand_over=False) for n in range(20)]
        for message_id in quick:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        slow = await r.rows(t.delivery, t.delivery.c.domain == "slow.lab.test")
        waiting = [row for row in slow if row["state"] in (State.QUEUED, State.DEFERRED)]
        assert waiting, "most of them wait in the store"
        assert all(row["attempts"] == 0 for row in waiting), "an attempt that was not made is not counted"
        assert r.metrics.gave_back > 0
        await r.drain(0.1)


async def test_capacity_ends_where_memory_ends(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, queue_limit=10) as r:
        assert r.dispatcher.capacity(1, 10, 1000)
        assert not r.dispatcher.capacity(1, 11, 1000)
        await r.drain()
        assert not r.dispatcher.capacity(1, 1, 1000)


async def test_contents_beyond_the_limit_are_loaded_again(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, memory_limit=100) as r:
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(10)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        assert {mail.data for mail in lab.mail()} == {CONTENT}
        await r.drain()


async def test_large_contents_take_turns(sqlite_store: Store, lab: Lab) -> None:
    content = CONTENT + b"x" * 70 + b"\r\n" + (b"y" * 76 + b"\r\n") * 5_000
    async with road(sqlite_store, lab, memory_limit=1000, data_timeout=20) as r:
        ids = [await r.send(f"u{n}@accept.lab.test", content=content) for n in range(6)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        assert {mail.data for mail in lab.mail()} == {content}
        await r.drain()


async def test_an_unexpected_error_defers_one_and_spares_the_others(sqlite_store: Store, lab: Lab) -> None:
    dns = DnsConfig(nameservers=(lab.dns_address[0],), port=lab.dns_address[1])
    [explosive] = await DnsResolver(dns, SystemClock(), loopback_only=True).addresses("nomx.lab.test")

    class Bomb(LoopbackOnlyNetwork):
        async def connect(
            self, host: str, port: int, *, local_address: str | None = None, timeout: float
        ) -> Stream:
            if host == explosive:
                raise RuntimeError("boom")
            return await super().connect(host, port, local_address=local_address, timeout=timeout)

    async with road(sqlite_store, lab, network=Bomb()) as r:
        bad = await r.send("a@nomx.lab.test")
        good = [await r.send(f"b{n}@accept.lab.test") for n in range(5)]
        row = await r.one(bad)
        assert (row["state"], row["cause"]) == (State.DEFERRED, Cause.OURS)
        assert "boom" in row["reason"]
        for message_id in good:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        await r.drain()


async def test_drain_finishes_what_is_under_way_and_gives_the_rest_back(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=1, data_timeout=20, greeting_timeout=20) as r:
        ids = [await r.send(f"u{n}@slow.lab.test") for n in range(5)]
        await until(lambda: r.has(r.metrics.opened))
        await r.drain(15)
        rows = [(await r.deliveries(message_id))[0] for message_id in ids]
        assert states(rows) == {State.DELIVERED: 1, State.QUEUED: 4}
        assert [row["attempts"] for row in rows] == [1, 0, 0, 0, 0]
        assert all(row["owner"] is None for row in rows)


async def test_drain_cuts_off_what_takes_too_long(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, data_timeout=60) as r:
        message_id = await r.send("a@silent-end.lab.test")
        await until(lambda: r.has(r.metrics.opened))
        await r.drain(0.2)
        (row,) = await r.deliveries(message_id)
        assert (row["state"], row["cause"], row["owner"]) == (State.DEFERRED, Cause.OURS, None)


async def test_after_the_end_offers_go_back(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        new = r.message(["a@accept.lab.test"])
        await sqlite_store.accept(r.worker.id, new)
        draining = asyncio.create_task(r.drain())
        await asyncio.sleep(0)
        r.dispatcher.offer(list(new.deliveries))
        await draining
        (row,) = await r.deliveries(new.message.id)
        assert (row["owner"], row["attempts"]) == (None, 0)


async def test_abandon_reports_nothing(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, data_timeout=60) as r:
        message_id = await r.send("a@silent-end.lab.test")
        await asyncio.sleep(0.1)
        r.dispatcher.abandon()
        async with asyncio.timeout(5):
            await r.task
        r.stopped = True
        (row,) = await r.deliveries(message_id)
        assert (row["state"], row["owner"]) == (State.SENDING, r.worker.id)


async def test_nothing_is_begun_while_the_registration_does_not_count(sqlite_store: Store, lab: Lab) -> None:
    """What was handed over waits in memory, what is due is left to others; then it goes on."""
    made: list[Standing] = []

    def standing(me: Registration, clock: Clock) -> Standing:
        made.append(Standing(me, clock, clock.monotonic() + 3600))
        return made[0]

    async with road(sqlite_store, lab, standing=standing) as r:
        made[0].until = 0.0
        handed = r.message(["a@accept.lab.test"])
        await sqlite_store.accept(r.worker.id, handed)
        r.dispatcher.offer(list(handed.deliveries))
        assert not r.dispatcher.capacity(1, 1, 100)
        async with road(sqlite_store, lab) as other:
            for n in range(3):  # due, and another worker's: ours does not claim any more
                message_id = await other.send(f"b{n}@accept.lab.test", hand_over=False)
                assert (await other.one(message_id))["state"] == State.DELIVERED
                assert {row["worker"] for row in await other.attempts(message_id)} == {other.worker.id}
            await other.drain()
        assert lab.mail("a@accept.lab.test") == []
        made[0].renew(r.clock.monotonic() + 3600)
        assert (await r.one(handed.message.id))["state"] == State.DELIVERED
        await r.drain()


class AskedStanding(Standing):
    """Counts how often it was waited for: once in each turn of the loop that claims."""

    asked = 0

    async def wait(self, timeout: float) -> bool:
        self.asked += 1
        return await super().wait(timeout)


async def test_nothing_is_claimed_while_the_registration_does_not_count(sqlite_store: Store, lab: Lab) -> None:
    made: list[AskedStanding] = []

    def standing(me: Registration, clock: Clock) -> Standing:
        made.append(AskedStanding(me, clock, clock.monotonic() + 3600))
        return made[0]

    async with road(sqlite_store, lab, standing=standing) as r:
        made[0].until = 0.0
        message_id = await r.send("a@accept.lab.test", hand_over=False)
        turns = made[0].asked + 3
        async with asyncio.timeout(60):
            while made[0].asked < turns:
                r.dispatcher.wake()
                await asyncio.sleep(0.01)
        [delivery] = await r.deliveries(message_id)
        assert (delivery["state"], delivery["owner"]) == (State.QUEUED, None)
        made[0].renew(r.clock.monotonic() + 3600)
        assert (await r.one(message_id))["state"] == State.DELIVERED
        await r.drain()


async def test_a_lost_lease_cuts_deliveries_off_and_reports_what_is_known(sqlite_store: Store, lab: Lab) -> None:
    """Whoever took over sends what was cut off; what was delivered before, and not reported, it need not."""
    flaky = Flaky(sqlite_store, 3)
    async with road(flaky, lab, data_timeout=60) as r:  # type: ignore[arg-type]
        known = await r.send("a@accept.lab.test")
        cut = await r.send("b@silent-end.lab.test")
        await until(lambda: r.has(lab.mail("a@accept.lab.test")))
        await until(lambda: r.has(flaky.tried))
        r.dispatcher.retire()
        async with asyncio.timeout(10):
            await r.task
        r.stopped = True
        assert (await r.deliveries(known))[0]["state"] == State.DELIVERED
        (row,) = await r.deliveries(cut)
        assert (row["state"], row["owner"]) == (State.SENDING, r.worker.id)


async def test_a_fenced_report_is_counted_and_changes_nothing(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        new = r.message(["a@accept.lab.test"])
        await sqlite_store.accept(r.worker.id, new)
        await sqlite_store.end_worker(r.worker.id, r.clock.now())
        r.dispatcher.offer(list(new.deliveries))
        await until(lambda: r.has(r.metrics.fences))
        (row,) = await r.deliveries(new.message.id)
        assert row["state"] != State.DELIVERED


async def test_an_outcome_that_the_store_refuses_is_not_sent_again(store: Store, lab: Lab) -> None:
    """On both engines: the row of the attempt is there already. Its neighbours are written as ever."""
    async with road(store, lab) as r:
        new = r.message(["a@accept.lab.test"])
        row: dict[str, Any] = {column.name: 0 for column in t.attempt.columns}
        row |= dict.fromkeys(("host", "address", "tls", "enhanced", "reply", "dialogue", "said"), "")
        row |= {"account_id": 1, "message_id": new.message.id, "recipient_number": 1, "number": 1}
        async with store.write() as connection:
            await connection.execute(insert(t.attempt).values(row))
        await store.accept(r.worker.id, new)
        r.dispatcher.offer(list(new.deliveries))
        others = [await r.send(f"b{n}@accept.lab.test") for n in range(5)]
        settled = await r.one(new.message.id)
        assert (settled["state"], settled["owner"]) == (State.DELIVERED, None)
        assert settled["reason"].startswith("unwritable: ")
        for message_id in others:
            assert (await r.one(message_id))["reason"].startswith("Ok: kept as ")
        await r.drain()
        assert len(lab.mail("a@accept.lab.test")) == 1


class Flaky:
    """A store that is away for a while when outcomes come."""

    def __init__(self, store: Store, failures: int) -> None:
        self._store = store
        self.failures = failures
        self.tried: list[int] = []
        """Messages of the outcomes that came."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def finish(self, worker: int, outcomes: Sequence[Outcome], *args: Any) -> list[bool]:
        self.tried += [outcome.delivery.message.id for outcome in outcomes]
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("the disk is full")
        return await self._store.finish(worker, outcomes, *args)


async def test_outcomes_survive_a_store_that_is_away(sqlite_store: Store, lab: Lab) -> None:
    flaky = Flaky(sqlite_store, 2)
    async with road(flaky, lab) as r:  # type: ignore[arg-type]
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(3)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
            (attempt,) = await r.attempts(message_id)
            assert "C: MAIL FROM" in attempt["dialogue"], "all of it, not only what became of it"
        assert len(lab.mail()) == 3
        await r.drain()


async def test_what_is_written_is_not_written_again_because_it_could_not_be_told(
    sqlite_store: Store, lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    def bounced(_: Outcome) -> None:
        raise RuntimeError("a fault of ours")

    flaky = Flaky(sqlite_store, 0)
    async with road(flaky, lab) as r:  # type: ignore[arg-type]
        r.dispatcher._reporter._bounced = bounced
        message_id = await r.send("nobody@reject.lab.test")
        assert (await r.one(message_id))["state"] == State.BOUNCED
        await until(lambda: r.has("could not be told" in caplog.text))
        assert flaky.tried.count(message_id) == 1, "whatever became of the message that tells its sender"
        assert (await r.one(await r.send("a@accept.lab.test")))["state"] == State.DELIVERED


async def test_what_waits_to_be_reported_is_dropped_when_all_is_abandoned(sqlite_store: Store, lab: Lab) -> None:
    """Others may have it by now: a report that comes after that is worse than none."""
    flaky = Flaky(sqlite_store, 1_000_000)
    async with road(flaky, lab) as r:  # type: ignore[arg-type]
        message_id = await r.send("a@accept.lab.test")
        await until(lambda: r.has(flaky.tried))
        r.dispatcher.abandon()
        flaky.failures = 0
        async with asyncio.timeout(60):
            await r.task
        r.stopped = True
        (row,) = await r.deliveries(message_id)
        assert (row["state"], row["owner"]) == (State.SENDING, r.worker.id)


async def test_priorities_at_a_busy_site(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, site_concurrency=1) as r:
        new = []
        for priority in (Priority.LOW, Priority.STANDARD, Priority.HIGH):
            for n in range(16):
                made = r.message([f"{priority.name.lower()}{n}@accept.lab.test"], priority=priority)
                await sqlite_store.accept(r.worker.id, made)
                new.append(made)
        for made in new:
            r.dispatcher.offer(list(made.deliveries))
        for made in new:
            await r.one(made.message.id)
        order = [mail.to[0] for mail in sorted(lab.mail(), key=lambda mail: mail.id)]
        assert sum(name.startswith("high") for name in order[:16]) == 12
        assert sum(name.startswith("low") for name in order[:16]) == 1
        await r.drain()


async def test_many_sites_share_few_connections(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, max_connections=2, idle_timeout=30) as r:
        ids = []
        for n in range(12):
            await lab.set_behaviour(f"site{n}.lab.test", "accept")
            ids.append(await r.send(f"u@site{n}.lab.test"))
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        await r.drain()


async def test_a_resting_connection_gives_its_place_to_another_site(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, max_connections=1, idle_timeout=3600) as r:
        for n in range(3):
            await lab.set_behaviour(f"place{n}.lab.test", "accept")
            message_id = await r.send(f"u@place{n}.lab.test")
            assert (await r.one(message_id))["state"] == State.DELIVERED
        await r.drain()


async def test_a_rush_of_submissions_slows_deliveries_and_never_stops_them(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        r.dispatcher.yield_to(lambda: True)
        ids = [await r.send(f"u{n}@accept.lab.test") for n in range(20)]
        for message_id in ids:
            assert (await r.one(message_id))["state"] == State.DELIVERED
        await r.drain()


async def test_what_no_commit_was_confirmed_for_is_found_and_sent(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab) as r:
        known = await r.send("known@accept.lab.test")
        lost = r.message(["lost@accept.lab.test"])
        await r.store.accept(r.worker.id, lost)  # the answer never came, so nobody offers it
        message_id = lost.message.id
        for _ in range(
            4
        ):  # two looks, a minute apart, at what is older than two minutes; then the wait of the lost
            r.clock.leap(150)
            r.dispatcher.wake()
            await asyncio.sleep(0.3)
        assert (await r.reaches(message_id, State.DELIVERED))["attempts"] == 2
        assert [row["number"] for row in await r.attempts(message_id)] == [1, 2]
        assert EventType.LEASE_LOST in [kind for kind, _ in await r.events(message_id)]
        assert (await r.one(known))["attempts"] == 1
        await r.drain()


def test_a_dialogue_shows_only_its_own_recipient() -> None:
    pipelined = [
        "C: MAIL FROM:<a@b.test>",
        "C: RCPT TO:<x@c.test>",
        "C: RCPT TO:<Y@c.test> NOTIFY=NEVER",
        "C: DATA",
        "S: 250 2.1.0 Ok",
        "S: 550-5.1.1 No",
        "S: 550 5.1.1 such user",
        "S: 250 2.1.5 Ok",
        "S: 354 Go",
        Remark(say("content_sent", octets=9)),
        "S: 250 2.0.0 Queued",
    ]
    assert lines_of(pipelined, "x@c.test") == [
        "C: MAIL FROM:<a@b.test>",
        "C: RCPT TO:<x@c.test>",
        "C: DATA",
        "S: 250 2.1.0 Ok",
        "S: 550-5.1.1 No",
        "S: 550 5.1.1 such user",
        "S: 354 Go",
        Remark(say("content_sent", octets=9)),
        "S: 250 2.0.0 Queued",
    ]
    assert lines_of(pipelined, "y@c.test")[1:2] == ["C: RCPT TO:<Y@c.test> NOTIFY=NEVER"]
    stepwise = ["C: MAIL", "S: 250 Ok", "C: RCPT TO:<x@c.test>", "S: 250 X", "C: RCPT TO:<y@c.test>", "S: 450 Y"]
    assert lines_of(stepwise, "y@c.test") == ["C: MAIL", "S: 250 Ok", "C: RCPT TO:<y@c.test>", "S: 450 Y"]


async def test_mail_goes_out_from_the_address_of_its_family(sqlite_store: Store, lab: Lab) -> None:
    """The peer sees it, and so does whoever reads the trace; the other family is not tried."""
    async with road(sqlite_store, lab, source_address=("127.0.0.77",)) as r:
        row = await r.one(message_id := await r.send("joe@accept.lab.test"))
        assert row["state"] == State.DELIVERED
        (mail,) = lab.mail("joe@accept.lab.test")
        assert mail.peer.startswith("127.0.0.77")
        (attempt,) = await r.attempts(message_id)
        assert " from 127.0.0.77" in attempt["dialogue"].splitlines()[0]
        six = await r.send("joe@ipv6.lab.test")
        row = await r.one(six)
        assert (row["state"], row["cause"], row["enhanced"]) == (State.DEFERRED, Cause.NETWORK, "4.4.1")
        assert row["reason"] == "::1 is not tried: delivery.source_address has no IPv6 address"
        await r.drain()


async def test_ipv6_can_be_switched_off(sqlite_store: Store, lab: Lab) -> None:
    async with road(sqlite_store, lab, ipv6=False) as r:
        row = await r.one(await r.send("joe@ipv6.lab.test"))
        assert row["state"] == State.DEFERRED
        assert row["reason"] == "::1 is not tried: IPv6 is switched off (delivery.ipv6)"
        assert (await r.one(await r.send("joe@accept.lab.test")))["state"] == State.DELIVERED
        await r.drain()
