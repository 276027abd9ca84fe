"""What is wrong with a request to send is told as the contract's 400, field by field, and nothing is stored."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from infobip_cloud import DOMAIN, SENDER, Cloud, File, Reply, multipart

from ekiden.core.clock import DAY
from ekiden.dialects.infobip.times import timestamp

GOOD = {"from": SENDER, "to": "john@shop.example", "subject": "Hello", "text": "Dear John"}
INJECTION = "x\r\nBcc: evil@x.example"

FORM: list[tuple[dict[str, str | None], str]] = [
    # fields changed (None: missing), what is named
    ({"from": None}, "from"),
    ({"from": ""}, "from"),
    ({"from": "nobody"}, "from"),
    ({"from": f"A <{SENDER}>, B <b@{DOMAIN}>"}, "from"),
    ({"from": f"{INJECTION} <{SENDER}>"}, "from"),
    ({"from": "x" * 1_001}, "from"),
    ({"to": None}, "to"),
    ({"to": "nobody"}, "to[0]"),
    ({"to": "john@shop.example, jill@shop.example"}, "to[0]"),
    ({"to": f"john@shop.example{INJECTION}"}, "to[0]"),
    ({"to": '{"to": "john@shop.example"'}, "to[0]"),
    ({"to": '{"placeholders": {}}'}, "to[0]"),
    ({"to": '{"to": 7}'}, "to[0]"),
    ({"to": '{"to": "a@x.example", "placeholders": []}'}, "to[0]"),
    ({"to": '{"to": "a@x.example", "placeholders": {"a": []}}'}, "to[0]"),
    ({"to": '{"to": "a@x.example", "other": 1}'}, "to[0]"),
    ({"cc": "nobody"}, "cc[0]"),
    ({"bcc": "a@b@c"}, "bcc[0]"),
    ({"subject": None}, "subject"),
    ({"subject": "x" * 1_001}, "subject"),
    ({"subject": INJECTION}, "subject"),
    ({"subject": "a\0b"}, "subject"),
    ({"text": None}, "text"),
    ({"text": "a\0b"}, "text"),
    ({"html": "<p>\0</p>"}, "html"),
    ({"ampHtml": "<html amp4email></html>"}, "html"),
    ({"templateId": "seven"}, "templateId"),
    ({"templateId": "0"}, "templateId"),
    ({"templateId": "9" * 19}, "templateId"),
    ({"templateId": "12345"}, "templateId"),
    ({"replyTo": "nobody"}, "replyTo"),
    ({"replyTo": INJECTION}, "replyTo"),
    ({"defaultPlaceholders": "{"}, "defaultPlaceholders"),
    ({"defaultPlaceholders": "[]"}, "defaultPlaceholders"),
    ({"defaultPlaceholders": '{"a": {"b": 1}}'}, "defaultPlaceholders"),
    ({"defaultPlaceholders": '{"a": "\\ud800"}'}, "defaultPlaceholders"),
    ({"headers": "X-A: b"}, "headers"),
    ({"headers": '{"Subject": "x"}'}, "headers"),
    ({"headers": '{"dkim-signature": "x"}'}, "headers"),
    ({"headers": '{"X-IB-Bulk-Id": "x"}'}, "headers"),
    ({"headers": '{"X A": "x"}'}, "headers"),
    ({"headers": '{"X-A:": "x"}'}, "headers"),
    ({"headers": json.dumps({"X-A": INJECTION})}, "headers"),
    ({"headers": json.dumps({"X-A" + INJECTION: "x"})}, "headers"),
    ({"headers": '{"X-A": "x", "x-a": "y"}'}, "headers"),
    ({"headers": '{"X-A": ["x"]}'}, "headers"),
    ({"headers": '{"Reply-To": "a@x.example"}', "replyTo": SENDER}, "headers"),
    ({"bulkId": "x" * 101}, "bulkId"),
    ({"bulkId": INJECTION}, "bulkId"),
    ({"messageId": "x" * 201}, "messageId"),
    ({"messageId": INJECTION}, "messageId"),
    ({"campaignReferenceId": "x" * 256}, "campaignReferenceId"),
    ({"applicationId": "x" * 256}, "applicationId"),
    ({"entityId": INJECTION}, "entityId"),
    ({"notifyUrl": "shop.example/r"}, "notifyUrl"),
    ({"notifyUrl": "file:///etc/passwd"}, "notifyUrl"),
    ({"notifyUrl": "http://192.0.2.1/"}, "notifyUrl"),
    ({"notifyUrl": "http://127.0.0.1:25/"}, "notifyUrl"),
    ({"notifyUrl": f"http://x.example/{INJECTION}"}, "notifyUrl"),
    ({"notifyUrl": "http://x.example/" + "x" * 2_048}, "notifyUrl"),
    ({"notifyContentType": "text/html"}, "notifyContentType"),
    ({"intermediateReport": "perhaps"}, "intermediateReport"),
    ({"callbackData": "x" * 4_001}, "callbackData"),
    ({"trackingUrl": "javascript:alert(1)"}, "trackingUrl"),
    ({"track": "perhaps"}, "track"),
    ({"trackClicks": "2"}, "trackClicks"),
    ({"trackOpens": "yes please"}, "trackOpens"),
    ({"trackingPixelPosition": "MIDDLE"}, "trackingPixelPosition"),
    ({"preserveRecipients": "both"}, "preserveRecipients"),
    ({"sendAt": "tomorrow"}, "sendAt"),
    ({"sendAt": "2026-13-01T00:00:00.000Z"}, "sendAt"),
    ({"sendAt": "9999-01-01T00:00:00.000Z"}, "sendAt"),
    ({"landingPageId": "none"}, "landingPageId"),
    ({"landingPageId": "x" * 65}, "landingPageId"),
    ({"landingPagePlaceholders": json.dumps({"a": "x" * 257})}, "landingPagePlaceholders"),
    ({"landingPagePlaceholders": "[]"}, "landingPagePlaceholders"),
    ({"templateLanguageVersion": "3"}, "templateLanguageVersion"),
    ({"clientPriority": "URGENT"}, "clientPriority"),
]


def fields_of(changes: dict[str, str | None]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in (GOOD | changes).items() if value is not None]


def legacy(reply: Reply) -> dict[str, list[str]]:
    """What is wrong, of an answer that is a 400 in the older envelope and nothing else."""
    assert reply.status == 400, reply.body
    exception = reply.json["requestError"]["serviceException"]
    assert set(exception) == {"messageId", "text", "validationErrors"}
    assert (exception["messageId"], exception["text"]) == ("BAD_REQUEST", "Bad request")
    return reply.problems


async def test_form_fields(infobip: Cloud) -> None:
    for changes, named in FORM:
        reply = await infobip.form(fields_of(changes))
        assert reply.status == 400, changes
        problems = legacy(reply)
        assert list(problems) == [named], (changes, problems)
        assert all(problems[named]), problems
    assert await infobip.stored() == []


async def test_one_answer_names_everything_in_the_language_of_its_reader(infobip: Cloud) -> None:
    content_type, body = multipart([("to", "x"), ("to", "a@x.example"), ("to", "y"), ("bulkId", "x" * 101)])
    headers = {"Content-Type": content_type, "Accept-Language": "ja"}
    problems = legacy(await infobip.request("POST", "/email/3/send", body, headers))
    assert set(problems) == {"from", "to[0]", "to[2]", "subject", "text", "bulkId"}
    assert problems["from"] == ["必須です"]


async def test_fields_that_are_given_once(infobip: Cloud) -> None:
    again = {"from": f"b@{DOMAIN}", "subject": "Other", "text": "Other", "bulkId": "b"}
    for name, value in again.items():
        first = [("bulkId", "a")] if name == "bulkId" else []
        assert list(legacy(await infobip.form([*fields_of({}), *first, (name, value)]))) == [name]
    assert await infobip.stored() == []


async def test_exactly_as_many_recipients_as_a_request_may_have(infobip: Cloud) -> None:
    """So many are mailed; with one more, nobody is."""
    most = 1_000

    async def form(count: int) -> Reply:
        mixed = [(("to", "cc", "bcc")[number % 3], f"f{number}@shop.example") for number in range(count)]
        return await infobip.form([*fields_of({"to": None}), *mixed])

    async def json(count: int) -> Reply:
        halves = [[f"j{number}@shop.example" for number in range(start, count, 2)] for start in (0, 1)]
        messages = [
            message(destinations=[{"to": [{"destination": address} for address in half]}]) for half in halves
        ]
        return await infobip.json("POST", "/email/4/messages", {"messages": messages})

    for way in (form, json):
        before = len(await infobip.rows("delivery"))
        assert (await way(most + 1)).status == 400
        assert len(await infobip.rows("delivery")) == before
        assert (await way(most)).status == 200
        assert len(await infobip.rows("delivery")) == before + most


async def test_no_more_recipients_than_a_request_may_have(infobip: Cloud) -> None:
    for count in (1_001, 10_000):
        many = [("to", f"a{number}@shop.example") for number in range(count)]
        assert list(legacy(await infobip.form([*fields_of({"to": None}), *many]))) == ["to"]
    mixed = [(("to", "cc", "bcc")[number % 3], f"a{number}@shop.example") for number in range(1_000)]
    assert legacy(await infobip.form([*fields_of({}), *mixed]))
    body = message(destinations=[{"to": [{"destination": f"a{n}@x.example"} for n in range(10_000)]}])
    reply = await infobip.json("POST", "/email/4/messages", {"messages": [body]})
    assert (reply.status, list(reply.problems)) == (400, ["messages[0].destinations"])
    several = [message(destinations=[{"to": [{"destination": "a@x.example"}] * 501}])] * 2
    reply = await infobip.json("POST", "/email/4/messages", {"messages": several})
    assert (reply.status, list(reply.problems)) == (400, ["messages"])
    assert await infobip.stored() == []


FILES: list[tuple[list[File], str]] = [
    ([File("attachment", "virus.exe", b"MZ")], "attachment"),
    ([File("attachment", "virus.EXE ", b"MZ")], "attachment"),
    ([File("inlineImage", "a.js", b"x")], "inlineImage"),
    ([File("attachment", "", b"x")], "attachment"),
    ([File("attachment", "x" * 256, b"x")], "attachment"),
    ([File("attachment", f"{number}.txt", b"x") for number in range(21)], "attachment"),
    ([File("attachment", "large.bin", bytes(25 * 1_048_576 + 1))], "attachment"),
]


async def test_files(infobip: Cloud) -> None:
    for files, named in FILES:
        problems = legacy(await infobip.form(fields_of({}), files))
        assert list(problems) == [named], (files[0].filename, problems)
    too_much = await infobip.form(fields_of({}), [File("attachment", "large.bin", bytes(27 * 1_048_576))])
    assert too_much.status == 400
    assert await infobip.stored() == []


BODIES: list[tuple[str, bytes]] = [
    ("multipart/form-data", b"--x\r\n"),
    ("multipart/form-data; boundary=x", b""),
    ("multipart/form-data; boundary=x", b"no form"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="to"\r\n\r\na@x.example'),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name=""\r\n\r\na\r\n--x--\r\n'),
    ("application/x-www-form-urlencoded", b"%zz\xff"),
    ("application/json", b"{}"),
    ("text/plain", b"to=a@x.example"),
    ("", b"to=a@x.example"),
]


async def test_bodies_that_are_no_forms(infobip: Cloud) -> None:
    for content_type, body in BODIES:
        headers = {"Content-Type": content_type} if content_type else {}
        legacy(await infobip.request("POST", "/email/3/send", body, headers))
    assert await infobip.stored() == []


async def test_a_client_that_goes_away_leaves_nothing(infobip: Cloud) -> None:
    content_type, body = multipart(fields_of({}), [File("attachment", "a.bin", bytes(2_000_000))])

    def leave() -> None:
        with socket.create_connection(("127.0.0.1", infobip.port), timeout=10) as connection:
            head = (
                "POST /email/3/send HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: App {infobip.key}\r\nContent-Type: {content_type}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body[:1_000_000])

    await asyncio.to_thread(leave)
    assert (await infobip.form(fields_of({"subject": "after"}))).status == 200
    assert [row.subject for row in await infobip.rows("message")] == ["after"]


def message(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "sender": SENDER,
        "destinations": [{"to": [{"destination": "john@shop.example"}]}],
        "content": {"subject": "Hello", "text": "Dear John"},
    }
    return {name: value for name, value in (found | changes).items() if value is not None}


def to(**changes: Any) -> dict[str, Any]:
    return {"destinations": [{"to": [{"destination": "a@x.example"}, {"destination": "b@x.example", **changes}]}]}


def group(**changes: Any) -> dict[str, Any]:
    return {"destinations": [{"to": [{"destination": "a@x.example"}], **changes}]}


def content(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"subject": "Hello", "text": "Dear John", **changes}
    return {"content": {name: value for name, value in found.items() if value is not None}}


def file(**changes: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "binary", "content": "aGk=", "contentType": "text/plain", "fileName": "a.txt"}
    kept = {name: value for name, value in (found | changes).items() if value is not None}
    return content(attachments=[kept])


def window(**changes: Any) -> dict[str, Any]:
    return {"options": {"deliveryTimeWindow": {"days": ["MONDAY"], **changes}}}


FILE = "content.attachments[0]"
WINDOW = "options.deliveryTimeWindow"
MEMBERS: list[tuple[dict[str, Any], str]] = [
    # members of the message changed (None: missing), path below messages[0] of what is named
    ({"sender": None}, "sender"),
    ({"sender": 7}, "sender"),
    ({"sender": "nobody"}, "sender"),
    ({"sender": f"{INJECTION} <{SENDER}>"}, "sender"),
    ({"destinations": None}, "destinations"),
    ({"destinations": []}, "destinations"),
    ({"destinations": {}}, "destinations"),
    ({"destinations": [None]}, "destinations[0]"),
    ({"destinations": [{}]}, "destinations[0].to"),
    ({"destinations": [{"to": []}]}, "destinations[0].to"),
    ({"destinations": [{"to": "a@x.example"}]}, "destinations[0].to"),
    ({"destinations": [{"to": ["a@x.example"]}]}, "destinations[0].to[0]"),
    (to(destination=None), "destinations[0].to[1].destination"),
    (to(destination=7), "destinations[0].to[1].destination"),
    (to(destination="nobody"), "destinations[0].to[1].destination"),
    (to(destination=f"a@x.example{INJECTION}"), "destinations[0].to[1].destination"),
    (to(messageId="x" * 201), "destinations[0].to[1].messageId"),
    (to(messageId=INJECTION), "destinations[0].to[1].messageId"),
    (to(messageId=[]), "destinations[0].to[1].messageId"),
    (to(placeholders="{"), "destinations[0].to[1].placeholders"),
    (to(placeholders=[]), "destinations[0].to[1].placeholders"),
    (to(placeholders='{"a": []}'), "destinations[0].to[1].placeholders"),
    (group(cc=[{"destination": "x"}]), "destinations[0].cc[0].destination"),
    (group(bcc=[{"destination": "x"}]), "destinations[0].bcc[0].destination"),
    (group(replyTo="x"), "destinations[0].replyTo"),
    (group(preserveRecipients="x"), "destinations[0].preserveRecipients"),
    ({"content": None}, "content"),
    ({"content": []}, "content"),
    (content(subject=None), "content.subject"),
    (content(subject=7), "content.subject"),
    (content(subject=""), "content.subject"),
    (content(subject="x" * 1_001), "content.subject"),
    (content(subject=INJECTION), "content.subject"),
    (content(text=None), "content.text"),
    (content(text=[]), "content.text"),
    (content(html=7), "content.html"),
    (content(html="\0"), "content.html"),
    (content(ampHtml="x"), "content.html"),
    (content(templateId="x"), "content.templateId"),
    (content(templateId="77"), "content.templateId"),
    (content(defaultPlaceholders="x"), "content.defaultPlaceholders"),
    (content(landingPagePlaceholders="x"), "content.landingPagePlaceholders"),
    (content(optoutLandingPageId="none"), "content.optoutLandingPageId"),
    (content(templateLanguageVersion="9"), "content.templateLanguageVersion"),
    (content(headers='{"From": "x"}'), "content.headers"),
    (content(headers=json.dumps({"X-A": INJECTION})), "content.headers"),
    (content(attachments={}), "content.attachments"),
    (file(type=None), f"{FILE}.type"),
    (file(type="link"), f"{FILE}.type"),
    (file(content=None), f"{FILE}.content"),
    (file(content=7), f"{FILE}.content"),
    (file(content="aGk"), f"{FILE}.content"),
    (file(content="%%%%"), f"{FILE}.content"),
    (file(content="日本日本"), f"{FILE}.content"),
    (file(fileName=None), f"{FILE}.fileName"),
    (file(fileName="virus.exe"), f"{FILE}.fileName"),
    (file(fileName=INJECTION), f"{FILE}.fileName"),
    (file(contentType=INJECTION), f"{FILE}.contentType"),
    (file(password="secret"), f"{FILE}.password"),
    (file(type="uploadedReference"), f"{FILE}.contentId"),
    (file(type="uploadedReference", contentId="none"), f"{FILE}.contentId"),
    (file(type="uploadedReference", contentId="a\0"), f"{FILE}.contentId"),
    ({"options": []}, "options"),
    ({"options": {"platform": {"entityId": "x" * 256}}}, "options.platform.entityId"),
    ({"options": {"platform": {"applicationId": 7}}}, "options.platform.applicationId"),
    ({"options": {"campaignReferenceId": "x" * 256}}, "options.campaignReferenceId"),
    ({"options": {"validityPeriod": {}}}, "options.validityPeriod.amount"),
    ({"options": {"validityPeriod": {"amount": 0}}}, "options.validityPeriod.amount"),
    ({"options": {"validityPeriod": {"amount": "x"}}}, "options.validityPeriod.amount"),
    ({"options": {"validityPeriod": {"amount": 1, "timeUnit": "DAYS"}}}, "options.validityPeriod.timeUnit"),
    (window(days=None), f"{WINDOW}.days"),
    (window(days=[]), f"{WINDOW}.days"),
    (window(days=["MONDAY", "HOLIDAY"]), f"{WINDOW}.days[1]"),
    (window(**{"from": {"hour": 24, "minute": 0}}), f"{WINDOW}.from.hour"),
    (window(**{"from": {"hour": 9}}), f"{WINDOW}.from.minute"),
    (window(to={"hour": 9, "minute": 60}), f"{WINDOW}.to.minute"),
    (window(**{"from": {"hour": 9, "minute": 0}}, to={"hour": 9, "minute": 30}), f"{WINDOW}.to"),
    ({"webhooks": {"delivery": {"url": "x"}}}, "webhooks.delivery.url"),
    ({"webhooks": {"delivery": {"url": "http://192.0.2.1/"}}}, "webhooks.delivery.url"),
    ({"webhooks": {"delivery": {"intermediateReport": "x"}}}, "webhooks.delivery.intermediateReport"),
    ({"webhooks": {"delivery": {"notify": "x"}}}, "webhooks.delivery.notify"),
    ({"webhooks": {"contentType": "x"}}, "webhooks.contentType"),
    ({"webhooks": {"callbackData": "x" * 4_001}}, "webhooks.callbackData"),
]
OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"schedule": {"bulkId": "x" * 101}}, "options.schedule.bulkId"),
    ({"schedule": {"sendAt": "x"}}, "options.schedule.sendAt"),
    ({"schedule": {"sendAt": 7}}, "options.schedule.sendAt"),
    ({"tracking": {"track": "x"}}, "options.tracking.track"),
    ({"tracking": {"trackOpens": "x"}}, "options.tracking.trackOpens"),
    ({"tracking": {"trackClicks": "x"}}, "options.tracking.trackClicks"),
    ({"tracking": {"trackingUrl": "x"}}, "options.tracking.trackingUrl"),
    ({"tracking": {"trackingUrl": "http://192.0.2.1/"}}, "options.tracking.trackingUrl"),
    ({"tracking": {"trackingPixelPosition": "x"}}, "options.tracking.trackingPixelPosition"),
    ({"clientPriority": "x"}, "options.clientPriority"),
    ({"tracking": []}, "options.tracking"),
]


def platform(reply: Reply) -> dict[str, list[str]]:
    """What is wrong, of an answer that is a 400 in the newer envelope and nothing else."""
    assert reply.status == 400, reply.body
    assert set(reply.json) == {"errorCode", "description", "action", "violations", "resources"}
    assert reply.json["errorCode"] == "E400"
    return reply.problems


async def test_members(infobip: Cloud) -> None:
    good = message()
    for changes, named in MEMBERS:
        body = {"messages": [good, message(**changes)]}
        problems = platform(await infobip.json("POST", "/email/4/messages", body))
        assert list(problems) == [f"messages[1].{named}"], (changes, problems)
    for options, named in OPTIONS:
        body = {"messages": [good], "options": options}
        problems = platform(await infobip.json("POST", "/email/4/messages", body))
        assert list(problems) == [named], (options, problems)
    ahead = timestamp(infobip.services.clock.now() + 6 * DAY)
    body = {"messages": [good], "options": {"schedule": {"sendAt": ahead}}}
    assert list(platform(await infobip.json("POST", "/email/4/messages", body))) == ["options.schedule.sendAt"]
    assert await infobip.stored() == []


async def test_files_in_json(infobip: Cloud) -> None:
    many = content(attachments=[file()["content"]["attachments"][0]] * 21)
    problems = platform(await infobip.json("POST", "/email/4/messages", {"messages": [message(**many)]}))
    assert list(problems) == ["messages[0].content.attachments[20].content"]
    large = base64.b64encode(bytes(25 * 1_048_576 + 1)).decode()
    problems = platform(
        await infobip.json("POST", "/email/4/messages", {"messages": [message(**file(content=large))]})
    )
    assert list(problems) == ["messages[0].content.attachments[0].content"]
    assert await infobip.stored() == []


TEXTS = [
    ("", "request"),
    ("x", "request"),
    ('{"messages": [', "request"),
    ("[]", "request"),
    ("7", "request"),
    ("{}", "messages"),
    ('{"messages": null}', "messages"),
    ('{"messages": {}}', "messages"),
    ('{"messages": []}', "messages"),
    ('{"messages": [null]}', "messages[0]"),
    ('{"a":' * 5_000, "request"),
    ('{"messages": [{"sender": "\\ud800@x.example"}]}', "request"),
]


async def test_json_that_is_none_or_another(infobip: Cloud) -> None:
    for text, named in TEXTS:
        reply = await infobip.request(
            "POST", "/email/4/messages", text.encode(), {"Content-Type": "application/json"}
        )
        assert list(platform(reply)) == [named], text[:80]


async def test_another_content_type_is_no_json(infobip: Cloud) -> None:
    reply = await infobip.request("POST", "/email/4/messages", b"{}", {"Content-Type": "text/plain"})
    assert list(platform(reply)) == ["request"]


async def test_what_nothing_answers_has_the_envelope_of_its_generation(infobip: Cloud) -> None:
    for method, path, status, newer in (
        ("GET", "/email/3/nothing", 404, False),
        ("GET", "/email/9/send", 404, False),
        ("GET", "/email/4/nothing", 404, True),
        ("GET", "/email/3/send", 405, False),
        ("GET", "/email/4/messages", 405, True),
        ("GET", "/email/4/mime", 405, False),
        ("GET", "/auth/1/nothing", 404, False),
    ):
        reply = await infobip.request(method, path)
        assert reply.status == status, path
        assert ("errorCode" in reply.json) == newer, path


_WORDS = st.text(max_size=30) | st.sampled_from(["{{a}}", "a@x.example", "<b@x>", "true", "{}", "\r\n", "\0", "7"])
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=6,
)
_NAMES = sorted({name for changes, _ in FORM for name in changes})
_ANY = settings(max_examples=60)


@_ANY
@given(changes=st.dictionaries(st.sampled_from(_NAMES), _WORDS, max_size=4))
async def test_no_form_makes_a_500(infobip: Cloud, changes: dict[str, str]) -> None:
    fields = [(name, value.encode("utf-8", "replace").decode()) for name, value in (GOOD | changes).items()]
    reply = await infobip.form(fields)
    assert reply.status in (200, 400), reply.body


@_ANY
@given(data=st.data())
async def test_no_json_makes_a_500(infobip: Cloud, data: st.DataObject) -> None:
    found = message()
    name = data.draw(st.sampled_from(["sender", "destinations", "content", "options", "webhooks"]))
    found[name] = data.draw(_VALUES)
    part = data.draw(st.sampled_from([changes for changes, _ in MEMBERS if name not in changes]))
    body: dict[str, Any] = {"messages": [found | part], "options": data.draw(_VALUES)}
    text = json.dumps(body).encode()
    reply = await infobip.request("POST", "/email/4/messages", text, {"Content-Type": "application/json"})
    assert reply.status in (200, 400), (body, reply.body)
