"""``/email/4/messages`` and ``/email/1/content`` over HTTP: what becomes of the JSON, exactly."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from infobip_cloud import DOMAIN, SENDER, Cloud

from ekiden.content.template_text import TemplateText
from ekiden.core.clock import DAY, HOUR, MINUTE
from ekiden.core.ids import format_id
from ekiden.core.notices import News, parse_routes
from ekiden.core.states import Priority, State
from ekiden.dialects.infobip.delivery_window import DAYS, Window, read_window
from ekiden.dialects.infobip.shapes import DeliveryTimeWindow, TimeOfDay
from ekiden.dialects.infobip.times import parse_time, timestamp
from ekiden.dialects.infobip.value_rules import Checks
from ekiden.recipients.tracking_tokens import CLICK_PATH, OPEN_PATH
from ekiden.web.shape import MOST_PROBLEMS

PATH = "/email/4/messages"
ENROUTE = {
    "groupId": 1,
    "groupName": "PENDING",
    "id": 7,
    "name": "PENDING_ENROUTE",
    "description": "Message sent to next instance",
}


def message(*to: str, **rest: Any) -> dict[str, Any]:
    """As the official client writes it."""
    found: dict[str, Any] = {
        "sender": f"Jane <{SENDER}>",
        "destinations": [
            {"to": [{"destination": of} for of in to or ("john@shop.example",)], "preserveRecipients": False}
        ],
        "content": {"subject": "Hello", "text": "Dear John", "templateLanguageVersion": "1"},
    }
    return found | rest


async def send(infobip: Cloud, *messages: dict[str, Any], **options: Any) -> Any:
    body: dict[str, Any] = {"messages": list(messages)}
    if options:
        body["options"] = options
    return await infobip.json("POST", PATH, body)


async def test_a_message(infobip: Cloud) -> None:
    reply = await send(infobip, message(), **{"clientPriority ": "HIGH"})
    assert reply.status == 200, reply.body
    found = reply.json
    [row] = await infobip.rows("message")
    assert re.fullmatch("[a-z0-9]{20}", found["bulkId"])
    assert found["messages"] == [
        {"messageId": format_id(row.id), "status": ENROUTE, "destination": "john@shop.example"}
    ]
    assert set(found) == {"bulkId", "messages"}
    assert (row.bulk, row.priority) == (found["bulkId"], Priority.HIGH)
    [parsed] = await infobip.messages()
    assert (parsed["From"], parsed["To"], parsed["Subject"]) == (f"Jane <{SENDER}>", "john@shop.example", "Hello")


async def test_control_characters_in_bodies_are_no_reason_to_refuse(infobip: Cloud) -> None:
    """Spreadsheets and editors leave them there; what stands in a header must have none, and nothing has NUL."""
    texts = {"text": "a\vb\fc\x01\x1f d\x7f\r\ne", "html": "<p>a\vb\f</p>\x1b", "ampHtml": "<p>\x08</p>"}
    reply = await send(infobip, message(content={"subject": "Hello"} | texts))
    assert reply.status == 200, reply.body
    [parsed] = await infobip.messages()
    for part, text in zip(parsed.iter_parts(), (texts["text"], texts["ampHtml"], texts["html"]), strict=True):
        octets = part.get_payload(decode=True)
        assert text.replace("\r\n", "\n").encode() in octets.replace(b"\r\n", b"\n")
    for content in ({"subject": "He\vllo", "text": "x"}, {"subject": "Hello", "text": "x\0"}):
        reply = await send(infobip, message(content=content))
        assert reply.status == 400


async def test_every_member(infobip: Cloud) -> None:
    at = infobip.services.clock.now() + HOUR
    first = message(
        destinations=[
            {
                "to": [
                    {
                        "destination": "John <john@shop.example>",
                        "messageId": "m-1",
                        "placeholders": '{"name": "John"}',
                    },
                    {"destination": "jill@shop.example"},
                ],
                "cc": [{"destination": "carol@shop.example", "messageId": "m-3"}],
                "bcc": [{"destination": "bob@shop.example", "placeholders": {"name": "Bob"}}],
                "replyTo": f"Help <help@{DOMAIN}>",
            },
            {
                "to": [{"destination": "x@team.example"}, {"destination": "y@team.example"}],
                "preserveRecipients": True,
            },
        ],
        content={
            "subject": "Hi {{name}}",
            "text": "Dear {{name}}",
            "html": "<p>Dear {{name}}</p>",
            "ampHtml": "<html amp4email>{{name}}</html>",
            "defaultPlaceholders": '{"name": "friend"}',
            "headers": '{"X-C": "v"}',
        },
        options={
            "platform": {"entityId": "unit", "applicationId": "app"},
            "campaignReferenceId": "spring",
            "validityPeriod": {"amount": 2, "timeUnit": "HOURS"},
        },
        webhooks={
            "delivery": {"url": "http://127.0.0.1:8080/r", "intermediateReport": True, "notify": True},
            "contentType": "application/json",
            "callbackData": "cb",
        },
        ips={"ipPoolId": "X"},
        placeholdersMasking=[{"name": "name", "side": "R"}],
        storage={"skipPassive": True},
    )
    second = message(
        "z@shop.example",
        content={"subject": "Two", "text": "t"},
        webhooks={"delivery": {"url": "http://127.0.0.1:8080/r", "notify": False}},
    )
    reply = await send(
        infobip,
        first,
        second,
        schedule={"bulkId": "my-bulk", "sendAt": timestamp(at)},
        tracking={
            "track": False,
            "trackOpens": False,
            "trackClicks": False,
            "trackingUrl": "http://127.0.0.1:8080/t",
            "trackingPixelPosition": "BOTTOM",
        },
        clientPriority="LOW",
    )
    assert reply.status == 200, reply.body
    assert reply.json["bulkId"] == "my-bulk"
    rows = await infobip.rows("message")
    ids = [format_id(row.id) for row in rows]
    assert [(item["destination"], item["messageId"]) for item in reply.json["messages"]] == [
        ("john@shop.example", "m-1"),
        ("jill@shop.example", ids[1]),
        ("carol@shop.example", "m-3"),
        ("bob@shop.example", ids[3]),
        ("x@team.example", ids[4]),
        ("y@team.example", ids[4]),
        ("z@shop.example", ids[5]),
    ]
    endpoints = {row.id: row.format for row in await infobip.rows("endpoint")}
    for row in rows:
        last = row is rows[-1]
        marks = (row.bulk, row.application, row.entity, row.campaign)
        assert marks == (("my-bulk", "", "", "") if last else ("my-bulk", "app", "unit", "spring"))
        assert row.priority == Priority.LOW
        assert json.loads(row.labels) == ({} if last else {"callback_data": "cb"})
        assert {(endpoints[route.endpoint_id], route.news) for route in parse_routes(row.routes)} == {
            ("infobip-tracking", News.TRACKING),
            ("pull", News.FINAL),
            *(() if last else (("infobip-report-json", News.FINAL | News.INTERMEDIATE),)),
        }
        assert (row.expires_at - at == 2 * HOUR) is not last
    assert {(of.state, of.due_at) for of in await infobip.rows("delivery")} == {(State.SCHEDULED, at)}
    parsed = await infobip.messages()
    assert [of["Subject"] for of in parsed] == ["Hi John", "Hi friend", "Hi friend", "Hi Bob", "Hi friend", "Two"]
    assert parsed[0]["Reply-To"] == f"Help <help@{DOMAIN}>"
    assert parsed[4]["Reply-To"] is None
    assert parsed[4]["To"] == "x@team.example, y@team.example"
    assert [part.get_content_type() for part in parsed[0].iter_parts()] == [
        "text/plain",
        "text/x-amp-html",
        "text/html",
    ]
    assert parsed[0]["X-C"] == "v"


async def test_files_come_with_the_message_or_were_uploaded_before(infobip: Cloud) -> None:
    data = bytes(range(256)) * 9_000
    headers = {
        "X-Content-Id": "terms 1.pdf",
        "X-Media-Type": "application/pdf",
        "X-Validity-Period-Minutes": "1440",
    }
    uploaded = await infobip.request("POST", "/email/1/content", data, headers)
    assert (uploaded.status, uploaded.json) == (200, {"uploadedContentId": "terms 1.pdf"})
    inline = {"type": "binary", "content": base64.b64encode(b"\x89PNG").decode(), "contentType": "image/png"}
    content = {
        "subject": "Files",
        "html": '<img src="cid:logo.png">',
        "attachments": [
            {
                "type": "binary",
                "content": base64.encodebytes(data).decode(),
                "contentType": "text/csv",
                "fileName": "a.csv",
            },
            {"type": "uploadedReference", "contentId": "terms 1.pdf"},
        ],
        "inlineImages": [{**inline, "fileName": "logo.png"}],
    }
    reply = await send(infobip, message("a@shop.example", "b@shop.example", content=content), message())
    assert reply.status == 200, reply.body
    first, second, third = await infobip.messages()
    for parsed in (first, second):
        table, terms = parsed.iter_attachments()
        assert (table.get_filename(), table.get_payload(decode=True)) == ("a.csv", data)
        assert (terms.get_filename(), terms.get_content_type()) == ("terms 1.pdf", "application/pdf")
        assert terms.get_content() == data
        [image] = [part for part in parsed.walk() if part.get_content_type() == "image/png"]
        assert image["Content-ID"] == "<logo.png>"
    assert third.get_content_type() == "text/plain"


async def test_what_a_request_names_is_bounded_as_what_it_brings(infobip: Cloud) -> None:
    async def large() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield bytes(1 << 20)

    await infobip.services.uploads.store(infobip.account.id, "large", "a.bin", "application/x-a", None, large())
    content = {"subject": "S", "text": "T", "attachments": [{"type": "uploadedReference", "contentId": "large"}]}
    reply = await send(infobip, *[message(content=content)] * 100)
    assert reply.status == 400, reply.body
    assert await infobip.rows("message") == []
    for messages in ([message(destinations=[])] * 1001, [message(destinations=[{"to": []}] * 1001)]):
        reply = await send(infobip, *messages)
        assert (reply.status, len(reply.problems)) == (400, 1)
    # None of the groups has a list of recipients.
    reply = await send(infobip, message(destinations=[{}] * 1001))
    assert (reply.status, len(reply.problems)) == (400, MOST_PROBLEMS)


async def test_a_template(infobip: Cloud) -> None:
    text = TemplateText("welcome", "<p>Hi</p>", sender=SENDER, subject="Welcome")
    template = await infobip.services.templates.create(infobip.account.id, text)
    given = message(content={"templateId": str(template.id)})
    del given["sender"]
    assert (await send(infobip, given)).status == 200
    [parsed] = await infobip.messages()
    assert (parsed["From"], parsed["Subject"]) == (SENDER, "Welcome")


async def test_tracking_is_for_all_messages(infobip: Cloud) -> None:
    html = '<a href="https://shop.example/">x</a>'
    given = message(content={"subject": "s", "html": html})
    for tracking, opens, clicks in (
        ({}, True, True),
        ({"track": False}, False, False),
        ({"track": False, "trackClicks": True}, False, True),
    ):
        assert (await send(infobip, given, tracking=tracking)).status == 200
        body = (await infobip.messages())[-1].get_content()
        assert (OPEN_PATH in body, CLICK_PATH in body) == (opens, clicks)


async def test_a_window_that_is_closed_moves_the_start(infobip: Cloud) -> None:
    at = infobip.services.clock.now() + 2 * DAY
    day = DAYS[(at // DAY + 4) % 7]  # 1970-01-01 was a Thursday; the day after that of ``at``
    window = {"days": [day], "from": {"hour": 10, "minute": 30}, "to": {"hour": 12, "minute": 0}}
    given = message(options={"deliveryTimeWindow": window})
    assert (await send(infobip, given, schedule={"sendAt": timestamp(at)})).status == 200
    [delivery] = await infobip.rows("delivery")
    assert delivery.due_at == (at // DAY + 1) * DAY + 10 * HOUR + 30 * MINUTE


MONDAY = parse_time("2025-12-01T00:00:00Z")
OPENINGS = [
    # days, begins, ends, at, opens
    ("MONDAY", 0, 24, 5 * HOUR, 5 * HOUR),
    ("MONDAY", 9, 17, 5 * HOUR, 9 * HOUR),
    ("MONDAY", 9, 17, 17 * HOUR - 1, 17 * HOUR - 1),
    ("MONDAY", 9, 17, 17 * HOUR, 7 * DAY + 9 * HOUR),
    ("SUNDAY", 9, 17, 0, 6 * DAY + 9 * HOUR),
    ("SUNDAY", 22, 6, 5 * HOUR, 5 * HOUR),  # it began the evening before
    ("SUNDAY", 22, 6, 6 * HOUR, 6 * DAY + 22 * HOUR),
    ("TUESDAY FRIDAY", 9, 17, 2 * DAY, 4 * DAY + 9 * HOUR),
]


@pytest.mark.parametrize(("days", "begins", "ends", "at", "opens"), OPENINGS)
def test_openings(days: str, begins: int, ends: int, at: int, opens: int) -> None:
    window = Window(frozenset(map(DAYS.index, days.split())), begins * HOUR, ends * HOUR)
    assert window.next_opening(MONDAY + at) - MONDAY == opens


@given(
    st.sets(st.integers(0, 6), min_size=1),
    st.integers(0, DAY - 1),
    st.integers(0, DAY),
    st.integers(0, 400 * DAY),
)
def test_the_next_opening_is_one(days: set[int], begins: int, ends: int, at: int) -> None:
    window = Window(frozenset(days), begins, ends)
    opens = window.next_opening(at)
    assert at <= opens <= at + 8 * DAY
    assert window.next_opening(opens) == opens


@pytest.mark.parametrize(
    ("begins", "ends", "wrong"),
    [((9, 0), (9, 59), True), ((9, 0), (10, 0), False), ((23, 30), (0, 30), False), ((23, 30), (0, 0), True)],
)
def test_a_window_is_open_for_an_hour(begins: tuple[int, int], ends: tuple[int, int], wrong: bool) -> None:
    checks = Checks()
    given = DeliveryTimeWindow(
        days=["MONDAY"],
        from_=TimeOfDay(hour=begins[0], minute=begins[1]),
        to=TimeOfDay(hour=ends[0], minute=ends[1]),
    )
    assert (read_window(checks, "w", given) is None) == wrong
    assert [violation.property for violation in checks.violations] == (["w.to"] if wrong else [])


async def test_what_the_door_refuses_names_its_member_and_leaves_nothing(infobip: Cloud) -> None:
    stranger = message(sender="x@stranger.example")
    reply = await send(infobip, stranger)
    assert reply.status == 400
    assert set(reply.json) == {"errorCode", "description", "action", "violations", "resources"}
    assert list(reply.problems) == ["messages[0].sender"]
    several = await send(infobip, message(), stranger)
    assert (several.status, list(several.problems)) == (400, ["messages.sender"])
    links = "".join(f'<a href="https://shop.example/{n}">x</a>' for n in range(151))
    many = await send(infobip, message(content={"subject": "s", "html": links}))
    assert (many.status, list(many.problems)) == (400, ["messages[0].content.html"])
    assert await infobip.stored() == []


async def test_an_upload_that_is_repeated_replaces_the_first(infobip: Cloud) -> None:
    for data in (b"one", b"two"):
        headers = {"X-Content-Id": "a.txt", "X-Media-Type": "text/plain"}
        assert (await infobip.request("POST", "/email/1/content", data, headers)).status == 200
    content = {
        "subject": "s",
        "text": "t",
        "attachments": [{"type": "uploadedReference", "contentId": "a.txt"}],
    }
    assert (await send(infobip, message(content=content))).status == 200
    [parsed] = await infobip.messages()
    [file] = parsed.iter_attachments()
    assert file.get_content() == "two"


UPLOADS: list[tuple[dict[str, str], str]] = [
    ({"X-Media-Type": "text/plain"}, "X-Content-Id: must not be null"),
    ({"X-Content-Id": "a"}, "X-Media-Type: must not be null"),
    ({"X-Content-Id": "a", "X-Media-Type": "text"}, "X-Media-Type: "),
    ({"X-Content-Id": "a" * 201, "X-Media-Type": "text/plain"}, "X-Content-Id: size must be"),
    ({"X-Content-Id": "a.exe", "X-Media-Type": "text/plain"}, "X-Content-Id: files of the type .exe"),
    (
        {"X-Content-Id": "a", "X-Media-Type": "text/plain", "X-Validity-Period-Minutes": "1439"},
        "X-Validity-Period-Minutes: must be between 1440 and 10080",
    ),
]


async def test_a_bad_upload_is_told_in_the_third_shape(infobip: Cloud) -> None:
    for headers, why in UPLOADS:
        reply = await infobip.request("POST", "/email/1/content", b"x", headers)
        assert reply.status == 400, headers
        found = reply.json
        assert set(found) == {"bulkId", "messages", "errorMessage"}
        assert (found["bulkId"], found["messages"]) == ("", [])
        assert found["errorMessage"].startswith(why), found
    assert await infobip.rows("upload") == []
