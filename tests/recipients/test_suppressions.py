"""Suppressions: who is not mailed, what a worker knows without asking, and what replies lead to one."""

from __future__ import annotations

import ast
import asyncio
import inspect
import random
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.access.directory import Directory
from ekiden.core.address import parse_address, to_ascii_domain
from ekiden.core.clock import DAY, SECOND
from ekiden.recipients import suppression_memory, suppressions
from ekiden.recipients.hash_set import HashSet
from ekiden.recipients.suppressions import KINDS, SuppressionError, Suppressions
from ekiden.recipients.translations import TEXTS
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.open import open_store
from ekiden.store.tables import suppression as table
from support.manual_clock import ManualClock

ADMIN = Actor("test:admin")
DOMAIN = "shop.example"
NAMES = (f"account {number}" for number in range(1_000_000))


class Counting:
    """A store whose questions are counted, and that can be out of order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.reads = 0
        self.writes = 0
        self.broken = False
        self.held: asyncio.Event | None = None
        """Set once the next read has its rows, which ends when it is ``free``."""
        self.free = asyncio.Event()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        if self.broken:
            raise StoreUnavailable("no")
        self.reads += 1
        held = self.held
        async with self._store.read() as connection:
            yield connection
        if held is not None:
            held.set()
            await self.free.wait()

    def write(self) -> AbstractAsyncContextManager[AsyncConnection]:
        self.writes += 1
        return self._store.write()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


class Worker:
    """``Suppressions`` of a worker, and the questions that it asks."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store = Counting(store)
        self.clock = clock
        self.service = Suppressions(self.store, clock)  # type: ignore[arg-type]

    async def check(self, account: int, *addresses: str, domain: str = DOMAIN) -> dict[str, str]:
        found = await self.service.check(account, domain, addresses)
        return {address: item.kind for address, item in found.items()}

    async def know(self, account: int) -> None:
        """Until the account is remembered."""
        await self.check(account, "nobody@x.example")
        await asyncio.gather(*self.service.memory._loading)
        assert self.service.memory.size(account) is not None

    async def until_refused(self, task: asyncio.Task[Any]) -> None:
        """Until it has tried in vain to get an account's turn, or ``task`` has ended. SQLite's writers wait."""
        before = self.store.writes
        async with asyncio.timeout(60):
            while self.store.engine != "sqlite" and self.store.writes < before + 3 and not task.done():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def asked(self, account: int, *addresses: str) -> int:
        """The questions that a check costs."""
        before = self.store.reads
        await self.check(account, *addresses)
        return self.store.reads - before


@asynccontextmanager
async def working(store: Store, clock: ManualClock) -> AsyncIterator[Worker]:
    worker = Worker(store, clock)
    try:
        yield worker
    finally:
        await worker.service.close()


async def an_account(store: Store) -> int:
    return (await create_account(store, next(NAMES), 0)).id


# the set


@given(st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 20)))
def test_a_set_of_hashes_is_a_set(values: list[int]) -> None:
    hashes = HashSet()
    for value in values:
        hashes.add(value)
    assert len(hashes) == len(set(values))
    assert all(value in hashes for value in values)
    assert not any(value ^ 1 << 63 in hashes for value in values if value ^ 1 << 63 not in values)
    assert 21 in hashes or 21 not in values


def test_a_set_of_hashes_is_small() -> None:
    chance = random.Random(7)
    hashes = HashSet()
    for _ in range(200_000):
        hashes.add(chance.getrandbits(64))
    octets = sum(bucket.__sizeof__() for bucket in hashes._buckets.values())
    assert octets / len(hashes) < 11


# asking


async def test_a_check_finds_what_was_added(store: Store) -> None:
    account, other = await an_account(store), await an_account(store)
    async with working(store, ManualClock()) as worker:
        assert await worker.check(account, "ann@x.example", "bob@x.example") == {}
        added = await worker.service.add(account, DOMAIN, ["Ann@X.example", "ann@x.example"], "bounce", actor=ADMIN)
        assert added == 1
        assert await worker.check(account, "ANN@x.example", "ann@X.EXAMPLE", "bob@x.example") == {
            "ANN@x.example": "bounce",
            "ann@X.EXAMPLE": "bounce",
        }
        assert await worker.check(account, "ann@x.example", domain="SHOP.example") == {"ann@x.example": "bounce"}
        assert await worker.check(account, "ann@x.example", domain="other.example") == {}
        assert await worker.check(other, "ann@x.example") == {}
        assert await worker.service.add(account, DOMAIN, ["ann@x.example"], "bounce", actor=ADMIN) == 0
        (found,) = await worker.service.list(account)
        assert (found.domain, found.address, found.reason) == (DOMAIN, "ann@x.example", "test:admin")


async def test_a_row_that_comes_while_the_account_is_read_is_known(store: Store) -> None:
    """However coarse the clock: the rows of this account were read before it came, those of others after."""
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        worker.store.held, worker.store.free = asyncio.Event(), asyncio.Event()
        await worker.service.memory.suspects(account, {(DOMAIN, "ann@x.example")})
        await worker.store.held.wait()
        worker.store.held = None
        await worker.service.add(account, DOMAIN, ["ann@x.example"], "bounce", actor=ADMIN)
        assert await worker.check(account, "ann@x.example") == {"ann@x.example": "bounce"}
        worker.store.free.set()
        await worker.know(account)
        assert await worker.check(account, "ann@x.example") == {"ann@x.example": "bounce"}


async def test_of_several_kinds_the_weightiest_is_told(store: Store) -> None:
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        for kind in reversed(KINDS):
            await worker.service.add(account, DOMAIN, ["a@x.example"], kind, actor=ADMIN)
            assert await worker.check(account, "a@x.example") == {"a@x.example": kind}


async def test_addresses_beyond_ascii(store: Store) -> None:
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        await worker.service.add(account, "店.example", ["Ünal@例え.jp"], "unsubscribe", actor=ADMIN)
        await worker.know(account)
        found = await worker.check(account, "ünal@xn--r8jz45g.jp", domain=to_ascii_domain("店.example"))
        assert found == {"ünal@xn--r8jz45g.jp": "unsubscribe"}
        assert await worker.check(account, "ÜNAL@例え.jp", domain="店.example") == {"ÜNAL@例え.jp": "unsubscribe"}
        (item,) = await worker.service.list(account, address="ÜNAL@xn--r8jz45g.jp")
        assert item.address == "ünal@xn--r8jz45g.jp"


async def test_nothing_is_asked_while_nothing_matches(store: Store) -> None:
    account = await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as worker:
        await worker.service.add(account, DOMAIN, [f"a{n}@x.example" for n in range(50)], "bounce", actor=ADMIN)
        await worker.know(account)
        many = [f"b{number}@x.example" for number in range(1000)]
        assert await worker.asked(account, *many) == 0
        assert await worker.asked(account, *many, "a7@x.example") == 1
        clock.advance(2 * SECOND)
        assert await worker.asked(account, *many) == 1
        assert await worker.asked(account, *many) == 0


async def test_before_an_account_is_remembered_the_table_answers(store: Store) -> None:
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        await worker.service.add(account, DOMAIN, ["a@x.example"], "bounce", actor=ADMIN)
        assert await worker.check(account, "a@x.example", "b@x.example") == {"a@x.example": "bounce"}


async def test_workers_hear_of_each_other(store: Store) -> None:
    account, other = await an_account(store), await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as one, working(store, clock) as two:
        await one.know(account)
        await one.know(other)
        assert one.service.memory.size(account) == 0
        await two.service.note_bounce(account, DOMAIN, "a@x.example", "550 5.1.1 no")
        await two.service.note(account, DOMAIN, "b@x.example", "complaint", "abuse")
        clock.advance(2 * SECOND)
        assert await one.check(account, "a@x.example", "b@x.example", "c@x.example") == {
            "a@x.example": "bounce",
            "b@x.example": "complaint",
        }
        assert await one.check(other, "a@x.example") == {}
        assert one.service.memory.size(account) == 2


async def test_many_rows_are_read_in_batches(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression_memory, "_BATCH", 7)
    account = await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as one, working(store, clock) as two:
        await one.service.add(account, DOMAIN, [f"a{n}@x.example" for n in range(50)], "bounce", actor=ADMIN)
        await two.know(account)
        assert two.service.memory.size(account) == 50
        await one.service.add(account, DOMAIN, [f"b{n}@x.example" for n in range(21)], "bounce", actor=ADMIN)
        clock.advance(2 * SECOND)
        assert len(await two.check(account, *(f"{c}{n}@x.example" for c in "ab" for n in range(50)))) == 71


async def test_what_was_removed_is_mailed_again_everywhere(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppression_memory, "_MOST_IN_VAIN", 3)
    account = await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as one, working(store, clock) as two:
        await one.service.add(account, DOMAIN, ["a@x.example", "b@x.example"], "bounce", actor=ADMIN)
        await one.service.add(account, DOMAIN, ["a@x.example"], "unsubscribe", actor=ADMIN)
        await two.know(account)
        assert await one.service.remove(account, DOMAIN, ["A@x.example"], "bounce", actor=ADMIN) == 1
        assert await two.check(account, "a@x.example") == {"a@x.example": "unsubscribe"}
        assert await one.service.remove(account, DOMAIN, ["a@x.example", "c@x.example"], actor=ADMIN) == 1
        assert await one.service.remove(account, DOMAIN, ["a@x.example"], actor=ADMIN) == 0
        # The hash is still there, so it costs a question: until there were too many in vain.
        for _ in range(3):
            assert await two.asked(account, "a@x.example") == 1
        await two.know(account)
        assert await two.asked(account, "a@x.example") == 0
        assert await two.check(account, "b@x.example") == {"b@x.example": "bounce"}


async def test_accounts_out_of_use_are_forgotten(store: Store) -> None:
    account, other = await an_account(store), await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as worker:
        await worker.know(account)
        clock.advance(400 * SECOND)
        await worker.know(other)
        clock.advance(400 * SECOND)
        await worker.check(other, "a@x.example")
        assert worker.service.memory.size(account) is None
        await worker.service.note(account, DOMAIN, "a@x.example", "bounce", "")
        clock.advance(DAY)
        assert await worker.check(account, "a@x.example") == {"a@x.example": "bounce"}
        assert worker.service.memory.size(other) is None


async def test_without_the_store_nobody_is_told_that_nothing_is_suppressed(store: Store) -> None:
    account = await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as worker:
        await worker.service.add(account, DOMAIN, ["a@x.example"], "bounce", actor=ADMIN)
        await worker.know(account)
        worker.store.broken = True
        assert await worker.check(account, "b@x.example") == {}
        clock.advance(2 * SECOND)
        with pytest.raises(StoreUnavailable):
            await worker.check(account, "b@x.example")
        worker.store.broken = False
        assert await worker.check(account, "a@x.example") == {"a@x.example": "bounce"}


async def test_ids_are_given_in_the_order_of_commits(store: Store) -> None:
    """A reader that has seen an id has seen all before it: writers take turns until they have committed."""
    account = await an_account(store)
    clock = ManualClock()
    async with working(store, clock) as one, working(store, clock) as two, working(store, clock) as reader:
        await reader.know(account)

        async def write(worker: Worker, name: str) -> None:
            for number in range(20):
                assert await worker.service.note(account, DOMAIN, f"{name}{number}@x.example", "bounce", "")

        async def read() -> None:
            for _ in range(40):
                clock.advance(2 * SECOND)
                await reader.check(account, "nobody@x.example")

        await asyncio.gather(write(one, "a"), write(two, "b"), write(one, "c"), read())
        clock.advance(2 * SECOND)
        await reader.check(account, "nobody@x.example")
        assert reader.service.memory.size(account) == 60


@pytest.mark.parametrize("by", ["what happens", "people"])
async def test_a_row_that_commits_late_is_not_missed(store: Store, store_url: str, by: str) -> None:
    """A row has its id long before it can be seen: who comes later must not be seen earlier."""
    account = await an_account(store)
    clock = ManualClock()
    elsewhere = await open_store(store_url) if store.engine == "postgresql" else store
    async with working(store, clock) as writer, working(store, clock) as reader:
        await reader.know(account)

        async def write() -> object:
            if by == "people":
                return await writer.service.add(account, DOMAIN, ["second@x.example"], "bounce", actor=ADMIN)
            return await writer.service.note(account, DOMAIN, "second@x.example", "bounce", "")

        async with elsewhere.write() as connection:
            assert await suppressions.take_turn(connection, account)
            row = {"account_id": account, "domain": DOMAIN, "address": "first@x.example", "kind": "bounce"}
            await connection.execute(insert(table).values(**row, reason="", created_at=clock.now()))
            second = asyncio.create_task(write())
            await writer.until_refused(second)
            clock.advance(2 * SECOND)
            await reader.check(account, "first@x.example")
        assert await second
        clock.advance(2 * SECOND)
        found = await reader.check(account, "first@x.example", "second@x.example")
        assert found == {"first@x.example": "bounce", "second@x.example": "bounce"}
    if elsewhere is not store:
        await elsewhere.close()


async def test_an_import_of_one_account_keeps_no_other_from_suppressing(store_url: str, store: Store) -> None:
    """Whatever an account's transaction takes, bounces of others are noted, and seen by other workers."""
    if store.engine == "sqlite":
        pytest.skip("one writer at a time")
    busy, other = await an_account(store), await an_account(store)
    clock = ManualClock()
    here, there, elsewhere = [await open_store(store_url) for _ in range(3)]
    async with working(here, clock) as writer, working(there, clock) as reader:
        await reader.know(busy)
        await reader.know(other)
        async with elsewhere.write() as connection:
            assert await suppressions.take_turn(connection, busy)
            row = {"account_id": busy, "domain": DOMAIN, "address": "a@x.example", "kind": "bounce"}
            await connection.execute(insert(table).values(**row, reason="", created_at=clock.now()))
            waiting = asyncio.create_task(writer.service.note(busy, DOMAIN, "b@x.example", "bounce", ""))
            await writer.until_refused(waiting)
            assert await writer.service.note(other, DOMAIN, "b@x.example", "bounce", "")
            assert await reader.service.note(other, DOMAIN, "c@x.example", "bounce", "")
            assert await reader.service.add(other, DOMAIN, ["d@x.example"], "bounce", actor=ADMIN) == 1
            clock.advance(2 * SECOND)
            assert await reader.check(other, "c@x.example", "d@x.example") == {
                "c@x.example": "bounce",
                "d@x.example": "bounce",
            }
        assert await waiting
        # Its ids are smaller than some that were read before it was committed.
        clock.advance(2 * SECOND)
        assert await reader.check(busy, "a@x.example", "b@x.example") == {
            "a@x.example": "bounce",
            "b@x.example": "bounce",
        }
    for opened in (here, there, elsewhere):
        await opened.close()


# changes


async def test_calls_at_the_same_time_share_a_transaction(store: Store) -> None:
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        notes = [
            worker.service.note(account, DOMAIN, f"a{number % 30}@x.example", "bounce", "550 no")
            for number in range(90)
        ]
        answers = await asyncio.gather(*notes)
        assert sum(answers) == 30
        assert len(await worker.service.list(account)) == 30
        assert await worker.service.note(account, DOMAIN, "A1@x.example", "bounce", "x") is False


async def test_what_happens_by_itself_is_not_audited_and_people_are(store: Store) -> None:
    account = await an_account(store)
    clock = ManualClock()
    directory = Directory(store, clock)

    async def revision() -> int:
        clock.advance(2 * SECOND)
        found = await directory.account(account)
        assert found is not None
        return found.revision

    async with working(store, clock) as worker:
        before = await revision()
        await worker.service.note_bounce(account, DOMAIN, "a@x.example", "550 5.1.1 no")
        assert await revision() == before
        await worker.service.add(account, DOMAIN, ["b@x.example", "a@x.example"], "bounce", actor=ADMIN)
        await worker.service.add(account, DOMAIN, ["b@x.example"], "bounce", actor=ADMIN)
        await worker.service.remove(account, DOMAIN, ["b@x.example"], actor=ADMIN)
        assert await revision() == before + 2
    removed, added, *_ = await list_entries(store, account)
    assert (added.action, added.target, added.actor) == ("suppression.add", DOMAIN, "test:admin")
    assert added.data == {"kind": "bounce", "addresses": ["b@x.example"], "address_count": 1}
    assert (removed.action, removed.data["kind"], removed.data["addresses"]) == (
        "suppression.remove",
        "",
        ["b@x.example"],
    )
    await directory.close()


async def test_all_or_none(store: Store) -> None:
    account = await an_account(store)
    async with working(store, ManualClock()) as worker:
        service = worker.service
        for domain, addresses, kind in (
            (DOMAIN, ["a@x.example", "no address"], "bounce"),
            (DOMAIN, ["a@x.example"], "dislike"),
            ("no domain", ["a@x.example"], "bounce"),
            (DOMAIN, ["a\0@x.example"], "bounce"),
        ):
            with pytest.raises(SuppressionError):
                await service.add(account, domain, addresses, kind, actor=ADMIN)
            with pytest.raises(SuppressionError):
                await service.remove(account, domain, addresses, kind, actor=ADMIN)
        with pytest.raises(SuppressionError):
            await service.note(account, DOMAIN, "no address", "bounce", "")
        assert await service.list(account) == []


async def test_thousands_at_once(store: Store) -> None:
    account = await an_account(store)
    addresses = [f"a{number}@x.example" for number in range(2345)]
    async with working(store, ManualClock()) as worker:
        assert await worker.service.add(account, DOMAIN, addresses[:1200], "complaint", actor=ADMIN) == 1200
        assert await worker.service.add(account, DOMAIN, addresses, "complaint", actor=ADMIN) == 1145
        assert len(await worker.check(account, *addresses)) == 2345
        assert await worker.service.remove(account, DOMAIN, addresses, actor=ADMIN) == 2345


# lists


async def test_lists(store: Store) -> None:
    account, other = await an_account(store), await an_account(store)
    clock = ManualClock()
    begin = clock.now()
    async with working(store, clock) as worker:
        service = worker.service
        await service.add(account, DOMAIN, ["a@x.example", "b@y.example"], "bounce", actor=ADMIN, reason="r")
        clock.advance(DAY)
        await service.add(account, DOMAIN, ["a@x.example", "c@sub.x.example"], "complaint", actor=ADMIN)
        await service.add(account, "mail.example", ["d_@x_y.example"], "unsubscribe", actor=ADMIN)
        await service.add(other, DOMAIN, ["e@x.example"], "bounce", actor=ADMIN)

        async def found(**values: Any) -> list[str]:
            return [f"{item.address[0]}{item.kind[0]}" for item in await service.list(account, **values)]

        assert await found() == ["ab", "bb", "ac", "cc", "du"]
        assert await found(domain="Shop.example", kind="bounce") == ["ab", "bb"]
        assert await found(address="A@x.example") == ["ab", "ac"]
        assert await found(recipient_domain="X.example") == ["ab", "ac"]
        assert await found(recipient_domain="x-y.example") == []
        assert await found(recipient_domain="x_y.example") == ["du"]
        assert await found(since=begin + 1) == ["ac", "cc", "du"]
        assert await found(since=begin + DAY, until=begin + DAY) == ["ac", "cc", "du"]
        assert await found(until=begin + DAY - 1) == ["ab", "bb"]
        assert await found(offset=1, limit=2) == ["bb", "ac"]
        assert list(await service.domains(account)) == ["mail.example", DOMAIN]
        assert list(await service.domains(account, offset=1)) == [DOMAIN]
        assert list(await service.domains(other, limit=1)) == [DOMAIN]
        (item, *_) = await service.list(account)
        assert (item.reason, item.created_at, item.account_id) == ("r", begin, account)
        found_one = await service.find(account, DOMAIN, "A@X.example", "complaint")
        assert found_one is not None
        assert found_one.kind == "complaint"
        assert await service.find(account, DOMAIN, "a@x.example", "unsubscribe") is None
        for wrong in ({"kind": "x"}, {"address": "x"}, {"domain": " "}, {"recipient_domain": "%"}):
            with pytest.raises(SuppressionError):
                await service.list(account, **wrong)


async def test_a_row_that_somebody_else_has_written_is_not_written_again(store: Store) -> None:
    account = await an_account(store)
    row = {
        "account_id": account,
        "domain": DOMAIN,
        "address": "a@x.example",
        "kind": "bounce",
        "reason": "",
        "created_at": 0,
    }
    async with store.write() as connection:
        await connection.execute(insert(table).values(row))
    async with working(store, ManualClock()) as worker:
        assert await worker.service.note(account, DOMAIN, "a@x.example", "bounce", "") is False


# words


def test_every_sentence_is_translated_and_no_other() -> None:
    used = {
        node.args[0].value
        for node in ast.walk(ast.parse(inspect.getsource(suppressions)))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "SuppressionError"
        and isinstance(node.args[0], ast.Constant)
    }
    assert used == set(TEXTS.japanese)
    error = SuppressionError("{domain!r} is not a domain name: {why}", domain="x y", why="no")
    assert error.text("ja") == "'x y' はドメイン名ではありません: no"


async def test_no_spelling_of_an_address_gets_round_a_suppression(store: Store) -> None:
    account = await an_account(store)
    given = ["ann.b@x.example", '"c d"@x.example', '"e\\"f"@x.example']
    async with working(store, ManualClock()) as worker:
        assert await worker.service.add(account, DOMAIN, given, "unsubscribe", actor=ADMIN) == 3
        for spelling in (
            '"ann.b"@x.example',
            '"Ann\\.b"@X.example',
            "ANN.B@x.example.",
            '"C\\ d"@x.example',
            '"\\e\\"f"@x.example',
        ):
            address = parse_address(spelling).text
            assert list(await worker.service.check(account, DOMAIN, [address])) == [address]
            assert await worker.service.find(account, DOMAIN, spelling, "unsubscribe") is not None
        assert await worker.service.check(account, DOMAIN, ['"ann b"@x.example', '"ann.b."@x.example']) == {}
        kept = await worker.service.list(account)
        assert [parse_address(item.address).text for item in kept] == given
