"""Many addresses at once: taken, checked by whichever workers live, and read in pages; on either engine."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from sqlalchemy import select, update

from ekiden.core.clock import DAY
from ekiden.core.ids import IdFactory
from ekiden.dns.config import DnsConfig
from ekiden.dns.resolver import DnsResolver
from ekiden.lab import Lab
from ekiden.recipients.validation.address_check import AddressCheck, AddressChecks
from ekiden.recipients.validation.address_check_requests import (
    AddressCheckRequests,
    BadCheckRequest,
    CheckFilter,
    CheckPage,
)
from ekiden.store import tables as t
from ekiden.store.api import Store, StoreUnavailable
from support.manual_clock import ManualClock

ACCOUNT = 7
ALL = CheckFilter(ACCOUNT)


@pytest.fixture
def checks(store: Store, lab: Lab, clock: ManualClock) -> AddressChecks:
    host, port = lab.dns_address
    lab.set_dns("good.example", "A", ["127.0.0.1"])
    config = DnsConfig(nameservers=(host,), port=port, timeout=2.0, lifetime=4.0)
    return AddressChecks(store, clock, DnsResolver(config, clock, loopback_only=True))


async def a_worker(store: Store, clock: ManualClock, checks: AddressChecks) -> AddressCheckRequests:
    me = await store.register_worker("host", 1, clock.now(), 3600_000)
    return AddressCheckRequests(store, clock, IdFactory(me.node), me.id, checks)


@pytest.fixture
async def requests(store: Store, clock: ManualClock, checks: AddressChecks) -> AddressCheckRequests:
    return await a_worker(store, clock, checks)


def addresses(page: CheckPage) -> list[str]:
    return [item.check.address for item in page.items]


async def owners(store: Store) -> set[int | None]:
    async with store.read() as connection:
        return set(await connection.scalars(select(t.address_check.c.owner)))


async def test_from_the_request_to_its_results(requests: AddressCheckRequests, clock: ManualClock) -> None:
    asked = ["ann@good.example", "bob@none.example", "nobody", "ann@good.example"]
    began = clock.now()
    assert await requests.request(ACCOUNT, "spring", asked) == "spring"
    assert (await requests.results(ALL)).items == ()
    clock.advance(1_000)
    assert await requests.work(3) == 3
    assert await requests.work(3) == 1
    assert await requests.work(3) == 0
    page = await requests.results(ALL)
    assert addresses(page) == asked
    assert (page.previous, page.next) == ("", "")
    first = page.items[0]
    assert (first.request, first.requested_at, first.checked_at) == ("spring", began, clock.now())
    assert first.check == AddressCheck("ann@good.example", True, "unknown", "unknown")
    assert [item.check.mailbox for item in page.items] == ["unknown", "false", "false", "unknown"]
    assert (await requests.results(CheckFilter(ACCOUNT + 1))).items == ()


async def test_an_id_is_made_when_none_is_given(requests: AddressCheckRequests) -> None:
    first = await requests.request(ACCOUNT, None, ["a@good.example"])
    second = await requests.request(ACCOUNT, None, ["b@good.example"])
    assert first != second
    await requests.work()
    assert addresses(await requests.results(CheckFilter(ACCOUNT, request=second))) == ["b@good.example"]


async def test_thousands_of_addresses(requests: AddressCheckRequests) -> None:
    asked = [f"nobody{number}" for number in range(2_500)]
    await requests.request(ACCOUNT, None, asked)
    assert await requests.work(3_000) == 2_500
    read: list[str] = []
    cursor = ""
    while True:
        page = await requests.results(ALL, cursor, 1_000)
        read += addresses(page)
        cursor = page.next
        if not cursor:
            break
    assert read == asked


async def test_pages_forth_and_back(requests: AddressCheckRequests) -> None:
    await requests.request(ACCOUNT, None, list("abcdefg"))
    await requests.work()
    first = await requests.results(ALL, "", 3)
    second = await requests.results(ALL, first.next, 3)
    third = await requests.results(ALL, second.next, 3)
    assert [addresses(page) for page in (first, second, third)] == [list("abc"), list("def"), ["g"]]
    assert (first.previous, third.next) == ("", "")
    assert await requests.results(ALL, third.previous, 3) == second
    assert await requests.results(ALL, second.previous, 3) == first
    back = await requests.results(ALL, second.previous, 2)
    assert (addresses(back), bool(back.previous), bool(back.next)) == (["b", "c"], True, True)


async def test_filters(requests: AddressCheckRequests, clock: ManualClock, lab: Lab) -> None:
    lab.set_dns("mailinator.com", "A", ["127.0.0.1"])
    asked = ["ann@good.example", "info@good.example", "x@mailinator.com", "y@none.example", 'a"mailbox":"true"@x']
    await requests.request(ACCOUNT, "r1", asked)
    await requests.work()
    checked = clock.now()

    async def found(**wanted: Any) -> list[int]:
        page = await requests.results(CheckFilter(ACCOUNT, **wanted))
        return [asked.index(item.check.address) for item in page.items]

    assert await found(request="r1") == [0, 1, 2, 3, 4]
    assert await found(request="r2") == []
    assert await found(addresses=("x@mailinator.com", "nobody", "ann@good.example")) == [0, 2]
    assert await found(mailbox="unknown") == [0, 1, 2]
    assert await found(mailbox="false") == [3, 4]
    assert await found(mailbox="true") == []
    assert await found(valid_syntax=False) == [4]
    assert await found(valid_syntax=True, role_based=True) == [1]
    assert await found(disposable=True) == [2]
    assert await found(disposable=False, role_based=False, mailbox="unknown") == [0]
    assert await found(catch_all=True) == []
    assert await found(risk="high") == [2, 3, 4]
    assert await found(risk="medium") == [1]
    assert await found(since=checked, until=checked) == [0, 1, 2, 3, 4]
    assert await found(until=checked - 1) == await found(since=checked + 1) == []
    assert await found(request="\0") == await found(addresses=("\ud800",)) == []
    clock.advance(8 * DAY)
    assert await found() == []
    assert await found(since=checked) == [0, 1, 2, 3, 4]


async def test_workers_share_the_work(
    requests: AddressCheckRequests, store: Store, clock: ManualClock, checks: AddressChecks
) -> None:
    others = [requests, *[await a_worker(store, clock, checks) for _ in range(2)]]
    asked = [f"ann{number}@good.example" for number in range(60)]
    await requests.request(ACCOUNT, None, asked)
    done = [0, 0, 0]
    while True:
        round_ = await asyncio.gather(*(other.work(7) for other in others))
        done = [before + now for before, now in zip(done, round_, strict=True)]
        if not any(round_):
            break
    # On SQLite they write in turn, on PostgreSQL they skip what another has locked: nobody checks anything twice.
    assert sum(done) == 60
    assert addresses(await requests.results(ALL)) == asked
    assert await owners(store) == {None}


async def test_what_a_dead_worker_had_claimed_is_taken_over(
    requests: AddressCheckRequests, store: Store, clock: ManualClock, checks: AddressChecks
) -> None:
    dead = await store.register_worker("host", 2, clock.now(), 3600_000)
    await requests.request(ACCOUNT, None, ["a@good.example"])
    async with store.write() as connection:
        await connection.execute(update(t.address_check).values(owner=dead.id))
    assert await requests.work() == 0
    await store.end_worker(dead.id, clock.now())
    assert await requests.work() == 1


class Broken(AddressChecks):
    """Checks that fail as told."""

    error: Exception | None = None

    async def check_one(self, account_id: int, text: str) -> AddressCheck:
        if self.error is not None and text.startswith("bad"):
            raise self.error
        return await super().check_one(account_id, text)


@pytest.fixture
def broken(store: Store, lab: Lab, clock: ManualClock) -> Broken:
    host, port = lab.dns_address
    return Broken(store, clock, DnsResolver(DnsConfig(nameservers=(host,), port=port), clock, loopback_only=True))


async def test_trouble_with_the_store_is_waited_out(store: Store, clock: ManualClock, broken: Broken) -> None:
    requests = await a_worker(store, clock, broken)
    await requests.request(ACCOUNT, None, ["bad", "good"])
    broken.error = StoreUnavailable("away")
    with pytest.raises(StoreUnavailable):
        await requests.work()
    assert (await requests.results(ALL)).items == ()
    broken.error = None
    assert await requests.work() == 2


async def test_one_address_does_not_keep_the_others(store: Store, clock: ManualClock, broken: Broken) -> None:
    requests = await a_worker(store, clock, broken)
    await requests.request(ACCOUNT, None, ["bad", "nobody"])
    broken.error = RuntimeError("a mistake of ours")
    assert await requests.work() == 2
    page = await requests.results(ALL)
    assert [item.check.reason for item in page.items] == ["unexpected_failure", ""]


async def test_who_was_believed_dead_changes_nothing(
    requests: AddressCheckRequests, store: Store, clock: ManualClock, checks: AddressChecks
) -> None:
    other = await a_worker(store, clock, checks)
    await requests.request(ACCOUNT, None, ["nobody"])
    claimed = await requests._claim(10)
    async with store.write() as connection:
        await connection.execute(update(t.address_check).values(owner=other._worker))
    await requests._finish(claimed, [AddressCheck("nobody", True, "true", "low")])
    assert (await requests.results(ALL)).items == ()
    await other.work()
    assert [item.check.mailbox for item in (await requests.results(ALL)).items] == ["false"]


@pytest.mark.parametrize(
    ("request_id", "destinations", "field"),
    [
        ("", ["a"], "request"),
        ("x" * 201, ["a"], "request"),
        ("a\0", ["a"], "request"),
        ("r", [], "destinations"),
        ("r", ["a"] * 100_001, "destinations"),
        ("r", [""], "destination"),
        ("r", ["x" * 321], "destination"),
        ("r", ["a\0b"], "destination"),
        ("r", ["\ud800"], "destination"),
    ],
    ids=range(9),
)
async def test_requests_that_cannot_be_taken(
    requests: AddressCheckRequests, request_id: str, destinations: list[str], field: str
) -> None:
    with pytest.raises(BadCheckRequest) as raised:
        await requests.request(ACCOUNT, request_id, destinations)
    assert raised.value.field == field
    assert await requests.work() == 0


@pytest.mark.parametrize("cursor", ["n", "x0000000000000", "0", "n00000000000000000", "p!!!!!!!!!!!!!"])
async def test_no_cursors(requests: AddressCheckRequests, cursor: str) -> None:
    with pytest.raises(BadCheckRequest) as raised:
        await requests.results(ALL, cursor)
    assert raised.value.text("ja") != raised.value.text("en")
