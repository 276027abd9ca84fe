"""The gateway of the NAVER dialect: who may ask, in which shape it says no, and how requests are read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from litestar import Response
from naver_cloud import Cloud, running_naver

from ekiden.access.credential_scopes import MANAGE
from ekiden.core.events import EventType
from ekiden.dialects.naver.http import answer
from ekiden.dialects.naver.paging import Order, read_page
from ekiden.dialects.naver.proof import targets
from ekiden.store.api import Store
from ekiden.web.need import Need
from ekiden.web.operation import Operation, reads
from support.naver_client import assert_shape, make_signature, page_shape, send

INVALID = {
    "errorCode": "200",
    "message": "Authentication Failed",
    "details": "Invalid authentication information.",
}


class Item(msgspec.Struct):
    name: str
    count: int = 1
    loud: bool = False
    note: str | None = None
    parts: list[str] = []
    size: int | None = None


async def _make(call: Any) -> Response[bytes]:
    return answer(await call.json(Item), 201)


async def _list(call: Any) -> Response[bytes]:
    page = read_page(call.query, ("createUtc", "name"), Order("createUtc", True))
    start, end = call.query.period(needed=False)
    content = [{"name": call.query.text("name"), "region": call.region, "period": [start, end]}]
    return answer(page.shape(content, 25))


async def _get(call: Any) -> Response[bytes]:
    return answer({"sid": call.sid("sid"), "tags": call.query.texts("tag")})


async def _fail(_: Any) -> Response[bytes]:
    raise RuntimeError(EventType.DEFERRED)


SMALL = Need(2_000, 50, 4)
MADE_UP = (
    Operation("POST", "/items", _make, MANAGE, SMALL),
    reads("/items", _list),
    Operation("DELETE", "/items/{sid:str}", _get, MANAGE),
    reads("/items/{sid:str}", _get),
    Operation("POST", "/config", _make, MANAGE, SMALL),
    reads("/fail", _fail),
)


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
    assert make_signature(method, url, "1521787414578", "testAccessKey", "testSecretKey") == signature
    path, _, query = url.encode().partition(b"?")
    assert targets(path, query)[0] == url.encode()


async def test_it_answers_whoever_signs(store: Store) -> None:
    async with running_naver(store, besides=MADE_UP) as cloud:
        made = await cloud.client.request("POST", "/items", {"name": "a"})
        assert made.status == 201
        assert_shape(
            made.json, {"name": "a", "count": 1, "loud": False, "note": None, "parts": [str], "size": None}
        )
        for base, region in (("/api/v1", "kr"), ("/api/v1-sgn", "sgn"), ("/api/v1-jpn", "jpn")):
            listed = await cloud.client_of(cloud.key, base).request("GET", "/items?size=10&page=2")
            assert_shape(listed.json, page_shape({"name": None, "region": region, "period": [None]}))
            assert (listed.json["totalPages"], listed.json["last"], listed.json["number"]) == (3, True, 2)
        nobody = await send(cloud.port, "GET", "/api/v1/items")
        assert (nobody.status, nobody.error) == (
            401,
            {
                "errorCode": "200",
                "message": "Authentication Failed",
                "details": "Authentication information are missing.",
            },
        )
        wrong = await cloud.client.request("GET", "/items", signed="/api/v1/other")
        assert (wrong.status, wrong.error) == (401, INVALID)


async def test_language(store: Store) -> None:
    async with running_naver(store, besides=MADE_UP) as cloud:
        found: Cloud = cloud
        for lang, text in (
            ("ko-KR", "인증에 실패했습니다"),
            ("zh-CN", "认证失败"),
            ("ja-JP", "認証に失敗しました"),
            ("en-US", "Authentication Failed"),
            ("xx", "Authentication Failed"),
        ):
            reply = await send(found.port, "GET", "/api/v1/items", headers={"X-NCP-LANG": lang})
            assert reply.error["message"] == text
