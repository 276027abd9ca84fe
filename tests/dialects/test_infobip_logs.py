"""``/email/{1,4}/logs``: exact answers, every filter, the cursor; the same again when it is asked again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from infobip_cloud import DOMAIN, SENDER, Cloud
from infobip_outcomes import Outcomes
from sqlalchemy import update

from ekiden.core.states import State
from ekiden.store.tables import message

V1, V4 = "/email/1/logs", "/email/4/logs"
PRICE = {"pricePerMessage": 0, "currency": "UNKNOWN"}
NO_ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}
PENDING = {
    "groupId": 1,
    "groupName": "PENDING",
    "id": 26,
    "name": "PENDING_ACCEPTED",
    "description": "Message accepted, pending for delivery.",
}
DELIVERED = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
MARKS = {
    "bulkId": "b1",
    "messageId": "m1",
    "applicationId": "app",
    "entityId": "unit",
    "campaignReferenceId": "spring",
}


def ids(answer: Any) -> list[str]:
    return [result["messageId"] for result in answer["results"]]


async def test_an_entry_of_v1(outcomes: Outcomes) -> None:
    assert await outcomes.get(V1) == {"results": []}
    await outcomes.send("john@shop.example", **MARKS)
    [entry] = (await outcomes.get(V1))["results"]
    waiting = {
        "applicationId": "app",
        "entityId": "unit",
        "bulkId": "b1",
        "messageId": "m1",
        "to": "john@shop.example",
        "from": SENDER,
        "text": "Hello",
        "sentAt": entry["sentAt"],
        "doneAt": entry["sentAt"],
        "messageCount": 1,
        "price": PRICE,
        "status": PENDING,
        "error": NO_ERROR,
    }
    assert entry == waiting
    await outcomes.finish()
    [entry] = (await outcomes.get(V1))["results"]
    assert entry == {**waiting, "doneAt": entry["doneAt"], "status": DELIVERED}
    assert (await outcomes.get(V1))["results"] == [entry]


async def test_an_entry_of_v4(outcomes: Outcomes) -> None:
    assert await outcomes.get(V4) == {"results": [], "cursor": {"limit": 50, "nextCursor": None}}
    await outcomes.send("john@shop.example", **MARKS)
    await outcomes.finish(State.BOUNCED, "552 5.2.2 Mailbox full")
    found = await outcomes.get(V4, limit=7)
    [entry] = found["results"]
    assert found["cursor"] == {"limit": 7, "nextCursor": None}
    assert entry == {
        "text": "Hello",
        "sender": SENDER,
        "destination": "john@shop.example",
        "bulkId": "b1",
        "messageId": "m1",
        "sentAt": entry["sentAt"],
        "doneAt": entry["doneAt"],
        "messageCount": 1,
        "price": PRICE,
        "status": {
            "groupId": 2,
            "groupName": "UNDELIVERABLE",
            "id": 9,
            "name": "UNDELIVERABLE_NOT_DELIVERED",
            "description": "Message sent not delivered",
        },
        "error": {
            "groupId": 2,
            "groupName": "USER_ERRORS",
            "id": 6010,
            "name": "EC_RECIPIENT_INBOX_FULL",
            "description": "Recipient inbox full",
            "permanent": False,
        },
        "platform": {"entityId": "unit", "applicationId": "app"},
        "campaignReferenceId": "spring",
    }


async def test_a_subject_in_japanese(outcomes: Outcomes) -> None:
    await outcomes.send("john@shop.example", subject="ご注文の確認: 第 17 号")
    for path in (V1, V4):
        [entry] = (await outcomes.get(path))["results"]
        assert entry["text"] == "ご注文の確認: 第 17 号"


async def test_filters(outcomes: Outcomes) -> None:
    for number, state in (("1", State.DELIVERED), ("2", State.BOUNCED), ("3", None)):
        await outcomes.send(
            f"r{number}@shop.example",
            **{"from": f"s{number}@{DOMAIN}"},
            bulkId=f"b{number}",
            messageId=f"m{number}",
            applicationId=f"a{number}",
            entityId=f"e{number}",
            campaignReferenceId=f"c{number}",
        )
        if state is not None:
            await outcomes.finish(state)
    common: list[tuple[dict[str, Any], list[str]]] = [
        ({"messageId": "m1"}, ["m1"]),
        ({"messageId": "m1,m3"}, ["m3", "m1"]),
        ({"messageId": " m1 ,, m3,nothing"}, ["m3", "m1"]),
        ({"messageId": ["m1", "m2"]}, ["m2", "m1"]),
        ({"messageId": ["m1,m2", "m3"]}, ["m3", "m2", "m1"]),
        ({"bulkId": "b2"}, ["m2"]),
        ({"bulkId": ["b1", "b2"]}, ["m2", "m1"]),
        ({"campaignReferenceId": "c1,c3"}, ["m3", "m1"]),
        ({"applicationId": "a2"}, ["m2"]),
        ({"entityId": "e3"}, ["m3"]),
        ({"generalStatus": "DELIVERED"}, ["m1"]),
        ({"generalStatus": "undeliverable"}, ["m2"]),
        ({"generalStatus": "PENDING"}, ["m3"]),
        ({"generalStatus": "EXPIRED"}, []),
        ({"generalStatus": "ACCEPTED"}, []),
        ({"messageId": "m1,m2", "generalStatus": "DELIVERED", "bulkId": "b1"}, ["m1"]),
        ({"messageId": "m1", "bulkId": "b2"}, []),
        ({"limit": 2}, ["m3", "m2"]),
        ({"sentUntil": "2020-01-01T00:00:00.000Z"}, []),
    ]
    for path, sender, recipient in ((V1, "from", "to"), (V4, "sender", "destination")):
        own: list[tuple[dict[str, Any], list[str]]] = [
            ({sender: f"s2@{DOMAIN}"}, ["m2"]),
            ({recipient: "r3@shop.example"}, ["m3"]),
            ({recipient: "r3@SHOP.example"}, ["m3"]),
            ({sender: f"s2@{DOMAIN}", recipient: "r3@shop.example"}, []),
        ]
        for query, expected in common + own:
            assert ids(await outcomes.get(path, **query)) == expected, query


@pytest.mark.parametrize("path", [V1, V4])
async def test_times_in_every_spelling_of_clients(outcomes: Outcomes, path: str) -> None:
    await outcomes.send("john@shop.example")
    now = datetime.now(UTC)
    past, future = now - timedelta(hours=1), now + timedelta(hours=1)
    for pattern in ("%Y-%m-%dT%H:%M:%S.%f+0000", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M:%SZ"):
        before, after = past.strftime(pattern), future.strftime(pattern)
        assert len(ids(await outcomes.get(path, sentSince=before, sentUntil=after))) == 1
        assert ids(await outcomes.get(path, sentSince=after)) == []
        assert ids(await outcomes.get(path, sentUntil=before)) == []
    # The plus sign as it is: a blank in a query.
    reply = await outcomes.cloud.request("GET", f"{path}?sentSince=2020-01-01T00:00:00.000+0000")
    assert (reply.status, len(reply.json["results"])) == (200, 1)


async def test_the_cursor_leads_through_all(outcomes: Outcomes) -> None:
    names = await outcomes.send(*(f"r{number}@shop.example" for number in range(25)))
    found: list[str] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        page = await outcomes.get(V4, limit=10, useCursor="True", **cursor)
        found += ids(page)
        pages += 1
        assert page["cursor"]["limit"] == 10
        if page["cursor"]["nextCursor"] is None:
            break
        cursor = {"cursor": page["cursor"]["nextCursor"]}
    assert (pages, sorted(found)) == (3, sorted(names))
    # The older version has none.
    assert set(await outcomes.get(V1, limit=10, cursor=cursor["cursor"])) == {"results"}
    assert len(ids(await outcomes.get(V1))) == 25


async def test_parameters_that_cannot_be(infobip_all: Cloud) -> None:
    common = {
        "limit=0": "limit",
        "limit=1001": "limit",
        "limit=many": "limit",
        "generalStatus=DROPPED": "generalStatus",
        "sentSince=yesterday": "sentSince",
        "sentUntil=2025-13-01T00:00:00Z": "sentUntil",
        "bulkId=" + "x" * 101: "bulkId",
        "messageId=" + "x" * 256: "messageId",
        "messageId=" + "x," * 1025: "messageId",
        "applicationId=a%00": "applicationId",
    }
    own = {V1: {"from=" + "x" * 1001: "from"}, V4: {"cursor=nonsense": "cursor", "useCursor=perhaps": "useCursor"}}
    for path, more in own.items():
        for query, name in {**common, **more}.items():
            reply = await infobip_all.request("GET", f"{path}?{query}")
            assert (reply.status, list(reply.problems)) == (400, [name]), query
            assert ("requestError" in reply.json) == (path == V1)


async def test_what_looks_like_no_address_finds_nothing(infobip_all: Cloud) -> None:
    for query in ("from=nobody", "to=%F0%9F%90%B8", "to=%FF%FE", "bulkId=%ED%A0%80"):
        reply = await infobip_all.request("GET", f"{V1}?{query}")
        assert (reply.status, reply.json) == (200, {"results": []}), query


async def test_another_account_sees_nothing_of_it(outcomes: Outcomes) -> None:
    await outcomes.send("john@shop.example", bulkId="b1")
    async with outcomes.cloud.store.write() as connection:
        await connection.execute(update(message).values(account_id=outcomes.cloud.account.id + 1))
    assert await outcomes.get(V1, bulkId="b1") == {"results": []}
