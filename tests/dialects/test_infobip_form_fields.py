"""What a form brings and nobody would read is refused wherever forms are taken; one answer names it all."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from infobip_cloud import SENDER, Cloud, File, multipart
from infobip_probe import probing

GOOD = {"from": SENDER, "to": "john@shop.example", "subject": "Hello", "text": "Dear John"}
BINARY = b"\x00\xff\xfe%PDF"
FILES = "is not a field of this request; files are given as attachment, inlineImage"
UNKNOWN = "is not a field of this request"


def meant(name: str) -> str:
    return f"is not a field of this request; did you mean {name}?"


@pytest.mark.parametrize("path", ["/email/1/send", "/email/2/send", "/email/3/send"])
async def test_a_file_in_another_field_does_not_vanish(infobip: Cloud, path: str) -> None:
    for name in ("file", "attachments", "files[]", "attachment1", "inlineImages", "upload"):
        reply = await infobip.form(GOOD.items(), [File(name, "a.pdf", BINARY)], path)
        assert (reply.status, reply.problems) == (400, {name: [FILES]})
    assert await infobip.stored() == []
    # What the fields are called is written in many ways.
    files = [
        File("Attachment", "a.pdf", BINARY),
        File("attachment[1]", "b.pdf", BINARY),
        File("INLINEIMAGE", "c.png", b"c"),
    ]
    assert (await infobip.form(GOOD.items(), files, path)).status == 200
    [mail] = await infobip.messages()
    assert {part.get_filename() for part in mail.walk() if part.get_filename()} == {"a.pdf", "b.pdf", "c.png"}


async def test_a_text_in_a_field_of_a_file(infobip: Cloud) -> None:
    """An urlencoded form has no files."""
    body = urlencode({**GOOD, "attachment": "hello", "inlineImage": "x"}).encode()
    reply = await infobip.request(
        "POST", "/email/3/send", body, {"Content-Type": "application/x-www-form-urlencoded"}
    )
    must = ["must be a file with a name"]
    assert (reply.status, reply.problems) == (400, {"attachment": must, "inlineImage": must})
    reply = await infobip.form([*GOOD.items(), ("attachment", "hello")])
    assert (reply.status, reply.problems) == (400, {"attachment": must})
    assert await infobip.stored() == []


async def test_misspelt_fields(infobip: Cloud) -> None:
    """Whether or not the request could do without them: with ``sendat`` in time it would be sent at once."""
    given = {**GOOD, "send_at": "2030-01-01T00:00:00Z", "bulk-id": "b", "trackClick": "true", "somethingNew": "x"}
    for encoded in (False, True):
        if encoded:
            kind, body = "application/x-www-form-urlencoded", urlencode(given).encode()
        else:
            kind, body = multipart(given.items())
        reply = await infobip.request("POST", "/email/3/send", body, {"Content-Type": kind})
        assert (reply.status, reply.problems) == (
            400,
            {
                "send_at": [meant("sendAt")],
                "bulk-id": [meant("bulkId")],
                "trackClick": [meant("trackClicks")],
                "somethingNew": [UNKNOWN],
            },
        )
    assert await infobip.stored() == []


async def test_one_answer_names_everything(infobip: Cloud) -> None:
    """Misspelt, missing, wrong and unreadable fields together."""
    kind, body = multipart(
        [("to", "nobody"), ("from", SENDER), ("subjct", "Hello"), ("track", "maybe"), ("limit", "3")],
        [File("attachment", "a.exe", b"MZ"), File("text", "t.txt", b"\xff"), File("file", "b.pdf", BINARY)],
    )
    reply = await infobip.request("POST", "/email/3/send", body, {"Content-Type": kind})
    assert (reply.status, reply.problems) == (
        400,
        {
            "subjct": [meant("subject")],
            "limit": [UNKNOWN],
            "attachment": ["files of the type .exe are not accepted"],
            "text": ["must be valid Unicode text"],
            "file": [FILES],
            "to[0]": ["must be a well-formed email address"],
            "track": ["must be true or false"],
            "subject": ["must not be null"],
        },
    )
    assert await infobip.stored() == []


async def test_in_japanese(infobip: Cloud) -> None:
    kind, body = multipart([*GOOD.items(), ("subjct", "x")], [File("file", "b.pdf", BINARY)])
    reply = await infobip.request("POST", "/email/3/send", body, {"Content-Type": kind, "Accept-Language": "ja"})
    assert reply.problems == {
        "subjct": ["このリクエストにそのような項目はありません。subject のつもりではありませんか"],
        "file": ["このリクエストにそのような項目はありません。ファイルの項目は attachment, inlineImage です"],
    }


async def test_every_other_form(infobip_all: Cloud) -> None:
    """Validation, templates, previews, attachments of templates."""

    async def refused(method: str, path: str, fields: dict[str, str], name: str, text: str) -> None:
        for files, more in (([], {name: "x"}), ([File(name, "a.pdf", BINARY)], {})):
            kind, body = multipart({**fields, **more}.items(), files)
            reply = await infobip_all.request(method, path, body, {"Content-Type": kind})
            assert (reply.status, reply.problems) == (400, {name: [text]}), (method, path)

    await refused("POST", "/email/2/validation", {"to": "a@x.example"}, "tos", meant("to"))
    templates = "/email/1/templates"
    html = {"html": "<p>{{a}}</p>"}
    await refused("POST", templates, html, "sbject", meant("subject"))
    await refused("POST", templates, html, "attachment", meant("attachments"))
    assert await infobip_all.rows("template") == []
    kind, body = multipart(html.items())
    made = await infobip_all.request("POST", templates, body, {"Content-Type": kind})
    path = f"{templates}/{made.json['id']}"
    for method in ("PUT", "PATCH"):
        await refused(method, path, html, "replyto1", meant("replyTo"))
    await refused("POST", f"{path}/preview", {"placeholders": "{}"}, "placeholder", meant("placeholders"))
    file = {"contentType": "text/plain", "fileName": "a.txt", "data": "aGk="}
    await refused("POST", f"{path}/attachments", file, "filename1", meant("fileName"))
    assert (await infobip_all.request("GET", f"{path}/attachments")).json == []


async def test_very_many_unknown_fields_cost_no_more_than_a_few() -> None:
    async with probing() as probe:
        kind, body = multipart((f"{'x' * 200}{number}", "y") for number in range(11_999))
        reply = await probe.client.post("/form", content=body, headers={"Content-Type": kind})
        problems = reply.json()["requestError"]["serviceException"]["validationErrors"]
        assert (reply.status_code, len(problems)) == (400, 100)
