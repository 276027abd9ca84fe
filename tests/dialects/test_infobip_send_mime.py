"""``/email/4/mime`` over HTTP: messages that come composed."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from infobip_cloud import ADMIN, DOMAIN, SENDER, Cloud

from ekiden.core.ids import format_id
from ekiden.core.notices import News, parse_routes
from ekiden.core.states import Priority
from ekiden.recipients.tracking_tokens import CLICK_PATH, OPEN_PATH

PATH = "/email/4/mime"
PLAIN = f"From: Jane <{SENDER}>\r\nTo: john@shop.example\r\nSubject: Hello\r\n\r\nDear John\r\n"
HTML = '<body><a href="https://shop.example/">x</a></body>'


def encoded(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


async def send(infobip: Cloud, text: str | bytes = PLAIN, **members: Any) -> Any:
    body = {"mimeMessage": encoded(text), "clientPriority": "STANDARD", **members}
    return await infobip.json("POST", PATH, {name.rstrip("_"): value for name, value in body.items()})


async def test_a_message(infobip: Cloud) -> None:
    reply = await send(infobip, destinations=["b@shop.example"])
    assert reply.status == 200, reply.body
    [row] = await infobip.rows("message")
    [entry] = reply.json["messages"]
    assert (entry["to"], entry["messageId"]) == ("b@shop.example", format_id(row.id))
    assert entry["status"]["name"] == "PENDING_ACCEPTED"
    assert reply.json["bulkId"] == row.bulk
    assert row.sender == SENDER
    [delivery] = await infobip.rows("delivery")
    assert delivery.recipient == "b@shop.example"
    content = await infobip.content(row.id)
    assert content.endswith(PLAIN.encode())
    assert b"DKIM-Signature:" in content


async def test_recipients_of_the_header_are_mailed_and_the_blind_ones_are_not_named(infobip: Cloud) -> None:
    text = (
        f'From: {SENDER}\nTo: "Doe, J" <j@shop.example>, =?utf-8?B?5bGx?=\n <y@shop.example>\nCc: J@SHOP.EXAMPLE\n'
        "CC: Team: t@shop.example;\nBcc: blind@shop.example\nSubject: s\n\nbody\n"
    )
    reply = await send(infobip, text)
    assert reply.status == 200, reply.body
    [row] = await infobip.rows("message")
    queue_id = format_id(row.id)
    assert [(item["to"], item["messageId"]) for item in reply.json["messages"]] == [
        ("j@shop.example", queue_id),
        ("y@shop.example", f"{queue_id}-2"),
        ("J@SHOP.EXAMPLE", f"{queue_id}-3"),
        ("t@shop.example", f"{queue_id}-4"),
        ("blind@shop.example", f"{queue_id}-5"),
    ]
    content = await infobip.content(row.id)
    assert b"blind@" not in content
    assert content.count(b"\n") == content.count(b"\r\n")


async def test_members_win_over_fields_which_are_taken_off(infobip: Cloud) -> None:
    fields = (
        "X-IB-bulk-id: header-bulk\r\nX-IB-Callback-Data: =?utf-8?B?5bGx?=\r\nX-IB-Client-Priority: LOW\r\n"
        "X-IB-Notify-Url: http://127.0.0.1:8080/header\r\nX-IB-Intermediate-Report: true\r\n"
        "X-IB-EntityId: header-unit\r\nX-IB-Unknown: x\r\n"
    )
    members = {
        "messageId": "m-1",
        "bulkId": "bulk",
        "notifyUrl": "http://127.0.0.1:8080/member",
        "notifyContentType": "application/xml",
        "trackingUrl": "http://127.0.0.1:8080/t",
        "applicationId": "app",
        "clientPriority": "HIGH",
    }
    own = await send(infobip, fields + PLAIN, **members)
    assert own.status == 200, own.body
    assert (own.json["bulkId"], own.json["messages"][0]["messageId"]) == ("bulk", "m-1")
    body = {"mimeMessage": encoded(fields + PLAIN)}
    theirs = await infobip.json("POST", PATH, body)
    assert theirs.json["bulkId"] == "header-bulk"
    endpoints = {row.id: (row.format, row.url) for row in await infobip.rows("endpoint")}
    first, second = await infobip.rows("message")
    assert (first.bulk, first.reference, first.application, first.entity) == ("bulk", "m-1", "app", "header-unit")
    assert (first.priority, second.priority) == (Priority.HIGH, Priority.LOW)
    for row, name in ((first, "member"), (second, "header")):
        assert json.loads(row.labels) == {"callback_data": "山"}
        assert b"x-ib-" not in (await infobip.content(row.id)).lower()
        routes = {(*endpoints[route.endpoint_id], route.news) for route in parse_routes(row.routes)}
        format = "infobip-report-xml" if name == "member" else "infobip-report-json"
        assert (format, f"http://127.0.0.1:8080/{name}", News.FINAL | News.INTERMEDIATE) in routes


async def test_another_author_of_the_same_organisation(infobip: Cloud) -> None:
    reply = await send(infobip, from_=f"Shöp <shop@{DOMAIN}>")
    assert reply.status == 200, reply.body
    [row] = await infobip.rows("message")
    [parsed] = await infobip.messages()
    assert parsed.get_all("From") == [f"Shöp <shop@{DOMAIN}>"]
    assert row.sender == f"shop@{DOMAIN}"
    other = await send(infobip, from_="jane@other.example")
    assert (other.status, list(other.problems)) == (400, ["from"])


async def test_html_is_tracked_as_the_domain_says(infobip: Cloud) -> None:
    text = PLAIN.replace("Subject", "Content-Type: text/html\r\nSubject").replace("Dear John", HTML)
    domains = infobip.services.domains
    domain = await domains.get(infobip.account.id, DOMAIN)
    assert (await send(infobip, text)).status == 200
    await domains.settings.set_tracking(domain.id, opens=False, clicks=False, actor=ADMIN)
    assert (await send(infobip, text)).status == 200
    assert (await send(infobip, "X-IB-Track-Opens: yes\r\n" + text)).status == 200
    found = [await infobip.content(row.id) for row in await infobip.rows("message")]
    assert [(OPEN_PATH.encode() in of, CLICK_PATH.encode() in of) for of in found] == [
        (True, True),
        (False, False),
        (True, False),
    ]


async def test_large_html_is_tracked_and_many_links_are_refused(infobip: Cloud) -> None:
    html = PLAIN.replace("Subject", "Content-Type: text/html\r\nSubject")
    large = html.replace("Dear John", HTML + "<p>and so on</p>\r\n" * 20_000)
    assert (await send(infobip, large)).status == 200
    [row] = await infobip.rows("message")
    assert CLICK_PATH.encode() in await infobip.content(row.id)
    reply = await send(infobip, html.replace("Dear John", '<a href="https://a.example">a</a>\r\n' * 151))
    assert reply.status == 400, reply.body


async def test_a_header_of_very_many_recipients(infobip: Cloud) -> None:
    def to(count: int) -> str:
        return PLAIN.replace(
            "Subject", "To: " + ",\r\n ".join(f"r{n}@shop.example" for n in range(count)) + "\r\nSubject"
        )

    for count, status in ((900, 200), (1001, 400), (50_000, 400)):
        reply = await send(infobip, to(count).replace("To: john@shop.example\r\n", ""))
        assert reply.status == status, reply.body
    assert len(await infobip.rows("delivery")) == 900


async def test_the_return_path_of_the_domain_is_the_envelope_sender(infobip: Cloud) -> None:
    domains = infobip.services.domains
    domain = await domains.get(infobip.account.id, DOMAIN)
    await domains.settings.set_return_path(domain.id, f"bounces@{DOMAIN}", actor=ADMIN)
    assert (await send(infobip)).status == 200
    [row] = await infobip.rows("message")
    assert row.sender == f"bounces@{DOMAIN}"


LINKS = "".join(f'<a href="https://shop.example/{n}">x</a>\r\n' for n in range(151))
BAD: list[tuple[dict[str, Any], str]] = [
    ({}, "mimeMessage"),
    ({"mimeMessage": None}, "mimeMessage"),
    ({"mimeMessage": 7}, "mimeMessage"),
    ({"mimeMessage": ""}, "mimeMessage"),
    ({"mimeMessage": "%%%"}, "mimeMessage"),
    ({"mimeMessage": "QUJD\0"}, "mimeMessage"),
    ({"mimeMessage": "日本"}, "mimeMessage"),
    ({"mimeMessage": encoded("no header at all")}, "mimeMessage"),
    ({"mimeMessage": encoded(PLAIN.replace("From:", "X:"))}, "from"),
    ({"mimeMessage": encoded("From: a@x.example\r\n" + PLAIN)}, "from"),
    ({"mimeMessage": encoded(PLAIN.replace("john@shop.example", ""))}, "destinations"),
    ({"mimeMessage": encoded(PLAIN.replace("john@shop.example", "john@"))}, "mimeMessage"),
    ({"mimeMessage": encoded(PLAIN.replace(DOMAIN, "stranger.example"))}, "from"),
    ({"mimeMessage": encoded("X-IB-Notify-Url: nowhere\r\n" + PLAIN)}, "X-IB-Notify-Url"),
    (
        {"mimeMessage": encoded(f"Content-Type: text/html\r\n{PLAIN}{LINKS}")},
        "html",
    ),
    ({"destinations": ["a@x.example", "not an address"]}, "destinations[1]"),
    ({"destinations": [None]}, "destinations[0]"),
    ({"destinations": "a@x.example"}, "destinations"),
    ({"destinations": [f"a{n}@x.example" for n in range(1_001)]}, "destinations"),
    ({"from": "x"}, "from"),
    ({"from": f"a@{DOMAIN}\r\nBcc: evil@x.example"}, "from"),
    ({"bulkId": "x" * 101}, "bulkId"),
    ({"messageId": "a\r\nb"}, "messageId"),
    ({"messageId": 12}, "messageId"),
    ({"applicationId": "x" * 256}, "applicationId"),
    ({"entityId": "x" * 256}, "entityId"),
    ({"intermediateReport": "maybe"}, "intermediateReport"),
    ({"notifyUrl": "ftp://x.example"}, "notifyUrl"),
    ({"notifyUrl": "http://192.0.2.1/"}, "notifyUrl"),
    ({"notifyContentType": "text/csv"}, "notifyContentType"),
    ({"callbackData": "x" * 4_001}, "callbackData"),
    ({"trackingUrl": "http://user:secret@x.example/"}, "trackingUrl"),
    ({"clientPriority": "URGENT"}, "clientPriority"),
]


async def test_bad_members_are_named_and_nothing_is_stored(infobip: Cloud) -> None:
    for members, named in BAD:
        body = {"mimeMessage": encoded(PLAIN), **members} if members else {}
        reply = await infobip.json("POST", PATH, body)
        assert reply.status == 400, (members, reply.body)
        assert reply.json["requestError"]["serviceException"]["messageId"] == "BAD_REQUEST"
        assert list(reply.problems) == [named], (members, reply.body)
    assert await infobip.stored() == []


NO_OBJECTS = ["", "x", "[]", '"x"', '{"mimeMessage":', '{"a":' * 5_000]


async def test_what_is_no_json_object_is_refused(infobip: Cloud) -> None:
    for text in NO_OBJECTS:
        reply = await infobip.request("POST", PATH, text.encode(), {"Content-Type": "application/json"})
        assert (reply.status, list(reply.problems)) == (400, ["request"]), text[:80]


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        (
            f"X-IB-Bulk-Id: b\r\nFrom: {SENDER}," + "a@b.c," * 11_000,
            "a field of the header must not have more than 65536",
        ),
        (f"From: {SENDER}\r\n" + "x-ib-a: a\r\n" * 1_000 + "To: b@shop.example", "more than 1000 fields"),
        (f"From: {SENDER}\n" + "x-ib-a: a\n" * 100_000 + "To: b@shop.example", "more than 262144 octets"),
    ],
)
async def test_a_header_beyond_its_bounds_is_read_by_nobody(infobip: Cloud, text: str, violation: str) -> None:
    reply = await send(infobip, text + "\r\n\r\nbody\r\n")
    assert reply.status == 400, reply.body
    [[name, [found]]] = reply.json["requestError"]["serviceException"]["validationErrors"].items()
    assert name == "mimeMessage"
    assert violation in found
    assert await infobip.rows("message") == []


async def test_comments_within_comments_are_no_recipients(infobip: Cloud) -> None:
    reply = await send(infobip, f"From: {SENDER}\r\nTo: b@shop.example {'(' * 20_000}\r\n\r\nbody\r\n")
    assert reply.status == 400, reply.body
    [[name, _]] = reply.json["requestError"]["serviceException"]["validationErrors"].items()
    assert name == "mimeMessage"


async def test_an_author_with_comments_within_comments_is_none(infobip: Cloud) -> None:
    nested = f"{'(' * 2_000}{')' * 2_000}"
    reply = await send(infobip, f"From: {SENDER} {nested}\r\nTo: b@shop.example\r\n\r\nbody\r\n")
    assert reply.status == 400, reply.body
    assert await infobip.rows("message") == []
