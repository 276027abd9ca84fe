"""Landing pages of accounts, as they are kept."""

from __future__ import annotations

import asyncio
import re

import pytest

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor, list_entries
from ekiden.content.errors import BadContent, ContentTaken, NoSuchContent
from ekiden.content.landing_pages import MAX_HTML, LandingPages
from ekiden.core.clock import SECOND
from ekiden.store.api import Store
from support.manual_clock import ManualClock

ADMIN = Actor("test:admin")
HTML = "<p>{{unsubscribe}}"


async def an_account(store: Store, name: str = "acme") -> int:
    return (await create_account(store, name, 0)).id


async def test_the_life_of_a_page(store: Store) -> None:
    account, other = await an_account(store), await an_account(store, "other")
    clock = ManualClock()
    pages = LandingPages(store, clock)
    made = await pages.add(account, HTML, name="first", actor=ADMIN)
    assert re.fullmatch(r"1_\d{8}", made.uid)
    named = await pages.add(account, HTML, name="second", uid="1_23456", actor=ADMIN)
    await pages.add(other, HTML, name="second", uid="1_23456", actor=ADMIN)
    assert await pages.list(account) == [made, named]
    with pytest.raises(ContentTaken) as taken:
        await pages.add(account, HTML, name="x", uid="1_23456", actor=ADMIN)
    assert "1_23456" in taken.value.text("ja")
    clock.advance(SECOND)
    changed = await pages.add(account, HTML + "!", name="third", uid="1_23456", replace=True, actor=ADMIN)
    assert (changed.id, changed.html, changed.created_at) == (named.id, HTML + "!", named.created_at)
    assert changed.updated_at == named.updated_at + SECOND
    assert await pages.get(account, "1_23456") == changed
    assert await pages.remove(account, "1_23456", actor=ADMIN) == changed
    assert await pages.find(account, "1_23456") is None
    for missing in (pages.get(account, "1_23456"), pages.remove(account, "1_23456", actor=ADMIN)):
        with pytest.raises(NoSuchContent):
            await missing
    assert len(await pages.list(other)) == 1
    actions = [entry.action for entry in await list_entries(store, account)]
    assert actions[:4] == ["landing_page.remove", "landing_page.replace", "landing_page.add", "landing_page.add"]


@pytest.mark.parametrize(
    ("html", "name", "uid"),
    [
        ("<p>no button", "x", ""),
        ("<p>{unsubscribe}", "x", ""),
        (HTML, "", ""),
        (HTML, "a\nb", ""),
        (HTML, "x" * 129, ""),
        (HTML, "x", "a b"),
        (HTML, "x", "a" * 65),
        (HTML, "x", "é"),
        (HTML + "x" * MAX_HTML, "x", ""),
    ],
)
async def test_what_is_no_page(store: Store, html: str, name: str, uid: str) -> None:
    account = await an_account(store)
    with pytest.raises(BadContent) as bad:
        await LandingPages(store, ManualClock()).add(account, html, name=name, uid=uid, actor=ADMIN)
    assert bad.value.text("ja") != str(bad.value)


async def test_two_at_the_same_time(store: Store) -> None:
    account = await an_account(store)
    pages = LandingPages(store, ManualClock())
    ways = [pages.add(account, HTML, name="x", uid="1_1", actor=ADMIN) for _ in range(4)]
    ended = await asyncio.gather(*ways, return_exceptions=True)
    assert sorted(type(item).__name__ for item in ended) == [*["ContentTaken"] * 3, "LandingPage"]
