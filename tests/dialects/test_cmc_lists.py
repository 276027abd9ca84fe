"""Lists of Customers Mail Cloud: what became of mail, blocks, figures and changes, on both engines."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cmc_cloud import BULK, SEND, SENDER, USER, Cloud, running_cmc
from infobip_outcomes import Outcomes

from ekiden.access.accounts import create_account
from ekiden.access.audit import Actor
from ekiden.core.clock import DAY, HOUR, MINUTE, Millis
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.events import Event, EventType
from ekiden.core.states import State
from ekiden.dialects.cmc.config import CmcConfig
from ekiden.notify import history_queries
from ekiden.recipients.suppressions import ANY_DOMAIN
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.records import Noted
from support.cmc_client import Reply
from support.manual_clock import ManualClock

NOW: Millis = 1_800_000_000_000
"""2027-01-15 08:00:00 UTC, 17:00 in Tokyo."""
TODAY = "2027-01-15"
LISTS = "/transaction/v2"
ADMIN = Actor("test:admin", "192.0.2.9")
DELIVERY = {
    *("created", "returnPath", "from", "to", "messageId", "subject", "apiData", "reason", "sourceIp", "senderIp"),
    "status",
}
BOUNCE = {"created", "status", "from", "to", "messageId", "returnPath", "subject", "apiData", "reason"}


class World:
    """A cloud whose time stands, and what becomes of its mail."""

    def __init__(self, cloud: Cloud, clock: ManualClock, outcomes: Outcomes) -> None:
        self.cloud = cloud
        self.clock = clock
        self.outcomes = outcomes

    async def send(self, *to: str, **changed: Any) -> str:
        """The id."""
        mail = {"to": list(to), "from": SENDER, "subject": "件名", "text": "t", **changed}
        reply = await self.cloud.client.json(BULK if len(to) > 10 else SEND, mail)
        assert reply.status == 200, reply.body
        found: str = reply.json["id"]
        return found

    async def ask(self, action: str, /, client: Any = None, answer: int = 200, **asked: Any) -> Reply:
        given = {"server_composition": "pro", **asked}
        reply: Reply = await (client or self.cloud.client).json(f"{LISTS}/{action}.json", given)
        assert reply.status == answer, reply.body
        return reply

    async def list(self, kind: str, /, client: Any = None, **asked: Any) -> list[Any]:
        """Of ``deliveries``, ``bounces`` …: nothing else is in the answer, and every value is a text."""
        reply = await self.ask(f"{kind}/list", client=client, **asked)
        assert set(reply.json) == {kind}
        found: list[Any] = reply.json[kind]
        keys = {"deliveries": DELIVERY, "bounces": BOUNCE}
        for item in found:
            assert set(item) == keys.get(kind, set(item))
            assert all(isinstance(value, str) for value in item.values()) or kind == "statistics"
        return found

    async def file_of(self, kind: str, /, **asked: Any) -> list[list[str]]:
        """The rows of the CSV in the ZIP of a download."""
        reply = await self.ask(f"{kind}/download", **asked)
        assert reply.headers["content-type"] == "application/octet-stream"
        now = datetime.fromtimestamp(self.clock.now() / 1000, ZoneInfo("Asia/Tokyo"))
        stem = f"{kind}-{now:%Y%m%d_%H%M%S}"
        assert reply.headers["content-disposition"] == f'attachment; filename="{stem}.zip"'
        with zipfile.ZipFile(io.BytesIO(reply.body)) as archive:
            assert archive.namelist() == [f"{stem}.csv"]
            text = archive.read(f"{stem}.csv").decode()
        assert text.startswith('"')
        return list(csv.reader(io.StringIO(text, newline="")))


@pytest.fixture
async def world(store: Store) -> AsyncIterator[World]:
    clock = ManualClock(NOW)
    async with running_cmc(store, clock=clock) as cloud:
        outcomes: Any = Outcomes(cloud, await store.register_worker("there", 1, clock.now(), DAY))  # type: ignore[arg-type]
        outcomes.cloud = _Seen(store, cloud)
        yield World(cloud, clock, outcomes)


class _Seen:
    """What ``Outcomes`` knows of a cloud."""

    def __init__(self, store: Store, cloud: Cloud) -> None:
        self.store = store
        self.services = cloud.worker.platform


async def test_deliveries(world: World) -> None:
    headers = {"X-Api-Data": "注文-7"}
    id = await world.send("a@shop.example", "b@shop.example", headers=headers, envfrom=f"bounce@{SENDER[5:]}")
    world.clock.advance(MINUTE)
    claimed = await world.outcomes.claim()
    await world.outcomes.finish(State.DELIVERED, "250 2.0.0 OK", claimed[:1])
    await world.outcomes.finish(State.DEFERRED, "451 4.7.1 Later", claimed[1:], stage="rcpt", source="192.0.2.7")
    found = await world.list("deliveries", date=TODAY)
    assert [(item["to"], item["status"], item["created"]) for item in found] == [
        (claimed[1].recipient, "deferred", f"{TODAY} 17:01:00"),
        (claimed[0].recipient, "succeeded", f"{TODAY} 17:01:00"),
        ("a@shop.example", "queued", f"{TODAY} 17:00:00"),
        ("b@shop.example", "queued", f"{TODAY} 17:00:00"),
    ]
    for item in found:
        assert (item["messageId"], item["subject"], item["apiData"]) == (id, "件名", "注文-7")
        assert (item["from"], item["returnPath"]) == (SENDER, "bounce@sender.example")
        assert item["sourceIp"] == ("127.0.0.1" if item["status"] == "queued" else "")
        deferred = item["status"] == "deferred"
        assert item["reason"] == ("451 4.7.1 Later (in reply to RCPT TO)" if deferred else "")
        assert item["senderIp"] == ("192.0.2.7" if deferred else "")
    xml = await world.cloud.client.json(
        f"{LISTS}/deliveries/list.xml", {"server_composition": "pro", "date": TODAY}
    )
    assert (xml.xml.tag, {item.tag for item in xml.xml}, len(xml.xml)) == ("deliveries", {"delivery"}, 4)
    assert {member.tag: member.text or "" for member in xml.xml[0]} == found[0]
    # In another zone it was another time, and yesterday's list has what was then.
    abroad = await world.cloud.add_user("x@y.example", time_zone="America/New_York", scopes=["read"])
    assert (await world.list("deliveries", abroad, date=TODAY))[3]["created"] == f"{TODAY} 03:00:00"


async def test_what_deliveries_are_asked_for(world: World) -> None:
    await world.send("ann@shop.example", headers={"X-Api-Data": "a%_1"})
    world.clock.advance(HOUR)
    await world.send("bob@OTHER.example", **{"from": {"address": f"sales@{SENDER[5:]}"}})

    async def to(**asked: Any) -> set[str]:
        return {item["to"].lower()[:3] for item in await world.list("deliveries", **{"date": TODAY, **asked})}

    everybody = {"ann", "bob"}
    assert await to() == await to(status="queued", hour="", minute=None, p=0, search_option="x") == everybody
    assert await to(to="SHOP") == await to(**{"from": "INFO@"}) == await to(api_data="%_") == {"ann"}
    assert await to(to="other.example") == await to(**{"from": "sales"}) == {"bob"}
    assert await to(hour=17) == await to(hour="17", minute="0") == {"ann"}
    assert await to(hour=18, minute=0) == {"bob"}
    assert (
        await to(status="failed")
        == await to(api_data="%%")
        == await to(hour=3)
        == await to(date="2027-01-14")
        == set()
    )
    assert await to(r=1) == {"bob"}
    assert await to(r=1, p=1) == {"ann"}
    assert await to(r=1, p="2") == set()


WRONG: list[tuple[str, Mapping[str, Any], list[tuple[str, str]]]] = [
    ("deliveries/list", {"server_composition": ""}, [("11-001", "server_composition"), ("11-001", "date")]),
    ("deliveries/list", {"date": TODAY, "server_composition": "te"}, [("11-005", "server_composition")]),
    ("deliveries/list", {"date": "2027-01-16"}, [("11-002", "date")]),
    ("deliveries/list", {"date": "2027-02-30"}, [("11-002", "date")]),
    ("deliveries/list", {"date": "0001-01-01"}, [("11-002", "date")]),
    ("deliveries/list", {"date": TODAY, "minute": 1}, [("11-001", "hour")]),
    ("deliveries/list", {"date": TODAY, "hour": 24, "minute": "x"}, [("11-002", "hour"), ("11-002", "minute")]),
    ("deliveries/list", {"date": TODAY, "status": 2}, [("11-002", "status")]),
    ("deliveries/list", {"date": TODAY, "r": 0, "p": -1}, [("11-002", "r"), ("11-002", "p")]),
    ("deliveries/list", {"date": TODAY, "r": 1_000, "p": 1_000_000}, [("11-002", "p")]),
    (
        "deliveries/list",
        {"date": TODAY, "to": ["a"], "api_data": "a\0"},
        [("11-002", "to"), ("11-002", "api_data")],
    ),
    ("bounces/list", {"status": 100, "start_date": "x"}, [("11-002", "start_date"), ("11-002", "status")]),
    ("bounces/list", {"start_date": "2027-01-02", "end_date": "2027-01-01"}, [("11-002", "start_date")]),
    ("blocks/list", {"r": 101, "removed": "perhaps"}, [("11-002", "removed"), ("11-002", "r")]),
    ("blocks/remove", {}, [("11-001", "email")]),
    ("blocks/remove", {"email": "nobody@x.example"}, [("11-005", "email")]),
    ("blocks/release", {"id": "b999"}, [("11-005", "id")]),
    ("blocks/cancel", {"email": "x"}, [("11-002", "email")]),
    ("unsubscribes/cancel", {}, [("11-001", "email")]),
    ("unsubscribes/cancel", {"email": "nobody@x.example"}, [("11-005", "email")]),
    ("statistics/list", {"year": 2027}, [("11-001", "month")]),
    ("statistics/list", {"year": "abc", "month": 13}, [("11-002", "year"), ("11-002", "month")]),
    ("auditlogs/list", {}, [("11-001", "type")]),
    (
        "auditlogs/list",
        {"type": "operation", "start_date": "2026-12-01", "end_date": "2027-01-01"},
        [("11-002", "end_date")],
    ),
]


async def test_what_lists_cannot_be_asked_for(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    async with running_cmc(store, clock=ManualClock(NOW)) as cloud:
        for action, asked, errors in WRONG:
            given = {"server_composition": "pro", **asked}
            reply = await cloud.client.json(f"{LISTS}/{action}.json", given)
            assert (reply.status, reply.errors) == (400, errors), (action, asked, reply.body)
        # Forms of both kinds will do, and the older version.
        fields = {"server_composition": "pro", "date": TODAY}
        for path in (f"{LISTS}/deliveries/list.json", "/transaction/v1/deliveries/list.json"):
            for way in (cloud.client.urlencoded, cloud.client.multipart):
                assert (await way(path, fields)).json == {"deliveries": []}
        wrong = await cloud.client.json(f"{LISTS}/deliveries/list.json", {"date": TODAY, "server_composition": "x"})
        assert wrong.json["errors"][0]["message"] == "there is no server configuration x"
    await store.close()


async def test_another_server_composition(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    async with running_cmc(store, cmc=CmcConfig(server_composition="te")) as cloud:
        asked = {"server_composition": "te"}
        assert (await cloud.client.json(f"{LISTS}/bounces/list.json", asked)).json == {"bounces": []}
    await store.close()


async def test_bounces(world: World) -> None:
    blocks = world.cloud.worker.platform.suppressions
    await blocks.add(world.cloud.account.id, ANY_DOMAIN, ["left@shop.example"], "unsubscribe", actor=ADMIN)
    await blocks.add(world.cloud.account.id, ANY_DOMAIN, ["gone@shop.example"], "bounce", actor=ADMIN)
    await world.send("none@shop.example", "left@shop.example", "gone@shop.example", "late@shop.example")
    claimed = {delivery.recipient[:4]: delivery for delivery in await world.outcomes.claim()}
    await world.outcomes.finish(State.BOUNCED, "550 5.1.1 No such user", [claimed["none"]])
    await world.outcomes.finish(State.DELIVERED, "250 2.0.0 OK", [claimed["late"]])
    await world.send("full@shop.example", headers={"x-api-data": "full"})
    await world.outcomes.finish(State.EXPIRED, "452 4.2.2 Full")
    world.clock.advance(10 * DAY)
    late = claimed["late"]
    data = {"code": 550, "enhanced": "5.1.1", "text": "550 5.1.1 Unknown"}
    event = Event(*late.key, EventType.LATE_BOUNCE, world.clock.now(), data, Diagnosis.NO_MAILBOX)
    await world.cloud.store.note(1, [Noted(event, ())])
    found = await world.list("bounces", r=100)
    assert [(item["to"][:4], item["status"], item["created"][:10]) for item in found] == [
        ("late", "2", "2027-01-25"),
        ("full", "3", TODAY),
        ("none", "2", TODAY),
        ("gone", "10", TODAY),
        ("left", "11", TODAY),
    ]
    assert found[3]["reason"] == (
        "Recipient address <gone@shop.example> is suppressed to send mail. (in reply to RCPT TO)"
    )
    assert found[1]["apiData"] == "full"

    async def to(**asked: Any) -> list[str]:
        return [item["to"][:4] for item in await world.list("bounces", **{"r": 100, **asked})]

    assert await to(status=2) == ["late", "none"]
    assert await to(status="10", date=TODAY) == ["gone"]
    assert (await to(status=11), await to(status=3), await to(status=99), await to(status=50)) == (
        ["left"],
        ["full"],
        [],
        [],
    )
    assert await to(start_date="2027-01-20", end_date="2027-01-25") == ["late"]
    assert await to(end_date="2027-01-20", email="SHOP", p=1, r=2) == ["gone", "left"]
    assert await to(date="2027-01-25") == ["late"]
    assert await to(date=TODAY, hour=17, minute=0, to="full") == ["full"]
    rows = await world.file_of("bounces")
    assert rows[0] == list(found[0])
    assert rows[1:] == [list(item.values()) for item in found]


async def test_lists_are_walked_in_slices(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages are the same however many messages one statement walks over, and nobody else's are on them."""
    for number in range(7):
        await world.send(f"u{number}@shop.example", f"v{number}@shop.example")
        await world.outcomes.finish()
        world.clock.advance(MINUTE)
    other = await create_account(world.cloud.store, "other", NOW)
    stranger = await world.cloud.add_user("other@x.example", other.id)
    assert await world.list("deliveries", stranger, date=TODAY) == []
    whole = await world.list("deliveries", date=TODAY, r=100)
    assert len(whole) == 28
    monkeypatch.setattr(history_queries, "_SLICE", 3)
    for rows in (1, 3, 5, 28):
        pages = [await world.list("deliveries", date=TODAY, r=rows, p=page) for page in range(28 // rows + 2)]
        assert [item for page in pages for item in page] == whole
    succeeded = await world.list("deliveries", date=TODAY, status="succeeded", r=100)
    assert len(succeeded) == 14
    assert (await world.file_of("deliveries", date=TODAY))[1:] == [list(item.values()) for item in whole]


async def test_a_mail_that_was_tried_for_days(world: World) -> None:
    """It is on the list of the day on which something happened to it."""
    await world.send("a@shop.example")
    world.clock.advance(3 * DAY)
    await world.outcomes.finish()
    assert [item["status"] for item in await world.list("deliveries", date=TODAY)] == ["queued"]
    assert [item["status"] for item in await world.list("deliveries", date="2027-01-18")] == ["succeeded"]


async def test_a_bulk_has_one_id(world: World) -> None:
    id = await world.send(*(f"u{number}@shop.example" for number in range(11)))
    found = await world.list("deliveries", date=TODAY, r=100)
    assert len(found) == 11
    assert {item["messageId"] for item in found} == {id}


async def test_blocks(world: World) -> None:
    suppressions, account = world.cloud.worker.platform.suppressions, world.cloud.account.id
    await suppressions.note_bounce(
        account, "sender.example", "A@shop.example", "550", diagnosis=Diagnosis.NO_MAILBOX
    )
    world.clock.advance(DAY)
    await suppressions.note_bounce(account, ANY_DOMAIN, "a@shop.example", "550", diagnosis=Diagnosis.NO_DOMAIN)
    await suppressions.add(account, ANY_DOMAIN, ["b_b@shop.example"], "complaint", actor=ADMIN)
    await suppressions.add(account, ANY_DOMAIN, ["c@other.example"], "over_quota", actor=ADMIN)
    await suppressions.add(account, ANY_DOMAIN, ["d@other.example"], "unsubscribe", actor=ADMIN)
    found = await world.list("blocks")
    assert [{**item, "id": ""} for item in found] == [
        {"created": "2027-01-16 17:00:00", "email": "c@other.example", "id": "", "occurred": "1", "status": "5"},
        {"created": "2027-01-16 17:00:00", "email": "b_b@shop.example", "id": "", "occurred": "1", "status": "4"},
        {"created": "2027-01-16 17:00:00", "email": "a@shop.example", "id": "", "occurred": "2", "status": "1"},
    ]
    assert len({item["id"] for item in found}) == 3

    async def emails(**asked: Any) -> list[str]:
        return [item["email"][0] for item in await world.list("blocks", **asked)]

    assert await emails(email="SHOP.example") == ["b", "a"]
    assert await emails(email="_") == ["b"]
    assert (await emails(r=1, p=1), await emails(r="2"), await emails(p=3)) == (["b"], ["c", "b"], [])
    assert (await emails(end_date=TODAY), await emails(start_date="2027-01-16")) == ([], ["c", "b", "a"])
    assert await emails(removed=True) == []
    world.clock.advance(DAY)
    reply = await world.ask("blocks/remove", email="A@shop.example")
    assert reply.json == {"email": "A@shop.example"}
    assert (await world.ask("blocks/release", id=found[0]["id"])).json == {"email": "c@other.example"}
    assert await emails() == ["b"]
    assert await emails(removed="true") == ["c", "a"]
    (released,) = await world.list("blocks", removed=1, email="a@")
    assert (released["created"], released["occurred"], released["status"]) == ("2027-01-17 17:00:00", "2", "1")
    assert await world.file_of("blocks") == [
        ["created", "email", "id", "occurred", "status"],
        ["2027-01-16 17:00:00", "b_b@shop.example", found[1]["id"], "1", "4"],
    ]
    # What is released is mailed again.
    await world.send("a@shop.example")
    assert len(await world.outcomes.claim()) == 1
    # Nobody else's.
    other = await create_account(world.cloud.store, "other", NOW)
    stranger = await world.cloud.add_user("other@x.example", other.id)
    assert await world.list("blocks", stranger) == []
    await world.ask("blocks/remove", stranger, 400, id=found[1]["id"])
    await world.ask("blocks/remove", stranger, 400, email="b_b@shop.example")
    assert await emails() == ["b"]


async def test_unsubscribes(world: World) -> None:
    suppressions, account = world.cloud.worker.platform.suppressions, world.cloud.account.id
    await suppressions.add(
        account, "sender.example", ["a@shop.example", "b@shop.example"], "unsubscribe", actor=ADMIN
    )
    await suppressions.add(account, ANY_DOMAIN, ["a@shop.example"], "unsubscribe", actor=ADMIN)
    await suppressions.add(account, ANY_DOMAIN, ["c@shop.example"], "bounce", actor=ADMIN)
    created = f"{TODAY} 17:00:00"
    everything = [
        ["created", "email", "filtername"],
        [created, "a@shop.example", ""],
        [created, "b@shop.example", "sender.example"],
        [created, "a@shop.example", "sender.example"],
    ]
    assert await world.file_of("unsubscribes") == everything
    assert await world.file_of("unsubscribes", email="B@", filter_name="sender.example") == everything[::2]
    listed = await world.list("unsubscribes", r=1, p=1)
    assert listed == [{"created": created, "email": "b@shop.example", "filtername": "sender.example"}]
    await world.ask("unsubscribes/cancel", email="a@shop.example", filter_name="sender.example")
    assert await world.file_of("unsubscribes") == everything[:3]
    await world.ask("unsubscribes/cancel", email="a@shop.example")
    assert await world.file_of("unsubscribes") == everything[:1] + everything[2:3]


async def test_statistics(world: World) -> None:
    suppressions, account = world.cloud.worker.platform.suppressions, world.cloud.account.id
    await suppressions.add(account, ANY_DOMAIN, ["gone@shop.example"], "bounce", actor=ADMIN)
    await world.send("a@shop.example", "b@shop.example", "gone@shop.example")
    claimed = await world.outcomes.claim()
    await world.outcomes.finish(State.DELIVERED, "250 2.0.0 OK", claimed[:1])
    await world.outcomes.finish(State.BOUNCED, "550 5.1.1 No", claimed[1:])
    world.clock.advance(8 * HOUR)  # tomorrow in Tokyo
    await world.send("c@shop.example")
    found = await world.list("statistics", year="2027", month="01", server_composition="")
    assert [item["date"] for item in found] == [f"2027-01-{day:02}" for day in range(1, 17)]
    assert found[14:] == [
        {"date": TODAY, "queued": 3, "succeeded": 1, "failed": 1, "blocked": 1, "valid": 2},
        {"date": "2027-01-16", "queued": 1, "succeeded": 0, "failed": 0, "blocked": 0, "valid": 1},
    ]
    assert not any(item["queued"] for item in found[:14])
    total = {"date": "total", "queued": 4, "succeeded": 1, "failed": 1, "blocked": 1, "valid": 3}
    assert await world.list("statistics", year=2027, month=1, total=True) == [total]
    assert await world.list("statistics", year=2027, month=2) == []
    xml = await world.cloud.client.json(f"{LISTS}/statistics/list.xml", {"year": 2027, "month": 1, "total": "true"})
    assert xml.body.endswith(
        b"<statistics><statistic><date>total</date><queued>4</queued><succeeded>1</succeeded><failed>1</failed>"
        b"<blocked>1</blocked><valid>3</valid></statistic></statistics>"
    )


async def test_audit_logs(world: World) -> None:
    suppressions, account = world.cloud.worker.platform.suppressions, world.cloud.account.id
    await suppressions.add(account, ANY_DOMAIN, ["a@shop.example"], "bounce", actor=ADMIN)
    world.clock.advance(DAY)
    await world.ask("blocks/remove", email="a@shop.example")
    reply = await world.ask("auditlogs/list", type="operation", r=2)
    assert reply.json == {
        "operationlogs": [
            {
                "created": "2027-01-16 17:00:00",
                "account": USER,
                "name": "",
                "function": "suppression",
                "operation": "remove",
            },
            {
                "created": f"{TODAY} 17:00:00",
                "account": "operator",
                "name": "",
                "function": "suppression",
                "operation": "add",
            },
        ]
    }
    mine = await world.ask("auditlogs/list", type="operation", account="USER@", start_date="2027-01-16", r=100)
    assert [item["operation"] for item in mine.json["operationlogs"]] == ["remove"]
    assert (await world.ask("auditlogs/list", type="login")).json == {"loginlogs": []}
    xml = await world.cloud.client.json(f"{LISTS}/auditlogs/list.xml", {"type": "operation"})
    assert (xml.xml.tag, xml.xml[0].tag) == ("operationlogs", "operationlog")
    rows = (await world.ask("auditlogs/download", type="operation")).body
    assert zipfile.ZipFile(io.BytesIO(rows)).namelist()[0].startswith("operationlogs-20270116_")


async def test_who_may_ask(sqlite_url: str) -> None:
    needs = {
        "read": ("deliveries/list", "bounces/list", "blocks/list", "unsubscribes/list", "statistics/list"),
        "download": ("deliveries/download", "bounces/download", "blocks/download", "unsubscribes/download"),
        "manage": (
            *("blocks/release", "blocks/remove", "blocks/cancel", "unsubscribes/cancel", "auditlogs/list"),
            "auditlogs/download",
        ),
    }
    store = await open_store(sqlite_url)
    async with running_cmc(store, clock=ManualClock(NOW)) as cloud:
        users = {scope: await cloud.add_user(f"{scope}@x.example", scopes=[scope]) for scope in ("send", *needs)}
        for scope, actions in needs.items():
            for action in actions:
                for name, user in users.items():
                    reply = await user.json(f"{LISTS}/{action}.json", {"date": TODAY, "server_composition": "pro"})
                    if name != scope or action == "auditlogs/download":
                        assert (reply.status, reply.errors) == (403, [("10-002", "")]), (action, name)
                    else:
                        assert reply.status in (200, 400), (action, name, reply.body)
                        assert reply.status == 200 or reply.errors[0][0].startswith("11-"), (action, reply.body)
    await store.close()
