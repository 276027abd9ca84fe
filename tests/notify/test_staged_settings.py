"""Settings are saved first and have effect once they are applied."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from outbox_parts import VAULT, World, running, until
from sqlalchemy import select, update

from ekiden.access.audit import Actor, list_entries
from ekiden.access.directory import Directory
from ekiden.access.vault import Vault, VaultError
from ekiden.core.clock import DAY, HOUR, SECOND
from ekiden.core.notices import Route
from ekiden.lab.http import HttpRule
from ekiden.notify.auth import Basic, open_auth
from ekiden.notify.options import Kept, Options
from ekiden.notify.staged_settings import AppliedSettings, Difference, PlannedEndpoint, StagedSettings
from ekiden.store.retention import RetentionConfig, prune
from ekiden.store.tables import endpoint, staged_setting

ME = Actor("test")


def plan(
    _kind: str, _name: str, document: Mapping[str, Any], secrets: Mapping[str, str]
) -> dict[str, PlannedEndpoint]:
    """One endpoint for each of ``parts``."""
    auth = Basic("u", secrets["password"]) if "password" in secrets else None
    options = Options(gather=document.get("gather", 0), most=10, kept=Kept(settings={"prefix": document["prefix"]}))
    return {part: PlannedEndpoint("adjusted", document["url"], auth, options) for part in document["parts"]}


def wanted(
    world: World, prefix: str = "one", *, parts: tuple[str, ...] = ("a",), path: str = "/hook"
) -> dict[str, Any]:
    return {"url": world.url + path, "prefix": prefix, "parts": list(parts)}


def staged(world: World) -> StagedSettings:
    return StagedSettings(world.store, world.clock, VAULT)


async def endpoints(world: World) -> list[Any]:
    async with world.store.read() as connection:
        return list((await connection.execute(select(endpoint).order_by(endpoint.c.id))).all())


async def test_saving_changes_nothing_that_is_sent(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world), {"password": "p1"}, actor=ME)
    assert await endpoints(world) == []
    [record] = await settings.records(world.account)
    assert (record.applied.document, record.applied.revision, record.applied.at) == (None, 0, None)
    assert [item.field for item in record.differences] == ["url", "prefix", "parts", "password"]

    applied = await settings.apply(world.account, plan, actor=ME)
    assert applied == record.differences
    [row] = await endpoints(world)
    assert (row.format, row.url, row.setting, row.gather, row.most) == (
        "adjusted",
        world.url + "/hook",
        "event//a",
        0,
        10,
    )
    assert open_auth(VAULT, row.sealed) == Basic("u", "p1")
    [record] = await settings.records(world.account)
    assert record.differences == []
    assert (record.applied.revision, record.applied.by) == (1, "test")

    await settings.save(world.account, "event", "", wanted(world, "two"), {"password": "p2"}, actor=ME)
    assert await endpoints(world) == [row]
    [record] = await settings.records(world.account)
    assert record.differences == [
        Difference("event", "", "prefix", "one", "two"),
        Difference("event", "", "password", None, None, True),
    ]
    assert "p1" not in repr(record)
    await settings.apply(world.account, plan, actor=ME)
    [changed] = await endpoints(world)
    assert changed.id == row.id, "it changes in place"
    assert open_auth(VAULT, changed.sealed) == Basic("u", "p2")
    assert await settings.apply(world.account, plan, actor=ME) == []


async def test_news_under_way_follows_the_new_settings(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world, path="/old"), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    route = Route((await endpoints(world))[0].id, 1 | 2)
    world.receiver.put("/old", [HttpRule(status=503)])
    new = await world.accept(route)
    async with running(await world.outbox()) as outbox:
        await until(lambda: world.receiver.find("/old"), outbox)
        await until(lambda: not outbox._rounds, outbox)
        assert (await endpoints(world))[0].failures == 1
        await settings.save(world.account, "event", "", wanted(world, path="/new"), {}, actor=ME)
        await settings.apply(world.account, plan, actor=ME)
        # Without the time of the breaker: what failed before was another place.
        await until(lambda: world.told("/new"), outbox)
        await world.delivered(new)
        await until(lambda: len(world.told("/new")) == 2, outbox)
    assert len(world.receiver.find("/old")) == 1


async def test_a_part_that_is_wanted_no_more_is_retired_in_its_place(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world, parts=("a", "b")), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    ids = {row.setting: row.id for row in await endpoints(world)}
    assert set(ids) == {"event//a", "event//b"}
    new = await world.accept(Route(ids["event//b"], 1 | 2))
    await settings.save(world.account, "event", "", wanted(world), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    await world.delivered(new)
    async with running(await world.outbox()) as outbox:
        await until(lambda: nothing_waits(world), outbox)
    assert not world.receiver.callbacks
    await settings.save(world.account, "event", "", wanted(world, parts=("a", "b")), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    assert {row.setting: row.id for row in await endpoints(world)} == ids
    assert {row.format for row in await endpoints(world)} == {"adjusted"}


async def nothing_waits(world: World) -> bool:
    return await world.count_live() == 0


async def test_records_have_names_and_go_when_settings_are_applied(world: World) -> None:
    settings = staged(world)
    for name in ("a", "a/b", "ニュース"):
        await settings.save(world.account, "inbound", name, wanted(world, name), {}, actor=ME)
    await settings.save(world.account, "event", "", wanted(world), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    made = {row.setting: row.id for row in await endpoints(world)}
    assert set(made) == {"event//a", "inbound/a/a", "inbound/a/b/a", "inbound/ニュース/a"}
    assert await settings.remove(world.account, "inbound", "a", actor=ME)
    assert not await settings.remove(world.account, "inbound", "a", actor=ME)
    assert not await settings.remove(world.account, "inbound", "c", actor=ME)
    record = next(item for item in await settings.records(world.account, "inbound") if item.name == "a")
    assert record.saved.document is None
    assert {item.field: item.saved for item in record.differences} == {"parts": None, "prefix": None, "url": None}
    assert {row.setting: row.id for row in await endpoints(world)} == made, "removed is not applied"
    await settings.apply(world.account, plan, actor=ME)
    assert [item.name for item in await settings.records(world.account, "inbound")] == ["a/b", "ニュース"]
    left = {row.setting: (row.id, row.format) for row in await endpoints(world)}
    assert left[""] == (made["inbound/a/a"], "retired")
    # What never had effect is gone at once.
    await settings.save(world.account, "inbound", "new", wanted(world), {}, actor=ME)
    assert await settings.remove(world.account, "inbound", "new", actor=ME)
    assert [item.name for item in await settings.records(world.account, "inbound")] == ["a/b", "ニュース"]


async def test_a_plan_that_fails_changes_nothing(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world), {}, actor=ME)
    await settings.save(world.account, "inbound", "bad", {"url": "x"}, {}, actor=ME)
    with pytest.raises(KeyError):
        await settings.apply(world.account, plan, actor=ME)
    assert await endpoints(world) == []
    assert all(item.applied.document is None for item in await settings.records(world.account))


async def test_workers_learn_of_it_within_two_seconds(world: World) -> None:
    """By the revision of the account, and with no query while nothing changes."""
    settings, applied = staged(world), AppliedSettings(world.store)
    directory = Directory(world.store, world.clock)

    async def known() -> list[tuple[str, set[str]]]:
        account = await directory.account(world.account)
        assert account is not None
        found = await applied.load(account, "event")
        assert applied.get(account, "event") is found
        return [(item.document["prefix"], set(item.endpoints)) for item in found]

    assert await known() == []
    await settings.save(world.account, "event", "", wanted(world, parts=("a", "b")), {}, actor=ME)
    world.clock.advance(2 * SECOND)
    assert await known() == []
    await settings.apply(world.account, plan, actor=ME)
    world.clock.advance(2 * SECOND)
    assert await known() == [("one", {"a", "b"})]
    await settings.save(world.account, "event", "", wanted(world, "two", parts=("b",)), {}, actor=ME)
    world.clock.advance(2 * SECOND)
    assert await known() == [("one", {"a", "b"})]
    await settings.apply(world.account, plan, actor=ME)
    world.clock.advance(2 * SECOND)
    assert await known() == [("two", {"b"})]


async def test_who_changed_what_is_kept_without_secrets(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world), {"password": "hidden"}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    await settings.remove(world.account, "event", "", actor=ME)
    entries = await list_entries(world.store, world.account)
    assert [(item.action, item.target) for item in entries[:3]] == [
        ("setting.remove", "event"),
        ("setting.apply", ""),
        ("setting.save", "event"),
    ]
    assert entries[1].data == {"fields": ["event/parts", "event/password", "event/prefix", "event/url"]}
    assert "hidden" not in repr(entries)
    async with world.store.read() as connection:
        assert "hidden" not in repr((await connection.execute(select(staged_setting))).all())
    with pytest.raises(VaultError):
        await StagedSettings(world.store, world.clock, Vault(b"x" * 32)).records(world.account)


async def test_endpoints_of_settings_stay_until_these_go(world: World) -> None:
    settings = staged(world)
    await settings.save(world.account, "event", "", wanted(world), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    await world.route("/of-a-message")
    world.clock.advance(400 * DAY)
    await prune(world.store, world.clock.now(), RetentionConfig())
    assert [row.setting for row in await endpoints(world)] == ["event//a"]
    await settings.remove(world.account, "event", "", actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    assert len(await endpoints(world)) == 1
    world.clock.advance(3 * HOUR)
    await prune(world.store, world.clock.now(), RetentionConfig())
    assert await endpoints(world) == []


async def test_a_record_that_cannot_be_read_leaves_the_others(world: World) -> None:
    settings = staged(world)
    for name in ("bad", "good"):
        await settings.save(world.account, "inbound", name, wanted(world), {}, actor=ME)
    await settings.apply(world.account, plan, actor=ME)
    async with world.store.write() as connection:
        broken = update(staged_setting).where(staged_setting.c.name == "bad").values(saved="{", applied="{")
        await connection.execute(broken)
    assert [item.name for item in await settings.records(world.account)] == ["good"]
    account = await Directory(world.store, world.clock).account(world.account)
    assert account is not None
    assert [item.name for item in await AppliedSettings(world.store).load(account, "inbound")] == ["good"]
