"""``emails/send`` and ``emails/bulk``: what clients send becomes the mail that was meant, errors have one shape."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from cmc_cloud import BULK, DOMAIN, KEY, SEND, SENDER, USER, Cloud, running_cmc

from ekiden.access.accounts import suspend_account
from ekiden.store.open import open_store
from support.cmc_client import FORM, CmcClient, Part, form_of

ID = re.compile(r"<[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}@mail\.sender\.example>")
MAIL: dict[str, Any] = {
    "to": "to@example.com",
    "from": {"name": "", "address": SENDER},
    "subject": "s",
    "text": "t",
}
WHO = f'"api_user":"{USER}","api_key":"{KEY}"'
MIXED = "application/json; charset=utf-8"


@pytest.fixture
async def cloud(sqlite_url: str) -> AsyncIterator[Cloud]:
    """What comes in as HTTP does not depend on the engine."""
    store = await open_store(sqlite_url)
    async with running_cmc(store) as running:
        yield running
    await store.close()


def addresses(field: Any) -> list[tuple[str, str]]:
    return [(each.display_name, each.addr_spec) for each in field.addresses]


# The raw requests of the contract's §5.3: Python 1.2.2, Node 1.3.1 and 1.2.5, in the form of their octets.
PYTHON_JSON = (
    f'{{{WHO}, "to": [{{"name": "\\u5b9b\\u5148", "address": "to@example.com"}}], '
    f'"from": {{"name": "\\u5dee\\u51fa\\u4eba", "address": "{SENDER}"}}, "subject": "\\u4ef6\\u540d", '
    '"charset": "UTF-8", "text": "\\u672c\\u6587"%s}'
)
NODE_JSON = (
    f'{{{WHO},"to":[{{"name":"宛先","address":"to@example.com"}}],"cc":[],"bcc":[],'
    f'"from":{{"name":"差出人","address":"{SENDER}"}},"subject":"件名","text":"本文"%s,"charset":"UTF-8"}}'
)
NODE_OLD = (
    f'{{{WHO},"to":[{{"name":"宛先","address":"to@example.com"}}],'
    f'"from":{{"name":"差出人","address":"{SENDER}"}},"subject":"件名","text":"本文"}}'
)
RAW = {
    "python": PYTHON_JSON % "",
    "python, all": PYTHON_JSON % f', "envfrom": "bounce@{DOMAIN}", "replyto": {{"name": "R", "address":'
    ' "r@example.com"}, "html": "<b>x</b>"',
    "node": NODE_JSON % "",
    "node, all": NODE_JSON % f',"html":"<b>x</b>","envfrom":"bounce@{DOMAIN}","replyto":"r@example.com",'
    '"headers":{"X-API-DATA":"abc"}',
    "node, old": NODE_OLD,
    # PHP: texts of JSON within JSON, and empty ones for what is not given.
    "php": json.dumps(
        {
            "api_user": USER,
            "api_key": KEY,
            "to": json.dumps([{"name": "宛先", "address": "to@example.com"}]),
            "from": json.dumps({"name": "差出人", "address": SENDER}),
            "cc": "",
            "replyto": "",
            "headers": "[]",
            "subject": "件名",
            "text": "本文",
            "html": "",
            "envfrom": "",
            "charset": "",
        }
    ),
}


async def test_raw_requests_of_the_contract(cloud: Cloud) -> None:
    for name, body in RAW.items():
        reply = await cloud.client.raw(SEND, body.encode(), Accept="application/json", Connection="close")
        assert (reply.status, set(reply.json)) == (200, {"id"}), (name, reply.body)
        assert ID.fullmatch(reply.json["id"]), name
    messages, rows = await cloud.messages(), await cloud.rows("message")
    for name, message, row in zip(RAW, messages, rows, strict=True):
        assert addresses(message["To"]) == [("宛先", "to@example.com")], name
        assert addresses(message["From"]) == [("差出人", SENDER)], name
        assert message["Subject"] == "件名", name
        assert "本文" in message.get_body(("plain",)).get_content(), name
        if name.endswith(", all"):
            assert row.sender == f"bounce@{DOMAIN}"
            assert addresses(message["Reply-To"])[0][1] == "r@example.com"
            assert message.get_body(("html",)).get_content().strip() == "<b>x</b>"
        else:
            assert row.sender == SENDER
    assert messages[3]["X-API-DATA"] == "abc"
    assert json.loads(rows[3].labels) == {"author": SENDER, "api_data": "abc"}
    assert ID.fullmatch(rows[0].header_id)


TO_JSON = '[{"name":"宛先","address":"to@example.com"}]'
FROM_JSON = f'{{"name":"差出人","address":"{SENDER}"}}'


async def test_forms_with_files_of_the_contract(cloud: Cloud) -> None:
    """Python's files have no type, and both have names of raw UTF-8."""
    texts = {"api_user": USER, "api_key": KEY, "to": TO_JSON, "from": FROM_JSON, "subject": "件名"}
    python = {**texts, "charset": "UTF-8", "text": "本文", "envfrom": f"b@{DOMAIN}", "html": "<b>x</b>"}
    parts = [Part(name, value.encode()) for name, value in {**python, "attachments": "2"}.items()]
    parts += [Part("attachment1", b"one\n", "日本.txt"), Part("attachment2", bytes(range(256)), "b.bin")]
    node = {**texts, "cc": "[]", "bcc": "[]", "text": "null", "html": "<b>x</b>", "charset": "UTF-8"}
    others = [Part(name, value.encode()) for name, value in {**node, "attachments": "1"}.items()]
    others.append(Part("attachment1", b"one\n", "日本.txt", "text/plain"))
    for body in (form_of(parts), form_of(others)):
        reply = await cloud.client.raw(SEND, body, FORM, Accept="*/*")
        assert (reply.status, bool(ID.fullmatch(reply.json["id"]))) == (200, True), reply.body
    first, second = await cloud.messages()
    files = [(part.get_filename(), part.get_content_type()) for part in first.iter_attachments()]
    assert files == [("日本.txt", "text/plain"), ("b.bin", "application/octet-stream")]
    assert [part.get_payload(decode=True) for part in first.iter_attachments()] == [b"one\n", bytes(range(256))]
    assert "本文" in first.get_body(("plain",)).get_content()
    assert second.get_body(("plain",)) is None
    assert second.get_body(("html",)).get_content().strip() == "<b>x</b>"


async def test_all_ways_to_write_the_same(cloud: Cloud) -> None:
    people = (
        "to@example.com",
        {"name": "", "address": "to@example.com"},
        [{"address": "to@example.com"}],
        ["to@example.com"],
        '["to@example.com"]',
        '{"name": null, "address": "to@example.com"}',
    )
    headers = (
        [{"name": "X-A", "value": 7}],
        {"X-A": "7"},
        '[{"name":"X-A","value":"7"}]',
        '{"X-A":7}',
        [{"name": "X-A", "value": "7"}, {"name": "X-B", "value": None}],
        {"X-A": "7", "X-C": ""},
    )
    for to, given in zip(people, headers, strict=True):
        mail = {**MAIL, "to": to, "headers": given, "cc": None, "bcc": [], "html": "", "charset": None}
        assert (await cloud.client.json(SEND, mail)).status == 200, (to, given)
    texts = {"to": "to@example.com", "from": SENDER, "subject": "s", "text": "t", "headers": '{"X-A":"7"}'}
    assert (await cloud.client.urlencoded(SEND, texts)).status == 200
    assert (await cloud.client.multipart(SEND.replace("v2", "v1"), texts)).status == 200
    for message in await cloud.messages():
        assert addresses(message["To"]) == [("", "to@example.com")]
        assert (message["X-A"], message["X-B"], message["X-C"], message["Cc"]) == ("7", None, None, None)


async def test_who_sees_whom(cloud: Cloud) -> None:
    mail = {
        **MAIL,
        "to": [{"name": f"N{n}", "address": f"to{n}@example.com"} for n in range(10)],
        "cc": [{"address": "cc@example.com"}],
        "bcc": ["bcc@example.com", "to1@example.com"],
    }
    reply = await cloud.client.json(SEND.replace("json", "xml"), mail, Accept_Language="ja")
    assert (reply.status, reply.xml.tag) == (200, "id")
    (message,), (row,) = await cloud.messages(), await cloud.rows("message")
    assert reply.xml.text == message["Message-ID"] == row.header_id
    assert len(addresses(message["To"])) == 10
    assert addresses(message["Cc"]) == [("", "cc@example.com")]
    assert b"bcc" not in (await cloud.contents())[0].lower()
    assert len(await cloud.rows("delivery")) == 12


async def test_iso_2022_jp(cloud: Cloud) -> None:
    mail = {**MAIL, "subject": "件名～", "text": "本文①の代わり", "html": "<p>本文</p>", "charset": "iso-2022-jp"}
    assert (await cloud.client.json(SEND, mail)).status == 200
    mail |= {"text": "ﾃｽﾄ", "from": {"name": "差出人", "address": SENDER}}
    assert (await cloud.client.json(SEND, mail)).status == 200
    (one, other), contents = await cloud.messages(), await cloud.contents()
    assert [part.get_content_charset() for part in one.iter_parts()] == ["utf-8", "iso-2022-jp"]
    assert [part.get_content_charset() for part in other.iter_parts()] == ["iso-2022-jp", "iso-2022-jp"]
    assert (one["Subject"], other.get_body(("plain",)).get_content()) == ("件名〜", "テスト")
    assert "テスト".encode("iso2022_jp") in contents[1]
    assert b"utf-8" not in contents[1]


BULK_MAIL = {
    **MAIL,
    "to": [
        {"name": "A", "address": "a@example.com", "code": "((#name#))", "n": 7},
        {"address": "b@example.com", "code": "二", "n": None},
    ],
    "subject": "((#name#)) ((#code#))",
    "text": "((#n#)) ((#unknown#)) {{name}}",
    "html": "<p>((#code#)) ((#address#))</p>",
    "headers": {"X-Api-Data": "data-((#n#))"},
}


async def test_a_bulk_is_a_mail_for_each(cloud: Cloud) -> None:
    for path, mail in ((BULK, BULK_MAIL), (SEND, {**BULK_MAIL, "to": "c@example.com"})):
        reply = await cloud.client.json(path, mail)
        assert (reply.status, bool(ID.fullmatch(reply.json["id"]))) == (200, True), reply.body
    first, second, literal = await cloud.messages()
    assert (first["Subject"], second["Subject"]) == ("A ((#name#))", " 二".strip())
    assert first.get_body(("plain",)).get_content().strip() == "7 ((#unknown#)) {{name}}"
    assert second.get_body(("html",)).get_content().strip() == "<p>二 b@example.com</p>"
    assert (first["X-Api-Data"], second["X-Api-Data"]) == ("data-7", "data-((#n#))")
    assert literal["Subject"] == "((#name#)) ((#code#))"
    rows = await cloud.rows("message")
    labels = [json.loads(row.labels) for row in rows]
    assert [of["api_data"] for of in labels] == ["data-7", "data-((#n#))", "data-((#n#))"]
    # One id of the request, and one of its own for each mail.
    assert len({row.header_id for row in rows}) == 3
    assert labels[0]["request"] == labels[1]["request"] != rows[0].header_id
    assert "request" not in labels[2]


async def test_a_large_bulk(cloud: Cloud) -> None:
    people = [{"name": str(n), "address": f"u{n}@example.com", "x": "y" * 100} for n in range(1_000)]
    reply = await cloud.client.json(BULK, {**MAIL, "to": people, "text": "((#name#)) ((#x#))"})
    assert reply.status == 200, reply.body
    assert len(await cloud.rows("message")) == 1_000
    over = await cloud.client.json(BULK, {**MAIL, "to": [*people, "one@example.com"]})
    assert over.errors == [("11-004", "to")]


LONG = "x" * 513
WRONG: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"to": None}, [("11-001", "to")]),
    ({"to": ["a@example.com"] * 11}, [("11-004", "to")]),
    ({"to": "nobody"}, [("11-002", "to")]),
    ({"to": {"name": "x"}}, [("11-001", "to")]),
    ({"to": 7}, [("11-002", "to")]),
    ({"to": "[{"}, [("11-002", "to")]),
    ({"to": "[" * 60_000}, [("11-002", "to")]),
    ({"to": [["a@example.com"]]}, [("11-002", "to")]),
    ({"to": {"name": "a\nBcc: b@example.com", "address": "a@example.com"}}, [("11-002", "to")]),
    ({"cc": ["a@example.com"] * 11, "bcc": "x"}, [("11-004", "cc"), ("11-002", "bcc")]),
    ({"from": None, "subject": "", "text": None}, [("11-001", "from"), ("11-001", "subject"), ("11-001", "text")]),
    ({"from": "x", "replyto": {"address": "x@"}}, [("11-002", "from"), ("11-002", "replyto")]),
    ({"from": [SENDER, SENDER]}, [("11-002", "from")]),
    ({"subject": LONG}, [("11-003", "subject")]),
    ({"subject": "a\r\nBcc: b@example.com"}, [("11-002", "subject")]),
    ({"subject": ["x"], "text": {"a": 1}}, [("11-002", "subject"), ("11-002", "text")]),
    ({"text": "a\0b"}, [("11-002", "text")]),
    ({"charset": "Shift_JIS"}, [("11-002", "charset")]),
    ({"envfrom": "x"}, [("11-002", "envfrom")]),
    ({"envfrom": "x@other.example"}, [("13-002", "envfrom")]),
    ({"from": "x@other.example"}, [("13-006", "")]),
    ({"headers": "x"}, [("11-002", "headers")]),
    ({"headers": [{"value": "x"}]}, [("11-002", "headers")]),
    ({"headers": {"Bcc": "x", "X A": "y", "Message-ID": "z"}}, [("11-002", "headers")] * 3),
    ({"headers": {"X-A": "a\r\nBcc: b"}}, [("11-002", "headers")]),
    ({"headers": {"X-Api-Data": "x" * 1_001}}, [("11-003", "headers")]),
    ({"headers": {f"X-{n}": "x" for n in range(101)}}, [("11-004", "headers")]),
    ({"headers": {"X-IB-Notify-Url": "nowhere"}}, [("13-001", "")]),
    ({"attachments": 1}, [("11-002", "attachments")]),
    ({"attachments": "many"}, [("11-002", "attachments")]),
]
WRONG_BULK: list[tuple[dict[str, Any], list[tuple[str, str]]]] = [
    ({"cc": ["a@example.com"], "bcc": "b@example.com"}, [("11-002", "cc"), ("11-002", "bcc")]),
    ({"to": [{"address": "a@example.com", **{f"k{n}": "" for n in range(101)}}]}, [("11-004", "to")]),
    ({"to": [{"address": "a@example.com", "k": "あ" * 1_707}]}, [("11-003", "to")]),
    ({"to": [{"address": "a@example.com", "k": "a\r\nb"}], "subject": "((#k#))"}, [("11-002", "subject")]),
    ({"to": [{"address": "a@example.com", "k": "a\nb"}], "headers": {"X-A": "((#k#))"}}, [("11-002", "headers")]),
]


async def test_what_cannot_be_sent(cloud: Cloud) -> None:
    for path, cases in ((SEND, WRONG), (BULK, WRONG_BULK)):
        for changed, errors in cases:
            reply = await cloud.client.json(path, {**MAIL, **changed})
            assert (reply.status, reply.errors) == (400, errors), (changed, reply.body)
    assert await cloud.rows("message") == []


async def test_the_errors_that_the_contract_knows(cloud: Cloud) -> None:
    refused = await cloud.client.json(SEND, {**MAIL, "from": "x@other.example"})
    assert refused.json == {
        "errors": [
            {
                "code": "13-006",
                "field": "",
                "message": "Can not send email with specified from address. Please set up DKIM.",
            }
        ]
    }
    texts = {"to": "a@example.com", "from": SENDER, "subject": "s", "text": "t"}
    files = [Part(f"attachment{n}", b"x" * 8_000_000, f"{n}.bin") for n in (1, 2)]
    large = await cloud.client.multipart(SEND, texts, files)
    assert (large.status, large.json["errors"]) == (
        500,
        [
            {
                "code": "01-001",
                "field": "",
                "message": "System error was occurred. Please contact system administrator.",
            }
        ],
    )
    many = [Part(f"attachment{n}", b"x", "x") for n in range(1, 12)]
    assert (await cloud.client.multipart(SEND, texts, many)).errors == [("11-004", "attachment11")]
    assert await cloud.rows("message") == []


async def test_languages_and_xml(cloud: Cloud) -> None:
    for language, text in (("ja", "to を指定してください"), ("en", "to is missing"), ("fr", "to is missing")):
        reply = await cloud.client.json(SEND, {**MAIL, "to": ""}, Accept_Language=language)
        assert reply.json["errors"][0]["message"] == text
        told = await cloud.client.json(SEND.replace("json", "xml"), {**MAIL, "to": ""}, Accept_Language=language)
        assert (told.status, told.xml.tag) == (400, "errors")
        (error,) = told.xml
        assert {item.tag: item.text for item in error} == {"code": "11-001", "field": "to", "message": text}


async def test_bodies_that_are_none(cloud: Cloud) -> None:
    path = SEND
    cases = [
        (b"", "", 401),
        (b"[]", MIXED, 400),
        (b"{", MIXED, 400),
        (b'{"api_user":"\xff"}', MIXED, 400),
        (b"<send/>", "application/xml", 415),
        (b"a=b", "text/plain", 415),
        (b"--x", FORM, 400),
        (b"api_user", "application/x-www-form-urlencoded", 400),
        (b"api_user=%ff&api_key=x", "application/x-www-form-urlencoded", 400),
        (b'{"a":' * 20 + b"1" + b"}" * 20, MIXED, 400),
        (b'{"a":[' + b"1," * 6_000 + b"1]}", MIXED, 400),
    ]
    for body, content_type, status in cases:
        reply = await cloud.client.raw(path, body, content_type)
        assert reply.status == status, (body[:40], reply.body)
        assert reply.errors
    for method, target, status in (("GET", SEND, 405), ("POST", "/api/v2/emails/none.json", 404)):
        from support.cmc_client import send

        reply = await send(cloud.port, method, target, None, {})
        assert (reply.status, len(reply.errors)) == (status, 1)


async def test_who_may_send(cloud: Cloud) -> None:
    cases = {
        "no key": ({"api_user": USER}, 401, [("11-001", "api_key")]),
        "nobody": ({}, 401, [("11-001", "api_user")]),
        "wrong key": ({"api_user": USER, "api_key": "wrong1key"}, 401, [("10-001", "api_user")]),
        "unknown": ({"api_user": "x@y.example", "api_key": KEY}, 401, [("10-001", "api_user")]),
        "no address": ({"api_user": "app", "api_key": KEY}, 401, [("10-001", "api_user")]),
        "numbers": ({"api_user": 7, "api_key": 8}, 401, [("10-001", "api_user")]),
        "lists": ({"api_user": ["a@b"], "api_key": {}}, 401, [("10-001", "api_user")]),
    }
    for name, (who, status, errors) in cases.items():
        reply = await cloud.client.raw(SEND, json.dumps({**who, **MAIL}).encode())
        assert (reply.status, reply.errors) == (status, errors), name
    reader = await cloud.add_user("reader@x.example", scopes=["read", "download"])
    assert (await reader.json(SEND, MAIL)).errors == [("10-002", "")]
    elsewhere = await cloud.add_user("elsewhere@x.example", networks=["192.0.2.0/24"])
    assert (await elsewhere.json(SEND, MAIL)).errors == [("10-001", "api_user")]
    shouting = CmcClient(cloud.port, USER.upper(), KEY)
    assert (await shouting.json(SEND, MAIL)).status == 200
    await suspend_account(cloud.store, cloud.account.name, 1)
    suspended = await cloud.client.json(SEND, MAIL)
    assert (suspended.status, suspended.errors) == (403, [("10-003", "")])


async def test_strangers_send_little(cloud: Cloud) -> None:
    """Nothing is kept of a large request before it is known whose it is."""
    texts = [Part(name, b"x") for name in ("to", "from")]
    large = [*texts, Part("attachment1", b"x" * 2_000_000, "a"), *[Part("api_user", b"x"), Part("api_key", b"x")]]
    wrong = [Part("api_user", USER.encode()), Part("api_key", b"wrong1key"), *large]
    pad = "x" * 2_000_000
    bodies = (
        (form_of(large), FORM, "11-001"),
        (form_of(wrong), FORM, "10-001"),
        (json.dumps({"text": pad, "api_user": USER, "api_key": KEY}).encode(), MIXED, "11-001"),
        (json.dumps({"api_user": USER, "api_key": "wrong1key", "text": pad}).encode(), MIXED, "10-001"),
        (f"text={pad}&api_user=a&api_key=b".encode(), "application/x-www-form-urlencoded", "11-001"),
    )
    for body, content_type, code in bodies:
        reply = await cloud.client.raw(SEND, body, content_type)
        assert (reply.status, [code for code, _ in reply.errors]) == (401, [code])
    assert cloud.worker.services.bodies.memory.used == 0
    # Who is known sends as much as there may be.
    text = "x" * 3_000_000
    assert (await cloud.client.json(SEND, {**MAIL, "text": text})).status == 200


async def test_an_api_user_has_so_many_requests_at_a_time(cloud: Cloud) -> None:
    number = next(row.id for row in await cloud.rows("credential"))
    cloud.api.open[number] = 10
    reply = await cloud.client.json(SEND, MAIL)
    assert (reply.status, reply.errors, reply.headers["retry-after"]) == (429, [("10-004", "")], "1")
    other = await cloud.add_user("other@x.example")
    assert (await other.json(SEND, MAIL)).status == 200
    cloud.api.open[number] = 9
    assert (await cloud.client.json(SEND, MAIL)).status == 200
    assert cloud.api.open[number] == 9
    del cloud.api.open[number]
    assert (await cloud.client.json(SEND, {**MAIL, "to": ""})).status == 400
    assert not cloud.api.open
