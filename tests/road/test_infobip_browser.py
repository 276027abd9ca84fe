"""What recipients do with a delivered message, in a real browser: they open it, follow a link, and leave."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from callback_road import Hook
from infobip_road import InfobipRoad, Letter, unique
from playwright.async_api import Page

from support.browser import browsing
from support.demo_process import wait_for
from support.official_clients import InfobipPython

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Mobile Safari/537.36"
)
DEVICE = {"deviceType": "Phone", "os": "Android 14", "deviceName": "Pixel 8"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
MARKS = {"application_id": "app", "entity_id": "unit", "campaign_reference_id": "spring"}
TOLD = {"applicationId": "app", "entityId": "unit", "campaignReferenceId": "spring", "callbackData": "back"}
WORDS = {
    "en": ("Unsubscribe?", "Unsubscribe", "You are unsubscribed", "Undo", "You are subscribed again"),
    "ja": ("配信を停止しますか", "配信を停止する", "配信を停止しました", "元に戻す", "配信を再開しました"),
}


@pytest.fixture
def shop(road: InfobipRoad) -> str:
    """A URL of a page that the message links to, as a shop writes it."""
    pages = Hook(road.demo)
    pages.behave({"headers": {"Content-Type": "text/html; charset=utf-8"}, "body": "<title>Spring sale</title>"})
    return f"{pages.url}/sale?color=red&size=2#top"


class Sent:
    """A message that was delivered to ``recipients``, with everything that leads back to its sender."""

    def __init__(self, road: InfobipRoad, client: Any, domain: str, shop: str, count: int, **more: Any) -> None:
        self.road = road
        self.domain = domain
        self.recipients = [road.recipient() for _ in range(count)]
        self.bulk = unique("bulk-")
        self.hook = Hook(road.demo)
        told = client.call(
            "send_email",
            to=self.recipients,
            var_from=f"Shop <news@{domain}>",
            subject="Spring",
            html=(
                f'<p>Hello <a id="sale" href="{shop.replace("&", "&amp;")}">sale</a> '
                '<a id="write" href="mailto:shop@x.test">write</a> '
                f'<a id="plain" clicktracking=off href="{shop.partition("?")[0]}">plain</a></p>'
            ),
            track=True,
            tracking_url=self.hook.url,
            callback_data="back",
            bulk_id=self.bulk,
            **MARKS,
            **more,
        )
        self.ids = [entry["messageId"] for entry in told["messages"]]
        self.letters = [road.letter(recipient) for recipient in self.recipients]
        road.reports(self.bulk, count)

    def told(self, number: int = 0) -> dict[str, Any]:
        """The event of that number, as the lab's receiver got it, once it is there."""
        return self.hook.happenings(number + 1)[number]

    def expected(self, kind: str, got: dict[str, Any], recipient: int = 0, **more: Any) -> dict[str, Any]:
        """An event in the contract's shape (§5.3)."""
        return {
            "notificationType": kind,
            "eventId": got["eventId"],
            "domain": self.domain,
            "recipient": self.recipients[recipient],
            "sendDateTime": got["sendDateTime"],
            "messageId": self.ids[recipient],
            "bulkId": self.bulk,
            **TOLD,
            **more,
        }

    def events(self, kind: str, recipient: int = 0) -> list[dict[str, Any]]:
        """What ``ekiden trace`` tells of that kind."""
        trace = self.road.demo.trace(self.ids[recipient])
        (delivery,) = trace["recipients"]
        return [event for event in delivery["events"] if event["type"] == kind]

    def suppressed(self, recipient: int = 0) -> list[str]:
        """Why the recipient gets no mail."""
        account = self.road.demo.account["name"]
        asked = ("--account", account, "--domain", self.domain, "--address", self.recipients[recipient])
        return [row["kind"] for row in self.road.demo.run("suppression", "list", *asked)]


def way_out(letter: Letter) -> str:
    """The URL to unsubscribe, from a field that the signature vouches for (RFC 8058 §4)."""
    assert letter.header("List-Unsubscribe-Post") == "List-Unsubscribe=One-Click"
    signed = re.sub(r"\s", "", str(letter.message.get_all("DKIM-Signature")[0]))
    (names,) = re.findall(r";h=([^;]*);", signed)
    assert {"list-unsubscribe", "list-unsubscribe-post"} <= set(names.lower().split(":"))
    match = re.match(r"<(http[^<>]*/t/u/[A-Za-z0-9_-]+)>, <mailto:u-", str(letter.header("List-Unsubscribe")))
    assert match
    return match[1]


def rejected(road: InfobipRoad, domain: str, recipient: str) -> dict[str, Any] | None:
    """The report of another message to who has left; ``None``: it was mailed."""
    content = {"subject": "Again", "text": "x"}
    message = {
        "sender": f"news@{domain}",
        "destinations": [{"to": [{"destination": recipient}]}],
        "content": content,
    }
    sent = road.json("POST", "/email/4/messages", {"messages": [message]})
    assert sent.status == 200, sent.body
    (report,) = road.reports(sent.json["bulkId"], 1)
    return report if report["status"]["groupName"] == "REJECTED" else None


def check_rejected(report: dict[str, Any]) -> None:
    assert (report["status"]["id"], report["status"]["name"]) == (14, "REJECTED_DESTINATION_BLOCKLISTED")
    error = report["error"]
    assert (error["id"], error["name"], error["permanent"]) == (6003, "EC_UNSUBSCRIBED_EMAIL_ADDRESS", True)


async def widest(page: Page) -> int:
    """How far the page reaches to the right; more than the window is a fault of the layout."""
    found: int = await page.evaluate("document.documentElement.scrollWidth")
    return found


async def test_a_message_is_opened_and_its_link_followed(
    road: InfobipRoad, infobip_5: InfobipPython, shop: str, tmp_path: Path
) -> None:
    client = infobip_5.client(road.base, road.key)
    sent = await asyncio.to_thread(Sent, road, client, road.domain, shop, 1)
    html = sent.letters[0].part("text/html")
    (tmp_path / "message.html").write_text(html, "utf-8")
    async with browsing(user_agent=PHONE) as page:
        async with page.expect_response("**/t/o/*") as answered:
            await page.goto((tmp_path / "message.html").as_uri())
        pixel = await answered.value
        assert (pixel.status, pixel.headers["content-type"]) == (200, "image/gif")
        assert (await pixel.body()).startswith(b"GIF89a")
        opened = await asyncio.to_thread(sent.told)
        assert opened == sent.expected("OPENED", opened, recipientInfo=DEVICE)
        assert await asyncio.to_thread(sent.events, "opened")

        # Only what the contract tracks leads by way of us.
        assert await page.locator("#write").get_attribute("href") == "mailto:shop@x.test"
        assert await page.locator("#plain").get_attribute("href") == shop.partition("?")[0]
        tracked = str(await page.locator("#sale").get_attribute("href"))
        assert tracked.startswith(f"{road.base}/t/c/")
        await page.locator("#sale").click()
        await page.wait_for_url("**/sale?**")
        assert page.url == shop
        assert await page.title() == "Spring sale"
        clicked = await asyncio.to_thread(sent.told, 1)
        assert clicked == sent.expected("CLICKED", clicked, url=shop, recipientInfo=DEVICE)
        assert clicked["eventId"] != opened["eventId"]
        assert clicked["sendDateTime"] == opened["sendDateTime"]
        (event,) = await asyncio.to_thread(sent.events, "clicked")
        assert event["data"]["url"] == shop
    # A token that somebody changed leads nowhere.
    forged = tracked[:-1] + ("A" if tracked[-1] != "A" else "B")
    assert (await asyncio.to_thread(road.request, "GET", forged, authorization="")).status == 404
    elsewhere = f"{road.base}/t/c/{quote('https://evil.test/', safe='')}"
    assert (await asyncio.to_thread(road.request, "GET", elsewhere, authorization="")).status == 404


@pytest.mark.parametrize("language", ["en", "ja"])
async def test_who_leaves_by_the_page_is_not_mailed_again(
    road: InfobipRoad, infobip_5: InfobipPython, shop: str, tmp_path: Path, language: str
) -> None:
    question, leave, left, undo, back = WORDS[language]
    domain = await asyncio.to_thread(road.own_domain)
    tracking = {"open": True, "clicks": True, "unsubscribe": True}
    assert road.json("PUT", f"/email/1/domains/{domain}/tracking", tracking).status == 200
    client = infobip_5.client(road.base, road.key)
    sent = await asyncio.to_thread(Sent, road, client, domain, shop, 1)
    url = way_out(sent.letters[0])
    phone = {"user_agent": PHONE, "viewport": {"width": 360, "height": 640}}
    async with browsing(locale={"en": "en-US", "ja": "ja-JP"}[language], **phone) as page:

        async def shown(title: str, name: str) -> None:
            assert await page.title() == title
            assert await page.locator("h1").inner_text() == title
            assert await page.locator("html").get_attribute("lang") == language
            assert await widest(page) <= 360
            await page.screenshot(path=tmp_path / f"{language}-{name}.png")

        # Looking changes nothing, for scanners do that.
        await page.goto(url)
        await shown(question, "asked")
        text = await page.locator("main").inner_text()
        assert sent.recipients[0] in text
        assert domain in text
        await page.reload()
        await shown(question, "asked")

        await page.get_by_role("button", name=leave).click()
        await shown(left, "done")
        told = await asyncio.to_thread(sent.told)
        assert told == sent.expected("UNSUBSCRIBED", told, recipientInfo=DEVICE)
        assert await asyncio.to_thread(sent.events, "unsubscribed")
        assert await asyncio.to_thread(sent.suppressed) == ["unsubscribe"]
        refused = await asyncio.to_thread(
            wait_for, lambda: rejected(road, domain, sent.recipients[0]), "every worker to know"
        )
        check_rejected(refused)

        await page.goto(url)
        await shown(left, "again")
        await page.get_by_role("button", name=undo).click()
        await shown(back, "undone")
        assert await asyncio.to_thread(rejected, road, domain, sent.recipients[0]) is None

        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.emulate_media(color_scheme="dark")
        await page.goto(url)
        await page.screenshot(path=tmp_path / f"{language}-wide-dark.png")


async def test_the_page_of_an_account_lets_its_readers_leave(
    road: InfobipRoad, infobip_5: InfobipPython, shop: str, tmp_path: Path
) -> None:
    """It is a stranger's HTML: the button works, and nothing that could do harm does."""
    name, file = unique("page-"), tmp_path / "page.html"
    file.write_text(
        "<!doctype html><title>Goodbye</title><style>body { background: #fed }</style>"
        "<p id=hello>Dear {{name}}</p>{{unsubscribe}}<script>document.title = 'run'</script>",
        "utf-8",
    )
    added = ("--id", name, "--account", road.demo.account["name"])
    await asyncio.to_thread(road.demo.run, "landing-page", "add", str(file), *added)
    client = infobip_5.client(road.base, road.key)
    page_of = {"landing_page_id": name, "landing_page_placeholders": '{"name": "<b>John</b>"}'}
    sent = await asyncio.to_thread(lambda: Sent(road, client, road.domain, shop, 1, **page_of))
    async with browsing(locale="en-US", user_agent=PHONE) as page:
        await page.goto(way_out(sent.letters[0]))
        assert await page.title() == "Goodbye"
        assert await page.locator("#hello").inner_text() == "Dear <b>John</b>"
        await page.screenshot(path=tmp_path / "own.png")
        await page.get_by_role("button").click()
        await page.wait_for_function("document.title == 'You are unsubscribed'")
    told = await asyncio.to_thread(sent.told)
    assert told == sent.expected("UNSUBSCRIBED", told, recipientInfo=DEVICE)


def test_one_click_takes_one_recipient_off(road: InfobipRoad, infobip_5: InfobipPython, shop: str) -> None:
    """As a recipient's provider does it, who has no browser (RFC 8058 §3.2)."""
    domain = road.own_domain()
    tracking = {"open": False, "clicks": False, "unsubscribe": True}
    assert road.json("PUT", f"/email/1/domains/{domain}/tracking", tracking).status == 200
    sent = Sent(road, infobip_5.client(road.base, road.key), domain, shop, 2)
    first, second = (way_out(letter) for letter in sent.letters)
    assert first != second
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = road.request("POST", first, ONE_CLICK, form, authorization="")
    assert answer.status == 200
    told = sent.told()
    assert told == sent.expected("UNSUBSCRIBED", told)
    assert sent.suppressed(0) == ["unsubscribe"]
    check_rejected(wait_for(lambda: rejected(road, domain, sent.recipients[0]), "every worker to know"))
    assert rejected(road, domain, sent.recipients[1]) is None
    # Once more, as providers do that were not answered in time: nothing new.
    assert road.request("POST", first, ONE_CLICK, form, authorization="").status == 200
    assert len(sent.events("unsubscribed")) == 1
    # Its own domain is another sender's business.
    assert rejected(road, road.domain, sent.recipients[0]) is None
