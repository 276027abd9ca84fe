"""What owners set for the messages composed in their names, and lists of domains in pages."""

from __future__ import annotations

from typing import Any

import pytest
from domain_owner import ADMIN, Owner

from ekiden.access.audit import list_entries
from ekiden.domains.errors import BadSetting, NoSuchDomain
from ekiden.domains.model import Tracking
from ekiden.store.api import Store


async def test_tracking(owner: Owner, store: Store) -> None:
    domain = await owner.add()
    assert domain.tracking == Tracking(opens=True, clicks=True, unsubscribes=False, host="")
    revision = await owner.revision()
    settings = owner.domains.settings
    changed = await settings.set_tracking(domain.id, opens=False, host="Links.Shop.Example.", actor=ADMIN)
    assert changed.tracking == Tracking(opens=False, clicks=True, unsubscribes=False, host="links.shop.example")
    assert await owner.domains.by_id(domain.id) == changed
    assert await owner.revision() == revision + 1
    entry = (await list_entries(store, owner.account_id))[0]
    assert (entry.action, entry.actor, entry.target) == ("domain.tracking", ADMIN.name, "shop.example")
    assert entry.data == {"opens": False, "host": "links.shop.example"}
    back = await settings.set_tracking(domain.id, opens=True, unsubscribes=True, host="")
    assert back.tracking == Tracking(opens=True, clicks=True, unsubscribes=True, host="")


async def test_what_changes_nothing_disturbs_nobody(owner: Owner) -> None:
    domain = await owner.add()
    revision = await owner.revision()
    settings = owner.domains.settings
    assert await settings.set_tracking(domain.id, opens=True, clicks=None) == domain
    assert await settings.set_return_path(domain.id, "") == domain
    assert await owner.revision() == revision


async def test_hosts_in_other_scripts(owner: Owner) -> None:
    domain = await owner.add()
    changed = await owner.domains.settings.set_tracking(domain.id, host="例え.example")
    assert changed.tracking.host == "xn--r8jz45g.example"


@pytest.mark.parametrize(
    "host",
    ["localhost", "192.0.2.1", "[192.0.2.1]", "a_b.example", "https://links.example", "links.example:8080", "a b"],
)
async def test_no_hosts(owner: Owner, host: str) -> None:
    domain = await owner.add()
    with pytest.raises(BadSetting) as raised:
        await owner.domains.settings.set_tracking(domain.id, opens=False, host=host)
    assert raised.value.text("ja") != raised.value.text("en")
    assert await owner.domains.by_id(domain.id) == domain


async def test_return_path(owner: Owner, store: Store) -> None:
    domain = await owner.add()
    await owner.add("bounces.shop.example")
    settings = owner.domains.settings
    for address, kept in (
        ("Bounces@Shop.Example", "Bounces@shop.example"),
        ("x@bounces.shop.example", "x@bounces.shop.example"),
        ("", ""),
    ):
        changed = await settings.set_return_path(domain.id, address, actor=ADMIN)
        assert changed.return_path == kept
        assert await owner.domains.by_id(domain.id) == changed
    entry = (await list_entries(store, owner.account_id))[0]
    assert (entry.action, entry.data) == ("domain.return_path", {"address": "", "before": "x@bounces.shop.example"})


async def test_a_return_path_goes_with_its_domain(owner: Owner, store: Store) -> None:
    domain = await owner.add()
    bounces = await owner.add("bounces.example")
    also = await owner.add("more-bounces.example")
    await owner.domains.settings.set_return_path(domain.id, "x@bounces.example")
    await owner.domains.settings.set_return_path(bounces.id, "x@more-bounces.example")
    await owner.domains.remove(bounces.id)
    assert (await owner.domains.by_id(domain.id)).return_path == ""
    assert (await list_entries(store, owner.account_id))[0].data == {"return_path_of": ["shop.example"]}
    await owner.domains.remove(also.id)
    assert (await list_entries(store, owner.account_id))[0].data == {}


@pytest.mark.parametrize(
    "address",
    [
        "nobody",
        "@shop.example",
        "a@other.example",
        "a@sub.shop.example",
        "é@shop.example",
        "a@shop.example\r\nX: y",
    ],
)
async def test_no_return_paths(owner: Owner, address: str) -> None:
    domain = await owner.add()
    with pytest.raises(BadSetting):
        await owner.domains.settings.set_return_path(domain.id, address)
    assert await owner.domains.by_id(domain.id) == domain


async def test_no_such_domain(owner: Owner) -> None:
    changes: Any = (
        lambda: owner.domains.settings.set_tracking(99, opens=False),
        lambda: owner.domains.settings.set_return_path(99, "a@shop.example"),
    )
    for change in changes:
        with pytest.raises(NoSuchDomain):
            await change()


async def test_domains_in_pages(owner: Owner) -> None:
    for name in ("c.example", "a.example", "b.example"):
        await owner.add(name)
    page = await owner.domains.page(owner.account_id, offset=1, limit=1)
    assert ([item.name for item in page.items], page.total) == (["b.example"], 3)
    rest = await owner.domains.page(owner.account_id, offset=2)
    assert [item.name for item in rest.items] == ["c.example"]
    assert await owner.domains.page(owner.account_id + 1) == ([], 0)
