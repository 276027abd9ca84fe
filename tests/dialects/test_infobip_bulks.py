"""``/email/1/bulks``: when and how far, moved, paused, resumed, cancelled; what cannot be is a 404 or a 409."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from infobip_cloud import Cloud, Reply
from infobip_outcomes import Outcomes

from ekiden.core.states import State
from ekiden.dialects.infobip.times import parse_time

BULKS, STATUS = "/email/1/bulks", "/email/1/bulks/status"


def in_hours(hours: float) -> str:
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


async def put(cloud: Cloud, path: str, value: Any, bulk: str = "b1") -> Reply:
    return await cloud.json("PUT", f"{path}?bulkId={bulk}", value)


async def states(cloud: Cloud) -> list[State]:
    return [State(row.state) for row in await cloud.rows("delivery")]


def exception(reply: Reply) -> tuple[int, str, str]:
    found = reply.json["requestError"]["serviceException"]
    return reply.status, found["messageId"], found["text"]


async def test_a_scheduled_bulk(outcomes: Outcomes) -> None:
    at = in_hours(2)
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=at)
    found = await outcomes.get(BULKS, bulkId="b1")
    inner = str(min(row.id for row in await outcomes.cloud.rows("message")))
    assert found == {"externalBulkId": "b1", "bulks": [{"bulkId": inner, "sendAt": at}]}
    assert await outcomes.get(STATUS, bulkId="b1") == {
        "externalBulkId": "b1",
        "bulks": [{"bulkId": inner, "status": "PENDING"}],
    }


async def test_rescheduling(outcomes: Outcomes) -> None:
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=in_hours(2))
    for spelled in (in_hours(3), in_hours(4).replace("+0000", "Z"), in_hours(5).replace("+0000", "+00:00")):
        reply = await put(outcomes.cloud, BULKS, {"sendAt": spelled})
        assert reply.status == 200, reply.body
        assert reply.json == {"bulkId": "b1", "sendAt": reply.json["sendAt"]}
        assert parse_time(reply.json["sendAt"]) == parse_time(spelled)
    due = {row.due_at for row in await outcomes.cloud.rows("delivery")}
    assert due == {parse_time(spelled)}
    # A time that is over is now.
    assert (await put(outcomes.cloud, BULKS, {"sendAt": in_hours(-1)})).status == 200
    assert len(await outcomes.claim()) == 2
    reply = await put(outcomes.cloud, BULKS, {"sendAt": in_hours(1)})
    assert exception(reply) == (409, "CONFLICT", "Update not allowed for bulk")


async def test_pausing_resuming_cancelling(outcomes: Outcomes) -> None:
    cloud = outcomes.cloud
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1", sendAt=in_hours(2))
    for asked, answered, state in (
        ("PAUSED", "PAUSED", State.HELD),
        ("paused", "PAUSED", State.HELD),
        ("PROCESSING", "PENDING", State.SCHEDULED),
        ("PAUSED", "PAUSED", State.HELD),
        ("PENDING", "PENDING", State.SCHEDULED),
        ("CANCELED", "CANCELED", State.CANCELLED),
        ("CANCELED", "CANCELED", State.CANCELLED),
    ):
        reply = await put(cloud, STATUS, {"status": asked})
        assert (reply.status, reply.json) == (200, {"bulkId": "b1", "status": answered})
        assert set(await states(cloud)) == {state}
        [inner] = (await outcomes.get(STATUS, bulkId="b1"))["bulks"]
        assert inner["status"] == answered
    for asked in ("PAUSED", "PENDING", "FINISHED", "FAILED"):
        reply = await put(cloud, STATUS, {"status": asked})
        assert exception(reply) == (409, "CONFLICT", "Update not allowed for bulk")
    assert exception(await put(cloud, BULKS, {"sendAt": in_hours(1)})) == (
        409,
        "CONFLICT",
        "Update not allowed for bulk",
    )


async def test_what_was_sent_is_finished(outcomes: Outcomes) -> None:
    await outcomes.send("a@shop.example", "b@shop.example", bulkId="b1")
    claimed = await outcomes.claim()
    [inner] = (await outcomes.get(STATUS, bulkId="b1"))["bulks"]
    assert inner["status"] == "PROCESSING"
    await outcomes.finish(deliveries=claimed)
    [inner] = (await outcomes.get(STATUS, bulkId="b1"))["bulks"]
    assert inner["status"] == "FINISHED"
    assert set((await outcomes.get(BULKS, bulkId="b1"))["bulks"][0]) == {"bulkId", "sendAt"}
    assert (await put(outcomes.cloud, STATUS, {"status": "CANCELED"})).status == 409


async def test_a_bulk_that_nobody_has(infobip_all: Cloud) -> None:
    replies = [
        await infobip_all.request("GET", f"{BULKS}?bulkId=b1"),
        await infobip_all.request("GET", f"{STATUS}?bulkId=b1"),
        await put(infobip_all, BULKS, {"sendAt": in_hours(1)}),
        await put(infobip_all, STATUS, {"status": "PAUSED"}),
        await put(infobip_all, STATUS, {"status": "FAILED"}),
    ]
    for reply in replies:
        assert exception(reply) == (404, "NOT_FOUND", "Bulk not found")


BAD: list[tuple[str, str, bytes | None, str]] = [
    ("GET", BULKS, None, "bulkId"),
    ("GET", f"{STATUS}?bulkId=", None, "bulkId"),
    ("GET", f"{STATUS}?bulkId={'x' * 101}", None, "bulkId"),
    ("PUT", BULKS, b'{"sendAt": "2999-01-01T00:00:00Z"}', "bulkId"),
    ("PUT", f"{BULKS}?bulkId=b1", b'{"sendAt": "2999-01-01T00:00:00Z"}', "sendAt"),
    ("PUT", f"{BULKS}?bulkId=b1", b'{"sendAt": "soon"}', "sendAt"),
    ("PUT", f"{BULKS}?bulkId=b1", b'{"sendAt": 12}', "sendAt"),
    ("PUT", f"{BULKS}?bulkId=b1", b"{}", "sendAt"),
    ("PUT", f"{BULKS}?bulkId=b1", b"{", "request"),
    ("PUT", f"{BULKS}?bulkId=b1", b"", "request"),
    ("PUT", f"{STATUS}?bulkId=b1", b"{}", "status"),
    ("PUT", f"{STATUS}?bulkId=b1", b'{"status": "CANCELLED"}', "status"),
    ("PUT", f"{STATUS}?bulkId=b1", b'{"status": []}', "status"),
]


async def test_bad_input(infobip_all: Cloud) -> None:
    for method, path, body, name in BAD:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        reply = await infobip_all.request(method, path, body, headers)
        assert reply.status == 400, (method, path, body, reply.body)
        assert name in reply.problems, (method, path, body)


async def test_scopes(infobip_all: Cloud) -> None:
    key = await infobip_all.add_key("read")
    authorization = f"App {key.key}"
    reply = await infobip_all.request("GET", f"{BULKS}?bulkId=b1", authorization=authorization)
    assert reply.status == 404
    reply = await infobip_all.json("PUT", f"{BULKS}?bulkId=b1", {}, authorization=authorization)
    assert reply.status == 403
