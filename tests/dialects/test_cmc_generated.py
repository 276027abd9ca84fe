"""Whatever is sent to whichever operation of Customers Mail Cloud's API, the answer has one of its shapes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from cmc_cloud import DOMAIN, KEY, SENDER, USER, Cloud, running_cmc
from hypothesis import given, settings
from hypothesis import strategies as st

from ekiden.dialects.cmc.routes import OPERATIONS
from ekiden.store.open import open_store
from support.cmc_client import FORM, URLENCODED, Part, form_of

WORDS = [
    *(
        "a@x.example",
        "A <a@b.example>",
        SENDER,
        "a@" + "b" * 300 + ".example",
        "<>",
        "名前",
        "-1",
        "0",
        "1",
        "99",
        "null",
    ),
    *(
        "true",
        "false",
        "pro",
        "te",
        "login",
        "operation",
        "queued",
        "failed",
        "2027-01-15",
        "2026-02-30",
        "0001-01-01",
    ),
    *(
        "9998-12-31",
        "UTF-8",
        "ISO-2022-JP",
        "x-none",
        "((#name#))",
        "((#",
        "{{a}}",
        "\0",
        "😀",
        "①",
        "\r\nX: y",
        "%",
        "_",
    ),
    *(
        '{"name":"a","address":"a@x.example"}',
        '["a@x.example"]',
        "[",
        "{}",
        "[[]]",
        '{"X-Api-Data":"a"}',
        "b1",
        "'",
    ),
    *("\u202e", "\ud800", "x" * 600),
]
NAMES = [
    *(
        "to",
        "cc",
        "bcc",
        "from",
        "replyto",
        "subject",
        "text",
        "html",
        "headers",
        "charset",
        "envfrom",
        "attachments",
    ),
    *(
        "server_composition",
        "date",
        "hour",
        "minute",
        "p",
        "r",
        "status",
        "api_data",
        "search_option",
        "start_date",
    ),
    *(
        "end_date",
        "email",
        "removed",
        "year",
        "month",
        "total",
        "type",
        "account",
        "filter_name",
        "id",
        "unknown",
        "",
    ),
]
single = st.one_of(
    st.sampled_from(WORDS), st.integers(-2, 2**70), st.floats(), st.booleans(), st.none(), st.text(max_size=10)
)
values = st.recursive(
    single,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from([*WORDS, "name", "address", "value"]), inner, max_size=3),
    ),
    max_leaves=8,
)
bodies = st.dictionaries(st.sampled_from(NAMES), values, max_size=8)
RIGHT = {"to": "a@x.example", "from": SENDER, "subject": "s", "text": "t", "server_composition": "pro"}
LISTED = {"date": "2026-11-30", "year": 2026, "month": 11, "type": "operation"}
PATHS = [operation.path for operation in OPERATIONS]


@pytest.fixture
async def cloud(sqlite_url: str) -> AsyncIterator[Cloud]:
    store = await open_store(sqlite_url)
    async with running_cmc(store) as running:
        yield running
    await store.close()


def check(status: int, headers: dict[str, str], body: bytes, of: Any) -> None:
    assert status < 500 or b"01-001" not in body, (of, status, body)
    assert status in (200, 400, 401, 403, 415), (of, status, body)
    kind = headers["content-type"]
    if kind == "application/octet-stream":
        assert body[:2] == b"PK"
    elif kind == "application/xml":
        root = ElementTree.fromstring(body)
        assert (root.tag == "errors") == (status != 200)
    else:
        found = json.loads(body)
        assert len(found) == 1, found
        assert ("errors" in found) == (status != 200)
        for item in found.get("errors", ()):
            assert set(item) == {"code", "field", "message"}


async def test_whatever_is_sent(cloud: Cloud) -> None:
    """Examples are made here and sent over a few connections at a time."""
    examples: list[tuple[str, bytes, str]] = []

    @settings(max_examples=300)
    @given(st.sampled_from(PATHS), bodies, st.booleans(), st.sampled_from(["json", "form", "multipart"]))
    def collect(path: str, body: dict[str, Any], complete: bool, way: str) -> None:
        given_ = {"api_user": USER, "api_key": KEY, **((RIGHT | LISTED) if complete else {}), **body}
        if way == "json":
            text = json.dumps(given_).encode()
            examples.append((path, text, "application/json"))
            return
        texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in given_.items()}
        clean = {name: value.encode("utf-8", "replace").decode() for name, value in texts.items()}
        if way == "form":
            examples.append((path, urlencode(clean).encode(), URLENCODED))
        else:
            parts = [Part(name or "x", value.encode()) for name, value in clean.items()]
            parts.append(Part("attachment1", b"x", "名.txt"))
            examples.append((path, form_of(parts), FORM))

    collect()
    assert len(examples) >= 300
    places = asyncio.Semaphore(4)

    async def ask(path: str, body: bytes, content_type: str) -> None:
        async with places:
            reply = await cloud.client.raw(path, body, content_type)
        check(reply.status, reply.headers, reply.body, (path, body[:500]))

    await asyncio.gather(*(ask(*example) for example in examples))
    assert DOMAIN


async def test_octets_of_any_kind(cloud: Cloud) -> None:
    examples: list[bytes] = []

    @settings(max_examples=60)
    @given(st.binary(max_size=300), st.integers(0, 100))
    def collect(octets: bytes, at: int) -> None:
        whole = json.dumps({"api_user": USER, "api_key": KEY, **RIGHT}).encode()
        examples.append(whole[:at] + octets + whole[at:])

    collect()
    places = asyncio.Semaphore(4)

    async def ask(body: bytes, content_type: str) -> None:
        async with places:
            reply = await cloud.client.raw(PATHS[0], body, content_type)
        check(reply.status, reply.headers, reply.body, body)

    kinds = ("application/json", URLENCODED, FORM)
    await asyncio.gather(*(ask(body, kinds[number % 3]) for number, body in enumerate(examples)))
