"""``/template`` and ``/category``: made, moved, out of use and back, as a file and back, over HTTP with signatures.

Bodies are compared key by key with contract §7.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from infobip_cloud import File, multipart
from naver_cloud import Cloud, running_naver
from sqlalchemy import func, select

from ekiden.access.accounts import create_account
from ekiden.access.credential_scopes import MANAGE, READ
from ekiden.content.template_text import TemplateText
from ekiden.content.templates import NewAttachment
from ekiden.dialects.naver.labels import label
from ekiden.dialects.naver.operations import template_exports
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.store.tables.services import upload
from support.naver_client import LABEL, NES_DATE, NaverClient, Reply, assert_shape, page_shape

CATEGORY = {"sid": int, "parentSid": int, "name": str}
TEMPLATE = {
    "sid": int,
    "createDate": NES_DATE,
    "name": str,
    "description": (str, None),
    "title": str,
    "senderAddress": str,
    "senderName": (str, None),
    "body": str,
    "isUse": bool,
    "category": (CATEGORY, None),
}
EXPORT = {
    "sid": int,
    "projectSid": int,
    "requestUtc": NES_DATE,
    "completeUtc": (NES_DATE, None),
    "elapsedTime": (str, None),
    "statusCode": LABEL,
    "downloadUrl": (str, None),
}
NEW = {
    "templateName": "membershipTemplate",
    "description": "Example of creating a template",
    "title": "[EN] Naver Cloud Platform",
    "body": "Congratulations on your membership.",
    "senderAddress": "admin@master.com",
    "senderName": "Admin",
}


def node(name: str, sid: int, parent: int = -1, use: bool = True) -> dict[str, Any]:
    """A template in a structure."""
    return {
        "sid": sid,
        "parentSid": parent,
        "createDate": NES_DATE,
        "name": name,
        "isCategory": False,
        "isUse": use,
        "subCategories": None,
        "templates": None,
    }


def folder(name: str, sid: int, parent: int = -1, subs: Any = None, templates: Any = None) -> dict[str, Any]:
    return {**node(name, sid, parent), "isCategory": True, "subCategories": subs, "templates": templates}


def assert_contents(reply: Reply, wanted: list[dict[str, Any]], status: int = 200) -> None:
    """A structure, in this order."""
    assert reply.status == status, reply.body
    found = reply.json
    assert set(found) == {"contents"}
    _assert_nodes(found["contents"], wanted)


def _assert_nodes(found: list[Any], wanted: list[dict[str, Any]]) -> None:
    assert [item["name"] for item in found] == [item["name"] for item in wanted]
    for item, shape in zip(found, wanted, strict=True):
        lists = {"subCategories", "templates"}
        assert_shape({key: value for key, value in item.items() if key not in lists},
                     {key: value for key, value in shape.items() if key not in lists})  # fmt: skip
        for key in lists:
            if shape[key]:
                _assert_nodes(item[key], shape[key])
            else:
                assert item[key] == shape[key]


@pytest.fixture
async def cloud(store: Store) -> AsyncIterator[Cloud]:
    async with running_naver(store) as running:
        yield running


async def made(client: NaverClient, **values: Any) -> Any:
    reply = await client.request("POST", "/template", {**NEW, **values})
    assert reply.status == 201, reply.body
    assert_shape(reply.json, TEMPLATE)
    return reply.json


async def category(client: NaverClient, name: str, parent: int | None = None) -> int:
    reply = await client.request("POST", "/category", {"categoryName": name, "parentSid": parent})
    assert reply.status == 201, reply.body
    assert_shape(reply.json, CATEGORY)
    return int(reply.json["sid"])


async def sent_file(client: NaverClient, file: bytes, name: str = "file", **headers: str) -> Reply:
    content_type, body = multipart([("note", "x")], [File(name, "new.json", file, "application/json")])
    return await client.request(
        "POST", "/template/import", body=body, headers={"Content-Type": content_type, **headers}
    )


async def test_the_life_of_a_template(cloud: Cloud) -> None:
    client = cloud.client
    shelf = await category(client, "testCategory", -1)
    reply = await client.request("POST", "/template", {**NEW, "categorySid": shelf, "isUse": True})
    assert reply.status == 201
    sid = reply.json["sid"]
    whole = {
        "sid": sid,
        "createDate": NES_DATE,
        "name": "membershipTemplate",
        "description": "Example of creating a template",
        "title": "[EN] Naver Cloud Platform",
        "senderAddress": "admin@master.com",
        "senderName": "Admin",
        "body": "Congratulations on your membership.",
        "isUse": True,
        "category": {"sid": shelf, "parentSid": -1, "name": "testCategory"},
    }
    assert_shape(reply.json, whole)
    assert sid > shelf
    assert (await client.request("GET", f"/template/{sid}")).json == reply.json
    # A whole replacement, but for its category; what is not given is none, and in use it is as it was.
    given = {
        "templateName": "membershipTemplateKR",
        "title": "t",
        "body": "가입을 환영합니다.",
        "senderAddress": "b@x.kr",
    }
    changed = await client.request("PUT", f"/template/{sid}", given)
    kept = {key: whole[key] for key in ("sid", "createDate", "isUse", "category")}
    assert changed.status == 200
    wanted = {
        **kept,
        "name": "membershipTemplateKR",
        "title": "t",
        "body": "가입을 환영합니다.",
        "senderAddress": "b@x.kr",
    }
    assert_shape(changed.json, {**wanted, "description": None, "senderName": None})
    gone = await client.request("DELETE", f"/template/{sid}")
    assert (gone.status, gone.json) == (200, {**changed.json, "isUse": False})
    again = await client.request("DELETE", f"/template/{sid}")
    assert (again.status, again.json) == (200, gone.json)
    assert (await client.request("GET", f"/template/{sid}")).json == gone.json
    assert (await client.request("PUT", f"/template/{sid}", given)).json["isUse"] is False
    back = await client.request("PUT", f"/template/{sid}/restoration")
    assert (back.status, back.json) == (200, changed.json)
    unused = await client.request("PUT", f"/template/{sid}", {**given, "isUse": False, "description": "d"})
    assert (unused.status, unused.json["isUse"], unused.json["description"]) == (200, False, "d")


async def test_the_structure(cloud: Cloud) -> None:
    client = cloud.client
    assert_contents(await client.request("GET", "/template"), [])
    ad = await category(client, "AD")
    inner, empty = await category(client, "inner", ad), await category(client, "empty", ad)
    one = (await made(client, templateName="AD_Template", categorySid=str(ad)))["sid"]
    two = (await made(client, templateName="two", categorySid=inner, isUse=False))["sid"]
    top = (await made(client, templateName="top", categorySid=None))["sid"]
    last = await category(client, "last")
    used = [
        folder("AD", ad, subs=[folder("inner", inner, ad), folder("empty", empty, ad)],
               templates=[node("AD_Template", one, ad)]),
        node("top", top),
        folder("last", last),
    ]  # fmt: skip
    for query in ("?isUse=true", "?isUse=1"):  # PHP writes a truth value so
        assert_contents(await client.request("GET", f"/template{query}"), used)
    used[0]["subCategories"][0]["templates"] = [node("two", two, inner, use=False)]
    for query in ("", "?isUse=false", "?isUse=FALSE&other=1", "?isUse=0", "?isUse="):
        assert_contents(await client.request("GET", f"/template{query}"), used)
    for base in ("/api/v1-sgn", "/api/v1-jpn"):
        assert_contents(await cloud.client_of(cloud.key, base).request("GET", "/template/"), used)


async def test_places(cloud: Cloud) -> None:
    client = cloud.client
    shelf = await category(client, "shelf")
    sids = {name: (await made(client, templateName=name))["sid"] for name in "abc"}

    async def order() -> list[Any]:
        contents = (await client.request("GET", "/template")).json["contents"]
        return [
            (item["name"], [below["name"] for below in (item["subCategories"] or []) + (item["templates"] or [])])
            for item in contents
        ]

    def moved(name: str, **where: Any) -> Any:
        path = f"/template/{sids[name]}/name-location"
        return client.request("PUT", path, {"templateName": name, **where})

    reply = await moved("c", lowerSid=sids["a"])
    assert (reply.status, reply.json["category"]) == (200, None)
    assert await order() == [("shelf", []), ("c", []), ("a", []), ("b", [])]
    # What is not there is ignored; so is what is not beside it.
    for lower in (99_999, None, 0, -1, 10**30):
        assert (await moved("c", lowerSid=lower)).status == 200
    reply = await moved("a", parentSid=shelf, lowerSid=sids["b"])
    assert_shape(reply.json, {**TEMPLATE, "category": {"sid": shelf, "parentSid": -1, "name": "shelf"}})
    reply = await moved("b", parentSid=str(shelf), lowerSid=str(sids["a"]))
    assert await order() == [("shelf", ["b", "a"]), ("c", [])]
    other = await category(client, "other")
    path = f"/category/{other}/name-location"
    reply = await client.request("PUT", path, {"lowerSid": shelf})
    assert (reply.status, reply.json) == (200, {"sid": other, "parentSid": -1, "name": "other"})
    assert await order() == [("other", []), ("shelf", ["b", "a"]), ("c", [])]
    reply = await client.request("PUT", path, {"categoryName": "another", "parentSid": shelf, "lowerSid": None})
    assert (reply.status, reply.json) == (200, {"sid": other, "parentSid": shelf, "name": "another"})
    reply = await client.request("PUT", path, {"parentSid": -1})
    assert (reply.status, reply.json) == (200, {"sid": other, "parentSid": -1, "name": "another"})
    reply = await moved("a", parentSid=-1)
    assert (reply.json["category"], await order()) == (
        None,
        [("shelf", ["b"]), ("c", []), ("another", []), ("a", [])],
    )


async def test_a_category_goes_when_it_is_empty(cloud: Cloud) -> None:
    client = cloud.client
    shelf = await category(client, "shelf")
    inner = await category(client, "inner", shelf)
    sid = (await made(client, categorySid=inner))["sid"]
    for full in (shelf, inner):
        assert (await client.request("DELETE", f"/category/{full}")).code == (400, "77102")
    await client.request("DELETE", f"/template/{sid}")
    reply = await client.request("DELETE", f"/category/{inner}")
    assert (reply.status, reply.json) == (200, {"sid": inner, "parentSid": shelf, "name": "inner"})
    reply = await client.request("DELETE", f"/category/{shelf}/")
    assert (reply.status, reply.json) == (200, {"sid": shelf, "parentSid": -1, "name": "shelf"})
    assert (await client.request("DELETE", f"/category/{shelf}")).code == (400, "77103")
    back = await client.request("PUT", f"/template/{sid}/restoration")
    assert (back.json["isUse"], back.json["category"]) == (True, None)


BAD: list[dict[str, Any]] = [
    {"templateName": None},
    {"templateName": ""},
    {"templateName": " "},
    {"templateName": "x" * 101},
    {"templateName": "a/b"},
    {"templateName": "a\nb"},
    {"title": None},
    {"title": ""},
    {"title": "가" * 167},
    {"title": "a\r\nBcc: b@x.example"},
    {"body": None},
    {"body": ""},
    {"body": "가" * (500 * 1024 // 3 + 1)},
    {"senderAddress": None},
    {"senderAddress": "admin"},
    {"senderAddress": "a@x.example, b@x.example"},
    {"senderName": "가" * 24},
    {"senderName": "a\nb"},
    {"description": "가" * 101},
    {"isUse": "maybe"},
    {"categorySid": "x"},
    {"categorySid": 1.5},
    {"categorySid": []},
    {"title": {}},
]


async def test_bodies_that_cannot_be(cloud: Cloud) -> None:
    client = cloud.client
    there = await made(client, templateName="there")
    for wrong in BAD:
        reply = await client.request("POST", "/template", {**NEW, **wrong})
        assert reply.code == (400, "77102"), wrong
        assert next(iter(wrong)) in reply.error["message"], reply.body
        if "categorySid" not in wrong and wrong != {"templateName": ""}:
            reply = await client.request("PUT", f"/template/{there['sid']}", {**NEW, **wrong})
            assert reply.code == (400, "77102"), wrong
    for text in (b"", b"{", b"[]", b"7", b'{"templateName": "a\xff"}', b"\0"):
        for method, path in (
            ("POST", "/template"),
            ("PUT", f"/template/{there['sid']}"),
            ("PUT", f"/template/{there['sid']}/name-location"),
            ("POST", "/category"),
        ):
            assert (await client.request(method, path, body=text)).code == (400, "77102"), (method, path, text)
    for name in ("", "a" * 101, "a*b", None):
        assert (await client.request("POST", "/category", {"categoryName": name})).code == (400, "77102")
    reply = await client.request("POST", "/template", body=b"x", headers={"Content-Type": "text/plain"})
    assert reply.code == (415, "77002")
    reply = await client.request("POST", "/category", body=b"{}", headers={"Content-Type": "multipart/form-data"})
    assert reply.code == (415, "77002")
    assert (await client.request("GET", "/template?isUse=perhaps")).code == (400, "77102")
    assert (await client.request("PUT", f"/template/{there['sid']}", {**NEW, "templateName": ""})).status == 200
    assert len((await client.request("GET", "/template")).json["contents"]) == 1


async def test_values_at_their_bounds(cloud: Cloud) -> None:
    largest = {
        "templateName": "가" * 96 + " .-_",
        "description": "두\n줄" + "가" * 97 + "ab",
        "title": "가" * 166 + "ab",
        "body": '<p title="\\">\n가</p>' + "x" * (500 * 1024 - 21),
        "senderName": '"가"\\ <b>,' + "나" * 19 + "x",
        "senderAddress": "a.b+c@sub.master.com",
    }
    octets = {name: len(text.encode()) for name, text in largest.items()}
    assert (octets["description"], octets["title"], octets["senderName"]) == (300, 500, 69)
    assert octets["body"] == 500 * 1024
    found = await made(cloud.client, **largest)
    assert {
        ("templateName" if key == "name" else key): found[key] for key in found if key in {*largest, "name"}
    } == largest
    # Numbers as texts, texts as numbers, explicit nulls, members that nobody knows, slashes at the end.
    shelf = await category(cloud.client, "2026")
    loose = {
        **NEW,
        "templateName": 2026,
        "categorySid": str(shelf),
        "senderName": None,
        "isUse": "true",
        "x": [None],
    }
    reply = await cloud.client.request("POST", "/template/", loose)
    assert (reply.status, reply.json["name"], reply.json["senderName"]) == (201, "2026", None)
    assert reply.json["category"]["sid"] == shelf
    # A number or a truth value that is empty is not there.
    empty = {**NEW, "templateName": "empty", "categorySid": "", "isUse": " "}
    reply = await cloud.client.request("POST", "/template", empty)
    assert (reply.status, reply.json["category"], reply.json["isUse"]) == (201, None, True)
    named = {"categoryName": "empty", "parentSid": "", "lowerSid": ""}
    reply = await cloud.client.request("POST", "/category", named)
    assert (reply.status, reply.json["parentSid"]) == (201, -1)
    assert (await cloud.client.request("PUT", f"/category/{shelf}/name-location", named)).code == (400, "77102")


async def test_what_does_not_exist(cloud: Cloud, store: Store) -> None:
    client = cloud.client
    shelf = await category(client, "shelf")
    sid = (await made(client))["sid"]
    other = await create_account(store, "other", 0)
    stranger = cloud.client_of(await cloud.add_key(other.id))
    for asked, number in (
        *((client, number) for number in ("999999", "0", "-1", "x", "9" * 18, "9" * 30, "%00", "1.5", str(shelf))),
        (stranger, str(sid)),
    ):
        for method, path, body in (
            ("GET", f"/template/{number}", None),
            ("PUT", f"/template/{number}", NEW),
            ("PUT", f"/template/{number}/name-location", {"templateName": "n"}),
            ("PUT", f"/template/{number}/restoration", None),
            ("DELETE", f"/template/{number}", None),
            ("GET", f"/template/export/{number}", None),
        ):
            assert (await asked.request(method, path, body)).code == (400, "77103"), (method, path)
    for number in (str(sid), "999999", "x"):
        for method, path, body in (
            ("PUT", f"/category/{number}/name-location", {"categoryName": "n"}),
            ("DELETE", f"/category/{number}", None),
        ):
            assert (await client.request(method, path, body)).code == (400, "77103"), (method, path)
    for parent in (sid, 999_999, 0, -2, 10**30):
        for method, path, body in (
            ("POST", "/template", {**NEW, "templateName": "n", "categorySid": parent}),
            ("POST", "/category", {"categoryName": "n", "parentSid": parent}),
            ("PUT", f"/template/{sid}/name-location", {"templateName": "n", "parentSid": parent}),
            ("PUT", f"/category/{shelf}/name-location", {"parentSid": parent}),
        ):
            assert (await client.request(method, path, body)).code == (400, "77103"), (path, parent)
    assert (await client.request("GET", "/template/7/other")).code == (404, "300")
    assert (await client.request("POST", f"/template/{sid}", NEW)).code == (405, "77001")
    assert (await client.request("GET", f"/category/{shelf}")).code == (405, "77001")
    assert (await stranger.request("GET", "/template")).json == {"contents": []}


async def test_names_that_are_taken(cloud: Cloud) -> None:
    client = cloud.client
    shelf, other = await category(client, "same"), await category(client, "other")
    sid = (await made(client, templateName="same"))["sid"]
    below = (await made(client, templateName="same", categorySid=shelf))["sid"]
    await client.request("DELETE", f"/template/{sid}")
    again = (await made(client, templateName="same"))["sid"]
    for method, path, body in (
        ("POST", "/template", {**NEW, "templateName": "same"}),
        ("POST", "/category", {"categoryName": "same"}),
        ("PUT", f"/category/{other}/name-location", {"categoryName": "same"}),
        ("PUT", f"/template/{below}/name-location", {"templateName": "same", "parentSid": -1}),
        ("PUT", f"/template/{sid}/restoration", None),
        ("PUT", f"/template/{sid}", {**NEW, "templateName": "same", "isUse": True}),
        ("PUT", f"/category/{shelf}/name-location", {"parentSid": shelf}),
    ):
        reply = await client.request(method, path, body)
        assert reply.code == (400, "77102"), (method, path, reply.body)
    for lang, words in (
        ("", "there is something of the name same already"),
        ("ko-KR", "same 이름이 이미 있습니다"),
        ("zh-CN", "名称 same 已存在"),
        ("ja-JP", "same という名前のものがすでにあります"),
    ):
        told = await cloud.client_of(cloud.key, lang=lang).request("POST", "/category", {"categoryName": "same"})
        assert told.error["message"].startswith(words)
    assert (await client.request("PUT", f"/template/{again}", {**NEW, "templateName": "same"})).status == 200


async def test_out_as_a_file_and_in_again(cloud: Cloud, store: Store) -> None:
    client = cloud.client
    reply = await client.request("POST", "/template/export/request")
    assert_shape(reply.json, {"sid": int})
    assert reply.status == 200
    first = reply.json["sid"]
    path = f"/template/export/{first}"
    assert (await client.request("GET", path)).code == (400, "77103")
    listed = await client.request("GET", "/template/export")
    assert_shape(listed.json, page_shape(EXPORT))
    [entry] = listed.json["content"]
    waiting = {"label": "Pending", "code": "R"}
    assert (entry["sid"], entry["projectSid"], entry["statusCode"]) == (first, cloud.account.id, waiting)
    assert (entry["completeUtc"], entry["elapsedTime"], entry["downloadUrl"]) == (None, None, None)
    assert listed.json["sort"][0] == {
        "direction": "DESC",
        "property": "createUtc",
        "ignoreCase": False,
        "nullHandling": "NATIVE",
        "ascending": False,
        "descending": True,
    }

    shelf = await category(client, "봄")
    await category(client, "empty", shelf)
    await made(client, templateName="one", categorySid=shelf, body='<p>"가\\\n' * 30_000)
    await made(client, templateName="gone", isUse=False, senderName='김, "철수"')
    await made(client, templateName="two", description=None)
    await cloud.worker.services.templates.create(cloud.account.id, TemplateText("other language", "<p>{{x}}"))
    assert await cloud.worker.services.template_exports.work()
    second = (await client.request("POST", "/template/export/request")).json["sid"]
    for sort, wanted in (
        ("sort=sid", [first, second]),
        ("sort=sid,desc", [second, first]),
        ("sort=statusCode,desc", [first, second]),
        ("", [second, first]),
        ("size=1&page=1", [first]),
        ("sort=createUtc,asc&size=1", [first]),
    ):
        reply = await client.request("GET", f"/template/export?{sort}")
        assert_shape(reply.json, page_shape(EXPORT))
        assert [item["sid"] for item in reply.json["content"]] == wanted, sort
    assert (await client.request("GET", "/template/export?sort=name")).code == (400, "77102")
    for lang, language in (("", "en"), ("ko-KR", "ko"), ("zh-CN", "zh"), ("ja-JP", "ja")):
        told = await cloud.client_of(cloud.key, "/api/v1-jpn", lang).request("GET", "/template/export?sort=sid")
        done = told.json["content"][0]
        assert done["statusCode"] == {"label": label("export_status", "C", language), "code": "C"}
        assert done["downloadUrl"].endswith(f"/api/v1-jpn{path}")
    done = (await client.request("GET", "/template/export?sort=sid")).json["content"][0]
    assert_shape(done, {**EXPORT, "completeUtc": NES_DATE, "elapsedTime": str, "downloadUrl": str})
    assert done["downloadUrl"] == f"http://127.0.0.1:{cloud.port}/api/v1{path}"

    file = await client.request("GET", path)
    assert file.status == 200
    assert file.headers["content-type"] == "application/octet-stream;charset=UTF-8"
    assert file.headers["content-transfer-encoding"] == "binary"
    begin, stamp, end = file.headers["content-disposition"].partition("2")
    assert (begin, end[13:], len(end)) == ('attachment; filename="template_', '.json";', 20)
    asked, ended = (
        "".join(char for char in done[name]["formattedDateTime"][:19] if char.isdigit())
        for name in ("requestUtc", "completeUtc")
    )
    assert asked <= stamp + end[:13] <= ended
    assert len(json.loads(file.body)["contents"]) == 4
    stranger = cloud.client_of(await cloud.add_key((await create_account(store, "other", 0)).id))
    assert (await stranger.request("GET", path)).code == (400, "77103")

    reply = await sent_file(stranger, file.body)
    mine = (await client.request("GET", "/template")).json["contents"]
    theirs = (await stranger.request("GET", "/template")).json["contents"]

    def told(nodes: list[Any] | None) -> list[Any]:
        return [
            (item["name"], item["isCategory"], item["isUse"], told(item["subCategories"]), told(item["templates"]))
            for item in nodes or ()
        ]

    assert told(reply.json["contents"]) == told(theirs) == told(mine)
    root = reply.json["contents"][0]
    assert_contents(
        reply,
        [
            folder("봄", root["sid"], subs=[folder("empty", root["subCategories"][0]["sid"], root["sid"], [], [])],
                   templates=[node("one", root["templates"][0]["sid"], root["sid"])]),
            *(node(item["name"], item["sid"], use=item["isUse"]) for item in reply.json["contents"][1:]),
        ],
        201,
    )  # fmt: skip
    originals = [mine[0]["templates"][0], *mine[1:]]
    for original, copy in zip(originals, [theirs[0]["templates"][0], *theirs[1:]], strict=True):
        one = (await client.request("GET", f"/template/{original['sid']}")).json
        other = (await stranger.request("GET", f"/template/{copy['sid']}")).json
        differing = {"sid", "createDate", "category"}
        assert {key: one[key] for key in one if key not in differing} == {
            key: other[key] for key in other if key not in differing
        }
    again = await sent_file(stranger, file.body)
    assert again.code == (400, "77102")
    assert "봄" in again.error["message"]


async def test_a_file_with_a_mistake_in_it(cloud: Cloud) -> None:
    client = cloud.client
    item = {"title": "t", "body": "b", "senderAddress": "a@x.example"}
    nodes = [{**item, "name": "one"}, {**item, "name": "one"}, {**item, "name": "two"}]
    reply = await sent_file(client, json.dumps({"contents": nodes}).encode())
    assert reply.code == (400, "77102")
    assert reply.error["message"].startswith("one of the file cannot be added: there is a template one already")
    reply = await sent_file(client, b'{"contents": [{"name": "three", "body": "b"}, x')
    assert (reply.code, "cannot be read" in reply.error["message"]) == ((400, "77102"), True)
    names = [found["name"] for found in (await client.request("GET", "/template")).json["contents"]]
    assert names == ["one", "three"]
    empty = await sent_file(client, b'{"contents": []}')
    assert (empty.status, empty.json) == (201, {"contents": []})


async def test_forms_that_cannot_be(cloud: Cloud) -> None:
    client = cloud.client
    assert (await sent_file(client, b"[]", "files")).code == (400, "77102")
    assert (await client.request("POST", "/template/import", {})).code == (415, "77002")
    boundary = {"Content-Type": "multipart/form-data; boundary=b"}
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.json"\r\n'
    for body in (
        b"",
        b"x",
        head,
        head + b"\r\n[]",
        head + b"Content-Transfer-Encoding: base64\r\n\r\nW10=\r\n--b--",
    ):
        reply = await client.request("POST", "/template/import", body=body, headers=boundary)
        assert reply.code == (400, "77102"), body
    whole = head + b"\r\n[]\r\n" + head + b"\r\nnonsense\r\n--b--\r\n"
    reply = await client.request("POST", "/template/import", body=whole, headers=boundary)
    assert (reply.status, reply.json) == (201, {"contents": []})
    reply = await client.request(
        "POST", "/template/import", body=whole, headers={"Content-Type": "multipart/form-data"}
    )
    assert reply.code == (400, "77102")
    async with cloud.store.read() as connection:
        assert await connection.scalar(select(func.count()).select_from(upload)) == 0


async def test_who_may(cloud: Cloud) -> None:
    reader = cloud.client_of(await cloud.add_key(scopes=frozenset({READ})))
    manager = cloud.client_of(await cloud.add_key(scopes=frozenset({MANAGE})))
    sid = (await made(manager))["sid"]
    for path in ("/template", f"/template/{sid}", "/template/export"):
        assert (await reader.request("GET", path)).status == 200
        assert (await manager.request("GET", path)).code == (401, "210")
    for method, path in (
        ("POST", "/template"),
        ("PUT", f"/template/{sid}"),
        ("PUT", f"/template/{sid}/name-location"),
        ("PUT", f"/template/{sid}/restoration"),
        ("DELETE", f"/template/{sid}"),
        ("POST", "/template/export/request"),
        ("POST", "/template/import"),
        ("POST", "/category"),
        ("PUT", "/category/1/name-location"),
        ("DELETE", "/category/1"),
    ):
        assert (await reader.request(method, path, {})).code == (401, "210"), (method, path)


async def test_templates_of_another_language(cloud: Cloud) -> None:
    """What the account has made there is told as far as this language has words for it, and keeps the rest."""

    async def data() -> AsyncIterator[bytes]:
        yield b"data"

    templates = cloud.worker.services.templates
    text = TemplateText("a / b", "<p>{{x}}", sender="{{shop}} <a@x.example>", reply_to="b@x.example", preheader="p")
    there = await templates.create(cloud.account.id, text, [NewAttachment("a.txt", "text/plain", data())])
    told = (await cloud.client.request("GET", f"/template/{there.id}")).json
    assert_shape(
        told, {**TEMPLATE, "name": "a / b", "title": "", "senderName": "{{shop}}", "senderAddress": "a@x.example"}
    )
    # A name that is none here stays where it is not changed.
    shelf = await category(cloud.client, "2026")
    for path in (f"/template/{there.id}", f"/template/{there.id}/name-location"):
        named = {**NEW, "parentSid": shelf, "templateName": "a / b"}
        reply = await cloud.client.request("PUT", path, named)
        assert (reply.status, reply.json["name"]) == (200, "a / b")
        reply = await cloud.client.request("PUT", path, {**named, "templateName": "a / c"})
        assert reply.code == (400, "77102")
    assert reply.error["message"].startswith("templateName may have")
    missing = await cloud.client.request("PUT", f"/template/{there.id + 1000}", {**NEW, "templateName": "a / b"})
    assert missing.code == (400, "77103")
    reply = await cloud.client.request("PUT", f"/template/{there.id}", {**NEW, "senderName": "관리자, 1"})
    assert (reply.status, reply.json["senderName"]) == (200, "관리자, 1")
    found = await templates.get(cloud.account.id, there.id)
    assert (found.text.sender, found.text.reply_to, found.text.preheader) == (
        '"관리자, 1" <admin@master.com>',  # told there as it is: nothing for machines
        "b@x.example",
        "p",
    )
    assert len(await templates.attachments(cloud.account.id, there.id)) == 1
    await cloud.client.request("DELETE", f"/template/{there.id}")
    assert (await templates.list(cloud.account.id)).total == 0


async def test_what_has_no_body_may_call_it_a_form(cloud: Cloud) -> None:
    """As PHP's client does, whatever it sends."""
    client, form = cloud.client, {"Content-Type": "application/x-www-form-urlencoded"}
    sid, shelf = (await made(client))["sid"], await category(client, "2026")
    for method, path in (
        ("GET", "/template?isUse=1"),
        ("DELETE", f"/template/{sid}"),
        ("PUT", f"/template/{sid}/restoration"),
        ("PUT", f"/category/{shelf}/name-location"),
        ("DELETE", f"/category/{shelf}"),
        ("POST", "/template/export/request"),
        ("GET", "/template/export?size=10&page=0&sort=sid%2CstatusCode"),
        ("DELETE", "/address-book"),
    ):
        for body in (None, b""):
            reply = await client.request(method, path, body=body, headers=form)
            assert reply.status == 200, (method, path, reply.body)
            if method == "DELETE" and "category" in path:
                break


async def test_too_many(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ekiden.content.templates.MAX_TEMPLATES", 1)
    monkeypatch.setattr("ekiden.content.template_categories.MAX_CATEGORIES", 1)
    monkeypatch.setattr("ekiden.content.template_exports.MAX_WAITING", 1)
    await made(cloud.client)
    shelf = await category(cloud.client, "one")
    await cloud.client.request("POST", "/template/export/request")
    for path, body in (
        ("/template", {**NEW, "templateName": "n"}),
        ("/category", {"categoryName": "n"}),
        ("/template/export/request", None),
    ):
        assert (await cloud.client.request("POST", path, body)).code == (400, "77102"), path
    parent = shelf
    monkeypatch.setattr("ekiden.content.template_categories.MAX_CATEGORIES", 100)
    for level in range(19):
        parent = await category(cloud.client, f"c{level}", parent)
    reply = await cloud.client.request("POST", "/category", {"categoryName": "deep", "parentSid": parent})
    assert (reply.code, "parentSid" in reply.error["message"]) == ((400, "77102"), False)


@pytest.mark.parametrize(
    ("millis", "told"), [(58_521, "00:00:58.521"), (1_727_374_573, "479:49:34.573"), (-1, "00:00:00.000")]
)
def test_elapsed(millis: int, told: str) -> None:
    assert template_exports._elapsed(millis) == told


ANYTHING: list[Any] = []


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=5,
    )
)
def generate(value: Any) -> None:
    ANYTHING.append(value)


def many_requests(count: int) -> Iterator[tuple[str, str, Any]]:
    """Right ones, with one member that may be anything, or with a body that may be."""
    ANYTHING.clear()
    generate()
    dice = Random(5)
    routes = [
        *[("POST", "/template"), ("POST", "/category"), ("GET", "/template?isUse={}")],
        *(("PUT", f"/template/{{}}{end}") for end in ("", "/name-location", "/restoration")),
        *(("PUT", "/category/{}/name-location"), ("DELETE", "/template/{}"), ("DELETE", "/category/{}")),
        *(("GET", "/template/{}"), ("GET", "/template/export?sort={}&size={}")),
    ]
    for _ in range(count):
        method, path = dice.choice(routes)
        odd = dice.choice(["sid,desc", "true", "%F0%9F", "9" * 40, "-1", "%00"])
        sids = {name: dice.randint(-1, 12) for name in ("categorySid", "parentSid", "lowerSid")}
        names = {
            name: "".join(dice.choices("ab가 /", (9, 9, 9, 2, 1), k=3)) for name in ("templateName", "categoryName")
        }
        body: Any = {**NEW, **sids, **names, "isUse": dice.random() < 0.7}
        if dice.random() < 0.5:
            body[dice.choice(list(body))] = dice.choice(ANYTHING)
        elif dice.random() < 0.2:
            body = dice.choice(ANYTHING)
        yield method, path.replace("{}", odd if dice.random() < 0.2 else str(dice.randint(1, 12))), body


async def test_generated_bodies_find_no_500(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    async with running_naver(store) as cloud:
        for name in "abc":
            await made(cloud.client, templateName=name, categorySid=await category(cloud.client, name))
        answers: Counter[int] = Counter()
        for method, path, body in many_requests(120):
            text = None if method == "GET" else json.dumps(body).encode()
            reply = await cloud.client.request(method, path, body=text)
            answers[reply.status] += 1
            if reply.status >= 400:
                assert reply.code[0] == 400, (method, path, body, reply.body)
        # They reach what is behind the checks, too.
        assert min(answers[200], answers[400]) > 10
        assert answers[201] > 1
    await store.close()
