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
PLAUSIBLE: list[dict[str, Any]] = [
    {"senderAddress": "a@sender.example", "title": "t", "body": "b", "recipients": [{"address": "c@d.example"}]},
    {"groups": [{"groupName": "g", "emailAddresses": ["a@b.example"]}]},
    {"groupName": "g", "emailAddresses": ["a@b.example"]},
    {"templateName": "t", "title": "t", "body": "b", "senderAddress": "a@b.example"},
    {"categoryName": "c", "parentSid": -1},
    {"type": "SEND_BLOCK_TIME", "value": "180", "unit": "HOUR"},
    {"blockedReceivers": ["a@b.example"]},
]


@pytest.fixture
async def sent(sqlite_url: str) -> AsyncIterator[tuple[Cloud, str]]:
    """With a request that was made, and its id."""
    store = await open_store(sqlite_url)
    async with running_naver(store) as running:
        await running.worker.services.domains.add(running.account.id, "sender.example", vouched=True)
        made = await running.client.request("POST", "/mails", PLAUSIBLE[0])
        assert made.status == 201, made.body
        yield running, made.json["requestId"]
    await store.close()


@settings(max_examples=80)
@given(data=st.data())
async def test_no_operation_makes_a_500(sent: tuple[Cloud, str], data: st.DataObject) -> None:
    cloud, request = sent
    operation = data.draw(st.sampled_from(OPERATIONS))
    named = st.sampled_from(WORDS).filter(lambda word: "\0" not in word)
    path = re.sub(r"{\w+:str}", lambda _: quote(data.draw(named), safe=""), operation.path)
    given_query = data.draw(st.lists(st.tuples(st.sampled_from(QUERY), st.sampled_from(WORDS)), max_size=5))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in given_query)
    body = None
    if operation.method != "GET":
        base = data.draw(st.sampled_from(PLAUSIBLE) | st.just({}))
        found = base | data.draw(st.dictionaries(st.sampled_from(MEMBERS), _VALUES, max_size=4))
        body = json.dumps(found).encode()
    target = (path + (f"?{query}" if query else "")).replace(REQUEST, request)
    reply = await cloud.client.request(operation.method, target, body=body)
    told = (operation.method, path, query, body, reply.status, reply.body)
    assert reply.status in (200, 201, 400, 404, 413, 415), told
    if reply.status >= 400:
        assert reply.code[0] == reply.status
