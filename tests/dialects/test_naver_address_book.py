"""``/address-book`` of the NAVER dialect, over HTTP with real signatures."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from naver_cloud import Cloud, running_naver

from ekiden.content import address_book as books
from ekiden.dialects.naver import addresses
from ekiden.dialects.naver.operations import address_book
from ekiden.dialects.naver.translations import Language, sentence
from ekiden.store.api import Store
from ekiden.store.open import open_store
from support.naver_client import Reply, assert_shape

STATE = {"totalAddressCount": int, "groups": [{"sid": int, "groupName": str, "addressCount": int}]}
BOOK = "/address-book"
GROUPS = f"{BOOK}/recipient-groups"
TAG_OF: dict[Language, str] = {"en": "en-US", "ko": "ko-KR", "zh": "zh-CN", "ja": "ja-JP"}
EVERYBODY = [f"a{number}@x.example" for number in range(1, 7)]


def shown(reply: Reply, status: int = 200) -> tuple[int, dict[str, int]]:
    assert reply.status == status, reply.body
    assert_shape(reply.json, STATE)
    assert list(reply.json) == ["totalAddressCount", "groups"]
    return reply.json["totalAddressCount"], {
        group["groupName"]: group["addressCount"] for group in reply.json["groups"]
    }


async def settled(cloud: Cloud) -> tuple[int, dict[str, int]]:
    assert await cloud.worker.platform.address_books.settle(cloud.account.id, 60)
    return shown(await cloud.client.request("GET", BOOK))


def groups(**members: list[str] | None) -> dict[str, Any]:
    return {"groups": [{"groupName": name, "emailAddresses": given} for name, given in members.items()]}


async def test_the_life_of_an_address_book(store: Store) -> None:
    async with running_naver(store) as cloud:
        ask = cloud.client.request
        assert shown(await ask("GET", BOOK)) == (0, {})
        # What is added comes by and by; the answer is the state before.
        body = groups(**{"10대": EVERYBODY[:4], "남자": [EVERYBODY[0], "B@x.example"], "empty": None})
        assert shown(await ask("POST", BOOK, body), 201) == (0, {})
        assert await settled(cloud) == (5, {"10대": 4, "남자": 2, "empty": 0})
        assert shown(await ask("POST", BOOK, groups(empty=EVERYBODY[4:5])), 201) == (
            5,
            {"10대": 4, "남자": 2, "empty": 0},
        )
        before = await settled(cloud)
        assert before == (6, {"10대": 4, "남자": 2, "empty": 1})
        sids = [group["sid"] for group in (await ask("GET", BOOK)).json["groups"]]
        assert sids == sorted(set(sids))
        # The same book in every region, and for nobody else.
        for base in ("/api/v1-sgn", "/api/v1-jpn"):
            assert shown(await cloud.client_of(cloud.key, base).request("GET", BOOK)) == before

        gone = {"emailAddresses": ["A1@x.example", "nobody@x.example", " b@x.example "]}
        assert shown(await ask("DELETE", f"{BOOK}/address", gone)) == (4, {"10대": 3, "남자": 0, "empty": 1})
        left = {"groupName": "10대", "emailAddresses": [EVERYBODY[1], "nobody@x.example"]}
        assert shown(await ask("DELETE", f"{GROUPS}/address", left)) == (4, {"10대": 2, "남자": 0, "empty": 1})
        # Signed as the documents print it, sent as HTTP clients do.
        name = f"?groupName={quote('10대')}"
        emptied = await ask(
            "DELETE", f"{GROUPS}/address/empty{name}", signed=f"/api/v1{GROUPS}/address/empty?groupName=10대"
        )
        assert shown(emptied) == (4, {"10대": 0, "남자": 0, "empty": 1})
        assert shown(await ask("DELETE", f"{GROUPS}{name}")) == (4, {"남자": 0, "empty": 1})
        assert shown(await ask("DELETE", f"{GROUPS}/?groupName=empty")) == (4, {"남자": 0})
        reply = await ask("DELETE", BOOK)
        assert reply.status == 200
        assert_shape(reply.json, {"deletedAddressCount": 4})
        assert await settled(cloud) == (0, {})
        assert_shape((await ask("DELETE", BOOK)).json, {"deletedAddressCount": 0})


@pytest.fixture
async def cloud(sqlite_url: str) -> Any:
    """Nothing here depends on the engine."""
    store = await open_store(sqlite_url)
    async with running_naver(store) as running:
        yield running
    await store.close()


async def test_habits_of_clients(cloud: Cloud) -> None:
    ask = cloud.client.request
    body = {
        "attachFiles": None,
        "groups": [
            {"groupName": 10, "emailAddresses": ["a@x.example", None, "a@x.example"], "description": None},
            {"groupName": "나.다_라-마", "emailAddresses": []},
            {"groupName": " 日本語 "},
            {"groupName": "\u1100\u1161", "emailAddresses": ["a@例え.jp"]},  # NFD
            {"groupName": "हिन्दी"},  # vowels are marks
        ],
    }
    assert shown(await ask("POST", f"{BOOK}/", body), 201) == (0, {})
    everything = {"10": 1, "나.다_라-마": 0, "日本語": 0, "가": 1, "हिन्दी": 0}
    assert await settled(cloud) == (2, everything)
    # Blanks around a name are no part of it, where it is given and where it is asked for.
    assert shown(await ask("DELETE", f"{GROUPS}/address/empty?groupName={quote(' 日本語 ')}")) == (2, everything)
    left = {"groupName": " 10 ", "emailAddresses": ["a@x.example"]}
    assert shown(await ask("DELETE", f"{GROUPS}/address", left)) == (2, {**everything, "10": 0})
    assert shown(await ask("DELETE", f"{GROUPS}?groupName={quote('가')}&x=1"))[0] == 2


WRONG: list[tuple[str, str, Any, str]] = [
    *(
        ("POST", BOOK, value, "77102")
        for value in (
            {},
            {"groups": []},
            {"groups": None},
            {"groups": {"groupName": "a"}},
            {"groups": ["a"]},
            {"groups": [{"emailAddresses": ["a@x.example"]}]},
            {"groups": [{"groupName": "", "emailAddresses": ["a@x.example"]}]},
            {"groups": [{"groupName": "a b"}]},
            {"groups": [{"groupName": "a/b"}]},
            {"groups": [{"groupName": "a!"}]},
            {"groups": [{"groupName": "x" * 101}]},
            {"groups": [{"groupName": "a"}, {"groupName": "a"}]},
            {"groups": [{"groupName": "a", "emailAddresses": "a@x.example"}]},
            {"groups": [{"groupName": "a", "emailAddresses": ["a@x.example", "no address"]}]},
            {"groups": [{"groupName": "a", "emailAddresses": [{"address": "a@x.example"}]}]},
            {"groups": [{"groupName": "a", "emailAddresses": ["x" * 400 + "@x.example"]}]},
            [],
            "text",
        )
    ),
    ("DELETE", f"{BOOK}/address", {}, "77102"),
    ("DELETE", f"{BOOK}/address", None, "77102"),
    ("DELETE", f"{BOOK}/address", {"emailAddresses": []}, "77102"),
    ("DELETE", f"{BOOK}/address", {"emailAddresses": ["no address"]}, "77102"),
    ("DELETE", GROUPS, None, "77102"),
    ("DELETE", f"{GROUPS}?groupName=", None, "77102"),
    ("DELETE", f"{GROUPS}?groupName=none", None, "77103"),
    ("DELETE", f"{GROUPS}/address/empty", None, "77102"),
    ("DELETE", f"{GROUPS}/address/empty?groupName=none", None, "77103"),
    ("DELETE", f"{GROUPS}/address", {"emailAddresses": ["a@x.example"]}, "77102"),
    ("DELETE", f"{GROUPS}/address", {"groupName": "here"}, "77102"),
    ("DELETE", f"{GROUPS}/address", {"groupName": "none", "emailAddresses": ["a@x.example"]}, "77103"),
]


async def test_what_is_wrong_changes_nothing(cloud: Cloud) -> None:
    ask = cloud.client.request
    await ask("POST", BOOK, groups(here=["b@x.example"]))
    before = await settled(cloud)
    for method, path, value, code in WRONG:
        reply = await ask(method, path, value)
        assert reply.code == (400, code), (method, path, value)
    assert await settled(cloud) == before
    text = await ask("POST", BOOK, body=b"groups=1", headers={"Content-Type": "text/plain"})
    assert text.code == (415, "77002")
    assert (await ask("PUT", BOOK, {})).code == (405, "77001")
    for lang in ("en", "ko", "zh", "ja"):
        reply = await cloud.client_of(cloud.key, lang=TAG_OF[lang]).request("POST", BOOK, groups(**{"a b": []}))
        template = "{field} must have 1 to {longest} letters, digits, periods, underscores and hyphens"
        told = sentence(template, lang, field="groups[0].groupName", longest=100)
        assert (reply.code, reply.error["message"]) == ((400, "77102"), told)


async def test_a_name_that_is_none_is_told_by_its_member(cloud: Cloud) -> None:
    ask = cloud.client.request
    for reply in (
        await ask("DELETE", f"{GROUPS}?groupName={'x' * 101}"),
        await ask("DELETE", f"{GROUPS}/address/empty?groupName=a%0Ab"),
        await ask("DELETE", f"{GROUPS}/address", {"groupName": "", "emailAddresses": ["a@x.example"]}),
    ):
        assert reply.code == (400, "77102")
        assert reply.error["message"].startswith("groupName has ")


async def test_how_much_is_taken(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ask = cloud.client.request
    monkeypatch.setattr(addresses, "MOST", 5)
    monkeypatch.setattr(address_book, "MOST", 5)
    monkeypatch.setattr(books, "MAX_GROUPS", 2)
    assert (await ask("POST", BOOK, groups(a=EVERYBODY[:3], b=EVERYBODY[3:]))).code == (400, "77102")
    assert (await ask("DELETE", f"{BOOK}/address", {"emailAddresses": EVERYBODY})).code == (400, "77102")
    assert (await ask("POST", BOOK, groups(a=[], b=[], c=[]))).code == (400, "77102")
    assert (await ask("POST", BOOK, groups(a=[], b=EVERYBODY[:5]))).status == 201
    large = await ask("POST", BOOK, body=b" " * (addresses.OCTETS + 1))
    assert large.code == (413, "430")


async def test_who_may(cloud: Cloud) -> None:
    reader = cloud.client_of(await cloud.add_key(scopes=("read",)))
    assert (await reader.request("GET", BOOK)).status == 200
    for method in ("POST", "DELETE"):
        assert (await reader.request(method, BOOK, {})).code == (401, "210")
    sender = cloud.client_of(await cloud.add_key(scopes=("send",)))
    assert (await sender.request("GET", BOOK)).code == (401, "210")
