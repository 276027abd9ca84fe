"""The gateway of the NAVER dialect: who may ask, in which shape it says no, and how requests are read."""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import string
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from litestar import Response
from naver_cloud import Cloud, running_naver
from real_worker import real_worker

import ekiden.dialects.naver
from ekiden.access.accounts import create_account, suspend_account
from ekiden.access.credential_scopes import MANAGE
from ekiden.access.credentials import create_api_key, revoke_credential
from ekiden.core.clock import MINUTE
from ekiden.dialects.naver.config import NaverConfig
from ekiden.dialects.naver.errors import MESSAGES
from ekiden.dialects.naver.http import Whole, answer
from ekiden.dialects.naver.labels import all_labels, labelled
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.proof import targets
from ekiden.dialects.naver.times import ZONE, nes_date, parse_time
from ekiden.dialects.naver.translations import TAGS, TEXTS, catalogue
from ekiden.store.api import Store
from ekiden.store.open import open_store
from ekiden.web.need import Need
from ekiden.web.operation import Call, Operation, changes, reads
from support.naver_client import (
    LABEL,
    NES_DATE,
    NaverClient,
    Reply,
    assert_shape,
    make_signature,
    next_time,
    page_shape,
    send,
)
from support.structured_logs import told


class Part(msgspec.Struct):
    name: str
    size: Whole | None = None


class Item(msgspec.Struct):
    name: str
    count: Whole = 1
    loud: bool = False
    note: str | None = None
    words: list[str] = []
    parts: list[Part] = []
    part: Part | None = None
    parameters: dict[str, Any] = {}


async def _make(call: Any) -> Response[bytes]:
    return answer(await call.json(Item), 201)


async def _list(call: Any) -> Response[bytes]:
    page = read_page(call.query, ("createUtc", "name"), Order("createUtc", True))
    content = [
        {
            "name": call.query.text("name"),
            "isUse": call.query.flag("isUse"),
            "period": call.query.period(needed=call.query.text("period") is not None),
            "region": call.region,
            "sid": call.query.number_or_none("sid"),
            "status": labelled("email_status", "PF", call.language),
        }
    ]
    return answer(page.shape(content, 25))


async def _get(call: Any) -> Response[bytes]:
    return answer({"sid": call.sid("sid"), "tags": call.query.texts("tag")})


async def _delete(call: Any) -> Response[bytes]:
    return answer((await call.json(Item)).words)


async def _fail(_: Any) -> Response[bytes]:
    raise RuntimeError("a fault of ours")


SMALL = Need(2_000, 50, 5)
MADE_UP = (
    Operation("POST", "/items", _make, MANAGE, SMALL),
    reads("/items", _list),
    Operation("DELETE", "/items", _delete, MANAGE, SMALL),
    reads("/items/{sid:str}", _get),
    Operation("POST", "/config", _make, MANAGE, SMALL),
    reads("/fail", _fail),
)
MADE = {
    "name": "a",
    "count": 1,
    "loud": False,
    "note": None,
    "words": [],
    "parts": [],
    "part": None,
    "parameters": {},
}
INVALID = {
    "errorCode": "200",
    "message": "Authentication Failed",
    "details": "Invalid authentication information.",
}


@pytest.fixture
async def cloud(sqlite_url: str) -> AsyncIterator[Cloud]:
    """Nothing here depends on the engine."""
    store = await open_store(sqlite_url)
    async with running_naver(store, besides=MADE_UP) as running:
        yield running
    await store.close()


@pytest.mark.parametrize(
    ("method", "url", "signature"),
    [
        ("POST", "/api/v1/mails", "9tG008SYHqPNLpEcH8Vq0Ditu+lYCCB9lPrl2zmj3+8="),
        (
            "GET",
            "/api/v1/mails/requests/20181126000000246001/status",
            "qteSNCkSuz6OLBXeHBw+Nhox7RvE5yk9JfppKhW7UTs=",
        ),
        (
            "GET",
            "/api/v1/mails/requests?dispatchType=API&startDateTime=2018-11-01%2000:00&size=5"
            "&sendStatus=S&sendStatus=PF",
            "y8f12YE1hF3gQPdglHYHH2en8Sw5pZ6SFe1wdar1BRg=",
        ),
    ],
)
def test_the_vectors_of_the_contract(method: str, url: str, signature: str) -> None:
    from ekiden.dialects.naver.signing import signed_headers
    from ekiden.web.dialect import ToSign

    assert make_signature(method, url, "1521787414578", "testAccessKey", "testSecretKey") == signature
    ours = signed_headers(ToSign(method, url, "testAccessKey", "testSecretKey", 1521787414578))
    assert ours["x-ncp-apigw-signature-v2"] == signature
    path, _, query = url.encode().partition(b"?")
    assert targets(path, query)[0] == url.encode()


@pytest.mark.parametrize(
    ("wire", "signed", "fits"),
    [
        ("/a?name=20%EB%8C%80", "/a?name=20대", True),
        ("/a?at=2018-11-01%2000:00", "/a?at=2018-11-01 00:00", True),
        ("/a?at=2018-11-01+00%3A00", "/a?at=2018-11-01 00:00", True),
        ("/a?to=a%40x.com&sort=name%2Cdesc", "/a?to=a@x.com&sort=name,desc", True),
        ("/a?at=2018-11-01%2000%3A00&b=1%2B1", "/a?at=2018-11-01+00%3A00&b=1%2B1", True),  # PHP
        ("/%EB%8C%80/b", "/대/b", True),
        ("/a?", "/a", True),
        # What is signed would not say where one value ends.
        ("/a?name=1%26size=2", "/a?name=1&size=2", False),
        ("/a?name%3D1=2", "/a?name=1=2", False),
        ("/a?name=1%2B1", "/a?name=1+1", False),
        ("/a?name=1%2520", "/a?name=1%25+", False),
        ("/a%20b?x=1", "/a+b?x=1", False),
        ("/a?name=100%25", "/a?name=100%", False),
        ("/a?name=1%23", "/a?name=1#", False),
        ("/a%2Fb?x=1", "/a/b?x=1", False),
        ("/a%3Fx=1", "/a?x=1", False),
        ("/a%2fb", "/a/b", False),
        ("/a?x=%0A", "/a?x=\n", False),
        ("/a?x=1", "/a?x=2", False),
    ],
)
def test_what_may_have_been_signed(wire: str, signed: str, fits: bool) -> None:
    path, _, query = wire.encode().partition(b"?")
    assert (signed.encode() in targets(path, query)) is fits


async def test_signatures_are_compared_in_constant_time(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def compare(one: Any, other: Any) -> bool:
        compared.append((one, other))
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr("ekiden.access.access_keys.hmac.compare_digest", compare)
    assert (await cloud.client.request("GET", "/items")).status == 200
    assert [len(one) for one, _ in compared if isinstance(one, bytes)] == [32, 32]


async def test_whoever_signs_is_answered_in_each_region(cloud: Cloud) -> None:
    made = await cloud.client.request("POST", "/items", {"name": "a"})
    assert (made.status, made.json, made.headers["content-type"]) == (201, MADE, "application/json")
    for base, region in (("/api/v1", "kr"), ("/api/v1-sgn", "sgn"), ("/api/v1-jpn", "jpn")):
        client = cloud.client_of(cloud.key, base)
        listed = await client.request("GET", "/items?size=10&page=2")
        item = {"name": None, "isUse": None, "period": [None], "region": region, "sid": None, "status": LABEL}
        assert_shape(listed.json, page_shape(item))
        found = await client.request("GET", "/items/3/?tag=a&tag=b")
        assert found.json == {"sid": 3, "tags": ["a", "b"]}
        # What is signed for one is good for no other.
        assert (await client.request("GET", "/items", signed="/api/v1-x/items")).error == INVALID


ON_THE_WIRE = (
    "/items?name=20%EB%8C%80",
    "/items?name=%20a%2Bb%26",
    "/items?sort=name&sort=createUtc%2Cdesc",
    "/items?",
    "//items/3//",
    "/items/%33",
    "/items?name=%ff%fe",
)


async def test_the_target_is_signed_as_it_is_on_the_wire(cloud: Cloud) -> None:
    for target in ON_THE_WIRE:
        assert (await cloud.client.request("GET", target)).status == 200, target
        assert (await cloud.client.request("GET", target, signed="/api/v1/items/4")).status == 401, target


async def test_korean_may_be_signed_raw(cloud: Cloud) -> None:
    reply = await cloud.client.request("GET", "/items?name=20%EB%8C%80", signed="/api/v1/items?name=20대")
    assert reply.json["content"][0]["name"] == "20대"


async def test_a_proxy_that_decodes_changes_what_was_signed(cloud: Cloud) -> None:
    """Nothing but the wire's form is asked: a slash that was an escape is another path."""
    assert (await cloud.client.request("GET", "/items/a%2Fb")).code == (404, "300")
    assert (await cloud.client.request("GET", "/items?name=1%26size=2", signed="/api/v1/items?name=1&size=2")).error


async def test_who_is_not_known(cloud: Cloud) -> None:
    missing = INVALID | {"details": "Authentication information are missing."}
    names = ("x-ncp-apigw-timestamp", "x-ncp-iam-access-key", "x-ncp-apigw-signature-v2")
    for gone in (names, names[:1], names[1:2], names[2:]):
        reply = await cloud.client.request("POST", "/items", {}, headers=dict.fromkeys(gone, ""))
        assert (reply.status, reply.error) == (401, missing)
    now = int(time.time() * 1000)
    key = cloud.key
    cases: dict[str, Reply] = {
        "another secret": await NaverClient(cloud.port, key.id, "x" * 40).request("GET", "/items"),
        "an unknown key": await NaverClient(cloud.port, "EK" + "A" * 18, key.secret).request("GET", "/items"),
        "no key": await NaverClient(cloud.port, "' OR 1=1 --", key.secret).request("GET", "/items"),
        "a long key": await NaverClient(cloud.port, "E" * 5_000, key.secret).request("GET", "/items"),
        "another method": await cloud.client.request(
            "GET", "/items", headers=cloud.client.headers("POST", "/api/v1/items")
        ),
        "early": await cloud.client.request("GET", "/items", timestamp=str(now - 5 * MINUTE)),
        "late": await cloud.client.request("GET", "/items", timestamp=str(now + 5 * MINUTE + 10_000)),
        "no time": await cloud.client.request("GET", "/items", timestamp="now"),
        "a time in seconds": await cloud.client.request("GET", "/items", timestamp=str(now // 1000)),
        "no base64": await cloud.client.request("GET", "/items", headers={names[2]: "!" * 44}),
        "too short": await cloud.client.request("GET", "/items", headers={names[2]: "aaaa"}),
        "too long": await cloud.client.request("GET", "/items", headers={names[2]: "a" * 9_000}),
    }
    assert {name: (reply.status, reply.error) for name, reply in cases.items()} == dict.fromkeys(
        cases, (401, INVALID)
    )
    for near in (now - 5 * MINUTE + 20_000, now + 5 * MINUTE - 20_000):
        assert (await cloud.client.request("GET", "/items", timestamp=str(near))).status == 200


async def test_what_an_access_key_is_good_for(cloud: Cloud) -> None:
    reader = cloud.client_of(await cloud.add_key(scopes=["read"]))
    assert (await reader.request("GET", "/items")).status == 200
    refused = await reader.request("POST", "/items", {"name": "a"})
    assert refused.status == 401
    assert refused.error == {
        "errorCode": "210",
        "message": "Permission Denied",
        "details": "the access key may not do this: it does not have the scope manage",
    }
    # It is not asked whether a signature was seen of who may not.
    elsewhere = cloud.client_of(await cloud.add_key(networks=["192.0.2.0/24"]))
    assert (await elsewhere.request("GET", "/items")).error == INVALID
    gone = await cloud.add_key()
    assert (await cloud.client_of(gone).request("GET", "/items")).status == 200
    await revoke_credential(cloud.store, gone.credential.id, 1)
    assert (await cloud.client_of(gone).request("GET", "/items")).error == INVALID
    # Other credentials prove nothing here.
    api_key = (await create_api_key(cloud.store, cloud.account.id, "k", 1)).key
    bearer = await send(cloud.port, "GET", "/api/v1/items", headers={"Authorization": f"App {api_key}"})
    assert bearer.code == (401, "200")
    await suspend_account(cloud.store, cloud.account.name, 1)
    suspended = await cloud.client.request("POST", "/items", {"name": "a"})
    assert (suspended.status, suspended.error) == (403, {"code": "77202", "message": "the account is suspended"})


async def test_what_the_log_says_of_strangers(cloud: Cloud) -> None:
    """Never a secret, be it at the place of the access key."""
    key, at = cloud.key, next_time()
    assert (await cloud.client.request("POST", "/items", {"name": "a"}, timestamp=at)).status == 201
    with told(requests="off", refused="off") as lines:
        await cloud.client.request("GET", "/items", signed="/")
        await cloud.client.request("GET", "/items", timestamp="1521787414578")
        await cloud.client.request("POST", "/items", {}, timestamp=at)
        for swapped in (None, "1521787414578"):
            other = NaverClient(cloud.port, key.secret, key.id)
            await other.request("GET", "/items", timestamp=swapped)
        await send(cloud.port, "GET", "/api/v1/items")
    assert [(line["why"], line["login"]) for line in lines] == [
        ("bad_credentials", key.id),
        ("stale", key.id),
        ("replay", key.id),
        ("bad_credentials", "(signature)"),
        ("bad_credentials", "(signature)"),
    ]
    assert key.secret not in str(lines)


SAID = {
    "en": {
        "200": ("Authentication Failed", "Invalid authentication information."),
        "missing": "Authentication information are missing.",
        "210": ("Permission Denied", "the access key may not do this: it does not have the scope manage"),
        "300": ("Not Found Exception", "URL not found."),
        "77001": "PUT is not possible here",
        "77002": "the request body must be application/json",
        "77102": "name is missing",
        "77103": "there is nothing with the number x",
        "77202": "the account is suspended",
    },
    "ko": {
        "200": ("인증에 실패했습니다", "인증 정보가 올바르지 않습니다."),
        "missing": "인증 정보가 없습니다.",
        "210": ("권한이 없습니다", "이 액세스 키로는 이 작업을 할 수 없습니다. manage 권한이 필요합니다"),
        "300": ("찾을 수 없습니다", "URL을 찾을 수 없습니다."),
        "77001": "여기에서는 PUT 메서드를 사용할 수 없습니다",
        "77002": "요청 본문은 application/json 형식이어야 합니다",
        "77102": "name 값이 필요합니다",
        "77103": "번호가 x인 리소스가 없습니다",
        "77202": "계정이 정지되었습니다",
    },
    "zh": {
        "200": ("认证失败", "认证信息无效。"),
        "missing": "缺少认证信息。",
        "210": ("没有权限", "该访问密钥不能执行此操作：需要 manage 权限"),
        "300": ("未找到", "未找到该 URL。"),
        "77001": "此处不能使用 PUT 方法",
        "77002": "请求正文必须是 application/json",
        "77102": "缺少 name",
        "77103": "不存在编号为 x 的资源",
        "77202": "账户已被停用",
    },
    "ja": {
        "200": ("認証に失敗しました", "認証情報が正しくありません。"),
        "missing": "認証情報がありません。",
        "210": ("権限がありません", "このアクセスキーではこの操作ができません（スコープ manage が必要です）"),
        "300": ("見つかりません", "URL が見つかりません。"),
        "77001": "PUT はここでは使えません",
        "77002": "リクエストボディは application/json で指定してください",
        "77102": "name を指定してください",
        "77103": "番号 x のものはありません",
        "77202": "アカウントは停止されています",
    },
}
ASKED = {
    "en-US": "en",
    "ko-KR": "ko",
    "zh-CN": "zh",
    "ja-JP": "ja",
    "KO-kr": "ko",
    "fr-FR": "en",
    "ko": "en",
    "": "en",
}


async def test_errors_are_told_in_the_language_that_is_asked_for(cloud: Cloud) -> None:
    gone = await create_account(cloud.store, "gone", 1)
    keys = {
        "suspended": await cloud.add_key(gone.id),
        "reader": await cloud.add_key(scopes=["read"]),
        "revoked": await cloud.add_key(),
        "elsewhere": await cloud.add_key(networks=["192.0.2.0/24"]),
    }
    await suspend_account(cloud.store, "gone", 1)
    await revoke_credential(cloud.store, keys["revoked"].credential.id, 1)
    for lang, language in ASKED.items():
        said: Any = SAID[language]

        def client(key: str = "", lang: str = lang) -> NaverClient:
            return cloud.client_of(keys[key] if key else cloud.key, lang=lang)

        def gateway(code: str, details: str = "", said: Any = said) -> dict[str, str]:
            return {"errorCode": code, "message": said[code][0], "details": details or said[code][1]}

        def service(code: str, said: Any = said) -> dict[str, str]:
            return {"code": code, "message": said[code]}

        unknown = NaverClient(cloud.port, "EK" + "A" * 18, "x", lang=lang)
        nobody = await send(cloud.port, "GET", "/api/v1/items", headers={"x-ncp-lang": lang} if lang else {})
        at = next_time()
        assert (await client().request("POST", "/items", {"name": "a"}, timestamp=at)).status == 201
        xml = {"Content-Type": "application/xml"}
        cases: dict[str, tuple[Reply, int, dict[str, str]]] = {
            "missing": (nobody, 401, gateway("200", said["missing"])),
            "wrong": (await client().request("GET", "/items", signed="/"), 401, gateway("200")),
            "stale": (await client().request("GET", "/items", timestamp="1521787414578"), 401, gateway("200")),
            "replayed": (await client().request("POST", "/items", {}, timestamp=at), 401, gateway("200")),
            "unknown": (await unknown.request("GET", "/items"), 401, gateway("200")),
            "revoked": (await client("revoked").request("GET", "/items"), 401, gateway("200")),
            "elsewhere": (await client("elsewhere").request("GET", "/items"), 401, gateway("200")),
            "scope": (await client("reader").request("POST", "/items", {}), 401, gateway("210")),
            "path": (await client().request("GET", "/nothing"), 404, gateway("300")),
            "suspended": (await client("suspended").request("GET", "/items"), 403, service("77202")),
            "method": (await client().request("PUT", "/items", {}), 405, service("77001")),
            "media type": (
                await client().request("POST", "/items", body=b"<a/>", headers=xml),
                415,
                service("77002"),
            ),
            "value": (await client().request("POST", "/items", {}), 400, service("77102")),
            "resource": (await client().request("GET", "/items/x"), 400, service("77103")),
        }
        for name, (reply, status, error) in cases.items():
            assert (reply.status, reply.json) == (status, {"error": error}), (lang, name)
            assert reply.headers["content-type"] == "application/json"
        assert set(cases["method"][0].headers["allow"].split(", ")) >= {"GET", "POST", "DELETE"}
        # Not of the header of another dialect.
        other = await client().request("PUT", "/items", {}, headers={"Accept-Language": "ja"})
        assert other.error == cases["method"][2]
        label = (await client().request("GET", "/items")).json["content"][0]["status"]
        assert label == labelled("email_status", "PF", TAGS.get(lang.lower(), "en"))


async def test_where_nothing_is(cloud: Cloud) -> None:
    for base in ("/api/v1", "/api/v1-sgn", "/api/v1-jpn"):
        for path in ("", "/", "/nothing", "/items/3/x", "/mails/requests/x/y/z"):
            reply = await send(cloud.port, "GET", base + path, headers={"x-ncp-lang": "en-US"})
            assert reply.status == 404
            assert reply.error == {
                "errorCode": "300",
                "message": "Not Found Exception",
                "details": "URL not found.",
            }
    assert (await cloud.client.request("GET", "/items/x")).code == (400, "77103")
    assert (await cloud.client.request("GET", "/items/" + "9" * 300)).code == (400, "77103")
    assert (await cloud.client.request("GET", "/items/" + "9" * 600)).code == (400, "77103")
    # Beside these the path is not NAVER's.
    assert "error" not in (await send(cloud.port, "GET", "/api/v2/mails")).json


LENIENT: list[tuple[Any, dict[str, Any]]] = [
    ({"name": "a", "count": None, "loud": None, "note": None, "words": None, "part": None, "x": [1]}, {}),
    (
        {"name": 5, "count": "7", "loud": "true", "note": 1.5},
        {"name": "5", "count": 7, "loud": True, "note": "1.5"},
    ),
    (
        {"name": True, "count": 7.0, "loud": 1, "words": [1, None, "b"]},
        {"name": "true", "count": 7, "loud": True, "words": ["1", "b"]},
    ),
    ({"name": "a", "part": {"name": 1, "size": "", "x": {}}}, {"part": {"name": "1", "size": None}}),
    ({"name": "a", "parts": [{"name": "b", "size": "3"}, None]}, {"parts": [{"name": "b", "size": 3}]}),
    ({"name": "null", "parameters": {"a": None, "b": 1}}, {"name": "null", "parameters": {"a": None, "b": 1}}),
]


async def test_what_clients_are_used_to(cloud: Cloud) -> None:
    for body, made in LENIENT:
        reply = await cloud.client.request("POST", "/items/", body)
        assert reply.status == 201, reply.body
        assert reply.json == MADE | made


async def test_media_types(cloud: Cloud) -> None:
    body = b'{"name":"a"}'
    for given_type, status in (
        ("application/json; charset=UTF-8", 201),
        ("Application/JSON", 201),
        ("application/json;", 201),
        ("", 201),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("multipart/form-data; boundary=x", 415),
    ):
        reply = await cloud.client.request("POST", "/items", body=body, headers={"Content-Type": given_type})
        assert reply.status == status, given_type
    # A DELETE has a body.
    gone = await cloud.client.request("DELETE", "/items", {"name": "a", "words": ["x"]})
    assert (gone.status, gone.json) == (200, ["x"])


BODIES = (
    (b"", 400, "77102", "name is missing"),
    (b"null", 400, "77102", "name is missing"),
    (b'{"name":null}', 400, "77102", "name is missing"),
    (b"{", 400, "77102", "the request body is not JSON"),
    (b"[]", 400, "77102", "the request body does not have the expected form"),
    (b'{"name":"\xff"}', 400, "77102", "the request body is not JSON"),
    (b'{"name":"a","note":"\\ud800"}', 400, "77102", "the request body is not JSON"),
    (b'{"name":"a\\u0000"}', 400, "77102", "the request body must not have the character U+0000"),
    (b'{"name":{}}', 400, "77102", "name has an unexpected value"),
    (b'{"name":"a","count":"seven"}', 400, "77102", "count has an unexpected value"),
    (b'{"name":"a","count":1e400}', 400, "77102", ""),
    (b'{"name":"a","count":99999999999999999999}', 400, "77102", "count has an unexpected value"),
    (b'{"name":"a","parts":[{"name":"b"},{"size":1}]}', 400, "77102", "parts[1].name is missing"),
    (b'{"name":"a","x":[[[[[[]]]]]]}', 400, "77102", "the request body is nested deeper than 5 levels"),
    (b'{"name":"a","words":[' + b'"",' * 60 + b'""]}', 400, "77102", "the request has more than 50 values"),
    (b'{"name":"' + b"a" * 2_000 + b'"}', 413, "430", "the request is too large: 2000 octets are the most"),
)


async def test_bodies_that_cannot_be(cloud: Cloud) -> None:
    for body, status, code, message in BODIES:
        reply = await cloud.client.request("POST", "/items", body=body)
        assert reply.code == (status, code)
        assert (reply.error.get("message") if status == 400 else reply.error["details"] or "").startswith(message)


async def test_an_escape_that_only_looks_like_nul_is_a_text(cloud: Cloud) -> None:
    reply = await cloud.client.request("POST", "/items", body=b'{"name":"a\\\\u0000"}')
    assert reply.json["name"] == "a\\u0000"


PAGES = (
    ("", (10, 0, ["createUtc DESC"])),
    ("size=5&page=3&sort=name", (5, 3, ["name ASC"])),
    ("size=&page=&sort=", (10, 0, ["createUtc DESC"])),
    ("size=9999", (1_000, 0, ["createUtc DESC"])),
    ("sort=name,DESC&sort=createUtc,asc&sort=name", (10, 0, ["name DESC", "createUtc ASC"])),
    ("sort=name,createUtc,desc", (10, 0, ["name DESC", "createUtc DESC"])),
    ("sort%5B0%5D=name,desc&sort[1]=createUtc&size[]=5", (5, 0, ["name DESC", "createUtc ASC"])),  # PHP
    ("sort[x]=name&[0]=1", (10, 0, ["createUtc DESC"])),
    ("size=0", "size must be a whole number from 1"),
    ("size=-1", "size must be a whole number from 1"),
    ("size=x", "size must be a whole number from 1"),
    ("page=-1", "page must be a whole number from 0"),
    ("page=99999999999999999999", "page must be a whole number from 0"),
    ("sort=body", "body cannot be sorted by; choose one of createUtc, name"),
    ("sort=desc", None),
    ("sid=-1", "sid must be a whole number from 0"),
    ("isUse=maybe", "isUse must be true or false"),
    ("name=%00", "name cannot have that value"),
    ("name=" + "x" * 3_000, "name cannot have that value"),
)


async def test_pages(cloud: Cloud) -> None:
    for query, expected in PAGES:
        reply = await cloud.client.request("GET", f"/items?{query}")
        if expected is None:
            assert reply.status == 200
        elif isinstance(expected, str):
            assert reply.code == (400, "77102")
            assert reply.error["message"].startswith(expected)
        else:
            size, number, sort = expected
            found = reply.json
            assert (found["size"], found["number"]) == (size, number)
            assert [f"{item['property']} {item['direction']}" for item in found["sort"]] == sort
            assert all(item["ascending"] is not item["descending"] for item in found["sort"])
            pages = -(-25 // size)
            assert (found["totalPages"], found["first"], found["last"]) == (pages, number == 0, number + 1 >= pages)
            assert list(found) == list(page_shape(None))


PERIODS = (
    ("", [None, None]),
    ("startUtc=1542694793240&endUtc=1542694793241", [1542694793240, 1542694793241]),
    ("startUtc=1542694793240&startDateTime=nonsense", [1542694793240, None]),
    ("startDateTime=2018-11-20&endDateTime=2018-11-20", [1542639600000, 1542725999999]),
    ("startDateTime=2018-11-20%2015:19", [1542694740000, None]),
    ("startDateTime=2018-11-20+15:19:53.240", [1542694793240, None]),
    ("startDateTime=2018-11-20+15:19:53+240", [1542694793240, None]),
    ("startDateTime=2018-11-20T15:19:53", "startDateTime is not a time such as 2018-11-20 15:19"),
    ("startDateTime=2018-13-20", "startDateTime is not a time"),
    ("endUtc=-5", "endUtc is not a time such as 1542694793240"),
    ("endUtc=999999999999999", "endUtc is not a time"),
    ("startUtc=2&endUtc=1", "the period ends before it begins"),
    ("period=x", "startUtc or startDateTime is needed"),
    ("period=x&startUtc=1", "endUtc or endDateTime is needed"),
)


async def test_periods(cloud: Cloud) -> None:
    for query, period in PERIODS:
        reply = await cloud.client.request("GET", f"/items?{query}")
        if isinstance(period, str):
            assert reply.code == (400, "77102")
            assert reply.error["message"].startswith(period)
        else:
            assert reply.json["content"][0]["period"] == period


@given(at=st.datetimes(timezones=st.just(ZONE), allow_imaginary=False))
def test_a_time_is_read_as_it_is_told(at: Any) -> None:
    millis = int(at.timestamp()) * 1000 + at.microsecond // 1000
    if not 0 <= millis <= 253_402_214_400_000:
        return
    found = nes_date(millis)
    assert found is not None
    assert_shape(found, NES_DATE)
    assert parse_time(found["formattedDateTime"]) == millis
    assert parse_time(found["formattedDate"]) <= millis <= parse_time(found["formattedDate"], end=True)


def test_the_example_of_a_time() -> None:
    assert nes_date(1542694793240) == {
        "utc": 1542694793240,
        "formattedDate": "2018-11-20",
        "formattedDateTime": "2018-11-20 15:19:53 240",
    }
    assert nes_date(None) is None


def test_labels_and_sentences_are_there_in_four_languages() -> None:
    for of, codes in all_labels().items():
        for code, texts in codes.items():
            assert set(texts) == set(TAGS.values()), f"{of}.{code}"
            assert all(texts.values()), f"{of}.{code}"
    assert set(all_labels()["email_status"]) == {"P", "R", "I", "S", "F", "U", "C", "PF"}

    def values(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}

    assert set(MESSAGES.values()) <= set(TEXTS.japanese)
    for language in ("ko", "zh"):
        found = catalogue(language)
        assert found.keys() >= TEXTS.japanese.keys()
        assert [text for text in found if values(text) != values(found[text])] == []
        path = Path(ekiden.dialects.naver.__file__).with_name(f"translations.{language}.json")
        assert len(path.read_text("utf-8").splitlines()) == len(found) + 2, "one entry a line"
    korean, chinese = (re.compile(letters) for letters in ("[가-힣]", "[一-鿿]"))
    assert [text for text in catalogue("ko").values() if not korean.search(text)] == []
    assert [text for text in catalogue("zh").values() if not chinese.search(text)] == []


async def test_a_fault_of_ours_says_nothing_of_us(cloud: Cloud) -> None:
    reply = await cloud.client.request("GET", "/fail")
    assert (reply.status, reply.error) == (500, {"code": "77303", "message": "an internal error occurred"})


async def test_nobody_has_a_place_while_a_client_takes_its_time(sqlite_url: str) -> None:
    held: list[int] = []

    async def note(call: Call) -> Response[bytes]:
        held.append(call.services.bodies.places.held(call.account_id))
        if await call.body.read_json():
            held.append(call.services.bodies.places.held(call.account_id))
        return answer({})

    async def hold(call: Call) -> Response[bytes]:
        held.append(call.services.bodies.places.held(call.account_id))
        return answer({})

    besides = (changes("PUT", "/much", note, much=True), reads("/much", hold))
    store = await open_store(sqlite_url)
    try:
        async with running_naver(store, besides=besides) as cloud:
            for body in (b"[1]", b'{"a":2}'):
                assert (await cloud.client.request("PUT", "/much", body=body)).status == 200
            assert held == [0, 1] * 2
            assert (await cloud.client.request("GET", "/much")).status == 200
            assert held[4:] == [1]
            assert cloud.worker.platform.bodies.places.free == cloud.worker.platform.bodies.places.total
    finally:
        await store.close()


async def test_who_asks_too_often(sqlite_url: str) -> None:
    store = await open_store(sqlite_url)
    async with running_naver(store, besides=MADE_UP, naver=NaverConfig(requests_per_second=2)) as cloud:
        replies = [await cloud.client.request("GET", "/items") for _ in range(20)]
        assert {reply.status for reply in replies} == {200, 429}
        refused = next(reply for reply in replies if reply.status == 429)
        assert refused.error == {
            "errorCode": "410",
            "message": "Throttle Limited",
            "details": "too many requests; try again later",
        }
        assert "retry-after" in refused.headers
    await store.close()


_TEXT = st.text(alphabet=st.characters(codec="latin-1", exclude_characters="\r\n\0"), max_size=40)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(data=st.data())
async def test_no_request_makes_a_500(cloud: Cloud, data: st.DataObject) -> None:
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "DELETE", "PATCH"]))
    escapes = st.sampled_from(
        ["%00", "%ff", "%2F", "%", "+", "&", "=", "?", "/", "a", "9", "size=", "sort=", "%EB"]
    )
    tail = "".join(data.draw(st.lists(escapes, max_size=8)))
    path = data.draw(st.sampled_from(["/items", "/items/", "/items?", "/config", "/", "?", "/mails/"])) + tail
    target = f"/api/v1{path}"
    headers = cloud.client.headers(method, target)
    if data.draw(st.booleans()):
        headers[data.draw(st.sampled_from(sorted(headers)))] = data.draw(_TEXT)
    if data.draw(st.booleans()):
        headers["x-ncp-lang"] = data.draw(_TEXT)
    body = None
    if method != "GET":
        names = st.sampled_from(Item.__struct_fields__)
        body = data.draw(
            st.binary(max_size=50)
            | st.dictionaries(names, _VALUES, max_size=4).map(lambda value: json.dumps(value).encode())
        )
        headers["Content-Type"] = data.draw(st.sampled_from(["application/json", "", "text/plain", "a;b;c"]))
    reply = await send(cloud.port, method, target, body, {name: text.strip() for name, text in headers.items()})
    assert reply.status in (200, 201, 400, 401, 404, 405, 413, 415), reply
    if reply.status >= 400:
        assert reply.code[0] == reply.status


async def test_a_signature_is_good_for_one_call_that_creates_on_every_worker(store: Store) -> None:
    async with running_naver(store, besides=MADE_UP) as cloud, second_worker(store) as port:
        one, other = cloud.client, NaverClient(port, cloud.key.id, cloud.key.secret)
        for first, second in ((one, one), (one, other)):
            at = str(int(time.time() * 1000) - 1_000 + (second is other))
            assert (await first.request("POST", "/items", {"name": "a"}, timestamp=at)).status == 201
            # Its body is not signed, so another one makes no other call of it.
            again = await second.request("POST", "/items", {"name": "b"}, timestamp=at)
            assert (again.status, again.error) == (401, INVALID)
            korean = await second.request("POST", "/items", {}, timestamp=at, headers={"x-ncp-lang": "ko-KR"})
            assert korean.error["details"] == "인증 정보가 올바르지 않습니다."
            # The same in another spelling is the same.
            signature = first.headers("POST", "/api/v1/items", at)["x-ncp-apigw-signature-v2"]
            spelled = await second.request(
                "POST", "/items", {}, timestamp=at, headers={"x-ncp-apigw-signature-v2": f"{signature} "}
            )
            assert spelled.error == INVALID
        # At once, to both: one of them is the first.
        at = str(int(time.time() * 1000) - 2_000)
        both = [client.request("POST", "/items", {"name": "a"}, timestamp=at) for client in (one, other) * 4]
        assert sorted(reply.status for reply in await asyncio.gather(*both)) == [201, *[401] * 7]
        # What changes nothing when it is said again, and what only reads, may be said again.
        for method, path in (("POST", "/config"), ("GET", "/items"), ("DELETE", "/items")):
            body = {"name": "a"} if method != "GET" else None
            again_too = [await client.request(method, path, body, timestamp=at) for client in (one, one, other)]
            assert {reply.status for reply in again_too} <= {200, 201}
        # Who may not do it uses nothing up.
        reader = cloud.client_of(await cloud.add_key(scopes=["read"]))
        for _ in range(2):
            assert (await reader.request("POST", "/items", {}, timestamp=at)).code == (401, "210")


def second_worker(store: Store) -> Any:
    from contextlib import asynccontextmanager
    from dataclasses import replace

    from ekiden.dialects.naver.dialect import NAVER
    from ekiden.dialects.naver.routes import naver_api

    @asynccontextmanager
    async def running() -> AsyncIterator[int]:
        naver = replace(NAVER, api=lambda services, section: naver_api(services, section, MADE_UP))
        async with real_worker(store, dialects=(naver,)) as worker:
            yield worker.port

    return running()


async def test_replays_may_be_taken(sqlite_url: str) -> None:
    """For clients whose requests share a millisecond."""
    store = await open_store(sqlite_url)
    async with running_naver(store, besides=MADE_UP, naver=NaverConfig(refuse_replays=False)) as cloud:
        at = str(int(time.time() * 1000))
        for _ in range(2):
            assert (await cloud.client.request("POST", "/items", {"name": "a"}, timestamp=at)).status == 201
    await store.close()
