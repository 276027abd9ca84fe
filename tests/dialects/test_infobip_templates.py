"""``/email/1/templates``: made, read, changed, previewed, sent with, removed; and their attachments."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

from infobip_cloud import ADMIN, SENDER, Cloud, File, Reply, multipart
from infobip_outcomes import Outcomes

from ekiden.access.accounts import create_account
from ekiden.access.credentials import create_api_key
from ekiden.content.landing_pages import BUTTON
from ekiden.dialects.infobip.times import parse_time

TEMPLATES = "/email/1/templates"
HTML = "<html><body>Dear {{firstName}} {{lastName}}</body></html>"
WELCOME = {
    "name": "Welcome email",
    "from": f"Shop <{SENDER}>",
    "replyTo": "support@sender.example",
    "subject": "Welcome {{firstName}}",
    "preheader": "Nice to see you",
    "html": HTML,
}
PDF = {"contentType": "application/pdf", "fileName": "terms.pdf", "data": b64encode(b"%PDF").decode()}


async def form(cloud: Cloud, method: str, path: str, fields: dict[str, str], **rest: Any) -> Reply:
    content_type, body = multipart(fields.items())
    return await cloud.request(method, path, body, {"Content-Type": content_type}, **rest)


async def made(cloud: Cloud, **fields: str) -> Any:
    reply = await form(cloud, "POST", TEMPLATES, {**WELCOME, **fields})
    assert reply.status == 201, reply.body
    return reply.json


async def test_a_template(infobip_all: Cloud) -> None:
    reply = await form(infobip_all, "POST", TEMPLATES, {**WELCOME, "attachments": json.dumps([PDF])})
    assert (reply.status, reply.headers["content-type"]) == (201, "application/json")
    template = reply.json
    [attachment] = template["attachments"]
    assert template == {
        "id": template["id"],
        **WELCOME,
        "isHtmlEditable": True,
        "attachments": [attachment],
        "createdAt": template["createdAt"],
        "updatedAt": template["createdAt"],
    }
    assert isinstance(template["id"], int)
    assert template["createdAt"].endswith("+0000")
    path = f"{TEMPLATES}/{template['id']}"
    assert attachment == {
        "id": attachment["id"],
        "contentType": "application/pdf",
        "fileName": "terms.pdf",
        "size": 4,
        "url": f"{path}/attachments/{attachment['id']}/download",
    }
    assert (await infobip_all.request("GET", path)).json == template
    reply = await infobip_all.request("DELETE", path)
    assert (reply.status, reply.body) == (204, b"")
    for method in ("GET", "DELETE"):
        reply = await infobip_all.request(method, path)
        assert (reply.status, reply.json["errorCode"]) == (404, "E404")


async def test_html_is_enough(infobip_all: Cloud) -> None:
    reply = await form(infobip_all, "POST", TEMPLATES, {"html": "<p>Hello</p>"})
    assert reply.status == 201
    assert (reply.json["name"], reply.json["from"], reply.json["attachments"]) == ("", "", [])
    assert "landingPageId" not in reply.json


async def test_replacing_and_patching(infobip_all: Cloud) -> None:
    before = await made(infobip_all, attachments=json.dumps([PDF]))
    path = f"{TEMPLATES}/{before['id']}"
    reply = await form(infobip_all, "PATCH", path, {"subject": "Hello", "preheader": ""})
    assert reply.status == 200, reply.body
    changed = {**before, "subject": "Hello", "preheader": "", "updatedAt": reply.json["updatedAt"]}
    assert reply.json == changed
    assert parse_time(changed["updatedAt"]) >= parse_time(before["updatedAt"])
    reply = await form(infobip_all, "PUT", path, {"html": "<p>New</p>", "name": "New"})
    assert reply.json == {
        **changed,
        "name": "New",
        "html": "<p>New</p>",
        "from": "",
        "replyTo": "",
        "subject": "",
        "updatedAt": reply.json["updatedAt"],
    }
    reply = await form(infobip_all, "PATCH", path, {"attachments": "[]"})
    assert reply.json["attachments"] == []
    other = f"{TEMPLATES}/{before['id'] + 1}"
    for method in ("PUT", "PATCH"):
        assert (await form(infobip_all, method, other, WELCOME)).status == 404


async def test_a_landing_page(infobip_all: Cloud) -> None:
    reply = await form(infobip_all, "POST", TEMPLATES, {**WELCOME, "landingPage": "1_2345"})
    assert (reply.status, list(reply.problems)) == (400, ["landingPage"])
    assert await infobip_all.rows("template") == []
    await infobip_all.services.landing_pages.add(
        infobip_all.account.id, "<p>{{" + BUTTON + "}}</p>", name="leave", uid="1_2345", actor=ADMIN
    )
    template = await made(infobip_all, landingPage="1_2345")
    assert template["landingPageId"] == "1_2345"


async def test_pages(infobip_all: Cloud) -> None:
    empty = {"results": [], "paging": {"page": 0, "size": 20, "totalPages": 0, "totalResults": 0}}
    assert (await infobip_all.request("GET", TEMPLATES)).json == empty
    names = [(await made(infobip_all, name=f"t{number}"))["name"] for number in range(3)]
    first = (await infobip_all.request("GET", f"{TEMPLATES}?size=2")).json
    assert first["paging"] == {"page": 0, "size": 2, "totalPages": 2, "totalResults": 3}
    second = (await infobip_all.request("GET", f"{TEMPLATES}?size=2&page=1")).json
    assert [entry["name"] for entry in first["results"] + second["results"]] == names[::-1]
    assert set(first["results"][0]) == {"id", "name", "createdAt", "updatedAt"}
    for query, name in (("size=21", "size"), ("page=x", "page")):
        reply = await infobip_all.request("GET", f"{TEMPLATES}?{query}")
        assert (reply.status, list(reply.problems)) == (400, [name])


async def test_a_preview(infobip_all: Cloud) -> None:
    path = f"{TEMPLATES}/{(await made(infobip_all))['id']}/preview"
    for placeholders in (
        '{"firstName": "John", "lastName": "Doe"}',
        '{"firstName": {"value": "John"}, "lastName": {"value": "Doe"}}',
    ):
        reply = await form(infobip_all, "POST", path, {"placeholders": placeholders})
        assert reply.status == 200, reply.body
        assert reply.headers["content-type"] == "text/html; charset=utf-8"
        assert reply.body.decode() == "<html><body>Dear John Doe</body></html>"
        assert reply.headers["content-security-policy"] == "sandbox"
    reply = await infobip_all.request("POST", path)
    assert (reply.status, reply.body.decode()) == (200, HTML)
    for bad in ("[]", "{", '{"firstName": {"other": 1}}', "7"):
        reply = await form(infobip_all, "POST", path, {"placeholders": bad})
        assert (reply.status, list(reply.problems)) == (400, ["placeholders"]), bad
    assert (await infobip_all.request("POST", f"{TEMPLATES}/999/preview")).status == 404


async def test_a_preview_takes_json(infobip_all: Cloud) -> None:
    """The placeholders as an object, or as a text as ``/email/4/messages`` has them."""
    path = f"{TEMPLATES}/{(await made(infobip_all))['id']}/preview"
    values: dict[str, Any] = {"firstName": "太郎", "lastName": {"value": "Doe"}}
    for body in ({"placeholders": values}, {"placeholders": json.dumps(values)}):
        reply = await infobip_all.json("POST", path, body)
        assert (reply.status, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert reply.body.decode() == "<html><body>Dear 太郎 Doe</body></html>"
    for empty in ({}, {"placeholders": None}, {"placeholders": {}}):
        assert (await infobip_all.json("POST", path, empty)).body.decode() == HTML
    for wrong in ({"placeholders": 7}, {"placeholders": []}, {"placeholders": "["}):
        reply = await infobip_all.json("POST", path, wrong)
        assert (reply.status, list(reply.problems)) == (400, ["placeholders"]), wrong
    full = {f"name{number}": {"value": "x"} for number in range(1_000)}
    assert (await infobip_all.json("POST", path, {"placeholders": full})).status == 200


async def test_a_preview_is_not_larger_than_a_message(infobip_all: Cloud) -> None:
    path = f"{TEMPLATES}/{(await made(infobip_all, html='{{a}}' * 10_000))['id']}/preview"
    reply = await form(infobip_all, "POST", path, {"placeholders": json.dumps({"a": "x" * 100_000})})
    assert (reply.status, list(reply.problems)) == (400, ["placeholders"])


async def test_attachments(infobip_all: Cloud) -> None:
    template = await made(infobip_all)
    path = f"{TEMPLATES}/{template['id']}/attachments"
    assert (await infobip_all.request("GET", path)).json == []
    reply = await form(infobip_all, "POST", path, PDF)
    assert reply.status == 201, reply.body
    attachment = reply.json
    assert set(attachment) == {"id", "contentType", "fileName", "size", "url"}
    assert (await infobip_all.request("GET", path)).json == [attachment]
    assert (await infobip_all.request("GET", f"{TEMPLATES}/{template['id']}")).json["attachments"] == [attachment]
    reply = await infobip_all.request("GET", attachment["url"])
    assert (reply.status, reply.body) == (200, b"%PDF")
    assert reply.headers["content-disposition"] == "attachment"
    assert reply.headers["content-length"] == "4"
    assert (await infobip_all.request("GET", attachment["url"], authorization="")).status == 401
    reply = await infobip_all.request("DELETE", f"{path}/{attachment['id']}")
    assert (reply.status, reply.body) == (204, b"")
    assert (await infobip_all.request("GET", path)).json == []
    for method, url in (
        ("GET", attachment["url"]),
        ("DELETE", f"{path}/{attachment['id']}"),
        ("DELETE", f"{path}/%00"),
        ("GET", f"{TEMPLATES}/999/attachments"),
        ("GET", f"{TEMPLATES}/x/attachments"),
    ):
        reply = await infobip_all.request(method, url)
        assert (reply.status, reply.json["errorCode"]) == (404, "E404"), url


async def test_mail_is_sent_with_a_template(outcomes: Outcomes) -> None:
    template = await made(outcomes.cloud, attachments=json.dumps([PDF]))
    reply = await outcomes.cloud.form(
        [
            ("to", '{"to": "john@shop.example", "placeholders": {"firstName": "John", "lastName": "Doe"}}'),
            ("templateId", str(template["id"])),
        ]
    )
    assert reply.status == 200, reply.body
    [mail] = await outcomes.cloud.messages()
    assert (mail["Subject"], mail["From"]) == ("Welcome John", f"Shop <{SENDER}>")
    html = mail.get_body(("html",))
    assert "Dear John Doe" in html.get_content()
    assert [part.get_filename() for part in mail.iter_attachments()] == ["terms.pdf"]


BAD: list[tuple[dict[str, str], str]] = [
    ({"html": ""}, "html"),
    ({"name": "x" * 256}, "name"),
    ({"name": "a\r\nb"}, "name"),
    ({"from": "nobody"}, "from"),
    ({"from": "a@b.example\r\nBcc: c@d.example"}, "from"),
    ({"replyTo": "a@b@c"}, "replyTo"),
    ({"subject": "x" * 201}, "subject"),
    ({"preheader": "x" * 76}, "preheader"),
    ({"attachments": "{}"}, "attachments"),
    ({"attachments": "[7]"}, "attachments[0]"),
    ({"attachments": '[{"fileName": "a", "contentType": "a/b"}]'}, "attachments[0].data"),
    ({"attachments": json.dumps([{**PDF, "data": "%%%"}])}, "attachments[0].data"),
    ({"attachments": json.dumps([PDF, {**PDF, "fileName": "a.exe"}])}, "attachments[1].fileName"),
    ({"attachments": json.dumps([PDF] * 21)}, "request"),
]


async def test_templates_that_cannot_be(infobip_all: Cloud) -> None:
    for fields, name in BAD:
        reply = await form(infobip_all, "POST", TEMPLATES, {**WELCOME, **fields})
        assert (reply.status, list(reply.problems)) == (400, [name]), (fields, reply.body)
        assert await infobip_all.rows("template") == []
        template = await made(infobip_all)
        reply = await form(infobip_all, "PATCH", f"{TEMPLATES}/{template['id']}", fields)
        assert (reply.status, list(reply.problems)) == (400, [name]), fields
        assert (await infobip_all.request("GET", f"{TEMPLATES}/{template['id']}")).json == template, fields
        assert (await infobip_all.request("DELETE", f"{TEMPLATES}/{template['id']}")).status == 204


async def test_other_bad_bodies(infobip_all: Cloud) -> None:
    reply = await form(infobip_all, "POST", TEMPLATES, {"name": "without html"})
    assert (reply.status, reply.problems) == (400, {"html": ["must not be null"]})
    reply = await infobip_all.json("POST", TEMPLATES, WELCOME)
    assert (reply.status, list(reply.problems)) == (400, ["request"])
    content_type, body = multipart([("html", "a"), ("html", "b")])
    reply = await infobip_all.request("POST", TEMPLATES, body, {"Content-Type": content_type})
    assert (reply.status, list(reply.problems)) == (400, ["html"])
    content_type, body = multipart([("html", "a")], [File("attachment", "a.txt", b"x")])
    reply = await infobip_all.request("POST", TEMPLATES, body, {"Content-Type": content_type})
    assert (reply.status, list(reply.problems)) == (400, ["attachment"])
    path = f"{TEMPLATES}/{(await made(infobip_all))['id']}/attachments"
    for given, names in (
        ({}, {"contentType", "fileName", "data"}),
        ({**PDF, "data": "x"}, {"data"}),
        ({**PDF, "fileName": "a.bat"}, {"fileName"}),
        ({**PDF, "fileName": "x" * 256}, {"fileName"}),
        ({**PDF, "contentType": "pdf"}, {"contentType"}),
    ):
        reply = await form(infobip_all, "POST", path, given)
        assert (reply.status, set(reply.problems)) == (400, names), given
    assert (await infobip_all.request("GET", path)).json == []


async def test_another_account(infobip_all: Cloud) -> None:
    now = infobip_all.services.clock.now()
    other = await create_account(infobip_all.store, "other", now)
    authorization = f"App {(await create_api_key(infobip_all.store, other.id, 'key', now)).key}"
    template = await made(infobip_all, attachments=json.dumps([PDF]))
    path = f"{TEMPLATES}/{template['id']}"
    for method, url in (
        ("GET", path),
        ("DELETE", path),
        ("POST", f"{path}/preview"),
        ("GET", f"{path}/attachments"),
        ("GET", template["attachments"][0]["url"]),
        ("DELETE", f"{path}/attachments/{template['attachments'][0]['id']}"),
    ):
        assert (await infobip_all.request(method, url, authorization=authorization)).status == 404
    assert (await infobip_all.request("GET", path)).json == template


async def test_scopes(infobip_all: Cloud) -> None:
    authorization = f"App {(await infobip_all.add_key('read')).key}"
    assert (await infobip_all.request("GET", TEMPLATES, authorization=authorization)).status == 200
    reply = await form(infobip_all, "POST", TEMPLATES, WELCOME, authorization=authorization)
    assert (reply.status, reply.json["errorCode"]) == (403, "E403")
