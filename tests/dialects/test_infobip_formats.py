"""Reports and tracking notifications: the contract's exact keys (§3.1, §3.2, §5.1 to §5.3), whatever is in them."""

from __future__ import annotations

import json
import uuid
from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from infobip_probe import AT, happening

from ekiden.core.events import EventType
from ekiden.core.ids import format_id
from ekiden.core.notices import Happening
from ekiden.core.states import Cause, State
from ekiden.dialects.infobip.news.reports import ReportJson, ReportXml, report_v1, report_v4, reportable
from ekiden.dialects.infobip.news.tracking import Tracking
from ekiden.web.xml import xml_text

STATUS = {
    "groupId": 3,
    "groupName": "DELIVERED",
    "id": 5,
    "name": "DELIVERED_TO_HANDSET",
    "description": "Message delivered to handset",
}
ERROR = {
    "groupId": 0,
    "groupName": "OK",
    "id": 0,
    "name": "NO_ERROR",
    "description": "No Error",
    "permanent": False,
}
BARE = {"bulk": "", "reference": "", "application": "", "entity": "", "campaign": "", "labels": {}}


def pushed(*happenings: Happening) -> list[dict[str, Any]]:
    body = json.loads(ReportJson().encode(happenings))
    assert set(body) == {"results"}
    results: list[dict[str, Any]] = body["results"]
    return results


def test_pushed_json_is_the_contracts_example() -> None:
    assert pushed(happening()) == [
        {
            "entityId": "unit",
            "applicationId": "app",
            "campaignReferenceId": "spring",
            "bulkId": "bulk-1",
            "price": {"pricePerMessage": 0, "currency": "UNKNOWN"},
            "status": STATUS,
            "error": ERROR,
            "messageId": "mine-1",
            "doneAt": "2025-12-01T12:00:01.628+0000",
            "smsCount": 1,
            "sentAt": "2025-12-01T12:00:00.000+0000",
            "attemptCount": 2,
            "timeToFirstAttempt": 123,
            "smtp": {"response": "250 2.0.0 OK"},
            "callbackData": "something you want back",
            "to": "john.doe@shop.example",
        }
    ]


def test_what_is_not_known_is_missing() -> None:
    bare = happening(EventType.DROPPED, code=0, enhanced="", reason="", attempts=0, first_attempt_at=None, **BARE)
    (report,) = pushed(bare)
    assert set(report) == {
        "price",
        "status",
        "error",
        "messageId",
        "doneAt",
        "smsCount",
        "sentAt",
        "attemptCount",
        "to",
    }
    assert report["messageId"] == format_id(bare.message_id)
    assert report["attemptCount"] == 0


def test_further_recipients_have_ids_of_their_own() -> None:
    first, second = pushed(happening(reference=""), happening(reference="", number=2))
    assert second["messageId"] == first["messageId"] + "-2"


def test_pulled_v1_is_the_contracts_example() -> None:
    assert json.loads(msgspec.json.encode(report_v1(happening()))) == {
        "applicationId": "app",
        "entityId": "unit",
        "bulkId": "bulk-1",
        "messageId": "mine-1",
        "to": "john.doe@shop.example",
        "sentAt": "2025-12-01T12:00:00.000+0000",
        "doneAt": "2025-12-01T12:00:01.628+0000",
        "messageCount": 1,
        "attemptCount": 2,
        "timeToFirstAttempt": 123,
        "price": {"pricePerMessage": 0, "currency": "UNKNOWN"},
        "status": STATUS,
        "error": ERROR,
        "channel": "EMAIL",
    }


def test_pulled_v4_is_the_contracts_example() -> None:
    assert json.loads(msgspec.json.encode(report_v4(happening()))) == {
        "bulkId": "bulk-1",
        "price": {"pricePerMessage": 0, "currency": "UNKNOWN"},
        "status": STATUS,
        "error": ERROR,
        "messageId": "mine-1",
        "to": "john.doe@shop.example",
        "sender": "news@sender.example",
        "sentAt": "2025-12-01T12:00:00.000+0000",
        "doneAt": "2025-12-01T12:00:01.628+0000",
        "messageCount": 1,
        "callbackData": "something you want back",
        "platform": {"entityId": "unit", "applicationId": "app"},
        "campaignReferenceId": "spring",
        "attemptCount": 2,
        "timeToFirstAttempt": 123,
    }
    bare = json.loads(msgspec.json.encode(report_v4(happening(**BARE))))
    assert bare.keys().isdisjoint({"platform", "callbackData", "campaignReferenceId", "bulkId"})


def as_dict(element: ElementTree.Element) -> Any:
    return {child.tag: as_dict(child) for child in element} if len(element) else (element.text or "")


def test_xml_has_the_elements_of_the_json() -> None:
    given_ = [happening(), happening(EventType.BOUNCED, state=State.BOUNCED, cause=Cause.RECIPIENT, code=550)]
    text = ReportXml().encode(given_)
    assert text.startswith(b'<?xml version="1.0" encoding="UTF-8"?>')
    root = ElementTree.fromstring(text)
    assert root.tag == "reportResponse"
    (results,) = root
    assert results.tag == "results"
    assert [result.tag for result in results] == ["result", "result"]

    def words(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: words(of) for key, of in value.items()}
        return str(value).lower() if isinstance(value, bool) else str(value)

    assert [as_dict(result) for result in results] == [words(report) for report in pushed(*given_)]


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=40)


@given(HOSTILE, HOSTILE, HOSTILE)
def test_any_text_gives_xml_and_json_that_can_be_read(callback: str, reason: str, bulk: str) -> None:
    event = happening(reason=reason, bulk=bulk, labels={"callback_data": callback})
    (report,) = pushed(event)
    assert report.get("callbackData", "") == callback
    result = ElementTree.fromstring(ReportXml().encode([event]))[0][0]
    assert (result.findtext("callbackData") or "") == "".join(c if is_xml(c) else "\ufffd" for c in callback)


def is_xml(char: str) -> bool:
    return char in "\t\n\r" or "\x20" <= char <= "\ud7ff" or "\ue000" <= char <= "\ufffd" or char >= "\U00010000"


def test_xml_text() -> None:
    assert xml_text("a<b>&\x00\x1f\ufffe\r\n") == "a&lt;b&gt;&amp;\ufffd\ufffd\ufffd&#13;\n"
    assert xml_text("\ud800") == "\ufffd"


@pytest.mark.parametrize("type_", EventType)
def test_who_wants_what(type_: EventType) -> None:
    tracked = type_.name in ("OPENED", "CLICKED", "UNSUBSCRIBED", "COMPLAINED", "LATE_BOUNCE")
    reported = type_.name in (
        "ACCEPTED",
        "HELD",
        "RELEASED",
        "DEFERRED",
        "DELIVERED",
        "BOUNCED",
        "EXPIRED",
        "DROPPED",
        "CANCELLED",
    )
    event = happening(type_)
    assert Tracking().wants(event) is tracked
    assert ReportJson().wants(event) is ReportXml().wants(event) is reportable(event) is reported
    assert not reportable(happening(type_, recipient="", number=0))


DEVICE = {"type": "Phone", "os": "iOS 19", "name": "iPhone"}
COMMON = {
    "notificationType",
    "eventId",
    "domain",
    "recipient",
    "sendDateTime",
    "messageId",
    "bulkId",
    "callbackData",
    "entityId",
    "applicationId",
    "campaignReferenceId",
}


@pytest.mark.parametrize(
    ("type_", "more"),
    [
        (EventType.OPENED, {"recipientInfo", "geoLocation"}),
        (EventType.CLICKED, {"recipientInfo", "geoLocation", "url"}),
        (EventType.UNSUBSCRIBED, {"recipientInfo", "geoLocation"}),
        (EventType.COMPLAINED, {"sender"}),
        (EventType.LATE_BOUNCE, {"sender"}),
    ],
)
def test_tracking_has_the_contracts_keys(type_: EventType, more: set[str]) -> None:
    data = {"url": "https://shop.example/a?b=c", "device": DEVICE, "geo": {"country": "Japan", "city": "Osaka"}}
    told = json.loads(Tracking().encode([happening(type_, data=data | {"machine": True, "user_agent": "x"})]))
    assert set(told) == COMMON | more
    assert told["notificationType"] == type_.name
    assert told["domain"] == "sender.example"
    assert told["sendDateTime"] == AT
    assert told["messageId"] == "mine-1"
    assert told.get("url", data["url"]) == data["url"]
    assert told.get("recipientInfo") in (None, {"deviceType": "Phone", "os": "iOS 19", "deviceName": "iPhone"})
    assert told.get("geoLocation") in (None, {"countryName": "Japan", "city": "Osaka"})


@pytest.mark.parametrize("data", [{}, {"device": None}, {"device": {"type": ""}}, {"device": "phone", "geo": 1}])
def test_tracking_without_anything_known(data: dict[str, Any]) -> None:
    told = json.loads(Tracking().encode([happening(EventType.OPENED, data=data, **BARE)]))
    assert set(told) == COMMON - {"bulkId", "callbackData", "entityId", "applicationId", "campaignReferenceId"}


def test_event_ids_tell_repetitions_from_news() -> None:
    def event_id(**values: Any) -> str:
        found = json.loads(Tracking().encode([happening(EventType.OPENED, **values)]))["eventId"]
        assert str(uuid.UUID(found)) == found
        return str(found)

    assert event_id() == event_id(at=AT + 5)
    assert len({event_id(), event_id(event_id=78), event_id(message_id=5)}) == 3
