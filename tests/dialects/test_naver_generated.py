"""Whatever is sent to whichever operation of NAVER's API, the answer has one of the documented shapes."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naver_cloud import Cloud, running_naver

from ekiden.dialects.naver.routes import OPERATIONS
from ekiden.store.open import open_store

REQUEST = "00000000000000000000"
"""Stands for the id of a request that there is."""
WORDS = [
    *(
        "a@x.example",
        "<b@x>",
        "A <a@b.example>",
        "a@" + "b" * 300 + ".example",
        "10대",
        "name with blanks",
        "-1",
        "0",
        "1",
    ),
    *(
        "99999999999999999999",
        "true",
        "null",
        "R",
        "C",
        "DAY",
        "HOUR",
        "180",
        "SEND_BLOCK_TIME",
        REQUEST,
    ),
    *(
        "2018-11-20",
        "2018-11-20 15:19",
        "9999-12-31 23:59:59.999",
        "0001-01-01",
        "createUtc,desc",
        "sid",
        "S",
        "PF",
        "X",
    ),
    *("${name}", "#{UNSUBSCRIBE_MESSAGE}", "<a@b.example>", "\0", "😀", "\r\nX: y", "%", "\u202e"),
    "f355aac1-7776-4c0b-8484-20eaa065cb65-99",
]
QUERY = [
    *(
        "size",
        "page",
        "sort",
        "startUtc",
        "endUtc",
        "startDateTime",
        "endDateTime",
        "requestId",
        "mailId",
        "sendStatus",
    ),
    *(
        "dispatchType",
        "title",
        "templateSid",
        "senderAddress",
        "recipientAddress",
        "groupName",
        "isUse",
        "type",
        "subType",
    ),
    *("targetAddress", "emailAddress", "isRegByManager"),
]
MEMBERS = [
    *("senderAddress", "senderName", "templateSid", "title", "body", "individual", "confirmAndSend", "advertising"),
    *("parameters", "referencesHeader", "reservationUtc", "reservationDateTime", "attachFileIds", "recipients"),
    *(
        "recipientGroupFilter",
        "useBasicUnsubscribeMsg",
        "unsubscribeMessage",
        "address",
        "name",
        "type",
        "andFilter",
    ),
    *(
        "groups",
        "groupName",
        "emailAddresses",
        "templateName",
        "categorySid",
        "categoryName",
        "parentSid",
        "lowerSid",
    ),
    *("description", "isUse", "value", "unit", "subType", "blockedReceivers"),
]
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
)
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(MEMBERS), inner, max_size=4),
    max_leaves=12,
)
ESCAPES = ["%00", "%ff", "a%40", "%F0%9F", "%25", "%0A", "'", "*" * 3000]
ADDRESSES = {"emailAddresses": ["a@b.example"]}
TEMPLATE = {"templateName": "t", "title": "t", "body": "b", "senderAddress": "a@b.example"}
PLAUSIBLE: dict[str, dict[str, Any]] = {
    "/mails": {
        "senderAddress": "a@sender.example",
        "title": "t",
        "body": "b",
        "recipients": [{"address": "c@d.example"}],
    },
    "/address-book": {"groups": [{"groupName": "g", **ADDRESSES}]},
    "/address-book/address": ADDRESSES,
    "/address-book/recipient-groups": {"groupName": "g"},
    "/address-book/recipient-groups/address": {"groupName": "g", **ADDRESSES},
    "/address-book/recipient-groups/address/empty": {"groupName": "g"},
    "/template": TEMPLATE,
    "/template/{sid:str}": TEMPLATE,
    "/template/{sid:str}/name-location": {"templateName": "t"},
    "/category": {"categoryName": "c", "parentSid": -1},
    "/category/{sid:str}/name-location": {"categoryName": "c"},
    "/config": {"type": "SEND_BLOCK_TIME", "value": "180", "unit": "HOUR"},
    "/unsubscribers": {"blockedReceivers": ["a@b.example"]},
}
NEEDED = {"/config": "type=SEND_BLOCK_TIME", "/send-block": "targetAddress=a@b.example"}


@pytest.fixture
async def sent(sqlite_url: str) -> AsyncIterator[tuple[Cloud, str]]:
    """With something of each kind, and the id of the request to mail."""
    store = await open_store(sqlite_url)
    async with running_naver(store) as running:
        await running.worker.services.domains.add(running.account.id, "sender.example", vouched=True)
        made = {
            path: await running.client.request("POST", path, PLAUSIBLE[path])
            for path in ("/mails", "/address-book", "/template", "/category", "/unsubscribers")
        }
        assert {reply.status for reply in made.values()} == {201}
        yield running, made["/mails"].json["requestId"]
    await store.close()


@settings(max_examples=400)
@given(data=st.data())
async def test_no_operation_makes_a_500(sent: tuple[Cloud, str], data: st.DataObject) -> None:
    cloud, request = sent
    operation = data.draw(st.sampled_from(OPERATIONS))
    named = st.sampled_from(["1", REQUEST]) | st.sampled_from(WORDS).filter(lambda word: "\0" not in word)
    path = re.sub(r"{\w+:str}", lambda _: quote(data.draw(named), safe=""), operation.path)
    values = st.sampled_from(WORDS).map(lambda word: quote(word, safe="")) | st.sampled_from(ESCAPES)
    pairs = st.lists(st.tuples(st.sampled_from(QUERY), values), max_size=3).map(lambda some: map("=".join, some))
    query = "&".join(filter(None, [*data.draw(pairs), NEEDED.get(path)]))
    body = None
    if operation.method != "GET":
        base = PLAUSIBLE.get(operation.path, {})
        changed = st.sampled_from([*base] or MEMBERS) | st.sampled_from(MEMBERS)
        changes = st.dictionaries(changed, _VALUES, max_size=2).map(lambda some: base | some)
        body = json.dumps(data.draw(st.just(base) | changes | _VALUES)).encode()
    target = (path + (f"?{query}" if query else "")).replace(REQUEST, request)
    reply = await cloud.client.request(operation.method, target, body=body)
    told = (operation.method, path, query, body, reply.status, reply.body)
    assert reply.status in (200, 201, 400, 404, 413, 415), told
    if reply.status >= 400:
        assert reply.code[0] == reply.status
