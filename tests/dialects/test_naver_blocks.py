"""``/config``, ``/send-block`` and ``/unsubscribers`` of the NAVER dialect, over HTTP with real signatures."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from naver_cloud import Cloud, running_naver

from ekiden.access.accounts import get_account
from ekiden.access.audit import Actor
from ekiden.core.clock import DAY, HOUR
from ekiden.core.diagnosis import Diagnosis
from ekiden.core.said import say
from ekiden.dialects.naver import addresses
from ekiden.dialects.naver.times import nes_date
from ekiden.recipients.suppressions import ANY_DOMAIN
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.naver_client import LABEL, NES_DATE, assert_shape, next_time, page_shape

CONFIG = {"type": "SEND_BLOCK_TIME", "subType": None, "value": str}
ACTION = {
    "targetAddress": "a@x.example",
    "actionType": LABEL,
    "actionRequesterType": LABEL,
    "requestDate": NES_DATE,
    "historySid": int,
    "sendResultCode": (str, None),
    "sendResultMessage": (str, None),
}
BLOCK = page_shape(ACTION, registerStatus=str, expectedDeleteDate=(NES_DATE, None))
UNSUBSCRIBERS = page_shape({"address": str, "blockDate": NES_DATE, "isRegByManager": bool})
ADDRESS = "a@x.example"
ADMIN = Actor("test:admin")
PATH = "/unsubscribers"


@pytest.fixture
async def cloud(sqlite_url: str) -> AsyncIterator[Cloud]:
    """Nothing here depends on the engine."""
    store = await open_store(sqlite_url)
    async with running_naver(store) as running:
        yield running
    await store.close()


# project settings


async def test_the_period_of_blocks(cloud: Cloud) -> None:
    ask = cloud.client.request

    async def told() -> str:
        reply = await ask("GET", "/config?type=SEND_BLOCK_TIME&subType=")
        assert reply.status == 200
        assert_shape(reply.json, CONFIG)
        return str(reply.json["value"])

    assert await told() == "168"
    for given_, value in (
        ({"type": "SEND_BLOCK_TIME", "subType": None, "value": "180", "unit": "HOUR"}, "180"),
        ({"type": "SEND_BLOCK_TIME", "value": 168, "unit": "HOUR", "more": [1]}, "168"),
        ({"type": "SEND_BLOCK_TIME", "subType": "x", "value": "10", "unit": "DAY"}, "240"),
        ({"type": "SEND_BLOCK_TIME", "value": "7", "unit": "day"}, "168"),
        ({"type": "SEND_BLOCK_TIME", "value": "170"}, "170"),
        ({"type": "SEND_BLOCK_TIME", "value": "36500", "unit": "DAY"}, "876000"),
    ):
        reply = await ask("POST", "/config", given_)
        assert reply.status == 200, reply.body
        assert_shape(reply.json, {**CONFIG, "value": value})
        assert list(reply.json) == ["type", "subType", "value"]
        assert await told() == value
    assert (await get_account(cloud.store, "acme")).block_hours == 876_000
    # The same setting again, even with the same signature, is no replay.
    at = next_time()
    for _ in range(2):
        body = {"type": "SEND_BLOCK_TIME", "value": "200"}
        assert (await ask("POST", "/config", body, timestamp=at)).status == 200


IMPOSSIBLE: list[Any] = [
    {},
    {"type": "SEND_BLOCK_TIME"},
    {"type": "OTHER", "value": "180", "unit": "HOUR"},
    {"value": "180", "unit": "HOUR"},
    *(
        {"type": "SEND_BLOCK_TIME", "value": value, "unit": unit}
        for value, unit in (
            ("167", "HOUR"),
            ("6", "DAY"),
            ("0", "HOUR"),
            ("-180", "HOUR"),
            ("180.5", "HOUR"),
            ("a", "HOUR"),
            ("", "HOUR"),
            ("٣٠٠", "HOUR"),
            ("9" * 30, "HOUR"),
            ("876001", "HOUR"),
            ("36501", "DAY"),
            ("180", "WEEK"),
            (["180"], "HOUR"),
            ({}, "HOUR"),
            (None, "HOUR"),
            ("180", 3),
        )
    ),
]


async def test_settings_that_cannot_be(cloud: Cloud) -> None:
    for value in IMPOSSIBLE:
        assert (await cloud.client.request("POST", "/config", value)).code == (400, "77102"), value
    assert (await get_account(cloud.store, "acme")).block_hours is None


async def test_questions_that_cannot_be(cloud: Cloud) -> None:
    ask = cloud.client.request
    for path in (
        "/config",
        "/config?type=",
        "/config?type=OTHER",
        "/send-block",
        "/send-block?targetAddress=",
        "/send-block?targetAddress=none",
        f"/send-block?targetAddress={ADDRESS}&page=-1",
        f"/send-block?targetAddress={ADDRESS}&size=x",
        f"/send-block?targetAddress={ADDRESS}&sort=targetAddress",
        f"{PATH}?sort=address",
        f"{PATH}?isRegByManager=maybe",
        f"{PATH}?startUtc=x",
        f"{PATH}?startDateTime=2018-13-01",
        f"{PATH}?startUtc=2&endUtc=1",
    ):
        assert (await ask("GET", path)).code == (400, "77102"), path
    for method, path in (("PUT", "/config"), ("POST", "/send-block"), ("DELETE", "/send-block"), ("PUT", PATH)):
        assert (await ask(method, path)).code == (405, "77001")
    reader = cloud.client_of(await cloud.add_key(scopes=("read",)))
    for path in ("/config?type=SEND_BLOCK_TIME", f"/send-block?targetAddress={ADDRESS}", PATH):
        assert (await reader.request("GET", path)).status == 200
    for method, path in (("POST", "/config"), ("POST", PATH), ("DELETE", PATH)):
        assert (await reader.request(method, path, {})).code == (401, "210")


# send block


async def test_what_was_done_about_an_address(store: Store) -> None:
    async with running_naver(store) as cloud:
        ask = cloud.client.request
        suppressions = cloud.worker.platform.suppressions
        path = f"/send-block?targetAddress={quote('A@x.example')}"

        async def blocked(options: str = "", lang: str = "") -> Any:
            reply = await cloud.client_of(cloud.key, lang=lang).request("GET", path + options)
            assert reply.status == 200, reply.body
            assert_shape(reply.json, BLOCK)
            return reply.json

        found = await blocked()
        assert list(found)[:4] == ["content", "registerStatus", "expectedDeleteDate", "last"]
        assert (found["content"], found["registerStatus"], found["expectedDeleteDate"]) == ([], "Not blocked", None)
        assert found["sort"][0]["property"] == "createUtc"

        # A hard bounce; its time is over; another one, which somebody takes back; one of another kind.
        mine = cloud.account.id
        reply_text = "550 5.1.1 No such user - gsmtp"
        bounce = {"diagnosis": Diagnosis.NO_MAILBOX}
        await suppressions.note_bounce(mine, ANY_DOMAIN, ADDRESS, reply_text, lasts=-HOUR, **bounce)
        await suppressions.note_bounce(mine, ANY_DOMAIN, ADDRESS, reply_text, lasts=DAY, **bounce)
        [row] = await suppressions.list(mine)
        found = await blocked()
        assert (found["registerStatus"], found["expectedDeleteDate"]) == ("Blocked", nes_date(row.expires_at))
        for by in ("account", "operator"):
            assert await suppressions.remove(mine, ANY_DOMAIN, [ADDRESS], actor=ADMIN, by=by) == (by == "account")  # type: ignore[arg-type]
        await suppressions.add(mine, "shop.example", [ADDRESS], "complaint", actor=ADMIN, by="operator")
        await suppressions.add(mine, ANY_DOMAIN, [ADDRESS], "unsubscribe", actor=ADMIN)
        found = await blocked()
        assert (found["registerStatus"], found["expectedDeleteDate"], found["totalElements"]) == (
            "Blocked",
            None,
            5,
        )

        def told(item: dict[str, Any]) -> tuple[Any, ...]:
            return (
                item["actionType"]["code"],
                item["actionRequesterType"]["code"],
                item["sendResultCode"],
                item["sendResultMessage"],
            )

        created = ("C", "CUSTOMER", "RECIPIENT_ADDRESS_ERROR", f"{reply_text}\n")
        assert sorted(map(told, found["content"]), key=str) == sorted(
            [
                created,
                created,
                ("D", "SYSTEM", None, None),
                ("D", "CUSTOMER", None, None),
                ("C", "ADMIN", None, None),
            ],
            key=str,
        )
        times = [item["requestDate"]["utc"] for item in found["content"]]
        assert times == sorted(times, reverse=True)
        oldest = await blocked("&sort=createUtc,asc&size=2&page=1")
        assert [item["historySid"] for item in oldest["content"]] == [
            item["historySid"] for item in found["content"][::-1][2:4]
        ]
        assert (oldest["totalPages"], oldest["first"], oldest["last"]) == (3, False, False)
        for lang, status, action, requester in (
            ("ko-KR", "차단됨", "생성", "관리자"),
            ("zh-CN", "已屏蔽", "创建", "管理员"),
            ("ja-JP", "ブロック中", "作成", "管理者"),
            ("en-US", "Blocked", "Create", "Admin"),
        ):
            shown = await blocked("&size=1", lang)
            assert shown["registerStatus"] == status
            [item] = shown["content"]
            assert item["actionType"] == {"label": action, "code": "C"}
            assert item["actionRequesterType"] == {"label": requester, "code": "ADMIN"}
        # Nobody sees another account's.
        async with running_naver(store, name="other") as other:
            elsewhere = (await other.client.request("GET", path)).json
            assert (elsewhere["content"], elsewhere["registerStatus"]) == ([], "Not blocked")
        assert (await ask("GET", "/send-block?targetAddress=b@x.example")).json["content"] == []


# unsubscribers


async def test_unsubscribers(store: Store) -> None:
    async with running_naver(store) as cloud:
        ask = cloud.client.request
        suppressions = cloud.worker.platform.suppressions

        async def listed(options: str = "") -> list[str]:
            reply = await ask("GET", f"{PATH}?{options}")
            assert reply.status == 200, reply.body
            assert_shape(reply.json, UNSUBSCRIBERS)
            assert reply.json["numberOfElements"] == len(reply.json["content"])
            return [item["address"][0] + "-+"[item["isRegByManager"]] for item in reply.json["content"]]

        assert await listed() == []
        body = {"blockedReceivers": ["a@x.example", "B@x.example", "b@X.example", " c@x.example"], "x": None}
        made = await ask("POST", PATH, body)
        assert (made.status, list(made.json)) == (201, ["count", "requestCount", "ignoreCount"])
        assert_shape(made.json, {"count": 3, "requestCount": 4, "ignoreCount": 1})
        assert_shape((await ask("POST", f"{PATH}/", body)).json, {"count": 0, "requestCount": 4, "ignoreCount": 4})
        # By a link; and what is none of this list.
        link = say("unsubscribed_page", message="0")
        await asyncio.sleep(0.002)
        await suppressions.note(cloud.account.id, ANY_DOMAIN, "d@y.example", "unsubscribe", link, by="recipient")
        await suppressions.add(cloud.account.id, ANY_DOMAIN, ["e@y.example"], "bounce", actor=ADMIN)
        await suppressions.add(cloud.account.id, "shop.example", ["f@y.example"], "unsubscribe", actor=ADMIN)
        assert (await listed())[0] == "d-"
        assert sorted(await listed("size=100")) == ["a+", "b+", "c+", "d-"]
        assert (await listed("sort=createUtc,asc"))[-1] == "d-"
        assert (await listed("sort=isRegByManager"))[0] == "d-"
        assert (await listed("sort=adminRegYn,desc&sort=createUtc"))[-1] == "d-"
        assert await listed("isRegByManager=false") == await listed("isRegByManager=0") == ["d-"]
        assert len(await listed("isRegByManager=TRUE")) == 3
        assert await listed("emailAddress=A@x.example") == ["a+"]
        assert await listed("emailAddress=y.ex") == ["d-"]
        since = (await ask("GET", f"{PATH}?isRegByManager=false")).json["content"][0]["blockDate"]
        assert await listed(f"startUtc={since['utc']}") == ["d-"]
        assert await listed(f"startDateTime={quote(since['formattedDateTime'])}") == ["d-"]
        assert await listed(f"endUtc={since['utc'] - DAY}") == []
        page = (await ask("GET", f"{PATH}?size=3&page=1")).json
        assert (page["totalElements"], page["totalPages"], page["last"], len(page["content"])) == (4, 2, True, 1)

        gone = {"blockedReceivers": ["A@X.example", "d@y.example", "nobody@x.example", "f@y.example"]}
        removed = await ask("DELETE", PATH, gone)
        assert removed.status == 200
        assert_shape(removed.json, {"count": 2, "requestCount": 4, "ignoreCount": 2})
        assert sorted(await listed()) == ["b+", "c+"]
        found = await suppressions.check(cloud.account.id, "any.example", ["b@x.example", "a@x.example"])
        assert [item.kind for item in found.values()] == ["unsubscribe"]


async def test_thousands_of_unsubscribers(cloud: Cloud) -> None:
    everybody = [f"a{number}@x.example" for number in range(1_200)]
    for method, status in (("POST", 201), ("DELETE", 200)):
        reply = await cloud.client.request(method, PATH, {"blockedReceivers": everybody})
        assert reply.status == status
        assert_shape(reply.json, {"count": 1_200, "requestCount": 1_200, "ignoreCount": 0})


async def test_lists_that_cannot_be(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = cloud.client.request
    monkeypatch.setattr(addresses, "MOST", 2)
    for method in ("POST", "DELETE"):
        for value in (
            {},
            None,
            {"blockedReceivers": None},
            {"blockedReceivers": []},
            {"blockedReceivers": "a@x.example"},
            {"blockedReceivers": ["a@x.example", "a"]},
            {"blockedReceivers": ["a@x.example", ""]},
            {"blockedReceivers": [["a@x.example"]]},
            {"blockedReceivers": [f"{name}@x.example" for name in "abc"]},
            ["a@x.example"],
        ):
            assert (await ask(method, PATH, value)).code == (400, "77102"), value
        text = await ask(method, PATH, body=b"a", headers={"Content-Type": "text/plain"})
        assert text.code == (415, "77002")
    assert (await ask("GET", PATH)).json["totalElements"] == 0
