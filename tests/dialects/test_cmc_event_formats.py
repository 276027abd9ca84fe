"""Bodies of event webhooks, to the octet (contract §1.2, §1.3, §6)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from ekiden.core.diagnosis import Diagnosis, Stage
from ekiden.core.events import EventType
from ekiden.core.notices import Happening
from ekiden.core.states import State
from ekiden.dialects.cmc.news.events import Format, event_formats
from ekiden.notify.auth import Basic, BodyKey, Several, authenticated
from ekiden.notify.formats import Addressed, Adjustable

AT = 1_674_623_986_000  # 2023-01-25 05:19:46 UTC

QUEUED = Happening(
    event_id=1,
    type=EventType.ACCEPTED,
    at=AT,
    data={},
    account_id=1,
    message_id=2,
    number=0,
    recipient="user@example.jp",
    sender="info@return.pro.example",
    subject="=?UTF-8?B?5Lu25ZCN?=",
    accepted_at=AT,
    state=State.QUEUED,
    cause=0,
    diagnosis=Diagnosis.NONE,
    code=0,
    enhanced="",
    reason="",
    attempts=0,
    first_attempt_at=None,
    labels={"author": "info@example.com"},
    header_id="<u@mta01.pro.example>",
    client="192.0.2.1",
)
REFUSED = replace(
    QUEUED,
    type=EventType.BOUNCED,
    number=1,
    diagnosis=Diagnosis.NO_MAILBOX,
    code=550,
    enhanced="5.1.1",
    reason="no such user",
    stage=Stage.RCPT,
    source="198.51.100.7",
)


def format(kind: str, composition: str = "pro", **settings: Any) -> Format:
    [found] = [item for item in event_formats(composition) if item.name == f"cmc-{kind}"]
    return found.settled({"zone": "Asia/Tokyo", **settings})


def items(body: bytes, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(body)["event"][kind]
    return found


def test_version_2_as_json_to_the_octet() -> None:
    assert (
        format("deliveries", json=True).encode([QUEUED])
        == (
            '{"event_type":"deliveries","server_composition":"pro","event":{"deliveries":[{"reason":"",'
            '"sourceIp":"192.0.2.1","returnPath":"info@return.pro.example","created":"2023-01-25 14:19:46",'
            '"subject":"件名","apiData":"","messageId":"\\u003Cu@mta01.pro.example\\u003E","from":"info@example.com",'
            '"to":"user@example.jp","senderIp":"","status":"queued"}]}}'
        ).encode()
    )


def test_version_2_as_a_form_to_the_octet() -> None:
    happening = replace(QUEUED, subject="a b~*-._", client="", labels={"author": "i@e.example", "api_data": "x/1"})
    assert format("deliveries").encode([happening]) == (
        b"server_composition=pro&event_type=deliveries&event=%7B%22deliveries%22%3A%5B%7B%22reason%22%3A%22%22%2C"
        b"%22sourceIp%22%3A%22%22%2C%22returnPath%22%3A%22info%40return.pro.example%22%2C%22created%22%3A%22"
        b"2023-01-25+14%3A19%3A46%22%2C%22subject%22%3A%22a+b%7E*-._%22%2C%22apiData%22%3A%22x%2F1%22%2C%22messageId"
        b"%22%3A%22%5Cu003Cu%40mta01.pro.example%5Cu003E%22%2C%22from%22%3A%22i%40e.example%22%2C%22to%22%3A%22"
        b"user%40example.jp%22%2C%22senderIp%22%3A%22%22%2C%22status%22%3A%22queued%22%7D%5D%7D"
    )


def test_version_1_has_nine_keys_and_is_a_form() -> None:
    told = format("deliveries", version=1)
    assert told.content_type == "application/x-www-form-urlencoded"
    fields = parse_qsl(told.encode([QUEUED]).decode(), strict_parsing=True, keep_blank_values=True)
    assert [name for name, _ in fields] == ["server_composition", "event_type", "event"]
    assert fields[2][1] == (
        '{"deliveries":[{"created":"2023-01-25 14:19:46","envelopeFrom":"info@return.pro.example",'
        '"envelopeTo":"user@example.jp","messageId":"\\u003Cu@mta01.pro.example\\u003E","reason":"","senderIp":"",'
        '"sourceIp":"192.0.2.1","status":"queued","subject":"件名"}]}'
    )


def test_a_bounce() -> None:
    [new] = items(format("bounces", json=True).encode([REFUSED]), "bounces")
    assert list(new.items()) == [
        ("created", "2023-01-25 14:19:46"),
        ("status", "2"),
        ("from", "info@example.com"),
        ("to", "user@example.jp"),
        ("messageId", "<u@mta01.pro.example>"),
        ("returnPath", "info@return.pro.example"),
        ("subject", "件名"),
        ("apiData", ""),
        ("reason", "550 5.1.1 no such user (in reply to RCPT TO)"),
    ]
    [(_, text)] = parse_qsl(format("bounces", version=1).encode([REFUSED]).decode())[2:]
    [old] = json.loads(text)["bounces"]
    assert list(old) == ["created", "envelopeFrom", "envelopeTo", "messageId", "reason", "status", "subject"]
    assert (old["status"], old["reason"]) == ("2", new["reason"])


def test_the_key_goes_into_the_body_whatever_it_is() -> None:
    keyed = Several((Basic("u", "p"), BodyKey("api_key", "K")))
    told = format("deliveries", json=True)
    headers, body = authenticated(keyed, told.encode([QUEUED]), told.content_type)
    assert headers == {"Authorization": "Basic dTpw"}
    assert json.loads(body)["api_key"] == "K"
    told = format("deliveries")
    _, body = authenticated(keyed, told.encode([QUEUED]), told.content_type)
    assert body.startswith(b"api_key=K&server_composition=pro&event_type=deliveries&event=")


@pytest.mark.parametrize(
    ("zone", "created"),
    [
        ("Asia/Tokyo", "2023-01-25 14:19:46"),
        ("UTC", "2023-01-25 05:19:46"),
        ("America/New_York", "2023-01-25 00:19:46"),
        ("Asia/Kathmandu", "2023-01-25 11:04:46"),
    ],
)
def test_times_are_local(zone: str, created: str) -> None:
    [told] = items(format("deliveries", json=True, zone=zone).encode([QUEUED]), "deliveries")
    assert told["created"] == created


@pytest.mark.parametrize(
    ("change", "status", "reason", "ip"),
    [
        ({"type": EventType.QUEUED, "source": ""}, "queued", "", ("192.0.2.1", "")),
        ({"type": EventType.DELIVERED, "code": 250, "reason": "Ok", "stage": None}, "succeeded", "", None),
        (
            {"type": EventType.DEFERRED, "code": 451, "enhanced": "4.7.1", "reason": "later", "stage": Stage.END},
            "deferred",
            "451 4.7.1 later (in reply to DATA end)",
            None,
        ),
        ({"enhanced": "", "stage": Stage.MAIL}, "failed", "550 no such user (in reply to MAIL FROM)", None),
        ({"reason": "550 5.1.1 no such user"}, "failed", "550 5.1.1 no such user (in reply to RCPT TO)", None),
        (
            {"type": EventType.EXPIRED, "reason": "Given up after 5d", "stage": None, "source": ""},
            "failed",
            "Given up after 5d",
            ("", ""),
        ),
        (
            {
                "type": EventType.DROPPED,
                "data": {"why": "suppressed", "kind": "bounce"},
                "stage": None,
                "source": "",
            },
            "failed",
            "Recipient address <user@example.jp> is suppressed to send mail. (in reply to RCPT TO)",
            ("", ""),
        ),
        (
            {"type": EventType.CANCELLED, "reason": "", "stage": None, "source": ""},
            "failed",
            "Delivery was cancelled before the message was sent.",
            ("", ""),
        ),
    ],
)
def test_what_is_told_of_a_delivery(
    change: dict[str, Any], status: str, reason: str, ip: tuple[str, str] | None
) -> None:
    happening = replace(REFUSED, **change)
    told = format("deliveries", json=True)
    assert told.wants(happening)
    [item] = items(told.encode([happening]), "deliveries")
    assert (item["status"], item["reason"]) == (status, reason)
    assert (item["sourceIp"], item["senderIp"]) == (ip or ("", "198.51.100.7"))
    assert all(isinstance(value, str) for value in item.values())
    assert len(item) == 11


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"diagnosis": Diagnosis.FULL}, "5"),
        ({"diagnosis": Diagnosis.NO_DOMAIN}, "1"),
        ({"diagnosis": Diagnosis.UNKNOWN}, "99"),
        ({"type": EventType.EXPIRED, "diagnosis": Diagnosis.GREYLISTED}, "3"),
        ({"type": EventType.DROPPED, "data": {"why": "suppressed", "kind": "complaint"}}, "10"),
        ({"type": EventType.DROPPED, "data": {"why": "suppressed", "kind": "unsubscribe"}}, "11"),
        ({"type": EventType.LATE_BOUNCE, "diagnosis": Diagnosis.NO_MAILBOX}, "2"),
    ],
)
def test_the_error_status_of_a_bounce(change: dict[str, Any], status: str) -> None:
    told, happening = format("bounces", json=True), replace(REFUSED, **change)
    assert told.wants(happening)
    assert items(told.encode([happening]), "bounces")[0]["status"] == status


def test_which_events_are_told() -> None:
    def wanted(kind: str) -> set[EventType]:
        return {type_ for type_ in EventType if format(kind).wants(replace(REFUSED, type=type_))}

    both = {EventType.BOUNCED, EventType.EXPIRED, EventType.DROPPED}
    assert wanted("bounces") == both | {EventType.LATE_BOUNCE}
    assert wanted("deliveries") == both | {
        EventType.ACCEPTED,
        EventType.QUEUED,
        EventType.DELIVERED,
        EventType.DEFERRED,
        EventType.CANCELLED,
    }
    assert wanted("blocks") == {EventType.BLOCKED, EventType.UNBLOCKED}
    whole = replace(QUEUED, recipient="")
    assert not format("deliveries").wants(whole), "of several recipients each is told by itself"


def test_nothing_of_a_message_leaves_its_place() -> None:
    """Quotes, tags and ends of fields in what others wrote."""
    evil = '"><script>&event=1\r\n%00\u2028\\'
    happening = replace(QUEUED, subject=evil, labels={"api_data": evil, "author": evil}, header_id="no-brackets")
    for kind, version in (("deliveries", 1), ("deliveries", 2), ("bounces", 1), ("bounces", 2)):
        body = format(kind, version=version).encode([replace(happening, type=EventType.BOUNCED)])
        assert b"<" not in body
        assert b">" not in body
        fields = parse_qsl(body.decode(), strict_parsing=True)
        assert [name for name, _ in fields] == ["server_composition", "event_type", "event"]
        [item] = json.loads(fields[2][1])[kind]
        assert item["subject"] == evil
        assert item["messageId"] == "<no-brackets>"


def test_what_formats_are_for_the_outbox() -> None:
    told = format("deliveries", json=True)
    assert isinstance(told, Adjustable)
    assert isinstance(told, Addressed)
    assert told.headers("hooks.example", 443) == {
        "Host": "hooks.example:443",
        "Connection": "Keep-Alive",
        "Accept-Encoding": "gzip, deflate",
    }
    assert (told.content_type, told.batch) == ("application/json", 10_000)
    assert told.settled({"zone": "UTC"}) is told.settled({"zone": "UTC"})
    for bad in ({"version": 3}, {"zone": "Mars/Base"}, {"strange": 1}):
        with pytest.raises(ValueError):
            told.settled(bad)
