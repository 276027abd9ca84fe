"""The browser that other tests look at pages with."""

from __future__ import annotations

import json
from pathlib import Path

from client_stub import Stub
from playwright.async_api import Page

from ekiden.lab.http import Response
from support.browser import browsing

HTML = (("Content-Type", "text/html; charset=utf-8"),)
DOCUMENT = """<!DOCTYPE html><html lang="ja"><title>駅伝</title>
<p id="words">配信を停止しますか。</p><a href="/next?a=%E9%A7%85">はい</a></html>"""


def port(stub: Stub) -> str:
    return stub.base.rpartition(":")[2]


async def test_a_page_of_a_made_up_host_is_read_and_its_link_clicked(
    stub: Stub, page: Page, tmp_path: Path
) -> None:
    stub.answer = Response(200, DOCUMENT.encode(), HTML)
    await page.goto(f"http://track.shop.example:{port(stub)}/first")
    assert await page.title() == "駅伝"
    assert await page.locator("#words").inner_text() == "配信を停止しますか。"
    picture = await page.screenshot(path=tmp_path / "page.png")
    assert picture.startswith(b"\x89PNG")
    await page.get_by_role("link", name="はい").click()
    await page.wait_for_url("**/next?*")
    targets = [request.target for request in stub.requests if request.target != "/favicon.ico"]
    assert targets == ["/first", "/next?a=%E9%A7%85"]
    fields = dict(stub.requests[0].headers)
    assert fields["Host"] == f"track.shop.example:{port(stub)}"
    assert fields["Accept-Language"].startswith("ja-JP")
    assert "Chrome" in fields["User-Agent"]


async def test_names_lead_where_the_test_says(stub: Stub) -> None:
    stub.answer = Response(200, json.dumps({"ok": True}).encode(), (("Content-Type", "application/json"),))
    place = {"track.shop.example": f"127.0.0.1:{port(stub)}"}
    async with browsing(place, locale="en-GB", user_agent="Phone/1") as page:
        answer = await page.goto("http://track.shop.example/pixel")
        assert answer is not None
        assert await answer.json() == {"ok": True}
    assert dict(stub.requests[0].headers)["User-Agent"] == "Phone/1"
    assert dict(stub.requests[0].headers)["Host"] == "track.shop.example"


async def test_addresses_elsewhere_lead_to_loopback_too(stub: Stub, page: Page) -> None:
    stub.answer = Response(200, DOCUMENT.encode(), HTML)
    await page.goto(f"http://192.0.2.1:{port(stub)}/there")
    assert stub.requests[0].target == "/there"
