"""Programs send with X-IB fields, and their receivers of callbacks hear what becomes of it (contract §5, §7.5)."""

from __future__ import annotations

import re
import smtplib
import subprocess
import urllib.error
import urllib.request
import uuid
from email import message_from_bytes
from email.header import Header
from email.policy import default
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import dkim
import pytest
from callback_road import Hook
from lab_dns import LabDns

from support.official_clients import Nodemailer, nodemailer

__all__ = ["nodemailer"]

SENDER = "news@demo.lab.test"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+0000")
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0"
CALLBACK_DATA = '{"注文": 7}'
STATUS = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}
NAMES = (
    "X-IB-Bulk-Id",
    "X-IB-Callback-Data",
    "X-IB-Intermediate-Report",
    "X-IB-Notify-Content-Type",
    "X-IB-Notify-Url",
    "X-IB-Tracking-Url",
    "X-IB-Client-Priority",
    "X-IB-Application-Id",
    "X-IB-Entity-Id",
)
"""Those of the contract."""
SPELLINGS = {
    "hyphenated": str,
    "joined": lambda name: "X-IB-" + name.removeprefix("X-IB-").replace("-", ""),
    "lower case": str.lower,
    "odd case": lambda name: "".join(
        char.upper() if index % 2 else char.lower() for index, char in enumerate(name)
    ),
}
KEPT = (
    b"In-Reply-To: <earlier@demo.lab.test>\r\n"
    b"References: <first@demo.lab.test>\r\n <earlier@demo.lab.test>\r\n"
    b"List-Unsubscribe: <https://shop.example/leave?id=7>, <mailto:leave@demo.lab.test>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
    b"X-Campaign: spring\r\n"
    b"X-IBM-Thing: no field of ours\r\n"
)


def someone(domain: str = "accept.lab.test") -> str:
    return f"{uuid.uuid4().hex}@{domain}"


def fields(hook: Hook, tracking: Hook, bulk: str) -> dict[str, str]:
    """All fields of the contract, by their names in the contract."""
    data = Header(CALLBACK_DATA, "utf-8").encode()
    values = (bulk, data, "false", "application/json", hook.url, tracking.url, "high", "shop", "mail")
    return dict(zip(NAMES, values, strict=True))


def message(
    recipient: str, given: dict[str, str], body: bytes = b"Content-Type: text/plain\r\n\r\nHello\r\n"
) -> bytes:
    first, *others = [f"{name}: {value}\r\n".encode() for name, value in given.items()]
    head = f"From: News <{SENDER}>\r\nTo: {recipient}\r\nSubject: spring\r\nMIME-Version: 1.0\r\n".encode()
    # Among the others, and not together.
    return b"".join((first, head, KEPT, *others, body))


def assert_report(report: dict[str, Any], recipient: str, queue_id: str, bulk: str) -> None:
    """Exactly the contract's shape (§5.1): its keys, and no others."""
    assert set(report) == {
        *("entityId", "applicationId", "bulkId", "price", "status", "error", "messageId", "doneAt", "smsCount"),
        *("sentAt", "attemptCount", "timeToFirstAttempt", "smtp", "callbackData", "to"),
    }
    assert (report["to"], report["messageId"], report["bulkId"]) == (recipient, queue_id, bulk)
    assert (report["applicationId"], report["entityId"]) == ("shop", "mail")
    assert report["callbackData"] == CALLBACK_DATA
    assert (report["status"], report["error"]) == (STATUS, ERROR)
    assert report["price"] == {"pricePerMessage": 0, "currency": "UNKNOWN"}
    assert (report["smsCount"], report["attemptCount"]) == (1, 1)
    assert TIME.fullmatch(report["sentAt"])
    assert TIME.fullmatch(report["doneAt"])
    assert report["sentAt"] <= report["doneAt"]
    assert isinstance(report["timeToFirstAttempt"], int)
    assert set(report["smtp"]) == {"response"}
    assert report["smtp"]["response"].startswith("250 ")


def assert_delivered(demo: Any, recipient: str) -> bytes:
    """Without the instructions, with everything else, and signed over the way out."""
    (mail,) = demo.mail(recipient)
    data: bytes = mail["data"]
    assert b"x-ib-" not in data.partition(b"\r\n\r\n")[0].lower()
    verifier = dkim.DKIM(data)
    for index in (0, 1):
        assert verifier.verify(idx=index, dnsfunc=LabDns(demo).txt)
        signed = re.sub(rb"\s", b"", verifier.signature_fields[b"h"]).lower().split(b":")
        assert {b"list-unsubscribe", b"list-unsubscribe-post"} <= set(signed)
    return data


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_field_in_every_spelling(demo: Any, spelling: str) -> None:
    reports, tracking, recipient, bulk = Hook(demo), Hook(demo), someone(), uuid.uuid4().hex
    given = {SPELLINGS[spelling](name): value for name, value in fields(reports, tracking, bulk).items()}
    with demo.login(demo.connect()) as client:
        queue_id = demo.send(client, [recipient], message(recipient, given), SENDER)
    data = assert_delivered(demo, recipient)
    for line in re.findall(rb"[^\r\n]+(?:\r\n[ \t][^\r\n]*)*\r\n", KEPT):
        assert line in data
    assert data.endswith(b"\r\n\r\nHello\r\n")
    (report,) = reports.reports()
    assert_report(report, recipient, queue_id, bulk)
    (request,) = reports.requests()
    assert (request["method"], request["headers"]["content-type"]) == ("POST", "application/json")

    trace = demo.trace(queue_id)
    assert (trace["priority"], trace["origin"]["region"]) == ("high", "demo")
    assert (trace["marks"]["bulk"], trace["marks"]["application"], trace["marks"]["entity"]) == (
        bulk,
        "shop",
        "mail",
    )
    routes = {route["url"]: route for route in trace["routes"]}
    assert routes[reports.url]["news"] == ["final"]
    assert routes[tracking.url]["news"] == ["tracking"]
    # Besides, the account's own reports are kept to be fetched.
    assert (routes[""]["format"], routes[""]["waiting"]) == ("pull", 1)


def test_each_recipient_has_a_report_and_an_id(demo: Any) -> None:
    reports, domain, bulk = Hook(demo), "accept.lab.test", uuid.uuid4().hex
    recipients = [someone(domain) for _ in range(3)]
    given = {"X-IB-Notify-Url": reports.url, "X-IB-Bulk-Id": bulk}
    with demo.login(demo.connect("tls")) as client:
        queue_id = demo.send(client, recipients, message(recipients[0], given), SENDER)
    found = {report["to"]: report["messageId"] for report in reports.reports(3)}
    assert found == dict(zip(recipients, (queue_id, f"{queue_id}-2", f"{queue_id}-3"), strict=True))


def test_swaks_and_xml(demo: Any) -> None:
    reports, tracking, recipient, bulk = Hook(demo), Hook(demo), someone(), uuid.uuid4().hex
    given = fields(reports, tracking, bulk) | {"X-IB-Notify-Content-Type": "application/xml"}
    host, port = demo.facts["smtp"]["starttls"]
    command = ["swaks", "--server", f"{host}:{port}", "--tls", "--tls-ca-path", demo.facts["ca"], "--tls-verify"]
    command += ["--auth", "LOGIN", "--auth-user", "App", "--auth-password", demo.account["api_key"]]
    command += ["--from", SENDER, "--to", recipient, "--body", "Hello"]
    kept = [line.decode() for line in re.sub(rb"\r\n[ \t]+", b" ", KEPT).splitlines()]
    for header in [f"{name}: {value}" for name, value in given.items()] + kept:
        command += ["--add-header", header]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    queue_id = re.findall(rb"queued as (\w+)", done.stdout)[-1].decode()
    assert_delivered(demo, recipient)
    (request,) = reports.requests()
    assert request["headers"]["content-type"] == "application/xml"
    assert request["body"].startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(request["body"])
    assert (root.tag, [child.tag for child in root]) == ("reportResponse", ["results"])
    (result,) = root[0]
    assert result.tag == "result"

    def plain(element: ElementTree.Element) -> Any:
        return {child.tag: plain(child) for child in element} if len(element) else element.text or ""

    report = plain(result)
    for name in ("smsCount", "attemptCount", "timeToFirstAttempt"):
        report[name] = int(report[name])
    report["price"]["pricePerMessage"] = int(report["price"]["pricePerMessage"])
    for name in ("status", "error"):
        report[name] |= {key: int(report[name][key]) for key in ("id", "groupId")}
    report["error"]["permanent"] = report["error"]["permanent"] == "true"
    assert_report(report, recipient, queue_id, bulk)


def test_nodemailer_with_html_that_is_tracked(demo: Any, nodemailer: Nodemailer) -> None:
    reports, tracking, recipient, bulk = Hook(demo), Hook(demo), someone(), uuid.uuid4().hex
    host, port = demo.facts["smtp"]["starttls"]
    transport = {
        "host": host,
        "port": port,
        "requireTLS": True,
        "auth": {"user": "App", "pass": demo.account["api_key"]},
        "tls": {"ca": Path(demo.facts["ca"]).read_text()},
    }
    given = fields(reports, tracking, bulk)
    given |= {"X-IB-Callback-Data": CALLBACK_DATA, "X-IB-Message-Id": f"id-{bulk}"}
    headers = {SPELLINGS["joined"](name): value for name, value in given.items()}
    target = "https://shop.example/sale?a=1&b=駅伝#top"
    written = {
        "from": f"News <{SENDER}>",
        "to": recipient,
        "subject": "春の駅伝",
        "text": "plain",
        "html": f'<p>駅伝 <a href="{target.replace("&", "&amp;")}">sale</a> <a clicktracking=off href="https://x.test/">x</a></p>',
        "inReplyTo": "<earlier@demo.lab.test>",
        "headers": headers
        | {"List-Unsubscribe": "<https://x.test/u>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"},
        "attachments": [{"filename": "a.bin", "content": bytes(range(256))}],
    }
    told = nodemailer.send(transport, written)
    assert told["accepted"] == [recipient]
    data = assert_delivered(demo, recipient)
    parsed = message_from_bytes(data, policy=default)
    assert (parsed["In-Reply-To"], parsed["Subject"]) == ("<earlier@demo.lab.test>", "春の駅伝")
    (attachment,) = [part for part in parsed.walk() if part.get_filename() == "a.bin"]
    assert attachment.get_payload(decode=True) == bytes(range(256))
    (report,) = reports.reports()
    assert_report(report, recipient, f"id-{bulk}", bulk)

    body = parsed.get_body(("html",))
    assert body is not None
    html = str(body.get_content())
    (link,) = re.findall(r'href="([^"]*/t/c/[^"]*)"', html)
    (pixel,) = re.findall(r'src="([^"]*/t/o/[^"]*)"', html)
    assert 'href="https://x.test/"' in html
    assert link.startswith(demo.facts["http"])
    assert fetched(pixel)[0] == 200
    status, location = fetched(link)
    assert status == 302
    assert location == "https://shop.example/sale?a=1&b=%E9%A7%85%E4%BC%9D#top"
    opened, clicked = sorted(tracking.happenings(2), key=lambda item: item["notificationType"], reverse=True)
    common = {
        "domain": "demo.lab.test",
        "recipient": recipient,
        "messageId": f"id-{bulk}",
        "bulkId": bulk,
        "callbackData": CALLBACK_DATA,
        "applicationId": "shop",
        "entityId": "mail",
        "recipientInfo": opened["recipientInfo"],
        "sendDateTime": opened["sendDateTime"],
    }
    assert opened == {"notificationType": "OPENED", "eventId": opened["eventId"]} | common
    assert clicked == {"notificationType": "CLICKED", "eventId": clicked["eventId"], "url": clicked["url"]} | common
    assert clicked["url"].startswith("https://shop.example/sale?a=1&b=")
    assert uuid.UUID(opened["eventId"]) != uuid.UUID(clicked["eventId"])
    assert isinstance(opened["sendDateTime"], int)
    assert set(opened["recipientInfo"]) <= {"deviceType", "os", "deviceName"}
    trace = demo.trace_of(recipient)
    assert [event["type"] for event in trace["recipients"][0]["events"]] == ["delivered", "opened", "clicked"]


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def fetched(url: str) -> tuple[int, str]:
    """Status, and where it leads; nobody goes there."""
    request = urllib.request.Request(url, headers={"User-Agent": BROWSER})
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=60) as response:
            return response.status, ""
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers["Location"]


@pytest.mark.parametrize("asked", ["true", "TRUE", "1"])
def test_intermediate_reports(demo: Any, asked: str) -> None:
    """The first try is put off by the receiver; the second succeeds."""
    reports, recipient = Hook(demo), someone("greylist.lab.test")
    given = {"X-IB-Notify-Url": reports.url, "X-IB-Intermediate-Report": asked}
    with demo.login(demo.connect()) as client:
        queue_id = demo.send(client, [recipient], message(recipient, given), SENDER)
    found = reports.reports(3)
    assert [report["status"]["groupName"] for report in found] == ["PENDING", "PENDING", "DELIVERED"]
    accepted, deferred, delivered = found
    assert accepted["error"] == delivered["error"] == ERROR
    assert deferred["error"]["permanent"] is False
    assert deferred["smtp"]["response"].startswith("451 4.7.1 ")
    assert [report["attemptCount"] for report in (deferred, delivered)] == [1, 2]
    assert {report["messageId"] for report in found} == {queue_id}
    assert accepted["sentAt"] <= deferred["doneAt"] < delivered["doneAt"]


def test_a_bounce_is_reported(demo: Any) -> None:
    reports, recipient = Hook(demo), someone("reject.lab.test")
    with demo.login(demo.connect()) as client:
        demo.send(client, [recipient], message(recipient, {"X-IB-Notify-Url": reports.url}), SENDER)
    (report,) = reports.reports()
    assert (report["status"]["groupName"], report["status"]["name"]) == (
        "UNDELIVERABLE",
        "UNDELIVERABLE_NOT_DELIVERED",
    )
    assert (report["error"]["id"], report["error"]["permanent"]) == (6006, True)
    assert report["smtp"]["response"].startswith("550 5.1.1 ")


BAD = {
    "X-IB-Notify-Url": ["ftp://shop.example/", "not a url", "https://", "http://127.0.0.1:25/"],
    "X-IB-Tracking-Url": ["javascript:alert(1)"],
    "X-IB-Notify-Content-Type": ["text/html"],
    "X-IB-Intermediate-Report": ["maybe", "2"],
    "X-IB-Client-Priority": ["URGENT", "1"],
    "X-IB-Bulk-Id": ["x" * 101, "", " \t"],
    "X-IB-Callback-Data": ["x" * 4001, "=?utf-8?b?/w==?="],
    "X-IB-ApplicationId": ["x" * 256],
    "x-ib-entity-id": ["x" * 256],
    "X-IB-Track": ["perhaps"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_bad_values_refuse_the_message_and_name_the_field(demo: Any, name: str, value: str) -> None:
    folded = "\r\n ".join(value[start : start + 800] for start in range(0, len(value), 800))
    recipient = someone()
    with demo.login(demo.connect()) as client:
        assert client.mail(SENDER)[0] == 250
        assert client.rcpt(recipient)[0] == 250
        code, reply = client.data(message(recipient, {name: folded}))
        assert (code, reply[:6]) == (554, b"5.6.0 ")
        assert reply.startswith(f"5.6.0 {name}: ".encode())
        # The session goes on.
        demo.send(client, [recipient], message(recipient, {"X-IB-Bulk-Id": "b"}), SENDER)
    assert len(demo.mail(recipient)) == 1


def test_a_field_twice_is_refused(demo: Any) -> None:
    content = message(someone(), {"X-IB-Bulk-Id": "a", "x-ib-bulkid": "a"})
    with demo.login(demo.connect()) as client, pytest.raises(smtplib.SMTPDataError) as refused:
        client.sendmail(SENDER, [someone()], content)
    assert (refused.value.smtp_code, refused.value.smtp_error) == (554, b"5.6.0 x-ib-bulkid: must be given once")
