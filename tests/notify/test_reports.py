"""Reports are handed out once each, whoever asks at the same time, and by every filter."""

from __future__ import annotations

import asyncio

import pytest
from outbox_parts import World, running
from sqlalchemy import text

from ekiden.core.clock import DAY, HOUR
from ekiden.core.ids import format_id
from ekiden.core.notices import News, Route
from ekiden.core.submission import Marks
from ekiden.notify.reports import ReportFilter, Reports
from ekiden.store.records import NewMessage

ANY = ReportFilter()


class Unread:
    """An account whose reports are fetched."""

    def __init__(self, world: World, endpoint_id: int) -> None:
        self.world = world
        self.route = Route(endpoint_id, int(News.FINAL))
        self.reports = Reports(world.store, world.clock)

    async def send(self, count: int = 1, to: tuple[str, ...] = ("a@x.example",), **marks: str) -> list[NewMessage]:
        made = []
        for _ in range(count):
            new = await self.world.accept(self.route, to=to, marks=Marks(**marks))
            await self.world.delivered(new)
            made.append(new)
        return made

    async def fetch(self, wanted: ReportFilter = ANY, limit: int = 50) -> list[int]:
        found = await self.reports.fetch(self.world.account, self.route.endpoint_id, wanted, limit)
        assert [item.event_id for item in found] == sorted(item.event_id for item in found)
        return [item.message_id for item in found]


@pytest.fixture
async def unread(world: World) -> Unread:
    return Unread(world, await world.endpoints.find(world.account, "pull", ""))


def ids(made: list[NewMessage]) -> list[int]:
    return [new.message.id for new in made]


async def test_each_report_is_handed_out_once(unread: Unread) -> None:
    assert await unread.fetch() == []
    made = await unread.send(5)
    assert await unread.fetch(limit=2) == ids(made[:2])
    assert await unread.fetch(limit=50) == ids(made[2:])
    assert await unread.fetch() == []


async def test_callers_at_the_same_time_share_them(unread: Unread) -> None:
    made = await unread.send(60)
    answers = await asyncio.gather(*(unread.fetch(limit=10) for _ in range(8)))
    found = [id for answer in answers for id in answer]
    assert len(found) == len(set(found))
    found += await unread.fetch(limit=100)
    assert sorted(found) == ids(made)


async def test_filters(unread: Unread) -> None:
    one = await unread.send(2, bulk="B1", application="a")
    two = await unread.send(2, bulk="B2", application="a", entity="e", campaign="c")
    assert await unread.fetch(ReportFilter(bulk="nobody")) == []
    assert await unread.fetch(ReportFilter(bulk="B2", application="b")) == []
    assert await unread.fetch(ReportFilter(bulk="B2", application="a", entity="e", campaign="c"), 1) == ids(two[:1])
    assert await unread.fetch(ReportFilter(campaign="c")) == ids(two[1:])
    assert await unread.fetch(ReportFilter(entity="e")) == []
    assert await unread.fetch(ReportFilter(bulk="B1")) == ids(one)


async def test_messages_by_their_own_reference_or_ours(unread: Unread) -> None:
    [named] = await unread.send(reference="order-1")
    [group] = await unread.send(to=("a@x.example", "b@x.example"))
    [alike] = await unread.send(reference=format_id(group.message.id))
    queue_id = format_id(group.message.id)
    assert await unread.fetch(ReportFilter(message=format_id(named.message.id))) == [], "it is called order-1"
    assert await unread.fetch(ReportFilter(message="order-1")) == [named.message.id]
    assert await unread.fetch(ReportFilter(message=queue_id + "-2")) == [group.message.id]
    for nobody in ("-3", "-0", "-", "-x", "-99999999999999999999", "-²"):
        assert await unread.fetch(ReportFilter(message=queue_id + nobody)) == []
    assert await unread.fetch(ReportFilter(message=queue_id)) == [group.message.id, alike.message.id]
    assert await unread.fetch(ReportFilter(message="nothing like it")) == []
    assert await unread.fetch() == []


async def test_old_reports_are_not_handed_out(unread: Unread) -> None:
    await unread.send()
    unread.world.clock.advance(2 * DAY - HOUR)
    [new] = await unread.send()
    unread.world.clock.advance(2 * HOUR)
    assert await unread.fetch() == [new.message.id]


async def test_reports_are_of_one_account(unread: Unread) -> None:
    await unread.send()
    endpoint = unread.route.endpoint_id
    assert await unread.reports.fetch(unread.world.account + 1, endpoint, ANY, 10) == []
    assert len(await unread.fetch()) == 1


async def test_nobody_sends_what_is_to_be_fetched(unread: Unread) -> None:
    made = await unread.send(3)
    async with running(await unread.world.outbox()) as outbox:
        for _ in range(5):
            outbox.wake()
            await asyncio.sleep(0.06)
    assert await unread.fetch() == ids(made)


async def test_what_is_read_is_found_by_keys(unread: Unread) -> None:
    """However many messages there are: no table is read from end to end."""
    from ekiden.notify.queries import _report_page, _with_facts

    world = unread.world
    if world.store.engine != "sqlite":
        pytest.skip("its planner needs rows to choose by; it is told to use keys")
    for wanted, delivery in (
        (ANY, (None, None)),
        (ReportFilter(bulk="b"), (None, None)),
        (ReportFilter(message="m"), (None, None)),
        (ReportFilter(message="0000000000001"), (1, 1)),
        (ReportFilter(bulk="b", message="m", entity="e"), (None, None)),
    ):
        page, values = _report_page(wanted, *delivery)
        values |= {"account": 1, "endpoint": 1, "since": 0, "limit": 10}
        async with world.store.read() as connection:
            plan = (await connection.execute(text("EXPLAIN QUERY PLAN " + _with_facts(page)), values)).all()
        assert not [step.detail for step in plan if step.detail.startswith("SCAN") and step.detail != "SCAN p"]
