"""``/email/{1,2,3}/send`` over HTTP: what becomes of a form, exactly."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest
from infobip_cloud import ADMIN, DOMAIN, SENDER, Cloud, File

from ekiden.access.accounts import set_reporting
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import NewAttachment
from ekiden.core.clock import DAY, HOUR
from ekiden.core.ids import format_id
from ekiden.core.notices import News, parse_routes
from ekiden.core.states import Priority, State
from ekiden.dialects.infobip.times import timestamp
from ekiden.recipients.tracking_tokens import CLICK_PATH, OPEN_PATH, UNSUBSCRIBE_PATH

ACCEPTED = {
    "groupId": 1,
    "groupName": "PENDING",
    "id": 26,
    "name": "PENDING_ACCEPTED",
    "description": "Message accepted, pending for delivery.",
}
BASIC = [("from", f"Jane <{SENDER}>"), ("to", "john@shop.example"), ("subject", "Hello"), ("text", "Dear John")]
LINK = '<body><p>Hi</p><a href="https://shop.example/offer">go</a></body>'


def html_of(message: Any) -> str:
    return str(message.get_body(("html",)).get_content())


def without(*names: str) -> list[tuple[str, str]]:
    return [(name, value) for name, value in BASIC if name not in names]


async def test_a_form_becomes_a_message(infobip: Cloud) -> None:
    reply = await infobip.form(BASIC)
    assert reply.status == 200, reply.body
    assert reply.headers["content-type"] == "application/json"
    found = reply.json
    assert set(found) == {"bulkId", "messages"}
    assert re.fullmatch("[a-z0-9]{20}", found["bulkId"])
    [row] = await infobip.rows("message")
    assert found["messages"] == [{"to": "john@shop.example", "messageId": format_id(row.id), "status": ACCEPTED}]
    assert (row.bulk, row.reference, row.sender) == (found["bulkId"], "", SENDER)
    [parsed] = await infobip.messages()
    assert parsed["From"] == f"Jane <{SENDER}>"
    assert parsed["To"] == "john@shop.example"
    assert parsed["Subject"] == "Hello"
    assert parsed.get_content().strip() == "Dear John"
    assert parsed["DKIM-Signature"]
    [delivery] = await infobip.rows("delivery")
    assert (delivery.recipient, delivery.state) == ("john@shop.example", State.QUEUED)


async def test_the_first_request_has_reports_kept_from_its_own_message_on(infobip: Cloud) -> None:
    assert (await infobip.form(BASIC)).status == 200
    [endpoint] = await infobip.rows("endpoint")
    assert endpoint.format == "pull"
    [account] = await infobip.rows("account")
    assert (account.reports_endpoint, account.suppress_bounces) == (endpoint.id, True)
    [row] = await infobip.rows("message")
    assert [tuple(route) for route in parse_routes(row.routes)] == [(endpoint.id, News.FINAL)]
    replies = await asyncio.gather(*(infobip.form(BASIC) for _ in range(3)))
    assert [reply.status for reply in replies] == [200] * 3
    changes = [row for row in await infobip.rows("audit") if row.action == "account.reporting"]
    assert len(changes) == 1


async def test_reports_that_are_not_wanted_are_not_begun_again(infobip: Cloud) -> None:
    now = infobip.services.clock.now()
    await set_reporting(infobip.store, "acme", now, reports_endpoint=None, suppress_bounces=False)
    assert (await infobip.form(BASIC)).status == 200
    [account] = await infobip.rows("account")
    assert (account.reports_endpoint, account.suppress_bounces) == (None, False)
    [row] = await infobip.rows("message")
    assert parse_routes(row.routes) == ()


async def test_every_field(infobip: Cloud) -> None:
    at = infobip.services.clock.now() + HOUR
    reply = await infobip.form(
        [
            ("from", f"Jäne <{SENDER}>"),
            ("to", "John <john@shop.example>"),
            ("to", json.dumps({"to": "alice@shop.example", "placeholders": {"name": "Alice", "n": 7}})),
            ("cc", "carol@shop.example"),
            ("bcc", json.dumps({"to": "Bob <bob@shop.example>"})),
            ("subject", "Hello {{name}} 日本"),
            ("html", "<p>Dear {{name}}, {{n}}</p>"),
            ("ampHtml", "<html amp4email>{{name}}</html>"),
            ("replyTo", f"help@{DOMAIN}"),
            ("replyTo", f"Desk <desk@{DOMAIN}>"),
            ("defaultPlaceholders", '{"name": "friend", "n": 0}'),
            ("headers", json.dumps({"X-Campaign": "spring", "List-Unsubscribe": "<mailto:out@sender.example>"})),
            ("bulkId", "my-bulk"),
            ("messageId", "my-message"),
            ("campaignReferenceId", "spring"),
            ("applicationId", "app"),
            ("entityId", "unit"),
            ("callbackData", "a\nb"),
            ("notifyUrl", "http://127.0.0.1:8080/reports?x=1"),
            ("notifyContentType", "application/xml"),
            ("intermediateReport", "True"),
            ("trackingUrl", "http://127.0.0.1:8080/tracking"),
            ("track", "False"),
            ("trackOpens", "False"),
            ("trackClicks", "False"),
            ("trackingPixelPosition", "BOTTOM"),
            ("preserveRecipients", "False"),
            ("sendAt", timestamp(at)),
            ("clientPriority", "HIGH"),
            ("templateLanguageVersion", "1"),
            ("ipPoolId", "ABCDEF"),
            ("skipPassiveStorage", "true"),
        ]
    )
    assert reply.status == 200, reply.body
    assert reply.json["bulkId"] == "my-bulk"
    names = ["john", "alice", "carol", "bob"]
    assert [(item["to"], item["messageId"]) for item in reply.json["messages"]] == [
        (f"{name}@shop.example", "my-message") for name in names
    ]
    endpoints = {row.id: (row.format, row.url) for row in await infobip.rows("endpoint")}
    rows = await infobip.rows("message")
    assert len(rows) == 4
    for row in rows:
        marks = (row.bulk, row.reference, row.application, row.entity, row.campaign)
        assert marks == ("my-bulk", "my-message", "app", "unit", "spring")
        assert json.loads(row.labels) == {"callback_data": "a\nb"}
        assert row.priority == Priority.HIGH
        assert json.loads(row.origin)["via"] == "HTTP"
        assert {(*endpoints[route.endpoint_id], route.news) for route in parse_routes(row.routes)} == {
            ("infobip-report-xml", "http://127.0.0.1:8080/reports?x=1", News.FINAL | News.INTERMEDIATE),
            ("infobip-tracking", "http://127.0.0.1:8080/tracking", News.TRACKING),
            ("pull", "", News.FINAL),
        }
    for delivery in await infobip.rows("delivery"):
        assert (delivery.state, delivery.due_at) == (State.SCHEDULED, at)
    messages = await infobip.messages()
    assert [str(message["To"]) for message in messages] == [
        "John <john@shop.example>",
        "alice@shop.example",
        "carol@shop.example",
        "Bob <bob@shop.example>",
    ]
    assert [str(message["Subject"]) for message in messages] == [
        f"Hello {name} 日本" for name in ("friend", "Alice", "friend", "friend")
    ]
    assert [html_of(message).strip() for message in messages] == [
        f"<p>Dear {of}</p>" for of in ("friend, 0", "Alice, 7", "friend, 0", "friend, 0")
    ]
    for message in messages:
        assert message["Reply-To"] == f"help@{DOMAIN}, Desk <desk@{DOMAIN}>"
        assert message["X-Campaign"] == "spring"
        assert message["List-Unsubscribe"] == "<mailto:out@sender.example>"
        assert [part.get_content_type() for part in message.iter_parts()] == ["text/x-amp-html", "text/html"]


@pytest.mark.parametrize("path", ["/email/1/send", "/email/2/send", "/email/3/send"])
async def test_each_version_takes_what_its_clients_write(infobip: Cloud, path: str) -> None:
    fields = [
        ("from", SENDER),
        ("to['0']", "a@shop.example"),
        ("to[1]", "b@shop.example"),
        ("TO[]", "c@shop.example"),
        ("subject", "Hello"),
        ("HTML", LINK),
        ("replyto", f"help@{DOMAIN}"),
        ("trackclicks", "FALSE"),
        ("trackopens", "0"),
    ]
    reply = await infobip.form(fields, path=path)
    assert reply.status == 200, reply.body
    messages = await infobip.messages()
    assert [message["To"] for message in messages] == ["a@shop.example", "b@shop.example", "c@shop.example"]
    assert all(message["Reply-To"] == f"help@{DOMAIN}" for message in messages)
    assert html_of(messages[0]).strip() == LINK


async def test_an_urlencoded_form_will_do(infobip: Cloud) -> None:
    body = urlencode([*BASIC, ("to", "jill@shop.example")]).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    reply = await infobip.request("POST", "/email/3/send", body, headers)
    assert [item["to"] for item in reply.json["messages"]] == ["john@shop.example", "jill@shop.example"]


async def test_html_wins_over_text(infobip: Cloud) -> None:
    assert (await infobip.form([*BASIC, ("html", "<p>only</p>"), ("track", "false")])).status == 200
    [message] = await infobip.messages()
    assert message.get_content_type() == "text/html"


TRACKED = [
    # path, switches, opens, clicks; the domain's settings are: both
    ("/email/3/send", {}, True, True),
    ("/email/3/send", {"track": "False"}, False, False),
    ("/email/3/send", {"track": "False", "trackOpens": "True"}, True, False),
    ("/email/3/send", {"track": "True", "trackClicks": "False"}, True, False),
    ("/email/3/send", {"trackOpens": "False"}, False, True),
    ("/email/2/send", {}, True, True),
    ("/email/2/send", {"trackclicks": "False"}, True, False),
]


async def test_what_is_tracked(infobip: Cloud) -> None:
    for path, switches, opens, clicks in TRACKED:
        fields = [*without("text"), ("html", LINK), *switches.items()]
        assert (await infobip.form(fields, path=path)).status == 200
        *_, message = await infobip.messages()
        html = html_of(message)
        assert (OPEN_PATH in html, CLICK_PATH in html) == (opens, clicks), (path, switches)


async def test_version_two_tracks_though_its_domain_does_not(infobip: Cloud) -> None:
    domains = infobip.services.domains
    domain = await domains.get(infobip.account.id, DOMAIN)
    await domains.settings.set_tracking(domain.id, opens=False, clicks=False, actor=ADMIN)
    for path in ("/email/2/send", "/email/3/send"):
        assert (await infobip.form([*without("text"), ("html", LINK)], path=path)).status == 200
    second, third = await infobip.messages()
    assert (OPEN_PATH in html_of(second), CLICK_PATH in html_of(second)) == (True, True)
    assert html_of(third).strip() == LINK


async def test_preserved_recipients_see_each_other_and_share_an_id(infobip: Cloud) -> None:
    fields = [
        *BASIC,
        ("to", "jill@shop.example"),
        ("to", "john@SHOP.example"),
        ("cc", "carol@shop.example"),
        ("bcc", "bob@shop.example"),
        ("preserveRecipients", "true"),
    ]
    reply = await infobip.form(fields)
    [row] = await infobip.rows("message")
    assert [(item["to"], item["messageId"]) for item in reply.json["messages"]] == [
        (f"{name}@shop.example", format_id(row.id)) for name in ("john", "jill", "carol", "bob")
    ]
    [message] = await infobip.messages()
    assert (message["To"], message["Cc"]) == ("john@shop.example, jill@shop.example", "carol@shop.example")
    assert message["Bcc"] is None
    assert len(await infobip.rows("delivery")) == 4


async def test_whoever_is_named_twice_is_mailed_once_unless_the_messages_differ(infobip: Cloud) -> None:
    fields = [
        *BASIC,
        ("to", "John <john@SHOP.example>"),
        ("cc", "john@shop.example"),
        ("to", json.dumps({"to": "john@shop.example", "placeholders": {"order": "2"}})),
    ]
    reply = await infobip.form(fields)
    assert [item["to"] for item in reply.json["messages"]] == ["john@shop.example"] * 2
    assert len(await infobip.rows("message")) == 2


async def test_files_are_shared_by_the_messages(infobip: Cloud) -> None:
    content = bytes(range(256)) * 2_000
    files = [
        File("attachment", "report.pdf", content, "application/pdf"),
        File("attachment", "見積.txt", "日本".encode(), "text/plain"),
        File("inlineImage", "logo 1.png", b"\x89PNG", "image/png"),
    ]
    fields = [
        *without("text"),
        ("to", "jill@shop.example"),
        ("html", '<img src="cid:logo 1.png">'),
        ("track", "false"),
    ]
    reply = await infobip.form(fields, files)
    assert reply.status == 200, reply.body
    for message in await infobip.messages():
        assert message.get_content_type() == "multipart/mixed"
        report, estimate = message.iter_attachments()
        assert (report.get_filename(), report.get_content_type()) == ("report.pdf", "application/pdf")
        assert report.get_content() == content
        assert (estimate.get_filename(), estimate.get_payload(decode=True)) == ("見積.txt", "日本".encode())
        [image] = [part for part in message.walk() if part.get_content_type() == "image/png"]
        assert f'<img src="cid:{image["Content-ID"][1:-1]}">' in html_of(message)
    assert {row.shared_id for row in await infobip.rows("content")} == {
        row.id for row in await infobip.rows("shared_content")
    }
    assert len({row.id for row in await infobip.rows("shared_content")}) == 1


async def _chunks(*chunks: bytes) -> Any:
    for chunk in chunks:
        yield chunk


async def test_a_template_gives_what_the_request_does_not(infobip: Cloud) -> None:
    page = await infobip.services.landing_pages.add(
        infobip.account.id, "<p>{{unsubscribe}}</p>", name="p", actor=ADMIN
    )
    text = TemplateText(
        "welcome",
        "<html><body class=x>Hi {{name}}</body></html>",
        sender=f"Shop <shop@{DOMAIN}>",
        reply_to=f'"Doe, J" <j@{DOMAIN}>, help@{DOMAIN}',
        subject="Welcome {{name}}",
        preheader="a < b",
        landing_page=page.uid,
    )
    files = [NewAttachment("terms.txt", "text/plain", _chunks(b"te", b"rms"))]
    template = await infobip.services.templates.create(infobip.account.id, text, files)
    to = ("to", json.dumps({"to": "john@shop.example", "placeholders": {"name": "John"}}))
    plain = [to, ("templateId", str(template.id)), ("track", "false")]
    own = [*plain, ("from", SENDER), ("subject", "Mine"), ("text", "ignored"), ("replyTo", SENDER)]
    for fields in (plain, own):
        reply = await infobip.form(fields)
        assert reply.status == 200, reply.body
    first, second = await infobip.messages()
    assert (first["From"], first["Subject"]) == (f"Shop <shop@{DOMAIN}>", "Welcome John")
    assert first["Reply-To"] == f'"Doe, J" <j@{DOMAIN}>, help@{DOMAIN}'
    assert (second["From"], second["Subject"], second["Reply-To"]) == (SENDER, "Mine", SENDER)
    for message in (first, second):
        html = html_of(message)
        assert re.search(r"<body class=x><div style=[^>]*>a &lt; b</div>Hi John</body>", html), html
        assert [part.get_filename() for part in message.iter_attachments()] == ["terms.txt"]
        assert UNSUBSCRIBE_PATH in message["List-Unsubscribe"]


@pytest.mark.parametrize(
    ("html", "result"),
    [
        ('<body title="a > b">Hi', '<body title="a > b"><div style="DIV">pre</div>Hi'),
        ("<!-- <body> -->Hi", '<div style="DIV">pre</div><!-- <body> -->Hi'),
        ("<body " * 300_000, '<div style="DIV">pre</div>' + "<body " * 300_000),
    ],
    ids=["attribute", "comment", "never ends"],
)
async def test_where_a_preheader_stands(infobip: Cloud, html: str, result: str) -> None:
    text = TemplateText("welcome", html, sender=SENDER, subject="Hi", preheader="pre")
    template = await infobip.services.templates.create(infobip.account.id, text)
    reply = await infobip.form([("to", "a@shop.example"), ("templateId", str(template.id)), ("track", "false")])
    assert reply.status == 200, reply.body
    [message] = await infobip.messages()
    assert re.sub(r'style="[^"]*"', 'style="DIV"', html_of(message), count=1).rstrip() == result.rstrip()


async def test_a_landing_page_is_a_way_out(infobip: Cloud) -> None:
    page = await infobip.services.landing_pages.add(
        infobip.account.id, "<p>{{unsubscribe}}</p>", name="p", actor=ADMIN
    )
    fields = [*BASIC, ("landingPageId", page.uid), ("landingPagePlaceholders", '{"a": "b"}')]
    assert (await infobip.form(fields)).status == 200
    [message] = await infobip.messages()
    assert UNSUBSCRIBE_PATH in message["List-Unsubscribe"]
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    unknown = await infobip.form([*BASIC, ("landingPageId", "1_none")])
    assert (unknown.status, set(unknown.problems)) == (400, {"landingPageId"})


async def test_a_time_that_is_past_means_now(infobip: Cloud) -> None:
    past = timestamp(infobip.services.clock.now() - DAY)
    assert (await infobip.form([*BASIC, ("sendAt", past)])).status == 200
    [delivery] = await infobip.rows("delivery")
    assert delivery.state == State.QUEUED


REFUSED = [
    (("from", "x@stranger.example"), "from"),
    (("html", "".join(f'<a href="https://shop.example/{n}">x</a>' for n in range(151))), "html"),
]


@pytest.mark.parametrize(("field", "named"), REFUSED)
async def test_what_the_door_refuses_names_its_field_and_leaves_nothing(
    infobip: Cloud, field: tuple[str, str], named: str
) -> None:
    reply = await infobip.form([*without(field[0]), field, ("to", "jill@shop.example")])
    assert reply.status == 400
    assert reply.json["requestError"]["serviceException"]["messageId"] == "BAD_REQUEST"
    assert list(reply.problems) == [named]
    assert await infobip.stored() == []


async def test_a_value_cannot_begin_a_header_of_its_own(infobip: Cloud) -> None:
    to = json.dumps({"to": "john@shop.example", "placeholders": {"x": "a\r\nBcc: evil@x.example"}})
    reply = await infobip.form([*without("to", "subject"), ("to", to), ("subject", "Hi {{x}}")])
    assert reply.status == 400
    assert "Subject" in str(reply.problems)
    assert await infobip.stored() == []
