"""The picture and the links of a message, over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from landing_server import FIREFOX, Landing, running_landing
from sqlalchemy import delete, select, update

from ekiden.core.clock import DAY, MINUTE, SECOND
from ekiden.core.events import EventType
from ekiden.core.ids import EPOCH, NODE_BITS, SEQUENCE_BITS
from ekiden.core.notices import News, Route, routes_text
from ekiden.landing.routes import location
from ekiden.recipients.tracking_recorder import MOST
from ekiden.store.api import Store, StoreUnavailable
from ekiden.store.tables import message, notice
from support.manual_clock import ManualClock

SHOP = "https://shop.example/a?b=c&d=%20#e"


def opened(landing: Landing, number: int = 1) -> str:
    return landing.urls.open(landing.account_id, landing.message_id, number)


def clicked(landing: Landing, url: str = SHOP, number: int = 1) -> str:
    return landing.urls.click(landing.account_id, landing.message_id, number, url)


async def test_the_picture_is_an_open(landing: Landing) -> None:
    reply = await landing.get(opened(landing))
    assert (reply.status, reply.headers["content-type"]) == (200, "image/gif")
    assert reply.body.startswith(b"GIF89a\x01\0\x01\0")
    assert reply.body.endswith(b";")
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["x-robots-tag"] == "noindex, nofollow"
    (event,) = await landing.events()
    assert event == (
        EventType.OPENED,
        1,
        {"user_agent": FIREFOX, "machine": False, "device": {"type": "PC", "os": "Linux", "name": ""}},
    )


async def test_a_click_goes_where_its_link_leads(landing: Landing) -> None:
    reply = await landing.get(clicked(landing, number=2))
    assert (reply.status, reply.headers["location"], reply.body) == (302, SHOP, b"")
    assert reply.headers["referrer-policy"] == "no-referrer"
    (event,) = await landing.events()
    assert (event.type, event.number, event.data["url"], event.data["machine"]) == (
        EventType.CLICKED,
        2,
        SHOP,
        False,
    )


async def test_machines_are_recorded_as_such(landing: Landing) -> None:
    reply = await landing.get(clicked(landing), "HEAD")
    assert (reply.status, reply.headers["location"], reply.body) == (302, SHOP, b"")
    reply = await landing.get(opened(landing), "HEAD")
    assert (reply.status, reply.headers["content-type"], reply.body) == (200, "image/gif", b"")
    await landing.get(opened(landing), Sec_Purpose="prefetch")
    await landing.get(opened(landing), User_Agent="Mozilla/5.0")
    proxy = "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"
    await landing.get(opened(landing), User_Agent=proxy)
    found = [
        (event.data["machine"], event.data.get("why"), "device" in event.data) for event in await landing.events()
    ]
    assert found == [
        (True, "head", True),
        (True, "head", True),
        (True, "prefetch", True),
        (True, "apple-mail-privacy", False),
        (False, None, False),
    ]


async def test_several_links_at_once_are_no_person(store: Store) -> None:
    clock = ManualClock()
    async with running_landing(store, clock=clock) as landing:
        for path, wait in (("a", 0), ("a", 0), ("b", 0), ("c", 2 * SECOND), ("c", 0), ("d", 0)):
            clock.advance(wait)
            await landing.get(clicked(landing, f"https://shop.example/{path}"))
        await landing.get(clicked(landing, "https://shop.example/e", number=2))
        found = [(event.data["url"][-1], event.data.get("why")) for event in await landing.events()]
        assert found == [
            ("a", None), ("a", None), ("b", "burst"), ("c", None), ("c", None), ("d", "burst"), ("e", None)
        ]  # fmt: skip


async def test_a_fresh_message_has_not_been_read(store: Store) -> None:
    clock = ManualClock()
    async with running_landing(store, clock=clock) as landing:
        message_id = (clock.now() - SECOND - EPOCH) << (NODE_BITS + SEQUENCE_BITS)
        async with store.write() as connection:
            found = (await connection.execute(select(message))).one()
            await connection.execute(message.insert().values({**found._mapping, "id": message_id}))
        landing.message_id = message_id
        await landing.get(opened(landing))
        clock.advance(2 * SECOND)
        await landing.get(opened(landing))
        assert [event.data.get("why") for event in await landing.events()] == ["too-soon", None]


async def test_who_wants_to_be_told_is_told(landing: Landing) -> None:
    routes = (Route(7, News.TRACKING), Route(8, News.FINAL), Route(9, News.TRACKING | News.FINAL))
    async with landing.store.write() as connection:
        await connection.execute(update(message).values(routes=routes_text(routes)))
    await landing.get(opened(landing))
    await landing.get(clicked(landing, number=2))
    await landing.post(landing.unsubscribe_url())
    async with landing.store.read() as connection:
        rows = (await connection.execute(select(notice).order_by(notice.c.id, notice.c.endpoint_id))).all()
    assert [(row.endpoint_id, row.recipient_number) for row in rows] == [
        (7, 1), (9, 1), (7, 2), (9, 2), (7, 1), (9, 1)
    ]  # fmt: skip


async def test_one_recipient_is_recorded_so_often_in_a_minute(store: Store) -> None:
    clock = ManualClock()
    async with running_landing(store, clock=clock) as landing:
        for _ in range(MOST + 5):
            assert (await landing.get(opened(landing))).status == 200
        assert (await landing.get(clicked(landing))).status == 302
        await landing.get(opened(landing, 2))
        assert len(await landing.events()) == MOST + 1
        clock.advance(MINUTE)
        await landing.get(clicked(landing))
        assert len(await landing.events()) == MOST + 2


async def test_links_outlive_their_message(landing: Landing) -> None:
    async with landing.store.write() as connection:
        await connection.execute(delete(message))
    assert (await landing.get(opened(landing))).status == 200
    assert (await landing.get(clicked(landing))).headers["location"] == SHOP
    assert (await landing.post(landing.unsubscribe_url())).status == 200
    assert await landing.events() == []
    found = await landing.services.suppressions.check(landing.account_id, "shop.example", ["ann@reader.example"])
    assert [item.kind for item in found.values()] == ["unsubscribe"]


class Broken:
    """Where events go, out of order: at once, or for as long as it takes."""

    def __init__(self, hang: asyncio.Event | None = None) -> None:
        self.hang = hang
        self.noted_events: list[Any] = []

    async def routes(self, account_id: int, message_id: int) -> tuple[Route, ...] | None:
        if self.hang is None:
            raise StoreUnavailable("no")
        await self.hang.wait()
        return ()

    async def noted(self, *_: Any) -> bool:
        raise StoreUnavailable("no")

    async def note(self, event: Any, routes: tuple[Route, ...]) -> None:
        self.noted_events.append(event)


async def test_links_work_while_nothing_can_be_recorded(landing: Landing) -> None:
    landing.services.recorder._noting = Broken()
    assert (await landing.get(opened(landing))).status == 200
    assert (await landing.get(clicked(landing))).headers["location"] == SHOP
    # But nobody is told that it is done when the sender may not hear of it.
    reply = await landing.post(landing.unsubscribe_url())
    assert (reply.status, reply.headers["retry-after"]) == (503, "60")
    assert "Please try again later" in reply.text


async def test_a_slow_store_keeps_nobody_from_a_page(store: Store) -> None:
    async with running_landing(store, patience=0.05) as landing:
        hang = asyncio.Event()
        slow = landing.services.recorder._noting = Broken(hang)
        assert (await landing.get(clicked(landing))).headers["location"] == SHOP
        assert slow.noted_events == []
        hang.set()
        await landing.services.recorder.close()
        assert [event.type for event in slow.noted_events] == [EventType.CLICKED]


@pytest.mark.parametrize("kind", ["o", "c", "u"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_what_is_no_token_of_ours_is_not_found(landing: Landing, kind: str, method: str) -> None:
    others = {"o": clicked(landing), "c": landing.unsubscribe_url(), "u": opened(landing)}[kind]
    good = {"o": opened(landing), "c": clicked(landing), "u": landing.unsubscribe_url()}[kind]
    token = good.rpartition("/")[2]
    for text in (others.rpartition("/")[2], token[:-1], token + "A", "x", "%00", "..%2f", "a" * 13_000):
        reply = await landing.get(f"/t/{kind}/{text}", method, Accept_Language="ja")
        assert reply.status == 404, text
        assert reply.headers["content-language"] == "ja"
        assert "default-src 'none'" in reply.headers["content-security-policy"]
        assert ("このリンクは使えません" in reply.text) is (method == "GET")
    for path in (f"/t/{kind}", f"/t/{kind}/", f"/t/{kind}/{token}/x", "/t", "/t/x/y"):
        assert (await landing.get(path)).status == 404
    assert await landing.events() == []


async def test_other_methods(landing: Landing) -> None:
    for url in (opened(landing), clicked(landing)):
        reply = await landing.send("POST", url, b"")
        assert (reply.status, reply.headers["content-type"]) == (405, "text/html; charset=utf-8")
        assert "GET" in reply.headers["allow"]
    assert await landing.events() == []


async def test_what_a_browser_says_of_itself_is_kept_short(landing: Landing) -> None:
    await landing.get(opened(landing), User_Agent="X11 \x85" + "é" * 2000)
    (event,) = await landing.events()
    agent = event.data["user_agent"]
    assert agent.startswith("X11 é")
    assert len(agent) <= 512


@pytest.mark.parametrize(
    ("url", "there"),
    [
        (SHOP, SHOP),
        ("https://例え.jp/道?q=値#頭", "https://xn--r8jz45g.jp/%E9%81%93?q=%E5%80%A4#%E9%A0%AD"),
        ("http://ann:é@例え.jp:8080/%41", "http://ann:%C3%A9@xn--r8jz45g.jp:8080/%41"),
        ("https://shop.example/é%20x", "https://shop.example/%C3%A9%20x"),
        ("https://[2001:db8::1]/é", "https://[2001:db8::1]/%C3%A9"),
        ("https://-é-.x..y/", "https://-%C3%A9-.x..y/"),
    ],
)
def test_where_a_link_leads_stands_in_ascii(url: str, there: str) -> None:
    assert location(url) == there


@given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Zs", "Zl", "Zp", "Cs")), max_size=60))
def test_any_url_is_one_line_of_ascii(text: str) -> None:
    found = location(f"https://shop.example/{text}")
    assert found.isascii()
    assert found.startswith("https://shop.example")


async def test_events_have_the_time_of_the_request(store: Store) -> None:
    clock = ManualClock()
    clock.advance(DAY)
    async with running_landing(store, clock=clock) as landing:
        await landing.get(opened(landing))
        assert len(await landing.events()) == 1
