"""The way out: by the page, by one click (RFC 8058), and back."""

from __future__ import annotations

import re

import pytest
from landing_server import DOMAIN, FIREFOX, RECIPIENT, Landing, running_landing

from ekiden.access.audit import Actor, list_entries
from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.language import reader_language
from ekiden.landing import pages
from ekiden.landing.translations import TEXTS
from ekiden.recipients.tracking_recorder import MOST
from ekiden.store.api import Store
from support.manual_clock import ManualClock

ONE_CLICK = b"List-Unsubscribe=One-Click"
ADMIN = Actor("test:admin")
HTML = '<!doctype html><html lang="en"><h1>Bye {{ name }}</h1>{{unsubscribe}}<p>{{other}}</p>'


def multipart(name: str = "List-Unsubscribe", value: str = "One-Click") -> tuple[bytes, str]:
    """As RFC 8058 §3.2 shows it."""
    lines = ["--boundary", f'Content-Disposition: form-data; name="{name}"', "", value, "--boundary--", ""]
    return "\r\n".join(lines).encode(), "multipart/form-data; boundary=boundary"


async def kinds(landing: Landing) -> list[str]:
    """Why the recipient is not mailed."""
    return [item.kind for item in await landing.services.suppressions.list(landing.account_id)]


async def test_looking_changes_nothing(landing: Landing) -> None:
    for method in ("GET", "HEAD", "GET"):
        reply = await landing.get(landing.unsubscribe_url(), method)
        assert reply.status == 200
    assert RECIPIENT in reply.text
    assert DOMAIN in reply.text
    assert "<button" in reply.text
    assert await kinds(landing) == []
    assert await landing.events() == []


async def test_the_button_and_back(landing: Landing) -> None:
    url = landing.unsubscribe_url()
    reply = await landing.post(url)
    assert (reply.status, "You are unsubscribed" in reply.text) == (200, True)
    (found,) = await landing.services.suppressions.list(landing.account_id)
    assert (found.domain, found.address, found.kind) == (DOMAIN, RECIPIENT, "unsubscribe")
    assert found.told() == f"unsubscribed on the page, message {format_id(landing.message_id)}"
    assert found.told("ja") == f"配信停止ページで手続き（メール {format_id(landing.message_id)}）"
    (event,) = await landing.events()
    assert event == (
        EventType.UNSUBSCRIBED,
        1,
        {
            "how": "page",
            "user_agent": FIREFOX,
            "machine": False,
            "device": {"type": "PC", "os": "Linux", "name": ""},
        },
    )
    assert "You are unsubscribed" in (await landing.get(url)).text
    reply = await landing.post(url, b"resubscribe=1")
    assert (reply.status, "You are subscribed again" in reply.text) == (200, True)
    assert await kinds(landing) == []
    assert "Unsubscribe?" in (await landing.get(url)).text
    (entry, *_) = await list_entries(landing.store, landing.account_id)
    assert (entry.action, entry.actor, entry.source, entry.data["addresses"]) == (
        "suppression.remove",
        "recipient",
        "127.0.0.1",
        [RECIPIENT],
    )
    assert len(await landing.events()) == 1
    await landing.post(url)
    assert len(await landing.events()) == 2


async def test_one_click(landing: Landing) -> None:
    reply = await landing.post(landing.unsubscribe_url(), ONE_CLICK)
    assert (reply.status, reply.body) == (200, b"")
    assert "location" not in reply.headers
    assert "set-cookie" not in reply.headers
    assert await kinds(landing) == ["unsubscribe"]
    (event,) = await landing.events()
    assert (event.type, event.data["how"], event.data["machine"]) == (EventType.UNSUBSCRIBED, "one-click", False)
    assert "device" not in event.data


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (ONE_CLICK, "application/x-www-form-urlencoded"),
        (ONE_CLICK, "application/x-www-form-urlencoded; charset=UTF-8"),
        (b"list-unsubscribe=one-click", "application/x-www-form-urlencoded"),
        (b"a=b&List-Unsubscribe=One-Click&c", "application/x-www-form-urlencoded"),
        multipart(),
        multipart("List-Unsubscribe", "One-Click\r\n"),
    ],
)
async def test_one_click_in_every_form(landing: Landing, body: bytes, media_type: str) -> None:
    reply = await landing.post(landing.unsubscribe_url(), body, media_type)
    assert (reply.status, reply.body) == (200, b"")
    assert [event.data["how"] for event in await landing.events()] == ["one-click"]


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"", "text/plain"),
        (b"\xff\xfe%%%&=", "application/x-www-form-urlencoded"),
        (b"{}", "application/json"),
        (b"--boundary\r\nbroken", "multipart/form-data; boundary=boundary"),
        (b"no boundary", "multipart/form-data"),
        (multipart()[0][:-30], "multipart/form-data; boundary=boundary"),
        (b"List-Unsubscribe=Maybe", "application/x-www-form-urlencoded"),
        (b"a=1;" * 5000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % number for number in range(3000)), "application/x-www-form-urlencoded"),
    ],
)
async def test_whatever_the_form_says_who_posts_leaves(landing: Landing, body: bytes, media_type: str) -> None:
    reply = await landing.post(landing.unsubscribe_url(), body, media_type)
    assert reply.status == 200, reply.text
    assert await kinds(landing) == ["unsubscribe"]


async def test_a_form_has_bounds(landing: Landing) -> None:
    for body in (b"a" * 70_000, iter([b"a" * 35_000] * 2)):  # with its length, and in chunks
        reply = await landing.post(landing.unsubscribe_url(), body)
        assert reply.status == 413
        assert "Nothing has been changed yet" in reply.text
    assert await kinds(landing) == []


async def test_leaving_twice_is_told_once_for_each_message(landing: Landing) -> None:
    for _ in range(3):
        assert (await landing.post(landing.unsubscribe_url(), ONE_CLICK)).status == 200
    assert len(await landing.events()) == 1
    other = landing.urls.unsubscribe(landing.account_id, landing.message_id, 2, DOMAIN, RECIPIENT.upper())
    await landing.post(other, ONE_CLICK)
    await landing.post(other, ONE_CLICK)
    assert [event.number for event in await landing.events()] == [1, 2]
    assert await kinds(landing) == ["unsubscribe"]


async def test_coming_back_does_not_undo_a_complaint(landing: Landing) -> None:
    await landing.services.suppressions.note(landing.account_id, DOMAIN, RECIPIENT, "complaint", "abuse")
    await landing.post(landing.unsubscribe_url(), b"resubscribe=1")
    assert await kinds(landing) == ["complaint"]


async def test_nobody_goes_back_and_forth_for_ever(store: Store) -> None:
    async with running_landing(store, clock=ManualClock()) as landing:
        replies = [await landing.post(landing.unsubscribe_url(), b"resubscribe=1") for _ in range(MOST + 1)]
        assert [reply.status for reply in replies] == [*[200] * MOST, 429]
        assert replies[-1].headers["retry-after"] == "60"
        assert (await landing.post(landing.unsubscribe_url())).status == 200
        assert await kinds(landing) == ["unsubscribe"]


# pages


async def test_pages_keep_to_themselves(landing: Landing) -> None:
    url = landing.unsubscribe_url()
    for reply in (await landing.get(url), await landing.post(url), await landing.post(url, b"resubscribe=1")):
        policy = reply.headers["content-security-policy"]
        for rule in ("default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert rule in policy
        assert "unsafe" not in policy
        assert "script" not in reply.text
        assert not re.search(r"(?:src|href)=", reply.text)
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-robots-tag"] == "noindex, nofollow"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert '<html lang="en">' in reply.text
        assert '<meta name="viewport"' in reply.text


async def test_in_japanese(landing: Landing) -> None:
    url = landing.unsubscribe_url()
    reply = await landing.get(url, Accept_Language="ja,en-US;q=0.7,en;q=0.3")
    assert '<html lang="ja">' in reply.text
    assert "配信を停止しますか" in reply.text
    assert reply.headers["content-language"] == "ja"
    assert reply.headers["vary"] == "Accept-Language"
    reply = await landing.send("POST", url, b"", {"Accept-Language": "ja"})
    assert "配信を停止しました" in reply.text


async def test_an_address_cannot_write_the_page(landing: Landing) -> None:
    url = landing.urls.unsubscribe(landing.account_id, landing.message_id, 1, "d.example", '"<b>{x}"@x.example')
    reply = await landing.get(url)
    assert "&quot;&lt;b&gt;{x}&quot;@x.example" in reply.text
    assert "<b>" not in reply.text


@pytest.mark.parametrize(
    ("accept", "lang"),
    [
        ("", "en"),
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en-US;q=0.8,en;q=0.7", "ja"),
        ("en-US,en;q=0.9,ja;q=0.8", "en"),
        ("en;q=0.5, ja;q=0.6", "ja"),
        ("ja;q=0", "en"),
        ("ja, en", "ja"),
        ("en, ja", "en"),
        ("fr, ja;q=0.2", "ja"),
        ("fr", "en"),
        ("*", "en"),
        ("jav;q=1", "en"),
        ("ja;q=abc", "en"),
        (",;=" * 1000, "en"),
    ],
)
def test_languages(accept: str, lang: str) -> None:
    assert reader_language(accept) == lang


@pytest.mark.parametrize("status", [400, 404, 413, 429, 500, 503])
def test_every_sentence_is_translated(status: int) -> None:
    english, japanese = pages.error("en", status), pages.error("ja", status)
    (title,) = re.findall(r"<h1>(.*)</h1>", english)
    (text,) = re.findall(r"<p>(.*)</p>", english)
    assert TEXTS.japanese[title] in japanese
    assert TEXTS.japanese[text] in japanese


# pages of accounts


async def test_the_account_s_own_page(landing: Landing) -> None:
    page = await landing.services.pages.add(landing.account_id, HTML, name="bye", uid="1_23456", actor=ADMIN)
    url = landing.unsubscribe_url(page=page.uid, placeholders={"name": "<b>Ann & Bob</b>", "unsubscribe": "no"})
    reply = await landing.get(url)
    assert "<h1>Bye &lt;b&gt;Ann &amp; Bob&lt;/b&gt;</h1>" in reply.text
    assert '<form method="post"><button type="submit" class="unsubscribe">Unsubscribe</button></form>' in reply.text
    assert "{{other}}" in reply.text
    policy = reply.headers["content-security-policy"]
    assert policy.startswith("sandbox allow-forms; default-src 'none'")
    assert "script" not in policy
    assert "配信を停止する" in (await landing.get(url, Accept_Language="ja")).text
    assert "You are unsubscribed" in (await landing.post(url)).text
    assert "You are unsubscribed" in (await landing.get(url)).text
    assert await kinds(landing) == ["unsubscribe"]


async def test_a_page_that_is_gone_or_another_s_is_ours(landing: Landing) -> None:
    await landing.services.pages.add(landing.account_id + 1, HTML, name="x", uid="1_1", actor=ADMIN)
    await landing.services.pages.add(landing.account_id, HTML, name="x", uid="1_2", actor=ADMIN)
    await landing.services.pages.remove(landing.account_id, "1_2", actor=ADMIN)
    for uid in ("1_1", "1_2", "1_3", "\0"):
        assert "Unsubscribe?" in (await landing.get(landing.unsubscribe_url(page=uid))).text
