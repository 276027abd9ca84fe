"""Infobip's own clients, unmodified but for the host, against the running platform (contract §8).

What they are told is compared with what the lab got: names, bodies, files octet for octet, and signatures.
"""

from __future__ import annotations

import base64
import json
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from callback_road import Hook
from infobip_road import (
    ACCEPTED,
    DELIVERED,
    EN_ROUTE,
    NO_ERROR,
    NO_SUCH_USER,
    NOT_DELIVERED,
    PRICE,
    InfobipRoad,
    unique,
)

from clients.client_stub import tls_front
from support.demo_process import wait_for
from support.official_clients import ClientError, InfobipNode, InfobipPython, new
from support.return_paths import is_ours

OCTETS = bytes(range(256)) * 40
PICTURE = b"\x89PNG\r\n\x1a\n" + bytes(40)
LATER = timedelta(hours=1)


@pytest.fixture
def five(road: InfobipRoad, infobip_5: InfobipPython) -> Any:
    """A client of version 5.1.1."""
    return infobip_5.client(road.base, road.key)


@pytest.fixture
def six(road: InfobipRoad, infobip_6: InfobipPython) -> Any:
    """A client of version 6.0.0."""
    return infobip_6.client(road.base, road.key)


@pytest.fixture
def node(road: InfobipRoad, infobip_node: InfobipNode) -> Any:
    """The client for Node."""
    return infobip_node.client(road.base, road.key)


@pytest.fixture(params=["infobip_5", "infobip_6"])
def program(request: pytest.FixtureRequest) -> InfobipPython:
    """Each generation of the Python client."""
    found: InfobipPython = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def either(road: InfobipRoad, program: InfobipPython) -> Any:
    return program.client(road.base, road.key)


def encoded(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


def message(to: list[dict[str, Any]], content: dict[str, Any], **more: Any) -> dict[str, Any]:
    """One ``EmailMessage`` of one group."""
    group = new("EmailGroupDestination", to=to)
    return new("EmailMessage", destinations=[group], content=new("EmailMessageContent", **content), **more)


def to(address: str, **more: Any) -> dict[str, Any]:
    return new("EmailToDestination", destination=address, **more)


def refused(call: Any, method: str, *args: Any, **fields: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        call(method, *args, **fields)
    return caught.value


# --- version 5.1.1: /email/3/send ---------------------------------------------------------------------------------


def test_the_fifth_generation_sends_a_simple_message(road: InfobipRoad, five: Any) -> None:
    recipient = road.recipient()
    told = five.call("send_email", to=[recipient], var_from=road.sender, subject="Hello", text="Dear John\nBye")
    (entry,) = told["messages"]
    assert told["bulkId"]
    assert entry == {"to": recipient, "messageId": entry["messageId"], "status": ACCEPTED}
    letter = road.letter(recipient)
    assert letter.envelope["to"] == [recipient]
    assert is_ours(letter.envelope["from"])
    assert [letter.header(name) for name in ("From", "To", "Subject")] == [road.sender, recipient, "Hello"]
    assert letter.types == ["text/plain"]
    assert letter.part("text/plain").splitlines() == ["Dear John", "Bye"]


def test_the_fifth_generation_sends_with_every_option(road: InfobipRoad, five: Any) -> None:
    recipient, other, third, hidden = (road.recipient() for _ in range(4))
    bulk, hook = unique("bulk-"), Hook(road.demo)
    personal = json.dumps({"to": other, "placeholders": {"name": "アリス", "ph": "mine"}})
    told = five.call(
        "send_email",
        var_from=f"山田 太郎 <{road.sender}>",
        to=[f"John Smith <{recipient}>", personal],
        cc=[third],
        bcc=[hidden],
        subject="日本 {{ph}} {{name}}",
        text="not to be seen",
        html='<p>{{name}} <img src="cid:logo.png"> <a href="https://shop.test/a?b=1&amp;c=2">shop</a></p>',
        amp_html="<!doctype html><html ⚡4email><body>{{name}}</body></html>",
        attachment=[new("FileParameter", OCTETS, "日本語.bin", "application/x-own"), b"raw\r\noctets"],
        inline_image=[new("FileParameter", PICTURE, "logo.png", "image/png")],
        intermediate_report=True,
        notify_url=hook.url,
        notify_content_type="application/json",
        callback_data="you want this back",
        track=True,
        track_clicks=False,
        track_opens=True,
        tracking_pixel_position="BOTTOM",
        tracking_url=Hook(road.demo).url,
        bulk_id=bulk,
        campaign_reference_id="spring",
        reply_to=f"Shop <reply@{road.domain}>",
        default_placeholders=json.dumps({"ph": "ok", "name": "you"}),
        preserve_recipients=False,
        client_priority="HIGH",
        application_id="app",
        entity_id="unit",
        headers=json.dumps({"X-Own": "value", "List-Unsubscribe": "<mailto:out@demo.lab.test>"}),
    )
    assert told["bulkId"] == bulk
    assert [entry["to"] for entry in told["messages"]] == [recipient, other, third, hidden]
    ids = [entry["messageId"] for entry in told["messages"]]
    assert len(set(ids)) == 4

    letter = road.letter(recipient)
    assert letter.header("From") == f"山田 太郎 <{road.sender}>"
    assert letter.header("To") == f"John Smith <{recipient}>"
    assert letter.header("Subject") == "日本 ok you"
    assert letter.header("Reply-To") == f"Shop <reply@{road.domain}>"
    assert (letter.header("Cc"), letter.header("Bcc")) == (None, None)
    assert letter.header("X-Own") == "value"
    assert letter.header("List-Unsubscribe") == "<mailto:out@demo.lab.test>"
    assert not any(name.lower().startswith("x-ib") for name in letter.message)
    assert letter.types == [
        "multipart/mixed",
        "multipart/related",
        "multipart/alternative",
        "text/x-amp-html",
        "text/html",
        "image/png",
        "application/x-own",
        "application/octet-stream",
    ]
    html = letter.part("text/html")
    assert html.startswith('<p>you <img src="cid:logo.png"> <a href="https://shop.test/a?b=1&amp;c=2">shop</a></p>')
    assert f'<img src="{road.base}/t/o/' in html
    assert letter.part("text/x-amp-html") == "<!doctype html><html ⚡4email><body>you</body></html>"
    assert letter.files == {
        "日本語.bin": ("application/x-own", OCTETS),
        "attachment": ("application/octet-stream", b"raw\r\noctets"),
    }
    assert letter.pictures == {"<logo.png>": PICTURE}

    personal_letter = road.letter(other)
    assert personal_letter.header("Subject") == "日本 mine アリス"
    assert personal_letter.part("text/html").startswith("<p>アリス <img")
    for address in (third, hidden):
        assert road.letter(address).header("To") == address

    results = hook.reports(8)
    assert {(result["to"], result["status"]["name"]) for result in results} == {
        (address, name)
        for address in (recipient, other, third, hidden)
        for name in ("PENDING_ACCEPTED", "DELIVERED_TO_HANDSET")
    }
    final = [result for result in results if result["status"]["id"] == 5 and result["to"] == recipient]
    assert final == [
        {
            "entityId": "unit",
            "applicationId": "app",
            "campaignReferenceId": "spring",
            "bulkId": bulk,
            "price": PRICE,
            "status": DELIVERED,
            "error": NO_ERROR,
            "messageId": ids[0],
            "doneAt": final[0]["doneAt"],
            "smsCount": 1,
            "sentAt": final[0]["sentAt"],
            "attemptCount": 1,
            "timeToFirstAttempt": final[0]["timeToFirstAttempt"],
            "smtp": {"response": final[0]["smtp"]["response"]},
            "callbackData": "you want this back",
            "to": recipient,
        }
    ]
    assert final[0]["smtp"]["response"].startswith("250 2.0.0 Ok")


def test_recipients_who_see_each_other_share_one_message(road: InfobipRoad, five: Any) -> None:
    first, second, third, hidden = (road.recipient() for _ in range(4))
    told = five.call(
        "send_email",
        to=[first, f"Two <{second}>"],
        cc=[third],
        bcc=[hidden],
        var_from=road.sender,
        subject="Together",
        text="Hello",
        preserve_recipients=True,
        message_id=(own := unique("own-")),
    )
    assert {entry["messageId"] for entry in told["messages"]} == {own}
    letters = [road.letter(address) for address in (first, second, third, hidden)]
    assert len({letter.header("Message-ID") for letter in letters}) == 1
    assert letters[0].header("To") == f"{first}, Two <{second}>"
    assert letters[0].header("Cc") == third
    assert all(hidden.encode() not in letter.data for letter in letters)


def test_reports_are_handed_out_once(road: InfobipRoad, either: Any, program: InfobipPython) -> None:
    """To either generation; the second one gets what the first one left."""
    good, bad, bulk = road.recipient(), road.recipient("reject"), unique("bulk-")
    fields = [("from", road.sender), ("subject", "x"), ("text", "x"), ("bulkId", bulk), ("callbackData", "back")]
    told = form(road, [*fields, ("to", good), ("to", bad), ("applicationId", "app"), ("entityId", "unit")])
    ids = {entry["to"]: entry["messageId"] for entry in told["messages"]}
    found: dict[str, dict[str, Any]] = {}

    def all_there(**asked: Any) -> bool:
        for result in either.call("get_email_delivery_reports", bulk_id=bulk, limit=1, **asked)["results"]:
            assert found.setdefault(result["to"], result) is result
        return len(found) == 2

    assert either.call("get_email_delivery_reports", bulk_id=bulk, message_id="nothing")["results"] == []
    wait_for(all_there, "two reports")
    assert either.call("get_email_delivery_reports", bulk_id=bulk)["results"] == []
    for address, status, error in ((good, DELIVERED, NO_ERROR), (bad, NOT_DELIVERED, NO_SUCH_USER)):
        report = found[address]
        assert (report["messageId"], report["bulkId"], report["messageCount"]) == (ids[address], bulk, 1)
        assert (report["status"], report["error"], report["price"]) == (status, error, PRICE)
        assert report["sentAt"] <= report["doneAt"]
        if program.generation == 6:
            assert (report["sender"], report["callbackData"]) == (road.sender, "back")
            assert report["platform"] == {"entityId": "unit", "applicationId": "app"}
            assert report["attemptCount"] == 1
        else:
            assert (report["applicationId"], report["entityId"]) == ("app", "unit")


def form(road: InfobipRoad, fields: list[tuple[str, str]]) -> Any:
    """What ``/email/3/send`` says to a form without files."""
    mark = unique()
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n' for name, value in fields
    ]
    body = "".join([*parts, f"--{mark}--\r\n"]).encode()
    reply = road.request("POST", "/email/3/send", body, {"Content-Type": f"multipart/form-data; boundary={mark}"})
    assert reply.status == 200, reply.body
    return reply.json


@pytest.fixture
def sent(road: InfobipRoad) -> dict[str, Any]:
    """What two messages that are done have of their own: ``good`` arrived, ``bad`` was refused."""
    facts: dict[str, Any] = {}
    for name, behaviour in (("good", "accept"), ("bad", "reject")):
        own = {
            "bulkId": unique("bulk-"),
            "messageId": unique("id-"),
            "campaignReferenceId": unique("campaign-"),
            "applicationId": unique("app-"),
            "entityId": unique("unit-"),
        }
        recipient = road.recipient(behaviour)
        sender = f"{unique()}@{road.domain}"
        fields = [("to", recipient), ("from", sender), ("subject", "件名 x"), ("text", "x"), *own.items()]
        form(road, fields)
        facts[name] = own | {"to": recipient, "from": sender}
    for own in facts.values():
        road.reports(own["bulkId"], 1)
    return facts


def test_logs_of_the_fifth_generation(road: InfobipRoad, five: Any, sent: dict[str, Any]) -> None:
    good, bad = sent["good"], sent["bad"]
    (entry,) = five.call("get_email_logs", bulk_id=good["bulkId"])["results"]
    # The client knows no campaigns in its logs.
    known = {name: value for name, value in good.items() if name != "campaignReferenceId"}
    assert entry == {
        **known,
        "text": "件名 x",
        "sentAt": entry["sentAt"],
        "doneAt": entry["doneAt"],
        "messageCount": 1,
        "price": PRICE,
        "status": DELIVERED,
        "error": NO_ERROR,
    }
    at = entry["sentAt"]
    narrow = {"bulk_id": good["bulkId"]}
    for asked, expected in (
        ({"message_id": good["messageId"]}, [good]),
        ({"message_id": f"{good['messageId']},{bad['messageId']}"}, [bad, good]),
        ({"var_from": bad["from"]}, [bad]),
        ({"to": good["to"]}, [good]),
        ({"bulk_id": bad["bulkId"]}, [bad]),
        ({"campaign_reference_id": good["campaignReferenceId"]}, [good]),
        ({"application_id": bad["applicationId"]}, [bad]),
        ({"entity_id": good["entityId"]}, [good]),
        (narrow | {"general_status": "DELIVERED"}, [good]),
        (narrow | {"general_status": "UNDELIVERABLE"}, []),
        ({"bulk_id": bad["bulkId"], "general_status": "UNDELIVERABLE"}, [bad]),
        (narrow | {"sent_since": at, "sent_until": at + LATER}, [good]),
        (narrow | {"sent_since": at + LATER}, []),
        (narrow | {"sent_until": at - LATER}, []),
        (narrow | {"to": bad["to"]}, []),
        ({"application_id": "nothing"}, []),
    ):
        found = five.call("get_email_logs", **asked)["results"]
        assert [result["messageId"] for result in found] == [of["messageId"] for of in expected], asked
    both = f"{good['messageId']},{bad['messageId']}"
    assert len(five.call("get_email_logs", message_id=both, limit=1)["results"]) == 1


def test_logs_of_the_sixth_generation(road: InfobipRoad, six: Any, sent: dict[str, Any]) -> None:
    good, bad = sent["good"], sent["bad"]
    both = [good["messageId"], bad["messageId"]]
    (entry,) = six.call("get_email_logs", bulk_id=[bad["bulkId"]])["results"]
    assert entry == {
        "text": "件名 x",
        "sender": bad["from"],
        "destination": bad["to"],
        "bulkId": bad["bulkId"],
        "messageId": bad["messageId"],
        "sentAt": entry["sentAt"],
        "doneAt": entry["doneAt"],
        "messageCount": 1,
        "price": PRICE,
        "status": NOT_DELIVERED,
        "error": NO_SUCH_USER,
        "platform": {"entityId": bad["entityId"], "applicationId": bad["applicationId"]},
        "campaignReferenceId": bad["campaignReferenceId"],
    }
    at = entry["sentAt"]
    for asked, expected in (
        ({"message_id": both}, [bad, good]),
        ({"bulk_id": [good["bulkId"], bad["bulkId"]]}, [bad, good]),
        ({"campaign_reference_id": [good["campaignReferenceId"], bad["campaignReferenceId"]]}, [bad, good]),
        ({"sender": good["from"]}, [good]),
        ({"destination": bad["to"]}, [bad]),
        ({"application_id": good["applicationId"]}, [good]),
        ({"entity_id": bad["entityId"]}, [bad]),
        ({"message_id": both, "general_status": "DELIVERED"}, [good]),
        ({"message_id": both, "general_status": "UNDELIVERABLE"}, [bad]),
        ({"message_id": both, "general_status": "ACCEPTED"}, []),
        ({"message_id": both, "sent_since": at}, [bad]),
        ({"message_id": both, "sent_until": at - LATER}, []),
        ({"message_id": both, "sender": "nobody@demo.lab.test"}, []),
    ):
        found = six.call("get_email_logs", **asked)["results"]
        assert [result["messageId"] for result in found] == [of["messageId"] for of in expected], asked
    # Page by page.
    walked: list[str] = []
    cursor: dict[str, Any] = {}
    for _ in range(5):
        page = six.call("get_email_logs", message_id=both, limit=1, use_cursor=True, **cursor)
        walked += [result["messageId"] for result in page["results"]]
        assert page["cursor"]["limit"] == 1
        if page["cursor"].get("nextCursor") is None:
            break
        cursor = {"cursor": page["cursor"]["nextCursor"]}
    assert walked == [bad["messageId"], good["messageId"]]


# --- version 6.0.0: /email/4 --------------------------------------------------------------------------------------


def test_the_sixth_generation_sends_with_every_option(road: InfobipRoad, six: Any) -> None:
    first, second, third, hidden = (road.recipient() for _ in range(4))
    own, bulk, hook = unique("own-"), unique("bulk-"), Hook(road.demo)
    content = new(
        "EmailMessageContent",
        subject="日本 {{name}}",
        text="Text {{name}}",
        html='<p>{{name}} <img src="cid:logo.png"></p>',
        amp_html="<!doctype html><html ⚡4email><body>{{name}}</body></html>",
        attachments=[
            new(
                "EmailMediaBinaryAttachment",
                content=encoded(OCTETS),
                content_type="application/x-own",
                file_name="日本語.bin",
            )
        ],
        inline_images=[
            new("EmailMediaBinaryImage", content=encoded(PICTURE), content_type="image/png", file_name="logo.png")
        ],
        default_placeholders='{"name": "you"}',
        headers='{"X-Own": "value"}',
        template_language_version="1",
    )
    groups = [
        new(
            "EmailGroupDestination",
            to=[to(first, message_id=own, placeholders=json.dumps({"name": "アリス"})), to(second)],
            reply_to=f"reply@{road.domain}",
        ),
        new("EmailGroupDestination", to=[to(third)], bcc=[to(hidden)], preserve_recipients=True),
    ]
    everyday = ["MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY"]
    options = new(
        "EmailMessageOptions",
        platform=new("Platform", entity_id="unit", application_id="app"),
        validity_period=new("ValidityPeriod", amount=2, time_unit="HOURS"),
        delivery_time_window=new("DeliveryTimeWindow", days=everyday),
        campaign_reference_id="spring",
    )
    delivery = new("EmailMessageDeliveryReporting", url=hook.url, intermediate_report=False, notify=True)
    webhooks = new("EmailWebhooks", delivery=delivery, content_type="application/xml", callback_data="<back>")
    tracking = new(
        "EmailUrlOptions",
        track=True,
        track_opens=True,
        track_clicks=False,
        tracking_url=Hook(road.demo).url,
        tracking_pixel_position="TOP",
    )
    told = six.call(
        "send_email",
        new(
            "EmailRequest",
            messages=[
                new(
                    "EmailMessage",
                    sender=f"山田 <{road.sender}>",
                    destinations=groups,
                    content=content,
                    options=options,
                    webhooks=webhooks,
                )
            ],
            options=new(
                "EmailMessageRequestOptions",
                schedule=new("EmailRequestSchedulingSettings", bulk_id=bulk),
                tracking=tracking,
                client_priority_="HIGH",
            ),
        ),
    )
    assert told["bulkId"] == bulk
    entries = told["messages"]
    assert [entry["destination"] for entry in entries] == [first, second, third, hidden]
    assert {json.dumps(entry["status"]) for entry in entries} == {json.dumps(EN_ROUTE)}
    assert entries[0]["messageId"] == own
    assert entries[2]["messageId"] == entries[3]["messageId"] != entries[1]["messageId"]

    letter = road.letter(first)
    assert letter.header("From") == f"山田 <{road.sender}>"
    assert (letter.header("To"), letter.header("Reply-To")) == (first, f"reply@{road.domain}")
    assert (letter.header("Subject"), letter.header("X-Own")) == ("日本 アリス", "value")
    assert letter.part("text/plain") == "Text アリス"
    html = letter.part("text/html")
    assert html.endswith('<p>アリス <img src="cid:logo.png"></p>')
    assert html.startswith(f'<img src="{road.base}/t/o/')
    assert letter.files == {"日本語.bin": ("application/x-own", OCTETS)}
    assert letter.pictures == {"<logo.png>": PICTURE}
    assert road.letter(second).part("text/plain") == "Text you"
    shared, same = road.letter(third), road.letter(hidden)
    assert shared.header("Message-ID") == same.header("Message-ID")
    assert (same.header("To"), same.header("Reply-To")) == (third, None)

    def results() -> list[ET.Element]:
        bodies = [request["body"] for request in hook.requests()]
        return [result for body in bodies for result in ET.fromstring(body).iterfind("./results/result")]

    found = wait_for(lambda: len(got := results()) >= 4 and got, "four reports in XML")
    assert sorted(str(result.findtext("to")) for result in found) == sorted([first, second, third, hidden])
    assert {result.findtext("status/name") for result in found} == {"DELIVERED_TO_HANDSET"}
    assert {result.findtext("callbackData") for result in found} == {"<back>"}
    assert {result.findtext("bulkId") for result in found} == {bulk}


def test_files_that_were_uploaded_before(road: InfobipRoad) -> None:
    """Version 6.0.0 has a class for references and no way to send one, so a plain request does it."""
    name, recipient = unique("logo-") + ".png", road.recipient()
    headers = {
        "Content-Type": "application/octet-stream",
        "X-Content-Id": name,
        "X-Media-Type": "image/png",
        "X-Validity-Period-Minutes": "1440",
    }
    uploaded = road.request("POST", "/email/1/content", PICTURE, headers)
    assert (uploaded.status, uploaded.json) == (200, {"uploadedContentId": name})
    reference = {"type": "uploadedReference", "contentId": name}
    content = {
        "subject": "x",
        "html": f'<img src="cid:{name}">',
        "attachments": [reference],
        "inlineImages": [reference],
    }
    sending = {"sender": road.sender, "destinations": [{"to": [{"destination": recipient}]}], "content": content}
    assert road.json("POST", "/email/4/messages", {"messages": [sending]}).status == 200
    letter = road.letter(recipient)
    assert letter.files == {name: ("image/png", PICTURE)}
    assert letter.pictures == {f"<{name}>": PICTURE}


def test_the_sixth_generation_sends_mime(road: InfobipRoad, six: Any) -> None:
    first, second, bulk, own = road.recipient(), road.recipient(), unique("bulk-"), unique("own-")
    body = "本文です。\r\n--  \r\n".encode()
    composed = (
        f"From: Jane <{road.sender}>\r\nTo: {first}\r\nSubject: =?utf-8?B?5pel5pys?=\r\n"
        f"X-IB-bulk-id: {bulk}\r\nX-IB-callback-data: back\r\nX-Own: kept\r\nMIME-Version: 1.0\r\n"
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode() + body
    request = new(
        "EmailSendMimeRequestSchema",
        mime_message=encoded(composed),
        destinations=[first, second],
        message_id=own,
        application_id="app",
    )
    told = six.call("send_mime_email", request)
    assert told["bulkId"] == bulk
    assert [(entry["to"], entry["messageId"]) for entry in told["messages"]] == [(first, own), (second, own)]
    assert {entry["status"]["name"] for entry in told["messages"]} == {"PENDING_ACCEPTED"}
    for recipient in (first, second):
        letter = road.letter(recipient)
        # It is signed, and the path may not be clean for eight bits.
        assert message_from_bytes(letter.data).get_payload(decode=True) == body
        assert (letter.header("Subject"), letter.header("X-Own")) == ("日本", "kept")
        assert b"\r\nX-IB-" not in letter.data
    reports = road.reports(bulk, 2, "/email/4/reports")
    assert {report["callbackData"] for report in reports} == {"back"}
    assert {report["platform"]["applicationId"] for report in reports} == {"app"}
    # Without destinations: whom the header names.
    alone = road.recipient()
    composed = f"From: {road.sender}\r\nTo: One <{alone}>\r\nSubject: x\r\n\r\nx\r\n".encode()
    told = six.call("send_mime_email", new("EmailSendMimeRequestSchema", mime_message=encoded(composed)))
    assert [entry["to"] for entry in told["messages"]] == [alone]
    assert road.letter(alone).header("To") == f"One <{alone}>"


def test_templates(road: InfobipRoad, six: Any, five: Any) -> None:
    files = json.dumps([{"contentType": "text/plain", "fileName": "terms.txt", "data": encoded(b"terms")}])
    made = six.call(
        "create_email_template",
        "<html><body><p>Hello {{name}}</p></body></html>",
        name="Spring",
        var_from=f"Shop <{road.sender}>",
        reply_to=f"reply@{road.domain}",
        subject="For {{name}}",
        preheader="Read this first",
        attachments=files,
    )
    assert (made["name"], made["subject"], made["isHtmlEditable"]) == ("Spring", "For {{name}}", True)
    assert [(file["fileName"], file["size"]) for file in made["attachments"]] == [("terms.txt", 5)]
    template = made["id"]
    assert six.call("get_email_template", template) == made
    page = six.call("get_email_templates", page=0, size=20)
    assert (template, "Spring") in [(item["id"], item["name"]) for item in page["results"]]
    changed = six.call("patch_email_template", template, "<p>Dear {{name}}</p>")
    assert (changed["html"], changed["subject"]) == ("<p>Dear {{name}}</p>", "For {{name}}")
    replaced = six.call(
        "update_email_template",
        template,
        "<p>Hi {{name}}</p>",
        name="Summer",
        subject="To {{name}}",
        var_from=f"Shop <{road.sender}>",
    )
    assert (replaced["name"], replaced.get("preheader") or "") == ("Summer", "")
    shown = six.call("generate_email_template_preview", template, placeholders={"name": {"value": "アリス & Co"}})
    assert shown == "<p>Hi アリス & Co</p>"
    added = six.call(
        "upload_email_template_attachment",
        template,
        content_type="text/plain",
        file_name="more.txt",
        data=encoded(b"more"),
    )
    listed = six.call("get_email_template_attachments", template)
    assert [file["fileName"] for file in listed] == ["terms.txt", "more.txt"]
    assert road.request("GET", listed[0]["url"]).body == b"terms"
    six.call("delete_email_template_attachment", added["id"], template)

    by_six, by_five = road.recipient(), road.recipient()
    content = {"template_id": str(template), "default_placeholders": '{"name": "John"}'}
    six.call("send_email", new("EmailRequest", messages=[message([to(by_six)], content)]))
    five.call("send_email", to=[by_five], template_id=template, default_placeholders='{"name": "Jane"}')
    for recipient, name in ((by_six, "John"), (by_five, "Jane")):
        letter = road.letter(recipient)
        assert (letter.header("From"), letter.header("Subject")) == (f"Shop <{road.sender}>", f"To {name}")
        assert f"<p>Hi {name}</p>" in letter.part("text/html")
        assert letter.files == {"terms.txt": ("text/plain", b"terms")}
    six.call("delete_email_template", template)
    gone = refused(six.call, "get_email_template", template)
    assert (gone.type, gone.data["errorCode"]) == ("NotFoundException", "E404")


def test_suppressions(road: InfobipRoad, either: Any, program: InfobipPython) -> None:
    first, second = road.recipient(), road.recipient()

    def change(method: str, kind: str, *addresses: str) -> None:
        entry = new(
            f"Email{kind}Suppression", domain_name=road.domain, email_address=[*addresses], type="COMPLAINT"
        )
        request = new(f"Email{kind}SuppressionRequest", suppressions=[entry])
        assert either.call(f"{method}_with_http_info", request)["status_code"] == 204

    def listed(**asked: Any) -> list[str]:
        found = either.call("get_suppressions", road.domain, "COMPLAINT", **asked)["results"]
        assert {(item["domainName"], item["type"]) for item in found} <= {(road.domain, "COMPLAINT")}
        return [item["emailAddress"] for item in found]

    change("add_suppressions", "Add", first, second)
    assert listed(email_address=first) == [first]
    assert {first, second} <= set(listed(recipient_domain="accept.lab.test", size=1000))

    def rejected() -> Any:
        """Workers tell each other within a second (contract §4.4: asynchronous)."""
        told = form(road, [("from", road.sender), ("to", first), ("subject", "x"), ("text", "x")])
        (report,) = road.reports(told["bulkId"], 1)
        return report["status"]["groupName"] == "REJECTED" and report

    report = wait_for(rejected, "every worker to know")
    assert report["status"]["name"] == "REJECTED_DESTINATION_BLOCKLISTED"
    assert (report["error"]["id"], report["error"]["name"]) == (6035, "EC_SUPPRESSED_SPAM_COMPLAINT")
    change("delete_suppressions", "Delete", first, second)
    assert listed(email_address=first) == listed(email_address=second) == []
    form(road, [("from", road.sender), ("to", first), ("subject", "again"), ("text", "x")])
    wait_for(lambda: road.letter(first).header("Subject") == "again", "the message to who may be mailed again")
    domains = either.call("get_domains")["results"]
    assert road.domain in [item["domainName"] for item in domains if item["dataAccess"] == "OWNER"]


def test_an_address_that_bounces_is_suppressed(road: InfobipRoad, six: Any) -> None:
    recipient = road.recipient("reject")
    fields = [("from", road.sender), ("to", recipient), ("subject", "x"), ("text", "x")]
    told = form(road, fields)
    (report,) = road.reports(told["bulkId"], 1)
    assert report["error"]["name"] == "EC_INVALID_EMAIL_ADDRESS"

    def listed() -> Any:
        return six.call("get_suppressions", road.domain, "BOUNCE", email_address=recipient)["results"]

    (found,) = wait_for(listed, "the suppression")
    assert found["reason"].startswith("550 5.1.1 No such user")

    def rejected() -> Any:
        (report,) = road.reports(form(road, fields)["bulkId"], 1)
        return report["status"]["groupName"] == "REJECTED" and report

    assert wait_for(rejected, "every worker to know")["error"]["name"] == "EC_SUPPRESSED_BOUNCE"


# --- what both generations have -----------------------------------------------------------------------------------


def schedule(road: InfobipRoad, client: Any, generation: int, recipient: str) -> str:
    """A message that waits for an hour; its bulk."""
    bulk = unique("bulk-")
    at = datetime.now(UTC) + LATER
    if generation == 5:
        five = {"to": [recipient], "var_from": road.sender, "subject": "x", "text": "x"}
        told = client.call("send_email", **five, bulk_id=bulk, send_at=at)
    else:
        when = new(
            "EmailRequestSchedulingSettings", bulk_id=bulk, send_at=at.strftime("%Y-%m-%dT%H:%M:%S.000+0000")
        )
        told = client.call(
            "send_email",
            new(
                "EmailRequest",
                messages=[message([to(recipient)], {"subject": "x", "text": "x"}, sender=road.sender)],
                options=new("EmailMessageRequestOptions", schedule=when),
            ),
        )
    assert told["bulkId"] == bulk
    found = client.call("get_scheduled_emails", bulk)
    (inner,) = found["bulks"]
    assert found["externalBulkId"] == bulk
    assert inner["bulkId"].isdecimal()
    assert abs(inner["sendAt"] - at) < timedelta(seconds=1)
    return bulk


def test_bulks_wait_are_moved_paused_and_resumed(road: InfobipRoad, either: Any, program: InfobipPython) -> None:
    recipient = road.recipient()
    bulk = schedule(road, either, program.generation, recipient)

    def status() -> str:
        found = either.call("get_scheduled_email_statuses", bulk)
        assert found["externalBulkId"] == bulk
        return str(found["bulks"][0]["status"])

    def become(wanted: str) -> None:
        told = either.call(
            "update_scheduled_email_statuses", bulk, new("EmailBulkUpdateStatusRequest", status=wanted)
        )
        assert (told, status()) == ({"bulkId": bulk, "status": wanted}, wanted)

    assert status() == "PENDING"
    become("PAUSED")
    become("PENDING")
    moved = datetime.now(UTC).replace(microsecond=0) + 2 * LATER
    told = either.call("reschedule_emails", bulk, new("EmailBulkRescheduleRequest", send_at=moved))
    assert told == {"bulkId": bulk, "sendAt": moved}
    assert either.call("get_email_delivery_reports", bulk_id=bulk)["results"] == []
    either.call("reschedule_emails", bulk, new("EmailBulkRescheduleRequest", send_at=datetime.now(UTC)))
    assert road.letter(recipient).envelope["to"] == [recipient]
    road.reports(bulk, 1)
    assert status() == "FINISHED"
    late = refused(either.call, "reschedule_emails", bulk, new("EmailBulkRescheduleRequest", send_at=moved))
    assert late.status == 409
    assert json.loads(str(late.body))["requestError"]["serviceException"]["text"] == "Update not allowed for bulk"


def test_bulks_are_cancelled(road: InfobipRoad, either: Any, program: InfobipPython) -> None:
    bulk = schedule(road, either, program.generation, road.recipient())
    told = either.call(
        "update_scheduled_email_statuses", bulk, new("EmailBulkUpdateStatusRequest", status="CANCELED")
    )
    assert told == {"bulkId": bulk, "status": "CANCELED"}
    (report,) = road.reports(bulk, 1)
    assert (report["status"]["name"], report["error"]["name"]) == ("UNDELIVERABLE_NOT_SENT", "EC_MESSAGE_CANCELED")
    again = refused(
        either.call,
        "update_scheduled_email_statuses",
        bulk,
        new("EmailBulkUpdateStatusRequest", status="PENDING"),
    )
    assert again.status == 409
    unknown = refused(either.call, "get_scheduled_emails", unique("nothing-"))
    assert (unknown.type, json.loads(str(unknown.body))) == (
        "NotFoundException",
        {"requestError": {"serviceException": {"messageId": "NOT_FOUND", "text": "Bulk not found"}}},
    )


def test_domains_from_adding_to_deleting(road: InfobipRoad, either: Any, program: InfobipPython) -> None:
    name = f"{unique()}.lab.test"
    made = either.call(
        "add_domain",
        new("EmailAddDomainRequest", domain_name=name, targeted_daily_traffic=1000, dkim_key_length=2048),
    )
    assert (made["domainName"], made["active"], made["blocked"]) == (name, False, False)
    assert not any(record["verified"] for record in made["dnsRecords"] if record["recordType"] == "TXT")
    again = refused(
        either.call, "add_domain", new("EmailAddDomainRequest", domain_name=name, targeted_daily_traffic=1)
    )
    assert (again.status, "ApiException" in again.bases) == (409, True)
    assert either.call("get_domain_details", name) == made

    total, listed, page = 1, [], 0
    while len(listed) < total:
        answer = either.call("get_all_domains", size=5, page=page)
        total, page = answer["paging"]["totalResults"], page + 1
        listed += [item["domainName"] for item in answer["results"]]
    assert name in listed

    tracked = either.call(
        "update_tracking_events", name, new("EmailTrackingEventRequest", open=False, clicks=True, unsubscribe=True)
    )
    assert tracked["tracking"] == {"opens": False, "clicks": True, "unsubscribe": True}
    if program.generation == 5:
        address = f"bounces@{name}"
        either.call("update_return_path", name, new("EmailReturnPathAddressRequest", return_path_address=address))
    road.publish(name, made["dnsRecords"])
    told = either.call("verify_domain_with_http_info", name)
    assert (told["status_code"], told["raw_data"]) == (202, b"")
    found = either.call("get_domain_details", name)
    assert (found["active"], {record["verified"] for record in found["dnsRecords"]}) == (True, {True})

    recipient = road.recipient()
    fields = [("from", f"Own <me@{name}>"), ("to", recipient), ("subject", "x"), ("html", "<p>x</p>")]
    form(road, fields)
    letter = road.letter(recipient)
    sender = f"bounces@{name}" if program.generation == 5 else f"me@{name}"
    assert road.demo.trace(str(letter.header("Message-ID")))["sender"] == sender
    assert is_ours(letter.envelope["from"])
    assert str(letter.header("List-Unsubscribe")).startswith(f"<{road.base}/t/u/")
    assert "/t/o/" not in letter.part("text/html")
    assert either.call("delete_domain_with_http_info", name)["status_code"] == 204
    assert refused(either.call, "get_domain_details", name).type == "NotFoundException"


def test_addresses_are_validated(road: InfobipRoad, either: Any) -> None:
    def checked(address: str) -> Any:
        return either.call("validate_email_addresses", new("EmailValidationRequest", to=address))

    good = checked(road.recipient())
    assert (good["validSyntax"], good["disposable"], good["roleBased"]) == (True, False, False)
    typo = checked("john@gmial.com")
    assert (typo["validMailbox"], typo["didYouMean"], typo["risk"]) == ("false", "john@gmail.com", "HIGH")
    assert checked("admin@accept.lab.test")["roleBased"] is True
    assert checked("not an address")["validSyntax"] is False


def test_many_addresses_are_validated(road: InfobipRoad, six: Any, eventually: Any) -> None:
    """The results are read by a plain request: the client takes ``validMailbox`` for a boolean (contract §4.2)."""
    name, good = unique("request-"), road.recipient()
    destinations = [new("EmailValidationDestination", destination=address) for address in (good, "not an address")]
    request = new("EmailValidationApiBulkRequest", validation_request_id=name, destinations=destinations)
    told = six.call("request_validations_with_http_info", request)
    assert (told["status_code"], told["data"]) == (202, {"validationRequestId": name})

    def results(more: str = "") -> Any:
        return road.request("GET", f"/email/2/validations?validationRequestId={name}{more}").json["results"]

    found = eventually(lambda: len(got := results()) == 2 and got, "both results")
    by_address = {result["destination"]: result for result in found}
    assert (by_address[good]["validSyntax"], by_address[good]["risk"]) == (True, by_address[good]["risk"])
    assert by_address["not an address"]["validMailbox"] == "false"
    assert [result["destination"] for result in results("&validSyntax=false")] == ["not an address"]
    wrong = refused(six.call, "get_validations", validation_request_id=name)
    assert (wrong.type, "validMailbox" in wrong.text) == ("ValidationError", True)


# --- errors -------------------------------------------------------------------------------------------------------


def test_errors_of_the_first_envelope(road: InfobipRoad, infobip_5: InfobipPython, five: Any) -> None:
    valid = {"to": [road.recipient()], "var_from": road.sender, "subject": "x", "text": "x"}

    def told(error: ClientError) -> Any:
        assert json.loads(str(error.body)) == error.data
        return error.data["requestError"]["serviceException"]

    stranger = refused(infobip_5.client(road.base, "wrong").call, "send_email", **valid)
    assert (stranger.type, told(stranger)) == (
        "UnauthorizedException",
        {"messageId": "UNAUTHORIZED", "text": "Unauthorized"},
    )
    reading = road.demo.run(
        "credential", "api-key", "create", road.demo.account["name"], unique(), "--scope", "read"
    )
    reader = infobip_5.client(road.base, reading["api_key"])
    assert reader.call("get_email_logs", limit=1)["results"] is not None
    forbidden = refused(reader.call, "send_email", **valid)
    assert (forbidden.type, told(forbidden)["messageId"]) == ("ForbiddenException", "FORBIDDEN")
    missing = refused(five.call, "get_domain_details", "nothing.lab.test")
    assert (missing.type, told(missing)["messageId"]) == ("NotFoundException", "NOT_FOUND")
    bad = refused(five.call, "send_email", **valid | {"to": ["nobody"], "notify_url": "ftp://x.test/"})
    assert (bad.type, told(bad)["messageId"], told(bad)["text"]) == (
        "BadRequestException",
        "BAD_REQUEST",
        "Bad request",
    )
    assert sorted(told(bad)["validationErrors"]) == ["notifyUrl", "to[0]"]
    foreign = refused(five.call, "send_email", **valid | {"var_from": "me@elsewhere.lab.test"})
    assert list(told(foreign)["validationErrors"]) == ["from"]


def test_errors_of_the_second_envelope(road: InfobipRoad, infobip_6: InfobipPython, six: Any) -> None:
    def told(error: ClientError) -> tuple[str, str, list[str]]:
        data = json.loads(str(error.body))
        assert list(data) == ["errorCode", "description", "action", "violations", "resources"]
        return error.type, data["errorCode"], [violation["property"] for violation in data["violations"]]

    content = {"subject": "x", "text": "x"}
    valid = new("EmailRequest", messages=[message([to(road.recipient())], content, sender=road.sender)])
    stranger = refused(infobip_6.client(road.base, "wrong").call, "send_email", valid)
    assert told(stranger) == ("UnauthorizedException", "E401", [])
    assert stranger.data == json.loads(str(stranger.body))
    reading = road.demo.run(
        "credential", "api-key", "create", road.demo.account["name"], unique(), "--scope", "read"
    )
    reader = infobip_6.client(road.base, reading["api_key"])
    assert told(refused(reader.call, "send_email", valid))[:2] == ("ForbiddenException", "E403")
    assert told(refused(six.call, "get_email_template", 999_999))[:2] == ("NotFoundException", "E404")
    bad = new("EmailRequest", messages=[message([to("nobody")], content), message([to(road.recipient())], content)])
    assert told(refused(six.call, "send_email", bad)) == (
        "BadRequestException",
        "E400",
        ["messages[0].sender", "messages[0].destinations[0].to[0].destination", "messages[1].sender"],
    )


# --- the other ways to call ---------------------------------------------------------------------------------------


def test_basic_credentials_of_the_python_clients(road: InfobipRoad, program: InfobipPython) -> None:
    account = road.demo.account
    pair = encoded(f"{account['username']}:{account['password']}".encode())
    client = program.client(road.base, pair, scheme="Basic")
    assert client.call("get_domain_details", road.domain)["active"] is True


async def test_the_clients_behind_tls(road: InfobipRoad, program: InfobipPython, tmp_path: Path) -> None:
    """Version 6.0.0 takes no other host than loopback without it (contract §0.12)."""
    recipient = road.recipient()
    async with tls_front(SimpleNamespace(base=road.base), tmp_path) as front:
        client = program.client(front.base, road.key, ca=front.certificate)
        if program.generation == 5:
            fields = {"to": [recipient], "var_from": road.sender, "subject": "TLS", "text": "x"}
            await client.call_async("send_email", **fields)
        else:
            sending = message([to(recipient)], {"subject": "TLS", "text": "x"}, sender=road.sender)
            await client.call_async("send_email", new("EmailRequest", messages=[sending]))
        assert urlsplit(front.base).scheme == "https"
    assert road.letter(recipient).header("Subject") == "TLS"


def test_the_node_client_sends_and_asks(road: InfobipRoad, node: Any) -> None:
    recipient, other, bulk, own = road.recipient(), road.recipient(), unique("bulk-"), unique("own-")
    told = node.call(
        "channels.email.send",
        {
            "from": f"山田 <{road.sender}>",
            "to": [recipient, json.dumps({"to": other, "placeholders": {"name": "アリス"}})],
            "subject": "日本 {{name}}",
            "html": '<p>{{name}} <img src="cid:logo.png"></p>',
            "attachment": [{"data": OCTETS, "name": "a.bin"}],
            "inlineImage": [{"data": PICTURE, "name": "logo.png"}],
            "defaultPlaceholders": '{"name": "you"}',
            "bulkId": bulk,
            "messageId": own,
            "replyTo": f"reply@{road.domain}",
            "callbackData": "back",
            "applicationId": "app",
        },
    )
    assert told["status"] == 200
    entries = told["data"]["messages"]
    assert [(entry["to"], entry["messageId"]) for entry in entries] == [(recipient, own), (other, own)]
    letter = road.letter(recipient)
    assert (letter.header("From"), letter.header("Subject")) == (f"山田 <{road.sender}>", "日本 you")
    assert letter.header("Reply-To") == f"reply@{road.domain}"
    assert letter.files["a.bin"][1] == OCTETS
    assert letter.pictures == {"<logo.png>": PICTURE}
    assert road.letter(other).header("Subject") == "日本 アリス"

    found: list[Any] = []

    def reported() -> bool:
        found.extend(node.call("channels.email.report.get", {"bulkId": bulk})["data"]["results"])
        return len(found) == 2

    wait_for(reported, "both reports")
    assert node.call("channels.email.report.get", {"bulkId": bulk})["data"] == {"results": []}
    assert {report["status"]["name"] for report in found} == {"DELIVERED_TO_HANDSET"}
    logged = node.call("channels.email.log.get", {"bulkId": bulk, "generalStatus": "DELIVERED"})["data"]["results"]
    assert {entry["to"] for entry in logged} == {recipient, other}
    checked = node.call("channels.email.validate", recipient)["data"]
    assert (checked["to"], checked["validSyntax"]) == (recipient, True)


def test_the_node_client_schedules(road: InfobipRoad, node: Any) -> None:
    recipient, bulk = road.recipient(), unique("bulk-")
    at = (datetime.now(UTC) + LATER).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    node.call(
        "channels.email.send",
        {"from": road.sender, "to": recipient, "subject": "x", "text": "x", "bulkId": bulk, "sendAt": at},
    )
    told = node.call("channels.email.get", bulk)["data"]
    assert (told["externalBulkId"], told["bulks"][0]["sendAt"]) == (bulk, at.replace("Z", "+0000"))
    assert node.call("channels.email.status.get", bulk)["data"]["bulks"][0]["status"] == "PENDING"
    told = node.call("channels.email.status.update", bulk, "PAUSED")["data"]
    assert told == {"bulkId": bulk, "status": "PAUSED"}
    node.call("channels.email.status.update", bulk, "PENDING")
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    assert node.call("channels.email.reschedule", bulk, now)["data"]["bulkId"] == bulk
    assert road.letter(recipient).envelope["to"] == [recipient]


def test_the_node_client_manages_domains(road: InfobipRoad, node: Any) -> None:
    name = f"{unique()}.lab.test"
    made = node.call("channels.email.domain.add", name)["data"]
    road.publish(name, made["dnsRecords"])
    assert node.call("channels.email.domain.verify", name)["status"] == 202
    assert node.call("channels.email.domain.get", name)["data"]["active"] is True
    request = {"open": True, "clicks": False, "unsubscribe": False}
    tracked = node.call("channels.email.domain.tracking", name, request)["data"]["tracking"]
    assert tracked == {"opens": True, "clicks": False, "unsubscribe": False}
    names = [item["domainName"] for item in node.call("channels.email.domain.get", {"size": 20})["data"]["results"]]
    assert road.domain in names
    assert node.call("channels.email.domain.delete", name)["status"] == 204
    with pytest.raises(ClientError) as gone:
        node.call("channels.email.domain.get", name)
    assert (gone.value.status, gone.value.data["requestError"]["serviceException"]["messageId"]) == (
        404,
        "NOT_FOUND",
    )


def test_every_scheme_of_the_node_client(road: InfobipRoad, infobip_node: InfobipNode) -> None:
    account = road.demo.account

    def active(client: Any) -> bool:
        return bool(client.call("channels.email.domain.get", road.domain)["data"]["active"])

    password = {"username": account["username"], "password": account["password"]}
    basic = infobip_node.client(road.base, authType="Basic", **password)
    assert active(basic)
    token = basic.call("auth.ibsso.create")["data"]["token"]
    session = infobip_node.client(road.base, authType="IBSSO", ibssoToken=token)
    assert active(session)
    assert session.call("auth.ibsso.destroy", token)["status"] == 204
    with pytest.raises(ClientError) as ended:
        active(session)
    assert ended.value.status == 401
    # It puts the secret of OAuth into the query, where it is not taken from.
    client = infobip_node.client(road.base, authType="Basic", username="any", password=road.key)
    with pytest.raises(ClientError) as refused:
        client.call("auth.oauth2.create")
    assert refused.value.status == 400
    form = {"grant_type": "client_credentials", "client_id": "any", "client_secret": road.key}
    granted = httpx.post(f"{road.base}/auth/1/oauth2/token", data=form, timeout=20).json()
    assert (granted["token_type"], granted["expires_in"] > 0) == ("Bearer", True)
    bearer = infobip_node.client(road.base, authType="Bearer", oauthToken=granted["access_token"])
    assert active(bearer)
