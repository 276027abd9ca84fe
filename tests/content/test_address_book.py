"""Address books: what goes in and out, what waits when a worker is killed, groups that are resolved in pages."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import func, insert, select, text

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.content import address_book
from ekiden.content import address_book_queries as queries
from ekiden.content.address_book import AddressBooks, BookState, GroupAddresses
from ekiden.content.errors import BadField, NoSuchContent, TooMuchContent
from ekiden.store import tables
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.manual_clock import ManualClock

ADMIN = Actor("test:admin")
NAMES = (f"account {number}" for number in count())


@pytest.fixture
async def books(store: Store, clock: ManualClock) -> AsyncIterator[AddressBooks]:
    service = AddressBooks(store, clock)
    yield service
    await service.close()


def shown(state: BookState) -> tuple[int, dict[str, int]]:
    return state.address_count, {group.name: group.address_count for group in state.groups}


async def settled(books: AddressBooks, account: int) -> tuple[int, dict[str, int]]:
    await books.work()
    assert await books.settle(account, 0)
    return shown(await books.state(account))


async def resolved(
    books: AddressBooks, account: int, *groups: str, all_of: bool = False, limit: int = 1_000
) -> list[str]:
    pages = [page async for page in books.resolve(account, groups, all_of=all_of, limit=limit)]
    found = [member.address for page in pages for member in page.members]
    assert await books.count(account, groups, all_of=all_of) == len(found) == len(set(found))
    return found


async def rows(store: Store, *names: str) -> list[int]:
    async with store.read() as connection:
        return [
            await connection.scalar(select(func.count()).select_from(tables.metadata.tables[name])) or 0
            for name in names or ("listed_address", "group_member", "recipient_group", "address_book_job")
        ]


async def test_what_is_added_comes_by_and_by(store: Store, books: AddressBooks, account: int) -> None:
    assert shown(await books.state(account)) == (0, {})
    wanted = [
        GroupAddresses("10대", ["a@x.example", "B@x.example", "b@X.example", "c@x.example"]),
        GroupAddresses("남자", ["c@x.example", '"a"@x.example']),
        GroupAddresses("empty"),
        GroupAddresses("", ["alone@x.example"]),
    ]
    assert shown(await books.add(account, wanted, actor=ADMIN)) == (0, {})
    assert await settled(books, account) == (4, {"10대": 3, "남자": 2, "empty": 0})
    # Once more, with others: only what is new is counted.
    before = await books.add(account, [GroupAddresses("empty", ["a@x.example", "d@x.example"])], actor=ADMIN)
    assert shown(before) == (4, {"10대": 3, "남자": 2, "empty": 0})
    assert await settled(books, account) == (5, {"10대": 3, "남자": 2, "empty": 2})
    assert await resolved(books, account, "10대") == ["a@x.example", "B@x.example", "c@x.example"]
    entry, first, *_ = await list_entries(store, account)
    assert (entry.action, entry.actor, first.data["address_count"]) == ("address_book.add", "test:admin", 7)
    other = (await create_account(store, next(NAMES), 0)).id
    assert shown(await books.state(other)) == (0, {})
    with pytest.raises(NoSuchContent):
        await resolved(books, other, "10대")


async def test_taking_out(store: Store, books: AddressBooks, account: int) -> None:
    everybody = [f"a{number}@x.example" for number in range(8)]
    await books.add(account, [GroupAddresses("one", everybody[:6]), GroupAddresses("two", everybody[4:])])
    assert await settled(books, account) == (8, {"one": 6, "two": 4})
    state = await books.remove_addresses(account, ["A4@x.example", "a0@x.example", "nobody@x.example"])
    assert shown(state) == (6, {"one": 4, "two": 3})
    state = await books.remove_members(account, "one", ["a5@x.example", "a7@x.example", "nobody@x.example"])
    assert shown(state) == (6, {"one": 3, "two": 3})
    assert await resolved(books, account, "one", "two", all_of=True) == []
    assert shown(await books.empty_group(account, "one", actor=ADMIN)) == (6, {"one": 0, "two": 3})
    assert await resolved(books, account, "one") == []
    assert shown(await books.remove_group(account, "two")) == (6, {"one": 0})
    with pytest.raises(NoSuchContent):
        await resolved(books, account, "two")
    # Another group of that name begins with nobody, and what is left of the old one is nobody's.
    await books.add(account, [GroupAddresses("two", ["a1@x.example"])])
    assert await settled(books, account) == (6, {"one": 0, "two": 1})
    assert await rows(store) == [6, 1, 2, 0]
    assert await books.reset(account, actor=ADMIN) == 6
    assert shown(await books.state(account)) == (0, {})
    assert await settled(books, account) == (0, {})
    assert await rows(store) == [0, 0, 0, 0]
    assert await books.reset(account) == 0
    actions = [entry.action for entry in await list_entries(store, account)]
    assert actions[:2] == ["address_book.reset"] * 2
    assert {"address_book.remove", "address_book.leave", "address_book.empty_group"} <= set(actions)


async def test_what_waits_and_is_taken_out_does_not_come_back(
    store: Store, books: AddressBooks, account: int
) -> None:
    """Requests of one client have their order, though the first one is slow."""
    members = [f"a{number}@x.example" for number in range(6)]
    async with books._one:  # the turn of another account
        await books.add(account, [GroupAddresses("one", members), GroupAddresses("two", members)])
        assert shown(await books.remove_addresses(account, members[:2])) == (0, {"one": 0, "two": 0})
        await books.remove_members(account, "two", members[2:3])
        await books.add(account, [GroupAddresses("one", members[:1])])
        await books.empty_group(account, "two")
        await books.add(account, [GroupAddresses("two", members[5:])])
    assert await settled(books, account) == (5, {"one": 5, "two": 1})
    # Neither does what waits when everything is forgotten.
    async with books._one:
        await books.add(account, [GroupAddresses("three", members)])
        assert await books.reset(account) == 5
        await books.add(account, [GroupAddresses("three", members[:3])])
        await books.remove_group(account, "three")
    assert await settled(books, account) == (3, {})
    assert await rows(store) == [3, 0, 0, 0]


async def test_what_is_wrong_changes_nothing(store: Store, books: AddressBooks, account: int) -> None:
    for name, address in (
        ("x" * 101, "a@x.example"),
        ("a\nb", "a@x.example"),
        ("one", "no address"),
        ("", "a\0@x"),
    ):
        with pytest.raises(BadField):
            await books.add(account, [GroupAddresses("good", ["b@x.example"]), GroupAddresses(name, [address])])
    with pytest.raises(BadField):
        await books.remove_addresses(account, ["a@x.example", "no address"])
    for act in (books.remove_group, books.empty_group):
        with pytest.raises(NoSuchContent):
            await act(account, "none")
    with pytest.raises(NoSuchContent):
        await books.remove_members(account, "none", ["a@x.example"])
    with pytest.raises(NoSuchContent):
        await books.remove_members(account, "none", [])
    for groups in ([], [f"g{number}" for number in range(6)]):
        with pytest.raises(BadField):
            await books.count(account, groups, all_of=False)
    assert await rows(store) == [0, 0, 0, 0]


async def test_bounds(books: AddressBooks, account: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(address_book, "MAX_GROUPS", 2)
    monkeypatch.setattr(address_book, "MAX_ADDRESSES", 4)
    monkeypatch.setattr(address_book, "_MOST_WAITING", 2)
    await books.add(account, [GroupAddresses("1"), GroupAddresses("2"), GroupAddresses("1", ["a@x.example"])])
    await settled(books, account)
    for additions in (
        [GroupAddresses("3")],
        [GroupAddresses("1", [f"b{number}@x.example" for number in range(4)])],
        [GroupAddresses("1", ["b@x.example"])] * 3,
    ):
        with pytest.raises(TooMuchContent):
            await books.add(account, additions)
    assert await settled(books, account) == (1, {"1": 1, "2": 0})


async def test_what_is_taken_out_while_much_waits_has_a_bound(
    store: Store, books: AddressBooks, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits is done again for each; so those, too, are refused when there are too many."""
    await books.add(account, [GroupAddresses("1", ["a@x.example"])])
    assert await settled(books, account) == (1, {"1": 1})
    monkeypatch.setattr(address_book, "_MOST_WAITING", 1)
    monkeypatch.setattr(books, "_begin", lambda account_id: None)  # nobody works on it
    await books.add(account, [GroupAddresses("1", ["b@x.example"])])
    await books.remove_members(account, "1", ["b@x.example"])
    for remove in (
        books.remove_addresses(account, ["a@x.example"]),
        books.remove_members(account, "1", ["a@x.example"]),
    ):
        with pytest.raises(TooMuchContent):
            await remove
    assert shown(await books.state(account)) == (1, {"1": 1})
    assert (await rows(store, "address_book_job")) == [2]
    monkeypatch.undo()
    assert await settled(books, account) == (2, {"1": 1})
    assert shown(await books.remove_addresses(account, ["a@x.example"])) == (1, {"1": 0})


async def test_a_book_with_nothing_in_it_leaves_nothing_to_do(
    store: Store, books: AddressBooks, account: int
) -> None:
    for _ in range(3):
        await books.add(account, [GroupAddresses("1"), GroupAddresses("2")])
        assert await books.reset(account) == 0
    assert await rows(store, "address_book_job") == [0]


async def test_filters(books: AddressBooks, account: int) -> None:
    """Any and all of up to five groups are what sets say, whatever the size of a page."""
    lot = random.Random(7)
    everybody = [f"a{number:03}@x.example" for number in range(300)]
    sets = {
        name: set(lot.sample(everybody, size)) for name, size in zip("abcde", (1, 40, 150, 200, 280), strict=True)
    }
    sets["f"] = set()
    await books.add(account, [GroupAddresses(name, sorted(members)) for name, members in sets.items()])
    await settled(books, account)
    for groups in ("c", "ab", "cde", "abcde", "df", "cc"):
        for limit in (1_000, 37) if len(groups) > 2 else (1_000,):
            chosen = [sets[name] for name in groups]
            assert set(await resolved(books, account, *groups, limit=limit)) == set().union(*chosen)
            both = await resolved(books, account, *groups, all_of=True, limit=limit)
            assert set(both) == set.intersection(*chosen)
    pages = [page async for page in books.resolve(account, ["c", "d"], all_of=False, limit=50)]
    rest = [page async for page in books.resolve(account, ["c", "d"], all_of=False, after=pages[1].last, limit=50)]
    assert rest == pages[2:]


async def test_a_hundred_thousand_in_pages(
    store: Store, books: AddressBooks, account: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(address_book, "_PIECE", 25_000)
    everybody = [f"a{number}@x.example" for number in range(100_000)]
    await books.add(account, [GroupAddresses("all", everybody), GroupAddresses("few", everybody[5::10_000])])
    async with asyncio.timeout(60):
        assert await settled(books, account) == (100_000, {"all": 100_000, "few": 10})
    found = 0
    async for page in books.resolve(account, ["all", "few"], all_of=False, limit=5_000):
        assert len(page.members) == 5_000
        found += 5_000
    assert found == 100_000
    assert await books.count(account, ["all", "few"], all_of=False) == 100_000
    # However few they are, no page reads further than it may.
    both = [page async for page in books.resolve(account, ["all", "few"], all_of=True)]
    assert [len(page.members) for page in both] == [10]
    assert await books.reset(account) == 100_000
    assert shown(await books.state(account)) == (0, {})


@pytest.mark.parametrize("all_of", [True, False])
async def test_no_page_walks_through_a_whole_group(
    store: Store, books: AddressBooks, account: int, *, all_of: bool
) -> None:
    """As it is planned for groups of any size, which PostgreSQL does after some pages."""
    everybody = [f"a{number}@x.example" for number in range(3_000)]
    await books.add(account, [GroupAddresses("one", everybody), GroupAddresses("two", everybody[1:])])
    await settled(books, account)
    sql = str(queries.window_statement(2, 100, all_of=all_of))
    async with store.write() as connection:
        if connection.dialect.name == "sqlite":
            values = {"account": account, "after": 0, "list0": 1, "list1": 2}
            details = await connection.execute(text(f"EXPLAIN QUERY PLAN {sql}"), values)
            plan = [row.detail for row in details]
            searches = sum("SEARCH" in line and "address_id" in line for line in plan)
        else:
            for number, name in enumerate(("account", "after", "list0", "list1"), 1):
                sql = sql.replace(f":{name}", f"${number}")
            await connection.execute(text("ANALYZE group_member"))
            await connection.execute(text("SET LOCAL plan_cache_mode = force_generic_plan"))
            await connection.exec_driver_sql(f"PREPARE page (bigint, bigint, bigint, bigint) AS {sql}")
            plan = list(await connection.scalars(text("EXPLAIN EXECUTE page (1, 0, 1, 2)")))
            await connection.execute(text("DEALLOCATE page"))
            searches = sum("Index Cond" in line and "address_id" in line for line in plan)
    assert searches == 2, plan
    assert not any("SCAN group_member" in line or "SCAN o" in line or "hashed" in line for line in plan)


async def test_a_worker_that_is_killed_leaves_it_to_others(store_url: str, store: Store, account: int) -> None:
    """What the client was told is kept is in the book afterwards, once; how far the other one came is no matter."""
    program = Path(__file__).with_name("book_process.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(program), store_url, str(account), "6000", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        assert await process.stdout.readline() == b"added\n"
        books = AddressBooks(store, ManualClock())
        while (await books.state(account)).address_count < 500:  # noqa: ASYNC110 (another process does it)
            await asyncio.sleep(0.005)
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()
        assert not await books.settle(account, 0)
        # Two of them at once, as on two nodes.
        elsewhere = await open_store(store_url)
        others = AddressBooks(elsewhere, ManualClock())
        await asyncio.gather(books.work(), others.work())
    assert shown(await books.state(account)) == (6_000, {"one": 6_000, "two": 3_000})
    assert await rows(store) == [6_000, 9_000, 2, 0]
    await others.close()
    await elsewhere.close()
    await books.close()


async def test_a_row_that_cannot_be_read_keeps_nobody(
    store: Store, books: AddressBooks, account: int, clock: ManualClock
) -> None:
    async with store.write() as connection:
        book = await queries.take_book(connection, account)
        row = {"account_id": account, "turn": 0, "kind": 1, "book_list": book.list_id, "group_list": 0}
        await connection.execute(insert(tables.address_book_job).values(**row, data="nonsense", created_at=0))
    await books.add(account, [GroupAddresses("one", ["a@x.example"])])
    assert await settled(books, account) == (1, {"one": 1})
