"""Times in all spellings, settings, parameters of queries, JSON bodies."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from infobip_probe import AT, Probe, probing

from ekiden.dialects.infobip.config import InfobipConfig
from ekiden.dialects.infobip.times import parse_time, timestamp, timestamp_z
from ekiden.web.throttle import Throttle


@pytest.fixture
async def probe() -> AsyncIterator[Probe]:
    async with probing() as running:
        yield running


def test_times_going_out() -> None:
    assert timestamp(AT) == "2025-12-01T12:00:00.000+0000"
    assert timestamp(AT + 7) == "2025-12-01T12:00:00.007+0000"
    assert timestamp_z(AT + 59_999) == "2025-12-01T12:00:59.999Z"


@pytest.mark.parametrize(
    "text",
    [
        "2025-12-01T12:00:00.123+00:00",
        "2025-12-01T12:00:00.123000+00:00",
        "2025-12-01T12:00:00.123000+0000",
        "2025-12-01T12:00:00.123+0000",
        "2025-12-01T12:00:00.123 0000",
        "2025-12-01T12:00:00.123456789Z",
        "2025-12-01T12:00:00.123Z",
        "2025-12-01t12:00:00.123z",
        "2025-12-01 12:00:00,123",
        "2025-12-01T21:00:00.123+09:00",
        "2025-12-01T21:00:00.123+09",
        "2025-12-01T06:30:00.123-0530",
        " 2025-12-01T12:00:00.123 ",
    ],
)
def test_times_coming_in(text: str) -> None:
    assert parse_time(text) == AT + 123


def test_times_without_the_smaller_parts() -> None:
    assert parse_time("2025-12-01T12:00Z") == parse_time("2025-12-01T12:00:00") == AT
    assert parse_time("2025-12-01T12:00:00.5Z") == AT + 500


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2025-12-01",
        "2025-13-01T12:00:00Z",
        "2025-02-30T12:00:00Z",
        "2025-12-01T24:00:00Z",
        "2025-12-01T12:00:60Z",
        "2025-12-01T12:00:00+25:00",
        "2025-12-01T12:00:00Z\n2",
        "1764590400000",
        "٢٠٢٥-12-01T12:00:00Z",
        "0000-01-01T00:00:00Z",
        "2025-12-01T12:00:00.Z",
        "2025-W01-1T00:00:00",
    ],
)
def test_no_times(text: str) -> None:
    with pytest.raises(ValueError):
        parse_time(text)


@given(st.integers(0, 4_102_444_800_000))
def test_times_survive(at: int) -> None:
    assert parse_time(timestamp(at)) == parse_time(timestamp_z(at)) == at


@given(st.text(max_size=40))
def test_any_text_is_a_time_or_an_error(text: str) -> None:
    with suppress(ValueError):
        assert isinstance(parse_time(text), int)


def test_the_first_and_the_last_time() -> None:
    assert parse_time("0001-01-01T00:00:00+23:59") < 0
    assert parse_time("9999-12-31T23:59:59.999-23:59") > 0


def test_throttles_are_the_contracts() -> None:
    assert InfobipConfig().throttles() == {
        "sends": Throttle(4_000, 1, 4_000),
        "uploads": Throttle(500, 1, 500),
        "reports": Throttle(60, 60, 60),
        "logs": Throttle(60, 60, 60),
        "reports_v4": Throttle(120, 60, 120),
        "logs_v4": Throttle(120, 60, 120),
        "bulks": Throttle(100, 60, 100),
        "validations": Throttle(150, 1, 150),
        "bulk_validations": Throttle(1, 1, 1),
        "domains": Throttle(1, 1, 5),
        "suppressions": Throttle(100, 1, 100),
        "template_reads": Throttle(10, 1, 10),
        "template_writes": Throttle(1, 1, 1),
    }
    assert msgspec.convert({"logs_per_minute": 0}, InfobipConfig).throttles()["logs"].requests == 0


@pytest.mark.parametrize("wrong", [{"max_recipients": 0}, {"logs_per_minute": -1}, {"session_ttl": 5}, {"x": 1}])
def test_settings_that_cannot_be(wrong: dict[str, int]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, InfobipConfig)


async def violations(probe: Probe, body: bytes | str, content_type: str = "application/json") -> dict[str, str]:
    content = body if isinstance(body, bytes) else body.encode()
    reply = await probe.client.post("/json", content=content, headers={"Content-Type": content_type})
    assert reply.status_code == 400, reply.text
    return {found["property"]: found["violation"] for found in reply.json()["violations"]}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ("{}", {"to": "must not be null"}),
        ('{"to": null}', {"to": "must not be null"}),
        ('{"to": [{}]}', {"to[0].destination": "must not be null"}),
        ('{"to": [{"destination": "a"}, {"destination": null}]}', {"to[1].destination": "must not be null"}),
        ('{"to": [{"destination": "a"}, {"destination": 5}]}', {"to[1].destination": "another type"}),
        ('{"to": [], "clientPriority": 5}', {"clientPriority": "another type"}),
        ("[]", {"request": "another type"}),
        ("{", {"request": "not JSON"}),
        ("", {"request": "not JSON"}),
        (b"\xff\xfe", {"request": "not JSON"}),
        ('{"x": ' + "[" * 100_000, {"request": "more than 1000 values"}),
        ('{"to ":' + '{"a" :' * 50_000, {"request": "more than 1000 values"}),
        ('{"to" :' * 50_000, {"request": "more than 1000 values"}),
        ('{"x": ' + "[" * 17, {"request": "nested"}),
        (json.dumps({"to": [], "x": "y" * 1_100_000}), {"request": "larger than 1048576 octets"}),
    ],
)
async def test_json_that_cannot_be(probe: Probe, body: bytes | str, wanted: dict[str, str]) -> None:
    found = await violations(probe, body)
    assert found.keys() == wanted.keys()
    for name, sentence in wanted.items():
        assert sentence in found[name]


async def test_json_of_another_type(probe: Probe) -> None:
    assert await violations(probe, "a=b", "application/x-www-form-urlencoded") == {
        "request": "the body must be JSON"
    }


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/json; charset=UTF-8", "application/x+json"]
)
async def test_blanks_around_keys_do_not_count(probe: Probe, content_type: str) -> None:
    body = b'{"to": [{"destination" : "a \\" : b"}], "clientPriority ": "HIGH"}'  # contract §0.4
    reply = await probe.client.post("/json", content=body, headers={"Content-Type": content_type})
    assert reply.json() == {
        "to": [{"destination": 'a " : b', "placeholders": ""}],
        "clientPriority": "HIGH",
    }


async def ask(probe: Probe, query: str) -> Any:
    reply = await probe.client.get(f"/query?{query}")
    return reply.json()


async def test_parameters(probe: Probe) -> None:
    found = await ask(
        probe,
        "bulkId=B1&messageId=M1&messageId=M2,M3,,M1&from=a%40b.test&limit=1000&useCursor=True"
        "&generalStatus=delivered&sentSince=2025-12-01T12%3A00%3A00.000000%2B0000",
    )
    assert found == {
        "messageId": ["M1", "M2", "M3"],
        "from": "a@b.test",
        "limit": 1000,
        "sentSince": AT,
        "useCursor": True,
        "generalStatus": "DELIVERED",
        "bulkId": "B1",
    }


async def test_parameters_that_are_not_given(probe: Probe) -> None:
    found = await ask(probe, "bulkId=B1&limit=&from=&messageId=&sentSince=&generalStatus=")
    assert found == {
        "messageId": [],
        "from": "",
        "limit": 50,
        "sentSince": None,
        "useCursor": False,
        "generalStatus": "",
        "bulkId": "B1",
    }


async def test_every_wrong_parameter_is_named(probe: Probe) -> None:
    found = await ask(
        probe,
        "messageId=a%0Db&from=" + "x" * 300 + "&limit=1001&useCursor=maybe&generalStatus=SENT&sentSince=yesterday",
    )
    assert {violation["property"] for violation in found["violations"]} == {
        "messageId",
        "from",
        "limit",
        "useCursor",
        "generalStatus",
        "sentSince",
        "bulkId",
    }


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "x", "9" * 30, "١"])
async def test_limits_that_cannot_be(probe: Probe, limit: str) -> None:
    (found,) = (await ask(probe, f"bulkId=B&limit={limit}"))["violations"]
    assert found["property"] == "limit"
