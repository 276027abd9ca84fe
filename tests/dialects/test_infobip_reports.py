"""``/email/{1,4}/reports``: exact answers, and each report exactly once, whoever asks."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from infobip_cloud import SENDER, Cloud
from infobip_outcomes import Outcomes

from ekiden.access.accounts import create_account
from ekiden.access.credentials import create_api_key
from ekiden.core.states import State
from ekiden.dialects.infobip.times import parse_time

PRICE = {"pricePerMessage": 0, "currency": "UNKNOWN"}
DELIVERED = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
NO_ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}
V1, V4 = "/email/1/reports", "/email/4/reports"
MARKS = {
    "bulkId": "BULK-1",
    "messageId": "mine-1",
    "applicationId": "app",
    "entityId": "unit",
    "campaignReferenceId": "spring",
    "callbackData": "you want this back",
}


def ids(answer: Any) -> list[str]:
    return [result["messageId"] for result in answer["results"]]


async def test_a_report_of_v1(outcomes: Outcomes) -> None:
    await outcomes.send("John <john@shop.example>", **MARKS)
    assert await outcomes.get(V1) == {"results": []}
    await outcomes.finish()
    [report] = (await outcomes.get(V1))["results"]
    assert report == {
        "applicationId": "app",
        "entityId": "unit",
        "bulkId": "BULK-1",
        "messageId": "mine-1",
        "to": "john@shop.example",
        "sentAt": report["sentAt"],
        "doneAt": report["doneAt"],
        "messageCount": 1,
        "attemptCount": 1,
        "timeToFirstAttempt": report["timeToFirstAttempt"],
        "price": PRICE,
        "status": DELIVERED,
        "error": NO_ERROR,
        "channel": "EMAIL",
    }
    assert report["sentAt"].endswith("+0000")
    assert parse_time(report["sentAt"]) <= parse_time(report["doneAt"])
    assert await outcomes.get(V1) == {"results": []}
    assert await outcomes.get(V4) == {"results": []}


async def test_a_report_of_v4(outcomes: Outcomes) -> None:
    await outcomes.send("john@shop.example", **MARKS)
    await outcomes.finish(State.BOUNCED, "550 5.1.1 No such user")
    [report] = (await outcomes.get(V4))["results"]
    assert report == {
        "bulkId": "BULK-1",
        "price": PRICE,
        "status": {
            "groupId": 2,
            "groupName": "UNDELIVERABLE",
            "id": 9,
            "name": "UNDELIVERABLE_NOT_DELIVERED",
            "description": "Message sent not delivered",
        },
        # The group's name is one of those that the client's enum has.
        "error": {
            "groupId": 2,
            "groupName": "USER_ERRORS",
            "id": 6006,
            "name": "EC_INVALID_EMAIL_ADDRESS",
            "description": "Invalid email address",
            "permanent": True,
        },
        "messageId": "mine-1",
        "to": "john@shop.example",
        "sender": SENDER,
        "sentAt": report["sentAt"],
        "doneAt": report["doneAt"],
        "messageCount": 1,
        "callbackData": "you want this back",
        "platform": {"entityId": "unit", "applicationId": "app"},
        "campaignReferenceId": "spring",
        "attemptCount": 1,
        "timeToFirstAttempt": report["timeToFirstAttempt"],
    }
    assert await outcomes.get(V1) == {"results": []}


async def test_what_nobody_named_is_left_out(outcomes: Outcomes) -> None:
    [name] = await outcomes.send("john@shop.example")
    await outcomes.finish()
    [report] = (await outcomes.get(V4))["results"]
    assert report["messageId"] == name
    assert not {"callbackData", "platform", "campaignReferenceId"} & set(report)
    assert report["bulkId"]


async def test_what_is_still_tried_is_not_reported(outcomes: Outcomes) -> None:
    await outcomes.send("john@shop.example")
    await outcomes.finish(State.DEFERRED, "450 4.2.0 Later")
    assert await outcomes.get(V1) == {"results": []}
    await outcomes.finish()
    [report] = (await outcomes.get(V1))["results"]
    assert (report["attemptCount"], report["status"]["groupName"]) == (2, "DELIVERED")


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"bulkId": "b1"}, ["m1"]),
        ({"messageId": "m2"}, ["m2"]),
        ({"applicationId": "a2"}, ["m2"]),
        ({"entityId": "e1"}, ["m1"]),
        ({"campaignReferenceId": "c2"}, ["m2"]),
        ({"bulkId": "b1", "messageId": "m2"}, []),
        ({"bulkId": "b2", "messageId": "m2", "applicationId": "a2", "entityId": "e2"}, ["m2"]),
        ({"messageId": "nothing"}, []),
        ({"bulkId": ""}, ["m1", "m2"]),
    ],
)
async def test_filters(outcomes: Outcomes, asked: dict[str, str], expected: list[str]) -> None:
    for number in ("1", "2"):
        await outcomes.send(
            "john@shop.example",
            bulkId=f"b{number}",
            messageId=f"m{number}",
            applicationId=f"a{number}",
            entityId=f"e{number}",
            campaignReferenceId=f"c{number}",
        )
        await outcomes.finish()
    # One of each version; what did not fit is there for others.
    found = [ids(await outcomes.get(path, limit=1, **asked)) for path in (V1, V4, V1)]
    assert found == [expected[:1], expected[1:], []]
    assert len(ids(await outcomes.get(V4))) == 2 - len(expected)


async def test_fifty_unless_asked_otherwise(outcomes: Outcomes) -> None:
    names = await outcomes.send(*(f"r{number}@shop.example" for number in range(120)))
    await outcomes.finish()
    first = ids(await outcomes.get(V1))
    second = ids(await outcomes.get(V4, limit=3))
    rest = ids(await outcomes.get(V1, limit=1000))
    assert (len(first), len(second), len(rest)) == (50, 3, 67)
    assert sorted(first + second + rest) == sorted(names)


async def test_callers_at_the_same_time_never_get_the_same(outcomes: Outcomes) -> None:
    names = await outcomes.send(*(f"r{number}@shop.example" for number in range(200)))
    await outcomes.finish()
    got: list[str] = []
    headers = {"Authorization": f"App {outcomes.cloud.key}"}
    # Not in threads: the server waits in some of the few that there are.
    async with httpx.AsyncClient(base_url=outcomes.cloud.base, headers=headers, timeout=60) as client:
        while True:
            replies = await asyncio.gather(*(client.get(path, params={"limit": 7}) for path in (V1, V4) * 5))
            assert {reply.status_code for reply in replies} == {200}
            found = [name for reply in replies for name in ids(reply.json())]
            if not found:
                break
            got += found
    assert sorted(got) == sorted(names)


async def test_another_account_gets_nothing_of_it(outcomes: Outcomes, infobip_all: Cloud) -> None:
    now = infobip_all.services.clock.now()
    other = await create_account(infobip_all.store, "other", now)
    key = await create_api_key(infobip_all.store, other.id, "key", now)
    [name] = await outcomes.send("john@shop.example", bulkId="b1", messageId="m1")
    await outcomes.finish()
    for query in ("", "?bulkId=b1", "?messageId=m1"):
        reply = await infobip_all.request("GET", V1 + query, authorization=f"App {key.key}")
        assert (reply.status, reply.json) == (200, {"results": []})
    assert ids(await outcomes.get(V1)) == [name]


async def test_a_limit_out_of_bounds_takes_nothing(outcomes: Outcomes) -> None:
    await outcomes.send("john@shop.example")
    await outcomes.finish()
    for path in (V1, V4):
        for limit in ("0", "-1", "1001", "ten", "1e3"):
            reply = await outcomes.cloud.request("GET", f"{path}?limit={limit}")
            assert (reply.status, list(reply.problems)) == (400, ["limit"])
    assert len(ids(await outcomes.get(V1))) == 1


async def test_parameters_that_cannot_be(infobip_all: Cloud) -> None:
    for name in ("bulkId", "messageId", "applicationId", "entityId", "campaignReferenceId"):
        for value in ("x" * 300, "a%00b", "a%0Db"):
            reply = await infobip_all.request("GET", f"{V1}?{name}={value}")
            assert (reply.status, list(reply.problems)) == (400, [name])


async def test_envelopes_and_scopes(infobip_all: Cloud) -> None:
    key = await infobip_all.add_key("send")
    for path, legacy in ((V1, True), (V4, False)):
        for authorization, status in (("", 401), (f"App {key.key}", 403)):
            reply = await infobip_all.request("GET", path, authorization=authorization)
            assert reply.status == status
            if legacy:
                names = {401: "UNAUTHORIZED", 403: "FORBIDDEN"}
                assert reply.json["requestError"]["serviceException"]["messageId"] == names[status]
            else:
                assert reply.json["errorCode"] == f"E{status}"
                assert set(reply.json) == {"errorCode", "description", "action", "violations", "resources"}


async def test_what_nothing_answers(infobip_all: Cloud) -> None:
    for method, path, status, legacy in (
        ("GET", "/email/1/ip-management/ips", 404, False),
        ("POST", "/email/1/ip-management/pools", 404, False),
        ("GET", "/email/1/nothing", 404, True),
        ("GET", "/email/1/domains/a.example/nothing", 404, True),
        ("GET", "/email/1/templates/1/nothing", 404, False),
        ("GET", "/email/1/suppressions/nothing", 404, False),
        ("GET", "/email/4/nothing", 404, False),
        ("GET", "/email/2/validation", 405, True),
        ("DELETE", "/email/2/validations", 405, False),
        ("PATCH", "/email/1/domains", 405, True),
        ("PUT", "/email/1/templates", 405, False),
        ("POST", "/email/4/reports", 405, False),
        ("POST", "/email/1/logs", 405, True),
    ):
        reply = await infobip_all.request(method, path)
        assert reply.status == status, path
        assert set(reply.json) == (
            {"requestError"} if legacy else {"errorCode", "description", "action", "violations", "resources"}
        )
